"""A log of any size, put straight into a database's tables: real hashes over small, made-up leaves."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from carnet.translog.tree import Frontier, leaf_hash, node_hash
from carnet_server.database.migrate import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 16
_ENTRY_COLUMNS = '"index", entry, leaf_hash'
_NODE_COLUMNS = 'level, "index", hash'
_HEAD_COLUMNS = "id, origin, size, root"

_Rows = list[tuple[int, bytes, bytes]]
_Nodes = list[tuple[int, int, bytes]]


def seed(url: str, origin: str, size: int) -> None:
    """Make an environment's schema in an empty database, and a log of some size in it.

    Args:
        url: The database, resolved.
        origin: The log's origin.
        size: How many leaves.
    """
    upgrade(url)
    if url.startswith("sqlite"):
        _fill_sqlite(str(make_url(url).database), origin, size)
    else:
        _fill_postgres(url, origin, size)


def _chunks(size: int) -> Iterator[tuple[_Rows, _Nodes, bytes]]:
    """Grow a tree, and yield the rows of some leaves at a time, with the root that they lead to."""
    frontier = Frontier()
    for first in range(0, size, _CHUNK):
        entries: _Rows = []
        for index in range(first, min(first + _CHUNK, size)):
            data = b"leaf %d" % index
            entries.append((index, data, leaf_hash(data)))
        if len(entries) == _CHUNK:
            nodes, frontier = _with_subtree(frontier, [hashed for _, _, hashed in entries])
        else:
            nodes = [node for _, _, hashed in entries for node in frontier.append(hashed)]
        yield entries, nodes, frontier.root()


def _with_subtree(frontier: Frontier, hashes: list[bytes]) -> tuple[_Nodes, Frontier]:
    """Append a whole, aligned subtree, level by level: leaf by leaf it would take twice as long."""
    nodes: _Nodes = []
    first, level = frontier.size, 0
    while len(hashes) > 1:
        level += 1
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
        nodes += [(level, at, value) for at, value in enumerate(hashes, first >> level)]
    edge = frontier.nodes()
    at, value = first >> level, hashes[0]
    while edge and edge[-1][0] == level:
        value = node_hash(edge.pop()[2], value)
        level, at = level + 1, at >> 1
        nodes.append((level, at, value))
    return nodes, Frontier([*edge, (level, at, value)])


def _fill_sqlite(path: str, origin: str, size: int) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        # Only while it is seeded; whoever opens it for the measurement has it durable.
        database.execute("PRAGMA synchronous=OFF")
        for entries, nodes, grown in _chunks(size):
            root = grown
            database.execute("BEGIN")
            database.executemany(f"INSERT INTO log_entries ({_ENTRY_COLUMNS}) VALUES (?, ?, ?)", entries)
            database.executemany(f"INSERT INTO log_nodes ({_NODE_COLUMNS}) VALUES (?, ?, ?)", nodes)
            database.execute("COMMIT")
        head = (1, origin, size, root)
        database.execute(f"INSERT INTO log_head ({_HEAD_COLUMNS}) VALUES (?, ?, ?, ?)", head)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill_postgres(url: str, origin: str, size: int) -> None:
    import psycopg  # noqa: PLC0415  only where it is run

    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        for entries, nodes, grown in _chunks(size):
            root = grown
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy(f"COPY log_entries ({_ENTRY_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["int8", "bytea", "bytea"])
                    for row in entries:
                        copy.write_row(row)
                with cursor.copy(f"COPY log_nodes ({_NODE_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["int4", "int8", "bytea"])
                    for row in nodes:
                        copy.write_row(row)
        connection.execute(
            f"INSERT INTO log_head ({_HEAD_COLUMNS}) VALUES (%s, %s, %s, %s)",
            (1, origin, size, root),
        )
        # Or it would be done while something is measured.
        connection.execute("VACUUM (ANALYZE) log_entries, log_nodes, log_head")
