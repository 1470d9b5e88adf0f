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
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    InvalidInputError,
    LogTamperedError,
    UnavailableError,
)
from carnet.serving.engine import may_be_repeated, typed_database_errors, was_undone
from carnet_server.log.head import LogHead
from carnet_server.log.inbox import Inbox
from carnet_server.log.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from carnet.translog.entry import Entry
    from carnet.translog.keys import LogKey
    from carnet.translog.tree import Frontier
    from carnet_server.database.engine import Database
    from carnet_server.log.commit import Commit

MAX_BATCH = 256
MAX_ATTEMPTS = 4
RETRY_SECONDS = 0.05
FOLLOW_SECONDS = 0.25
STOP_TIMEOUT_SECONDS = 30.0
_UNDO_CHANGE = "ROLLBACK TO SAVEPOINT carnet_change"

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


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

    def answer(self) -> None:
        """Answer the caller; called on its loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


@dataclass(frozen=True, slots=True)
class _Made:
    """A batch that was committed: its entries, and the tree with them."""

    entries: list[Entry]
    grown: Frontier


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
        self._on_commit = on_commit
        self._clock = clock
        self._inbox: Inbox[_Waiting[Any] | _Signal] = Inbox()
        self._followed_at = time.monotonic()
        self._expected = 1
        self._stopped = False
        # Nothing is queued behind the end of the queue, where nobody would ever answer it.
        self._gate = threading.Lock()
        self._away = False
        self._refusal = ""
        self._head = LogHead(database, key)
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """The size of the tree that is committed and signed."""
        return self._head.size

    @property
    def checkpoint(self) -> str:
        """The checkpoint of that tree."""
        return self._head.checkpoint

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
            self._inbox.put(waiting)
        return await waiting.future

    def stop(self) -> None:
        """Commit what waits, refuse what comes, and end the thread."""
        with self._gate:
            self._stopped = True
            self._inbox.put(_Signal.STOP, urgent=True)
        self._thread.join(STOP_TIMEOUT_SECONDS)

    def refuse(self, why: str) -> None:
        """Add nothing to the log from now on: it is not what it was; reading goes on.

        Args:
            why: What is wrong, and what to do.
        """
        self._refusal = why

    def look(self) -> None:
        """Look now for what other processes committed; returns at once."""
        self._inbox.put(_Signal.LOOK, urgent=True)

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
            # Who is answered now, and who came meanwhile.
            self._expected = len(batch) + len(self._inbox)
            _answer(batch)

    def _next_batch(self) -> tuple[list[_Waiting[Any]], bool]:
        """Wait for changes; none come back when it is time to look for what others committed.

        Callers that were answered together come again together, one after the other. So a batch waits for as
        many as wrote last, for as long as they keep coming; a caller who is alone never waits.
        """
        self._inbox.wait(FOLLOW_SECONDS, many=min(self._expected, MAX_BATCH))
        batch: list[_Waiting[Any]] = []
        while len(batch) < MAX_BATCH and (taken := self._inbox.take()) is not None:
            if taken is _Signal.STOP:
                return batch, True
            if taken is _Signal.LOOK:
                break
            batch.append(taken)
        return batch, False

    def _follow(self) -> None:
        """Take in what other processes committed; a database that is away is looked for again."""
        if self._head.is_broken:
            return
        self._followed_at = time.monotonic()
        try:
            with typed_database_errors():
                self._tell(self._head.read_committed())
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
        self._head.require_sound()
        if self._refusal:
            raise UnavailableError(f"nothing is added to this log any more: {self._refusal}")
        with typed_database_errors():
            made = self._commit(batch)
            if made.entries:
                self._tell(self._head.publish(made.grown.size, made.grown.root(), made.entries))

    def _tell(self, commit: Commit | None) -> None:
        """Tell the listeners what is new, once and in order."""
        if commit is not None:
            self._on_commit(commit)

    def _commit(self, batch: list[_Waiting[Any]]) -> _Made:
        """Commit a batch, again where the database undid it."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            for waiting in batch:
                waiting.begin()
            try:
                with self._database.writer_engine.connect() as connection:
                    transaction = connection.begin()
                    made = self._prepare(connection, batch)
                    try:
                        transaction.commit()
                    except DBAPIError as error:
                        if not was_undone(error) and self._was_made(made):
                            return made
                        if not was_undone(error) and not made.entries:
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
                return made
        raise AssertionError("unreachable")

    @staticmethod
    def _wait_before_attempt(attempt: int, error: BaseException) -> None:
        if attempt == MAX_ATTEMPTS:
            raise error
        logger.info("a commit was undone and is made again: %s", type(error).__name__)
        time.sleep(RETRY_SECONDS * 2**attempt)

    def _was_made(self, made: _Made) -> bool:
        """Tell whether a commit that got no answer was made: whether its entries stand in their places."""
        if not made.entries:
            return False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return self._head.has_entries(made.entries, made.grown)
            except UnavailableError as error:
                self._wait_before_attempt(attempt, error)
        raise AssertionError("unreachable")

    def _prepare(self, connection: Connection, batch: list[_Waiting[Any]]) -> _Made:
        """Run a batch's changes behind the locked head, and insert their entries."""
        frontier = self._head.lock(connection)
        now = self._clock()
        entries: list[Entry] = []
        for waiting in batch:
            transaction = Transaction(
                connection,
                now=now,
                environment=self._environment,
                next_index=frontier.size + len(entries),
            )
            self._apply(waiting, transaction)
            if waiting.error is None:
                entries += transaction.entries
        self._head.insert(connection, frontier, entries)
        return _Made(entries, frontier)

    @staticmethod
    def _apply(waiting: _Waiting[Any], transaction: Transaction) -> None:
        """Run one change in its savepoint; its failure is its own unless the database itself failed."""
        # As plain statements: a savepoint's clause would be compiled anew for every change.
        run = transaction.connection.exec_driver_sql
        run("SAVEPOINT carnet_change")
        try:
            waiting.result = waiting.change(transaction)
        except IntegrityError as error:
            run(_UNDO_CHANGE)
            waiting.error = AlreadyExistsError(f"it exists already: {str(error.orig).splitlines()[0]}")
            waiting.error.__cause__ = error
        except DataError as error:
            run(_UNDO_CHANGE)
            waiting.error = InvalidInputError(
                f"the database cannot keep a value that was given: {str(error.orig).splitlines()[0]}"
            )
            waiting.error.__cause__ = error
        except (UnicodeEncodeError, OverflowError) as error:
            run(_UNDO_CHANGE)
            waiting.error = InvalidInputError(f"the database cannot keep a value that was given: {error}")
            waiting.error.__cause__ = error
        except DBAPIError:
            raise
        except BaseException as error:  # noqa: BLE001  handed to the caller, whatever it is
            run(_UNDO_CHANGE)
            waiting.error = error
        run("RELEASE SAVEPOINT carnet_change")


def _answer(batch: list[_Waiting[Any]]) -> None:
    """Answer the callers of a batch; each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting[Any]]] = {}
    for waiting in batch:
        by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, theirs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_answer_here, theirs)
        except RuntimeError:
            logger.warning("changes were committed after their callers' loop had ended")


def _answer_here(batch: list[_Waiting[Any]]) -> None:
    for waiting in batch:
        waiting.answer()


class _UndoneError(Exception):
    """A commit changed nothing."""
