"""Lineage over real registries: from prod's champion back to data, code and parents, and forward again."""

from __future__ import annotations

import json

import pytest

from tests.support.bundles import make_document

DATASET = "lineage-payments"


def stated(seed: int, dataset: str = DATASET, **parts) -> dict:
    lineage = make_document(seed=seed)["lineage"]
    lineage["datasets"][0]["name"] = dataset
    lineage["code"]["commit"] = f"{seed}fac{seed}e0123456789"
    return lineage | parts


@pytest.fixture(scope="module")
def lived(federation, tmp_path_factory) -> str:
    """lineage/fraud@1, derived from lineage/base@1, as prod's champion; returns the promotion into prod."""
    folder = tmp_path_factory.mktemp("lineage")
    base = federation.publish(folder, "lineage/base", seed=1, lineage=stated(1))
    with federation.client("ci") as ci:
        digest = ci.resolve(base).bundle_digest
    parent = {"home": "dev", "namespace": "lineage", "model": "base", "version": 1, "digest": digest}
    version = federation.publish(
        folder, "lineage/fraud", seed=2, lineage=stated(2, "lineage-cards", parents=[parent])
    )
    assert federation.to_staging(version, alias="champion").state == "SUCCEEDED"
    federation.test_integration("staging/lineage/fraud@1")
    with federation.client("ci") as ci:
        promotion = ci.promote("staging/lineage/fraud@1", "prod", alias="champion").id
        assert federation.wait_for_dossier(ci, promotion).state == "AWAITING"
    federation.approve(promotion, "bob", "carol")
    with federation.client("ci") as ci:
        assert ci.wait(promotion, timeout=60).state == "SUCCEEDED"
    return promotion


def test_a_live_alias_leads_back_to_everything_verified(federation, lived):
    with federation.client("ci") as ci:
        graph = ci.lineage("prod/lineage/fraud@champion")
    edges = {(each.source, each.relation, each.target) for each in graph.edges}
    brought = f"promotion:{lived}"
    assert edges >= {
        ("alias:prod/lineage/fraud@champion", "points_at", "version:prod/lineage/fraud@1"),
        ("alias:prod/lineage/fraud@champion", "moved_by", brought),
        ("version:prod/lineage/fraud@1", "brought_by", brought),
        (brought, "came_from", "version:staging/lineage/fraud@1"),
    }
    assert {node.label for node in graph.of_kind("version")} == {
        *(f"{name}/lineage/fraud@1" for name in ("prod", "staging", "dev")),
        "dev/lineage/base@1",
    }
    assert {node.kind for node in graph.nodes} >= {"decision", "evidence", "approval", "code", "dataset"}
    for kind in ("alias", "version", "bundle", "decision", "promotion", "approval", "evidence"):
        assert {node.standing for node in graph.of_kind(kind)} == {"verified"}, kind
    told = graph.node(brought)
    assert told.attributes["request_signer"].startswith("spiffe://")
    assert {node.attributes["reason"] for node in graph.of_kind("approval")} == {"in order"}
    assert graph.nodes[0].attributes["kind"] == "admitted"


@pytest.mark.parametrize("origin", [f"dataset:{DATASET}", "commit:1fac1e0"])
def test_data_and_code_lead_forward_to_versions_descendants_and_the_live_alias(federation, lived, origin):
    answer = federation.cli_json("lineage", "--from", origin)
    assert {node["label"] for node in answer["nodes"] if node["kind"] in {"version", "alias"}} == {
        "dev/lineage/base@1",
        *(f"{name}/lineage/fraud@1" for name in ("prod", "staging", "dev")),
        *(f"{name}/lineage/fraud@champion" for name in ("prod", "staging")),
    }
    assert {node["standing"] for node in answer["nodes"][1:]} == {"verified"}


def test_the_forms_are_written_by_the_command(federation, lived, tmp_path):
    assert "judged by: approval" in federation.cli("lineage", "prod/lineage/fraud@champion").stdout
    assert federation.cli("lineage", "prod/lineage/fraud@1", "--format", "dot").stdout.endswith("}\n")
    target = tmp_path / "events"
    federation.cli("lineage", "prod/lineage/fraud@1", "--format", "openlineage", "--to", str(target))
    events = [json.loads(line) for line in target.read_text().splitlines()]
    assert {event["job"]["name"] for event in events} == {
        "lineage/fraud/training",
        "lineage/base/training",
        "lineage/fraud/admission",
    }


def test_an_environment_that_stands_still_is_a_node_that_says_so(federation, lived):
    with federation.frozen("dev"), federation.client("ci") as ci:
        graph = ci.lineage("prod/lineage/fraud@champion")
    assert graph.node("version:dev/lineage/fraud@1").standing == "unreachable"
    assert graph.node("version:prod/lineage/fraud@1").verified


def test_comparing_counts_the_evaluators_evidence(federation, lived):
    answer = federation.cli_json(
        *("compare", "staging/lineage/fraud@1", "dev/lineage/base@1"),
        *("--fail-on", "regression:roc_auc=0.5"),
        check=5,
    )
    measured = {each["suite"]: each["verdict"] for each in answer["metrics"] if each["source"] == "evidence"}
    assert measured["evaluation"] == "removed"
    assert answer["passed"] is False
