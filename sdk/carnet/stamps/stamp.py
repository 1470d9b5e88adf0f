"""One stamp: a signed statement, or the receipt of a log's entry.

Responsible for telling the two apart by their bytes and for reading them; verifies no signature and no proof.
A stamp is known by the SHA-256 of its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import CarnetError, IntegrityError, ProofInvalidError, StatementInvalidError
from carnet.signing.dsse import MAX_ENVELOPE_BYTES, parse_envelope
from carnet.signing.statement import parse_statement
from carnet.translog.entry import parse_entry
from carnet.translog.receipt import format_receipt, parse_receipt

if TYPE_CHECKING:
    from carnet.signing.dsse import Envelope
    from carnet.signing.statement import Statement
    from carnet.translog.entry import Entry
    from carnet.translog.receipt import Receipt

RECEIPT_PREFIX = b"c2sp.org/tlog-proof@"
STAMP_MAX_BYTES = MAX_ENVELOPE_BYTES
RECEIPT_MEDIA_TYPE = "text/plain"


@dataclass(frozen=True, slots=True)
class StatementStamp:
    """A signed statement.

    Attributes:
        digest: The SHA-256 of its bytes.
        data: Its bytes.
        envelope: The envelope.
        statement: What it says.
    """

    digest: str
    data: bytes
    envelope: Envelope
    statement: Statement


@dataclass(frozen=True, slots=True)
class ReceiptStamp:
    """A receipt in its file form.

    Attributes:
        digest: The SHA-256 of its bytes.
        data: Its bytes.
        receipt: The receipt.
        entry: The entry that it is for.
    """

    digest: str
    data: bytes
    receipt: Receipt
    entry: Entry


def read_stamp(data: bytes) -> StatementStamp | ReceiptStamp:
    """Read a stamp of either kind.

    Args:
        data: Its bytes, from anybody.

    Raises:
        IntegrityError: It is neither.
    """
    return read_receipt(data) if data.startswith(RECEIPT_PREFIX) else read_statement(data)


def read_statement(data: bytes) -> StatementStamp:
    """Read a signed statement.

    Raises:
        SignatureInvalidError: The bytes are no envelope.
        StatementInvalidError: The envelope has no statement about one bundle.
    """
    envelope = parse_envelope(data)
    return StatementStamp(envelope.digest, data, envelope, parse_statement(envelope))


def read_receipt(data: bytes) -> ReceiptStamp:
    """Read a receipt's file, which has one form only.

    Raises:
        ProofInvalidError: The bytes are no receipt, or not in the form that ``format_receipt`` writes.
    """
    try:
        text = data.decode("utf-8")
        receipt = parse_receipt(text)
        entry = parse_entry(receipt.entry_bytes)
    except UnicodeDecodeError as error:
        raise ProofInvalidError("receipt: it is not text in UTF-8") from error
    except IntegrityError:
        raise
    except CarnetError as error:
        raise ProofInvalidError(f"receipt: {error.message}") from error
    if format_receipt(receipt) != text:
        raise ProofInvalidError("receipt: it is not written in its one form")
    return ReceiptStamp(sha256_hex(data), data, receipt, entry)


def check_about(stamp: StatementStamp | ReceiptStamp, bundle_digest: str) -> None:
    """Insist that a stamp is about a bundle.

    Raises:
        StatementInvalidError: It is about another one.
    """
    if isinstance(stamp, ReceiptStamp):
        about = stamp.entry.subject.get("bundle_digest")
    else:
        about = stamp.statement.subject_digest
    if about != bundle_digest:
        raise StatementInvalidError(
            f"stamp {stamp.digest} is about the bundle {about}, and not about {bundle_digest}"
        )
