"""A promotion by rollout, from the command line, over real processes: approved, permitted, not moved, audited."""

from __future__ import annotations

import pytest

MODEL = "by-rollout/fraud"
CHAMPION = f"prod/{MODEL}@champion"


@pytest.fixture(scope="module")
def champion(federation, tmp_path_factory):
    """Version 1 is prod's champion, and version 2 could go where it is."""
    folder = tmp_path_factory.mktemp("by-rollout")
    for number in (1, 2):
        federation.to_staging(federation.publish(folder, MODEL, seed=number))
        federation.test_integration(f"staging/{MODEL}@{number}")
    with federation.client("ci") as ci:
        promotion = ci.promote(f"staging/{MODEL}@1", "prod", alias="champion").id
        federation.wait_for_dossier(ci, promotion)
        federation.approve(promotion, "bob", "carol")
        assert ci.wait(promotion, timeout=60).state == "SUCCEEDED"


def test_champion_stays_and_a_rollout_is_permitted_to_move_it(federation, champion):
    asked = federation.cli_json(
        "promote", f"staging/{MODEL}@2", "--to", "prod", "--alias", "champion", "--by-rollout"
    )
    assert (asked["alias"], asked["by_rollout"]) == ("champion", True)
    promotion = asked["id"]
    with federation.client("ci") as ci:
        assert federation.wait_for_dossier(ci, promotion).awaits_dossier
    page = federation.cli("approve", promotion, "--reason", "in order", "--yes", identity="bob").stdout
    assert "champion, by rollout" in page
    federation.approve(promotion, "carol")
    done = federation.cli("promotions", "watch", promotion, "--timeout", "60s").stdout
    assert "prod admitted by-rollout/fraud@2 and permits champion to move to it" in done
    assert f"{MODEL}@2, and champion is permitted to move to it: `carnet rollout start` does that" in done
    shown = federation.cli_json("promotions", "show", promotion)
    assert (shown["state"], shown["by_rollout"], shown["next"]) == ("SUCCEEDED", True, [])
    assert shown["receipt"]["type"] == "version.admitted"

    (move,) = federation.cli_json("alias", "history", CHAMPION)["moves"]
    assert (move["new_version"], move["kind"]) == (1, "admitted")
    permits = federation.query(
        "prod", "SELECT alias, version, used_at FROM alias_permits WHERE promotion = ?", promotion
    )
    assert permits == [("champion", 2, None)]
    refused = federation.cli("alias", "set", CHAMPION, "2", identity="dave", check=5)
    assert "protected" in refused.stderr
    audited = federation.cli_json("audit", "verify", identity="dave")
    assert audited["ok"]
