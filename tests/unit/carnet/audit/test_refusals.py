from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.report import Verdict
from carnet.translog.entry import EntryType
from carnet.translog.refused_calls import RefusedCalls

if TYPE_CHECKING:
    from pathlib import Path

METHOD = "carnet.registry.v1.AdmissionService/Admit"
SUMMARY = "AdmissionService/Admit STALE_EPOCH x2"


def refuse(
    world: Any, *, ahead: timedelta = timedelta(0), document: bytes | None = b"", **changes: Any
) -> int:
    said = RefusedCalls(METHOD, "STALE_EPOCH", 2, world.now + ahead, world.now + ahead, ("risk",))
    values = {"new": SUMMARY} | changes
    subject = values.pop("subject", {"namespace": "risk"})
    told = said.to_bytes() if document == b"" else document
    return world.prod.add(EntryType.ACCESS_REFUSED, subject, told, **values)


def test_refused_calls_are_nothing_to_object_to(tmp_path: Path, world: Any) -> None:
    refuse(world)
    world.promote()
    refuse(world)
    report = world.audit(tmp_path)
    assert report.findings == ()
    assert report.environments["prod"].refused == 0, "that counts decisions"


@pytest.mark.parametrize(
    ("wrong", "verdict", "said"),
    [
        ({"document": None}, Verdict.INCOMPLETE, "rests on no document"),
        ({"document": b"{}"}, Verdict.POLICY_VIOLATED, "something else than refused calls"),
        ({"document": b"\xff"}, Verdict.POLICY_VIOLATED, "something else than refused calls"),
        ({"old": "1"}, Verdict.POLICY_VIOLATED, "something was changed"),
        ({"new": SUMMARY.replace("x2", "x1")}, Verdict.POLICY_VIOLATED, "its document"),
        ({"new": None}, Verdict.POLICY_VIOLATED, "its document"),
        ({"subject": {}}, Verdict.POLICY_VIOLATED, "it is about"),
        ({"subject": {"namespace": "risk", "alias": "champion"}}, Verdict.POLICY_VIOLATED, "it is about"),
        ({"ahead": timedelta(minutes=2)}, Verdict.POLICY_VIOLATED, "before its last call"),
    ],
    ids=str,
)
def test_an_entry_that_its_document_does_not_bear_out_is_found(
    tmp_path: Path, world: Any, wrong: dict[str, Any], verdict: Verdict, said: str
) -> None:
    index = refuse(world, **wrong)
    (finding,) = world.audit(tmp_path).findings
    assert (finding.verdict, finding.environment, finding.index) == (verdict, "prod", index)
    assert said in finding.message
    assert finding.message.startswith("access.refused: ")
