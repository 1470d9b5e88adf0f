"""``carnet schema``: proposing feature schemas, comparing them, and comparing data by them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carnet.cli.exit_codes import ExitCode
from carnet.cli.feature_sources import features_of, find_schema
from carnet.cli.output import emit, number, print_table
from carnet.cli.settings import Command, Group, Settings, pass_settings
from carnet.cli.validate import FORMATS

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.bundle.feature_schema import FeatureSchema
    from carnet.features.contract import ContractReport
    from carnet.features.skew import SideFigures, SkewReport

_FORMAT = click.option(
    "--format", "kind", type=click.Choice(FORMATS), help="The data's format; else by its suffix."
)


@click.group(cls=Group)
def schema() -> None:
    """Propose feature schemas, compare those of two versions, and tell how data has moved.

    Example:
      carnet schema infer --from sample.parquet
    """


@schema.command(cls=Command)
@click.option("--from", "sample", type=click.Path(path_type=Path), metavar="FILE", help="A sample of data.")
@click.option("--mlflow", type=click.Path(path_type=Path), metavar="MLMODEL", help="A model of MLflow.")
@click.option("--onnx", type=click.Path(path_type=Path), metavar="FILE", help="A model in ONNX.")
@_FORMAT
@click.option("--target", multiple=True, metavar="NAME", help="A column of the sample that is an output.")
@click.option("--ranges/--no-ranges", default=True, help="Whether bounds are taken from the sample.")
@click.option(
    "--max-categories",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Text with so many values at most is a category.",
)
@pass_settings
def infer(
    settings: Settings,
    *,
    sample: Path | None,
    mlflow: Path | None,
    onnx: Path | None,
    kind: str | None,
    target: tuple[str, ...],
    ranges: bool,
    max_categories: int,
) -> None:
    """Print the feature schema that a sample or a model proposes, for carnet.yaml.

    A sample is not the world: read what it proposes, and widen it.

    Examples:
      carnet schema infer --from sample.parquet --target label
      carnet schema infer --mlflow model/MLmodel
      carnet schema infer --onnx model.onnx
    """
    if sum(each is not None for each in (sample, mlflow, onnx)) != 1:
        raise click.UsageError("name exactly one of --from, --mlflow and --onnx")
    from carnet.features.yaml_form import to_yaml  # noqa: PLC0415  a quick `--help` needs none of it

    if sample is not None:
        from carnet.features.files import read_data  # noqa: PLC0415  as above
        from carnet.features.inference import infer_schema  # noqa: PLC0415  as above

        table = read_data(sample, kind=kind or "")
        found = infer_schema(table, outputs=target, ranges=ranges, max_categories=max_categories)
    else:
        found = _of_model(mlflow, onnx)
    answer = {"feature_schema": found.model_dump(mode="json", exclude_defaults=True)}
    emit(settings, answer, lambda _: click.echo(to_yaml(found), nl=False))


def _of_model(mlflow: Path | None, onnx: Path | None) -> FeatureSchema:
    if mlflow is not None:
        from carnet.features.mlflow_signature import infer_from_mlflow  # noqa: PLC0415  as above

        return infer_from_mlflow(mlflow)
    from carnet.features.onnx_graph import infer_from_onnx  # noqa: PLC0415  as above

    assert onnx is not None
    return infer_from_onnx(onnx)


@schema.command(cls=Command)
@click.argument("before", metavar="REF|FILE")
@click.argument("after", metavar="REF|FILE")
@click.pass_context
@pass_settings
def contract(settings: Settings, context: click.Context, *, before: str, after: str) -> None:
    """Tell what changed between two feature schemas, and what of it breaks callers.

    Exit code 5 when something does.

    Examples:
      carnet schema contract prod/risk/fraud@champion dev/risk/fraud@4
      carnet schema contract prod/risk/fraud@champion carnet.yaml
    """
    from carnet.features.contract import compare_contracts  # noqa: PLC0415  a quick `--help` needs none

    report = compare_contracts(find_schema(settings, before), find_schema(settings, after))
    emit(settings, report, lambda page: _print_contract(page, report))
    if report.breaking:
        context.exit(ExitCode.GATE)


def _print_contract(page: Console, report: ContractReport) -> None:
    if not report.changes:
        page.print("the contract is the same")
        return
    print_table(
        page,
        ("name", "change", "what", "breaks callers"),
        (
            (
                each.name,
                each.change,
                "\n".join(
                    f"{field}: {(each.before or {}).get(field, '-')} → {(each.after or {}).get(field, '-')}"
                    for field in each.fields
                ),
                "\n".join(each.breaks) or "no",
            )
            for each in report.changes
        ),
    )


@schema.command(cls=Command)
@click.argument("source", metavar="REF|FILE")
@click.argument("after", metavar="[REF|FILE]", required=False)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The data to compare with, such as that of the training.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The data to judge."
)
@_FORMAT
@click.option("--outputs", is_flag=True, help="Compare the outputs, and not the inputs.")
@click.option(
    "--max-psi", type=click.FloatRange(min=0), metavar="NUMBER", help="Exit with 5 when one is above this."
)
@click.pass_context
@pass_settings
def skew(
    settings: Settings,
    context: click.Context,
    *,
    source: str,
    after: str | None,
    reference: Path,
    data: Path,
    kind: str | None,
    outputs: bool,
    max_psi: float | None,
) -> None:
    """Tell how far data has moved from a reference, feature by feature.

    With two schemas the reference is the data of the first version, and the data that of the second. PSI
    below 0.1 is usually called stable, and 0.25 and more a large shift. What -o json prints can be signed by
    `carnet attest`, so that a policy can say how much is too much.

    Examples:
      carnet schema skew prod/risk/fraud@champion --reference training.parquet --data today.parquet
      carnet schema skew dev/risk/fraud@3 dev/risk/fraud@4 --reference march.parquet --data april.parquet
      carnet schema skew carnet.yaml --reference training.csv --data today.csv --max-psi 0.25
    """
    from carnet.features.files import read_data  # noqa: PLC0415  a quick `--help` needs none of it
    from carnet.features.skew import compare_data  # noqa: PLC0415  as above

    before = features_of(find_schema(settings, source), source, outputs=outputs)
    features = before if after is None else features_of(find_schema(settings, after), after, outputs=outputs)
    report = compare_data(
        read_data(reference, kind=kind or "", features=before),
        read_data(data, kind=kind or "", features=features),
        features,
        before=before,
    )
    answer = _skew_document(report, reference, data) if settings.json else report
    emit(settings, answer, lambda page: _print_skew(page, report))
    if max_psi is not None and report.above(max_psi):
        context.exit(ExitCode.GATE)


def _skew_document(report: SkewReport, reference: Path, data: Path) -> dict[str, Any]:
    """Return a report with what it was made of and when, as ``carnet attest`` takes it."""
    from carnet.features.files import digest_of  # noqa: PLC0415  as above

    files = {"reference": reference, "data": data}
    configuration = [
        {"name": path.name, "digest": {"sha256": digest_of(path)}, "annotations": {"role": role}}
        for role, path in files.items()
    ]
    return report.to_json() | {"configuration": configuration, "finished_at": datetime.now(UTC)}


def _print_skew(page: Console, report: SkewReport) -> None:
    page.print(f"{report.data_rows:,} rows against {report.reference_rows:,} of the reference")
    print_table(
        page,
        ("feature", "missing#", "out of range#", "mean#", "shift#", "spread#", "PSI#", "verdict"),
        (
            (
                each.name,
                _both(each.reference, each.data, "null_share"),
                _both(each.reference, each.data, "out_of_range_share"),
                _both(each.reference, each.data, "mean"),
                "" if each.mean_shift is None else f"{each.mean_shift:+.3g}",
                "" if each.deviation_ratio is None else f"x {each.deviation_ratio:.3g}",
                "" if each.psi is None else f"{each.psi:.4f}",
                each.verdict,
            )
            for each in report.features
        ),
    )


def _both(before: SideFigures | None, after: SideFigures | None, name: str) -> str:
    values = [None if side is None else getattr(side, name) for side in (before, after)]
    if values == [None, None]:
        return ""
    shown = ["-" if each is None else f"{each:.2%}" if "share" in name else number(each) for each in values]
    return " → ".join(shown)
