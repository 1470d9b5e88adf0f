"""From verified answers to nodes of a lineage.

Responsible for what a node says of a version, a bundle, a promotion, a piece of evidence, and for saying with
each by what it was verified. Makes no calls; ``carnet.client.verification`` verifies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet.signing.dsse import parse_envelope
from carnet.signing.provenance import Provenance
from carnet.signing.statement import parse_statement
from carnet.signing.times import format_time

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.bundle.lineage import Dataset
    from carnet.bundle.manifest import Manifest
    from carnet.client.results import Admission, AliasMove, Approval, Evidence, ResolvedVersion
    from carnet.lineage.graph import GraphBuilder, Standing, Value
    from carnet.references import Reference
    from carnet.signing.decision import Decision

_SHORT = 12


def add_alias(graph: GraphBuilder, resolved: ResolvedVersion, move: AliasMove | None) -> str:
    """Add the alias that a version was resolved by; ``move`` is what the registry tells of its last move."""
    alias = resolved.alias
    assert alias is not None
    entry = resolved.receipt.entry
    return graph.add(
        "alias",
        str(alias.reference),
        str(alias.reference),
        standing="verified",
        basis=_receipt_basis(resolved),
        attributes=_place(alias.reference)
        | {
            "alias": alias.reference.alias,
            "version": resolved.reference.version,
            "digest": resolved.bundle_digest,
            "revision": alias.revision,
            "moved_by": entry.actor.subject,
            "moved_at": format_time(entry.time),
            "log_index": resolved.receipt.receipt.index,
            "promotion": str(entry.subject.get("promotion", "")),
            "kind": move.kind if move else "",
            "reason_code": move.reason_code if move else "",
            "note": move.note if move else "",
        },
    )


def add_version(graph: GraphBuilder, resolved: ResolvedVersion) -> str:
    """Add a version in its environment, resolved by its number."""
    entry, version = resolved.receipt.entry, resolved.version
    return graph.add(
        "version",
        str(resolved.reference),
        str(resolved.reference),
        standing="verified",
        basis=f"{_receipt_basis(resolved)}; signature by {resolved.signer}",
        attributes=_place(resolved.reference)
        | {
            "version": resolved.reference.version,
            "semantic_version": resolved.manifest.semantic_version,
            "digest": resolved.bundle_digest,
            "home": resolved.manifest.home,
            "stage": version.stage,
            "signer": resolved.signer,
            "source": version.source,
            "promotion": str(entry.subject.get("promotion", "")),
            "arrived_at": format_time(entry.time),
            "log_index": resolved.receipt.receipt.index,
            "decision_digest": entry.envelope_digest or "",
        },
    )


def add_missing_version(
    graph: GraphBuilder, reference: Reference, standing: Standing, basis: str, *, digest: str = ""
) -> str:
    """Add a version that is named, and was not verified."""
    key = f"{reference}#{digest[:_SHORT]}" if standing == "contradicted" and digest else str(reference)
    return graph.add(
        "version",
        key,
        str(reference),
        standing=standing,
        basis=basis,
        attributes=_place(reference) | {"version": reference.version, "digest": digest},
    )


def add_bundle(graph: GraphBuilder, resolved: ResolvedVersion) -> str:
    """Add the bundle of a version; it is one, however many environments have it."""
    manifest = resolved.manifest
    code, environment = manifest.lineage.code, manifest.environment
    return graph.add(
        "bundle",
        resolved.bundle_digest,
        f"{manifest.subject_name} {resolved.bundle_digest[:_SHORT]}",
        standing="verified",
        basis=f"signature by {resolved.signer} over the manifest and every file's digest",
        attributes={
            "subject": manifest.subject_name,
            "digest": resolved.bundle_digest,
            "signer": resolved.signer,
            "owner": manifest.owner,
            "semantic_version": manifest.semantic_version,
            "file_count": len(manifest.files),
            "size_bytes": sum(file.size_bytes for file in manifest.files),
            "repository": code.repository if code else "",
            "commit": code.commit if code else "",
            "framework": f"{environment.framework.name} {environment.framework.version}"
            if environment.framework
            else "",
            "trained_at": environment.trained_at,
            "training_seconds": environment.training_seconds,
        },
    )


def add_origins(graph: GraphBuilder, bundle: str, resolved: ResolvedVersion) -> None:
    """Add what a manifest states of the making of its bundle, but for the parents."""
    manifest = resolved.manifest
    lineage = manifest.lineage
    basis = f"the manifest of {manifest.subject_name}, signed by {resolved.signer}"
    if lineage.code is not None:
        code = graph.add(
            "code",
            f"{lineage.code.repository}@{lineage.code.commit}",
            f"{lineage.code.repository} {lineage.code.commit[:_SHORT]}",
            standing="stated",
            basis=basis,
            attributes={"repository": lineage.code.repository, "commit": lineage.code.commit},
        )
        graph.link(bundle, "built_from", code)
    for each in lineage.datasets:
        graph.link(bundle, "trained_on", _add_dataset(graph, each, basis))
    if lineage.features is not None:
        features = graph.add(
            "features",
            f"{lineage.features.name}@{lineage.features.snapshot or lineage.features.uri}",
            f"{lineage.features.name} {lineage.features.snapshot}".strip(),
            standing="stated",
            basis=basis,
            attributes=lineage.features.model_dump(),
        )
        graph.link(bundle, "uses", features)
    if lineage.training_run is not None:
        run = graph.add(
            "training_run",
            f"{lineage.training_run.id}@{lineage.training_run.uri}",
            lineage.training_run.id,
            standing="stated",
            basis=basis,
            attributes=lineage.training_run.model_dump(),
        )
        graph.link(bundle, "made_by", run)
    _add_preprocessing(graph, bundle, manifest, basis)


def _add_dataset(graph: GraphBuilder, dataset: Dataset, basis: str) -> str:
    window = dataset.window
    return graph.add(
        "dataset",
        f"{dataset.name}@{dataset.digest or dataset.uri}",
        f"{dataset.name} {dataset.digest[:_SHORT]}".strip(),
        standing="stated",
        basis=basis,
        attributes={
            "name": dataset.name,
            "uri": dataset.uri,
            "digest": dataset.digest,
            "window_start": window.start if window else "",
            "window_end": window.end if window else "",
        },
    )


def _add_preprocessing(graph: GraphBuilder, bundle: str, manifest: Manifest, basis: str) -> None:
    preprocessing = manifest.feature_schema.preprocessing
    if preprocessing is None:
        return
    digest = next((file.digest for file in manifest.files if file.path == preprocessing.path), "")
    name = preprocessing.path or f"{preprocessing.name} {preprocessing.version}"
    node = graph.add(
        "preprocessing",
        f"{name}@{digest}" if digest else name,
        name,
        standing="verified" if digest else "stated",
        basis=f"file of the bundle, whose digest is in {basis}" if digest else basis,
        attributes=preprocessing.model_dump() | {"digest": digest},
    )
    graph.link(bundle, "uses", node)


def add_decision(graph: GraphBuilder, environment: str, digest: str, decision: Decision) -> str:
    """Add an environment's verified decision."""
    return graph.add(
        "decision",
        digest,
        f"{environment} decided {decision.verification_result}",
        standing="verified",
        basis=f"signature by the environment {environment}",
        attributes={
            "environment": environment,
            "digest": digest,
            "result": decision.verification_result,
            "decided_at": format_time(decision.time_verified),
            "policy_digest": decision.policy.digest.sha256,
            "promotion": decision.promotion,
            "alias": decision.alias,
            "by_rollout": decision.by_rollout or None,
            "rules": tuple(f"{each.rule} {each.status}" for each in decision.rules),
            "skipped": decision.skipped,
        },
    )


