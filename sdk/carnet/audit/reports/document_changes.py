"""What changed between two policy or trust documents.

Responsible for a summary of the differences of two YAML documents, and for the facts of a trust document that
auditors ask about: whose keys, whose roles, whose peers. Pure. Judges no document: what cannot be read has no
differences and no facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from carnet.canonical import canonical_json, sha256_hex
from carnet.documents import YamlSource
from carnet.errors import CarnetError
from carnet.signing.keys import VerificationKey

if TYPE_CHECKING:
    from collections.abc import Iterator

DIFFERENCES_MAX: Final = 100
_IDENTITIES = ("rule", "id", "name", "subject", "environment", "person", "issuer", "namespace")
_SHOWN_MAX = 120


class TrustFact(NamedTuple):
    """A fact of a trust document: what kind it is of, whom it is about, and what it says."""

    kind: str
    holder: str
    what: str


def parse_yaml(data: bytes | None) -> dict[str, Any]:
    """Return a YAML document as a mapping; empty for one that is not there, or is none."""
    if data is None:
        return {}
    try:
        value = YamlSource(data, name="the document").value
    except CarnetError:
        return {}
    return value if isinstance(value, dict) else {}


def summarise_changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Say what differs between two documents, a line for each field, in the order of their paths.

    Args:
        before: The earlier document; empty for none.
        after: The later one.

    Returns:
        ``PATH: OLD -> NEW``, ``PATH added: NEW`` or ``PATH removed: OLD``; at most 100, and how many more.
    """
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    lines = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) == new.get(path):
            continue
        if path not in old:
            lines.append(f"{path} added: {new[path]}")
        elif path not in new:
            lines.append(f"{path} removed: {old[path]}")
        else:
            lines.append(f"{path}: {old[path]} -> {new[path]}")
    more = len(lines) - DIFFERENCES_MAX
    return tuple(lines[:DIFFERENCES_MAX]) + ((f"and {more} more",) if more > 0 else ())


def trust_facts(document: dict[str, Any]) -> frozenset[TrustFact]:
    """Return what a trust document says about people, keys, roles, denials, peers and issuers of tokens."""
    return frozenset(
        fact for kind, read in _READERS.items() for each in _objects(document, kind) for fact in read(each)
    )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        seen: dict[str, int] = {}
        for each in value:
            name = _identity(each)
            seen[name] = seen.get(name, 0) + 1
            number = f" #{seen[name]}" if seen[name] > 1 else ""
            yield from _leaves(each, f"{path}[{name}{number}]")
    else:
        yield path, _shown(value)


def _identity(value: Any) -> str:
    if isinstance(value, dict):
        return next((str(value[key]) for key in _IDENTITIES if key in value), "")
    return _shown(value)


def _shown(value: Any) -> str:
    try:
        text = canonical_json(value).decode()
    except CarnetError:
        text = str(value)
    return (
        text
        if len(text) <= _SHOWN_MAX
        else f"{len(text)} characters, SHA-256 {sha256_hex(text.encode())[:16]}"
    )


def _objects(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _key_id(pem: Any) -> str:
    try:
        return VerificationKey.from_pem(str(pem)).key_id
    except CarnetError:
        return "a key that cannot be read"


def _person(value: dict[str, Any]) -> Iterator[TrustFact]:
    for subject in _texts(value.get("subjects")):
        yield TrustFact("person", str(value.get("name")), subject)


def _key(value: dict[str, Any]) -> Iterator[TrustFact]:
    yield TrustFact("key", str(value.get("subject")), _key_id(value.get("pem")))


def _peer(value: dict[str, Any]) -> Iterator[TrustFact]:
    holder = str(value.get("environment"))
    for pem in _texts(value.get("signing_keys")):
        yield TrustFact("peer's key", holder, _key_id(pem))
    if "log_key" in value:
        yield TrustFact("peer's log key", holder, str(value["log_key"]))


def _role(value: dict[str, Any], kind: str = "role") -> Iterator[TrustFact]:
    where = [f"{key} {' '.join(_texts(value[key]))}" for key in ("namespaces", "aliases") if value.get(key)]
    for role in _texts(value.get("roles")):
        yield TrustFact(kind, str(value.get("subject")), ", ".join([role, *where]))


def _denial(value: dict[str, Any]) -> Iterator[TrustFact]:
    yield from _role(value, "denial")


def _issuer(value: dict[str, Any]) -> Iterator[TrustFact]:
    yield TrustFact("issuer of tokens", str(value.get("issuer")), f"audience {value.get('audience')}")


_READERS = {
    "people": _person,
    "keys": _key,
    "peers": _peer,
    "roles": _role,
    "denied": _denial,
    "oidc": _issuer,
}
