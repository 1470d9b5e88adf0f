"""Reading metric points from a file: a JSON object a line, named as the contract names them.

Responsible for the file's form and for errors that name its line. In the place of the three sums, ``values``
may list the samples themselves.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from carnet.client.results import MetricPoint
from carnet.documents import field_path
from carnet.errors import CarnetError, DocumentInvalidError
from carnet.signing.times import parse_foreign_time

_Finite = Annotated[float, Field(allow_inf_nan=False)]


def _moment(value: str) -> str:
    try:
        parse_foreign_time(value)
    except CarnetError as error:
        raise ValueError(error.message) from error
    return value


class _Line(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1)]
    metric: str
    start_time: Annotated[str, AfterValidator(_moment)]
    end_time: Annotated[str, AfterValidator(_moment)]
    count: Annotated[int, Field(ge=1)] | None = None
    sum: _Finite | None = None
    sum_of_squares: _Finite | None = None
    values: Annotated[tuple[_Finite, ...], Field(min_length=1)] | None = None
    direction: Literal["", "higher_is_better", "lower_is_better"] = ""

    @model_validator(mode="after")
    def _says_sums_once(self) -> Self:
        sums = [each is not None for each in (self.count, self.sum, self.sum_of_squares)]
        if any(sums) if self.values is not None else not all(sums):
            raise ValueError("give count, sum and sum_of_squares, or values instead of them")
        return self

    def point(self) -> MetricPoint:
        count, total, squares = self.count or 0, self.sum or 0.0, self.sum_of_squares or 0.0
        if self.values is not None:
            count, total = len(self.values), math.fsum(self.values)
            squares = max(math.fsum(value * value for value in self.values), total**2 / count)
        return MetricPoint(
            version=self.version,
            metric=self.metric,
            started_at=parse_foreign_time(self.start_time),
            ended_at=parse_foreign_time(self.end_time),
            count=count,
            sum=total,
            sum_of_squares=squares,
            direction=self.direction,
        )


def read_points(data: bytes, *, name: str) -> list[MetricPoint]:
    """Read a file of points.

    Args:
        data: Its bytes; lines that are empty do not count.
        name: What to call it in messages.

    Returns:
        The points, one at least.

    Raises:
        DocumentInvalidError: A line is no point, or there is none; the message names the line.
    """
    points = []
    for place, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            points.append(_Line.model_validate_json(line).point())
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            field = field_path(problem["loc"])
            message = str(problem.get("ctx", {}).get("error", problem["msg"]))
            raise DocumentInvalidError(
                f"{name}:{place}: {field}: {message}", metadata={"field": field}
            ) from error
    if not points:
        raise DocumentInvalidError(f"{name}: there is no point in it: write a JSON object a line")
    return points
