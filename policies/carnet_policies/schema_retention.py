"""The schema of what a policy says about keeping: archival by itself, purging, erasing, and quotas.

Responsible for the fields. What is archived, purged or erased is the registry's business, which looks at what
it is used for. Does no I/O.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from carnet_policies.schema_fields import Duration, NamespacePattern, Part, Some

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"([1-9][0-9]{0,6})(KiB|MiB|GiB|TiB)")


def _size(value: Any) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a size: write a whole number and a unit, such as 500GiB")
    return int(match[1]) * _UNITS[match[2]]


Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": ["500GiB"]}),
]


class ArchivalTerms(Part):
    """Which versions the registry archives by itself, once a day.

    Attributes:
        older_than: Versions that arrived at least so long ago.
        unused_for: And were not used for at least so long.
    """

    older_than: Duration
    unused_for: Duration = timedelta(days=30)


class PurgeTerms(Part):
    """Which archived and revoked versions may be purged.

    Attributes:
        keep_last: How many archived versions of each model are kept, the newest ones.
        archived_for: How long a version must have been archived, or revoked.
        min_age: How long ago it must have arrived: the window that compliance wants kept.
        grace: How long its bytes stay in the store after that.
    """

    keep_last: Annotated[int, Field(ge=0, le=10_000)] = 5
    archived_for: Duration = timedelta(days=90)
    min_age: Duration = timedelta(days=365)
    grace: Duration = timedelta(days=1)


class ErasureTerms(Part):
    """Which documents of the log may be erased, and how long after their entry at the earliest.

    Attributes:
        notes_after: Notes and reasons, which tell people why.
        statements_after: People's signed words with their reasons: approvals, rejections, withdrawals,
            cancellations, and what broke the glass and reviewed it. The window that compliance wants kept.
    """

    notes_after: Duration = timedelta(days=1)
    statements_after: Duration = timedelta(days=365)


class RetentionTerms(Part):
    """What is archived by itself, what may be purged, and what may be erased; None for nothing."""

    archive: ArchivalTerms | None = None
    purge: PurgeTerms | None = None
    erase: ErasureTerms | None = None


class QuotaTerms(Part):
    """How much the blobs of a namespace may be together.

    Attributes:
        namespaces: Patterns of the namespaces that it is for, each by itself.
        storage: The sum of the sizes of the blobs that one may have.
    """

    namespaces: Some[NamespacePattern]
    storage: Size
