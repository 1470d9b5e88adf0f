"""Marking the version of an alias that people have blessed as known-good.

Responsible for the client's side of marks. Each change carries a request id, so that a repeated call is the
same call, and comes back with the verified receipt of its entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.client.messages import alias_of
from carnet.client.results import MarkChange
from carnet.client.serving import alias_reference
from carnet.client.session import Session
from carnet.client.verification import checked_receipt
from carnet.references import check_version_number
from carnet.registry.v1 import aliases_pb2
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.references import Reference


class AliasMarks(Session):
    """Operations on the marks of aliases."""

    async def mark_champion(
        self,
        reference: str | Reference,
        version: int,
        *,
        expected_marked_version: int | None = None,
        note: str = "",
    ) -> MarkChange:
        """Mark the known-good version of an alias, in place of the one that was marked before.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            version: The version, which the alias points at or pointed at before.
            expected_marked_version: The marked version that was seen, 0 for none; None to mark whatever is
                marked now.
            note: Why, for people.

        Returns:
            The alias with its mark, the version that was marked before, and the verified receipt.

        Raises:
            PreconditionFailedError: The alias never pointed at the version, or it is revoked.
            ConflictError: Another version than the expected one is marked.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = aliases_pb2.MarkChampionRequest(
            name=wanted.resource_name,
            version=check_version_number(version),
            expected_marked_version=expected_marked_version,
            note=note,
            request_id=uuid4().hex,
        )
        answer: aliases_pb2.MarkChampionResponse = await registry.call(registry.aliases.MarkChampion, request)
        return self._mark_change(answer, wanted, new=str(version))

    async def unmark_champion(
        self, reference: str | Reference, *, expected_marked_version: int | None = None, note: str = ""
    ) -> MarkChange:
        """Take the mark of an alias away.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            expected_marked_version: The marked version that was seen; None to take away whatever is marked.
            note: Why, for people.

        Returns:
            The alias, the version that was marked before, and the verified receipt.

        Raises:
            NotFoundError: The alias has no marked version.
            ConflictError: Another version than the expected one is marked.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = aliases_pb2.UnmarkChampionRequest(
            name=wanted.resource_name,
            expected_marked_version=expected_marked_version,
            note=note,
            request_id=uuid4().hex,
        )
        answer: aliases_pb2.UnmarkChampionResponse = await registry.call(
            registry.aliases.UnmarkChampion, request
        )
        return self._mark_change(answer, wanted, new="")

    def _mark_change(
        self,
        answer: aliases_pb2.MarkChampionResponse | aliases_pb2.UnmarkChampionResponse,
        wanted: Reference,
        *,
        new: str,
    ) -> MarkChange:
        receipt = checked_receipt(
            answer.receipt,
            self.federation.environment(wanted.environment),
            types=(EntryType.ALIAS_MARKED,),
            subject={"namespace": wanted.namespace, "model": wanted.model, "alias": wanted.alias},
            new=new,
        )
        return MarkChange(
            alias=alias_of(answer.alias, wanted.environment),
            old_marked_version=answer.old_marked_version,
            receipt=receipt,
        )
