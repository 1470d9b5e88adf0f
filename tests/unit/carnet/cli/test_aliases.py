"""alias and rollback."""

from __future__ import annotations

import json
import re

import pytest

CHAMPION = "dev/risk/fraud@champion"


@pytest.fixture(autouse=True)
def two_versions(federation, fraud, tmp_path):
    federation.publish(tmp_path, seed=2, version=2)


def test_the_life_of_an_alias(carnet):
    assert "points at version 1" in carnet("alias", "set", CHAMPION, 1, "--expected-revision", 0).out
    assert carnet("alias", "set", CHAMPION, 2, "--expected-revision", 0).code == 7
    assert carnet("alias", "set", CHAMPION, 2, "-o", "json").json["alias"]["revision"] == 2
    assert "champion" in carnet("alias", "ls", "dev/risk/fraud").out
    ran = carnet("rollback", "dev/risk/fraud", "--reason-code", "metric-degradation", "--note", "recall")
    assert "points at version 1, back from version 2" in ran.out
    history = carnet("alias", "history", CHAMPION, "-o", "json").json["moves"]
    assert [each["kind"] for each in history] == ["rolled_back", "set", "set"]
    assert "metric-degradation" in carnet("alias", "history", CHAMPION).out
    assert "is removed" in carnet("alias", "rm", CHAMPION).out


def test_rolling_back_a_named_alias_to_a_named_version(carnet):
    carnet("alias", "set", "dev/risk/fraud@shadow", 2)
    ran = carnet("rollback", "dev/risk/fraud@shadow", "--reason-code", "x", "--to", 1, "-o", "json")
    assert ran.json["alias"]["reference"] == "dev/risk/fraud@shadow"
    assert (ran.json["alias"]["version"], ran.json["rolled_back_version"]) == (1, 2)


def test_watching_tells_each_state_on_a_line(carnet):
    carnet("alias", "set", CHAMPION, 1)
    assert "→ version 1" in carnet("alias", "watch", CHAMPION, "--count", 1).out
    ran = carnet("alias", "watch", CHAMPION, "--count", 1, "-o", "json")
    assert json.loads(ran.out)["version"] == 1


def test_no_aliases_yet(carnet):
    assert "no aliases here yet" in carnet("alias", "ls", "dev/risk/fraud").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("alias", "set", "dev/risk/fraud", "1"),
        ("alias", "set", CHAMPION, "0"),
        ("alias", "set", CHAMPION, "one"),
        ("rollback", "dev/risk/fraud"),
        ("alias", "nothing"),
        ("alias", "stale", "dev", "--days", "-1"),
        ("alias", "show", CHAMPION, "--warm", "21"),
        ("alias", "report", CHAMPION, "--revision", "1"),
        ("alias", "report", CHAMPION, "--revision", "1", "--digest", "x"),
        ("rollback", "dev/risk/fraud", "--drill", "--to", "1"),
        ("rollback", "dev/risk/fraud", "--drill", "--wait"),
        ("rollback", "dev/risk/fraud", "--drill", "--to-mark"),
        ("rollback", "dev/risk/fraud", "--drill", "--without-smoke-test"),
        ("rollback", "dev/risk/fraud", "--reason-code", "x", "--to-mark", "--to", "1"),
        ("alias", "mark", CHAMPION),
        ("alias", "mark", CHAMPION, "1", "--clear"),
        ("alias", "mark", CHAMPION, "0"),
        ("alias", "mark", "dev/risk/fraud@1", "1"),
        ("rollback", "dev/risk/fraud", "--yes", "--reason-code", "x"),
    ],
)
def test_malformed_input_is_exit_code_2(carnet, arguments):
    assert carnet(*arguments).code == 2


def test_a_rollback_waits_for_the_hosts_that_report(carnet, fraud):
    carnet("alias", "set", CHAMPION, 1)
    carnet("alias", "set", CHAMPION, 2)
    carnet("alias", "report", CHAMPION, "--instance", "slow", "--digest", fraud.digest, "--revision", 1)
    ran = carnet("rollback", "dev/risk/fraud", "--reason-code", "x", "--wait", "--timeout", "1s")
    assert ran.code == 0
    assert "no serving host reports" in ran.out


