"""lineage: the tree, the object, Graphviz's language and OpenLineage's events."""

from __future__ import annotations

import json

import pytest


def test_the_tree_says_what_was_verified_and_what_is_only_stated(carnet, fraud):
    ran = carnet("lineage", "dev/risk/fraud@1")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("version dev/risk/fraud@1")
    assert "[verified by receipt: entry" in lines[0]
    (dataset,) = [line for line in lines if "dataset payments" in line]
    assert "trained on: dataset" in dataset
    assert "[not verified; the manifest of dev/risk/fraud@1" in dataset


def test_the_object_is_the_graph(carnet, fraud):
    answer = carnet("lineage", "dev/risk/fraud@1", "-o", "json").json
    assert answer["root"] == "version:dev/risk/fraud@1"
    assert answer["nodes"][0]["verified"] is True
    assert {"source", "target", "relation"} == set(answer["edges"][0])


def test_walking_forward(carnet, fraud):
    for thing in ("dataset:payments", f"commit:{fraud.lineage.code.commit}"):
        answer = carnet("lineage", "--from", thing, "--environment", "dev", "-o", "json").json
        assert answer["direction"] == "forward"
        assert "version:dev/risk/fraud@1" in {node["id"] for node in answer["nodes"]}
    assert "holds: version dev/risk/fraud@1" in carnet("lineage", "--from", "dataset:payments").out


@pytest.mark.parametrize("form", ["tree", "json", "dot", "openlineage"])
def test_every_form_goes_to_stdout_or_to_a_file(carnet, fraud, tmp_path, form):
    shown = carnet("lineage", "dev/risk/fraud@1", "--format", form).out
    target = tmp_path / "lineage"
    ran = carnet("lineage", "dev/risk/fraud@1", "--format", form, "--to", target, "-o", "json")
    assert ran.json["path"] == str(target)
    assert target.read_text() == shown
    assert [path.name for path in tmp_path.iterdir() if "making" in path.name] == []


def test_openlineage_is_one_event_a_line(carnet, fraud):
    lines = carnet("lineage", "dev/risk/fraud@1", "--format", "openlineage").out.splitlines()
    assert [json.loads(line)["eventType"] for line in lines] == ["START", "COMPLETE"]


def test_dot_begins_a_graph(carnet, fraud):
    assert carnet("lineage", "dev/risk/fraud@1", "--format", "dot").out.startswith("digraph lineage {\n")


def test_a_contradiction_is_told_with_its_exit_code(carnet, federation, fraud):
    def edited(answer):
        answer.evidence[0].envelope += b" "

    federation.dev.lies["ListEvidence"] = edited
    ran = carnet("lineage", "dev/risk/fraud@1")
    assert ran.code == 6
    assert "contradicted: evidence in dev" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either a REF or --from"),
        (("dev/risk/fraud@1", "--from", "dataset:x"), "either a REF or --from"),
        (("dev/risk/fraud@1", "--environment", "dev"), "goes with --from"),
        (("dev/risk/fraud@1", "--format", "dot", "-o", "json"), "is no JSON object"),
        (("--from", "model:fraud"), "nothing to walk forward from"),
        (("--from", "commit:zz"), "is no commit"),
        (("dev/risk/fraud@1", "--depth", "21"), "--depth"),
        (("dev/risk/fraud@1", "--to", "/nonexistent/file"), "cannot be written"),
        (("dev/risk/fraud@1", "--to", "/dev/null/file"), "cannot be written"),
    ],
)
def test_usage(carnet, fraud, arguments, message):
    ran = carnet("lineage", *arguments)
    assert (ran.code, message in ran.err) == (2, True), ran.err


def test_what_is_not_there_is_not_found(carnet, fraud):
    assert carnet("lineage", "dev/risk/fraud@9").code == 3
    assert carnet("lineage", "--from", "dataset:x", "--environment", "nowhere").code == 3
