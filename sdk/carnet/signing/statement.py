"""in-toto Statements, version 1: what is said (a predicate) about what (one bundle).

Responsible for the statement's JSON form and its signing. Of the specification's statements, those with
exactly one subject that has a SHA-256 are taken; a subject's annotations and fields that are unknown here are
passed over, as the specification asks. Does not know any predicate, and verifies no signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.canonical import DIGEST_PATTERN, canonical_json
from carnet.errors import StatementInvalidError
from carnet.signing.dsse import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, Envelope, sign_payload
from carnet.signing.strict_json import parse_json_object

if TYPE_CHECKING:
    from carnet.signing.dsse import OneTimeSigner
    from carnet.signing.keys import SigningKey

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True, slots=True)
class Statement:
    """A predicate about one subject.

    Attributes:
        subject_name: The subject's name; for a bundle ``HOME/NAMESPACE/MODEL@VERSION``.
        subject_digest: Its SHA-256; for a bundle, that of its canonical manifest.
        predicate_type: The URI that says what the predicate means.
        predicate: What is said, as a JSON object.
    """

    subject_name: str
    subject_digest: str
    predicate_type: str
    predicate: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the statement as a JSON object."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.subject_name, "digest": {"sha256": self.subject_digest}}],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }

    def to_payload(self) -> bytes:
        """Return the statement as canonical JSON, ready to be signed.

        Raises:
            InvalidInputError: The predicate has no canonical form.
        """
        return canonical_json(self.to_json())


def sign_statement(statement: Statement, key: SigningKey | OneTimeSigner) -> Envelope:
    """Sign a statement.

    Args:
        statement: What is said.
        key: The key of whoever says it, or whoever makes one for just this.

    Raises:
        InvalidInputError: The predicate has no canonical form.
    """
    return sign_payload(statement.to_payload(), PAYLOAD_TYPE, key)


def parse_statement(envelope: Envelope) -> Statement:
    """Read the statement in an envelope; verify the envelope first.

    Args:
        envelope: The envelope.

    Returns:
        The statement; its predicate is any JSON object, to be read by the class of its type.

    Raises:
        StatementInvalidError: The payload is not a statement, or not one about exactly one subject with a
            SHA-256.
    """
    if envelope.payload_type != PAYLOAD_TYPE:
        raise StatementInvalidError(
            f"the envelope's payloadType is {envelope.payload_type[:80]!r}, not {PAYLOAD_TYPE!r}",
            metadata={"field": "payloadType"},
        )
    value = parse_json_object(
        envelope.payload, what="the statement", max_bytes=MAX_ENVELOPE_BYTES, error=StatementInvalidError
    )
    if value.get("_type") != STATEMENT_TYPE:
        raise _invalid("_type", f"is {value.get('_type')!r:.80}, not {STATEMENT_TYPE!r}")
    predicate_type = value.get("predicateType")
    if not isinstance(predicate_type, str) or not predicate_type:
        raise _invalid("predicateType", "is not a URI")
    predicate = value.get("predicate")
    if not isinstance(predicate, dict):
        raise _invalid("predicate", "is not a JSON object")
    name, digest = _parse_subject(value.get("subject"))
    return Statement(name, digest, predicate_type, predicate)


def _parse_subject(subjects: Any) -> tuple[str, str]:
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        raise _invalid("subject", "is not a list of exactly one subject")
    name, digests = subjects[0].get("name"), subjects[0].get("digest")
    if not isinstance(name, str) or not name:
        raise _invalid("subject[0].name", "is missing")
    digest = digests.get("sha256") if isinstance(digests, dict) else None
    if not isinstance(digest, str) or not DIGEST_PATTERN.fullmatch(digest):
        raise _invalid("subject[0].digest.sha256", "is not a SHA-256 of 64 lowercase hexadecimal digits")
    return name, digest


def _invalid(field: str, problem: str) -> StatementInvalidError:
    return StatementInvalidError(f"the statement's {field} {problem}", metadata={"field": field})