def add_evidence(graph: GraphBuilder, evidence: Evidence) -> str:
    """Add an attestation; its digest and subject were recomputed, and its signer may not be known here."""
    attributes: dict[str, Value | None] = {
        "digest": evidence.digest,
        "predicate_type": evidence.predicate_type,
        "suite": evidence.suite,
        "result": evidence.result,
        "signer": evidence.signer,
        "trusted": evidence.trusted,
        "metrics": tuple(f"{each.key}={each.value:g}" for each in evidence.metrics),
        "added_at": _time(evidence.added_at),
    }
    return graph.add(
        "evidence",
        evidence.digest,
        f"{evidence.kind} {evidence.result}".strip(),
        standing="verified" if evidence.signer else "stated",
        basis=f"signature by {evidence.signer}"
        if evidence.signer
        else f"the registry says that {evidence.stated_signer} signed it, with a key that is not pinned here",
        attributes=attributes | _provenance(evidence),
    )


def _provenance(evidence: Evidence) -> dict[str, Value | None]:
    """Read who built it, and how, out of provenance; a foreign form of it says nothing that is read."""
    if evidence.predicate_type != Provenance.PREDICATE_TYPE:
        return {}
    try:
        said = Provenance.parse(parse_statement(parse_envelope(evidence.envelope)))
    except CarnetError:
        return {}
    return {"builder": said.run_details.builder.id, "build_type": said.build_definition.build_type}


