"""promote, promotions, approve, reject, withdraw."""

from __future__ import annotations

import pytest

from carnet.cli.settings import Settings
from carnet.errors import PermissionDeniedError
from carnet.registry.v1 import policy_pb2
from carnet.translog.keys import KeyType, LogKey

SOURCE = "dev/risk/fraud@1"
PASSED = policy_pb2.RuleResult(
    rule="metadata", status=policy_pb2.RULE_STATUS_PASSED, message="all there", values={"owner": "risk-team"}
)
FAILED = policy_pb2.RuleResult(
    rule="roc-auc-floor",
    status=policy_pb2.RULE_STATUS_FAILED,
    message="0.95 is below 0.97",
    remedy="train a better model",
    values={"roc_auc": "0.95"},
)
EVALUATION = policy_pb2.RuleResult(
    rule="evaluation",
    status=policy_pb2.RULE_STATUS_AWAITING,
    message="no evaluation yet",
    remedy="carnet attest dev/risk/fraud@1 --file metrics.json",
)
PEOPLE = policy_pb2.RuleResult(
    rule="approvals",
    status=policy_pb2.RULE_STATUS_AWAITING,
    message="0 of 2 approvals",
    remedy="ask two approvers",
    awaits_people=True,
)


def _plan(federation, states, rules=()):
    federation.sync.plan = [(state, f"now {state.lower()}") for state in states]
    federation.sync.rules = list(rules)


def test_a_promotion_without_waiting_says_how_to_follow_it(carnet, federation, fraud):
    ran = carnet("promote", SOURCE, "--to", "staging", "--alias", "champion")
    (name,) = federation.sync.promotions
    promotion = name.removeprefix("promotions/")
    assert ran.code == 0
    assert f"promotion {promotion}: dev/risk/fraud@1 to staging as champion" in ran.out
    assert f"next: carnet promotions watch {promotion}" in ran.out


def test_waiting_for_success_tells_the_steps_and_the_rules(carnet, federation, fraud):
    _plan(federation, ["PENDING", "CHECKING", "TRANSFERRING", "ADMITTING", "SUCCEEDED"], [PASSED])
    ran = carnet("promote", SOURCE, "--to", "staging", "--wait")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert [line.split()[1] for line in lines[1:6]] == [
        "PENDING",
        "CHECKING",
        "TRANSFERRING",
        "ADMITTING",
        "SUCCEEDED",
    ]
    assert "owner=risk-team" in ran.out
    assert "admitted: staging/risk/fraud@1" in lines[-1]


def test_a_promotion_by_rollout_is_told_as_one(carnet, federation, fraud):
    _plan(federation, ["PENDING", "SUCCEEDED"], [PASSED])
    asked = ("promote", SOURCE, "--to", "staging", "--alias", "champion", "--by-rollout")
    ran = carnet(*asked, "--wait")
    assert ran.code == 0
    assert "dev/risk/fraud@1 to staging as champion, by rollout" in ran.out
    moves = "champion is permitted to move to it: `carnet rollout start` does that"
    assert f"admitted: staging/risk/fraud@1, and {moves}" in ran.out
    assert "points at it" not in ran.out
    assert "champion, by rollout" in carnet("promotions", "ls").out
    found = carnet(*asked, "-o", "json").json
    assert (found["alias"], found["by_rollout"]) == ("champion", True)


def test_json_is_one_object_and_the_steps_go_to_stderr(carnet, federation, fraud):
    _plan(federation, ["PENDING", "SUCCEEDED"], [PASSED])
    ran = carnet("promote", SOURCE, "--to", "staging", "--wait", "-o", "json")
    assert ran.code == 0
    assert (ran.json["state"], ran.json["ended"], ran.json["next"]) == ("SUCCEEDED", True, [])
    assert ran.json["receipt"]["environment"] == "staging"
    assert ran.json["rules"][0]["values"] == {"owner": "risk-team"}
    assert "now pending" in ran.err


