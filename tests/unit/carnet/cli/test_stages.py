"""stage, archive, and ls and show by stage."""

from __future__ import annotations

import pytest

from carnet.registry.v1 import models_pb2


def test_a_version_is_moved_by_hand(carnet, fraud):
    ran = carnet("stage", "dev/risk/fraud@1", "candidate", "--reason", "shadowed")
    assert ran.out.startswith("dev/risk/fraud@1 is candidate (log entry ")
    answer = carnet(
        "stage", "dev/risk/fraud@1", "approved", "--reason", "seen", "--expected", "candidate", "-o", "json"
    ).json
    assert answer["version"]["stage"] == "approved"
    assert answer["receipt"]["type"] == "version.stage-changed"
    assert (
        carnet("stage", "dev/risk/fraud@1", "archived", "--reason", "x", "--expected", "candidate").code == 7
    )
    assert "approved since" in carnet("show", "dev/risk/fraud@1").out
    assert "approved" in carnet("ls", "dev/risk/fraud").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("stage", "dev/risk/fraud@1", "deployed", "--reason", "x"),
        ("stage", "dev/risk/fraud@1", "candidate"),
        ("stage", "dev/risk/fraud@champion", "candidate", "--reason", "x"),
        ("archive", "dev/risk/fraud@1"),
        ("archive", "dev/risk/fraud", "--reason", "x"),
        ("archive", "dev/risk/fraud@1", "--dry-run", "--reason", "x"),
        ("archive", "dev", "--policy", "--undo", "--reason", "x"),
        ("archive", "dev", "--policy"),
        ("archive", "dev", "--policy", "--dry-run", "--older-than", "-1"),
        ("archive", "dev", "--policy", "--dry-run", "--older-than", "36501"),
        ("archive", "dev/Risk", "--policy", "--dry-run"),
        ("ls", "dev", "--stage", "archived"),
        ("ls", "dev/risk/fraud", "--stage", "live"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_a_usage_error_and_changes_nothing(carnet, fraud, federation, arguments):
    ran = carnet(*arguments)
    assert ran.code == 2
    assert ran.err
    assert not {"SetStage", "ArchiveVersions"} & set(federation.dev.calls)


def test_ls_names_the_search_that_finds_a_stage_everywhere(carnet, fraud):
    assert "carnet search dev 'stage = archived'" in carnet("ls", "dev", "--stage", "archived").err


def test_archiving_and_taking_it_back(carnet, fraud):
    assert "is archived" in carnet("archive", "dev/risk/fraud@1", "--reason", "old").out
    back = carnet("archive", "dev/risk/fraud@1", "--undo", "--reason", "wanted")
    assert "is registered" in back.out
    again = carnet("archive", "dev/risk/fraud@1", "--undo", "--reason", "wanted")
    assert again.code == 7


def test_a_dry_run_names_what_and_why_and_the_run_archives_it(carnet, fraud, federation):
    told = carnet("archive", "--policy", "--dry-run", "dev")
    assert "dev/risk/fraud@1" in told.out
    assert "old" in told.out
    assert "nothing was archived" in told.out
    assert next(iter(federation.dev.versions.values())).stage == models_pb2.STAGE_REGISTERED
    done = carnet("archive", "--policy", "dev/risk", "--reason", "spring cleaning", "-o", "json").json
    (only,) = done["versions"]
    assert (only["version"]["stage"], only["why"], only["receipt"]["type"]) == (
        "archived",
        "old",
        "version.stage-changed",
    )
    assert "nothing is old" in carnet("archive", "--policy", "dev", "--reason", "x").out
