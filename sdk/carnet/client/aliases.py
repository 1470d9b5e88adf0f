"""Moving and reading aliases.

Responsible for the client's side of the alias service. Each change carries a request id, so that a repeated
call is the same call, and comes back with the verified receipt of its entry.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.client.marks import AliasMarks
from carnet.client.messages import alias_move_of, alias_of
from carnet.client.models import reference_to
from carnet.client.paging import all_pages
from carnet.client.results import AliasChange
from carnet.client.serving import AliasFacts, alias_reference, check_of
from carnet.client.verification import checked_receipt
from carnet.errors import UnavailableError
from carnet.references import Reference, check_version_number
from carnet.registry.v1 import aliases_pb2
from carnet.translog.entry import EntryType
from carnet.translog.finality import finality_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet.client.results import Alias, AliasMove, VerifiedReceipt
    from carnet.registry.v1 import log_pb2

_FIRST_PAUSE_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 5.0


class Aliases(AliasFacts, AliasMarks):
    """Operations on aliases."""

    async def aliases(self, reference: str | Reference) -> tuple[Alias, ...]:
        """List a model's aliases, by name.

        Args:
            reference: ``ENV/NAMESPACE/MODEL``.

        Raises:
            CarnetError: The call failed; the class says how.

        Example:
            >>> all(alias.version >= 1 for alias in client.aliases("dev/risk/fraud"))
            True
        """
        wanted = reference_to(reference, want="model")
        registry = self._registry(wanted.environment)
        request = aliases_pb2.ListAliasesRequest(parent=wanted.model_name)
        found, final_size = await asyncio.gather(
            all_pages(registry, registry.aliases.ListAliases, request, "aliases"),
            self._final_size(wanted.environment),
        )
        aliases = [alias_of(each, wanted.environment) for each in found]
        return tuple(replace(each, finality=finality_at(each.log_index, final_size)) for each in aliases)

    async def alias(self, reference: str | Reference) -> Alias:
        """Read one alias.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.

        Raises:
            NotFoundError: There is no such alias.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        alias, final_size = await asyncio.gather(
            self._read_alias(wanted), self._final_size(wanted.environment)
        )
        return replace(alias, finality=finality_at(alias.log_index, final_size))

    async def alias_history(self, reference: str | Reference, *, limit: int = 0) -> tuple[AliasMove, ...]:
        """List an alias's moves, the newest first.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            limit: How many at most; 0 for all.

        Raises:
            NotFoundError: There never was such an alias.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = aliases_pb2.ListAliasMovesRequest(parent=wanted.resource_name)
        found, final_size = await asyncio.gather(
            all_pages(registry, registry.aliases.ListAliasMoves, request, "moves", limit=limit),
            self._final_size(wanted.environment),
        )
        moves = [alias_move_of(each) for each in found]
        return tuple(replace(each, finality=finality_at(each.log_index, final_size)) for each in moves)

    async def set_alias(
        self,
        reference: str | Reference,
        version: int,
        *,
        expected_revision: int | None = None,
        note: str = "",
    ) -> AliasChange:
        """Move an alias that the policy does not protect, or make it.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            version: The version to point at.
            expected_revision: The revision that was seen, 0 for an alias that must not exist; None to move it
                from wherever it is.
            note: Why, for people.

        Returns:
            The alias after it, with the verified receipt.

        Raises:
            ConflictError: The alias moved since that revision.
            GateRefusedError: The policy protects the alias: only a promotion or a rollback moves it.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        answer: aliases_pb2.SetAliasResponse = await registry.call(
            registry.aliases.SetAlias,
            aliases_pb2.SetAliasRequest(
                name=wanted.resource_name,
                version=check_version_number(version),
                expected_revision=expected_revision,
                note=note,
                request_id=uuid4().hex,
            ),
        )
        receipt = self._move_receipt(answer.receipt, wanted, answer.alias.version)
        alias = alias_of(answer.alias, wanted.environment)
        return AliasChange(alias=replace(alias, finality=receipt.finality), receipt=receipt)

    async def delete_alias(
        self, reference: str | Reference, *, expected_revision: int | None = None, note: str = ""
    ) -> VerifiedReceipt:
        """Remove an alias that the policy does not protect; its history stays.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            expected_revision: The revision that was seen; None to remove it whatever it is.
            note: Why, for people.

        Returns:
            The verified receipt of the removal.

        Raises:
            ConflictError: The alias moved since that revision.
            GateRefusedError: The policy protects the alias.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        answer: aliases_pb2.DeleteAliasResponse = await registry.call(
            registry.aliases.DeleteAlias,
            aliases_pb2.DeleteAliasRequest(
                name=wanted.resource_name,
                expected_revision=expected_revision,
                note=note,
                request_id=uuid4().hex,
            ),
        )
        return checked_receipt(
            answer.receipt,
            self.federation.environment(wanted.environment),
            types=(EntryType.ALIAS_REMOVED,),
            subject=_alias_subject(wanted),
        )

    async def rollback(
        self,
        reference: str | Reference,
        reason_code: str,
        *,
        version: int | None = None,
        note: str = "",
        to_mark: bool = False,
        accept_untested: bool = False,
    ) -> AliasChange:
        """Move an alias back to a version that it pointed at before; waits for no policy and no peer.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            reason_code: Why, as a code for reports, such as ``metric-degradation``.
            version: The version to go back to; None for the last good one before the present one.
            note: Why, for people.
            to_mark: Go back to the marked version, where no version is named.
            accept_untested: Accept a version without the smoke test that the policy requires.

        Returns:
            The alias after it, with the version that was left, what was checked, and the verified receipt.

        Raises:
            PreconditionFailedError: There is nothing to go back to, or no mark, or what was named is revoked,
                has lost a blob, failed its latest smoke test, or holds none where the policy requires one.
            DataLossError: A blob of it is damaged.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        answer: aliases_pb2.RollbackAliasResponse = await registry.call(
            registry.aliases.RollbackAlias,
            aliases_pb2.RollbackAliasRequest(
                name=wanted.resource_name,
                version=check_version_number(version) if version is not None else 0,
                reason_code=reason_code,
                note=note,
                request_id=uuid4().hex,
                to_mark=to_mark,
                accept_untested=accept_untested,
            ),
        )
        receipt = self._move_receipt(answer.receipt, wanted, answer.alias.version)
        alias = alias_of(answer.alias, wanted.environment)
        return AliasChange(
            alias=replace(alias, finality=receipt.finality),
            receipt=receipt,
            rolled_back_version=answer.rolled_back_version,
            check=check_of(answer.check) if answer.HasField("check") else None,
        )

    async def watch_alias(
        self, reference: str | Reference, *, after_revision: int = 0
    ) -> AsyncIterator[Alias]:
        """Follow an alias: its state now, then every move, for as long as the caller iterates.

        A registry that goes away is dialled again; no move that lasts is missed.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            after_revision: The last revision that the caller has; only newer ones are told.

        Yields:
            The alias; with version 0 where it was removed or does not exist yet.

        Raises:
            CarnetError: The call failed, and not because the registry was away.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        pause = _FIRST_PAUSE_SECONDS
        while True:
            request = aliases_pb2.WatchAliasRequest(name=wanted.resource_name, after_revision=after_revision)
            try:
                async for answer in registry.stream(registry.aliases.WatchAlias, request):
                    alias = alias_of(answer.alias, wanted.environment)
                    after_revision = max(after_revision, alias.revision)
                    pause = _FIRST_PAUSE_SECONDS
                    yield alias
            except UnavailableError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MAX_PAUSE_SECONDS)

    def _move_receipt(self, receipt: log_pb2.Receipt, wanted: Reference, version: int) -> VerifiedReceipt:
        return checked_receipt(
            receipt,
            self.federation.environment(wanted.environment),
            types=(EntryType.ALIAS_MOVED,),
            subject=_alias_subject(wanted),
            new=str(version),
        )


def _alias_subject(wanted: Reference) -> dict[str, str | int]:
    return {"namespace": wanted.namespace, "model": wanted.model, "alias": wanted.alias}
