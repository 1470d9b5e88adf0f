"""The one writer of an environment's database.

Responsible for every mutation of a process: changes are queued, and what waits is committed together.
A batch locks the head row, runs each change inside a savepoint of its own, inserts the entries that they
appended, moves the head, and commits; then the entries are read back, the root is computed from those bytes,
the checkpoint is signed, and the callers are answered.

Invariants: a change and its entries commit together or not at all; a change that fails takes only its own
savepoint with it; a checkpoint is signed only for what is committed, and only where the bytes that were read
back lead to the committed root. Changes do no I/O and make no signatures.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError

from carnet.canonical import sha256_hex
from carnet.errors import AlreadyExistsError, LogTamperedError, UnavailableError
from carnet.serving.engine import typed_database_errors
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.tree import Frontier, Node, frontier_nodes, leaf_hash
from carnet_server.log import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from carnet.translog.keys import LogKey
    from carnet_server.database.engine import Database

MAX_BATCH = 256
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
        self._queue: queue.SimpleQueue[_Waiting[Any] | None] = queue.SimpleQueue()
        self._stopped = False
        # Nothing is queued behind the end of the queue, where nobody would ever answer it.
        self._gate = threading.Lock()
        self._broken: BaseException | None = None
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
            change: Takes the transaction, returns plain values. It runs on the writer thread, may be run once
                only, and does nothing but database work.

        Returns:
            What the change returned, after the commit is durable and covered by a signed checkpoint.

        Raises:
            CarnetError: What the change raised; nothing of it is stored.
            StorageFullError: The disk is full; nothing is stored.
            UnavailableError: The database failed or the writer is stopping.
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
            self._queue.put(None)
        self._thread.join(STOP_TIMEOUT_SECONDS)

    def _open(self) -> tuple[Frontier, str]:
        """Make the head row where there is none, and check that the stored nodes lead to it."""
        with typed_database_errors(), self._database.writer_engine.begin() as connection:
            head = connection.execute(queries.LOCK_HEAD).first()
            if head is None:
                row = {"id": 1, "origin": self._key.name, "size": 0, "root": Frontier().root()}
                connection.execute(queries.INSERT_HEAD, row)
                head = connection.execute(queries.LOCK_HEAD).one()
            if head.origin != self._key.name:
                raise LogTamperedError(
                    f"the database is the log of {head.origin!r}, this environment's is {self._key.name!r}"
                )
            frontier = self._load_frontier(connection, head.size)
            if frontier.root() != head.root:
                raise LogTamperedError(
                    f"the log's nodes do not lead to its root at size {head.size}: restore the database"
                )
        return frontier, self._sign(frontier)

    @staticmethod
    def _load_frontier(connection: Connection, size: int) -> Frontier:
        places = frontier_nodes(size)
        hashes = queries.read_nodes(connection, places)
        return Frontier((level, index, hashes[level, index]) for level, index in places)

    def _sign(self, frontier: Frontier) -> str:
        return sign_checkpoint(Checkpoint(self._key.name, frontier.size, frontier.root()), self._key)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._next_batch()
            if not batch:
                continue
            try:
                self._write(batch)
            except BaseException as error:
                logger.exception("a commit failed")
                for waiting in batch:
                    waiting.error = waiting.error or error
            for waiting in batch:
                waiting.settle()

    def _next_batch(self) -> tuple[list[_Waiting[Any]], bool]:
        first = self._queue.get()
        if first is None:
            return [], True
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
            if waiting is None:
                return batch, True
            batch.append(waiting)
        return batch, False

    def _write(self, batch: list[_Waiting[Any]]) -> None:
        if self._broken is not None:
            raise UnavailableError(
                "the log could not be signed; the registry must be restarted"
            ) from self._broken
        with typed_database_errors():
            with self._database.writer_engine.begin() as connection:
                head = connection.execute(queries.LOCK_HEAD).one()
                frontier = self._frontier
                if head.size != frontier.size:
                    frontier = self._load_frontier(connection, head.size)
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
            if entries:
                self._publish(head.size, entries, grown)

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

    def _publish(self, first: int, entries: list[Entry], committed: Frontier) -> None:
        """Sign the new head over what the database gives back, and tell the listeners."""

        def reread(connection: Connection) -> Frontier:
            frontier = Frontier(self._frontier_at(connection, first))
            span = {"first": first, "end": committed.size}
            for _, data, _ in connection.execute(queries.READ_ENTRIES, span):
                frontier.append(leaf_hash(data))
            return frontier

        stored = self._database.read_now(reread)
        if stored.size != committed.size or stored.root() != committed.root():
            self._broken = LogTamperedError(
                f"the entries read back from {first} on do not lead to the committed root: not signed"
            )
            raise self._broken
        self.checkpoint = self._sign(stored)
        self._frontier = stored
        self._on_commit(Commit(first, tuple(entries), self.checkpoint, stored.size))

    def _frontier_at(self, connection: Connection, size: int) -> list[Node]:
        if self._frontier.size == size:
            return self._frontier.nodes()
        return self._load_frontier(connection, size).nodes()
