"""The trust document: whom an environment believes, and for what.

Responsible for reading ``trust.yaml`` and for looking things up in it: keys by purpose, people behind
subjects, peer environments, role bindings. It is the environment's own file; nothing that a peer or the
promotion service says changes it. Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from carnet.canonical import sha256_hex
from carnet.documents import parse_document, read_file
from carnet.errors import CarnetError, DocumentInvalidError
from carnet.signing.keys import VerificationKey
from carnet.translog.keys import LogVerifier
from carnet_server.access.bindings import (
    ANY,
    Bindings,
    Denial,
    NamePattern,
    RoleBinding,
    SpiffeId,
    matches,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Purpose = Literal["bundle", "request", "approval", "cancellation"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$", max_length=63)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class PersonDocument(_Strict):
    """A person, and the subjects that act for them."""

    name: Name
    subjects: tuple[SpiffeId, ...] = Field(min_length=1)


class EvidenceGrant(_Strict):
    """A right to sign evidence of one predicate type, in a role that policies name."""

    role: Name
    type: str = Field(min_length=1, max_length=512)


class KeyDocument(_Strict):
    """A public key, whose it is, and what its signatures are believed for."""

    subject: SpiffeId
    pem: str
    purposes: tuple[Purpose, ...] = ()
    evidence: tuple[EvidenceGrant, ...] = ()
    namespaces: tuple[NamePattern, ...] = ANY


class PeerDocument(_Strict):
    """Another environment: where it is, who it is, and its keys."""

    environment: Name
    subject: SpiffeId
    endpoint: str = Field(pattern=r"^.+:[0-9]{1,5}$")
    server_name: str = Field(min_length=1)
    signing_keys: tuple[str, ...] = Field(min_length=1)
    log_key: str


class TrustDocument(_Strict):
    """The schema of ``trust.yaml``."""

    schema_: Literal["carnet.trust/v1"] = Field(alias="schema")
    environment: Name
    version: int = Field(ge=1)
    people: tuple[PersonDocument, ...] = ()
    keys: tuple[KeyDocument, ...] = ()
    peers: tuple[PeerDocument, ...] = ()
    roles: tuple[RoleBinding, ...] = ()
    denied: tuple[Denial, ...] = ()


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key that this environment knows."""

    key_id: str
    key: VerificationKey
    subject: str
    person: str | None
    purposes: frozenset[str]
    evidence: frozenset[tuple[str, str]]
    namespaces: frozenset[str]

    def covers(self, namespace: str) -> bool:
        """Whether the key is believed in a namespace."""
        return matches(self.namespaces, namespace)

    def evidence_roles(self, predicate_type: str) -> frozenset[str]:
        """The roles in which the key may sign evidence of a predicate type."""
        return frozenset(role for role, granted in self.evidence if granted == predicate_type)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another environment that this one knows."""

    environment: str
    subject: str
    endpoint: str
    server_name: str
    signing_keys: Mapping[str, VerificationKey]
    log: LogVerifier


@dataclass(frozen=True)
class Trust:
    """A trust document in force, ready to be looked things up in.

    Attributes:
        environment: The environment that it is for.
        version: The document's version.
        digest: The SHA-256 of its bytes.
        data: Its bytes.
    """

    environment: str
    version: int
    digest: str
    data: bytes
    _keys: Mapping[str, TrustedKey]
    _people: Mapping[str, str]
    _peers: Mapping[str, Peer]
    _bindings: Bindings

    def key(self, key_id: str) -> TrustedKey | None:
        """The key of an id; None for one that is unknown here."""
        return self._keys.get(key_id)

    def keys_for(self, purpose: str) -> dict[str, VerificationKey]:
        """The keys whose signatures are believed for a purpose; ``evidence`` for any evidence at all."""
        return {
            key_id: trusted.key
            for key_id, trusted in self._keys.items()
            if purpose in trusted.purposes or (purpose == "evidence" and trusted.evidence)
        }

    def all_keys(self) -> dict[str, VerificationKey]:
        """Every key that is known here, whatever for; peers' too."""
        known = {key_id: trusted.key for key_id, trusted in self._keys.items()}
        for peer in self._peers.values():
            known.update(peer.signing_keys)
        return known

    def person_of(self, subject: str) -> str | None:
        """The person behind a subject; None where it maps to nobody."""
        return self._people.get(subject)

    def peer(self, environment: str) -> Peer | None:
        """The peer of a name; None for one that is unknown here."""
        return self._peers.get(environment)

    def peer_by_subject(self, subject: str) -> Peer | None:
        """The peer whose registry is a subject; None where it is none."""
        return next((peer for peer in self._peers.values() if peer.subject == subject), None)

    def roles(self, subject: str, namespace: str | None) -> frozenset[str]:
        """The roles in which a subject may read.

        Args:
            subject: The subject.
            namespace: The namespace; None for the roles that it has in any.
        """
        return self._with_peer(subject, self._bindings.reading_roles(subject, namespace))

    def roles_everywhere(self, subject: str) -> frozenset[str]:
        """The roles in which a subject may read all namespaces."""
        return self._bindings.roles_everywhere(subject)

    def acting_roles(self, subject: str, namespace: str, alias: str = "") -> frozenset[str]:
        """The roles in which a subject may act.

        Args:
            subject: The subject.
            namespace: The namespace.
            alias: The alias that is acted on; empty where none is.
        """
        return self._with_peer(subject, self._bindings.acting_roles(subject, namespace, alias))

    def _with_peer(self, subject: str, roles: frozenset[str]) -> frozenset[str]:
        return roles if self.peer_by_subject(subject) is None else roles | {"peer"}

    def denial_of(self, subject: str, roles: frozenset[str], namespace: str, alias: str) -> Denial | None:
        """The denial that takes one of some roles away from a subject at a place; None where none does."""
        return self._bindings.denial_of(subject, roles, namespace, alias)


