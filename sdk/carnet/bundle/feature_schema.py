"""What a model takes and what it gives.

Responsible for the shape of the manifest's ``feature_schema``: names that are unique on each side, and
bounds, categories and shapes only where the type has them. Does not check data against it
(``carnet.features`` does).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from carnet.bundle.paths import check_path
from carnet.errors import PathRefusedError
from carnet.signing.fields import FrozenModel, Line, Many, OptionalLine, problem

FeatureType = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "string",
    "bytes",
    "timestamp",
    "categorical",
]
_NUMERIC = ("int", "uint", "float")


class Feature(FrozenModel):
    """One input or output.

    Attributes:
        name: Its name.
        type: Its type.
        nullable: Whether it may be missing.
        minimum: The least value that is expected; for numbers.
        maximum: The greatest; for numbers.
        categories: The values of a categorical feature.
        shape: The size of each dimension, -1 where it varies; empty for a scalar.
    """

    name: Line
    type: FeatureType
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: Many[str] = ()
    shape: Many[Annotated[int, Field(ge=-1, le=2**31 - 1)]] = ()

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        bounded = self.minimum is not None or self.maximum is not None
        if bounded and not self.type.startswith(_NUMERIC):
            raise problem("minimum and maximum are for numbers, not for {type}", type=self.type)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise problem("minimum is greater than maximum")
        if self.categories and self.type != "categorical":
            raise problem("categories are for the type categorical, not for {type}", type=self.type)
        if len(set(self.categories)) != len(self.categories):
            raise problem("a category is given twice")
        if 0 in self.shape:
            raise problem("a dimension of the shape is 0; write -1 where it varies")
        return self


def _each_name_once(features: tuple[Feature, ...]) -> tuple[Feature, ...]:
    names: set[str] = set()
    for place, feature in enumerate(features):
        if feature.name in names:
            twice = problem("is given twice: each feature has a name of its own")
            line = InitErrorDetails(type=twice, loc=(place, "name"), input=feature.name)
            raise ValidationError.from_exception_data("features", [line])
        names.add(feature.name)
    return features


Features = Annotated[Many[Feature], AfterValidator(_each_name_once)]


class Preprocessing(FrozenModel):
    """What the inputs go through before the model sees them.

    Attributes:
        path: A file of the bundle; empty where it is outside of it.
        name: What it is called elsewhere, such as a feature pipeline; empty where ``path`` says it.
        version: The version of what ``name`` says.
    """

    path: str = ""
    name: OptionalLine = ""
    version: OptionalLine = ""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if bool(self.path) == bool(self.name) or bool(self.name) != bool(self.version):
            raise problem("should be either a path, or a name with a version")
        if self.path:
            try:
                check_path(self.path)
            except PathRefusedError as error:
                raise problem("{message}", message=error.message) from error
        return self


class FeatureSchema(FrozenModel):
    """The inputs and the outputs, each in order.

    Attributes:
        inputs: What a caller sends.
        outputs: What a caller gets.
        preprocessing: What the inputs go through; absent where there is nothing, or the model has it.
    """

    inputs: Features = ()
    outputs: Features = ()
    preprocessing: Preprocessing | None = None
