"""The trust document in force: whom an environment believes, and for what.

Responsible for reading ``trust.yaml`` and for looking things up in it: keys by purpose and moment, people
behind subjects, peer environments, signing authorities, role bindings. It is the environment's own file;
nothing that a peer or the promotion service says changes it. Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.documents import parse_document, read_file
from carnet.errors import CarnetError, DocumentInvalidError
from carnet.serving.callers.claims import Token, matches_claims
from carnet.serving.callers.issuers import IssuerDocument, check_issuers
from carnet.serving.callers.revocations import Revocation, Revocations
from carnet.signing.certificate import SigningAuthority
from carnet.signing.keys import VerificationKey
from carnet.translog.keys import LogVerifier
from carnet_server.access.bindings import Bindings, matches
from carnet_server.access.key_ring import KeyRing, TrustedKey, outside
from carnet_server.access.trust_document import TrustDocument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from carnet.serving.callers.certificates import PeerCertificate
    from carnet.serving.callers.claims import TokenPattern
    from carnet.signing.certificate import SigningCertificate
    from carnet_server.access.bindings import Denial
    from carnet_server.access.trust_document import AuthorityDocument

_KEPT_ANSWERS = 4096
"""How many answers about reading are kept, as every call asks twice; whoever has no role makes them too."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another environment that this one knows."""

    environment: str
    subject: str
    endpoint: str
    server_name: str
    signing_keys: Mapping[str, VerificationKey]
    log: LogVerifier
    namespaces: frozenset[str]
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def covers(self, namespace: str) -> bool:
        """Whether it is a peer for a namespace."""
        return matches(self.namespaces, namespace)


