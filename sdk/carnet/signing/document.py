"""The signature of a policy or trust document, and the lines that travel beside the document.

Responsible for what a person signs who wants a document in force: that very document (by its digest), of that
environment, kind and version. The envelopes stand in a file beside the document, one a line. Reads of the
document only what is signed about it; whether it is sound is the registry's to say, and who may sign is
``carnet.signing.document_signers``'s.
"""

# ruff: noqa: TC001 - pydantic reads the fields' types at run time
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from carnet.canonical import sha256_hex
from carnet.documents import parse_document
from carnet.errors import SignatureInvalidError, StatementInvalidError
from carnet.references import VERSION_MAX
from carnet.signing.fields import Name, Time
from carnet.signing.spoken import SpokenPredicate

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from carnet.signing.dsse import Envelope, OneTimeSigner
    from carnet.signing.keys import SigningKey
    from carnet.signing.statement import Statement

DocumentKind = Literal["policy", "trust"]
SIGNATURES_SUFFIX = ".intoto.jsonl"
MAX_SIGNATURES_BYTES = 256 << 10
MAX_LINES = 64
_DocumentVersion = Annotated[int, Field(ge=1, le=VERSION_MAX)]


class DocumentSignature(SpokenPredicate):
    """A person's word that a document is to be in force; says also how its signer was authenticated.

    Attributes:
        environment: The environment that the document is for.
        kind: What it is: ``policy`` or ``trust``.
        version: Its version.
        signed_at: When it was signed.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:document:v1"

    environment: Name
    kind: DocumentKind
    version: _DocumentVersion
    signed_at: Time

    def check_subject(self, statement: Statement) -> None:
        """Insist that the subject is named as documents of the kind are.

        Raises:
            StatementInvalidError: The subject's name is another.
        """
        if statement.subject_name != f"{self.kind}.yaml":
            raise StatementInvalidError(
                f"the statement's subject is {statement.subject_name[:160]!r}, and its predicate is about "
                f"'{self.kind}.yaml'",
                metadata={"field": "subject[0].name"},
            )


@dataclass(frozen=True, slots=True)
class DocumentHeader:
    """What is signed about a document.

    Attributes:
        kind: What it is.
        environment: The environment that it is for.
        version: Its version.
        digest: The SHA-256 of its bytes.
    """

    kind: DocumentKind
    environment: str
    version: int
    digest: str

    def __str__(self) -> str:
        """Return what it is, for people."""
        return f"version {self.version} of {self.environment}'s {self.kind}.yaml"


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    document_schema: Literal["carnet.policy/v1", "carnet.trust/v1"] = Field(alias="schema")
    environment: Name
    version: _DocumentVersion


def read_header(data: bytes, *, name: str) -> DocumentHeader:
    """Read what is signed about a document; the rest of it is not looked at.

    Args:
        data: The document's bytes.
        name: What to call it in messages.

    Raises:
        DocumentInvalidError: It is not YAML, or names no schema, environment or version that could be.
    """
    header = parse_document(data, _Header, name=name)
    kind: DocumentKind = "policy" if header.document_schema == "carnet.policy/v1" else "trust"
    return DocumentHeader(kind, header.environment, header.version, sha256_hex(data))


def sign_document(header: DocumentHeader, key: SigningKey | OneTimeSigner, signed_at: datetime) -> Envelope:
    """Sign a document.

    Args:
        header: The document.
        key: The signer's key.
        signed_at: The time; aware.

    Returns:
        The envelope: one line of the file beside the document.

    Raises:
        InvalidInputError: The time has no time zone.
    """
    said = DocumentSignature(
        environment=header.environment, kind=header.kind, version=header.version, signed_at=signed_at
    )
    return said.sign(f"{header.kind}.yaml", header.digest, key)


def signatures_file(path: Path) -> Path:
    """Return where the signatures of a document are: ``policy.yaml.intoto.jsonl`` beside ``policy.yaml``."""
    return path.with_name(path.name + SIGNATURES_SUFFIX)


def split_lines(data: bytes) -> list[tuple[int, bytes]]:
    """Return the lines of a file of envelopes with their numbers, without empty ones.

    Args:
        data: The file's bytes; nothing where there is none.

    Raises:
        SignatureInvalidError: It is over 256 KiB, or has more than 64 lines.
    """
    if len(data) > MAX_SIGNATURES_BYTES:
        raise SignatureInvalidError(
            f"the signatures are {len(data)} bytes; at most {MAX_SIGNATURES_BYTES} are taken"
        )
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
    if len(lines) > MAX_LINES:
        raise SignatureInvalidError(f"there are {len(lines)} signatures; at most {MAX_LINES} are taken")
    return lines
