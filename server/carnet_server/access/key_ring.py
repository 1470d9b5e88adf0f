"""The keys that an environment believes at one moment, each for its purposes.

Responsible for looking keys up by id and by purpose, those of one-time certificates that came with an
envelope too, and for saying why a key that is known is not believed. Invariant: a key that is revoked, or not
valid at that moment, is known and has no purposes. Verifies no envelope.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from carnet.errors import IntegrityError, KeyUntrustedError
from carnet.signing.certificate import read_signing_certificate, require_payload
from carnet.signing.dsse import pae
from carnet_server.access.bindings import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from carnet.serving.callers.claims import Token
    from carnet.signing.certificate import SigningCertificate
    from carnet.signing.dsse import Envelope
    from carnet.signing.keys import VerificationKey


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key that this environment knows.

    Attributes:
        key_id: Its id.
        key: The key.
        subject: Whose it is.
        person: The person behind that; None for nobody.
        purposes: What its signatures are believed for.
        evidence: The roles in which it may sign evidence, each with its predicate type.
        namespaces: Where.
        valid_from: From when on; None for ever.
        valid_until: Up to when; None for ever.
        unbelieved: Why it is not believed; empty where it is.
        token: What the token said that its one-time certificate was issued for; None for a key of its own.
    """

    key_id: str
    key: VerificationKey
    subject: str
    person: str | None
    purposes: frozenset[str]
    evidence: frozenset[tuple[str, str]]
    namespaces: frozenset[str]
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    unbelieved: str = ""
    token: Token | None = None

    def covers(self, namespace: str) -> bool:
        """Whether the key is believed in a namespace."""
        return matches(self.namespaces, namespace)

    def evidence_roles(self, predicate_type: str) -> frozenset[str]:
        """The roles in which the key may sign evidence of a predicate type."""
        return frozenset(role for role, granted in self.evidence if granted == predicate_type)

    def at(self, moment: datetime) -> TrustedKey:
        """This key, as it is to be thought of at a moment."""
        problem = outside(self.valid_from, self.valid_until, moment)
        return self.not_believed(f"the key of {self.subject} {problem}") if problem else self

    def not_believed(self, why: str) -> TrustedKey:
        """This key, known and believed for nothing."""
        return replace(self, purposes=frozenset(), evidence=frozenset(), unbelieved=why)


def outside(begins: datetime | None, ends: datetime | None, moment: datetime) -> str:
    """Say how a moment is outside of a time that something is believed for; empty where it is not."""
    if begins is not None and moment < begins:
        return f"is believed from {begins:%Y-%m-%d %H:%M} UTC on"
    if ends is not None and moment >= ends:
        return f"was believed until {ends:%Y-%m-%d %H:%M} UTC"
    return ""


@dataclass(frozen=True)
class KeyRing:
    """Keys, as they are believed at one moment.

    Attributes:
        keys: The keys of people and services, by id.
        peers_keys: The keys of peers, by id; they are believed for what peers say.
    """

    keys: Mapping[str, TrustedKey]
    peers_keys: Mapping[str, VerificationKey]
    _certify: Callable[[SigningCertificate], TrustedKey | None] = field(repr=False)
    _problems: Mapping[str, str] = field(default_factory=dict, repr=False)

    def key(self, key_id: str) -> TrustedKey | None:
        """The key of an id; None for one that is unknown here, and for a peer's."""
        return self.keys.get(key_id)

    def for_purposes(self, *purposes: str) -> dict[str, VerificationKey]:
        """The keys whose signatures are believed for any of some purposes, by id."""
        wanted = frozenset(purposes)
        return {key_id: key.key for key_id, key in self.keys.items() if key.purposes & wanted}

    def for_evidence(self, predicate_type: str, namespace: str) -> dict[str, TrustedKey]:
        """The keys that may sign evidence of a predicate type in a namespace, by id."""
        return {
            key_id: key
            for key_id, key in self.keys.items()
            if key.evidence and key.covers(namespace) and key.evidence_roles(predicate_type)
        }

    @cached_property
    def everybody(self) -> Mapping[str, VerificationKey]:
        """Every key that is known here, whatever for; peers' too."""
        return {key_id: known.key for key_id, known in self.keys.items()} | dict(self.peers_keys)

    def with_certificates_of(self, envelope: Envelope) -> KeyRing:
        """These keys, and those that an envelope's one-time certificates make believable for it alone.

        A certificate that is not of a signing authority which is known here adds nothing.

        Args:
            envelope: The envelope.
        """
        certificates = [each.cert for each in envelope.signatures if each.cert]
        if not certificates:
            return self
        signed = pae(envelope.payload, envelope.payload_type)
        keys, problems = dict(self.keys), dict(self._problems)
        for pem in certificates:
            try:
                certificate = read_signing_certificate(pem)
                require_payload(certificate, signed)
            except IntegrityError as error:
                problems[error.metadata.get("keyId", "")] = error.message
                continue
            found = self._certify(certificate)
            # A certificate cannot make anything of a key that is known by itself.
            if found is not None and found.key_id not in self.keys:
                keys[found.key_id] = found
        return replace(self, keys=keys, _problems=problems)

    def say_why(self, error: KeyUntrustedError, envelope: Envelope) -> KeyUntrustedError:
        """Return the error of an envelope that nobody who is believed signed, with why that is so.

        Args:
            error: The error of its verification.
            envelope: The envelope.
        """
        known = (self.keys.get(each.keyid) for each in envelope.signatures)
        reasons = [key.unbelieved for key in known if key is not None and key.unbelieved]
        reasons += self._problems.values()
        return KeyUntrustedError(reasons[0], metadata=error.metadata) if reasons else error
