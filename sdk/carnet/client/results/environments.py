"""Answers about environments: how they answer now, and copies of their logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDocument:
    """A document that an environment refused; the last good one is in force instead.

    Attributes:
        name: The file's name.
        reason: Why it was refused.
        refused_at: When it was refused first for this reason.
    """

    name: str
    reason: str
    refused_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessStanding:
    """How it stands with a witness of an environment's log, as its registry states it.

    Attributes:
        name: The witness, by its name in the policy file.
        size: How many entries it cosigned last; 0 for none.
        cosigned_at: When; None for never.
        problem: Why it could not be asked the last time; empty where it could.
    """

    name: str
    size: int
    cosigned_at: datetime | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What shows that a log was changed or has two histories, as a registry states it.

    Attributes:
        kind: ``equivocation`` or ``restored-backup``.
        origin: The log that it is about.
        message: What was seen, and what to do.
        raised_at: When.
        log_index: Its entry; -1 where none was written.
    """

    kind: str
    origin: str
    message: str
    raised_at: datetime | None
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment as it answers now, compared with what is pinned.

    Attributes:
        name: Its name.
        endpoint: Its address.
        reachable: Whether it answered.
        problem: Why not, or what it states otherwise than is pinned.
        policy_digest: The policy in force.
        policy_version: Its version.
        trust_digest: The trust document in force.
        trust_version: Its version.
        refused_documents: The documents that stand in its files and are not in force.
        log_size: The size of its log.
        server_version: The version of Carnet that serves it.
        caller: The subject that it recognised this client as.
        roles: The roles that this client has there.
        targets: The environments that the promotion service carries to from here.
        final_size: How many entries of its log are final, as the cosignatures of the pinned witnesses show;
            None where no quorum of witnesses is pinned.
        witnesses: How it stands with each witness.
        alarms: What alarms it, about its own log or another; the newest first.
    """

    name: str
    endpoint: str
    reachable: bool
    problem: str
    policy_digest: str
    log_size: int
    server_version: str
    caller: str
    roles: tuple[str, ...]
    targets: tuple[str, ...]
    policy_version: int = 0
    trust_digest: str = ""
    trust_version: int = 0
    refused_documents: tuple[RefusedDocument, ...] = ()
    final_size: int | None = None
    witnesses: tuple[WitnessStanding, ...] = ()
    alarms: tuple[Alarm, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A copy of logs and documents, for verifying without any server: entries by environment."""

    directory: Path
    entries: Mapping[str, int]
    documents: Mapping[str, int]
