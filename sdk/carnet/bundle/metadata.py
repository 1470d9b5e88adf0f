"""What a publisher says about a version, in ``carnet.yaml`` and in the manifest alike.

Responsible for the fields that the two share, under one rule for what is absent: an optional field that is
left out, and one that is empty, are the same. What a policy demands beyond that is the policy's business.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue

from carnet.bundle.feature_schema import FeatureSchema
from carnet.bundle.lineage import Lineage, Moment
from carnet.bundle.paths import check_path, check_paths
from carnet.bundle.semantic_version import OptionalSemanticVersion  # noqa: TC001  pydantic reads it at run time
from carnet.errors import PathRefusedError
from carnet.signing.fields import (
    FrozenModel,
    Line,
    Many,
    OptionalDigest,
    OptionalLine,
    Text,
    problem,
)
from carnet.signing.strict_json import MAX_DEPTH, MAX_SAFE_INTEGER

Role = Literal[
    "model", "preprocessor", "postprocessor", "config", "tokenizer", "schema", "documentation", "other"
]
Direction = Literal["higher_is_better", "lower_is_better"]


def _path(value: str) -> str:
    try:
        return check_path(value)
    except PathRefusedError as error:
        raise problem("{message}", message=error.message) from error


BundlePath = Annotated[str, AfterValidator(_path)]


def paths_fit_together(paths: list[str]) -> None:
    """Apply ``check_paths`` in a pydantic validator."""
    try:
        check_paths(paths)
    except PathRefusedError as error:
        raise problem("{message}", message=error.message) from error


class Metric(FrozenModel):
    """One measured figure.

    Attributes:
        name: What was measured, such as ``roc_auc``.
        value: The figure; finite.
        direction: Which way is better; never guessed.
        slice: The part of the data that it was measured on; empty for all of it.
        unit: The unit, where the figure has one.
    """

    name: Line
    value: float
    direction: Direction
    slice: dict[Line, Line] = Field(default_factory=dict)
    unit: OptionalLine = ""

    @property
    def key(self) -> str:
        """The name, and for a slice ``name{key=value,key=value}`` with the keys in order."""
        inner = ",".join(f"{key}={value}" for key, value in sorted(self.slice.items()))
        return f"{self.name}{{{inner}}}" if inner else self.name


def _each_metric_once(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    seen: set[tuple[Any, ...]] = set()
    for metric in metrics:
        identity = (metric.name, *sorted(metric.slice.items()))
        if identity in seen:
            raise problem("the metric {key} is given twice", key=repr(metric.key))
        seen.add(identity)
    return metrics


def _exact_json(value: dict[str, Any]) -> dict[str, Any]:
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH // 2:
            raise problem("nested deeper than {depth}", depth=MAX_DEPTH // 2)
        if isinstance(item, dict):
            pending.extend((child, depth + 1) for pair in item.items() for child in pair)
        elif isinstance(item, list):
            pending.extend((child, depth + 1) for child in item)
        elif isinstance(item, int) and abs(item) > MAX_SAFE_INTEGER:
            raise problem(
                "has the integer {item}, which is beyond ±(2**53 - 1): write it as text", item=str(item)[:40]
            )
        elif (
            isinstance(item, str)
            and not item.isprintable()
            and any("\ud800" <= each <= "\udfff" for each in item)
        ):
            raise problem("has a text that is not Unicode")
    return value


class Framework(FrozenModel):
    """A framework and its version."""

    name: Line
    version: Line


class TrainingEnvironment(FrozenModel):
    """What a model was trained in, and needs to run."""

    python: OptionalLine = ""
    framework: Framework | None = None
    cuda: OptionalLine = ""
    image_digest: OptionalLine = ""
    lock_file_digest: OptionalDigest = ""
    trained_at: Moment | Literal[""] = ""
    training_seconds: Annotated[float, Field(ge=0)] | None = None
    hardware: OptionalLine = ""


class Metadata(FrozenModel):
    """What a publisher says about a version.

    Attributes:
        description: What the model does, for a person who has never seen it.
        owner: Who answers for it: a team or a person.
        caveats: Known limits and warnings.
        labels: Free labels.
        metrics: What the publisher measured, each name and slice once.
        hyperparameters: The training run's settings, as JSON.
        lineage: Where it came from.
        environment: What it was trained in.
        feature_schema: What it takes and gives.
        semantic_version: The version's number by its contract (Semantic Versioning 2.0.0); empty for none.
    """

    description: Text = ""
    owner: OptionalLine = ""
    caveats: Many[Text] = ()
    labels: dict[Line, Line] = Field(default_factory=dict)
    metrics: Annotated[Many[Metric], AfterValidator(_each_metric_once)] = ()
    hyperparameters: Annotated[dict[Line, JsonValue], AfterValidator(_exact_json)] = Field(
        default_factory=dict
    )
    lineage: Lineage = Lineage()
    environment: TrainingEnvironment = TrainingEnvironment()
    feature_schema: FeatureSchema = FeatureSchema()
    semantic_version: OptionalSemanticVersion = ""
