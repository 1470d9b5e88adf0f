"""Going on where an earlier audit ended: the same judgement as in full, and never on what is damaged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.codes import Code
from carnet.audit.report import Verdict
from carnet.audit.verify import verify_export
from carnet.errors import DocumentInvalidError
from carnet.translog.checkpoint import Checkpoint
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.audit.report import AuditReport


class Auditor:
    """Somebody who audits again and again, and keeps what they must."""

    def __init__(self, world: Any, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.kept: dict[str, Checkpoint] = {}
        self.states: dict[str, bytes] = {}

    def audit(self, **options: Any) -> AuditReport:
        self.world.export(self.directory)
        return self.verify(**options)

    def verify(self, *, pins: Any = None, **options: Any) -> AuditReport:
        found: dict[str, bytes] = {}
        report = verify_export(
            self.directory,
            pins or self.world.pins(),
            earlier=self.kept,
            resume=self.states,
            keep=found.__setitem__,
            **options,
        )
        if report.ok:
            self.states |= found
            for log in (self.world.dev, self.world.prod):
                self.kept[log.name] = log.checkpoint()
        return report


@pytest.fixture
def auditor(world: Any, tmp_path: Path) -> Auditor:
    return Auditor(world, tmp_path / "export")


def fill(world: Any, count: int = 300) -> None:
    for _ in range(count):
        world.prod.add(EntryType.ALIAS_MOVED, {"alias": "canary"}, old="", new="1")


def test_only_what_came_after_is_judged_and_the_report_says_from_where(world: Any, auditor: Auditor) -> None:
    fill(world)
    assert auditor.audit().ok
    size = len(world.prod.entries)
    world.promote()
    seen: list[tuple[str, int]] = []
    report = auditor.audit(watch=lambda name, record: seen.append((name, record.index)))
    assert report.ok
    assert report.notes == ()
    assert report.environments["prod"].verified_from == size
    assert report.environments["prod"].to_json()["verified_from"] == size
    assert seen == [("dev", len(world.dev.entries) - 1)] + [
        ("prod", index) for index in range(size, len(world.prod.entries))
    ]


def test_counts_are_those_of_the_whole_log(world: Any, auditor: Auditor) -> None:
    world.promote()
    assert auditor.audit().ok
    world.dev.add(EntryType.ALIAS_REMOVED, {"alias": "challenger"})
    report = auditor.audit()
    full = verify_export(auditor.directory, world.pins())
    for name, summary in full.environments.items():
        counted = report.environments[name].to_json() | {"verified_from": 0}
        assert counted == summary.to_json()


def test_a_promotion_that_goes_over_the_seam_is_judged_by_what_came_before_it(
    world: Any, auditor: Auditor
) -> None:
    dossier = world.ask()
    approvals = [world.approve(person, dossier) for person in ("carol", "dave")]
    assert auditor.audit().ok
    decision = world.decide(world.decision(inputs=(world.evidence, *approvals)))
    assert auditor.audit().ok
    world.admit()
    world.record(decision)
    report = auditor.audit()
    assert report.ok
    assert report.environments["prod"].verified_from


def test_what_is_wrong_only_together_with_what_came_before_is_found(
    world: Any, auditor: Auditor, only: Callable[..., Any]
) -> None:
    dossier = world.ask()
    approvals = [world.approve(person, dossier) for person in ("carol", "bob")]
    assert auditor.audit().ok
    world.decide(world.decision(inputs=(world.evidence, *approvals)))
    finding = only(auditor.audit())
    assert (finding.verdict, finding.code) == (Verdict.POLICY_VIOLATED, Code.SEPARATION_OF_DUTIES)


def test_each_seam_of_a_log_gives_the_judgement_of_the_whole(world: Any, auditor: Auditor) -> None:
    """Whether a log is audited in one or in two goes, the same is found."""
    world.promote()
    world.prod.add(EntryType.VERSION_REVOKED, world.prod_subject(), old="", new="revoked")
    world.admit()
    whole = world.audit(auditor.directory).findings
    assert {each.code for each in whole} >= {Code.PROMOTION_REUSED, Code.VERSION_REVOKED}
    entries, seams = world.prod.entries, 0
    dev = world.dev.entries
    for seam in range(len(entries) - 2):
        world.prod.entries, world.dev.entries = entries[:seam], dev[:-1]
        auditor.kept, auditor.states = {}, {}
        if not auditor.audit().ok:
            continue  # A decision whose admission is to come, and so on: nothing is kept then.
        world.prod.entries, world.dev.entries = entries, dev
        report = auditor.audit()
        assert report.environments["prod"].verified_from == seam
        assert report.findings == whole
        seams += seam > 0
    assert seams >= 6


def test_nothing_is_kept_of_a_log_in_which_something_is_wrong(world: Any, auditor: Auditor) -> None:
    world.admit()
    assert not auditor.audit().ok
    assert auditor.states == {}


def test_a_history_that_was_rewritten_before_the_seam_is_found(
    world: Any, auditor: Auditor, only: Callable[..., Any]
) -> None:
    fill(world)
    assert auditor.audit().ok
    world.prod.entries[7] = world.prod.entries[7].replace(b'"canary"', b'"decoy1"')
    fill(world, 3)
    report = auditor.audit()
    assert only(report).code is Code.HISTORY_REWRITTEN
    assert "all of it was verified" in report.notes[0]


def test_a_log_that_was_cut_below_the_seam_is_found(
    world: Any, auditor: Auditor, only: Callable[..., Any]
) -> None:
    fill(world)
    assert auditor.audit().ok
    del world.prod.entries[-20:]
    assert only(auditor.audit()).code is Code.LOG_CUT


def test_a_bad_entry_after_the_seam_is_named(world: Any, auditor: Auditor, only: Callable[..., Any]) -> None:
    fill(world)
    assert auditor.audit().ok
    size = len(world.prod.entries)
    fill(world, 20)
    world.export(auditor.directory)
    (path,) = (auditor.directory / "prod/tile/entries/001.p").iterdir()
    data = path.read_bytes()
    at = data.rindex(b'"canary"')
    path.write_bytes(data[:at] + b'"cannry"' + data[at + 8 :])
    finding = only(auditor.verify())
    assert (finding.code, finding.index) == (Code.ENTRY_CHANGED, len(world.prod.entries) - 1)
    assert finding.index >= size


def test_a_record_from_before_the_seam_must_be_what_it_was(world: Any, auditor: Auditor) -> None:
    dossier = world.ask()
    approval = world.approve("carol", dossier)
    assert auditor.audit().ok
    fill(world)
    world.decide(world.decision(inputs=(world.evidence, approval)))
    world.export(auditor.directory)
    path = auditor.directory / "prod/tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b'"new":"approved"', b'"new":"rejected"'))
    report = auditor.verify()
    assert not report.ok
    assert Code.CHANGED_WHILE_READ in {each.code for each in report.findings} or any(
        each.verdict is Verdict.TAMPERED for each in report.findings
    )


# --- what is kept -------------------------------------------------------------------------------------------


def test_other_pins_have_all_of_it_verified(world: Any, auditor: Auditor) -> None:
    assert auditor.audit().ok
    pins = world.pins_data()
    pins["people"]["alice"]["subjects"].append("spiffe://example.com/alice2")
    report = auditor.audit(pins=type(world.pins()).from_mapping(pins))
    assert report.ok
    assert {each.verified_from for each in report.environments.values()} == {0}
    assert "were pinned then" in report.notes[0]


def test_a_state_without_its_checkpoint_is_not_gone_on_from(world: Any, auditor: Auditor) -> None:
    assert auditor.audit().ok
    auditor.kept = {"dev": world.dev.checkpoint(2)}
    report = auditor.audit()
    assert report.ok
    assert len(report.notes) == 2
    assert {each.verified_from for each in report.environments.values()} == {0}


def change(state: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(state) | changes).encode()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda state: state[:-10],
    "no object": lambda _: b"[]",
    "nested": lambda _: b"[" * 100_000,
    "another schema": lambda state: change(state, schema="carnet.audit-state/v9"),
    "another log": lambda state: change(state, origin="example.com/elsewhere"),
    "another environment": lambda state: change(state, environment="dev"),
    "another size": lambda state: change(state, size=2),
    "no size": lambda state: change(state, size="3"),
    "a negative size": lambda state: change(state, size=-3),
    "another root": lambda state: change(state, root="0" * 64),
    "no root": lambda state: change(state, root="0"),
    "no right edge": lambda state: change(state, right_edge=[]),
    "a broken right edge": lambda state: change(state, right_edge=["AAAA"]),
    "broken documents": lambda state: change(state, documents="?"),
    "a field more": lambda state: change(state, more=1),
    "no judges": lambda state: change(state, judges={}),
    "a broken judge": lambda state: change(
        state, judges=json.loads(state)["judges"] | {"meaning": {"policy": 1}}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_refused(world: Any, auditor: Auditor, damage: str) -> None:
    assert auditor.audit().ok
    auditor.states["prod"] = DAMAGE[damage](auditor.states["prod"])
    with pytest.raises(DocumentInvalidError, match="kept state of prod"):
        auditor.audit()
