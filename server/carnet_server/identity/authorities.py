"""The signing authority of an environment whose files are here: what others paste, and renewing it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import NotFoundError, PreconditionFailedError
from carnet.signing.certificate import SigningAuthority
from carnet_server.config import load_config
from carnet_server.identity.editing import read_text, replace_text
from carnet_server.identity.households import federation_file
from carnet_server.identity.signing_authority import load_pair
from carnet_server.local.authority import Authority

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from carnet_server.config import SigningAuthorityConfig

_EXAMPLE = """\
    signers:
      # The jobs whose certificates are believed, by their tokens' claims, and what for.
      - issuer: https://token.actions.githubusercontent.com
        claims: {repository: acme/fraud, ref: refs/heads/main}
        purposes: [bundle, request]
        namespaces: [risk]
"""


@dataclass(frozen=True, slots=True)
class ShownAuthority:
    """A signing authority as it is shown.

    Attributes:
        environment: Whose it is.
        certificate: Its certificate, PEM.
        fingerprint: The SHA-256 of the certificate's DER form.
        valid_until: When it ends.
        trust_lines: The lines for a trust document, with an example of a signer.
    """

    environment: str
    certificate: str
    fingerprint: str
    valid_until: datetime
    trust_lines: str


def show_authority(folder: Path, environment: str) -> ShownAuthority:
    """Return the signing authority of an environment, with the lines that others paste.

    Args:
        folder: The federation's folder.
        environment: The environment, whose files are below it.

    Raises:
        NotFoundError: The folder has no files of that environment.
        PreconditionFailedError: The environment has no signing authority.
        FileUnreadableError: A file cannot be read.
        DocumentInvalidError: The authority is not what it must be.
    """
    config = _config(folder, environment)
    pair = load_pair(config.certificate, config.key)
    return _shown(environment, Authority(pair.certificate, pair.key))


def renew_authority(folder: Path, environment: str) -> ShownAuthority:
    """Give the signing authority of an environment another year; its registry takes it without a restart.

    Name, key and begin stay, so what was certified before is by the renewed authority too. The federation's
    document is changed where it pins the old certificate.

    Args:
        folder: The federation's folder.
        environment: The environment, whose files are below it.

    Raises:
        NotFoundError: The folder has no files of that environment.
        PreconditionFailedError: The environment has no signing authority.
        FileUnreadableError: A file cannot be read or written.
        DocumentInvalidError: The authority is not what it must be.
    """
    config = _config(folder, environment)
    pair = load_pair(config.certificate, config.key)
    before = Authority(pair.certificate, pair.key)
    after = before.renewed()
    document = federation_file(folder)
    text = read_text(document, what="federation")
    changed = _with_certificate(text, before.pem, after.pem)
    replace_text(config.certificate, after.pem)
    if changed != text:
        replace_text(document, changed)
    return _shown(environment, after)


def _config(folder: Path, environment: str) -> SigningAuthorityConfig:
    path = folder / "environments" / environment / "environment.yaml"
    if not path.exists():
        raise NotFoundError(f"{folder} has no files of the environment {environment!r}")
    found = load_config(path).signing_authority
    if found is None:
        raise PreconditionFailedError(
            f"{environment} certifies no keys of jobs: set `signing_authority` {{certificate, key}} in {path}"
        )
    return found


def _with_certificate(text: str, before: str, after: str) -> str:
    """Return a document's text with a certificate in a block of it replaced, whatever the indent."""
    old, new = before.strip().splitlines(), after.strip().splitlines()
    lines = text.splitlines(keepends=True)
    for i in range(len(lines) - len(old) + 1):
        if [line.strip() for line in lines[i : i + len(old)]] == old:
            indent = lines[i][: len(lines[i]) - len(lines[i].lstrip())]
            lines[i : i + len(old)] = [f"{indent}{line}\n" for line in new]
            return "".join(lines)
    return text


def _shown(environment: str, authority: Authority) -> ShownAuthority:
    pinned = SigningAuthority.from_pem(authority.pem)
    lines = (
        f"authorities:\n  - environment: {environment}\n    certificate: |\n"
        f"{textwrap.indent(authority.pem, ' ' * 6)}{_EXAMPLE}"
    )
    return ShownAuthority(environment, authority.pem, pinned.fingerprint, pinned.ends_at, lines)
