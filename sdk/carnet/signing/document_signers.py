"""Who must have signed an environment's documents before they come into force, and whether they have.

Responsible for the part ``documents`` of ``environment.yaml``, which is the root of trust: whoever signs is
named there, and never in the document that is signed. People are counted, and not keys. Every line is judged
alone: one that is malformed, by somebody else, over other bytes or about another document counts for nothing
and takes nothing away from the others. Reads no policy and no trust document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from carnet.documents import read_document
from carnet.errors import GateAwaitingError, IntegrityError, InvalidInputError, StatementInvalidError
from carnet.signing.document import DocumentSignature, split_lines
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.fields import FrozenModel, Many, Name
from carnet.signing.keys import Authentication, VerificationKey
from carnet.signing.statement import parse_statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from carnet.signing.document import DocumentHeader


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Somebody's signature of a document.

    Attributes:
        person: Whose it is.
        key_id: The key that made it.
        signed_at: When, as the signer says.
        authentication: How the signer was authenticated, as the signer says.
        line: The envelope's bytes.
    """

    person: str
    key_id: str
    signed_at: datetime
    authentication: Authentication
    line: bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who signed a document, and whether it suffices.

    Attributes:
        document: The document.
        wanted: How many different people must sign.
        signed: One signature of each person, the first that counts.
        problems: The lines that count for nothing, and why.
    """

    document: DocumentHeader
    wanted: int
    signed: tuple[SignedBy, ...]
    problems: tuple[str, ...]

    @property
    def suffices(self) -> bool:
        """Whether enough people signed."""
        return len(self.signed) >= self.wanted

    @property
    def lines(self) -> bytes:
        """The signatures that count, as a file of envelopes."""
        return b"".join(each.line + b"\n" for each in self.signed)

    def require(self) -> None:
        """Insist on enough signatures.

        Raises:
            GateAwaitingError: They are too few; the message says who signed, and what counts for nothing.
        """
        if self.suffices:
            return
        by = ", ".join(each.person for each in self.signed) or "nobody"
        wanted = "one person" if self.wanted == 1 else f"{self.wanted} different people"
        ignored = "".join(f"; {problem}" for problem in self.problems)
        raise GateAwaitingError(
            f"{self.document} needs to be signed by {wanted}, and {by} signed it"
            f"{ignored}: sign it with `carnet document sign`",
            metadata={"wanted": str(self.wanted), "signed": str(len(self.signed))},
        )


@dataclass(frozen=True, slots=True)
class DocumentSigners:
    """Who signs the documents of an environment.

    Attributes:
        wanted: How many different people must sign each.
        keys: Their keys, by key id.
        people: Whose each key is, by key id.
    """

    wanted: int
    keys: Mapping[str, VerificationKey]
    people: Mapping[str, str]

    def judge(self, document: DocumentHeader, signatures: bytes) -> Judgement:
        """Find out who signed a document.

        Args:
            document: The document.
            signatures: The envelopes, one a line; nothing where there are none.

        Raises:
            SignatureInvalidError: They are too many, or too large.
        """
        signed: dict[str, SignedBy] = {}
        problems: list[str] = []
        for number, line in split_lines(signatures):
            try:
                found = self._judge_line(document, line)
            except IntegrityError as error:
                problems.append(f"line {number} counts for nothing: {error.message}")
                continue
            if found.person in signed:
                problems.append(f"line {number} counts for nothing: {found.person} signed already")
            signed.setdefault(found.person, found)
        return Judgement(document, self.wanted, tuple(signed.values()), tuple(problems))

    def _judge_line(self, document: DocumentHeader, line: bytes) -> SignedBy:
        envelope = parse_envelope(line.strip())
        key_id = verify_envelope(envelope, self.keys)
        statement = parse_statement(envelope)
        said = DocumentSignature.parse(statement)
        if (said.environment, said.kind, said.version) != (
            document.environment,
            document.kind,
            document.version,
        ):
            raise StatementInvalidError(
                f"it is for version {said.version} of {said.environment}'s {said.kind}.yaml"
            )
        if statement.subject_digest != document.digest:
            raise StatementInvalidError(
                f"it is over other bytes, whose SHA-256 is {statement.subject_digest[:16]}…"
            )
        person = self.people[key_id]
        return SignedBy(person, key_id, said.signed_at, said.authentication, envelope.to_bytes())


class _SignerDocument(FrozenModel):
    person: Name
    pem: str


class SignersDocument(FrozenModel):
    """The part ``documents`` of ``environment.yaml``."""

    signatures: Annotated[int, Field(ge=1)] = 1
    signers: Annotated[Many[_SignerDocument], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        try:
            keys = [VerificationKey.from_pem(each.pem).key_id for each in self.signers]
        except InvalidInputError as error:
            raise ValueError(f"signers: {error.message}") from error
        if len(set(keys)) != len(keys):
            raise ValueError("signers: one key stands there twice")
        people = len({each.person for each in self.signers})
        if self.signatures > people:
            raise ValueError(
                f"signatures: {self.signatures} are more than the people among the signers, {people}"
            )
        return self

    def to_signers(self) -> DocumentSigners:
        """Return the signers, ready to judge by."""
        keys = [(VerificationKey.from_pem(each.pem), each.person) for each in self.signers]
        return DocumentSigners(
            wanted=self.signatures,
            keys={key.key_id: key for key, _ in keys},
            people={key.key_id: person for key, person in keys},
        )


class _EnvironmentDocument(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: Name
    documents: SignersDocument | None = None


def read_environment_signers(path: Path) -> tuple[str, DocumentSigners | None]:
    """Read an environment's name, and who signs its documents; the rest of the file is not looked at.

    Args:
        path: ``environment.yaml``.

    Returns:
        The name, and the signers; None where documents need no signatures.

    Raises:
        FileUnreadableError: It cannot be read.
        DocumentInvalidError: These parts break the schema.
    """
    document = read_document(path, _EnvironmentDocument, what="the environment's configuration")
    return document.name, document.documents.to_signers() if document.documents else None
