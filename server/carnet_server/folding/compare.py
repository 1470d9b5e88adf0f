"""Comparing a registry's database with its log.

Responsible for three questions about one snapshot: is the stored log whole and the one that was signed, are
the documents that it rests on there, and do the tables hold what its entries lead to, nothing more and
nothing else? Whoever edits a row without the log is named here; what an edited row would do to a reader of
the registry is no question of this module.

Reads only, and trusts nothing in the database: the checkpoint comes from the caller, verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlmodel import SQLModel

from carnet.audit.codes import Code
from carnet.audit.report import Finding, Verdict
from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.errors import CarnetError, NotFoundError
from carnet.translog.entry import parse_entry
from carnet.translog.tree import Frontier, leaf_hash
from carnet_server.folding.fold import Fold
from carnet_server.folding.stored import FORMS, as_bytes, as_stored, stored_rows
from carnet_server.log import queries as log_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import ColumnElement, Connection
    from sqlalchemy.engine import Row as DatabaseRow

    from carnet.translog.checkpoint import Checkpoint
    from carnet.translog.tree import Node
    from carnet_server.folding.fold import Key, Row
    from carnet_server.folding.stored import StoredRow, TableForm

_ENTRIES_AT_A_TIME = 1_000
_NAMED_MAX = 20
_SHOWN_LENGTH = 80


def compare(
    connection: Connection,
    environment: str,
    checkpoint: Checkpoint,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Compare a database with the log that it keeps.

    Args:
        connection: A connection in a read-only transaction that sees one snapshot.
        environment: The environment whose database it is.
        checkpoint: A checkpoint of its log, whose signature was verified; the log may have grown since.
        progress: Is called with the entries read so far, and all there are.

    Returns:
        What is wrong; of one table, twenty rows at most are named.
    """
    comparison = _Comparison(connection, environment, checkpoint)
    if comparison.read_log(progress):
        comparison.compare_documents()
        for form in FORMS:
            comparison.compare_table(form)
        comparison.compare_files()
    return comparison.findings


