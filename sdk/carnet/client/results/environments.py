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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A copy of logs and documents, for verifying without any server: entries by environment."""

    directory: Path
    entries: Mapping[str, int]
    documents: Mapping[str, int]
