"""Erased documents in an audit: told apart from missing ones, judged by their entries, and never a loophole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carnet.audit.report import Verdict
from carnet.audit.verify import verify_export
from carnet.canonical import sha256_hex
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, EntryType, parse_entry
from tests.unit.carnet.audit.conftest import PROMOTED, VERSION, World, subject_of

NOTE = b'{"note":"Jane Doe asked","salt":"00"}'
ALIAS = VERSION | {"alias": "champion"}
SAID_OF = {key: PROMOTED[key] for key in ("namespace", "model", "version", "promotion")}
ABOUT = {key: VERSION[key] for key in ("namespace", "model", "version")}


def erase(log: Any, data: bytes, about: Any = ABOUT, *, keep: bool = False, **changes: Any) -> int:
    """Erase a document, as a registry does."""
    digest = sha256_hex(data)
    if not keep:
        log.documents[:] = [each for each in log.documents if each != data]
    return log.add(EntryType.DOCUMENT_ERASED, {"document": digest, **about}, **{"new": "wrong", **changes})


def approve(world: World, person: str, dossier: Any, **changes: Any) -> Any:
    """Record an approval under the identity of its signer, as registries insist."""
    envelope = world.approval(person, dossier, **changes)
    actor = Actor(subject_of(person), "", "mtls")
    meaning = changes.get("meaning", "approved")
    world.prod.add(EntryType.APPROVAL_RECORDED, PROMOTED, envelope, new=meaning, actor=actor)
    return envelope


def promoted(world: World, *people: str, **said: Any) -> list[Any]:
    """Promote the version by the approvals of some people, which the decision counts."""
    dossier = world.ask()
    approvals = [approve(world, person, dossier, **said) for person in people]
    decision = world.decide(world.decision(inputs=(world.evidence, *approvals)))
    world.admit()
    world.record(decision)
    return approvals


def test_an_erased_note_is_listed_and_is_no_finding(tmp_path: Path, world: World) -> None:
    note = world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    index = erase(world.prod, NOTE, new="person-request")
    report = world.audit(tmp_path)
    assert report.ok, report.findings
    (told,) = report.erasures
    assert (told.environment, told.index, told.digest) == ("prod", index, sha256_hex(NOTE))
    assert (told.entries, told.types, told.reason_code) == ((note,), ("alias.removed",), "person-request")
    assert (told.erased_by, told.unjudged) == (subject_of("alice"), ())
    assert told.affects == ("version risk/fraud@1",)
    assert report.environments["prod"].erased == 1
    assert report.to_json()["erasures"][0]["digest"] == sha256_hex(NOTE)


def test_what_is_missing_without_an_entry_stays_incomplete(tmp_path: Path, world: World, only: Any) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    world.prod.documents.remove(NOTE)
    found = only(world.audit(tmp_path))
    assert found.verdict is Verdict.INCOMPLETE
    assert world.audit(tmp_path).environments["prod"].erased == 0


def test_what_another_log_erased_is_missing_here(tmp_path: Path, world: World, only: Any) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    world.prod.documents.remove(NOTE)
    erase(world.dev, NOTE)
    assert only(world.audit(tmp_path)).verdict is Verdict.INCOMPLETE


def test_a_document_of_several_entries_is_erased_once_for_all_of_them(tmp_path: Path, world: World) -> None:
    at = [world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1") for _ in range(2)]
    erase(world.prod, NOTE)
    report = world.audit(tmp_path)
    assert report.ok, report.findings
    assert report.erasures[0].entries == tuple(at)


def test_bytes_that_are_there_after_all_are_found(tmp_path: Path, world: World, only: Any) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    index = erase(world.prod, NOTE, keep=True)
    report = world.audit(tmp_path)
    found = only(report)
    assert (found.verdict, found.index) == (Verdict.POLICY_VIOLATED, index)
    assert "its bytes are in the export" in found.message
    assert report.erasures == ()


def test_changed_bytes_in_its_place_are_tampered(tmp_path: Path, world: World) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    erase(world.prod, NOTE)
    world.export(tmp_path)
    (tmp_path / "prod" / "envelopes" / sha256_hex(NOTE)).write_bytes(b"something else")
    report = verify_export(tmp_path, world.pins())
    assert Verdict.TAMPERED in {each.verdict for each in report.findings}


def kept_documents(world: World) -> dict[EntryType, bytes]:
    decision = world.promote()
    documents = {sha256_hex(each): each for each in world.prod.documents}
    found = {}
    for data in world.prod.entries:
        entry = parse_entry(data)
        if entry.envelope_digest in documents:
            found[entry.type] = documents[entry.envelope_digest]
    assert found[EntryType.DECISION_MADE] == decision.to_bytes()
    return found


@pytest.mark.parametrize(
    "kind",
    [
        EntryType.POLICY_CHANGED,
        EntryType.TRUST_CHANGED,
        EntryType.PROMOTION_REQUESTED,
        EntryType.EVIDENCE_ADDED,
        EntryType.DOSSIER_ISSUED,
        EntryType.DECISION_MADE,
    ],
)
def test_what_must_be_kept_cannot_be_erased(tmp_path: Path, world: World, kind: EntryType) -> None:
    data = kept_documents(world)[kind]
    about = {} if kind in {EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED} else SAID_OF
    index = erase(world.prod, data, about)
    found = [each for each in world.audit(tmp_path).findings if each.index == index]
    assert {each.verdict for each in found} == {Verdict.POLICY_VIOLATED}
    assert f"{kind}, rests on, which must be kept" in found[0].message


def test_a_decision_that_an_alias_rests_on_too_cannot_be_erased_as_a_note(
    tmp_path: Path, world: World
) -> None:
    decision = world.promote()
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, decision, old="1")
    erase(world.prod, decision.to_bytes(), SAID_OF)
    messages = [each.message for each in world.audit(tmp_path).findings]
    assert any("decision.made, rests on, which must be kept" in each for each in messages), messages


def test_erased_approvals_are_judged_by_their_entries(tmp_path: Path, world: World) -> None:
    approvals = promoted(world, "carol", "dave")
    for each in approvals:
        erase(world.prod, each.to_bytes(), SAID_OF)
    report = world.audit(tmp_path)
    assert report.ok, report.findings
    assert [each.types for each in report.erasures] == [("approval.recorded",)] * 2
    assert all("its signature" in each.unjudged[0] for each in report.erasures)


def test_an_erased_approval_by_the_publisher_is_found_by_its_entry(
    tmp_path: Path, world: World, only: Any
) -> None:
    dossier = world.ask()
    approvals = [approve(world, person, dossier) for person in ("alice", "dave")]
    world.record(world.decide(world.decision(inputs=(world.evidence, *approvals))))
    world.admit()
    erase(world.prod, approvals[0].to_bytes(), SAID_OF)
    assert "alice approved a promotion as its publisher" in only(world.audit(tmp_path)).message


@pytest.mark.parametrize("gone", [0, 1])
def test_a_person_counted_twice_is_found_though_one_word_was_erased(
    tmp_path: Path, world: World, only: Any, gone: int
) -> None:
    dossier = world.ask()
    approvals = [approve(world, "carol", dossier, nonce=nonce * 32) for nonce in "ab"]
    world.record(world.decide(world.decision(inputs=(world.evidence, *approvals))))
    world.admit()
    erase(world.prod, approvals[gone].to_bytes(), SAID_OF)
    assert "carol is counted twice" in only(world.audit(tmp_path)).message


@pytest.mark.parametrize("gone", ["approval", "withdrawal", "both"])
def test_a_word_that_was_taken_back_is_found_though_it_was_erased(
    tmp_path: Path, world: World, only: Any, gone: str
) -> None:
    dossier = world.ask()
    given = approve(world, "carol", dossier)
    taken = approve(world, "carol", dossier, meaning="withdrawn", nonce="b" * 32)
    world.record(world.decide(world.decision(inputs=(world.evidence, given))))
    world.admit()
    for name, envelope in (("approval", given), ("withdrawal", taken)):
        if gone in {name, "both"}:
            erase(world.prod, envelope.to_bytes(), SAID_OF)
    assert "was overruled by its own approver" in only(world.audit(tmp_path)).message


def test_words_that_no_decision_counted_are_not_judged_because_the_counted_ones_were_erased(
    tmp_path: Path, world: World
) -> None:
    dossier = world.ask()
    approve(world, "alice", dossier)  # the publisher's, which the decision does not count
    counted = approve(world, "carol", dossier)
    world.record(world.decide(world.decision(inputs=(world.evidence, counted))))
    world.admit()
    erase(world.prod, counted.to_bytes(), SAID_OF)
    report = world.audit(tmp_path)
    assert report.ok, report.findings


def test_erasing_twice_or_without_saying_what_or_why_is_found(tmp_path: Path, world: World) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    first = erase(world.prod, NOTE)
    erase(world.prod, NOTE)
    world.prod.add(EntryType.DOCUMENT_ERASED, ABOUT, new="wrong")
    erase(world.prod, b"never there", {}, new=None)
    messages = [each.message for each in world.audit(tmp_path).findings]
    assert messages == [
        f"document.erased: the document {sha256_hex(NOTE)} was erased before, by entry {first}",
        "document.erased: it names no document",
        "document.erased: it gives no reason code",
    ]


def test_nothing_rests_on_an_erased_document_afterwards(tmp_path: Path, world: World, only: Any) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    erase(world.prod, NOTE)
    later = world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    world.prod.documents.remove(NOTE)
    found = only(world.audit(tmp_path))
    assert (found.index, found.verdict) == (later, Verdict.POLICY_VIOLATED)
    assert "rests on a document that entry" in found.message


def test_an_erasure_is_about_what_its_document_was_about(tmp_path: Path, world: World, only: Any) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    erase(world.prod, NOTE, ABOUT | {"version": 2})
    assert "it is about" in only(world.audit(tmp_path)).message


def test_what_a_hold_was_on_was_not_to_be_erased(tmp_path: Path, world: World, only: Any) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    held = world.prod.add(EntryType.HOLD_PLACED, ABOUT | {"hold": 1})
    index = erase(world.prod, NOTE)
    found = only(world.audit(tmp_path))
    assert (found.index, found.verdict) == (index, Verdict.POLICY_VIOLATED)
    assert f"hold 1 was on it, by entry {held}" in found.message


def test_the_note_of_an_erasure_can_be_erased_in_turn(tmp_path: Path, world: World) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    erase(world.prod, NOTE, envelope_digest=sha256_hex(b"why"))
    world.prod.documents.append(b"why")
    erase(world.prod, b"why")
    report = world.audit(tmp_path)
    assert report.ok, report.findings
    assert len(report.erasures) == 2


def test_an_entry_of_a_broken_chain_proves_nothing(tmp_path: Path, world: World, log_keys: Any) -> None:
    world.prod.add(EntryType.ALIAS_REMOVED, ALIAS, NOTE, old="1")
    erase(world.prod, NOTE)
    world.export(tmp_path)
    head = world.prod.checkpoint()
    another = Checkpoint(head.origin, head.size, bytes(32))
    (tmp_path / "prod" / "checkpoint").write_text(sign_checkpoint(another, log_keys["prod"]))
    report = verify_export(tmp_path, world.pins())
    assert Verdict.TAMPERED in {each.verdict for each in report.findings}
    assert report.erasures == ()
