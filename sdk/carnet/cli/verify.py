"""``carnet verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, entry_of, print_fields, size, when
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.folders import PinnedKeys
    from carnet.client.results import VerifiedBundle
    from carnet.stamps.report import VerifiedStamps, VerifiedStop


@click.command(cls=Command)
@click.argument("what", metavar="PATH|REF")
@click.option(
    "--require",
    metavar="ENV",
    default="",
    help="Fail unless the stamps show that it came through this environment.",
)
@click.option(
    "--stamps",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder with the stamps, which must be there; else PATH.carnet, if it is there.",
)
@click.option(
    "--trust",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The pinned keys, YAML or JSON; else those of federation.yaml.",
)
@pass_settings
def verify(settings: Settings, what: str, require: str, stamps: Path | None, trust: Path | None) -> None:
    """Verify a pulled directory with its stamps, a receipt, or a version in a registry.

    Every file is hashed, the manifest and the signature are checked against the pinned keys. For a directory
    the stamps beside it are checked too: each signature and receipt, and that none is missing on the way from
    the bundle's home; for a version in a registry its evidence and its log's receipt. Nobody is asked about a
    directory or a receipt. Exit code 6 when something does not hold.

    Examples:
      carnet verify ./fraud
      carnet verify ./fraud --require prod --trust pins.yaml
      carnet verify ./fraud.carnet/receipts/3f….tlog-proof
      carnet verify prod/risk/fraud@champion
    """
    path = Path(what)
    if path.exists() or path.is_symlink():
        _verify_files(settings, path, _keys(settings, trust), require=require, stamps=stamps)
        return
    if require or stamps or trust:
        raise click.UsageError(
            f"--require, --stamps and --trust are for files, and {what} is none on this disk"
        )
    with settings.client() as client, progress_shown(settings) as progress:
        found = client.verify(what, progress=progress)
    emit(settings, found, lambda page: _show_bundle(page, found))


def _keys(settings: Settings, trust: Path | None) -> PinnedKeys:
    from carnet.client.folders import PinnedKeys  # noqa: PLC0415  loads the verifier

    return PinnedKeys.of_file(trust) if trust else PinnedKeys.of_federation(settings.federation())


def _verify_files(
    settings: Settings, path: Path, keys: PinnedKeys, *, require: str, stamps: Path | None
) -> None:
    from carnet.client import folders  # noqa: PLC0415  as above

    if folders.is_receipt_file(path):
        if require or stamps:
            raise click.UsageError("--require and --stamps are for a bundle's directory, not for a receipt")
        _show_receipt(settings, path, keys)
        return
    with progress_shown(settings) as progress:
        found = folders.verify_bundle_folder(path, keys, stamps=stamps, require=require, progress=progress)
    emit(settings, found, lambda page: _show_bundle(page, found))


def _show_receipt(settings: Settings, path: Path, keys: PinnedKeys) -> None:
    from carnet.client.folders import verify_receipt_file  # noqa: PLC0415  as above

    found = verify_receipt_file(path, keys.pins())
    entry, receipt = found.entry, found.receipt

    def show(page: Console) -> None:
        page.print(
            f"{path} is entry {receipt.index} of {found.environment}'s log, at its size {receipt.tree_size}"
        )
        changed = "" if entry.new is None else f"{entry.old or 'nothing'} → {entry.new or 'nothing'}"
        print_fields(
            page,
            (
                ("what", str(entry.type)),
                ("about", ", ".join(f"{key} {value}" for key, value in sorted(entry.subject.items()))),
                ("changed", changed),
                ("by", entry.actor.subject),
                ("at", when(entry.time)),
                ("rests on", entry.envelope_digest),
            ),
        )

    emit(settings, found, show)


def _show_bundle(page: Console, found: VerifiedBundle) -> None:
    page.print(f"{found.where} is {found.subject}, whole and signed")
    print_fields(
        page,
        (
            ("bundle", found.bundle_digest),
            ("signed by", found.signer),
            ("files", f"{found.file_count}, {size(found.size_bytes)}, all hashed"),
            ("evidence", f"{found.evidence_count} attestations verified" if found.receipt else ""),
            ("log", entry_of(found.receipt) if found.receipt else ""),
            (
                "stamps",
                "" if found.stamps or found.receipt else "no stamps: where it was admitted is not shown",
            ),
        ),
    )
    if found.stamps is not None:
        _show_stamps(page, found.stamps)


def _show_stamps(page: Console, stamps: VerifiedStamps) -> None:
    last, alias = stamps.stops[-1], stamps.alias
    where = f"last {last.arrival} {'to' if last.promotion else 'in'} {last.environment}"
    page.print(f"{where}, every stamp verified")
    print_fields(page, [field for stop in stamps.stops for field in _stop(stop)])
    moved = mover = ""
    if alias:
        moved = f"{alias.name}, moved here at {when(alias.moved_at)} (entry {alias.log_index})"
        mover = f"promotion {alias.promotion}" if alias.promotion else ""
    unknown = f", {stamps.unknown_evidence} by unknown signers" if stamps.unknown_evidence else ""
    counts = f"{stamps.receipt_count} receipts, {stamps.statement_count} statements"
    later = "what came later, such as a revocation, cannot be seen offline"
    print_fields(
        page,
        (
            ("alias", moved),
            ("moved by", mover),
            ("stamps", f"{counts}, {stamps.evidence_count} attestations{unknown}"),
            ("as of", f"entry {stamps.as_of_size - 1} of {last.environment}, {when(stamps.as_of)}: {later}"),
        ),
    )


def _stop(stop: VerifiedStop) -> tuple[tuple[str, str], ...]:
    told = f"{stop.arrival} {when(stop.arrived_at)} (entry {stop.log_index})"
    if stop.promotion:
        told += f" by promotion {stop.promotion}, asked for by {stop.requested_by}"
    if stop.approved_by:
        told += f", approved by {', '.join(stop.approved_by)}"
    if stop.broken_by:
        told += f", GLASS BROKEN by {', '.join(stop.broken_by)} for {', '.join(stop.skipped)}"
    return (
        (stop.environment, told),
        ("", f"policy {stop.policy_digest}" if stop.policy_digest else ""),
    )
