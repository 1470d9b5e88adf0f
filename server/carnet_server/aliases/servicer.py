"""AliasService over gRPC."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from carnet.references import parse_resource_name
from carnet.registry.v1 import aliases_pb2, aliases_pb2_grpc
from carnet_server.access.scope import current_caller
from carnet_server.aliases.proto import alias_to_proto, move_to_proto
from carnet_server.log.proto import receipt_to_proto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet.references import ResourceName
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.aliases.domain import Alias
    from carnet_server.aliases.service import AliasesService
    from carnet_server.environment.state import EnvironmentState


class AliasServicer(aliases_pb2_grpc.AliasServiceServicer):
    """Answers AliasService's calls."""

    def __init__(self, aliases: AliasesService, state: EnvironmentState) -> None:
        self._aliases = aliases
        self._state = state

    async def GetAlias(
        self, request: aliases_pb2.GetAliasRequest, context: ServicerContext
    ) -> aliases_pb2.GetAliasResponse:
        """Read one alias."""
        alias = await self._aliases.get(_alias_name(request.name))
        return aliases_pb2.GetAliasResponse(alias=self._message(alias))

    async def ListAliases(
        self, request: aliases_pb2.ListAliasesRequest, context: ServicerContext
    ) -> aliases_pb2.ListAliasesResponse:
        """List a model's aliases."""
        parent = parse_resource_name(request.parent, field="parent", want="model")
        page, token = await self._aliases.list_page(
            parent, page_size=request.page_size, page_token=request.page_token
        )
        return aliases_pb2.ListAliasesResponse(
            aliases=[self._message(alias) for alias in page], next_page_token=token
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
        )
        return aliases_pb2.RollbackAliasResponse(
            alias=self._message(moved.alias),
            rolled_back_version=moved.old_version,
            receipt=receipt_to_proto(moved.receipt),
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
        return aliases_pb2.ListAliasMovesResponse(
            moves=[move_to_proto(move) for move in page], next_page_token=token
        )

    async def WatchAlias(
        self, request: aliases_pb2.WatchAliasRequest, context: ServicerContext
    ) -> AsyncIterator[aliases_pb2.WatchAliasResponse]:
        """Stream an alias's state."""
        states = self._aliases.watch(_alias_name(request.name), request.after_revision)
        async with aclosing(states):
            async for alias in states:
                yield aliases_pb2.WatchAliasResponse(alias=self._message(alias))

    def _message(self, alias: Alias) -> aliases_pb2.Alias:
        return alias_to_proto(alias, protected=self._state.policy.document.protected_aliases)


def _alias_name(value: str, *, field: str = "name") -> ResourceName:
    return parse_resource_name(value, field=field, want="alias")
