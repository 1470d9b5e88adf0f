"""Giving a version's stamps: those that are kept, the receipts of its entries here, and a signed list of all.

The receipts are made anew each time, so two lists of the same version differ; each closes its own set. A list
holds at its log size or later, never earlier.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import NotFoundError, PreconditionFailedError
from carnet.signing.stamp_list import StampList
from carnet.translog.receipt import format_receipt
from carnet_server.aliases.queries import read_alias, read_last_move
from carnet_server.models.stages import require_version
from carnet_server.stamps.gathering import Gathered, gather_stamps

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.translog.receipt import Receipt
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService


@dataclass(frozen=True, slots=True)
class ListedStamps:
    """The stamps of a version with the signed list of them; evidence is given elsewhere."""

    list: bytes
    statements: tuple[bytes, ...]
    receipts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CompleteStamps:
    """The stamps of a version apart from evidence, all of them, at a size of the log.

    Attributes:
        gathered: What is stored, with the version as it was read.
        receipts: All receipts, by digest: those that are stored and those of entries here.
        arrival: The receipt of the version's arrival here.
        log_size: The size of the log that was signed when the version was read, or the largest that a receipt
            leads to.
    """

    gathered: Gathered
    receipts: dict[str, bytes]
    arrival: Receipt
    log_size: int

    @property
    def whole(self) -> bool:
        """Whether all of them are here."""
        return not self.gathered.gap

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of all statements and receipts, in order."""
        return tuple(sorted({*self.gathered.statements, *self.receipts}))

    @property
    def stamps(self) -> tuple[bytes, ...]:
        """The bytes of all statements and receipts, in the order of their digests."""
        found = self.gathered.statements | self.receipts
        return tuple(found[digest] for digest in self.digests)


async def complete_stamps(
    database: Database, log: LogService, gather: Callable[[Connection], Gathered]
) -> CompleteStamps:
    """Read a version's stamps, and make the receipts of its entries here.

    The receipts come first: what is read after them is at least as new as their trees.

    Args:
        database: Where to read.
        log: For receipts.
        gather: Reads what is stored.

    Raises:
        UnavailableError: No checkpoint covers an entry in time.
    """
    made: dict[int, Receipt] = {}
    while True:
        signed = log.size
        gathered = await database.read(gather)
        wanted = [index for index in gathered.entries if index not in made]
        if not wanted:
            break
        for index in wanted:
            made[index] = await log.signed_receipt(index)
    own = [made[index] for index in gathered.entries]
    files = [format_receipt(receipt).encode() for receipt in own]
    return CompleteStamps(
        gathered,
        gathered.receipts | {sha256_hex(data): data for data in files},
        arrival=made[gathered.version.log_index],
        log_size=max(signed, *(receipt.tree_size for receipt in own)),
    )


class StampsService:
    """Gives stamps.

    Args:
        state: The environment.
        database: Where to read.
        log: For receipts.
        clock: Tells the time.
    """

    def __init__(
        self,
        state: EnvironmentState,
        database: Database,
        log: LogService,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._database = database
        self._log = log
        self._clock = clock

    async def get(self, name: ResourceName) -> ListedStamps:
        """Give the stamps of what a name points at now.

        Args:
            name: The name of a version or an alias.

        Raises:
            NotFoundError: There is no such version or alias.
            PreconditionFailedError: The stamps are not whole; the message says why.
            UnavailableError: An entry is not signed yet, or the key does not sign.
        """
        complete = await complete_stamps(
            self._database, self._log, lambda connection: _gather(connection, name)
        )
        version = complete.gathered.version
        if complete.gathered.gap:
            raise PreconditionFailedError(
                f"{self._state.name} has no whole stamps of {version.namespace}/{version.model}@"
                f"{version.version}: {complete.gathered.gap}",
                metadata={"subject": version.name},
            )
        listed = StampList(
            environment=self._state.name,
            namespace=version.namespace,
            model=version.model,
            version=version.version,
            alias=name.alias,
            signature=sha256_hex(version.signature),
            evidence=complete.gathered.evidence,
            statements=tuple(sorted(complete.gathered.statements)),
            receipts=tuple(sorted(complete.receipts)),
            revoked=version.revoked,
            log_origin=self._log.origin,
            log_size=complete.log_size,
            issued_at=self._clock(),
        )
        subject = f"{version.home}/{version.namespace}/{version.model}@{version.version}"
        # In a thread, since a key in a KMS signs over the network.
        signed = await asyncio.to_thread(listed.sign, subject, version.bundle_digest, self._state.signing_key)
        return ListedStamps(
            signed.to_bytes(),
            tuple(complete.gathered.statements.values()),
            tuple(complete.receipts.values()),
        )


def _gather(connection: Connection, name: ResourceName) -> Gathered:
    if not name.alias:
        return gather_stamps(connection, require_version(connection, name))
    alias = read_alias(connection, name)
    if alias is None:
        raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set here")
    version = require_version(connection, replace(name, alias="", version=alias.version))
    move = read_last_move(connection, name)
    return gather_stamps(
        connection,
        version,
        alias_index=alias.log_index,
        alias_promotion=move.promotion if move and move.log_index == alias.log_index else "",
    )