def test_final_waits_until_the_admission_is_witnessed(carnet, federation, fraud):
    _plan(federation, ["PENDING", "SUCCEEDED"], [PASSED])
    witness = LogKey.generate("witness.test/one", key_type=KeyType.COSIGNATURE_V1)
    final = ("promote", SOURCE, "--to", "staging", "--final", "--timeout", "2s")

    unpinned = carnet(*final)
    assert unpinned.code == 7
    assert "environments.staging.witnesses" in unpinned.err

    federation.pin_witnesses("staging", {"one": witness})
    committed = carnet(*final)
    assert committed.code == 5
    assert "admitted: staging/risk/fraud@1" in committed.out
    assert "verified, committed" in committed.out

    def refuse(answer):
        raise PermissionDeniedError("not yours to ask")

    federation.environments["staging"].lies["GetReceipt"] = refuse
    shown = carnet("promotions", "show", committed.out.split("promotion ")[1][:32])
    assert (shown.code, "verified, committed" in shown.out) == (0, True)
    del federation.environments["staging"].lies["GetReceipt"]

    federation.environments["staging"].log.cosigners = [witness]
    done = carnet(*final, "-o", "json")
    assert (done.code, done.json["receipt"]["finality"]) == (0, "final")
    assert carnet("promotions", "show", done.json["id"]).out.count("verified, final") == 1


def test_a_refusal_is_exit_code_5_and_says_what_to_do(carnet, federation, fraud):
    _plan(federation, ["CHECKING", "REJECTED"], [PASSED, FAILED])
    ran = carnet("promote", SOURCE, "--to", "staging", "--wait")
    assert ran.code == 5
    for text in ("roc-auc-floor", "FAILED", "roc_auc=0.95", "train a better model", "rejected by staging"):
        assert text in ran.out


def test_still_waiting_at_the_timeout_is_exit_code_5_with_the_next_command(carnet, federation, fraud):
    _plan(federation, ["CHECKING", "AWAITING"], [PASSED, PEOPLE])
    ran = carnet("promote", SOURCE, "--to", "prod", "--wait", "--timeout", "1s")
    (name,) = federation.sync.promotions
    promotion = name.removeprefix("promotions/")
    assert ran.code == 5
    assert "0 of 2 approvals" in ran.out
    assert f'next: carnet approve {promotion} --reason "…" --as APPROVER' in ran.out
    assert f"next: carnet promotions watch {promotion}" in ran.out


@pytest.mark.parametrize(
    ("reason", "code"), [("UNAVAILABLE", 8), ("DIGEST_MISMATCH", 6), ("NOT_FOUND", 3), ("WHATEVER", 1)]
)
def test_a_failure_has_the_exit_code_of_its_reason(carnet, federation, fraud, reason, code):
    federation.sync.error_reason = reason
    _plan(federation, ["CHECKING", "FAILED"])
    ran = carnet("promote", SOURCE, "--to", "staging", "--wait")
    assert ran.code == code
    assert "carnet promotions retry" in ran.out


@pytest.mark.parametrize(
    ("rules", "code", "said"),
    [
        ([PASSED], 0, "would admit it"),
        ([PASSED, PEOPLE], 0, "would wait"),
        ([PASSED, EVALUATION], 5, "would wait"),
        ([FAILED, PEOPLE], 5, "would refuse it"),
        ([], 0, "now checking"),
    ],
)
def test_a_dry_run_tells_what_the_target_would_say(carnet, federation, fraud, rules, code, said):
    _plan(federation, ["CHECKING"], rules)
    ran = carnet("promote", SOURCE, "--to", "staging", "--dry-run")
    assert ran.code == code
    assert said in ran.out
    assert carnet("promotions", "ls", "-o", "json").json == {"promotions": []}


def test_promotions_are_listed_shown_and_watched(carnet, federation, fraud):
    assert "no promotions here" in carnet("promotions", "ls").out
    _plan(federation, ["CHECKING", "REJECTED"], [FAILED])
    promotion = carnet("promote", SOURCE, "--to", "staging", "-o", "json").json["id"]
    assert promotion in carnet("promotions", "ls", "--active").out
    page = carnet("promotions", "show", promotion)
    assert page.code == 0
    assert "now checking" in page.out
    assert "train a better model" in page.out
    watched = carnet("promotions", "watch", promotion, "--timeout", "5s")
    assert watched.code == 5
    assert "now rejected" in watched.out