@dataclass(frozen=True, slots=True)
class _Authority:
    """A signing authority, and whose of its certificates are believed."""

    document: AuthorityDocument
    certificate: SigningAuthority


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
    _authorities: tuple[_Authority, ...] = ()
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
        people = {subject: person for subject, person in self._people.items() if subject != token.subject}
        person = self._person_of_token(token)
        if person is not None:
            people[token.subject] = person
        return replace(self, _people=people, _bindings=self._bindings.for_token(token))

    def _person_of_token(self, token: Token) -> str | None:
        known = self._people.get(token.subject)
        named = {person for pattern, person in self._people_by_claims if pattern.matches(token)}
        named |= {known} if known is not None else set()
        return named.pop() if len(named) == 1 else None

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

    def revocation_of_key(self, key_id: str, subject: str) -> Revocation | None:
        """The entry by which a key or its subject is revoked; None for one that is in order."""
        return self._revocations.of_key(key_id) or self._revocations.of_subject(subject)

    def ring(self, at: datetime) -> KeyRing:
        """The keys as they are believed at a moment; a certificate is looked at as of when it was issued.

        Args:
            at: When what they signed arrived here, by this environment's clock.
        """
        keys = {key_id: key.at(at) for key_id, key in self._keys.items()} if self._bounded else self._keys
        return KeyRing(keys, self._peers_keys(at), self._certified)

    @property
    def _bounded(self) -> bool:
        return any(key.valid_from or key.valid_until for key in self._keys.values())

    def _peers_keys(self, at: datetime) -> dict[str, VerificationKey]:
        found: dict[str, VerificationKey] = {}
        for peer in self._peers.values():
            if not outside(peer.valid_from, peer.valid_until, at):
                found |= peer.signing_keys
        return found

    def key(self, key_id: str) -> TrustedKey | None:
        """The key of an id, whenever it is valid; None for one that is unknown here."""
        return self._keys.get(key_id)

    def key_ids_of(self, subject: str) -> tuple[str, ...]:
        """The ids of the keys of a subject, whenever they are valid."""
        return tuple(key_id for key_id, key in self._keys.items() if key.subject == subject)

    def _certified(self, certificate: SigningCertificate) -> TrustedKey | None:
        """The key of a one-time certificate; None where no authority that is known here issued it."""
        authority = next((each for each in self._authorities if each.certificate.issued(certificate)), None)
        if authority is None:
            return None
        token = Token(certificate.subject, certificate.issuer, certificate.claims)
        document, who = authority.document, f"the one-time certificate of {certificate.subject}"
        # The first that means a job counts, as in a firewall: grants do not add up over namespaces.
        granted = next(
            (each for each in document.signers if matches_claims(each.issuer, each.claims, token)), None
        )
        key = TrustedKey(
            key_id=certificate.key.key_id,
            key=certificate.key,
            subject=certificate.subject,
            person=self._person_of_token(token),
            purposes=frozenset(granted.purposes if granted else ()),
            evidence=frozenset((each.role, each.type) for each in (granted.evidence if granted else ())),
            namespaces=frozenset(granted.namespaces if granted else ()),
            token=token,
        )
        if granted is None:
            return key.not_believed(
                f"{who} is by the authority of {document.environment}, and none of its signers in the trust "
                "document means this job"
            )
        problem = outside(document.valid_from, document.valid_until, certificate.issued_at)
        if problem:
            return key.not_believed(f"{who} is by the authority of {document.environment}, which {problem}")
        if self._revocations.of_signing_certificate(certificate) or self._revocations.of_subject(key.subject):
            return key.not_believed(f"{who}, or its subject, is revoked here")
        return key

    def person_of(self, subject: str) -> str | None:
        """The person behind a subject; None where it maps to nobody."""
        return self._people.get(subject)

    def peer(self, environment: str, namespace: str | None = None) -> Peer | None:
        """The peer of a name; None for one that is unknown here, or not now, or not for a namespace.

        Args:
            environment: Its name.
            namespace: The namespace; None for any.
        """
        found = self._peers.get(environment)
        return found if self._is_peer(found, namespace) else None

    def peer_by_subject(self, subject: str, namespace: str | None = None) -> Peer | None:
        """The peer whose registry is a subject; None where it is none, not now, or not for a namespace."""
        found = next((peer for peer in self._peers.values() if peer.subject == subject), None)
        return found if self._is_peer(found, namespace) else None

    def peer_of_log(self, origin: str) -> Peer | None:
        """The peer whose log has an origin; None where it is none, or not now."""
        found = next((peer for peer in self._peers.values() if peer.log.name == origin), None)
        return found if self._is_peer(found, None) else None

    @staticmethod
    def _is_peer(peer: Peer | None, namespace: str | None) -> bool:
        return (
            peer is not None
            and (namespace is None or peer.covers(namespace))
            and not outside(peer.valid_from, peer.valid_until, _now())
        )

    def roles(self, subject: str, namespace: str | None) -> frozenset[str]:
        """The roles in which a subject may read.

        Args:
            subject: The subject.
            namespace: The namespace; None for the roles that it has in any.
        """
        found = self._found.get((subject, namespace))
        if found is None:
            found = self._held(subject, self._bindings.reading_roles(subject, namespace), namespace)
            if not self._is_bounded_peer(subject) and len(self._found) < _KEPT_ANSWERS:
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
        return self._held(subject, self._bindings.acting_roles(subject, namespace, alias), namespace)

    def _held(self, subject: str, roles: frozenset[str], namespace: str | None) -> frozenset[str]:
        if self._revocations.of_subject(subject) is not None:
            return frozenset()
        return roles if self.peer_by_subject(subject, namespace) is None else roles | {"peer"}

    def _is_bounded_peer(self, subject: str) -> bool:
        return any(
            peer.subject == subject and (peer.valid_from or peer.valid_until) for peer in self._peers.values()
        )

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
        _authorities=_load_authorities(document, name),
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
    known = {*issuers, *(job.issuer for each in document.authorities for job in each.signers)}
    for where, issuer in named:
        if issuer is not None and issuer not in known:
            raise DocumentInvalidError(
                f"{name}: {where}.issuer: {issuer} is not among the issuers of `oidc` or of the signers of "
                f"`authorities`: {', '.join(sorted(known)) or 'there are none'}"
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
        known = TrustedKey(
            key_id=key.key_id,
            key=key,
            subject=entry.subject,
            person=people.get(entry.subject),
            purposes=frozenset(entry.purposes),
            evidence=frozenset((grant.role, grant.type) for grant in entry.evidence),
            namespaces=frozenset(entry.namespaces),
            valid_from=entry.valid_from,
            valid_until=entry.valid_until,
        )
        revoked = revocations.of_key(key.key_id) or revocations.of_subject(entry.subject)
        if revoked is not None:
            since = revoked.since.astimezone(UTC)
            known = known.not_believed(
                f"the key of {entry.subject} is revoked here, compromised since {since:%Y-%m-%d %H:%M} UTC"
            )
        keys[key.key_id] = known
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
            signing_keys={key.key_id: key for key in signing_keys if revocations.of_key(key.key_id) is None},
            log=log,
            namespaces=frozenset(entry.namespaces),
            valid_from=entry.valid_from,
            valid_until=entry.valid_until,
        )
    return peers


def _load_authorities(document: TrustDocument, name: str) -> tuple[_Authority, ...]:
    """Read the signing authorities: of this environment, and of peers."""
    environments = {document.environment, *(peer.environment for peer in document.peers)}
    found: list[_Authority] = []
    for i, entry in enumerate(document.authorities):
        where = f"{name}: authorities[{i}]"
        if entry.environment not in environments:
            raise DocumentInvalidError(
                f"{where}.environment: {entry.environment!r} is neither this environment nor a peer"
            )
        try:
            certificate = SigningAuthority.from_pem(entry.certificate)
        except CarnetError as error:
            raise DocumentInvalidError(f"{where}.certificate: {error.message}") from error
        if any(each.certificate == certificate for each in found):
            raise DocumentInvalidError(f"{where}.certificate: it is there already")
        found.append(_Authority(entry, certificate))
    return tuple(found)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class TrustStore:
    """The trust document that is in force; it is replaced as a whole, and never changed.

    Attributes:
        current: The document.
    """

    current: Trust

    @classmethod
    def load(cls, path: Path, *, environment: str) -> TrustStore:
        """Begin with the document in a file.

        Args:
            path: The file.
            environment: The environment that it must be for.

        Raises:
            FileUnreadableError: The file cannot be read.
            DocumentInvalidError: It is not a trust document of this environment.
        """
        data = read_file(path, what="the trust document")
        return cls(load_trust(data, name=path.name, environment=environment))
