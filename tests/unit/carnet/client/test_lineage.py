"""Lineage, back and forward, over registries that prove what they say, or do not."""

from __future__ import annotations

import uuid

import pytest

import carnet
from carnet import errors
from carnet.bundle.build import build_manifest
from carnet.bundle.document import BundleDocument
from carnet.bundle.paths import MANIFEST_NAME
from carnet.client import lineage_back
from carnet.documents import read_document
from carnet.signing.model_signature import sign_model
from tests.support.bundles import make_bundle_directory, make_document
from tests.unit.carnet.client.fake_environment import FakeVersion
from tests.unit.carnet.client.fake_federation import signing_key


def publish(federation, folder, model="fraud", *, version=1, seed=0, parents=(), home="dev", **lineage):
    """Put a version into its home, derived from others; returns its manifest."""
    said = make_document()["lineage"] | lineage
    said["parents"] = [
        {
            "home": each.home,
            "namespace": each.namespace,
            "model": each.model,
            "version": each.version,
            "digest": each.digest,
        }
        for each in parents
    ]
    folder = make_bundle_directory(folder, seed=seed, lineage=said)
    document = read_document(folder / "carnet.yaml", BundleDocument, what="document")
    manifest = build_manifest(document, folder, home=home, namespace="risk", model=model, version=version)
    federation.environments[home].publish(manifest, signature_of(manifest))
    return manifest


def signature_of(manifest):
    files = [(file.path, file.digest) for file in manifest.files]
    return sign_model(manifest.model, [*files, (MANIFEST_NAME, manifest.digest)], signing_key("ci"))


async def admit(federation, manifest, target="staging", source="dev", *, approved=False):
    """Bring a version into another environment by a promotion; returns the promotion's id."""
    promotion, there = uuid.uuid4().hex, federation.environments[target]
    there.hear_of(promotion, manifest, source=source)
    if approved:
        there.issue_dossier(promotion, manifest)
        async with carnet.connect_async(federation.folder, identity="bob") as bob:
            await bob.approve(promotion, "looks right", target=target)
    message = there.admit(promotion, manifest)
    there.evidence.setdefault(manifest.digest, []).append(message.decision)
    version = FakeVersion(manifest, signature_of(manifest), message.receipt.log_index)
    there.versions[manifest.namespace, manifest.model, manifest.version] = version

    def with_source(answer):
        answer.version.source = source

    there.lies["ResolveVersion"] = with_source
    return promotion


def edges(graph):
    return {(each.source, each.relation, each.target) for each in graph.edges}


# --- back -------------------------------------------------------------------------------------------------


async def test_a_publication_leads_to_its_bundle_decision_and_origins_each_with_its_standing(
    federation, client, tmp_path
):
    manifest = publish(federation, tmp_path, features={"name": "cards", "snapshot": "7"})
    graph = await client.lineage("dev/risk/fraud@1")
    bundle = f"bundle:{manifest.digest}"
    assert graph.root == "version:dev/risk/fraud@1"
    assert (graph.root, "holds", bundle) in edges(graph)
    assert {node.kind: node.standing for node in graph.nodes} == {
        "version": "verified",
        "bundle": "verified",
        "decision": "verified",
        "code": "stated",
        "dataset": "stated",
        "features": "stated",
        "training_run": "stated",
    }
    assert graph.nodes[0].basis == (
        f"receipt: entry {graph.nodes[0].attributes['log_index']} of dev's log; "
        "signature by spiffe://carnet.internal/service/ci (alice)"
    )
    (dataset,) = graph.of_kind("dataset")
    assert dataset.attributes["window_start"] == "2026-01-01"
    assert dataset.basis.startswith("the manifest of dev/risk/fraud@1, signed by ")
    assert graph.contradicted == ()


