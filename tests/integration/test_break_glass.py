"""An emergency, from the command line, over real processes: asked for, shown, broken by two, reviewed, audited."""

from __future__ import annotations

import json

import pytest

RULES = ["approvals", "integration-tests"]


@pytest.fixture(scope="module")
def emergency(federation, tmp_path_factory):
    """A promotion to prod that was asked for as an emergency, with its integration tests missing."""
    reference = federation.publish(tmp_path_factory.mktemp("emergency"), "cli/emergency")
    federation.to_staging(reference)
    asked = federation.cli_json(
        "promote", f"staging/cli/emergency@{reference.version}", "--to", "prod", "--emergency"
    )
    with federation.client("ci") as ci:
        federation.wait_for_dossier(ci, asked["id"])
    return asked["id"]


def _break(federation, promotion, name, *more, check=0):
    return federation.cli(
        *("break-glass", promotion, "--reason", "payments are declined", "--ticket", "INC-2207"),
        *("--target", "prod", "--yes", *more),
        identity=name,
        check=check,
    )


def test_an_emergency_is_loud_from_the_first_statement_to_the_audit(federation, emergency):
    refused = _break(federation, emergency, "carol", check=4)
    assert "breaker" in refused.stderr
    too_long = _break(federation, emergency, "bob", "--expires", "9h", check=6)
    assert "the policy lets it be for 4h at most" in too_long.stderr
    page = _break(federation, emergency, "bob").stdout
    assert "this dossier is for breaking the glass, and cannot be approved" in page
    assert f"you skip: {', '.join(RULES)}" in page
    assert "payments are declined" in _break(federation, emergency, "dave").stdout
    done = federation.cli_json("promotions", "watch", emergency, "--timeout", "60s")
    assert done["state"] == "SUCCEEDED"
    shown = federation.cli("promotions", "show", emergency).stdout
    assert "the glass was broken (INC-2207): 2 of 2 people (bob, dave)" in shown

    audited = json.loads(federation.cli("audit", "verify", "-o", "json", identity="dave", check=None).stdout)
    (use,) = [each for each in audited["broken_glass"] if f"promotion {emergency}" in each["affects"]]
    assert sorted(use["skipped"]) == RULES
    assert [each["ticket"] for each in use["statements"]] == ["INC-2207", "INC-2207"]
    assert use["review"] is None

    own = ("break-glass", "review", emergency, "--reason", "mine", "--target", "prod", "--yes")
    assert "bob broke the glass" in federation.cli(*own, identity="bob", check=4).stderr
    review = ("break-glass", "review", emergency, "--reason", "tests passed since", "--target", "prod")
    assert (
        "review-accepted, and written down by prod"
        in federation.cli(*review, "--yes", identity="carol").stdout
    )
    page = federation.cli("audit", "verify", identity="dave", check=None).stdout
    assert "THE GLASS WAS BROKEN" in page
    assert "accepted by" in page