class _Comparison:
    """One comparison: the log is read first, and then each table."""

    def __init__(self, connection: Connection, environment: str, checkpoint: Checkpoint) -> None:
        self.findings: list[Finding] = []
        self._connection = connection
        self._environment = environment
        self._checkpoint = checkpoint
        self._fold = Fold()
        self._named: dict[str, int] = {}

    # --- the log ------------------------------------------------------------------------------------------

    def read_log(self, progress: Callable[[int, int], None] | None) -> bool:
        """Fold the stored log; False where it is not the one that was signed, so that it proves nothing."""
        head = self._connection.execute(
            select(*as_stored(log_queries.HEAD, ("origin", "size", "root")))
        ).first()
        if head is not None and not (isinstance(head.size, int) and isinstance(head.root, bytes)):
            self._find("log_head", None, "its size is no number, or its root no bytes")
            return False
        if head is None or head.origin != self._checkpoint.origin:
            name = f"the log of {head.origin!r}" if head else "no log"
            self._find("log_head", None, f"the database keeps {name}, not of {self._checkpoint.origin!r}")
            return False
        frontier, roots = Frontier(), {0: Frontier().root()}
        nodes: list[Node] = []
        table = log_queries.ENTRIES
        statement = select(*as_stored(table, ("index", "entry", "leaf_hash"))).order_by(table.c.index)
        reading = statement.where(table.c.index < head.size).execution_options(yield_per=_ENTRIES_AT_A_TIME)
        for index, stored, hashed in self._connection.execute(reading):
            if index != frontier.size:
                break
            data = as_bytes(stored)
            computed = leaf_hash(data)
            if computed != hashed:
                self._find("log_entries", index, "the entry does not hash to its stored leaf hash")
            nodes += [node for node in frontier.append(computed) if node[0]]
            if frontier.size == self._checkpoint.size:
                roots[frontier.size] = frontier.root()
            self._take(index, data)
            if frontier.size % _ENTRIES_AT_A_TIME == 0:
                self._compare_nodes(nodes)
                nodes.clear()
                if progress:
                    progress(frontier.size, head.size)
        self._compare_nodes(nodes)
        if progress:
            progress(frontier.size, head.size)
        return self._judge(head, frontier, roots.get(self._checkpoint.size))

    def _take(self, index: int, data: bytes) -> None:
        try:
            entry = parse_entry(data)
        except CarnetError as error:
            self._find("log_entries", index, f"the entry cannot be read: {error.message}")
        else:
            self._fold.step(index, entry)

    def _compare_nodes(self, nodes: list[Node]) -> None:
        """Compare the stored hashes of complete subtrees with those that the entries give."""
        try:
            stored = log_queries.read_nodes(self._connection, [(level, index) for level, index, _ in nodes])
        except NotFoundError as error:
            self._find("log_nodes", None, error.message, verdict=Verdict.INCOMPLETE)
            return
        for level, index, value in nodes:
            if stored[level, index] != value:
                first = index << level
                self._find("log_nodes", first, f"the stored node at level {level}, index {index} is another")

    def _judge(self, head: Any, frontier: Frontier, signed: bytes | None) -> bool:
        """Judge what the entries lead to: the committed head, and the signed root before it."""
        if frontier.size < head.size:
            message = f"entry {frontier.size} is missing; the head counts {head.size}"
            self._find("log_entries", frontier.size, message, verdict=Verdict.INCOMPLETE)
            return False
        if frontier.root() != head.root:
            message = f"the entries lead to the root {frontier.root().hex()}, the head says {head.root.hex()}"
            self._find("log_head", None, message)
        if signed is None:
            message = (
                f"the database's log has {head.size} entries, and a checkpoint of {self._checkpoint.size} "
                "was signed: it was put back to an older state"
            )
            self._find("log_head", head.size, message)
            return False
        if signed != self._checkpoint.root:
            message = (
                f"the first {self._checkpoint.size} entries lead to the root {signed.hex()}, and "
                f"{self._checkpoint.root.hex()} was signed"
            )
            self._find("log_entries", None, message)
            return False
        return True

    # --- what it leads to ---------------------------------------------------------------------------------

    def compare_documents(self) -> None:
        """See that every document is of its digest, and that none is missing that an entry rests on.

        What entries say was erased need not be there: something else that says so stands in its place.
        """
        erased = self._fold.erased
        missing = {digest: at for digest, at in self._fold.documents.items() if digest not in erased}
        table = log_queries.DOCUMENTS
        statement = select(*as_stored(table, ("digest", "media_type", "data"))).order_by(table.c.digest)
        for digest, media_type, data in self._connection.execute(statement.execution_options(yield_per=100)):
            if digest in erased:
                self._check_erased(digest, media_type, as_bytes(data))
                continue
            if sha256_hex(as_bytes(data)) != digest:
                message = f"the document {digest} hashes to {sha256_hex(as_bytes(data))}"
                self._find("documents", missing.get(digest), message)
            elif media_type == log_queries.ERASED_MEDIA_TYPE:
                message = f"the document {digest} is hidden as one that was erased, and no entry says so"
                self._find("documents", missing.get(digest), message)
            missing.pop(digest, None)
        for digest, index in missing.items():
            message = f"the document {digest} that the entry rests on is missing"
            self._find("documents", index, message, verdict=Verdict.INCOMPLETE)

    def _check_erased(self, digest: str, media_type: object, data: bytes) -> None:
        index = self._fold.erased[digest]
        if sha256_hex(data) == digest:
            message = f"the document {digest} is there, and entry {index} says that it was erased"
            self._find("documents", index, message, verdict=Verdict.POLICY_VIOLATED)
        elif (media_type, data) != (log_queries.ERASED_MEDIA_TYPE, log_queries.tombstone(index)):
            message = f"the row {digest} does not say that entry {index} erased its document"
            self._find("documents", index, message)

    def compare_table(self, form: TableForm) -> None:
        """Compare a table's rows with those that the log leads to."""
        told = dict(self._fold.rows[form.name] if form.is_whole else self._fold.permits)
        for row in stored_rows(self._connection, form):
            wanted = told.pop(row.key, None)
            if wanted is None:
                self._find(
                    form.name, None, f"the row {_shown(row.key)} is in the table, and no entry tells of it"
                )
            else:
                self._compare_row(form, row, wanted)
        for key, wanted in told.items() if form.is_whole else ():
            message = f"the row {_shown(key)} is missing, and entries tell of it"
            self._find(form.name, _index_of(wanted), message, verdict=Verdict.INCOMPLETE)

    def _compare_row(self, form: TableForm, row: StoredRow, wanted: Row) -> None:
        for column, value in wanted.items():
            stored = row.columns[column]
            if stored not in value if isinstance(value, frozenset) else stored != value:
                message = (
                    f"the row {_shown(row.key)} has {column} {_shown_value(stored)}, and the log says "
                    f"{_shown_value(value)}"
                )
                self._find(form.name, _index_of(wanted), message)
        for digest, data in row.bytes:
            erased_by = self._fold.erased.get(digest)
            if erased_by is not None:
                if data:
                    message = f"the row {_shown(row.key)} has bytes of what entry {erased_by} says was erased"
                    self._find(form.name, erased_by, message, verdict=Verdict.POLICY_VIOLATED)
            elif sha256_hex(data) != digest:
                message = f"the row {_shown(row.key)} has bytes that hash to {sha256_hex(data)}, not {digest}"
                self._find(form.name, _index_of(wanted), message)

    def compare_files(self) -> None:
        """See that each version has just the files of its manifest: they give the right to read blobs."""
        stored: dict[Key, set[tuple[str, str, int]]] = {}
        table = SQLModel.metadata.tables["version_files"]
        columns = as_stored(table, ("namespace", "model", "version", "path", "digest", "size_bytes"))
        for row in self._rows(columns):
            stored.setdefault(tuple(row[:3]), set()).add((row.path, row.digest, row.size_bytes))
        versions = SQLModel.metadata.tables["versions"]
        for row in self._rows(as_stored(versions, ("namespace", "model", "version", "manifest"))):
            key: Key = tuple(row[:3])
            wanted = self._files(key, as_bytes(row.manifest))
            if wanted is not None and stored.pop(key, set()) != wanted:
                self._find("version_files", None, f"the files of {_shown(key)} are not those of its manifest")
        for key in stored:
            self._find("version_files", None, f"there are files of {_shown(key)}, and no such version")

    def _rows(self, columns: list[ColumnElement[Any]]) -> Iterable[DatabaseRow[Any]]:
        return self._connection.execute(select(*columns).execution_options(yield_per=_ENTRIES_AT_A_TIME))

    def _files(self, key: Key, data: bytes) -> set[tuple[str, str, int]] | None:
        """Return the files that a version must have; None where its manifest cannot be read."""
        if self._fold.rows["versions"].get(key, {}).get("purge_log_index") is not None:
            return set()
        try:
            manifest = parse_manifest(data)
        except CarnetError as error:
            self._find("versions", None, f"the manifest of {_shown(key)} cannot be read: {error.message}")
            return None
        if (manifest.namespace, manifest.model, manifest.version) != key:
            self._find("versions", None, f"the manifest of {_shown(key)} is of another version")
        return {(file.path, file.digest, file.size_bytes) for file in manifest.files}

    def _find(
        self, table: str, index: int | None, message: str, *, verdict: Verdict = Verdict.TAMPERED
    ) -> None:
        count = self._named[table] = self._named.get(table, 0) + 1
        if count > _NAMED_MAX:
            return
        more = "; what follows of this table is not named" if count == _NAMED_MAX else ""
        text = f"the table {table} of the database: {message}{more}"
        self.findings.append(
            Finding(verdict, Code.TABLE_MISMATCH, self._environment, index, text, (f"table {table}",))
        )


def _index_of(row: Row) -> int | None:
    """Return the entry that last determined a row, where it says."""
    index = row.get("log_index", row.get("request_log_index"))
    return index if isinstance(index, int) else None


def _shown(key: Key) -> str:
    return "/".join(map(str, key))[:_SHOWN_LENGTH]


def _shown_value(value: object) -> str:
    if isinstance(value, frozenset):
        return " or ".join(sorted(_shown_value(each) for each in value))
    return repr(value)[:_SHOWN_LENGTH] if value is not None else "none"
