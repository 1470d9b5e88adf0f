"""Signing the documents of an environment with keys that lie on this machine, as where a federation is made.

Responsible for finding the keys of the signers that ``environment.yaml`` names among a federation's
identities, and for signing with just as many of them as are demanded. Where it matters who signs, each person
does so on a machine of their own, with ``carnet document sign``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.documents import read_file
from carnet.errors import PreconditionFailedError
from carnet.signing.document import read_header, sign_document, signatures_file
from carnet.signing.keys import SigningKey, is_encrypted
from carnet_server.config import load_config

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.signing.document_signers import DocumentSigners


def sign_documents(folder: Path, environment: str) -> None:
    """Sign the policy and the trust document of an environment as they are, where that is demanded.

    Signatures that were there are replaced.

    Args:
        folder: The federation's folder.
        environment: The environment, whose files are in it.

    Raises:
        FileUnreadableError: A file cannot be read.
        DocumentInvalidError: A document is not what it must be.
        PreconditionFailedError: Too few of the signers' keys are here, without a passphrase.
    """
    config = load_config(folder / "environments" / environment / "environment.yaml")
    if config.document_signers is None:
        return
    keys = _keys_of_people(folder, config.document_signers)
    for path in (config.policy, config.trust):
        header = read_header(read_file(path, what="the document"), name=path.name)
        lines = [sign_document(header, key, datetime.now(UTC)).to_bytes() + b"\n" for key in keys]
        signatures_file(path).write_bytes(b"".join(lines))


def _keys_of_people(folder: Path, signers: DocumentSigners) -> list[SigningKey]:
    found: dict[str, SigningKey] = {}
    for path in sorted(folder.glob("identities/*/signing-key.pem")):
        pem = read_file(path, what="the private key")
        if is_encrypted(pem):
            continue
        key = SigningKey.from_pem(pem)
        if key.key_id in signers.people:
            found.setdefault(signers.people[key.key_id], key)
    if len(found) < signers.wanted:
        raise PreconditionFailedError(
            f"{signers.wanted} people must sign, and the keys of {len(found)} lie below {folder}: "
            "have each sign with `carnet document sign`"
        )
    return list(found.values())[: signers.wanted]
