"""``carnet audit bom``: a version's bill of materials."""

from __future__ import annotations

import json
from pathlib import Path

import click

from carnet.cli.files import write_whole
from carnet.cli.output import emit
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.errors import StatementInvalidError


@click.command("bom", cls=Command)
@click.argument("reference", metavar="REF")
@click.option(
    "--out",
    "target",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it to a file; else to stdout.",
)
@pass_settings
def bom(settings: Settings, reference: str, target: Path | None) -> None:
    """Write the CycloneDX ML-BOM of a version.

    Model card, files with their digests, data, environment, ancestors, and where signature, evidence and log
    entry are. Version, signature, receipt and evidence are verified first; where something contradicts what
    was signed or logged, nothing is written.

    Examples:
      carnet audit bom prod/risk/fraud@champion --out fraud.cdx.json
      carnet audit bom prod/risk/fraud@3
    """
    from datetime import UTC, datetime  # noqa: PLC0415  a quick `--help` needs none of it

    from carnet.lineage.mlbom import to_mlbom  # noqa: PLC0415  as above

    with settings.client() as client:
        resolved = client.resolve(reference)
        evidence = client.evidence(resolved.reference)
        graph = client.lineage(resolved.reference)
    if graph.contradicted:
        node = graph.contradicted[0]
        raise StatementInvalidError(
            f"no bill of materials is made of {reference}: {node.label}: {node.basis}"
        )
    document = to_mlbom(resolved, evidence, graph, made_at=datetime.now(UTC))
    if target is None:
        click.echo(json.dumps(document, ensure_ascii=False, indent=None if settings.json else 2))
        return
    write_whole(
        target,
        (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode(),
        what="the bill of materials",
    )
    emit(
        settings,
        {
            "path": target,
            "reference": resolved.reference,
            "bundle_digest": resolved.bundle_digest,
            "serial_number": document["serialNumber"],
        },
        lambda page: page.print(
            f"the bill of materials of {resolved.reference} is in {target}", soft_wrap=True
        ),
    )
