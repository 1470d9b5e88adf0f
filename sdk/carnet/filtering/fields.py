"""What versions can be searched by: every field, its kind, and how many values it has.

The names are those of the API's messages and of the manifest. ``docs/search.md`` lists the same table,
which a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from carnet.stages import Stage


class Kind(StrEnum):
    """What a field's values are."""

    TEXT = "text"
    WORD = "word"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"
    AGE = "age"
    SETTING = "number or text"


class Shape(StrEnum):
    """How many values a version has of a field."""

    ONE = "one"
    MANY = "many"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that can be searched by.

    Attributes:
        name: Its name; a map's values are behind it: ``labels.region``.
        kind: What its values are.
        shape: How many a version has.
        words: The values that it can have, where these are few.
        repeats: For a map, whether one key may have several values.
        ordered: Whether one value comes before another.
    """

    name: str
    kind: Kind
    shape: Shape = Shape.ONE
    words: tuple[str, ...] = ()
    repeats: bool = False
    ordered: bool = True

    @property
    def sortable(self) -> bool:
        """Whether versions can be put in order by it; a map by one of its keys."""
        single = self.shape is not Shape.MANY and not self.repeats
        return single and self.ordered and self.kind is not Kind.FLAG


STAGES: Final = tuple(str(stage) for stage in Stage)
RESULTS: Final = ("PASSED", "WARNED", "FAILED")


def _all(kind: Kind, shape: Shape, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, kind, shape) for name in names)


FIELDS: Final = {
    field.name: field
    for field in (
        *_all(Kind.TEXT, Shape.ONE, "namespace", "model", "home", "bundle_digest", "publisher"),
        *_all(Kind.TEXT, Shape.ONE, "source", "promotion", "owner", "description"),
        Field("semantic_version", Kind.TEXT, ordered=False),
        *_all(Kind.NUMBER, Shape.ONE, "version", "size_bytes", "file_count", "log_index"),
        Field("stage", Kind.WORD, words=STAGES),
        Field("revoked", Kind.FLAG),
        Field("create_time", Kind.TIME),
        Field("age", Kind.AGE),
        Field("labels", Kind.TEXT, Shape.MAP),
        Field("metrics", Kind.NUMBER, Shape.MAP),
        Field("hyperparameters", Kind.SETTING, Shape.MAP),
        Field("aliases", Kind.TEXT, Shape.MANY),
        Field("results", Kind.WORD, Shape.MAP, RESULTS, repeats=True),
        *_all(Kind.TEXT, Shape.MANY, "evidence.predicate_type", "evidence.suite", "evidence.signer"),
        Field("evidence.result", Kind.WORD, Shape.MANY, RESULTS),
        *_all(Kind.TEXT, Shape.MANY, "files.path", "files.digest"),
        *_all(Kind.TEXT, Shape.ONE, "lineage.code.repository", "lineage.code.commit"),
        *_all(
            Kind.TEXT, Shape.MANY, "lineage.datasets.name", "lineage.datasets.uri", "lineage.datasets.digest"
        ),
        *_all(Kind.TIME, Shape.MANY, "lineage.datasets.window.start", "lineage.datasets.window.end"),
        *_all(
            Kind.TEXT, Shape.ONE, "lineage.features.name", "lineage.features.uri", "lineage.features.snapshot"
        ),
        *_all(Kind.TEXT, Shape.ONE, "lineage.training_run.id", "lineage.training_run.uri"),
        *_all(Kind.TEXT, Shape.MANY, "lineage.parents.home", "lineage.parents.namespace"),
        *_all(Kind.TEXT, Shape.MANY, "lineage.parents.model", "lineage.parents.digest"),
        *_all(Kind.NUMBER, Shape.MANY, "lineage.parents.version"),
        *_all(Kind.TEXT, Shape.ONE, "environment.python", "environment.cuda", "environment.hardware"),
        *_all(Kind.TEXT, Shape.ONE, "environment.framework.name", "environment.framework.version"),
        *_all(Kind.TEXT, Shape.ONE, "environment.image_digest", "environment.lock_file_digest"),
        *_all(Kind.NUMBER, Shape.ONE, "environment.training_seconds"),
        *_all(Kind.TIME, Shape.ONE, "environment.trained_at"),
        *_all(Kind.TEXT, Shape.MANY, "feature_schema.inputs.name", "feature_schema.inputs.type"),
        *_all(Kind.TEXT, Shape.MANY, "feature_schema.outputs.name", "feature_schema.outputs.type"),
    )
}
"""Every field, by its name."""


def metric_key(text: str) -> str:
    """Return a metric's key, ``name`` or ``name{key=value,key=value}``, with the slice's parts in order."""
    name, brace, inner = text.partition("{")
    if not (brace and inner.endswith("}")):
        return text
    parts = sorted(part.strip() for part in inner[:-1].split(","))
    return f"{name}{{{','.join(parts)}}}"
