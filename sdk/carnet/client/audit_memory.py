"""What an auditor keeps between audits: the pinned keys, and the checkpoints that were verified.

Responsible for ``verified/ENV.checkpoint`` in the federation's folder, the signed checkpoint of the last
audit that found nothing wrong, and for the pins out of ``federation.yaml`` or a file of their own.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from carnet.audit.pins import Pins
from carnet.audit.verify import verify_export
from carnet.documents import YamlSource, read_file
from carnet.errors import DocumentInvalidError, FileUnreadableError, InvalidInputError
from carnet.translog.checkpoint import parse_checkpoint, unverified_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from carnet.audit.report import AuditReport
    from carnet.client.federation import Federation
    from carnet.client.progress import Progress
    from carnet.translog.checkpoint import Checkpoint

_SUFFIX = ".checkpoint"


def federation_pins(federation: Federation) -> Pins:
    """Return the keys that a federation pins, in the verifier's form.

    A service that acts for a person is counted as that person; any other signer stands for itself.
    """
    people: dict[str, dict[str, list[str]]] = {}
    for key_id, key in federation.keys.items():
        signer = federation.signers[key_id]
        holder = people.setdefault(signer.person or signer.subject, {"keys": [], "subjects": []})
        holder["keys"].append(key.pem)
        if signer.subject not in holder["subjects"]:
            holder["subjects"].append(signer.subject)
    for person, subjects in federation.people.items():
        holder = people.setdefault(person, {"keys": [], "subjects": []})
        holder["subjects"] += [subject for subject in subjects if subject not in holder["subjects"]]
    return Pins.from_mapping(
        {
            "environments": {
                name: {
                    "log_key": each.log.vkey,
                    "signing_keys": [key.pem for key in each.signing_keys.values()],
                    "signing_authority": each.authority.pem.decode() if each.authority else None,
                    "witness_key": each.witness_key.vkey if each.witness_key else None,
                    "witnesses": each.witnesses.text or None,
                }
                for name, each in federation.environments.items()
            },
            "people": people,
        }
    )


def read_pins(path: Path) -> Pins:
    """Read pins from a YAML or JSON file.

    The signers of a ``federation.yaml`` are taken as well, as the services or people that they are.

    Raises:
        FileUnreadableError: The file cannot be read.
        DocumentInvalidError: It has no pins, or one is not a key.
    """
    value = YamlSource(read_file(path, what="file with pinned keys"), name=path.name).value
    try:
        return Pins.from_mapping(_with_signers(value))
    except InvalidInputError as error:
        raise DocumentInvalidError(f"{path.name}: {error.message}", metadata=error.metadata) from error


def _with_signers(value: Any) -> Any:
    """Add ``signers: {SUBJECT: PEM}`` to the people whose subjects they are, or as holders of their own."""
    if not isinstance(value, dict) or not isinstance(value.get("signers"), dict):
        return value
    people = {
        name: {
            "keys": list(part.get("keys") or ()),
            "subjects": list(part.get("subjects") or ()),
        }
        for name, part in (value.get("people") or {}).items()
        if isinstance(part, dict)
    }
    for subject, pem in value["signers"].items():
        holder = next((name for name, part in people.items() if subject in part["subjects"]), subject)
        part = people.setdefault(holder, {"keys": [], "subjects": [subject]})
        if pem not in part["keys"]:
            part["keys"].append(pem)
    return {**value, "people": people}


def verify_offline(
    directory: Path,
    pins: Pins,
    *,
    earlier: Mapping[str, Checkpoint] | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Verify an export with nothing but pinned keys.

    Args:
        directory: The export.
        pins: The keys.
        earlier: Checkpoints that the logs must begin with.
        progress: Told of the stages ``verifying ENV``, in entries.

    Raises:
        FileUnreadableError: The export cannot be read at all.
    """

    def tell(environment: str, done: int, total: int) -> None:
        if progress is not None:
            progress(f"verifying {environment}", done, total)

    return verify_export(directory, pins, earlier=earlier, progress=tell)


def earlier_checkpoints(memory: Path, pins: Pins) -> dict[str, Checkpoint]:
    """Read the checkpoints that were kept, for the environments that are pinned.

    Raises:
        FileUnreadableError: One cannot be read.
        ProofInvalidError: One is damaged: restore it, or remove it knowing that rewriting goes unnoticed.
        KeyUntrustedError: One is signed by another key than is pinned now.
    """
    kept = {}
    for name, environment in pins.environments.items():
        path = memory / f"{name}{_SUFFIX}"
        if path.exists():
            text = read_file(path, what="kept checkpoint")
            kept[name] = parse_checkpoint(text, environment.log_verifier)
    return kept


def remember(memory: Path, report: AuditReport) -> None:
    """Keep the checkpoints of an audit that found nothing wrong; never one older than is kept.

    Raises:
        FileUnreadableError: The folder cannot be written.
    """
    try:
        memory.mkdir(parents=True, exist_ok=True)
        for name, summary in report.environments.items():
            path = memory / f"{name}{_SUFFIX}"
            if path.exists() and unverified_checkpoint(path.read_bytes()).size > summary.size:
                continue
            temporary = memory / f".{name}.{uuid4().hex}"
            try:
                with temporary.open("w", encoding="utf-8") as file:
                    file.write(summary.checkpoint)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
    except OSError as error:
        raise FileUnreadableError(
            f"the verified checkpoints cannot be kept in {memory}: {error.strerror or error}"
        ) from error
