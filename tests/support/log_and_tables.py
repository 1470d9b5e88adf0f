"""Whether an environment's log and its tables say the same, read from its database and from nothing else."""

from __future__ import annotations

from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.tree import Frontier, leaf_hash

_STAGED = {EntryType.VERSION_PUBLISHED, EntryType.VERSION_STAGE_CHANGED, EntryType.VERSION_REVOKED}


class StoredLog:
    """The log of an environment of a federation, as its database has it.

    Attributes:
        entries: Its entries' bytes.
        roots: The root of every tree that it was, by size.
    """

    def __init__(self, federation, environment: str) -> None:
        self._ask = lambda statement: federation.query(environment, statement)
        rows = self._ask('SELECT "index", entry, leaf_hash FROM log_entries ORDER BY "index"')
        assert [row[0] for row in rows] == list(range(len(rows))), "an index is missing, or there twice"
        self.entries = [bytes(entry) for _, entry, _ in rows]
        frontier, nodes = Frontier(), {}
        self.roots = [frontier.root()]
        for entry, (_, _, stored) in zip(self.entries, rows, strict=True):
            hashed = leaf_hash(entry)
            assert hashed == bytes(stored)
            nodes |= {(level, at): value for level, at, value in frontier.append(hashed)}
            self.roots.append(frontier.root())
        ((size, root),) = self._ask("SELECT size, root FROM log_head")
        assert (size, bytes(root)) == (len(self.entries), self.roots[-1]), "the head is another"
        stored_nodes = self._ask('SELECT level, "index", hash FROM log_nodes')
        assert {(level, at): bytes(value) for level, at, value in stored_nodes} == nodes

    def require_equal_tables(self) -> None:
        """Insist that aliases, their moves, and versions are just what the entries say."""
        aliases: dict[tuple, tuple] = {}
        moves, versions, published = set(), {}, set()
        for index, data in enumerate(self.entries):
            entry = parse_entry(data)
            subject = entry.subject
            if entry.type in (EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED):
                name = (subject["namespace"], subject["model"], subject["alias"])
                version = int(entry.new or 0)
                moves.add((*name, int(entry.old or 0), version, index))
                aliases[name] = (version, index)
                if not version:
                    del aliases[name]
            if entry.type in _STAGED:
                number = (subject["namespace"], subject["model"], subject["version"])
                versions[number] = (entry.new, index)
                if entry.type is EntryType.VERSION_PUBLISHED:
                    published.add((*number, index))
        found = self._ask("SELECT namespace, model, alias, version, log_index FROM aliases")
        assert {tuple(row[:3]): tuple(row[3:]) for row in found} == aliases
        found = self._ask(
            "SELECT namespace, model, alias, old_version, new_version, log_index FROM alias_moves"
        )
        assert {tuple(row) for row in found} == moves
        found = self._ask("SELECT namespace, model, version, log_index FROM versions")
        assert {tuple(row) for row in found} == published
        found = self._ask("SELECT namespace, model, version, stage, stage_log_index FROM versions")
        for *number, stage, index in found:
            said, at = versions[tuple(number)]
            assert index == at
            assert said in (None, stage), f"{number} is {stage}, and entry {at} says {said}"

    def require_prefix(self, checkpoint: str) -> None:
        """Insist that a checkpoint that somebody holds is of a tree that is committed."""
        head = unverified_checkpoint(checkpoint)
        assert head.size < len(self.roots), (
            f"{head.size} entries were signed, {len(self.roots) - 1} are there"
        )
        assert head.root == self.roots[head.size], f"another tree of {head.size} entries was signed"