def load_trust(data: bytes, *, name: str = "trust.yaml", environment: str) -> Trust:
    """Read a trust document.

    Args:
        data: Its bytes.
        name: What to call it in messages.
        environment: The environment that it must be for.

    Returns:
        The document, ready for look-ups.

    Raises:
        DocumentInvalidError: It breaks its schema, is for another environment, or contradicts itself.
    """
    document = parse_document(data, TrustDocument, name=name)
    if document.environment != environment:
        raise DocumentInvalidError(
            f"{name}: environment: is {document.environment!r}, must be {environment!r}"
        )
    people: dict[str, str] = {}
    for i, person in enumerate(document.people):
        for subject in person.subjects:
            if people.setdefault(subject, person.name) != person.name:
                raise DocumentInvalidError(f"{name}: people[{i}]: {subject} is {people[subject]}'s already")
    return Trust(
        environment=environment,
        version=document.version,
        digest=sha256_hex(data),
        data=data,
        _keys=_load_keys(document, people, name),
        _people=people,
        _peers=_load_peers(document, name),
        _bindings=Bindings.of(document.roles, document.denied),
    )


def _load_keys(document: TrustDocument, people: dict[str, str], name: str) -> dict[str, TrustedKey]:
    keys: dict[str, TrustedKey] = {}
    for i, entry in enumerate(document.keys):
        try:
            key = VerificationKey.from_pem(entry.pem)
        except CarnetError as error:
            raise DocumentInvalidError(f"{name}: keys[{i}].pem: {error.message}") from error
        if key.key_id in keys:
            raise DocumentInvalidError(f"{name}: keys[{i}]: the key of {keys[key.key_id].subject} once more")
        keys[key.key_id] = TrustedKey(
            key_id=key.key_id,
            key=key,
            subject=entry.subject,
            person=people.get(entry.subject),
            purposes=frozenset(entry.purposes),
            evidence=frozenset((grant.role, grant.type) for grant in entry.evidence),
            namespaces=frozenset(entry.namespaces),
        )
    return keys


def _load_peers(document: TrustDocument, name: str) -> dict[str, Peer]:
    peers: dict[str, Peer] = {}
    for i, entry in enumerate(document.peers):
        if entry.environment in peers or entry.environment == document.environment:
            raise DocumentInvalidError(f"{name}: peers[{i}]: {entry.environment!r} twice, or itself")
        try:
            signing_keys = [VerificationKey.from_pem(pem) for pem in entry.signing_keys]
            log = LogVerifier.parse(entry.log_key)
        except CarnetError as error:
            raise DocumentInvalidError(f"{name}: peers[{i}]: {error.message}") from error
        peers[entry.environment] = Peer(
            environment=entry.environment,
            subject=entry.subject,
            endpoint=entry.endpoint,
            server_name=entry.server_name,
            signing_keys={key.key_id: key for key in signing_keys},
            log=log,
        )
    return peers


class TrustStore:
    """The trust document that is in force.

    Args:
        path: The file.
        environment: The environment that it must be for.

    Raises:
        FileUnreadableError: The file cannot be read.
        DocumentInvalidError: It is not a trust document of this environment.
    """

    def __init__(self, path: Path, *, environment: str) -> None:
        self.current = load_trust(
            read_file(path, what="the trust document"), name=path.name, environment=environment
        )
