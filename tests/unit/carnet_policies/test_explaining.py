from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from carnet.cli.promotion_page import earliest_opening
from carnet.cli.settings import Settings
from carnet.client.results import Promotion, PromotionState, RuleResult
from carnet.references import parse_reference
from carnet_policies.commands import policy

if TYPE_CHECKING:
    from typing import Self

    from click.testing import Result

SOON, LATER = "2026-01-16T08:00:00Z", "2026-01-19T08:00:00Z"
SOON_AT, LATER_AT = datetime(2026, 1, 16, 8, tzinfo=UTC), datetime(2026, 1, 19, 8, tzinfo=UTC)


def rule(name: str, status: str, **fields: Any) -> RuleResult:
    given = {"message": f"{name} says so", "remedy": "", "values": {}, "awaits_people": False} | fields
    return RuleResult(rule=name, status=status, **given)


METADATA = rule("metadata", "PASSED")
WINDOW = rule("window", "AWAITING", values={"hours": "mon 09:00-12:00"}, opens_at=SOON_AT, remedy="Wait.")
SOAK = rule("soak", "AWAITING", opens_at=LATER_AT)
PEOPLE = rule("approvals", "AWAITING", awaits_people=True)
FLOOR = rule("floor", "FAILED", values={"recall": "0.9", "digest": "a" * 64}, remedy="Train \x1b[31mmore.")


class FakeClient:
    def __init__(self, *rules: RuleResult, emergency: tuple[RuleResult, ...] = ()) -> None:
        self.rules, self.emergency = rules, emergency
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
            rules=self.emergency if options.get("emergency") else self.rules,
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
    monkeypatch.setattr(Settings, "client", lambda _, *, signs: client)
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


GLASS = rule(
    "break-glass",
    "AWAITING",
    awaits_people=True,
    values={
        "signed": "0",
        "needed": "2",
        "open": "window, approvals",
        "max_validity": "4h",
        "review_within": "3d",
    },
)


def test_what_people_could_skip_is_asked_for_where_something_stands_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = FakeClient(METADATA, PEOPLE, emergency=(METADATA, PEOPLE, GLASS))
    page = explain(monkeypatch, client).stdout
    assert [asked[2].get("emergency", False) for asked in client.asked] == [False, True]
    assert all(asked[2]["dry_run"] for asked in client.asked)
    assert (
        "in an emergency: 2 people could skip window, approvals, each for 4h at most, to be reviewed within 3d\n"
    ) in page
    assert "break-glass AWAITING" not in page


def test_an_overdue_review_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    overdue = replace(GLASS, values={**GLASS.values, "needed": "1", "review_overdue": "2" * 32})
    client = FakeClient(PEOPLE, emergency=(PEOPLE, overdue))
    page = explain(monkeypatch, client).stdout
    assert "in an emergency: 1 person could skip" in page
    assert f"nobody can before the overdue review of promotion {'2' * 32}" in page
    told = json.loads(explain(monkeypatch, client, "-o", "json").stdout)["break_glass"]
    assert told == {
        "skips": ["window", "approvals"],
        "people": 1,
        "max_validity": "4h",
        "review_within": "3d",
        "review_overdue": "2" * 32,
    }


def test_where_something_cannot_be_skipped_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(FLOOR, emergency=(FLOOR,))
    assert "something cannot be skipped" in explain(monkeypatch, client).stdout
    assert json.loads(explain(monkeypatch, client, "-o", "json").stdout)["break_glass"] is None


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
    assert earliest_opening([rule("w", "PASSED", opens_at=LATER_AT), WINDOW]) == SOON_AT


def test_the_schema_is_printed() -> None:
    ran = CliRunner().invoke(policy, ["schema"], catch_exceptions=False)
    assert (ran.exit_code, json.loads(ran.stdout)["title"]) == (0, "Carnet policy")
