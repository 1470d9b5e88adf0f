"""Revoking an identity in the trust documents of the environments that are on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.canonical import check_digest
from carnet.errors import AlreadyExistsError, NotFoundError
from carnet.serving.callers.certificates import PeerCertificate
from carnet.serving.callers.subjects import OIDC_PREFIX
from carnet_server.identity.editing import read_text, replace_text, with_entry, with_next_version
from carnet_server.identity.households import load_federation, read_facts, trust_file, trust_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from carnet_server.access.trust import Trust
    from carnet_server.identity.households import TrustFile

SUBJECTS = (OIDC_PREFIX, "spiffe://")


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was revoked where.

    Attributes:
        entry: The entry that the trust documents have now.
        documents: The version of each environment's document with it.
        unsigned: The documents that come into force once people sign them, by environment.
    """

    entry: dict[str, Any]
    documents: dict[str, int]
    unsigned: dict[str, TrustFile]


def revoke_identity(
    folder: Path,
    who: str,
    *,
    key: str = "",
    since: datetime,
    reason: str,
    environments: Sequence[str] = (),
    certificate_only: bool = False,
) -> Revoked:
    """Add an identity to ``revoked`` of trust documents, all of them or none, each with its next version.

    A registry that runs takes the document within a second or two, where signatures are demanded once enough
    people have signed it.

    Args:
        folder: The federation's folder.
        who: An identity of the federation, or a subject; empty where a key is revoked.
        key: The id of a signing key, to revoke it alone.
        since: Since when it is to be taken as somebody else's; aware.
        reason: Why, for people.
        environments: Where; empty for every environment whose files are in the folder.
        certificate_only: Whether the subject stays, and only its present certificate is revoked.

    Raises:
        InvalidInputError: The key's id is none.
        NotFoundError: There is no such identity, environment or certificate.
        AlreadyExistsError: It is revoked there already.
        FileUnreadableError: A document cannot be read or written.
        DocumentInvalidError: A document is not what it must be, or cannot be added to.
    """
    entry = _entry_of_key(key) if key else _name_of(folder, who, certificate_only=certificate_only)
    entry |= {"since": since.isoformat().replace("+00:00", "Z"), "reason": reason}
    files = [trust_file(folder, name) for name in environments] or list(trust_files(folder).values())
    if not files:
        raise NotFoundError(f"{folder} has no files of any environment: revoke where its trust.yaml is")
    changes = []
    for file in files:
        name = str(file.path)
        before = read_text(file.path, what="the trust document")
        text = with_next_version(with_entry(before, "revoked", entry, name=name), name=name)
        if _is_there(file.load(before.encode()), entry):
            raise AlreadyExistsError(f"{file.environment} has revoked {who or key} already, in {name}")
        changes.append((file, text, file.load(text.encode()).version))
    for file, text, _ in changes:
        replace_text(file.path, text)
    return Revoked(
        entry,
        {file.environment: version for file, _, version in changes},
        {file.environment: file for file, _, _ in changes if file.signatures},
    )


def _entry_of_key(key: str) -> dict[str, Any]:
    return {"key": check_digest(key, field="key")}


def _name_of(folder: Path, who: str, *, certificate_only: bool) -> dict[str, Any]:
    if who.startswith(SUBJECTS):
        if certificate_only:
            raise NotFoundError(
                f"{who} is a subject: name an identity of this federation for its certificate"
            )
        return {"subject": who}
    facts = read_facts(load_federation(folder).identity(who).certificate)
    return {"fingerprint": facts.fingerprint} if certificate_only else {"subject": facts.subject}


def _is_there(trust: Trust, entry: dict[str, Any]) -> bool:
    if "subject" in entry:
        return trust.revocation_of(entry["subject"]) is not None
    if "key" in entry:
        return trust.revocation_of_key(entry["key"], "") is not None
    return trust.revocation_of("", PeerCertificate(b"", "", entry["fingerprint"], 0.0)) is not None
