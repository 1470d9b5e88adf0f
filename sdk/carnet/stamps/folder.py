"""The folder of a bundle's stamps, beside the bundle: ``fraud.carnet/`` beside ``fraud/``.

Responsible for its layout, for reading it strictly, and for writing it. Every name is that of the bytes'
digest, so the signed list says which files must be there; ``index.json`` says it for people and programs, and
nothing is believed because of it: it must be what the stamps say, byte for byte.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carnet.bundle.files import list_files, open_file
from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import (
    CarnetError,
    DigestMismatchError,
    FileUnreadableError,
    IntegrityError,
    PathRefusedError,
)
from carnet.signing.stamp_list import StampList
from carnet.signing.times import format_time
from carnet.stamps.stamp import (
    STAMP_MAX_BYTES,
    ReceiptStamp,
    StatementStamp,
    read_receipt,
    read_statement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SUFFIX = ".carnet"
LIST_NAME = "stamps.dsse.json"
INDEX_NAME = "index.json"
INDEX_SCHEMA = "carnet.stamps/v1"
MAX_FILES = 20_000


@dataclass(frozen=True, slots=True)
class StampFolder:
    """The stamps out of a folder, read and not verified.

    Attributes:
        list: The signed list.
        documents: The stamps and the evidence, by digest.
    """

    list: StatementStamp
    documents: Mapping[str, StatementStamp | ReceiptStamp]


def folder_of(bundle: Path) -> Path:
    """Return the folder of the stamps of a bundle's folder."""
    whole = Path(os.path.abspath(bundle))  # noqa: PTH100  resolve() would follow a symlink to another name
    return bundle.parent / f"{whole.name}{SUFFIX}" if bundle.name else whole.with_name(whole.name + SUFFIX)


def file_names(listed: StampList) -> dict[str, str]:
    """Return the path of every stamp that a list names, with its digest."""
    return {
        **{f"evidence/{digest}.dsse.json": digest for digest in listed.evidence},
        **{f"receipts/{digest}.tlog-proof": digest for digest in listed.receipts},
        **{f"statements/{digest}.dsse.json": digest for digest in listed.statements},
    }


def make_index(
    signed: StatementStamp, listed: StampList, documents: Mapping[str, StatementStamp | ReceiptStamp]
) -> bytes:
    """Return ``index.json``: what each file is.

    Args:
        signed: The list's envelope.
        listed: What it says.
        documents: The stamps, by digest.
    """
    files = [
        {"path": path, **_described(documents[digest])} for path, digest in sorted(file_names(listed).items())
    ]
    return canonical_json(
        {
            "schema": INDEX_SCHEMA,
            "subject": signed.statement.subject_name,
            "bundle_digest": signed.statement.subject_digest,
            "environment": listed.environment,
            "alias": listed.alias,
            "issued_at": format_time(listed.issued_at),
            "list_digest": signed.digest,
            "files": files,
        }
    )


def _described(stamp: StatementStamp | ReceiptStamp) -> dict[str, Any]:
    if isinstance(stamp, StatementStamp):
        return {"type": stamp.statement.predicate_type}
    entry = stamp.entry
    return {
        "type": str(entry.type),
        "environment": entry.environment,
        "log_index": stamp.receipt.index,
        "time": format_time(entry.time),
    }


def write_folder(
    folder: Path,
    signed: StatementStamp,
    listed: StampList,
    documents: Mapping[str, StatementStamp | ReceiptStamp],
) -> None:
    """Write stamps into a new folder, durably.

    Args:
        folder: The folder, which must not exist.
        signed: The list's envelope.
        listed: What it says.
        documents: The stamps, by digest; those that are listed.

    Raises:
        OSError: The disk says no.
    """
    folder.mkdir()
    for part in ("evidence", "receipts", "statements"):
        (folder / part).mkdir()
    files = {LIST_NAME: signed.data, INDEX_NAME: make_index(signed, listed, documents)}
    files |= {path: documents[digest].data for path, digest in file_names(listed).items()}
    for path, data in files.items():
        with (folder / path).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def read_folder(folder: Path) -> StampFolder:
    """Read the stamps in a folder: exactly those that its list names, each with its digest.

    Args:
        folder: The folder.

    Raises:
        FileUnreadableError: The folder cannot be read.
        IntegrityError: A file is missing, altered, or not named by the list; the message names it.
    """
    try:
        present = list_files(folder)
    except PathRefusedError as error:
        raise IntegrityError(f"{folder}: {error.message}", metadata=error.metadata) from error
    if len(present) > MAX_FILES:
        raise IntegrityError(f"{folder} has more than {MAX_FILES} files: it is no folder of stamps")
    for name in (LIST_NAME, INDEX_NAME):
        if name not in present:
            raise IntegrityError(f"{folder / name} is missing", metadata={"path": name})
    signed = _statement(folder, LIST_NAME)
    listed = StampList.parse(signed.statement)
    names = file_names(listed)
    _check_names(folder, names, set(present) - {LIST_NAME, INDEX_NAME})
    documents: dict[str, StatementStamp | ReceiptStamp] = {}
    for path, digest in names.items():
        data = _read(folder, path)
        found = sha256_hex(data)
        if found != digest:
            raise DigestMismatchError(
                f"{folder / path} is altered: it has the SHA-256 {found}", metadata={"path": path}
            )
        is_receipt = path.startswith("receipts/")
        documents[digest] = _parsed(folder, path, data, receipt=is_receipt)
    index = make_index(signed, listed, documents)
    if _read(folder, INDEX_NAME, max_bytes=len(index)) != index:
        raise IntegrityError(
            f"{folder / INDEX_NAME} is altered: it is not what the stamps say", metadata={"path": INDEX_NAME}
        )
    return StampFolder(signed, documents)


def _check_names(folder: Path, wanted: Iterable[str], present: set[str]) -> None:
    for path in sorted(set(wanted) - present):
        raise IntegrityError(
            f"{folder / path} is missing: the list of stamps names it", metadata={"path": path}
        )
    for path in sorted(present - set(wanted)):
        raise IntegrityError(
            f"{folder}/{path!a} is superfluous: the list of stamps does not name it",
            metadata={"path": ascii(path)},
        )


def _statement(folder: Path, path: str) -> StatementStamp:
    found = _parsed(folder, path, _read(folder, path), receipt=False)
    assert isinstance(found, StatementStamp)
    return found


def _parsed(folder: Path, path: str, data: bytes, *, receipt: bool) -> StatementStamp | ReceiptStamp:
    try:
        return read_receipt(data) if receipt else read_statement(data)
    except CarnetError as error:
        raise IntegrityError(f"{folder / path}: {error.message}", metadata={"path": path}) from error


def _read(folder: Path, path: str, *, max_bytes: int = STAMP_MAX_BYTES) -> bytes:
    try:
        with open_file(folder, path) as file, io.BufferedReader(file) as reader:
            data = reader.read(max_bytes + 1)
    except PathRefusedError as error:
        raise IntegrityError(error.message, metadata=error.metadata) from error
    except OSError as error:
        raise FileUnreadableError(f"{folder / path} cannot be read: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise IntegrityError(
            f"{folder / path} is altered: it has more than {max_bytes} bytes", metadata={"path": path}
        )
    return data
