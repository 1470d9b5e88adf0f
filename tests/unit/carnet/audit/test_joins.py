from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.report import Verdict
from carnet.audit.verify import verify_export
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def without(entries: list[bytes], kind: EntryType) -> list[bytes]:
    return [entry for entry in entries if f'"type":"{kind}"'.encode() not in entry]


@pytest.mark.parametrize(("later", "verdict"), [(True, Verdict.POLICY_VIOLATED), (False, Verdict.INCOMPLETE)])
def test_what_was_admitted_must_be_in_its_sources_log(
    tmp_path: Path, world: Any, only: Callable[..., Any], later: bool, verdict: Verdict
) -> None:
    world.ask()
    world.decide()
    index = world.admit()
    world.dev.entries = without(world.dev.entries, EntryType.VERSION_PUBLISHED)
    if later:
        world.dev.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, old="", new="1")
    finding = only(world.audit(tmp_path))
    assert (finding.verdict, finding.environment, finding.index) == (verdict, "prod", index)
    assert "admitted from dev, whose log never had it" in finding.message


@pytest.mark.parametrize(("later", "verdict"), [(True, Verdict.POLICY_VIOLATED), (False, Verdict.INCOMPLETE)])
def test_what_was_recorded_must_be_in_its_targets_log(
    tmp_path: Path, world: Any, only: Callable[..., Any], later: bool, verdict: Verdict
) -> None:
    world.ask()
    index = world.record(world.decide())
    if later:
        world.prod.add(EntryType.ALIAS_MOVED, {"alias": "champion"}, old="", new="1")
    finding = only(world.audit(tmp_path))
    assert (finding.verdict, finding.environment, finding.index) == (verdict, "dev", index)
    assert "recorded as admitted to prod" in finding.message


def test_a_promotion_of_what_is_there_already_is_decided_and_recorded(
    tmp_path: Path, world: Any, promoted: dict[str, Any]
) -> None:
    world.promote()
    again = "ef" * 16
    decision = world.decision(promotion=again)
    world.prod.add(EntryType.DECISION_MADE, promoted | {"promotion": again}, decision, new="PASSED")
    world.dev.add(EntryType.PROMOTION_RECORDED, promoted | {"promotion": again}, decision)
    assert world.audit(tmp_path).ok


def test_logs_that_are_not_in_the_export_are_not_asked(tmp_path: Path, world: Any) -> None:
    world.ask()
    world.record(world.decide())
    world.export(tmp_path, "dev")
    assert verify_export(tmp_path, world.pins()).ok


def test_a_refusal_is_not_recorded_as_an_admission(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.ask()
    world.record(world.decide(result="FAILED"))
    world.export(tmp_path, "dev")
    finding = only(verify_export(tmp_path, world.pins()))
    assert finding.verdict is Verdict.POLICY_VIOLATED
    assert "decided FAILED" in finding.message


def test_a_log_that_is_broken_is_not_held_against_another(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.promote()
    world.export(tmp_path)
    path = next((tmp_path / "prod/tile/entries").rglob("[0-9]*"))
    path = path if path.is_file() else next(path.iterdir())
    path.write_bytes(path.read_bytes().replace(b'"PASSED"', b'"FAILED"'))
    assert only(verify_export(tmp_path, world.pins())).environment == "prod"
