"""The head of an environment's log: the tree that is committed, and the checkpoint that was signed of it.

Responsible for the locked head row, which puts the commits of all processes in order; for the entries and
nodes that a commit adds behind it; and for signing: only what is committed, over bytes that were read back,
and only where they lead to the committed root. Invariants: the tree in memory is the one that was signed
last; a log that is not its continuation is neither added to nor signed. Queues nothing and runs no change
(``carnet_server.log.writer``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from carnet.errors import LogTamperedError, UnavailableError
from carnet.serving.engine import typed_database_errors
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import parse_entry
from carnet.translog.tree import Frontier, Node, frontier_nodes, leaf_hash
from carnet_server.log import queries
from carnet_server.log.commit import Commit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from carnet.translog.entry import Entry
    from carnet.translog.keys import LogKey
    from carnet_server.database.engine import Database


class LogHead:
    """The head of the log, as this process signed it last; used on one thread.

    Args:
        database: The environment's database.
        key: The key that signs checkpoints; its name is the log's origin.

    Attributes:
        checkpoint: The checkpoint of the tree that was signed last.

    Raises:
        LogTamperedError: The stored nodes do not lead to the stored root, or it is another log.
    """

    def __init__(self, database: Database, key: LogKey) -> None:
        self._database = database
        self._key = key
        self._broken: BaseException | None = None
        self._frontier = self._open()
        self.checkpoint = self._sign(self._frontier)

    @property
    def size(self) -> int:
        """The size of the tree that is committed and signed."""
        return self._frontier.size

    @property
    def is_broken(self) -> bool:
        """Whether what was committed could not be signed; nothing is added to it any more."""
        return self._broken is not None

    def require_sound(self) -> None:
        """Insist that what was committed could be signed.

        Raises:
            UnavailableError: It could not.
        """
        if self._broken is not None:
            raise UnavailableError(
                "the log could not be signed; the registry must be restarted"
            ) from self._broken

    def lock(self, connection: Connection) -> Frontier:
        """Lock the head for the rest of a transaction, and return the tree as it stands behind it.

        Args:
            connection: The transaction's connection.

        Returns:
            The tree, which the caller may grow.

        Raises:
            LogTamperedError: It is not a continuation of the tree that was signed here.
        """
        head = connection.execute(queries.LOCK_HEAD).one()
        frontier = self._grown_to(connection, head.size)
        if head.size != frontier.size or head.root != frontier.root():
            raise LogTamperedError(
                f"the database's log, {head.size} entries, is not the one of {self._frontier.size} entries "
                "that was signed here before: nothing is added to it; restore it, then restart the registry"
            )
        return frontier

    @staticmethod
    def insert(connection: Connection, frontier: Frontier, entries: Sequence[Entry]) -> None:
        """Insert entries behind the locked head, grow the tree by them, and move the head.

        Args:
            connection: The transaction's connection.
            frontier: What ``lock`` returned.
            entries: The entries; none change nothing.
        """
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

    def has_entries(self, entries: Sequence[Entry], grown: Frontier) -> bool:
        """Tell whether entries stand in the log where a commit that got no answer was to put them.

        Args:
            entries: The entries, one at least.
            grown: The tree with them.

        Raises:
            UnavailableError: The database cannot be asked now.
        """
        span = {"first": grown.size - len(entries), "end": grown.size}
        stored = self._database.read_now(
            lambda connection: [row.entry for row in connection.execute(queries.READ_ENTRIES, span)]
        )
        return stored == [entry.to_bytes() for entry in entries]

    def read_committed(self) -> Commit | None:
        """Look for what other processes committed, and sign it; see ``publish``."""
        head = self._database.read_now(lambda connection: connection.execute(queries.READ_HEAD).one())
        return self.publish(head.size, head.root)

    def publish(self, size: int, root: bytes, written: Sequence[Entry] = ()) -> Commit | None:
        """Sign a committed head over what the database gives back.

        Args:
            size: The committed size.
            root: The committed root.
            written: The entries that were written here; what is read back equal to one is not parsed anew.

        Returns:
            What is new; None for nothing.

        Raises:
            LogTamperedError: What was read back does not lead to the root: nothing is signed any more.
            UnavailableError: The database cannot be asked now.
        """
        first = self._frontier.size
        if size == first:
            return None

        def reread(connection: Connection) -> list[bytes]:
            span = {"first": first, "end": size}
            return [row.entry for row in connection.execute(queries.READ_ENTRIES, span)]

        stored = self._database.read_now(reread) if size > first else []
        frontier = Frontier(self._frontier.nodes())
        nodes = {(level, index): value for level, index, value in frontier.nodes()}
        for at, data in enumerate(stored, first):
            nodes[0, at] = hashed = leaf_hash(data)
            nodes |= {(level, index): value for level, index, value in frontier.append(hashed)}
        if frontier.size != size or frontier.root() != root:
            self._broken = LogTamperedError(
                f"the entries read back from {first} on do not lead to the committed root: not signed"
            )
            raise self._broken
        self.checkpoint = self._sign(frontier)
        self._frontier = frontier
        known = {entry.to_bytes(): entry for entry in written}
        entries = tuple(known.get(data) or parse_entry(data) for data in stored)
        return Commit(first, entries, self.checkpoint, size, nodes)

    def _open(self) -> Frontier:
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
        return frontier

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

    def _grown_to(self, connection: Connection, size: int) -> Frontier:
        """Return the signed tree with the leaves that others committed behind it, up to a size."""
        frontier = Frontier(self._frontier.nodes())
        if size > frontier.size:
            span = {"first": frontier.size, "end": size}
            for hashed in connection.execute(queries.READ_LEAF_HASHES, span).scalars():
                frontier.append(hashed)
        return frontier

    def _sign(self, frontier: Frontier) -> str:
        return sign_checkpoint(Checkpoint(self._key.name, frontier.size, frontier.root()), self._key)