async def test_an_alias_leads_through_promotion_and_approvals_to_the_home(federation, client, tmp_path):
    manifest = publish(federation, tmp_path)
    promotion = await admit(federation, manifest, approved=True)
    await client.set_alias("staging/risk/fraud@champion", 1, note="go")
    graph = await client.lineage("staging/risk/fraud@champion")
    brought = f"promotion:{promotion}"
    assert edges(graph) >= {
        ("alias:staging/risk/fraud@champion", "points_at", "version:staging/risk/fraud@1"),
        ("version:staging/risk/fraud@1", "brought_by", brought),
        (brought, "came_from", "version:dev/risk/fraud@1"),
        ("version:dev/risk/fraud@1", "holds", f"bundle:{manifest.digest}"),
        ("version:staging/risk/fraud@1", "holds", f"bundle:{manifest.digest}"),
    }
    alias, told = graph.nodes[0], graph.node(brought)
    assert (alias.kind, alias.verified, alias.attributes["revision"]) == ("alias", True, 1)
    assert alias.attributes["moved_by"].startswith("spiffe://")
    assert told.verified
    assert "signed by staging" in told.basis
    (approval,) = graph.of_kind("approval")
    assert (approval.attributes["reason"], approval.verified) == ("looks right", True)
    assert len(graph.of_kind("bundle")) == 1
    assert len(graph.of_kind("decision")) == 2


async def test_evidence_is_verified_or_says_whose_word_it_is(federation, client, tmp_path):
    publish(federation, tmp_path)
    async with carnet.connect_async(federation.folder, identity="evaluator") as signer:
        await signer.attest("dev/risk/fraud@1", {"suite": "evaluation", "result": "PASSED", "metrics": []})
    (evidence,) = (await client.lineage("dev/risk/fraud@1")).of_kind("evidence")
    assert (evidence.label, evidence.standing) == ("evaluation PASSED", "verified")
    assert evidence.basis == "signature by spiffe://carnet.internal/service/evaluator"


async def test_parents_are_followed_level_by_level_and_no_further_than_is_asked(federation, client, tmp_path):
    first = publish(federation, tmp_path, "base", seed=1)
    second = publish(federation, tmp_path, "tuned", seed=2, parents=[first])
    publish(federation, tmp_path, "fraud", seed=3, parents=[second, first])
    graph = await client.lineage("dev/risk/fraud@1")
    assert edges(graph) >= {
        (f"bundle:{second.digest}", "derived_from", "version:dev/risk/base@1"),
        ("version:dev/risk/base@1", "holds", f"bundle:{first.digest}"),
    }
    assert all(node.verified for node in graph.of_kind("version"))
    shallow = await client.lineage("dev/risk/fraud@1", depth=0)
    assert {node.label: node.standing for node in shallow.of_kind("version")} == {
        "dev/risk/fraud@1": "verified",
        "dev/risk/tuned@1": "stated",
        "dev/risk/base@1": "stated",
    }


async def test_a_cycle_of_names_ends(federation, client, tmp_path):
    """Digests cannot be in a circle; names can, where a manifest names a version that is another bundle."""
    itself = publish(federation, tmp_path / "draft", "fraud", seed=9)
    federation.dev.versions.clear()
    publish(federation, tmp_path, "fraud", seed=1, parents=[itself])
    graph = await client.lineage("dev/risk/fraud@1")
    (wrong,) = graph.contradicted
    assert wrong.id == f"version:dev/risk/fraud@1#{itself.digest[:12]}"
    assert itself.digest in wrong.basis


async def test_a_parent_with_another_digest_contradicts(federation, client, tmp_path):
    parent = publish(federation, tmp_path, "base", seed=1)
    publish(federation, tmp_path, "fraud", seed=2, parents=[parent])
    publish(federation, tmp_path, "base", seed=3)
    (wrong,) = (await client.lineage("dev/risk/fraud@1")).contradicted
    assert parent.digest in wrong.basis


async def test_an_environment_that_is_away_is_a_node_and_no_error_and_is_asked_once(
    federation, client, tmp_path
):
    parents = [publish(federation, tmp_path, name, seed=n, home="dev") for n, name in enumerate(("a", "b"))]
    manifest = publish(federation, tmp_path, "fraud", seed=5, home="staging", parents=parents)
    federation.servers["dev"].stop(None).wait()
    graph = await client.lineage("staging/risk/fraud@1")
    found = {node.label: node for node in graph.of_kind("version")}
    assert found["staging/risk/fraud@1"].verified
    for name in ("dev/risk/a@1", "dev/risk/b@1"):
        assert found[name].standing == "unreachable"
        assert found[name].basis.startswith("dev is away: ")
    assert manifest.digest in {node.attributes["digest"] for node in graph.of_kind("bundle")}


