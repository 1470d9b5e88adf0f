"""The schema of a policy document.

Responsible for the shape of a policy's YAML: which fields there are, their types, and their bounds. What
holds between fields is in ``checks``; what the fields demand of a bundle is in the rule modules. Does no I/O.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from carnet.references import NAME_MAX_LENGTH, NAME_PATTERN

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_FIELD_PATH = re.compile(r"[a-z][a-z0-9_]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")
MAX_RULES = 100
MAX_DURATION = timedelta(days=3650)

Item = TypeVar("Item")


def parse_duration(value: Any) -> timedelta:
    """Parse a duration such as ``30s``, ``10m``, ``12h`` or ``7d``.

    Raises:
        ValueError: It is none; pydantic reports it with the field.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a duration: write a whole number and a unit, such as 30s, 10m or 7d"
        )
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if duration > MAX_DURATION:
        raise ValueError(f"{value!r} is longer than {MAX_DURATION.days}d")
    return duration


def _name(value: str) -> str:
    if len(value) > NAME_MAX_LENGTH or not NAME_PATTERN.fullmatch(value):
        raise ValueError(
            f"{value[:80]!r} is not a name: use lowercase letters, digits, and single '-' or '_' between "
            f"them, starting with a letter, {NAME_MAX_LENGTH} characters at most"
        )
    return value


def _field_path(value: str) -> str:
    if not _FIELD_PATH.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not a field of the manifest: write it like lineage.code.commit")
    return value


def _some(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if not values:
        raise ValueError("at least one is needed")
    return values


Name = Annotated[str, AfterValidator(_name)]
FieldPath = Annotated[str, AfterValidator(_field_path)]
Some = Annotated[tuple[Item, ...], AfterValidator(_some)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Expression = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class SignatureDemand(_Part):
    """Whether the bundle must be signed by a publisher that is trusted here (rule ``signature``)."""

    required: bool = True


class MetadataDemand(_Part):
    """The fields of the manifest that must be filled in (rule ``metadata``)."""

    required: Some[FieldPath]


class EvidenceDemand(_Part):
    """One attestation that must be there, of a type and suite, by a signer trusted for it."""

    rule: Name
    type: Text
    suite: Name | None = None
    signers: Some[Name]
    max_age: Duration | None = None
    metrics: bool = False
    remedy: str = Field(default="", max_length=2000)


class DecisionDemand(_Part):
    """An earlier environment's signed decision that must be there."""

    rule: Name
    environment: Name
    remedy: str = Field(default="", max_length=2000)


class ApprovalDemand(_Part):
    """How many people must approve, and of whom they must be independent."""

    rule: Name
    count: int = Field(ge=1, le=20)
    independent_of: tuple[Literal["publisher", "requester"], ...] = ()
    remedy: str = Field(default="", max_length=2000)


class ExpressionRule(_Part):
    """A rule that a CEL expression decides."""

    rule: Name
    needs: tuple[Name, ...] = ()
    expression: Expression
    values: dict[Name, Expression] = Field(default_factory=dict, max_length=20)
    message: Text
    remedy: Text


class PolicyDocument(_Part):
    """What one environment demands before it admits a bundle."""

    schema_: Literal["carnet.policy/v1"] = Field(alias="schema")
    environment: Name
    version: int = Field(ge=1, le=2**31 - 1)
    description: str = Field(default="", max_length=2000)
    sources: tuple[Name, ...] = ()
    publishing: bool = False
    request_max_age: Duration = timedelta(days=30)
    release_max_age: Duration = timedelta(minutes=10)
    dossier_valid_for: Duration = timedelta(days=7)
    protected_aliases: tuple[Name, ...] = ()
    baseline_alias: Name | None = None
    signature: SignatureDemand = SignatureDemand()
    metadata: MetadataDemand | None = None
    evidence: tuple[EvidenceDemand, ...] = Field(default=(), max_length=MAX_RULES)
    decisions: tuple[DecisionDemand, ...] = Field(default=(), max_length=MAX_RULES)
    approvals: ApprovalDemand | None = None
    rules: tuple[ExpressionRule, ...] = Field(default=(), max_length=MAX_RULES)