def test_a_drill_says_what_it_did(carnet):
    carnet("alias", "set", CHAMPION, 1)
    carnet("alias", "set", CHAMPION, 2)
    ran = carnet("rollback", "dev/risk/fraud", "--drill")
    assert "went back to version 1 and forward to version 2 again" in ran.out
    assert "2 blobs are whole (1 hashed now); smoke test PASSED" in ran.out
    assert carnet("rollback", "dev/risk/fraud", "--drill", "-o", "json").json["alias"]["revision"] == 6


def test_an_alias_is_shown_with_what_hosts_run(carnet, fraud):
    carnet("alias", "set", CHAMPION, 1)
    assert "no host reports" in carnet("alias", "show", CHAMPION).out
    said = carnet("alias", "report", CHAMPION, "--instance", "a", "--digest", fraud.digest, "--revision", 1)
    assert "a is counted for 120 s" in said.out
    shown = carnet("alias", "show", CHAMPION, "--warm", 1).out
    assert "1/1 instances run it" in shown
    assert "1/1" in carnet("alias", "ls", "dev/risk/fraud").out
    json_form = carnet("alias", "show", CHAMPION, "--warm", 1, "-o", "json").json
    assert json_form["alias"]["serving"]["current_count"] == 1
    assert [each["version"] for each in json_form["warm"]] == [1]


def test_stale_aliases_are_listed_with_why(carnet):
    assert "no alias is stale" in carnet("alias", "stale", "dev").out
    carnet("alias", "set", CHAMPION, 1)
    assert "unresolved" in carnet("alias", "stale", "dev/risk", "--days", 7).out
    assert carnet("alias", "stale", "dev", "-o", "json").json["stale"][0]["reasons"] == ["unresolved"]


def test_a_mark_is_made_shown_rolled_back_to_and_cleared(carnet):
    carnet("alias", "set", CHAMPION, 1)
    assert "known-good" not in carnet("alias", "show", CHAMPION).out
    ran = carnet("alias", "mark", CHAMPION, 1, "--note", "a quiet quarter")
    assert "version 1 is marked as known-good for dev/risk/fraud@champion (log entry" in ran.out
    carnet("alias", "set", CHAMPION, 2)
    shown = carnet("alias", "show", CHAMPION).out
    assert re.search(r"known-good +version 1 since .* by .*/dave: a quiet quarter", shown)
    assert carnet("alias", "ls", "dev/risk/fraud", "-o", "json").json["aliases"][0]["marked_version"] == 1
    page = carnet("show", "dev/risk/fraud@1")
    assert "marked as known-good for alias champion since " in page.out
    assert "marked as known-good" not in carnet("show", "dev/risk/fraud@2").out
    (mark,) = carnet("show", "dev/risk/fraud@1", "-o", "json").json["marks"]
    assert mark["alias"] == "champion"
    again = carnet("alias", "mark", CHAMPION, 2)
    assert "for dev/risk/fraud@champion, instead of version 1 (log entry" in again.out
    carnet("alias", "mark", CHAMPION, 1)
    ran = carnet("rollback", "dev/risk/fraud", "--reason-code", "x", "--to-mark")
    assert "points at version 1, back from version 2" in ran.out
    cleared = carnet("alias", "mark", CHAMPION, "--clear")
    assert "no version is marked for dev/risk/fraud@champion any more; it was version 1" in cleared.out


def test_the_history_says_where_a_missing_smoke_test_was_accepted(carnet):
    for version in (1, 2):
        carnet("alias", "set", CHAMPION, version)
    options = ("--reason-code", "x", "--note", "on fire", "--without-smoke-test")
    carnet("rollback", "dev/risk/fraud", *options)
    assert "without a smoke test: on fire" in carnet("alias", "history", CHAMPION).out
    moves = carnet("alias", "history", CHAMPION, "-o", "json").json["moves"]
    assert [each["accepted_untested"] for each in moves] == [True, False, False]
