"""``carnet ls`` and ``carnet show``: looking, and changing nothing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, print_table, short, size, when
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.cli.version_page import print_model, print_version
from carnet.errors import UnimplementedError
from carnet.stages import Stage

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.client import Client
    from carnet.client.results import Hold, Model, Version
    from carnet.references import Reference


@click.command(cls=Command)
@click.argument("where", metavar="[ENV[/NAMESPACE[/MODEL]]]", required=False, default="")
@click.option(
    "--stage", type=click.Choice(tuple(map(str, Stage))), help="Of one model: only versions at this stage."
)
@pass_settings
def ls(settings: Settings, where: str, stage: str | None) -> None:
    """List models, or the versions of one model.

    Examples:
      carnet ls                    all models of all environments
      carnet ls prod/risk          the models of a namespace
      carnet ls prod/risk/fraud    a model's versions
    """
    with settings.client() as client:
        if where.count("/") == 2:
            versions = client.versions(where, stage=stage or "")
            emit(settings, {"versions": versions}, lambda page: _print_versions(page, versions))
            return
        if stage:
            environment = where.partition("/")[0] or "ENV"
            raise click.UsageError(
                f"--stage lists the versions of one model; `carnet search {environment} 'stage = {stage}'` "
                "finds those of all"
            )
        models = _models(client, where)
    emit(settings, {"models": models}, lambda page: _print_models(page, models))


def _models(client: Client, where: str) -> list[Model]:
    environment, _, namespace = where.partition("/")
    names = [environment] if environment else list(client.federation.environments)
    return [model for name in names for model in client.models(name, namespace=namespace)]


def _print_models(page: Console, models: list[Model]) -> None:
    if not models:
        page.print("no models here yet; `carnet push` publishes one")
        return
    print_table(
        page,
        ("model", "owner", "versions#", "newest#", "aliases"),
        (
            (
                each.reference,
                each.owner,
                each.version_count,
                each.latest_version,
                ", ".join(f"{alias.reference.alias} → {alias.version}" for alias in each.aliases),
            )
            for each in models
        ),
    )


def _print_versions(page: Console, versions: tuple[Version, ...]) -> None:
    if not versions:
        page.print("no versions here yet")
        return
    print_table(
        page,
        ("version", "semantic", "stage", "bundle", "size", "from", "publisher", "arrived"),
        (
            (
                each.reference,
                each.semantic_version,
                f"{each.stage}, purged" if each.purged_at else each.stage,
                short(each.bundle_digest),
                size(each.size_bytes),
                each.source or "published",
                each.publisher,
                when(each.created_at),
            )
            for each in versions
        ),
    )


@click.command(cls=Command)
@click.argument("reference", metavar="REF")
@pass_settings
def show(settings: Settings, reference: str) -> None:
    """Show a model, or a version with its metrics, lineage, files and evidence.

    Examples:
      carnet show prod/risk/fraud
      carnet show prod/risk/fraud@champion
    """
    with settings.client() as client:
        if "@" not in reference:
            model, versions = client.model(reference), client.versions(reference)

            def show_model(page: Console) -> None:
                print_model(page, model)
                _print_versions(page, versions)

            emit(settings, {"model": model, "versions": versions}, show_model)
            return
        resolved = client.resolve(reference)
        evidence = client.evidence(resolved.reference)
        earlier = client.compatibility(resolved.reference)
        found = client.aliases(
            f"{resolved.reference.environment}/{resolved.reference.namespace}/{resolved.reference.model}"
        )
        holds = _holds_on(client, resolved.reference)
    number = resolved.reference.version
    aliases = [each for each in found if number in (each.version, each.marked_version)]
    answer = {
        "version": resolved.version,
        "alias": resolved.alias,
        "aliases": [each.reference.alias for each in aliases if each.version == number],
        "marks": [
            {
                "alias": each.reference.alias,
                "marked_at": each.marked_at,
                "marked_by": each.marked_by,
                "note": each.mark_note,
            }
            for each in aliases
            if each.marked_version == number
        ],
        "signer": resolved.signer,
        "receipt": resolved.receipt,
        "manifest": resolved.manifest,
        "evidence": evidence,
        "semantic_version": resolved.manifest.semantic_version,
        "compatible_with": earlier,
        "holds": holds,
    }
    emit(
        settings, answer, lambda page: print_version(page, resolved, aliases, evidence, earlier, holds=holds)
    )


def _holds_on(client: Client, reference: Reference) -> list[Hold]:
    """Return the holds in force on a version, its model's too; a registry may be too old to know any."""
    where = f"{reference.environment}/{reference.namespace}/{reference.model}"
    with contextlib.suppress(UnimplementedError):
        return [each for each in client.holds(where) if each.reference.version in (0, reference.version)]
    return []