def add_promotion(graph: GraphBuilder, shown: Admission, *, request_signer: str) -> str:
    """Add a promotion as its target holds it."""
    shown_by = [f"decision {shown.decision_digest[:_SHORT]} signed by {shown.target}"]
    shown_by += [f"dossier {shown.dossier_digest[:_SHORT]} signed by {shown.target}"] * bool(shown.dossier)
    shown_by += [f"request signed by {request_signer}"] * bool(request_signer)
    return graph.add(
        "promotion",
        shown.promotion,
        f"{shown.source} → {shown.target}",
        standing="verified" if shown.decision_digest else "stated",
        basis="; ".join(shown_by)
        if shown.decision_digest
        else f"{shown.target} says that it is {shown.state}",
        attributes={
            "promotion": shown.promotion,
            "source": shown.source,
            "target": shown.target,
            "state": shown.state,
            "alias": shown.alias,
            "by_rollout": shown.by_rollout or None,
            "digest": shown.bundle_digest,
            "requester": shown.requester,
            "request_signer": request_signer,
            "publisher": shown.publisher,
            "policy_digest": shown.policy_digest,
            "dossier_digest": shown.dossier_digest,
            "decision_digest": shown.decision_digest,
            "skipped": shown.skipped,
        },
    )


def add_approval(graph: GraphBuilder, approval: Approval, *, target: str) -> str:
    """Add a person's word about a promotion."""
    return graph.add(
        "approval",
        approval.digest,
        f"{approval.person or approval.approver} {approval.meaning}",
        standing="verified" if approval.signer else "stated",
        basis=_basis_of(approval, target),
        attributes={
            "digest": approval.digest,
            "approver": approval.approver,
            "person": approval.person,
            "meaning": approval.meaning,
            "reason": approval.reason,
            "signer": approval.signer,
            "received_at": _time(approval.received_at),
            **({"erased": True} if approval.erased else {}),
        },
    )


def _basis_of(approval: Approval, target: str) -> str:
    if approval.signer:
        return f"signature by {approval.signer}"
    if approval.erased:
        return f"{target} says that {approval.approver} signed it; what was signed was erased"
    return f"{target} says that {approval.approver} signed it, with a key that is not pinned here"


def _place(reference: Reference) -> dict[str, Value | None]:
    return {
        "environment": reference.environment,
        "namespace": reference.namespace,
        "model": reference.model,
    }


def _receipt_basis(resolved: ResolvedVersion) -> str:
    return f"receipt: entry {resolved.receipt.receipt.index} of {resolved.receipt.environment}'s log"


def _time(moment: datetime | None) -> str:
    return format_time(moment) if moment else ""
