"""Where a model came from: code, data, features, run and parents.

Responsible for the shape of the manifest's ``lineage``. Does not fetch or check any of what it names.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator

from carnet.errors import InvalidInputError
from carnet.signing.fields import (
    Digest,
    FrozenModel,
    Line,
    Many,
    Name,
    OptionalDigest,
    OptionalLine,
    VersionNumber,
    matching,
    problem,
)
from carnet.signing.times import parse_time

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def check_moment(value: str) -> str:
    """Return the text if it is an RFC 3339 date, or time in UTC; for a pydantic validator."""
    try:
        if _DATE.fullmatch(value):
            date.fromisoformat(value)
        else:
            parse_time(value)
    except (ValueError, InvalidInputError) as error:
        raise problem("should be a date like 2026-03-01 or a time like 2026-03-01T12:30:00Z") from error
    return value


Moment = Annotated[str, AfterValidator(check_moment)]


class Code(FrozenModel):
    """The training code: a repository's URI, and a commit's 7 to 64 hexadecimal digits."""

    repository: Line
    commit: Annotated[str, matching(r"[0-9a-f]{7,64}", "should be 7 to 64 lowercase hexadecimal digits")]


class DataWindow(FrozenModel):
    """The span of time that a dataset's rows are from."""

    start: Moment
    end: Moment


class Dataset(FrozenModel):
    """A dataset: its name, where it is, the SHA-256 of its bytes if known, and its window."""

    name: Line
    uri: Line
    digest: OptionalDigest = ""
    window: DataWindow | None = None


class FeatureSource(FrozenModel):
    """A feature set, or a snapshot of a feature store."""

    name: Line
    uri: OptionalLine = ""
    snapshot: OptionalLine = ""


class TrainingRun(FrozenModel):
    """The run that made the model, in the system that tracked it."""

    id: Line
    uri: OptionalLine = ""


class ParentVersion(FrozenModel):
    """A version that the model was derived from."""

    home: Name
    namespace: Name
    model: Name
    version: VersionNumber
    digest: Digest


class Lineage(FrozenModel):
    """Where a model came from; what a policy does not demand may be absent."""

    code: Code | None = None
    datasets: Many[Dataset] = ()
    features: FeatureSource | None = None
    training_run: TrainingRun | None = None
    parents: Many[ParentVersion] = ()
