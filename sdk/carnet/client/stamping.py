"""Fetching a version's stamps and keeping them beside the pulled bundle.

Responsible for asking the environment that the bundle is pulled from for all of them, and for verifying what
it answers before it is written: the signed list and that the stamps are exactly those that it names always,
and each by its signer's key where that is pinned here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.canonical import sha256_hex
from carnet.client.audit_memory import federation_pins
from carnet.client.evidence import EvidenceOperations
from carnet.errors import (
    AlreadyExistsError,
    ConflictError,
    KeyUntrustedError,
    PreconditionFailedError,
    StatementInvalidError,
    UnimplementedError,
)
from carnet.registry.v1 import stamps_pb2
from carnet.stamps.folder import INDEX_NAME, LIST_NAME, folder_of, write_folder
from carnet.stamps.stamp import read_receipt, read_statement
from carnet.stamps.verify import verify_list, verify_stamps
from carnet.stamps.way import read_way

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.audit.pins import Pins
    from carnet.client.results import ResolvedVersion
    from carnet.references import Reference
    from carnet.signing.stamp_list import StampList
    from carnet.stamps.report import VerifiedStamps
    from carnet.stamps.stamp import ReceiptStamp, StatementStamp

_TRIES = 3


@dataclass(frozen=True, slots=True)
class FetchedStamps:
    """Stamps that an environment gave, and what was found of them.

    Attributes:
        signed: The signed list.
        listed: What it says.
        documents: The stamps and the evidence, by digest.
        verified: What they say; None where they could not all be judged.
        problem: Why not; empty otherwise.
    """

    signed: StatementStamp
    listed: StampList
    documents: dict[str, StatementStamp | ReceiptStamp]
    verified: VerifiedStamps | None
    problem: str


class Stamping(EvidenceOperations):
    """Operations that fetch stamps."""

    async def _resolve_with_stamps(
        self, wanted: Reference
    ) -> tuple[ResolvedVersion, FetchedStamps | None, str]:
        """Resolve a reference and fetch the stamps of the same version.

        Returns:
            The version; its stamps; and where the environment has none, why.

        Raises:
            ConflictError: The alias kept moving.
        """
        for _ in range(_TRIES):
            resolved = await self.resolve(wanted)
            try:
                stamps = await self._fetch_stamps(wanted, resolved)
            except UnimplementedError:
                return resolved, None, f"{wanted.environment}'s registry is older than stamps"
            except PreconditionFailedError as error:
                return resolved, None, error.message
            if stamps is not None:
                return resolved, stamps, ""
        raise ConflictError(f"{wanted} moved each time that it was looked at: try again")

    async def _fetch_stamps(self, wanted: Reference, resolved: ResolvedVersion) -> FetchedStamps | None:
        """Fetch the stamps of a version; None where the alias points elsewhere by now."""
        registry = self._registry(wanted.environment)
        answer: stamps_pb2.GetStampsResponse = await registry.call(
            registry.stamps.GetStamps, stamps_pb2.GetStampsRequest(name=wanted.resource_name)
        )
        pins = federation_pins(self.federation)
        signed = read_statement(answer.list)
        if signed.statement.subject_digest != resolved.bundle_digest and wanted.alias:
            return None
        listed = verify_list(signed, resolved.manifest, pins)
        about = (listed.environment, listed.alias, listed.signature)
        if about != (wanted.environment, wanted.alias, sha256_hex(resolved.signature)):
            raise StatementInvalidError(f"{wanted.environment} answered with stamps of something else")
        documents: dict[str, StatementStamp | ReceiptStamp] = {}
        documents |= {stamp.digest: stamp for stamp in map(read_statement, answer.statements)}
        documents |= {stamp.digest: stamp for stamp in map(read_receipt, answer.receipts)}
        named = set(listed.evidence)
        for each in await self._held_evidence(resolved.reference, resolved.bundle_digest):
            if each.digest in named:
                documents[each.digest] = read_statement(each.envelope)
        return _judged(signed, listed, documents, resolved, pins)


def _judged(
    signed: StatementStamp,
    listed: StampList,
    documents: dict[str, StatementStamp | ReceiptStamp],
    resolved: ResolvedVersion,
    pins: Pins,
) -> FetchedStamps:
    kept = {digest: documents[digest] for digest in _digests(listed) if digest in documents}
    try:
        verified = verify_stamps(resolved.manifest, listed, kept, pins)
    except KeyUntrustedError as error:
        # Whoever pins one environment only may pull from it; the way is whole by its digests all the same.
        read_way(
            resolved.manifest,
            listed.environment,
            kept,
            stamps=(*listed.statements, *listed.receipts),
            evidence=listed.evidence,
            alias=listed.alias,
        )
        return FetchedStamps(signed, listed, kept, None, error.message)
    return FetchedStamps(signed, listed, kept, verified, "")


def _digests(listed: StampList) -> tuple[str, ...]:
    return (*listed.evidence, *listed.statements, *listed.receipts)


def stage_stamps(bundle: Path, stamps: FetchedStamps) -> Path:
    """Write stamps into a hidden folder beside where they are to be, and return it.

    Args:
        bundle: The bundle's folder, made or not.
        stamps: What to write.

    Raises:
        AlreadyExistsError: Something else is where they are to be; it is left alone.
        OSError: The disk says no.
    """
    folder = folder_of(bundle)
    if folder.exists() and not (folder.is_dir() and _is_stamps(folder)):
        raise AlreadyExistsError(
            f"{folder} exists and has no stamps in it: it is left alone; name another directory, or pull "
            "without stamps"
        )
    staging = folder.with_name(f".{folder.name}.partial-{uuid4().hex[:8]}")
    try:
        write_folder(staging, stamps.signed, stamps.listed, stamps.documents)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return staging


def put_stamps(bundle: Path, staging: Path) -> None:
    """Give staged stamps their name, in the place of those of an earlier pull.

    Raises:
        OSError: The disk says no.
    """
    folder = folder_of(bundle)
    old = folder.with_name(f".{folder.name}.old-{uuid4().hex[:8]}")
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _is_stamps(folder: Path) -> bool:
    return ((folder / LIST_NAME).is_file() and (folder / INDEX_NAME).is_file()) or not any(folder.iterdir())
