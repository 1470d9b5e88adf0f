"""A version as a CycloneDX ML-BOM.

Responsible for one bill of materials of one version: the model with its files, its model card, what it was
trained on and in, the versions that it was derived from, and where signature, evidence and log entry are. It
says what the signed manifest states and what was verified, and marks the rest as not known. It is a form for
other tools, unsigned: what counts is the bundle with its signature.

Reference: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/, ECMA-424). Python's own library for it has no
model cards, so that the document is put together here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from carnet.canonical import sha256_hex
from carnet.lineage.mlbom_card import model_card, named
from carnet.lineage.uris import as_uri
from carnet.signing.times import format_time
from carnet.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from carnet.bundle.manifest import Manifest
    from carnet.client.results import Evidence, ResolvedVersion
    from carnet.lineage.graph import LineageGraph, LineageNode

SPEC_VERSION: Final = "1.6"
_SERIALS: Final = UUID("b1c7c1c0-5a2d-5b53-8f53-4d0f0d7d4c3e")
_MODEL: Final = "model"
_KNOWN_LABELS: Final = frozenset({"license", "task"})
"""Labels that have a place of their own in the form."""


def to_mlbom(
    resolved: ResolvedVersion, evidence: Sequence[Evidence], graph: LineageGraph, *, made_at: datetime
) -> dict[str, Any]:
    """Return the bill of materials of a version.

    Args:
        resolved: The version, verified.
        evidence: The evidence that its environment holds.
        graph: Its lineage, back; its root is the version.
        made_at: When the document is made, aware.

    Returns:
        The document, which CycloneDX 1.6's JSON schema admits.
    """
    serial = uuid5(_SERIALS, f"{resolved.reference} {resolved.bundle_digest} {format_time(made_at)}")
    needed = [*_environment(resolved.manifest), *_datasets(resolved.manifest)]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": format_time(made_at),
            "tools": {"components": [{"type": "application", "name": "carnet", "version": __version__}]},
            "component": _model(resolved, evidence, graph),
        },
        "components": needed,
        "dependencies": [
            {"ref": _MODEL, "dependsOn": [each["bom-ref"] for each in needed]},
            *({"ref": each["bom-ref"]} for each in needed),
        ],
        # The manifest lists every file. What the environment holds besides is in its lock file at most.
        "compositions": [
            {"aggregate": "complete", "assemblies": [_MODEL]},
            {"aggregate": "unknown", "dependencies": [_MODEL]},
        ],
    }


def _model(resolved: ResolvedVersion, evidence: Sequence[Evidence], graph: LineageGraph) -> dict[str, Any]:
    manifest = resolved.manifest
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "group": manifest.namespace,
        "name": manifest.model,
        "version": str(manifest.version),
        "publisher": resolved.signer,
        "components": list(_files(resolved)),
        "externalReferences": list(_references(resolved, evidence, graph)),
        "modelCard": model_card(manifest, evidence, [each["bom-ref"] for each in _datasets(manifest)]),
        "properties": list(_properties(resolved, graph)),
    }
    if manifest.description:
        component["description"] = manifest.description
    if manifest.owner:
        component["manufacturer"] = {"name": manifest.owner}
    if "license" in manifest.labels:
        declared = {"name": manifest.labels["license"], "acknowledgement": "declared"}
        component["licenses"] = [{"license": declared}]
    pedigree = _pedigree(graph, manifest)
    if pedigree:
        component["pedigree"] = pedigree
    return component


def _files(resolved: ResolvedVersion) -> Iterator[dict[str, Any]]:
    for file in resolved.manifest.files:
        yield _file(
            file.path,
            file.digest,
            named("carnet:role", file.role),
            named("carnet:size_bytes", str(file.size_bytes)),
        )
    yield _file("manifest.json", resolved.bundle_digest, named("carnet:role", "manifest"))
    yield _file("model.sig", sha256_hex(resolved.signature), named("carnet:role", "signature"))


def _file(path: str, digest: str, *properties: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file:{path}",
        "name": path,
        "hashes": _sha256(digest),
        "properties": list(properties),
    }


def _environment(manifest: Manifest) -> Iterator[dict[str, Any]]:
    stated = manifest.environment
    if stated.framework is not None:
        yield {
            "type": "framework",
            "bom-ref": "framework",
            "name": stated.framework.name,
            "version": stated.framework.version,
        }
    for name, version in (("python", stated.python), ("cuda", stated.cuda)):
        if version:
            yield {"type": "platform", "bom-ref": name, "name": name, "version": version}
    if stated.image_digest:
        yield {
            "type": "container",
            "bom-ref": "image",
            "name": "training image",
            "version": stated.image_digest,
        }
    if stated.lock_file_digest:
        lock = _file("lock file", stated.lock_file_digest, named("carnet:role", "lock file"))
        yield lock | {"bom-ref": "lock-file"}


def _datasets(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for number, dataset in enumerate(manifest.lineage.datasets):
        properties = []
        if dataset.window is not None:
            properties = [
                named("carnet:window_start", dataset.window.start),
                named("carnet:window_end", dataset.window.end),
            ]
        contents: dict[str, Any] = {"url": as_uri(dataset.uri)}
        if properties:
            contents["properties"] = properties
        component: dict[str, Any] = {
            "type": "data",
            "bom-ref": f"dataset:{number}",
            "name": dataset.name,
            "data": [{"type": "dataset", "name": dataset.name, "contents": contents}],
        }
        if dataset.digest:
            component["hashes"] = _sha256(dataset.digest)
        yield component


def _references(
    resolved: ResolvedVersion, evidence: Sequence[Evidence], graph: LineageGraph
) -> Iterator[dict[str, Any]]:
    here = f"carnet://{resolved.reference.environment}"
    lineage = resolved.manifest.lineage
    yield _reference(
        "digital-signature",
        f"{here}/{resolved.manifest.namespace}/{resolved.manifest.model}/{resolved.reference.version}/model.sig",
        f"OpenSSF Model Signing, by {resolved.signer}",
        sha256_hex(resolved.signature),
    )
    index = resolved.receipt.receipt.index
    yield _reference(
        "log", f"{here}/log/{index}", f"the entry of its arrival, {index}, proved to be in the log"
    )
    decided = {node.attributes.get("digest") for node in graph.of_kind("decision")}
    for each in evidence:
        what = "decision" if each.digest in decided else f"{each.kind} {each.result}".strip()
        known = f"by {each.signer}" if each.signer else "by a key that is not pinned"
        comment = f"{what}, signed {known}: {each.predicate_type}"
        yield _reference("attestation", f"{here}/evidence/{each.digest}", comment, each.digest)
    if lineage.code is not None:
        comment = f"the training code, at the commit {lineage.code.commit}"
        yield _reference("vcs", as_uri(lineage.code.repository), comment)
    if lineage.training_run is not None and lineage.training_run.uri:
        comment = f"the training run {lineage.training_run.id}"
        yield _reference("build-meta", as_uri(lineage.training_run.uri), comment)


def _reference(kind: str, url: str, comment: str, digest: str = "") -> dict[str, Any]:
    reference: dict[str, Any] = {"type": kind, "url": url, "comment": comment}
    if digest:
        reference["hashes"] = _sha256(digest)
    return reference


def _properties(resolved: ResolvedVersion, graph: LineageGraph) -> Iterator[dict[str, str]]:
    manifest, entry = resolved.manifest, resolved.receipt.entry
    environment = manifest.environment
    features, run = manifest.lineage.features, manifest.lineage.training_run
    stated = {
        "carnet:bundle_digest": resolved.bundle_digest,
        "carnet:home": manifest.home,
        "carnet:environment": resolved.reference.environment,
        "carnet:arrived_at": format_time(entry.time),
        "carnet:promotion": str(entry.subject.get("promotion", "")),
        "carnet:stage": resolved.version.stage,
        "carnet:semantic_version": manifest.semantic_version,
        "carnet:trained_at": environment.trained_at,
        "carnet:hardware": environment.hardware,
        "carnet:features": f"{features.name} {features.snapshot}".strip() if features else "",
        "carnet:training_run": run.id if run else "",
    }
    yield from (named(name, value) for name, value in stated.items() if value)
    for key, value in manifest.labels.items():
        if key not in _KNOWN_LABELS:
            yield named(f"carnet:label:{key}", value)
    for node in graph.nodes:
        if node.standing == "unreachable":
            yield named("carnet:not_read", f"{node.label}: {node.basis}")


def _pedigree(graph: LineageGraph, manifest: Manifest) -> dict[str, Any]:
    """Return the versions that it was derived from, and the commit of the code that made it."""
    pedigree: dict[str, Any] = {}
    ancestors = _ancestors(graph, graph.root, frozenset({graph.root}))
    if ancestors:
        pedigree["ancestors"] = ancestors
    if manifest.lineage.code is not None:
        pedigree["commits"] = [
            {"uid": manifest.lineage.code.commit, "url": as_uri(manifest.lineage.code.repository)}
        ]
    return pedigree


def _ancestors(graph: LineageGraph, version: str, seen: frozenset[str]) -> list[dict[str, Any]]:
    bundles = {edge.target for edge in graph.edges if edge.source == version and edge.relation == "holds"}
    parents = dict.fromkeys(
        edge.target for edge in graph.edges if edge.source in bundles and edge.relation == "derived_from"
    )
    return [_ancestor(graph, graph.node(parent), seen) for parent in parents if parent not in seen]


def _ancestor(graph: LineageGraph, node: LineageNode, seen: frozenset[str]) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "group": str(node.attributes.get("namespace", "")),
        "name": str(node.attributes.get("model", node.label)),
        "version": str(node.attributes.get("version", "")),
        "properties": [
            named("carnet:bundle_digest", str(node.attributes.get("digest", ""))),
            named("carnet:standing", node.standing),
            named("carnet:basis", node.basis),
        ],
    }
    before = _ancestors(graph, node.id, seen | {node.id})
    return component | ({"pedigree": {"ancestors": before}} if before else {})


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]
