"""``carnet lineage``: what a version came from, and what came of a dataset or a commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.exit_codes import ExitCode
from carnet.cli.files import write_whole
from carnet.cli.output import cell, emit, printable, say, short
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from carnet.lineage.graph import LineageGraph
    from carnet.lineage.tree import Branch

_STYLES = {"verified": "", "stated": "dim", "unreachable": "yellow", "contradicted": "bold red"}
# What the tree shows of a node besides its label; everything else is in the other forms.
_SHOWN = {
    "alias": ("revision", "moved_by", "moved_at", "kind", "reason_code", "note"),
    "version": ("arrived_at", "stage", "digest"),
    "bundle": ("owner", "framework", "trained_at"),
    "decision": ("decided_at", "policy_digest", "skipped"),
    "promotion": ("promotion", "requester"),
    "approval": ("reason", "received_at"),
    "evidence": ("metrics", "builder"),
    "dataset": ("uri", "window_start", "window_end"),
    "training_run": ("uri",),
    "features": ("uri",),
}


@click.command(cls=Command)
@click.argument("reference", metavar="[REF]", required=False, default="")
@click.option(
    "--from",
    "origin",
    metavar="THING",
    default="",
    help="Walk forward, from dataset:NAME[@DIGEST] or commit:SHA.",
)
@click.option("--environment", metavar="ENV", default="", help="With --from: ask this environment only.")
@click.option(
    "--depth",
    type=click.IntRange(0, 20),
    default=5,
    show_default=True,
    help="How many levels of parents, or of descendants, are followed.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "json", "dot", "openlineage"]),
    default="tree",
    show_default=True,
    help="dot is Graphviz's; openlineage is one event a line.",
)
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write it to a file.")
@click.pass_context
@pass_settings
def lineage(
    settings: Settings,
    context: click.Context,
    *,
    reference: str,
    origin: str,
    environment: str,
    depth: int,
    form: str,
    target: Path | None,
) -> None:
    """Show what a version came from, or with --from what came of a dataset or a commit.

    Each node says whether it was verified. What cannot be read is shown as such; where something contradicts
    what was signed or logged, the exit code is 6.

    Examples:
      carnet lineage prod/risk/fraud@champion
      carnet lineage prod/risk/fraud@champion --format dot --to lineage.dot
      carnet lineage prod/risk/fraud@3 --format openlineage
      carnet lineage --from dataset:payments
      carnet lineage --from commit:4f2a91c --environment prod
    """
    if bool(reference) == bool(origin):
        raise click.UsageError("either a REF or --from is wanted, and not both")
    if environment and not origin:
        raise click.UsageError("--environment goes with --from: a REF names its own")
    if settings.json and form in {"dot", "openlineage"} and target is None:
        raise click.UsageError(f"--format {form} is no JSON object: leave out -o json, or give --to FILE")
    graph = _graph(settings, reference, origin, environment, depth)
    if target is not None:
        write_whole(target, _written(graph, form).encode(), what="the lineage")
        emit(
            settings,
            {"path": target, "format": form, "nodes": len(graph.nodes), "edges": len(graph.edges)},
            lambda page: page.print(f"{len(graph.nodes)} nodes and {len(graph.edges)} edges in {target}"),
        )
    elif form == "tree" or settings.json:
        emit(settings, graph, lambda page: page.print(lineage_tree(graph)))
    else:
        click.echo(_written(graph, form), nl=False)
    for node in graph.contradicted:
        say(settings, f"contradicted: {node.label}: {node.basis}")
    if graph.contradicted:
        context.exit(ExitCode.INTEGRITY)


def _graph(settings: Settings, reference: str, origin: str, environment: str, depth: int) -> LineageGraph:
    if reference:
        with settings.client() as client:
            return client.lineage(reference, depth=depth)
    from carnet.lineage.origins import parse_origin  # noqa: PLC0415  a quick `--help` needs none of it

    begin = parse_origin(origin)
    dataset = f"{begin.dataset}@{begin.digest}" if begin.digest else begin.dataset
    with settings.client() as client:
        return client.reach(dataset=dataset, commit=begin.commit, environment=environment, depth=depth)


def _written(graph: LineageGraph, form: str) -> str:
    """Return a graph in a form for a file: every one ends in a line break."""
    if form == "dot":
        from carnet.lineage.dot import to_dot  # noqa: PLC0415  as above

        return to_dot(graph)
    if form == "openlineage":
        from carnet.lineage.openlineage import to_events  # noqa: PLC0415  as above

        return "".join(f"{json.dumps(event, sort_keys=True)}\n" for event in to_events(graph))
    if form == "json":
        return json.dumps(graph.to_json(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    return _tree_text(graph)


def _tree_text(graph: LineageGraph) -> str:
    from io import StringIO  # noqa: PLC0415  as above

    from carnet.cli.output import console  # noqa: PLC0415  as above

    text = StringIO()
    console(text).print(lineage_tree(graph))
    return text.getvalue()


def lineage_tree(graph: LineageGraph) -> Tree:
    """Return a graph as a tree for a terminal: each node with how it was verified."""
    from rich.tree import Tree  # noqa: PLC0415  as in carnet.cli.output

    from carnet.lineage.tree import tree_of  # noqa: PLC0415  as above

    top = tree_of(graph)
    tree = Tree(_line(top))
    pending = [(tree, top)]
    while pending:
        place, branch = pending.pop()
        pending.extend((place.add(_line(each)), each) for each in branch.branches)
    return tree


def _line(branch: Branch) -> Text:
    node = branch.node
    relation = f"{branch.relation.replace('_', ' ')}: " if branch.relation else ""
    shown = [
        _attribute(name, node.attributes[name])
        for name in _SHOWN.get(node.kind, ())
        if name in node.attributes
    ]
    text = cell(f"{relation}{node.kind.replace('_', ' ')} ", style="dim")
    text.append(printable(node.label), style="bold" if node.verified else _STYLES[node.standing])
    if branch.repeated:
        return text.append("  (see above)", style="dim")
    if shown:
        text.append(printable(f"  {'  '.join(shown)}"))
    if node.standing in {"unreachable", "contradicted"}:
        return text.append(printable(f"  {node.standing}: {node.basis}"), style=_STYLES[node.standing])
    mark = "verified by" if node.verified else "not verified;"
    return text.append(printable(f"  [{mark} {node.basis}]"), style="dim")


def _attribute(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return f"{name}={', '.join(map(str, value))}"
    return f"{name}={short(str(value)) if name.endswith('digest') else value}"
