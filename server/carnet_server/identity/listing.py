"""Listing identities: who they are, until when, and what each environment of this machine lets them do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet.serving.callers.certificates import PeerCertificate
from carnet_server.identity.households import load_federation, read_facts, trust_files

if TYPE_CHECKING:
    from pathlib import Path

    from carnet_server.identity.households import CertificateFacts


@dataclass(frozen=True, slots=True)
class Listed:
    """An identity as it is listed.

    Attributes:
        name: Its name.
        certificate: What its certificate says; None where it cannot be read.
        signs: Whether it has a signing key.
        expired: Whether its certificate has ended.
        roles: Its roles by environment; empty where it has none.
        revoked_in: The environments that revoked it, or its certificate.
        problem: Why its certificate cannot be read; empty where it can.
    """

    name: str
    certificate: CertificateFacts | None
    signs: bool
    expired: bool
    roles: dict[str, list[str]]
    revoked_in: list[str]
    problem: str = ""


def list_identities(folder: Path, *, now: datetime | None = None) -> list[Listed]:
    """List the identities of a federation's folder, by name.

    Args:
        folder: The federation's folder.
        now: The time at which certificates are looked at.

    Raises:
        FileUnreadableError: A document cannot be read.
        DocumentInvalidError: A document is not what it must be.
    """
    now = now or datetime.now(UTC)
    trusts = {name: each.load() for name, each in trust_files(folder).items()}
    found: list[Listed] = []
    for name, identity in sorted(load_federation(folder).identities.items()):
        signs = identity.can_sign
        try:
            facts = read_facts(identity.certificate)
        except CarnetError as error:
            found.append(
                Listed(name, None, signs, expired=False, roles={}, revoked_in=[], problem=error.message)
            )
            continue
        shown = PeerCertificate(b"", facts.serial, facts.fingerprint, facts.valid_until.timestamp())
        roles = {place: sorted(trust.roles(facts.subject, None)) for place, trust in trusts.items()}
        revoked_in = [place for place, trust in trusts.items() if trust.revocation_of(facts.subject, shown)]
        found.append(
            Listed(
                name,
                facts,
                signs,
                expired=facts.valid_until < now,
                roles={place: held for place, held in roles.items() if held},
                revoked_in=revoked_in,
            )
        )
    return found
