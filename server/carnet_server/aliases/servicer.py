"""AliasService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.references import parse_resource_name
from carnet.registry.v1 import aliases_pb2, aliases_pb2_grpc
from carnet_server.access.permissions import ALL_NAMESPACES
from carnet_server.access.scope import current_caller
from carnet_server.aliases.proto import (
    alias_to_proto,
    check_to_proto,
    marked_to_proto,
    move_to_proto,
    stale_to_proto,
    state_to_proto,
    watched_to_proto,
)
from carnet_server.aliases.serving import REPORT_TTL
from carnet_server.log.proto import finality_to_proto, receipt_to_proto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from carnet.references import ResourceName
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.aliases.domain import Alias
    from carnet_server.aliases.service import AliasesService, AliasState
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService


class AliasServicer(aliases_pb2_grpc.AliasServiceServicer):
    """Answers AliasService's calls."""

    def __init__(self, aliases: AliasesService, state: EnvironmentState, log: LogService) -> None:
        self._aliases = aliases
        self._state = state
        self._log = log

    async def GetAlias(
        self, request: aliases_pb2.GetAliasRequest, context: ServicerContext
    ) -> aliases_pb2.GetAliasResponse:
        """Read one alias."""
        state = await self._aliases.get_state(_alias_name(request.name), warm=request.warm)
        return aliases_pb2.GetAliasResponse(
            alias=self._told(state),
            warm=[
                aliases_pb2.WarmVersion(version=version, bundle_digest=digest)
                for version, digest in state.warm
            ],
        )

    async def ListAliases(
        self, request: aliases_pb2.ListAliasesRequest, context: ServicerContext
    ) -> aliases_pb2.ListAliasesResponse:
        """List a model's aliases."""
        parent = parse_resource_name(request.parent, field="parent", want="model")
        page, token = await self._aliases.list_page(
            parent, page_size=request.page_size, page_token=request.page_token
        )
        return aliases_pb2.ListAliasesResponse(
            aliases=[self._told(each) for each in await self._aliases.describe(parent, page)],
            next_page_token=token,
        )

    async def SetAlias(
        self, request: aliases_pb2.SetAliasRequest, context: ServicerContext
    ) -> aliases_pb2.SetAliasResponse:
        """Move an alias, or make it."""
        moved = await self._aliases.set_alias(
            current_caller(),
            _alias_name(request.name),
            request.version,
            expected_revision=request.expected_revision if request.HasField("expected_revision") else None,
            note=request.note,
            request_id=request.request_id,
        )
        return aliases_pb2.SetAliasResponse(
            alias=self._message(moved.alias), receipt=receipt_to_proto(moved.receipt)
        )

    async def DeleteAlias(
        self, request: aliases_pb2.DeleteAliasRequest, context: ServicerContext
    ) -> aliases_pb2.DeleteAliasResponse:
        """Remove an alias."""
        moved = await self._aliases.delete_alias(
            current_caller(),
            _alias_name(request.name),
            expected_revision=request.expected_revision if request.HasField("expected_revision") else None,
            note=request.note,
            request_id=request.request_id,
        )
        return aliases_pb2.DeleteAliasResponse(receipt=receipt_to_proto(moved.receipt))

    async def RollbackAlias(
        self, request: aliases_pb2.RollbackAliasRequest, context: ServicerContext
    ) -> aliases_pb2.RollbackAliasResponse:
        """Move an alias back."""
        moved = await self._aliases.roll_back(
            current_caller(),
            _alias_name(request.name),
            version=request.version,
            reason_code=request.reason_code,
            note=request.note,
            request_id=request.request_id,
            to_mark=request.to_mark,
            accept_untested=request.accept_untested,
        )
        return aliases_pb2.RollbackAliasResponse(
            alias=self._message(moved.alias),
            rolled_back_version=moved.old_version,
            receipt=receipt_to_proto(moved.receipt),
            check=check_to_proto(moved.check) if moved.check else None,
        )

    async def DrillAlias(
        self, request: aliases_pb2.DrillAliasRequest, context: ServicerContext
    ) -> aliases_pb2.DrillAliasResponse:
        """Rehearse a rollback."""
        drilled = await self._aliases.drill(
            current_caller(),
            _alias_name(request.name),
            note=request.note,
            confirmed=request.confirmed,
            request_id=request.request_id,
        )
        return aliases_pb2.DrillAliasResponse(
            alias=self._message(drilled.alias),
            drilled_version=drilled.drilled_version,
            back_receipt=receipt_to_proto(drilled.back),
            forward_receipt=receipt_to_proto(drilled.forward),
            check=check_to_proto(drilled.check) if drilled.check else None,
        )

    async def MarkChampion(
        self, request: aliases_pb2.MarkChampionRequest, context: ServicerContext
    ) -> aliases_pb2.MarkChampionResponse:
        """Mark the known-good version of an alias."""
        marked = await self._aliases.marks.mark(
            current_caller(),
            _alias_name(request.name),
            request.version,
            expected_marked_version=_expected_mark(request),
            note=request.note,
            request_id=request.request_id,
        )
        return aliases_pb2.MarkChampionResponse(
            alias=marked_to_proto(marked, protected=self._protected),
            old_marked_version=marked.mark.old_marked_version,
            receipt=receipt_to_proto(marked.receipt),
        )

    async def UnmarkChampion(
        self, request: aliases_pb2.UnmarkChampionRequest, context: ServicerContext
    ) -> aliases_pb2.UnmarkChampionResponse:
        """Take the mark of an alias away."""
        marked = await self._aliases.marks.unmark(
            current_caller(),
            _alias_name(request.name),
            expected_marked_version=_expected_mark(request),
            note=request.note,
            request_id=request.request_id,
        )
        return aliases_pb2.UnmarkChampionResponse(
            alias=marked_to_proto(marked, protected=self._protected),
            old_marked_version=marked.mark.old_marked_version,
            receipt=receipt_to_proto(marked.receipt),
        )

    async def ReportServing(
        self, request: aliases_pb2.ReportServingRequest, context: ServicerContext
    ) -> aliases_pb2.ReportServingResponse:
        """Take what a serving instance runs."""
        reported = await self._aliases.report_serving(
            current_caller(),
            _alias_name(request.name),
            instance=request.instance,
            bundle_digest=request.bundle_digest,
            revision=request.revision,
        )
        return aliases_pb2.ReportServingResponse(
            alias=self._message(reported.alias),
            drifted=reported.drifted,
            ttl_seconds=REPORT_TTL.seconds,
        )

    async def ListStaleAliases(
        self, request: aliases_pb2.ListStaleAliasesRequest, context: ServicerContext
    ) -> aliases_pb2.ListStaleAliasesResponse:
        """List stale aliases."""
        namespace = ""
        if request.parent != ALL_NAMESPACES:
            namespace = parse_resource_name(request.parent, field="parent", want="namespace").namespace
        page, token = await self._aliases.list_stale(
            current_caller(),
            namespace,
            days=request.days,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return aliases_pb2.ListStaleAliasesResponse(
            aliases=[stale_to_proto(each, protected=self._protected) for each in page],
            next_page_token=token,
        )

    async def ListAliasMoves(
        self, request: aliases_pb2.ListAliasMovesRequest, context: ServicerContext
    ) -> aliases_pb2.ListAliasMovesResponse:
        """List an alias's moves."""
        page, token = await self._aliases.list_moves(
            _alias_name(request.parent, field="parent"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        moves = [move_to_proto(move) for move in page]
        for message in moves:
            message.finality = finality_to_proto(self._log.finality(message.log_index))
        return aliases_pb2.ListAliasMovesResponse(moves=moves, next_page_token=token)

    def WatchAlias(
        self, request: aliases_pb2.WatchAliasRequest, context: ServicerContext
    ) -> AsyncIterator[aliases_pb2.WatchAliasResponse]:
        """Stream an alias's state."""
        return self._aliases.watch(_alias_name(request.name), request.after_revision, self._watched)

    def _watched(self, alias: Alias) -> aliases_pb2.WatchAliasResponse:
        return watched_to_proto(alias, protected=alias.alias in self._protected)

    def _told(self, state: AliasState) -> aliases_pb2.Alias:
        message = state_to_proto(state, protected=self._protected)
        message.finality = finality_to_proto(self._log.finality(message.log_index))
        return message

    def _message(self, alias: Alias) -> aliases_pb2.Alias:
        return alias_to_proto(alias, protected=self._protected)

    @property
    def _protected(self) -> Collection[str]:
        return self._state.policy.document.protected_aliases


def _alias_name(value: str, *, field: str = "name") -> ResourceName:
    return parse_resource_name(value, field=field, want="alias")


def _expected_mark(
    request: aliases_pb2.MarkChampionRequest | aliases_pb2.UnmarkChampionRequest,
) -> int | None:
    return request.expected_marked_version if request.HasField("expected_marked_version") else None
