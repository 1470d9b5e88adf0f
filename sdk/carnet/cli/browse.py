"""``carnet ls``, ``carnet show`` and ``carnet compare``: looking, and changing nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, number, print_table, short, size, when
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.cli.version_page import print_model, print_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from carnet.bundle.compare import Change, Comparison
    from carnet.client.client import Client
    from carnet.client.results import Model, Version


@click.command(cls=Command)
@click.argument("where", metavar="[ENV[/NAMESPACE[/MODEL]]]", required=False, default="")
@pass_settings
def ls(settings: Settings, where: str) -> None:
    """List models, or the versions of one model.

    Examples:
      carnet ls                    all models of all environments
      carnet ls prod/risk          the models of a namespace
      carnet ls prod/risk/fraud    a model's versions
    """
    with settings.client() as client:
        if where.count("/") == 2:
            versions = client.versions(where)
            emit(settings, {"versions": versions}, lambda page: _print_versions(page, versions))
            return
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
        ("version", "stage", "bundle", "size", "from", "publisher", "arrived"),
        (
            (
                each.reference,
                each.stage,
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
        model = client.model(
            f"{resolved.reference.environment}/{resolved.reference.namespace}/{resolved.reference.model}"
        )
    aliases = [each for each in model.aliases if each.version == resolved.reference.version]
    answer = {
        "version": resolved.version,
        "alias": resolved.alias,
        "aliases": [each.reference.alias for each in aliases],
        "signer": resolved.signer,
        "receipt": resolved.receipt,
        "manifest": resolved.manifest,
        "evidence": evidence,
    }
    emit(settings, answer, lambda page: print_version(page, resolved, aliases, evidence))


@click.command(cls=Command)
@click.argument("before", metavar="REF")
@click.argument("after", metavar="REF")
@pass_settings
def compare(settings: Settings, before: str, after: str) -> None:
    """Compare two versions, of any environments: metrics, settings, schema, files.

    Example:
      carnet compare prod/risk/fraud@champion dev/risk/fraud@3
    """
    with settings.client() as client:
        found = client.compare(before, after)
    emit(settings, found, lambda page: _print_comparison(page, found))


def _print_comparison(page: Console, found: Comparison) -> None:
    page.print(f"{found.before}  →  {found.after}")
    if found.metrics:
        print_table(
            page,
            ("metric", "before#", "after#", "change#", "verdict"),
            (
                (
                    f"{each.name}{_slice(each.slice)}",
                    "" if each.before is None else number(each.before),
                    "" if each.after is None else number(each.after),
                    "" if each.delta is None else f"{each.delta:+.6g}",
                    each.verdict,
                )
                for each in found.metrics
            ),
        )
    sections: dict[str, tuple[Change, ...]] = {
        "settings": found.hyperparameters,
        "feature schema": found.feature_schema,
        "environment": found.environment,
        "lineage": found.lineage,
        "files": found.files,
    }
    rows = [
        (title, each.name, each.kind, _value(each.before), _value(each.after))
        for title, changes in sections.items()
        for each in changes
    ]
    if rows:
        print_table(page, ("part", "name", "change", "before", "after"), rows)
    else:
        page.print("nothing else differs")


def _slice(parts: Mapping[str, str]) -> str:
    inner = ",".join(f"{key}={value}" for key, value in sorted(parts.items()))
    return f"{{{inner}}}" if inner else ""


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and "digest" in value:
        return f"{short(str(value['digest']))} {size(int(value.get('size_bytes', 0)))}"
    return str(value)
