"""The one writer of an environment's database in a process.

Responsible for every mutation of a process: changes are queued, and what waits is committed together.
A batch locks the head row, runs each change inside a savepoint of its own, inserts the entries that they
appended, moves the head, and commits; then the entries are read back, the root is computed from those bytes,
the checkpoint is signed, and the callers are answered.

On PostgreSQL several processes append to one log. The locked head row puts their batches in order; what
others committed is read, checked and signed here in its place, a moment later at most (`FOLLOW_SECONDS`), so
that every process has the whole log and tells its listeners of every entry once, in order.

A batch that the database undid (a deadlock, a connection that was lost before the commit) is made again. Of
one whose commit got no answer, the log itself tells whether it was made: its entries are there or not.

Invariants: a change and its entries commit together or not at all; a change that fails takes only its own
savepoint with it; a checkpoint is signed only for what is committed, and only where the bytes that were read
back lead to the committed root. Changes do no I/O and make no signatures.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from carnet.canonical import sha256_hex
from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    InvalidInputError,
    LogTamperedError,
    UnavailableError,
)
from carnet.serving.engine import may_be_repeated, typed_database_errors, was_undone
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType, parse_entry
from carnet.translog.tree import Frontier, Node, frontier_nodes, leaf_hash
from carnet_server.log import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from carnet.translog.keys import LogKey
    from carnet_server.database.engine import Database

MAX_BATCH = 256
MAX_ATTEMPTS = 4
RETRY_SECONDS = 0.05
FOLLOW_SECONDS = 0.25
STOP_TIMEOUT_SECONDS = 30.0

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """What a change says of itself; the writer adds id, environment, time and place in the log.

    Attributes:
        type: What kind of change it is.
        actor: Who made it.
        subject: What it is about: namespace, model, version, bundle_digest, alias, promotion, …
        old: Where a pointer was, if one moved.
        new: Where it is now, or the outcome.
        envelope_digest: The document that the change rests on.
        request_digest: The digest of the request that asked for it.
    """

    type: EntryType
    actor: Actor
    subject: Mapping[str, str | int]
    old: str | None = None
    new: str | None = None
    envelope_digest: str | None = None
    request_digest: str | None = None


class Transaction:
    """What a change works with: a connection inside its own savepoint, and the log's next places.

    Attributes:
        connection: The connection; a change never commits or rolls back by itself.
        now: The time of this commit, the same for every entry of the batch.
        environment: The environment's name.
    """

    def __init__(self, connection: Connection, *, now: datetime, environment: str, next_index: int) -> None:
        self.connection = connection
        self.now = now
        self.environment = environment
        self._next_index = next_index
        self.entries: list[Entry] = []

    def append(self, draft: EntryDraft) -> int:
        """Append an entry to the log, with this change.

        Args:
            draft: What changed.

        Returns:
            The entry's index.
        """
        entry = Entry(
            event_id=uuid.uuid4().hex,
            type=draft.type,
            environment=self.environment,
            time=self.now,
            actor=draft.actor,
            subject=draft.subject,
            old=draft.old,
            new=draft.new,
            envelope_digest=draft.envelope_digest,
            request_digest=draft.request_digest,
        )
        self.entries.append(entry)
        return self._next_index + len(self.entries) - 1

    def store_document(self, data: bytes, media_type: str) -> str:
        """Store a document that an entry rests on; one that is stored already is kept.

        Args:
            data: Its bytes.
            media_type: Its media type.

        Returns:
            The SHA-256 of the bytes.
        """
        digest = sha256_hex(data)
        if self.connection.execute(queries.HAS_DOCUMENT, {"wanted": digest}).first() is None:
            row = {"digest": digest, "media_type": media_type, "data": data, "created_at": self.now}
            self.connection.execute(queries.INSERT_DOCUMENT, row)
        return digest

    def touch(self, *scopes: str) -> None:
        """Say that the facts of scopes change here, so that decisions based on them notice.

        Args:
            scopes: Names as ``carnet_server.log.revisions`` makes them.
        """
        for scope in scopes:
            if self.connection.execute(queries.BUMP_REVISION, {"wanted": scope}).rowcount == 0:
                self.connection.execute(queries.INSERT_REVISION, {"scope": scope, "revision": 1})


@dataclass(slots=True)
class _Waiting(Generic[Result]):
    """A change in the queue, and who waits for it."""

    change: Callable[[Transaction], Result]
    future: asyncio.Future[Result]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def begin(self) -> None:
        """Forget the outcome of an attempt that was undone."""
        self.result = self.error = None

    def settle(self) -> None:
        """Answer the caller, on the caller's loop."""

        def answer() -> None:
            if self.future.done():
                return
            if self.error is not None:
                self.future.set_exception(self.error)
            else:
                self.future.set_result(self.result)

        try:
            self.loop.call_soon_threadsafe(answer)
        except RuntimeError:
            logger.warning("a change was committed after its caller's loop had ended")


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit added to the log."""

    first_index: int
    entries: tuple[Entry, ...]
    checkpoint: str
    size: int


class _Signal(Enum):
    """What is queued beside changes."""

    STOP = auto()
    LOOK = auto()


class Writer:
    """The writer thread.

    Args:
        database: The environment's database.
        environment: The environment's name.
        key: The key that signs checkpoints; its name is the log's origin.
        on_commit: Called on the writer thread after each commit, before the callers are answered.
        clock: Tells the time.

    Raises:
        LogTamperedError: The stored nodes do not lead to the stored root.
    """

    def __init__(
        self,
        database: Database,
        *,
        environment: str,
        key: LogKey,
        on_commit: Callable[[Commit], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._environment = environment
        self._key = key
        self._on_commit = on_commit
        self._clock = clock
        self._queue: queue.SimpleQueue[_Waiting[Any] | _Signal] = queue.SimpleQueue()
        self._followed_at = time.monotonic()
        self._stopped = False
        # Nothing is queued behind the end of the queue, where nobody would ever answer it.
        self._gate = threading.Lock()
        self._broken: BaseException | None = None
        self._away = False
        self._frontier, self.checkpoint = self._open()
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """The size of the tree that is committed and signed."""
        return self._frontier.size

    async def commit(self, change: Callable[[Transaction], Result]) -> Result:
        """Run a change and commit it with its entries.

        Args:
            change: Takes the transaction, returns plain values. It runs on the writer thread, is run again
                where the database undid it, and does nothing but database work.

        Returns:
            What the change returned, after the commit is durable and covered by a signed checkpoint.

        Raises:
            CarnetError: What the change raised; nothing of it is stored.
            StorageFullError: The disk is full; nothing is stored.
            UnavailableError: The database failed or the writer is stopping. Where the connection was lost at
                the commit of a change without entries, it may have been made.
        """
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Result] = _Waiting(change, loop.create_future(), loop)
        with self._gate:
            if self._stopped:
                raise UnavailableError("the registry is stopping")
            self._queue.put(waiting)
        return await asyncio.shield(waiting.future)

    def stop(self) -> None:
        """Commit what waits, refuse what comes, and end the thread."""
        with self._gate:
            self._stopped = True
            self._queue.put(_Signal.STOP)
        self._thread.join(STOP_TIMEOUT_SECONDS)

    def _open(self) -> tuple[Frontier, str]:
        """Make the head row where there is none, and check that the stored nodes lead to it."""
        with typed_database_errors():
            try:
                head, frontier = self._read_head()
            except IntegrityError:  # another process made the row in this very moment
                head, frontier = self._read_head()
        if frontier.root() != head.root:
            raise LogTamperedError(
                f"the log's nodes do not lead to its root at size {head.size}: restore the database"
            )
        return frontier, self._sign(frontier)

    def _read_head(self) -> tuple[Any, Frontier]:
        with self._database.writer_engine.begin() as connection:
            head = connection.execute(queries.LOCK_HEAD).first()
            if head is None:
                row = {"id": 1, "origin": self._key.name, "size": 0, "root": Frontier().root()}
                connection.execute(queries.INSERT_HEAD, row)
                head = connection.execute(queries.LOCK_HEAD).one()
            if head.origin != self._key.name:
                raise LogTamperedError(
                    f"the database is the log of {head.origin!r}, this environment's is {self._key.name!r}"
                )
            return head, self._load_frontier(connection, head.size)

    @staticmethod
    def _load_frontier(connection: Connection, size: int) -> Frontier:
        places = frontier_nodes(size)
        hashes = queries.read_nodes(connection, places)
        return Frontier((level, index, hashes[level, index]) for level, index in places)

    def _sign(self, frontier: Frontier) -> str:
        return sign_checkpoint(Checkpoint(self._key.name, frontier.size, frontier.root()), self._key)

    def look(self) -> None:
        """Look now for what other processes committed; returns at once."""
        self._queue.put(_Signal.LOOK)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._next_batch()
            try:
                if batch:
                    self._write(batch)
                if not batch or time.monotonic() - self._followed_at > FOLLOW_SECONDS:
                    self._follow()
            except BaseException as error:
                logger.exception("a commit failed")
                for waiting in batch:
                    waiting.error = waiting.error or error
            for waiting in batch:
                waiting.settle()

    def _next_batch(self) -> tuple[list[_Waiting[Any]], bool]:
        """Wait for changes; none come back when it is time to look for what others committed."""
        batch: list[_Waiting[Any]] = []
        while len(batch) < MAX_BATCH:
            try:
                queued = self._queue.get_nowait() if batch else self._queue.get(timeout=FOLLOW_SECONDS)
            except queue.Empty:
                break
            if queued is _Signal.STOP:
                return batch, True
            if queued is _Signal.LOOK:
                break
            batch.append(queued)
        return batch, False

    def _follow(self) -> None:
        """Take in what other processes committed; a database that is away is looked for again."""
        if self._broken is not None:
            return
        self._followed_at = time.monotonic()
        try:
            with typed_database_errors():
                head = self._database.read_now(lambda connection: connection.execute(queries.READ_HEAD).one())
                self._publish(head.size, head.root)
        except LogTamperedError:
            raise
        except CarnetError as error:
            if not self._away:
                logger.warning("%s", error.message)
            self._away = True
        else:
            if self._away:
                logger.info("the metadata database is back")
            self._away = False

    def _write(self, batch: list[_Waiting[Any]]) -> None:
        if self._broken is not None:
            raise UnavailableError(
                "the log could not be signed; the registry must be restarted"
            ) from self._broken
        with typed_database_errors():
            grown = self._commit(batch)
            if grown is not None:
                self._publish(grown.size, grown.root())

    def _commit(self, batch: list[_Waiting[Any]]) -> Frontier | None:
        """Commit a batch, again where the database undid it; return the tree if the batch has entries."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            for waiting in batch:
                waiting.begin()
            try:
                with self._database.writer_engine.connect() as connection:
                    transaction = connection.begin()
                    entries, grown = self._prepare(connection, batch)
                    try:
                        transaction.commit()
                    except DBAPIError as error:
                        if not was_undone(error) and self._was_made(entries, grown):
                            return grown
                        if not was_undone(error) and not entries:
                            raise UnavailableError(
                                "the metadata database was lost at a commit: the change may have been made; "
                                "look, and try again"
                            ) from error
                        raise _UndoneError from error
            except _UndoneError as error:
                self._wait_before_attempt(attempt, error.__cause__ or error)
            except DBAPIError as error:
                if not may_be_repeated(error):
                    raise
                self._wait_before_attempt(attempt, error)
            else:
                return grown if entries else None
        raise AssertionError("unreachable")

    @staticmethod
    def _wait_before_attempt(attempt: int, error: BaseException) -> None:
        if attempt == MAX_ATTEMPTS:
            raise error
        logger.info("a commit was undone and is made again: %s", type(error).__name__)
        time.sleep(RETRY_SECONDS * 2**attempt)

    def _was_made(self, entries: list[Entry], grown: Frontier) -> bool:
        """Tell whether a commit that got no answer was made: whether its entries stand in their places."""
        if not entries:
            return False
        span = {"first": grown.size - len(entries), "end": grown.size}
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                stored = self._database.read_now(
                    lambda connection: [row.entry for row in connection.execute(queries.READ_ENTRIES, span)]
                )
            except UnavailableError as error:
                self._wait_before_attempt(attempt, error)
            else:
                return stored == [entry.to_bytes() for entry in entries]
        raise AssertionError("unreachable")

    def _prepare(self, connection: Connection, batch: list[_Waiting[Any]]) -> tuple[list[Entry], Frontier]:
        """Run a batch's changes behind the locked head, and insert their entries."""
        head = connection.execute(queries.LOCK_HEAD).one()
        frontier = self._grown_to(connection, head.size)
        if head.size != frontier.size or head.root != frontier.root():
            raise LogTamperedError(
                f"the database's log, {head.size} entries, is not the one of {self._frontier.size} entries "
                "that was signed here before: nothing is added to it; restore it, then restart the registry"
            )
        now = self._clock()
        entries: list[Entry] = []
        for waiting in batch:
            transaction = Transaction(
                connection,
                now=now,
                environment=self._environment,
                next_index=head.size + len(entries),
            )
            self._apply(waiting, transaction)
            if waiting.error is None:
                entries += transaction.entries
        grown = Frontier(frontier.nodes())
        self._insert(connection, grown, entries)
        return entries, grown

    def _grown_to(self, connection: Connection, size: int) -> Frontier:
        """Return the signed tree with the leaves that others committed behind it, up to a size."""
        frontier = Frontier(self._frontier.nodes())
        if size > frontier.size:
            span = {"first": frontier.size, "end": size}
            for hashed in connection.execute(queries.READ_LEAF_HASHES, span).scalars():
                frontier.append(hashed)
        return frontier

    @staticmethod
    def _apply(waiting: _Waiting[Any], transaction: Transaction) -> None:
        """Run one change in its savepoint; its failure is its own unless the database itself failed."""
        savepoint = transaction.connection.begin_nested()
        try:
            waiting.result = waiting.change(transaction)
            savepoint.commit()
        except IntegrityError as error:
            savepoint.rollback()
            waiting.error = AlreadyExistsError(f"it exists already: {str(error.orig).splitlines()[0]}")
            waiting.error.__cause__ = error
        except DataError as error:
            savepoint.rollback()
            waiting.error = InvalidInputError(
                f"the database cannot keep a value that was given: {str(error.orig).splitlines()[0]}"
            )
            waiting.error.__cause__ = error
        except (UnicodeEncodeError, OverflowError) as error:
            savepoint.rollback()
            waiting.error = InvalidInputError(f"the database cannot keep a value that was given: {error}")
            waiting.error.__cause__ = error
        except DBAPIError:
            raise
        except BaseException as error:  # noqa: BLE001  handed to the caller, whatever it is
            savepoint.rollback()
            waiting.error = error

    @staticmethod
    def _insert(connection: Connection, frontier: Frontier, entries: list[Entry]) -> None:
        if not entries:
            return
        first = frontier.size
        rows: list[dict[str, Any]] = []
        nodes: list[Node] = []
        for index, entry in enumerate(entries, first):
            data = entry.to_bytes()
            hashed = leaf_hash(data)
            rows.append({"index": index, "entry": data, "leaf_hash": hashed})
            nodes += (node for node in frontier.append(hashed) if node[0] > 0)
        connection.execute(queries.INSERT_ENTRIES, rows)
        if nodes:
            connection.execute(
                queries.INSERT_NODES,
                [dict(zip(("level", "index", "hash"), node, strict=True)) for node in nodes],
            )
        connection.execute(queries.UPDATE_HEAD, {"new_size": frontier.size, "new_root": frontier.root()})

    def _publish(self, size: int, root: bytes) -> None:
        """Sign a committed head over what the database gives back, and tell the listeners what is new."""
        first = self._frontier.size
        if size == first:
            return

        def reread(connection: Connection) -> list[bytes]:
            span = {"first": first, "end": size}
            return [row.entry for row in connection.execute(queries.READ_ENTRIES, span)]

        stored = self._database.read_now(reread) if size > first else []
        frontier = Frontier(self._frontier.nodes())
        for data in stored:
            frontier.append(leaf_hash(data))
        if frontier.size != size or frontier.root() != root:
            self._broken = LogTamperedError(
                f"the entries read back from {first} on do not lead to the committed root: not signed"
            )
            raise self._broken
        self.checkpoint = self._sign(frontier)
        self._frontier = frontier
        entries = tuple(parse_entry(data) for data in stored)
        self._on_commit(Commit(first, entries, self.checkpoint, size))


class _UndoneError(Exception):
    """A commit changed nothing."""
