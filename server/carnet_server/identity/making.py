"""Making an identity: a certificate by the federation's authority, a signing key, and what to paste where.

Responsible for the files of the identity and for its name in the federation's document. Grants nothing: what
it may do stands in trust documents, which people change; the lines for that are returned.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from carnet.errors import AlreadyExistsError
from carnet.references import check_name
from carnet.signing.keys import SigningKey
from carnet_server.identity.editing import flow, read_text, replace_text, with_entry
from carnet_server.identity.households import (
    CertificateFacts,
    federation_file,
    load_authority,
    load_federation,
    read_facts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from carnet.signing.passphrase import Passphrase

_OPAQUE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Wish:
    """An identity that is to be made.

    Attributes:
        name: Its name, and its folder's below ``identities/``.
        kind: ``person`` or ``service``.
        person: The person that its acts are counted as; where it is empty, a person counts as itself, and
            anything else as nobody.
        roles: The roles that the lines for trust documents give it.
        namespaces: Where; empty for everywhere.
        purposes: What its signatures are to be believed for; empty for an identity without a signing key.
        valid_for: How long its certificate is valid.
        passphrase: What its signing key is encrypted with; None to write it as it is.
        opaque: Whether its SPIFFE id, and the person where none is named, are random: logs keep both.
    """

    name: str
    kind: str
    person: str
    roles: Sequence[str]
    namespaces: Sequence[str]
    purposes: Sequence[str]
    valid_for: timedelta
    passphrase: Passphrase | None = None
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """An identity that was made.

    Attributes:
        name: Its name.
        folder: Its files.
        certificate: What its certificate says.
        trust_lines: The lines for a trust document.
    """

    name: str
    folder: Path
    certificate: CertificateFacts
    trust_lines: str


def make_identity(folder: Path, wish: Wish) -> Made:
    """Make an identity in a federation's folder, all of it or nothing.

    Args:
        folder: The federation's folder.
        wish: What is to be made.

    Raises:
        AlreadyExistsError: The federation has an identity of that name.
        InvalidInputError: The name is none.
        FileUnreadableError: The authority is not below the folder, or a file cannot be written.
        DocumentInvalidError: The authority or the federation's document is not what it must be.
    """
    check_name(wish.name, field="name")
    place = folder / "identities" / wish.name
    if wish.name in load_federation(folder).identities or place.exists():
        raise AlreadyExistsError(f"this federation has an identity {wish.name!r} already: {place}")
    authority, domain = load_authority(folder)
    document = federation_file(folder)
    changed = with_entry(
        read_text(document, what="federation"),
        "identities",
        (wish.name, f"identities/{wish.name}"),
        name=document.name,
    )
    key = SigningKey.generate() if wish.purposes else None
    making = place.with_name(f".{wish.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    called = f"id-{secrets.token_hex(_OPAQUE_BYTES)}" if wish.opaque else wish.name
    if wish.kind == "person" and not wish.person:
        wish = replace(wish, person=called)
    subject = f"spiffe://{domain}/{wish.kind}/{called}"
    authority.issue(making, spiffe_id=subject, valid_for=wish.valid_for)
    if key is not None:
        key.save(making / "signing-key.pem", passphrase=wish.passphrase)
    making.rename(place)
    replace_text(document, changed)
    return Made(wish.name, place, read_facts(place / "tls.pem"), _trust_lines(subject, wish, key))


def _trust_lines(subject: str, wish: Wish, key: SigningKey | None) -> str:
    lines: list[str] = []
    limits: dict[str, Any] = {"namespaces": list(wish.namespaces)} if wish.namespaces else {}
    if wish.person:
        lines += ["people:", f"  - {flow({'name': wish.person, 'subjects': [subject]})}"]
    if key is not None:
        pem = "".join(f"      {line}\n" for line in key.verification_key.pem.splitlines())
        lines += ["keys:", f"  - subject: {subject}", "    pem: |", pem.rstrip("\n")]
        lines.append(f"    purposes: [{', '.join(wish.purposes)}]")
        if wish.namespaces:
            lines.append(f"    namespaces: [{', '.join(wish.namespaces)}]")
    if wish.roles:
        entry = {"subject": subject, "roles": list(wish.roles), **limits}
        lines += ["roles:", f"  - {flow(entry)}"]
    return "\n".join(lines)
