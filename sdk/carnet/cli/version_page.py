"""The pages for one model and for one version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.cli.marks import mark_of
from carnet.cli.output import entry_of, number, print_fields, print_table, short, size, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from carnet.bundle.manifest import Manifest
    from carnet.client.results import (
        Alias,
        CompatibleVersion,
        Evidence,
        Hold,
        Model,
        ResolvedVersion,
        Version,
    )

_MAX_FIGURES = 8


def print_model(page: Console, model: Model) -> None:
    """Print a model and its aliases."""
    print_fields(
        page,
        (
            ("model", model.reference),
            ("home", model.home),
            ("owner", model.owner),
            ("versions", model.version_count),
        ),
    )
    if model.aliases:
        print_table(
            page,
            ("alias", "version#", "revision#", "protected", "moved"),
            (
                (
                    each.reference.alias,
                    each.version,
                    each.revision,
                    "yes" if each.protected else "",
                    when(each.updated_at),
                )
                for each in model.aliases
            ),
        )


def print_version(
    page: Console,
    found: ResolvedVersion,
    aliases: Sequence[Alias],
    evidence: Sequence[Evidence],
    earlier: Sequence[CompatibleVersion] = (),
    *,
    holds: Sequence[Hold] = (),
) -> None:
    """Print a version: where it stands, what it is, what is known about it.

    Args:
        page: Where to.
        found: The version.
        aliases: The aliases that point at it or whose mark it is.
        evidence: What is attested of it.
        earlier: Which earlier versions it is compatible with.
        holds: The holds in force on it, its model's too.
    """
    version, manifest = found.version, found.manifest
    pointing = [each.reference.alias for each in aliases if each.version == found.reference.version]
    marking = [each for each in aliases if each.marked_version == found.reference.version]
    print_fields(
        page,
        (
            ("version", found.reference),
            ("semantic version", manifest.semantic_version),
            *_compatibility(earlier),
            ("aliases", ", ".join(pointing)),
            *(
                ("mark", f"marked as known-good for alias {each.reference.alias} {mark_of(each)}")
                for each in marking
            ),
            ("stage", f"{version.stage} since {when(version.staged_at)}"),
            *_purge(version),
            *(("held", _hold(each)) for each in holds),
            ("bundle", version.bundle_digest),
            ("signed by", found.signer),
            ("came from", version.source or "published here"),
            ("promotion", version.promotion),
            ("arrived", when(version.created_at)),
            ("log", entry_of(found.receipt)),
            ("owner", manifest.owner),
            ("description", manifest.description),
            *(("caveat", each) for each in manifest.caveats),
            ("labels", ", ".join(f"{name}={value}" for name, value in manifest.labels.items())),
            *_origin(manifest),
        ),
    )
    if manifest.metrics:
        page.print("declared metrics")
        print_table(
            page,
            ("metric", "value#", "direction"),
            ((each.key, number(each.value), each.direction) for each in manifest.metrics),
        )
    page.print("files")
    print_table(
        page,
        ("path", "role", "size", "sha-256"),
        ((each.path, each.role, size(each.size_bytes), short(each.digest)) for each in manifest.files),
    )
    if evidence:
        page.print("evidence")
        print_evidence(page, evidence)


def print_evidence(page: Console, evidence: Iterable[Evidence]) -> None:
    """Print a list of evidence."""
    print_table(
        page,
        ("evidence", "kind", "result", "signed by", "counts here", "metrics", "added"),
        (
            (
                short(each.digest),
                each.kind,
                each.result,
                each.signer or f"key not pinned here ({each.stated_signer or 'unknown'})",
                "yes" if each.trusted else "no",
                _figures(each),
                when(each.added_at),
            )
            for each in evidence
        ),
    )


def _figures(evidence: Evidence) -> str:
    """Return what an attestation measured; of very many figures, as of a skew report, the first."""
    shown = ", ".join(f"{each.key}={number(each.value)}" for each in evidence.metrics[:_MAX_FIGURES])
    more = len(evidence.metrics) - _MAX_FIGURES
    return f"{shown}, and {more} more" if more > 0 else shown


def _purge(version: Version) -> list[tuple[str, object]]:
    if version.purged_at is None:
        return []
    told = f"{when(version.purged_at)}, log entry {version.purge_log_index}: its files are gone"
    return [("purged", told)]


def _hold(hold: Hold) -> str:
    what = "this version" if hold.reference.version else "the whole model"
    until = f" until {when(hold.expires_at)}" if hold.expires_at else ""
    return f"{what}{until}, by hold {hold.hold}: {hold.reason}"


def _compatibility(earlier: Sequence[CompatibleVersion]) -> list[tuple[str, object]]:
    fits = [each for each in earlier if each.compatible]
    breaks = [each for each in earlier if not each.compatible]
    fields: list[tuple[str, object]] = []
    if earlier:
        fields.append(("compatible with", ", ".join(map(_named, fits)) or "no earlier version"))
    if breaks:
        why = "; ".join(breaks[0].changes)
        fields.append(("breaks", f"{', '.join(map(_named, breaks))}; the newest of them because {why}"))
    return fields


def _named(each: CompatibleVersion) -> str:
    return f"@{each.reference.version}" + (f" ({each.semantic_version})" if each.semantic_version else "")


def _origin(manifest: Manifest) -> list[tuple[str, object]]:
    lineage, environment = manifest.lineage, manifest.environment
    fields: list[tuple[str, object]] = []
    if lineage.code:
        fields.append(("code", f"{lineage.code.repository} @ {lineage.code.commit}"))
    fields += [("dataset", f"{each.name} ({each.uri})") for each in lineage.datasets]
    if environment.framework:
        fields.append(("framework", f"{environment.framework.name} {environment.framework.version}"))
    fields.append(("python", environment.python))
    return fields