async def test_a_parent_whose_home_cannot_be_read_is_found_beside_its_child(federation, client, tmp_path):
    parent = publish(federation, tmp_path, "base", seed=1)
    child = publish(federation, tmp_path, "fraud", seed=2, parents=[parent])
    await admit(federation, parent)
    await admit(federation, child)
    federation.servers["dev"].stop(None).wait()
    graph = await client.lineage("staging/risk/fraud@1")
    assert (f"bundle:{child.digest}", "derived_from", "version:staging/risk/base@1") in edges(graph)
    assert graph.node("version:staging/risk/base@1").verified
    assert graph.node("version:dev/risk/fraud@1").standing == "unreachable"


def _deny(answer):
    raise errors.PermissionDeniedError("auditors only")


@pytest.mark.parametrize(("method", "kind"), [("GetAdmission", "promotion"), ("ListEvidence", "evidence")])
async def test_what_may_not_be_read_is_a_node_that_says_so(federation, client, tmp_path, method, kind):
    await admit(federation, publish(federation, tmp_path))
    federation.staging.lies[method] = _deny
    graph = await client.lineage("staging/risk/fraud@1")
    assert "unreachable" in {node.standing for node in graph.of_kind(kind)}
    assert graph.node("version:staging/risk/fraud@1").verified


def _edited_manifest(answer):
    answer.version.canonical_manifest += b" "


def _edited_evidence(answer):
    answer.evidence[0].envelope += b" "


def _another_state(answer):
    answer.admission.bundle_digest = "0" * 64


@pytest.mark.parametrize(
    ("environment", "method", "lie", "kind"),
    [
        ("dev", "ResolveVersion", _edited_manifest, "version"),
        ("dev", "ListEvidence", _edited_evidence, "evidence"),
        ("staging", "GetAdmission", _another_state, "promotion"),
    ],
)
async def test_what_contradicts_the_signatures_is_told_and_the_rest_is_still_there(
    federation, client, tmp_path, environment, method, lie, kind
):
    await admit(federation, publish(federation, tmp_path))
    federation.environments[environment].lies[method] = lie
    graph = await client.lineage("staging/risk/fraud@1")
    assert kind in {node.kind for node in graph.contradicted}
    assert graph.node("version:staging/risk/fraud@1").verified


async def test_a_lie_about_the_reference_itself_is_an_error(federation, client, tmp_path):
    publish(federation, tmp_path)
    federation.dev.lies["ResolveVersion"] = _edited_manifest
    with pytest.raises(errors.DigestMismatchError):
        await client.lineage("dev/risk/fraud@1")


async def test_a_lineage_without_end_is_cut_and_says_so(federation, client, tmp_path, monkeypatch):
    monkeypatch.setattr(lineage_back, "MAX_VERSIONS", 2)
    parents = [publish(federation, tmp_path, name, seed=n) for n, name in enumerate("abc")]
    publish(federation, tmp_path, "fraud", seed=5, parents=parents)
    cut = [n for n in (await client.lineage("dev/risk/fraud@1")).nodes if n.standing == "unreachable"]
    assert [node.basis for node in cut] == ["not followed: the lineage has more than 2 versions"] * 2


@pytest.mark.parametrize(
    ("reference", "depth", "error"),
    [
        ("dev/risk/fraud", 5, errors.ReferenceInvalidError),
        ("dev/risk/absent@1", 5, errors.NotFoundError),
        ("nowhere/risk/fraud@1", 5, errors.NotFoundError),
        ("dev/risk/fraud@1", -1, errors.InvalidInputError),
        ("dev/risk/fraud@1", 21, errors.InvalidInputError),
    ],
)
async def test_what_is_wrong_with_the_question_is_an_error(client, fraud, reference, depth, error):
    with pytest.raises(error):
        await client.lineage(reference, depth=depth)


# --- forward ----------------------------------------------------------------------------------------------


