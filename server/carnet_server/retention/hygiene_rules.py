"""What looks neglected, as plain values, and the rules about names and quotas; no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.references import ResourceName
from carnet_server.aliases.stale_rules import DAYS_MAX
from carnet_server.retention.quotas import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FINDINGS_MAX = 10_000
RELATED_MAX = 20
DEFAULT_STALE_DAYS = 30
NEAR_QUOTA = 0.8
_SEPARATORS = re.compile(r"[-_]")
_NUMBER = re.compile(r"[0-9]+$")
# What MLflow keeps for itself: https://mlflow.org/docs/latest/model-registry (aliases).
_MLFLOW_RESERVED = re.compile(r"latest|v[0-9]+")


class HygieneKind(StrEnum):
    """What a finding is about; in this order they are told."""

    ORPHAN = "orphan"
    STALE_ALIAS = "stale_alias"
    UNOWNED_MODEL = "unowned_model"
    NAME = "name"
    DUPLICATE = "duplicate"
    QUOTA = "quota"
    UNREHEARSED_ROLLBACK = "unrehearsed_rollback"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that looks neglected.

    Attributes:
        kind: What it is about.
        subject: What is meant: a name, or a digest.
        message: What was found, for people.
        remedy: What to do about it.
        related: The others that it is found with, ``RELATED_MAX`` at most.
        size_bytes: The bytes that it takes; 0 where that means nothing.
    """

    kind: HygieneKind
    subject: str
    message: str
    remedy: str
    related: tuple[str, ...] = ()
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class NamespaceStorage:
    """What a namespace stores.

    Attributes:
        namespace: The namespace.
        size_bytes: The sum of the sizes of its blobs.
        blob_count: How many it has.
        model_count: How many models it has.
        version_count: How many versions it has that were not purged.
        quota_bytes: Its quota; 0 for none.
    """

    namespace: str
    size_bytes: int
    blob_count: int
    model_count: int
    version_count: int
    quota_bytes: int


@dataclass(frozen=True, slots=True)
class HygieneReport:
    """What looks neglected, and what each namespace stores.

    Attributes:
        findings: The findings, by kind and subject.
        storage: The namespaces, by name.
        truncated: Whether there are more findings than these.
    """

    findings: tuple[Finding, ...]
    storage: tuple[NamespaceStorage, ...]
    truncated: bool


def check_stale_days(value: int) -> int:
    """Return for how many days an alias must be still to be stale; 0 stands for the default.

    Raises:
        InvalidInputError: It is negative, or too long.
    """
    if not 0 <= value <= DAYS_MAX:
        raise InvalidInputError(
            f"stale_days: {value}: 1 to {DAYS_MAX} are wanted, or 0 for {DEFAULT_STALE_DAYS}",
            metadata={"field": "stale_days"},
        )
    return value or DEFAULT_STALE_DAYS


def judge_names(models: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Yield what is wrong with the names of models.

    Every name here is one that MLflow, an OCI registry and Triton take. Kubernetes, and so KServe, takes no
    ``_``.

    Args:
        models: Namespace and name of each.
    """
    alike = sorted((namespace, _skeleton(model), model) for namespace, model in models)
    for (namespace, _), group in groupby(alike, key=lambda each: each[:2]):
        names = [model for *_, model in group]
        first, *others = (str(ResourceName(namespace, model)) for model in names)
        if others:
            yield Finding(
                HygieneKind.NAME,
                first,
                f"{', '.join(names[:RELATED_MAX])} are one name but for their separators or a number",
                "make them versions of one model: publish to one of them, and archive what is in the others",
                related=tuple(others[:RELATED_MAX]),
            )
        for model in names:
            if "_" in model:
                yield Finding(
                    HygieneKind.NAME,
                    str(ResourceName(namespace, model)),
                    f"{model} has a '_', which names in Kubernetes, such as those of KServe, cannot have",
                    "publish under a name with '-' where it is to be served there",
                )


def judge_alias_names(aliases: Iterable[ResourceName]) -> Iterator[Finding]:
    """Yield the aliases whose names MLflow keeps for itself."""
    for name in aliases:
        if _MLFLOW_RESERVED.fullmatch(name.alias):
            yield Finding(
                HygieneKind.NAME,
                str(name),
                f"MLflow takes no alias that is called {name.alias}",
                "set an alias of another name, and remove this one",
            )


def judge_storage(storage: Sequence[NamespaceStorage]) -> Iterator[Finding]:
    """Yield the namespaces that are near their quota, or beyond it."""
    for each in storage:
        if each.quota_bytes and each.size_bytes >= NEAR_QUOTA * each.quota_bytes:
            share = each.size_bytes / each.quota_bytes
            stored, quota = size_text(each.size_bytes), size_text(each.quota_bytes)
            yield Finding(
                HygieneKind.QUOTA,
                str(ResourceName(each.namespace)),
                f"stores {stored} of its quota of {quota} ({share:.0%})",
                "purge archived versions, or ask whoever owns the policy for more under `quotas`",
                size_bytes=each.size_bytes,
            )


def _skeleton(name: str) -> str:
    """Return what is left of a name without case, separators and a number at its end."""
    return _NUMBER.sub("", _SEPARATORS.sub("", name.lower()))
