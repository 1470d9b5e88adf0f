from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from carnet.cli.settings import Settings
from carnet.client.results import ReplayedDecision, RuleResult
from carnet.errors import DocumentInvalidError
from carnet.references import parse_reference
from carnet_policies.commands import policy
from carnet_policies.replaying import first_open_rule
from carnet_policies.shipped import shipped_policy

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from click.testing import Result


def rule(name: str, status: str) -> RuleResult:
    return RuleResult(rule=name, status=status, message="found", remedy="", values={}, awaits_people=False)


def decision(number: int, **changes: Any) -> ReplayedDecision:
    given = {
        "reference": parse_reference(f"prod/risk/fraud@{number}"),
        "bundle_digest": "b" * 64,
        "promotion": f"{number}" * 32,
        "alias": "champion",
        "decided_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "log_index": number,
        "policy_digest": "c" * 64,
        "decided": "PASSED",
        "replayed": "PASSED",
        "rules": (rule("metadata", "PASSED"),),
        "problem": "",
    }
    return ReplayedDecision(**{**given, **changes})


SAME = decision(1)
REFUSED = decision(2, replayed="FAILED", rules=(rule("people", "AWAITING"), rule("floor", "FAILED")))
WAITS = decision(3, replayed="AWAITING", rules=(rule("metadata", "PASSED"), rule("people", "AWAITING")))
OPENED = decision(4, decided="FAILED", replayed="PASSED", promotion="")
LOST = decision(5, decided="FAILED", replayed="", rules=(), problem="it is \x1b[31mnot kept")


class FakeClient:
    def __init__(self, *decisions: ReplayedDecision) -> None:
        self.decisions = decisions
        self.asked: list[tuple[str, bytes, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def replay_policy(self, environment: str, data: bytes, *, limit: int) -> tuple[ReplayedDecision, ...]:
        self.asked.append((environment, data, limit))
        return self.decisions


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_bytes(shipped_policy("prod"))
    return path


def replay(monkeypatch: pytest.MonkeyPatch, client: FakeClient, file: Path, *more: str) -> Result:
    monkeypatch.setattr(Settings, "client", lambda _: client)
    arguments = ["replay", str(file), "--environment", "prod", *more]
    return CliRunner().invoke(policy, arguments)


@pytest.mark.parametrize(
    ("decisions", "code"),
    [([], 0), ([SAME], 0), ([SAME, LOST], 0), ([SAME, REFUSED], 5), ([WAITS], 5), ([OPENED], 5)],
)
def test_the_exit_code_tells_whether_any_would_differ(
    monkeypatch: pytest.MonkeyPatch, file: Path, decisions: list[ReplayedDecision], code: int
) -> None:
    assert replay(monkeypatch, FakeClient(*decisions), file).exit_code == code


def test_the_file_is_sent_as_it_is(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    client = FakeClient()
    replay(monkeypatch, client, file, "--limit", "7")
    replay(monkeypatch, client, file)
    assert client.asked == [("prod", file.read_bytes(), 7), ("prod", file.read_bytes(), 200)]


def test_what_would_differ_is_listed_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    page = replay(monkeypatch, FakeClient(SAME, REFUSED, WAITS, OPENED, LOST), file).stdout
    rows = [line.strip() for line in page.splitlines()]
    lines = {line.split()[0]: line for line in rows if line.startswith("prod/")}
    assert lines.keys() == {f"prod/risk/fraud@{number}" for number in (2, 3, 4)}
    assert "2026-03-01 12:00:00Z" in lines["prod/risk/fraud@2"]
    assert lines["prod/risk/fraud@2"].split()[-3:] == ["PASSED", "FAILED", "floor"]
    assert lines["prod/risk/fraud@3"].split()[-3:] == ["PASSED", "AWAITING", "people"]
    assert lines["prod/risk/fraud@4"].split()[-2:] == ["FAILED", "PASSED"]
    assert "(published)" in lines["prod/risk/fraud@4"]
    assert "not replayed: prod/risk/fraud@5 (FAILED, log entry 5): it is" in page
    assert "\x1b" not in page
    assert "of prod's decisions, 3 would be different and 1 the same; 1 could not be replayed" in page


def test_one_json_object_is_printed(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    told = json.loads(replay(monkeypatch, FakeClient(SAME, REFUSED, LOST), file, "-o", "json").stdout)
    assert (told["same"], told["different"], told["not_replayed"]) == (1, 1, 1)
    (differing,) = told["decisions"]
    assert (differing["reference"], differing["first_open_rule"]) == ("prod/risk/fraud@2", "floor")
    assert [each["status"] for each in differing["rules"]] == ["AWAITING", "FAILED"]
    assert told["problems"][0]["problem"].startswith("it is")


def test_what_is_no_policy_is_not_sent(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    file.write_text("schema: carnet.policy/v1\nenvironment: x\nversion: one\n")
    client = FakeClient(SAME)
    ran = replay(monkeypatch, client, file)
    assert isinstance(ran.exception, DocumentInvalidError)
    assert f"{file}:3:1: version" in str(ran.exception)
    assert client.asked == []


def test_a_decision_that_would_pass_names_no_rule() -> None:
    assert [first_open_rule(each) for each in (SAME, REFUSED, WAITS, LOST)] == ["", "floor", "people", ""]