def test_cancelling_and_retrying(carnet, federation, fraud):
    promotion = carnet("promote", SOURCE, "--to", "staging", "-o", "json").json["id"]
    ran = carnet("promotions", "cancel", promotion, "--reason", "wrong version")
    assert ran.code == 0
    assert "cancelled" in ran.out
    assert carnet("promotions", "retry", promotion, "-o", "json").json["state"] == "CHECKING"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("promote", "dev/risk/fraud", "--to", "staging"), 2),
        (("promote", SOURCE, "--to", "nowhere"), 3),
        (("promote", SOURCE), 2),
        (("promote", SOURCE, "--to", "staging", "--timeout", "soon"), 2),
        (("promote", SOURCE, "--to", "staging", "--by-rollout"), 2),
        (("promote", SOURCE, "--to", "staging", "--alias", "champion", "--by-rollout", "--emergency"), 2),
        (("promotions", "show", "x"), 2),
        (("promotions", "show", "0" * 32), 3),
        (("promote", SOURCE, "--to", "staging", "--as", "reader"), 2),
    ],
)
def test_what_cannot_be_asked_for_has_its_code(carnet, fraud, arguments, code):
    assert carnet(*arguments).code == code


# --- approvals --------------------------------------------------------------------------------------------

PROMOTION = "ab" * 16


@pytest.fixture
def waiting(federation, fraud):
    message = federation.prod.hear_of(PROMOTION, fraud, source="dev")
    message.evaluation.results.extend([PASSED, PEOPLE])
    federation.prod.evidence[fraud.digest] = list(federation.dev.evidence[fraud.digest])
    federation.prod.issue_dossier(PROMOTION, fraud)
    return message


def _approve(carnet, *more, word="approve"):
    return carnet(word, PROMOTION, "--reason", "in order", "--target", "prod", "--as", "bob", *more)


def test_nobody_to_ask_needs_yes(carnet, waiting):
    ran = _approve(carnet)
    assert ran.code == 2
    assert "--yes" in ran.err
    assert list(waiting.approvals) == []


def test_an_approver_is_shown_that_the_alias_moves_by_rollout(carnet, federation, waiting, fraud):
    waiting.by_rollout = True
    federation.prod.issue_dossier(PROMOTION, fraud)
    assert "champion, by rollout" in _approve(carnet, "--yes").out


def test_approving_shows_the_dossier_and_signs_it(carnet, waiting, fraud):
    ran = _approve(carnet, "--yes")
    assert ran.code == 0
    for text in (
        fraud.digest,
        "recomputed from the manifest",
        "champion, to be moved",
        "spiffe://carnet.internal/service/ci",
        "signed by prod",
        "environment dev",
        "0 of 2 approvals",
        "approved, and written down by prod",
    ):
        assert text in ran.out
    assert [each.meaning for each in waiting.approvals] == ["approved"]


@pytest.mark.parametrize(
    ("word", "more", "meaning"),
    [
        ("reject", (), "rejected"),
        ("withdraw", (), "withdrawn"),
        ("approve", ("--reviewed",), "reviewed"),
    ],
)
def test_other_words(carnet, waiting, word, more, meaning):
    ran = _approve(carnet, "--yes", "-o", "json", *more, word=word)
    assert ran.json["approval"]["meaning"] == meaning
    assert ran.json["admission"]["dossier"]["promotion"] == PROMOTION
    assert waiting.approvals[0].meaning == meaning


def test_somebody_who_says_no_signs_nothing(carnet, waiting, monkeypatch):
    monkeypatch.setattr(Settings, "interactive", property(lambda self: True))
    asked = []
    monkeypatch.setattr("click.prompt", lambda text, **_: asked.append(text) or "no")
    ran = _approve(carnet)
    assert asked == ["To sign this approval as bob, type the first 8 characters of the promotion's id"]
    assert ran.code == 130
    assert list(waiting.approvals) == []


def test_what_does_not_hold_is_exit_code_6_and_signs_nothing(carnet, waiting, federation, fraud):
    federation.prod.evidence[fraud.digest] = []
    assert _approve(carnet, "--yes").code == 6
    assert list(waiting.approvals) == []


def test_nothing_to_approve_yet_is_a_conflict(carnet, waiting):
    waiting.dossier = b""
    ran = _approve(carnet, "--yes")
    assert ran.code == 7
    assert "not issued yet" in ran.out
