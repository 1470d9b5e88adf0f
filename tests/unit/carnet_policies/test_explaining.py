from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from carnet.cli.settings import Settings
from carnet.client.results import Promotion, PromotionState, RuleResult
from carnet.references import parse_reference
from carnet_policies.commands import policy
from carnet_policies.explaining import earliest_opening

if TYPE_CHECKING:
    from typing import Self

    from click.testing import Result

SOON, LATER = "2026-01-16T08:00:00Z", "2026-01-19T08:00:00Z"


def rule(name: str, status: str, **fields: Any) -> RuleResult:
    given = {"message": f"{name} says so", "remedy": "", "values": {}, "awaits_people": False} | fields
    return RuleResult(rule=name, status=status, **given)


METADATA = rule("metadata", "PASSED")
WINDOW = rule("window", "AWAITING", values={"opens_at": SOON, "hours": "mon 09:00-12:00"}, remedy="Wait.")
SOAK = rule("soak", "AWAITING", values={"opens_at": LATER})
PEOPLE = rule("approvals", "AWAITING", awaits_people=True)
FLOOR = rule("floor", "FAILED", values={"recall": "0.9", "digest": "a" * 64}, remedy="Train \x1b[31mmore.")


class FakeClient:
    def __init__(self, *rules: RuleResult) -> None:
        self.rules = rules
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def promote(self, reference: str, to: str, **options: Any) -> Promotion:
        self.asked.append((reference, to, options))
        return Promotion(
            id="1" * 32,
            state=PromotionState.CHECKING,
            message="prod cannot be reached",
            reference=parse_reference(reference),
            target=to,
            alias=options["alias"],
            bundle_digest="b" * 64,
            requester="ana",
            rules=self.rules,
            policy_digest="c" * 64,
            awaits_dossier=False,
            transferred_bytes=0,
            total_bytes=0,
            transfer="",
            error_reason="",
            sequence=0,
            created_at=None,
            updated_at=None,
            receipt=None,
        )


def explain(monkeypatch: pytest.MonkeyPatch, client: FakeClient, *more: str) -> Result:
    monkeypatch.setattr(Settings, "client", lambda _: client)
    arguments = ["explain", "staging/risk/fraud@3", "--to", "prod", *more]
    return CliRunner().invoke(policy, arguments, catch_exceptions=False)


@pytest.mark.parametrize(
    ("rules", "code", "says"),
    [
        ([METADATA], 0, "prod would admit it"),
        ([METADATA, PEOPLE], 5, "prod would wait\n"),
        ([METADATA, WINDOW, SOAK], 5, f"prod would wait; it could open at {LATER} at the earliest"),
        ([WINDOW, FLOOR], 5, "prod would refuse it"),
        ([], 5, "prod cannot be reached"),
    ],
)
def test_the_exit_code_and_the_end_tell_what_would_be_decided(
    monkeypatch: pytest.MonkeyPatch, rules: list[RuleResult], code: int, says: str
) -> None:
    ran = explain(monkeypatch, FakeClient(*rules))
    assert ran.exit_code == code
    assert says in ran.stdout


def test_nothing_but_a_dry_run_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(METADATA)
    explain(monkeypatch, client, "--alias", "champion")
    assert client.asked == [("staging/risk/fraud@3", "prod", {"alias": "champion", "dry_run": True})]


def test_every_rule_is_shown_with_what_it_saw_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    page = explain(monkeypatch, FakeClient(METADATA, FLOOR, WINDOW)).stdout
    assert "✓ metadata PASSED\n    metadata says so\n" in page
    assert "✗ floor FAILED\n    floor says so\n    digest = aaaaaaaaaaaa\n    recall = 0.9\n" in page
    assert (
        f"… window AWAITING\n    window says so\n    hours = mon 09:00-12:00\n    could open at the earliest: {SOON}\n"
        in page
    )
    assert "    to do: Wait.\n" in page


def test_what_comes_from_elsewhere_does_not_act_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in explain(monkeypatch, FakeClient(FLOOR)).stdout


def test_one_json_object_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = explain(monkeypatch, FakeClient(METADATA, WINDOW, PEOPLE), "--alias", "champion", "-o", "json")
    told = json.loads(ran.stdout)
    assert (ran.exit_code, told["outcome"], told["opens_at"]) == (5, "AWAITING", SOON)
    assert (told["reference"], told["target"], told["alias"]) == ("staging/risk/fraud@3", "prod", "champion")
    assert told["policy_digest"] == "c" * 64
    assert [(each["rule"], each["status"], each["opens_at"]) for each in told["rules"]] == [
        ("metadata", "PASSED", None),
        ("window", "AWAITING", SOON),
        ("approvals", "AWAITING", None),
    ]


def test_a_time_of_a_rule_that_passed_is_none_to_wait_for() -> None:
    assert earliest_opening([rule("w", "PASSED", values={"opens_at": LATER}), WINDOW]) == SOON


def test_the_schema_is_printed() -> None:
    ran = CliRunner().invoke(policy, ["schema"], catch_exceptions=False)
    assert (ran.exit_code, json.loads(ran.stdout)["title"]) == (0, "Carnet policy")
