"""What serving hosts report, and the pure rules about it.

A report is what a caller says of one of its own instances: another caller's instance of the same name is
another instance. Reports count for ``REPORT_TTL``, and are forgotten after ``FORGOTTEN_AFTER``. What runs and
is neither what the alias points at nor what it pointed at before has *drifted*.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError, ResourceExhaustedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.references import ResourceName
    from carnet_server.aliases.domain import Alias, AliasMove

REPORT_TTL = timedelta(minutes=2)
# A report that says nothing new is written again only when the one that is held is this old.
REFRESHED_AFTER = timedelta(seconds=15)
# As long as a report is kept, its instance's drift is told once an hour at most.
FORGOTTEN_AFTER = timedelta(hours=1)
INSTANCES_MAX = 5000
INSTANCES_OF_SUBJECT_MAX = 500
LAGGING_NAMED_MAX = 20
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


@dataclass(frozen=True, slots=True)
class Report:
    """What an instance last said that it runs.

    Attributes:
        namespace: Where.
        model: Of which model.
        alias: Which alias it follows.
        subject: Who says it.
        instance: Of which of its instances.
        bundle_digest: What runs there.
        revision: The alias's revision that it follows.
        reported_at: When it was said.
        drift_logged_at: When a log entry last told of its drift; None for never.
    """

    namespace: str
    model: str
    alias: str
    subject: str
    instance: str
    bundle_digest: str
    revision: int
    reported_at: datetime
    drift_logged_at: datetime | None = None

    def is_news(self, held: Report | None) -> bool:
        """Whether it says something else than what is held, or what is held is due to be refreshed."""
        return (
            held is None
            or (held.bundle_digest, held.revision) != (self.bundle_digest, self.revision)
            or self.reported_at - held.reported_at >= REFRESHED_AFTER
        )


@dataclass(frozen=True, slots=True)
class Running:
    """A version that at least one host says it runs.

    Attributes:
        namespace: Where.
        model: Of which model.
        alias: Which alias the hosts follow.
        bundle_digest: What runs.
        version: Which version that is.
        since: When the first of them said so.
        log_index: The entry that tells of it.
    """

    namespace: str
    model: str
    alias: str
    bundle_digest: str
    version: int
    since: datetime
    log_index: int


@dataclass(frozen=True, slots=True)
class ServedRevision:
    """How many instances run one revision of an alias."""

    revision: int
    bundle_digest: str
    instance_count: int


@dataclass(frozen=True, slots=True)
class Serving:
    """What the serving hosts of an alias run.

    Attributes:
        revisions: How many instances run what, the newest revision first.
        instance_count: How many report.
        current_count: How many of them run what the alias points at, at its present revision.
        lagging: Some of the others, as subject and instance.
    """

    revisions: tuple[ServedRevision, ...]
    instance_count: int
    current_count: int
    lagging: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a report: the alias as it is now, and whether what runs has drifted."""

    alias: Alias
    drifted: bool


def check_instance(value: str) -> str:
    """Return an instance's name if it is one.

    Raises:
        InvalidInputError: It is not 1 to 128 letters, digits, ``.``, ``_``, ``:``, ``/`` and ``-``.
    """
    if not _INSTANCE.fullmatch(value):
        raise InvalidInputError(
            f"instance: {value[:80]!r} is no name of an instance: write 1 to 128 letters, digits, '.', '_', "
            "':', '/' and '-', starting with a letter or digit, such as a host's or a pod's name",
            metadata={"field": "instance"},
        )
    return value


def check_reported_revision(value: int, alias: Alias) -> int:
    """Return the revision that is reported, if the alias has had it.

    Raises:
        InvalidInputError: It is less than 1, or newer than the alias.
    """
    if not 1 <= value <= alias.revision:
        raise InvalidInputError(
            f"revision: {value} is no revision that alias {alias.alias!r} of {alias.namespace}/{alias.model} "
            f"has had: it is at {alias.revision}",
            metadata={"field": "revision", "revision": str(alias.revision)},
        )
    return value


def check_room(name: ResourceName, *, instances: int, of_subject: int) -> None:
    """Insist that there is room for another instance.

    Args:
        name: The alias.
        instances: How many there are.
        of_subject: How many of them are the caller's.

    Raises:
        ResourceExhaustedError: There are as many as may be.
    """
    if of_subject >= INSTANCES_OF_SUBJECT_MAX or instances >= INSTANCES_MAX:
        raise ResourceExhaustedError(
            f"instance: {of_subject} instances of this caller and {instances} in all report on alias "
            f"{name.alias!r} of {name.namespace}/{name.model}; {INSTANCES_OF_SUBJECT_MAX} of a caller and "
            f"{INSTANCES_MAX} in all are kept. Report under names that stay the same; unused ones are "
            f"forgotten after {FORGOTTEN_AFTER // timedelta(minutes=1)} minutes",
            metadata={"field": "instance"},
        )


def has_drifted(bundle_digest: str, moves: Sequence[AliasMove]) -> bool:
    """Whether a digest is neither what an alias points at nor what it pointed at before.

    Args:
        bundle_digest: What runs.
        moves: The alias's last move, and the last one that led to another bundle.
    """
    return bundle_digest not in {move.bundle_digest for move in moves}


def summarise(alias: Alias, reports: Sequence[Report]) -> Serving | None:
    """Count what an alias's instances run; None where none reports.

    Args:
        alias: The alias.
        reports: Its reports that have not expired.
    """
    if not reports:
        return None
    counted = Counter((each.revision, each.bundle_digest) for each in reports)
    now = (alias.revision, alias.bundle_digest)
    lagging = sorted(
        f"{each.subject} {each.instance}" for each in reports if (each.revision, each.bundle_digest) != now
    )
    return Serving(
        tuple(
            ServedRevision(revision, digest, count)
            for (revision, digest), count in sorted(counted.items(), reverse=True)
        ),
        len(reports),
        counted[now],
        tuple(lagging[:LAGGING_NAMED_MAX]),
    )
