"""The trust document: whom an environment believes, and for what.

Responsible for reading ``trust.yaml`` and for looking things up in it: keys by purpose, people behind
subjects, peer environments, role bindings. It is the environment's own file; nothing that a peer or the
promotion service says changes it. Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

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
    matches,
)
from carnet_server.access.claims import TokenPattern  # noqa: TC001  pydantic reads it
from carnet_server.access.issuers import IssuerDocument, check_issuers
from carnet_server.access.revocations import Revocation, Revocations
from carnet_server.access.subjects import SpiffeId, Strict, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from carnet_server.access.certificates import PeerCertificate
    from carnet_server.access.claims import Token

_KEPT_ANSWERS = 4096
"""How many answers about reading are kept, as every call asks twice; whoever has no role makes them too."""

Purpose = Literal["bundle", "request", "approval", "break-glass", "cancellation"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$", max_length=63)]


class PersonDocument(Strict):
    """A person, and the subjects and the tokens that act for them."""

    name: Name
    subjects: tuple[Subject, ...] = ()
    claims: tuple[TokenPattern, ...] = ()

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if not self.subjects and not self.claims:
            raise ValueError("subjects or claims are wanted")
        if any(pattern.endswith("*") for each in self.claims for pattern in each.claims.values()):
            raise ValueError("claims: a person is meant by whole values, and not by the beginning of some")
        return self


class EvidenceGrant(Strict):
    """A right to sign evidence of one predicate type, in a role that policies name."""

    role: Name
    type: str = Field(min_length=1, max_length=512)


class KeyDocument(Strict):
    """A public key, whose it is, and what its signatures are believed for."""

    subject: Subject
    pem: str
    purposes: tuple[Purpose, ...] = ()
    evidence: tuple[EvidenceGrant, ...] = ()
    namespaces: tuple[NamePattern, ...] = ANY


class PeerDocument(Strict):
    """Another environment: where it is, who it is, and its keys."""

    environment: Name
    subject: SpiffeId
    endpoint: str = Field(pattern=r"^.+:[0-9]{1,5}$")
    server_name: str = Field(min_length=1)
    signing_keys: tuple[str, ...] = Field(min_length=1)
    log_key: str


class TrustDocument(Strict):
    """The schema of ``trust.yaml``."""

    schema_: Literal["carnet.trust/v1"] = Field(alias="schema")
    environment: Name
    version: int = Field(ge=1)
    people: tuple[PersonDocument, ...] = ()
    keys: tuple[KeyDocument, ...] = ()
    peers: tuple[PeerDocument, ...] = ()
    roles: tuple[RoleBinding, ...] = ()
    denied: tuple[Denial, ...] = ()
    revoked: tuple[Revocation, ...] = ()
    oidc: tuple[IssuerDocument, ...] = ()


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
    _revocations: Revocations
    _people_by_claims: tuple[tuple[TokenPattern, str], ...]
    _issuers: Mapping[str, IssuerDocument]
    _found: dict[tuple[str, str | None], frozenset[str]] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    def issuer(self, url: str) -> IssuerDocument | None:
        """The OIDC issuer of a URL; None for one whose tokens are not taken here."""
        return self._issuers.get(url)

    def for_token(self, token: Token) -> Trust:
        """This document, as it is for whoever shows a token: with the roles and the person of its claims.

        A token that the document takes for two people is nobody's.
        """
        known = self._people.get(token.subject)
        named = {person for pattern, person in self._people_by_claims if pattern.matches(token)}
        named |= {known} if known is not None else set()
        people = {subject: person for subject, person in self._people.items() if subject != token.subject}
        if len(named) == 1:
            people[token.subject] = named.pop()
        return replace(self, _people=people, _bindings=self._bindings.for_token(token))

    def revocation_of(self, subject: str, certificate: PeerCertificate | None = None) -> Revocation | None:
        """The entry by which a caller is revoked; None for one that is in order.

        Args:
            subject: The caller's subject.
            certificate: Its certificate; None for one that showed none.
        """
        found = self._revocations.of_subject(subject)
        if found is None and certificate is not None:
            found = self._revocations.of_certificate(certificate)
        return found

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
        """The peer whose registry is a subject; None where it is none, or is revoked."""
        return next((peer for peer in self._peers.values() if peer.subject == subject), None)

    def roles(self, subject: str, namespace: str | None) -> frozenset[str]:
        """The roles in which a subject may read.

        Args:
            subject: The subject.
            namespace: The namespace; None for the roles that it has in any.
        """
        found = self._found.get((subject, namespace))
        if found is None:
            found = self._held(subject, self._bindings.reading_roles(subject, namespace))
            if len(self._found) < _KEPT_ANSWERS:
                self._found[subject, namespace] = found
        return found

    def roles_everywhere(self, subject: str) -> frozenset[str]:
        """The roles in which a subject may read all namespaces."""
        if self._revocations.of_subject(subject) is not None:
            return frozenset()
        return self._bindings.roles_everywhere(subject)

    def acting_roles(self, subject: str, namespace: str, alias: str = "") -> frozenset[str]:
        """The roles in which a subject may act.

        Args:
            subject: The subject.
            namespace: The namespace.
            alias: The alias that is acted on; empty where none is.
        """
        return self._held(subject, self._bindings.acting_roles(subject, namespace, alias))

    def _held(self, subject: str, roles: frozenset[str]) -> frozenset[str]:
        if self._revocations.of_subject(subject) is not None:
            return frozenset()
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
    issuers = check_issuers(document.oidc, name=name)
    _check_issuers_are_known(document, issuers, name)
    revocations = Revocations.of(document.revoked)
    return Trust(
        environment=environment,
        version=document.version,
        digest=sha256_hex(data),
        data=data,
        _keys=_load_keys(document, people, revocations, name),
        _people=people,
        _peers=_load_peers(document, revocations, name),
        _bindings=Bindings.of(document.roles, document.denied),
        _revocations=revocations,
        _people_by_claims=tuple(
            (pattern, person.name) for person in document.people for pattern in person.claims
        ),
        _issuers=issuers,
    )


def _check_issuers_are_known(
    document: TrustDocument, issuers: Mapping[str, IssuerDocument], name: str
) -> None:
    named = [
        *((f"roles[{i}]", each.issuer) for i, each in enumerate(document.roles)),
        *((f"denied[{i}]", each.issuer) for i, each in enumerate(document.denied)),
        *(
            (f"people[{i}].claims[{j}]", pattern.issuer)
            for i, person in enumerate(document.people)
            for j, pattern in enumerate(person.claims)
        ),
    ]
    for where, issuer in named:
        if issuer is not None and issuer not in issuers:
            raise DocumentInvalidError(
                f"{name}: {where}.issuer: {issuer} is not among the issuers of `oidc`; it has "
                f"{', '.join(issuers) or 'none'}"
            )


def _load_keys(
    document: TrustDocument, people: dict[str, str], revocations: Revocations, name: str
) -> dict[str, TrustedKey]:
    """Read the keys; those of a revoked subject are known still, and believed for nothing."""
    keys: dict[str, TrustedKey] = {}
    for i, entry in enumerate(document.keys):
        try:
            key = VerificationKey.from_pem(entry.pem)
        except CarnetError as error:
            raise DocumentInvalidError(f"{name}: keys[{i}].pem: {error.message}") from error
        if key.key_id in keys:
            raise DocumentInvalidError(f"{name}: keys[{i}]: the key of {keys[key.key_id].subject} once more")
        revoked = revocations.of_subject(entry.subject) is not None
        keys[key.key_id] = TrustedKey(
            key_id=key.key_id,
            key=key,
            subject=entry.subject,
            person=people.get(entry.subject),
            purposes=frozenset(() if revoked else entry.purposes),
            evidence=frozenset(
                () if revoked else ((grant.role, grant.type) for grant in entry.evidence),
            ),
            namespaces=frozenset(entry.namespaces),
        )
    return keys


def _load_peers(document: TrustDocument, revocations: Revocations, name: str) -> dict[str, Peer]:
    """Read the peers; one that is revoked is checked, and unknown from then on."""
    peers: dict[str, Peer] = {}
    named: set[str] = set()
    for i, entry in enumerate(document.peers):
        if entry.environment in named or entry.environment == document.environment:
            raise DocumentInvalidError(f"{name}: peers[{i}]: {entry.environment!r} twice, or itself")
        named.add(entry.environment)
        try:
            signing_keys = [VerificationKey.from_pem(pem) for pem in entry.signing_keys]
            log = LogVerifier.parse(entry.log_key)
        except CarnetError as error:
            raise DocumentInvalidError(f"{name}: peers[{i}]: {error.message}") from error
        if revocations.of_subject(entry.subject) is not None:
            continue
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
    """The trust document that is in force; it is replaced as a whole, and never changed.

    Args:
        path: The file.
        environment: The environment that it must be for.

    Attributes:
        current: The document.

    Raises:
        FileUnreadableError: The file cannot be read.
        DocumentInvalidError: It is not a trust document of this environment.
    """

    def __init__(self, path: Path, *, environment: str) -> None:
        self.current = load_trust(
            read_file(path, what="the trust document"), name=path.name, environment=environment
        )
