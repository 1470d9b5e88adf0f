"""Names: how people and machines point at environments, models, versions and aliases.

Responsible for the two forms of a name. People write *references* (``prod/risk/fraud@champion``, with the
environment in front); the API uses *resource names* (``namespaces/risk/models/fraud/versions/3``), relative
to the registry that is asked. Both are checked here and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from carnet.errors import ReferenceInvalidError

_NAME = r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*"
NAME_PATTERN = re.compile(_NAME)
NAME_MAX_LENGTH = 63
VERSION_MAX = 2**31 - 1
_RESOURCE_NAME_MAX_LENGTH = 4 * NAME_MAX_LENGTH + 64
_REMEMBERED_NAMES = 1024
_RESOURCE = re.compile(
    rf"namespaces/(?P<namespace>{_NAME})"
    rf"(?:/models/(?P<model>{_NAME})"
    rf"(?:/versions/(?P<version>[1-9][0-9]{{0,9}})|/aliases/(?P<alias>{_NAME})"
    rf"(?:/rollouts/(?P<rollout>[1-9][0-9]{{0,9}}))?)?)?"
)


def check_name(value: str, *, field: str) -> str:
    """Return the value if it can name an environment, namespace, model or alias.

    Args:
        value: Lowercase letters and digits, with single ``-`` or ``_`` between them, at most 63 characters.
        field: What the value names, for the error message.

    Raises:
        ReferenceInvalidError: It cannot.
    """
    if len(value) > NAME_MAX_LENGTH or not NAME_PATTERN.fullmatch(value):
        raise ReferenceInvalidError(
            f"{field}: {value[:80]!r} is not a name: use lowercase letters, digits, and single '-' or '_' "
            f"between them, starting with a letter, {NAME_MAX_LENGTH} characters at most",
            metadata={"field": field},
        )
    return value


def check_version_number(value: int, *, field: str = "version") -> int:
    """Return the value if it can number a version (1 to 2**31 - 1).

    Raises:
        ReferenceInvalidError: It cannot.
    """
    if not 1 <= value <= VERSION_MAX:
        raise ReferenceInvalidError(
            f"{field}: {value} is not a version number: they start at 1", metadata={"field": field}
        )
    return value


@dataclass(frozen=True, slots=True)
class ResourceName:
    """A parsed resource name of a registry; the parts that it does not reach are empty or 0."""

    namespace: str
    model: str = ""
    version: int = 0
    alias: str = ""
    rollout: int = 0

    def __str__(self) -> str:
        """Return the resource name, such as ``namespaces/risk/models/fraud/versions/3``."""
        text = f"namespaces/{self.namespace}"
        if self.model:
            text += f"/models/{self.model}"
        if self.version:
            text += f"/versions/{self.version}"
        elif self.alias:
            text += f"/aliases/{self.alias}"
            if self.rollout:
                text += f"/rollouts/{self.rollout}"
        return text


def parse_resource_name(value: str, *, field: str, want: str) -> ResourceName:
    """Parse a registry's resource name.

    Args:
        value: The name as received.
        field: The request's field, for the error message.
        want: What it must reach: ``namespace``, ``model``, ``version``, ``alias``, ``rollout``, or several of
            them joined by ``or``.

    Returns:
        The parts.

    Raises:
        ReferenceInvalidError: The value is not such a name.
    """
    found = _match_resource_name(value, want) if len(value) <= _RESOURCE_NAME_MAX_LENGTH else None
    if found is not None:
        return found
    examples = {
        "namespace": "namespaces/risk",
        "model": "namespaces/risk/models/fraud",
        "version": "namespaces/risk/models/fraud/versions/3",
        "alias": "namespaces/risk/models/fraud/aliases/champion",
        "rollout": "namespaces/risk/models/fraud/aliases/champion/rollouts/1",
    }
    wanted = " or ".join(f"{examples[part]!r}" for part in want.split(" or "))
    raise ReferenceInvalidError(
        f"{field}: {value[:160]!r} is not the resource name of a {want}: write it like {wanted}",
        metadata={"field": field},
    )


@lru_cache(_REMEMBERED_NAMES)
def _match_resource_name(value: str, want: str) -> ResourceName | None:
    """Parse a resource name; None for what is none. The same few names come again with each call."""
    match = _RESOURCE.fullmatch(value)
    if match is None:
        return None
    parts = match.groupdict()
    reached = next((part for part in ("rollout", "alias", "version", "model") if parts[part]), "namespace")
    lengths_fit = all(len(parts[part] or "") <= NAME_MAX_LENGTH for part in ("namespace", "model", "alias"))
    number, rollout = int(parts["version"] or 0), int(parts["rollout"] or 0)
    if reached not in want.split(" or ") or not lengths_fit or max(number, rollout) > VERSION_MAX:
        return None
    return ResourceName(parts["namespace"], parts["model"] or "", number, parts["alias"] or "", rollout)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a person points at: ``ENV/NAMESPACE/MODEL``, with ``@VERSION`` or ``@ALIAS`` or neither."""

    environment: str
    namespace: str
    model: str
    version: int = 0
    alias: str = ""

    @property
    def model_name(self) -> str:
        """The model's resource name in its environment."""
        return str(ResourceName(self.namespace, self.model))

    @property
    def resource_name(self) -> str:
        """The resource name of what is pointed at, in its environment."""
        return str(ResourceName(self.namespace, self.model, self.version, self.alias))

    def __str__(self) -> str:
        """Return the reference as a person writes it."""
        text = f"{self.environment}/{self.namespace}/{self.model}"
        pointed = str(self.version) if self.version else self.alias
        return f"{text}@{pointed}" if pointed else text


def parse_reference(value: str, *, want: str = "any") -> Reference:
    """Parse a reference such as ``prod/risk/fraud@champion``.

    Args:
        value: The reference as written.
        want: ``model`` (no ``@`` part), ``version`` (an ``@`` part is needed: a number or an alias) or
            ``any``.

    Returns:
        The parts; a number after ``@`` is a version, anything else an alias.

    Raises:
        ReferenceInvalidError: The value is not of that form.
    """
    path, at, pointed = value.partition("@")
    parts = path.split("/")
    if len(parts) != 3:
        raise ReferenceInvalidError(
            f"{value[:160]!r} is not a reference: write ENV/NAMESPACE/MODEL, ENV/NAMESPACE/MODEL@VERSION or "
            "ENV/NAMESPACE/MODEL@ALIAS, such as prod/risk/fraud@champion"
        )
    for part, field in zip(parts, ("environment", "namespace", "model"), strict=True):
        check_name(part, field=field)
    if at and not pointed:
        raise ReferenceInvalidError(f"{value!r} ends in '@': write a version number or an alias after it")
    if want == "model" and at:
        raise ReferenceInvalidError(f"{value!r} points at a version: a model is wanted, without '@…'")
    if want == "version" and not at:
        raise ReferenceInvalidError(
            f"{value!r} names a model: a version is wanted; add @VERSION or @ALIAS, such as {value}@1"
        )
    if pointed.isdecimal() and pointed.isascii():
        if pointed.startswith("0"):
            raise ReferenceInvalidError(
                f"{value[:160]!r}: version numbers start at 1 and have no leading zeros"
            )
        number = check_version_number(int(pointed[:11]))
        return Reference(parts[0], parts[1], parts[2], version=number)
    if pointed:
        check_name(pointed, field="alias")
    return Reference(parts[0], parts[1], parts[2], alias=pointed)