async def test_a_dataset_leads_to_versions_aliases_and_descendants_in_every_environment(
    federation, client, tmp_path
):
    base = publish(federation, tmp_path, "base", seed=1)
    await admit(federation, base)
    await client.set_alias("staging/risk/base@champion", 1)
    child = publish(federation, tmp_path, "child", seed=2, parents=[base], datasets=[])
    grandchild = publish(federation, tmp_path, "grandchild", seed=3, parents=[child], datasets=[])
    publish(federation, tmp_path, "other", seed=4, datasets=[{"name": "else", "uri": "u"}])
    graph = await client.reach(dataset="payments")
    assert edges(graph) == {
        (f"bundle:{base.digest}", "trained_on", "dataset:payments"),
        ("version:dev/risk/base@1", "holds", f"bundle:{base.digest}"),
        ("version:staging/risk/base@1", "holds", f"bundle:{base.digest}"),
        ("alias:staging/risk/base@champion", "points_at", "version:staging/risk/base@1"),
        (f"bundle:{child.digest}", "derived_from", "version:dev/risk/base@1"),
        ("version:dev/risk/child@1", "holds", f"bundle:{child.digest}"),
        (f"bundle:{grandchild.digest}", "derived_from", "version:dev/risk/child@1"),
        ("version:dev/risk/grandchild@1", "holds", f"bundle:{grandchild.digest}"),
    }
    assert {node.standing for node in graph.nodes[1:]} == {"verified"}
    one = await client.reach(dataset="payments", depth=1)
    assert f"bundle:{grandchild.digest}" not in {node.id for node in one.nodes}
    here = await client.reach(dataset="payments", environment="staging")
    assert {node.label for node in here.of_kind("version")} == {"staging/risk/base@1"}


async def test_a_dataset_of_a_digest_is_that_one_only(federation, client, tmp_path):
    manifest = publish(federation, tmp_path)
    digest = manifest.lineage.datasets[0].digest
    assert (await client.reach(dataset=f"payments@{digest}")).of_kind("version")
    assert not (await client.reach(dataset=f"payments@{'0' * 64}")).of_kind("version")


@pytest.mark.parametrize(
    ("asked", "found"),
    [("abcdef0", True), ("abcdef0123", True), ("abcdef01239", True), ("abcdef0124", False)],
)
async def test_a_commit_is_found_by_its_beginning(federation, client, tmp_path, asked, found):
    publish(federation, tmp_path, code={"repository": "r", "commit": "abcdef0123"})
    assert bool((await client.reach(commit=asked)).of_kind("version")) is found


async def test_what_a_registry_finds_and_the_manifest_does_not_state_is_not_believed(
    federation, client, tmp_path
):
    other = publish(federation, tmp_path, datasets=[])
    publish(federation, tmp_path, "stating", seed=2)

    def found_too(answer):
        answer.results[0].version.name = f"namespaces/risk/models/fraud/versions/{other.version}"

    federation.dev.lies["SearchVersions"] = found_too
    assert not (await client.reach(dataset="payments", environment="dev")).of_kind("version")


async def test_an_environment_that_cannot_be_asked_is_a_node_that_says_so(federation, client, tmp_path):
    publish(federation, tmp_path)
    federation.prod.lies["SearchVersions"] = _deny
    federation.servers["staging"].stop(None).wait()
    graph = await client.reach(dataset="payments")
    assert {node.label: node.standing for node in graph.of_kind("environment")} == {
        "staging": "unreachable",
        "prod": "unreachable",
    }
    assert len(graph.of_kind("version")) == 1


async def test_a_version_that_does_not_hold_is_told(federation, client, tmp_path):
    publish(federation, tmp_path)
    federation.dev.lies["ResolveVersion"] = _edited_manifest
    graph = await client.reach(dataset="payments")
    assert [node.label for node in graph.contradicted] == ["dev/risk/fraud@1"]


async def test_an_alias_that_moved_since_the_search_is_left_out(federation, client, tmp_path):
    publish(federation, tmp_path)
    publish(federation, tmp_path, version=2, seed=2, datasets=[])
    await client.set_alias("dev/risk/fraud@champion", 2)

    def stale(answer):
        for each in answer.results:
            each.aliases.extend(["champion", "removed"])

    federation.dev.lies["SearchVersions"] = stale
    assert not (await client.reach(dataset="payments")).of_kind("alias")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, errors.InvalidInputError),
        ({"dataset": "a", "commit": "abcdef0"}, errors.InvalidInputError),
        ({"commit": "zz"}, errors.InvalidInputError),
        ({"dataset": "a\nb"}, errors.InvalidInputError),
        ({"dataset": '"' * 1024}, errors.InvalidInputError),
        ({"dataset": "a", "environment": "nowhere"}, errors.NotFoundError),
        ({"dataset": "a", "depth": 99}, errors.InvalidInputError),
    ],
)
async def test_a_question_that_cannot_be_asked_is_an_error(client, arguments, error):
    with pytest.raises(error):
        await client.reach(**arguments)
