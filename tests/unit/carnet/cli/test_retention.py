"""purge, hold and hygiene, and what ls and show tell of them."""

from __future__ import annotations

import pytest

from carnet.registry.v1 import models_pb2

FRAUD = "dev/risk/fraud@1"


@pytest.fixture
def archived(federation, fraud):
    (version,) = federation.dev.versions.values()
    version.stage = models_pb2.STAGE_ARCHIVED
    return version


def test_a_dry_run_names_what_and_why_and_a_purge_is_told_everywhere(carnet, archived, tmp_path):
    told = carnet("purge", "dev", "--dry-run")
    assert FRAUD in told.out
    assert "would be" in told.out
    assert "3.0 MiB" in told.out
    assert "nothing was purged" in told.out
    assert archived.purged is None
    done = carnet("purge", "dev/risk/fraud", "--keep-last", "3", "--reason", "space", "-o", "json").json
    (only,) = done["versions"]
    assert (only["purged"], only["why"], only["receipt"]["type"]) == (True, "old", "version.purged")
    assert "archived, purged" in carnet("ls", "dev/risk/fraud").out
    assert "archived, purged" in carnet("search", "dev").out
    assert "its files are gone" in carnet("show", FRAUD).out
    assert carnet("show", FRAUD, "-o", "json").json["version"]["purged_at"] is not None
    ran = carnet("pull", FRAUD, "--to", tmp_path / "fraud")
    assert (ran.code, "was purged at" in ran.err) == (7, True)
    assert carnet("pull", FRAUD, "--to", tmp_path / "fraud", "-o", "json").json["reason"] == "PURGED"


def test_nothing_to_purge_is_said(carnet, fraud):
    assert "nothing is archived or revoked" in carnet("purge", "dev", "--dry-run").out


def test_a_hold_is_placed_shown_and_released(carnet, archived):
    placed = carnet("hold", "set", FRAUD, "--reason", "case 7", "--until", "2040-01-01")
    assert placed.out.startswith(f"{FRAUD} is held until 2040-01-01 00:00:00Z by hold 1 (log entry ")
    carnet("hold", "set", "dev/risk/fraud", "--reason", "audit", "-o", "json")
    shown = carnet("show", FRAUD)
    assert "this version until 2040-01-01 00:00:00Z, by hold 1: case 7" in shown.out
    assert "the whole model, by hold 2: audit" in shown.out
    assert [each["hold"] for each in carnet("show", FRAUD, "-o", "json").json["holds"]] == [2, 1]
    assert "it is held" in carnet("purge", "dev", "--dry-run").out
    listed = carnet("hold", "ls", "dev/risk")
    assert "case 7" in listed.out
    assert "audit" in listed.out
    released = carnet("hold", "release", FRAUD, "--hold", "1", "--reason", "closed")
    assert f"hold 1 on {FRAUD} is released" in released.out
    assert len(carnet("hold", "ls", "dev", "--all", "-o", "json").json["holds"]) == 1
    carnet("hold", "release", "dev/risk/fraud", "--hold", "2", "--reason", "closed")
    assert "nothing is held" in carnet("hold", "ls", "dev").out
    assert "held" not in carnet("show", FRAUD).out


def test_hygiene_is_tables_for_people_and_one_object_for_scripts(carnet, fraud):
    page = carnet("hygiene", "dev").out
    assert "the same model file in several places" in page
    assert "namespaces/risk/models/m2 and 2 more" in page
    assert "5 models have the same model file (2.0 KiB)" in page
    assert "there are more findings" in page
    assert "1.0 KiB" in page
    assert "50%" in page
    answer = carnet("hygiene", "dev/risk", "-o", "json").json
    assert answer["findings"][0]["kind"] == "duplicate"
    assert answer["storage"][0]["version_count"] == 7
    assert answer["truncated"] is True
    assert "nothing looks neglected" in carnet("hygiene", "dev", "--stale-days", "91").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("purge", "dev"),
        ("purge", "dev", "--dry-run", "--keep-last", "-1"),
        ("purge", "dev/risk/fraud@champion", "--reason", "x"),
        ("purge", "dev/Risk", "--dry-run"),
        ("hold", "set", FRAUD),
        ("hold", "set", FRAUD, "--reason", "x", "--until", "tomorrow"),
        ("hold", "set", "dev/risk", "--reason", "x"),
        ("hold", "release", FRAUD, "--reason", "x"),
        ("hold", "release", FRAUD, "--hold", "0", "--reason", "x"),
        ("hygiene", "dev", "--stale-days", "0"),
        ("hygiene", "dev/Risk"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_a_usage_error_and_changes_nothing(carnet, fraud, federation, arguments):
    ran = carnet(*arguments)
    assert ran.code == 2
    assert ran.err
    assert not {"PurgeVersions", "PlaceHold", "ReleaseHold", "GetHygiene"} & set(federation.dev.calls)
