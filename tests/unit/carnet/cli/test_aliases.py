"""alias and rollback."""

from __future__ import annotations

import json

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
    ],
)
def test_malformed_input_is_exit_code_2(carnet, arguments):
    assert carnet(*arguments).code == 2
