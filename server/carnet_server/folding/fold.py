"""What a registry's tables must hold, by its log.

Responsible for folding entries, one after the other, into the rows that they lead to: of each table its keys
and those columns that entries determine. Pure; what was only observed (reports, resolves, figures, uploads)
has no entry and is not folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from carnet.translog.entry import EVIDENCE_UNTRUSTED, EntryType
from carnet.translog.erasure import erased_document
from carnet_server.models.notes import ERASED

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.translog.entry import Entry

Value: TypeAlias = str | int | bool | None
Key: TypeAlias = tuple[str | int, ...]

Row: TypeAlias = "dict[str, Value | frozenset[Value]]"
"""The columns that entries determine; a set where they leave a few values possible."""

_OPEN: frozenset[Value] = frozenset({"AWAITING", "READY", "REFUSED"})


class Fold:
    """One walk along a log.

    Attributes:
        rows: The rows of each table so far, by its name and then by key.
        permits: The rows that ``alias_permits`` may hold; which decisions permit a later move, the entries
            do not say.
        documents: The first entry that names each document, by the document's digest.
        erased: The first entry that says of a document that it was erased, by the document's digest.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Row]] = {
            name: {}
            for name in (
                "admission_cancellations",
                "admissions",
                "alias_marks",
                "alias_moves",
                "alias_running",
                "aliases",
                "approvals",
                "documents_in_force",
                "evidence",
                "holds",
                "models",
                "promotion_records",
                "rollouts",
                "versions",
            )
        }
        self.permits: dict[Key, Row] = {}
        self.documents: dict[str, int] = {}
        self.erased: dict[str, int] = {}
        self._revisions: dict[tuple[str, Key], int] = {}
        self._steps: dict[EntryType, Callable[[int, Entry], None]] = {
            EntryType.VERSION_PUBLISHED: self._arrive,
            EntryType.VERSION_ADMITTED: self._arrive,
            EntryType.VERSION_STAGE_CHANGED: self._stage,
            EntryType.VERSION_REVOKED: self._stage,
            EntryType.VERSION_PURGED: self._purge,
            EntryType.ALIAS_MOVED: self._move,
            EntryType.ALIAS_REMOVED: self._move,
            EntryType.ALIAS_MARKED: self._mark,
            EntryType.SERVING_OBSERVED: self._observe,
            EntryType.EVIDENCE_ADDED: self._add_evidence,
            EntryType.PROMOTION_REQUESTED: self._request,
            EntryType.DOSSIER_ISSUED: self._issue,
            EntryType.DECISION_MADE: self._decide,
            EntryType.APPROVAL_RECORDED: self._approve,
            EntryType.BREAK_GLASS_RECORDED: self._approve,
            EntryType.BREAK_GLASS_REVIEWED: self._approve,
            EntryType.PROMOTION_CANCELLED: self._cancel,
            EntryType.PROMOTION_RECORDED: self._record,
            EntryType.HOLD_PLACED: self._hold,
            EntryType.HOLD_RELEASED: self._release,
            EntryType.ROLLOUT_STARTED: self._roll_out,
            EntryType.ROLLOUT_CHANGED: self._roll_out,
            EntryType.POLICY_CHANGED: self._put_in_force,
            EntryType.TRUST_CHANGED: self._put_in_force,
            EntryType.DOCUMENT_ERASED: self._erase,
        }

    def step(self, index: int, entry: Entry) -> None:
        """Take the next entry."""
        for digest in entry.documents:
            self.documents.setdefault(digest, index)
        step = self._steps.get(entry.type)
        if step is not None:
            step(index, entry)

    def _arrive(self, index: int, entry: Entry) -> None:
        subject = entry.subject
        self.rows["models"].setdefault(_key(entry, "namespace", "model"), {})
        self.rows["versions"][_version(entry)] = {
            "bundle_digest": subject.get("bundle_digest"),
            "promotion": subject.get("promotion", ""),
            "stage": "registered",
            "log_index": index,
            "stage_log_index": index,
            "revoked_log_index": None,
            "purge_log_index": None,
        }

    def _stage(self, index: int, entry: Entry) -> None:
        changed: Row = {"stage": entry.new, "stage_log_index": index}
        if entry.type is EntryType.VERSION_REVOKED:
            changed["revoked_log_index"] = index
        self.rows["versions"].setdefault(_version(entry), {}).update(changed)

    def _purge(self, index: int, entry: Entry) -> None:
        self.rows["versions"].setdefault(_version(entry), {})["purge_log_index"] = index

    def _move(self, index: int, entry: Entry) -> None:
        alias = _key(entry, "namespace", "model", "alias")
        revision = self._count("alias_moves", alias)
        version = entry.subject.get("version", 0)
        digest = entry.subject.get("bundle_digest", "")
        self.rows["alias_moves"][*alias, revision] = {
            "old_version": _number(entry.old),
            "new_version": version,
            "bundle_digest": digest,
            "promotion": entry.subject.get("promotion", ""),
            "actor": entry.actor.subject,
            "log_index": index,
        }
        self.rows["aliases"].pop(alias, None)
        if entry.type is EntryType.ALIAS_MOVED:
            self.rows["aliases"][alias] = {
                "version": version,
                "bundle_digest": digest,
                "revision": revision,
                "log_index": index,
            }

    def _mark(self, index: int, entry: Entry) -> None:
        alias = _key(entry, "namespace", "model", "alias")
        self.rows["alias_marks"][*alias, self._count("alias_marks", alias)] = {
            "old_marked_version": _number(entry.old),
            "marked_version": entry.subject.get("version", 0),
            "bundle_digest": entry.subject.get("bundle_digest", ""),
            "actor": entry.actor.subject,
            "log_index": index,
        }

    def _observe(self, index: int, entry: Entry) -> None:
        running = _key(entry, "namespace", "model", "alias", "bundle_digest")
        self.rows["alias_running"].pop(running, None)
        if entry.new:
            row: Row = {"version": entry.subject.get("version"), "log_index": index}
            self.rows["alias_running"][running] = row

    def _add_evidence(self, index: int, entry: Entry) -> None:
        self._keep_evidence(index, entry, trusted=entry.new != EVIDENCE_UNTRUSTED)

    def _keep_evidence(self, index: int, entry: Entry, *, trusted: bool) -> None:
        key = (*_key(entry, "namespace", "bundle_digest"), entry.envelope_digest or "")
        self.rows["evidence"].setdefault(
            key,
            {
                "model": entry.subject.get("model"),
                "version": entry.subject.get("version"),
                "trusted": trusted,
                "log_index": index,
            },
        )

    def _request(self, index: int, entry: Entry) -> None:
        subject = entry.subject
        self.rows["admissions"][_key(entry, "promotion")] = {
            **{key: subject.get(key) for key in ("namespace", "model", "version", "bundle_digest")},
            "alias": subject.get("alias", ""),
            "request_digest": entry.envelope_digest,
            "request_log_index": index,
            "state": _OPEN,
            "dossier_digest": None,
            "decision_digest": None,
        }

    def _issue(self, _index: int, entry: Entry) -> None:
        # What reopens a promotion takes its dossier away, and is no entry of its own.
        self._admission(entry)["dossier_digest"] = frozenset({None, entry.envelope_digest})

    def _decide(self, index: int, entry: Entry) -> None:
        passed = entry.new == "PASSED"
        if passed:
            self._keep_evidence(index, entry, trusted=True)
        if "promotion" not in entry.subject:
            return
        admission = self._admission(entry)
        if passed:
            admission |= {"state": "ADMITTED", "decision_digest": entry.envelope_digest}
            permit: Row = {"decision_digest": entry.envelope_digest, "log_index": index}
            self.permits[_key(entry, "promotion")] = permit
        elif admission.get("state") != "ADMITTED":
            admission["decision_digest"] = frozenset({None, entry.envelope_digest})

    def _approve(self, index: int, entry: Entry) -> None:
        row: Row = {"log_index": index}
        if entry.type is EntryType.APPROVAL_RECORDED:
            row["meaning"] = entry.new
        self.rows["approvals"][*_key(entry, "promotion"), entry.envelope_digest or ""] = row

    def _cancel(self, index: int, entry: Entry) -> None:
        key = (*_key(entry, "promotion"), entry.actor.subject)
        row: Row = {"bundle_digest": entry.subject.get("bundle_digest"), "log_index": index}
        self.rows["admission_cancellations"].setdefault(key, row)
        admission = self.rows["admissions"].get(_key(entry, "promotion"))
        if admission is not None and admission["state"] != "ADMITTED":
            admission["state"] = "CANCELLED"

    def _record(self, index: int, entry: Entry) -> None:
        self.rows["promotion_records"][_key(entry, "promotion")] = {
            **{key: entry.subject.get(key) for key in ("namespace", "model", "version", "bundle_digest")},
            "decision_digest": entry.envelope_digest,
            "log_index": index,
        }

    def _hold(self, index: int, entry: Entry) -> None:
        self.rows["holds"][_key(entry, "hold")] = {
            "namespace": entry.subject.get("namespace"),
            "model": entry.subject.get("model"),
            "version": entry.subject.get("version", 0),
            "actor": entry.actor.subject,
            "note_digest": entry.envelope_digest,
            "log_index": index,
            "release_log_index": None,
        }

    def _release(self, index: int, entry: Entry) -> None:
        self.rows["holds"].setdefault(_key(entry, "hold"), {})["release_log_index"] = index

    def _roll_out(self, index: int, entry: Entry) -> None:
        key = _key(entry, "namespace", "model", "alias", "rollout")
        changed: Row = {"standing": entry.new, "log_index": index}
        if entry.type is EntryType.ROLLOUT_STARTED:
            changed |= {"start_log_index": index, "challenger_version": entry.subject.get("version")}
        self.rows["rollouts"].setdefault(key, {}).update(changed)

    def _put_in_force(self, _index: int, entry: Entry) -> None:
        kind = "policy" if entry.type is EntryType.POLICY_CHANGED else "trust"
        self.rows["documents_in_force"][kind,] = {"digest": entry.new}

    def _erase(self, index: int, entry: Entry) -> None:
        digest = erased_document(entry)
        if digest is None:
            return
        self.erased.setdefault(digest, index)
        said = self.rows["approvals"].get((*_key(entry, "promotion"), digest))
        if said is not None:
            said["reason"] = ERASED

    def _admission(self, entry: Entry) -> Row:
        return self.rows["admissions"].setdefault(_key(entry, "promotion"), {})

    def _count(self, table: str, key: Key) -> int:
        revision = self._revisions.get((table, key), 0) + 1
        self._revisions[table, key] = revision
        return revision


def _key(entry: Entry, *names: str) -> Key:
    return tuple(entry.subject.get(name, "") for name in names)


def _version(entry: Entry) -> Key:
    return _key(entry, "namespace", "model", "version")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
