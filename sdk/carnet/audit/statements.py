"""The signed statements among the documents: who signed them, and what do they say?

Responsible for verifying each statement with the pinned keys of those who may sign its kind, and for reading
its predicate. A statement by an unknown signer is ``cannot_verify``: never a pass. What the statements mean
together is judged by ``carnet.audit.meaning``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.errors import CarnetError, KeyUntrustedError, SignatureInvalidError, StatementInvalidError
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.cancellation import Cancellation
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.dsse import parse_envelope, signers_of, verify_envelope
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import Statement, parse_statement
from carnet.translog.entry import EVIDENCE_UNTRUSTED, EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.audit.documents import Documents
    from carnet.audit.pins import Pins
    from carnet.signing.dsse import Envelope
    from carnet.signing.keys import VerificationKey
    from carnet.translog.entry import Entry

SignedPredicate = (
    PromotionRequest | Dossier | Approval | BreakGlass | BreakGlassReview | Decision | Cancellation
)

_BY_ENVIRONMENT: Mapping[EntryType, type[Dossier | Decision]] = {
    EntryType.DOSSIER_ISSUED: Dossier,
    EntryType.DECISION_MADE: Decision,
    EntryType.BREAK_GLASS_USED: Decision,
}
_BY_PEOPLE: Mapping[
    EntryType, type[PromotionRequest | Approval | BreakGlass | BreakGlassReview | Cancellation]
] = {
    EntryType.PROMOTION_REQUESTED: PromotionRequest,
    EntryType.APPROVAL_RECORDED: Approval,
    EntryType.BREAK_GLASS_RECORDED: BreakGlass,
    EntryType.BREAK_GLASS_REVIEWED: BreakGlassReview,
    EntryType.PROMOTION_CANCELLED: Cancellation,
}
_BY_JOBS_TOO = frozenset({EntryType.PROMOTION_REQUESTED, EntryType.PROMOTION_CANCELLED})
_BY_OTHERS = frozenset({EntryType.EVIDENCE_ADDED, EntryType.PROMOTION_RECORDED})
_WITH_STATEMENT = _BY_OTHERS | frozenset(_BY_ENVIRONMENT) | frozenset(_BY_PEOPLE)


@dataclass(frozen=True, slots=True)
class Record:
    """An entry of an intact chain with the statement that it rests on.

    Attributes:
        index: The entry's index.
        entry: The entry.
        statement: The verified statement; None where the entry rests on none, or on one that did not verify.
        predicate: What it says, for the kinds that meaning depends on.
        signer: The id of the key that signed it.
        erased: Whether its document was erased: what the entry says is all that is left to judge by.
    """

    index: int
    entry: Entry
    statement: Statement | None = None
    predicate: SignedPredicate | None = None
    signer: str = ""
    erased: bool = False

    def signed_by(self, pins: Pins) -> str | None:
        """Return the person who signed, None for nobody pinned.

        Of what was erased that is who handed it over: registries take people's words from signers only.
        """
        if self.erased:
            return pins.person_of_subject(self.entry.actor.subject)
        return pins.person_of_key(self.signer)


class Statements:
    """Joins the entries of one log with the statements that they rest on.

    Args:
        environment: Whose log it is.
        pins: What the auditor trusts.
        documents: The documents that entries rest on.
    """

    def __init__(self, environment: str, pins: Pins, documents: Documents) -> None:
        self._environment = environment
        self._pins = pins
        self._documents = documents

    def record(self, index: int, entry: Entry) -> tuple[Record, Finding | None]:
        """Join one entry with its statement.

        Args:
            index: The entry's index.
            entry: The entry.

        Returns:
            The record, without a statement where that did not verify, and what was found then.
        """
        digest = entry.envelope_digest
        record = Record(index, entry, erased=digest is not None and self._documents.is_gone(digest, index))
        if entry.type not in _WITH_STATEMENT or record.erased:
            return record, None
        try:
            return self._with_statement(record), None
        except _Unverified as problem:
            affects = describe_subject(entry)
            return record, Finding(
                problem.verdict, problem.code, self._environment, index, str(problem), affects
            )

    def _with_statement(self, record: Record) -> Record:
        index, entry, pins = record.index, record.entry, self._pins
        if entry.envelope_digest is None:
            message = f"{entry.type} rests on no signed statement"
            raise _Unverified(Verdict.INCOMPLETE, Code.DOCUMENT_MISSING, message)
        data = self._documents.read(entry.envelope_digest)
        if data is None:
            return record
        try:
            envelope = parse_envelope(data)
        except CarnetError as error:
            message = f"the document of {entry.type} is not a signed statement: {error.message}"
            raise _Unverified(Verdict.POLICY_VIOLATED, Code.DOCUMENT_INVALID, message) from error
        try:
            if entry.type in _BY_OTHERS:
                return _by_others(envelope, record, pins)
            if entry.type in _BY_ENVIRONMENT:
                keys: Mapping[str, VerificationKey] = pins.environments[self._environment].keys
            else:
                keys = _with_jobs(envelope, pins.people_keys, pins, record)
            signer = _verify(envelope, keys, pins, what=str(entry.type))
            statement = parse_statement(envelope)
            kind = _BY_ENVIRONMENT.get(entry.type) or _BY_PEOPLE[entry.type]
            return Record(index, entry, statement, kind.parse(statement), signer)
        except StatementInvalidError as error:
            message = f"the statement of {entry.type} is well signed and invalid: {error.message}"
            raise _Unverified(Verdict.POLICY_VIOLATED, Code.DOCUMENT_INVALID, message) from error


class _Unverified(Exception):  # noqa: N818 - it carries a verdict, and never leaves this module
    def __init__(self, verdict: Verdict, code: Code, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.code = code


def _by_others(envelope: Envelope, record: Record, pins: Pins) -> Record:
    """Read evidence, which any pinned signer may give, and decisions of environments, which only they may."""
    what = str(record.entry.type)
    if record.entry.new == EVIDENCE_UNTRUSTED and not _is_pinned(envelope, pins):
        return Record(record.index, record.entry, None, None, "")
    signer = _verify(envelope, _with_jobs(envelope, pins.all_keys, pins, record), pins, what=what)
    statement = parse_statement(envelope)
    recorded = record.entry.type is EntryType.PROMOTION_RECORDED
    if statement.predicate_type != Decision.PREDICATE_TYPE and not recorded:
        return Record(record.index, record.entry, statement, None, signer)
    decision = Decision.parse(statement)
    decider = pins.environments.get(decision.environment)
    if decider is None:
        message = f"{what}: no key is pinned for {decision.verifier.id!r}, whose decision it is"
        raise _Unverified(Verdict.CANNOT_VERIFY, Code.SIGNER_UNPINNED, message)
    signer = _verify(envelope, decider.keys, pins, what=f"{what}: the decision of {decider.name}")
    return Record(record.index, record.entry, statement, decision, signer)


def _with_jobs(
    envelope: Envelope, keys: Mapping[str, VerificationKey], pins: Pins, record: Record
) -> Mapping[str, VerificationKey]:
    """Return keys with those that pinned authorities certified for just this, where jobs may sign."""
    if record.entry.type in _BY_PEOPLE and record.entry.type not in _BY_JOBS_TOO:
        return keys
    return signers_of(envelope, keys, pins.authorities)[0]


def _is_pinned(envelope: Envelope, pins: Pins) -> bool:
    """Whether a signature is by a pinned key: evidence by strangers is kept, and counts for nothing."""
    try:
        verify_envelope(envelope, signers_of(envelope, pins.all_keys, pins.authorities)[0])
    except KeyUntrustedError:
        return False
    except SignatureInvalidError:
        return True
    return True


def _verify(envelope: Envelope, keys: Mapping[str, VerificationKey], pins: Pins, *, what: str) -> str:
    try:
        return verify_envelope(envelope, keys)
    except SignatureInvalidError as error:
        raise _Unverified(Verdict.TAMPERED, Code.SIGNATURE_INVALID, f"{what}: {error.message}") from error
    except KeyUntrustedError as error:
        try:
            signer = pins.holder_of(verify_envelope(envelope, pins.all_keys))
        except (SignatureInvalidError, KeyUntrustedError):
            message = f"{what}: the signer is not pinned: {error.message}"
            raise _Unverified(Verdict.CANNOT_VERIFY, Code.SIGNER_UNPINNED, message) from error
        message = f"{what}: it is signed by {signer}, who may not sign it"
        raise _Unverified(Verdict.POLICY_VIOLATED, Code.SIGNER_UNAUTHORIZED, message) from error
