"""Aliases as facts: what serving hosts run, what they keep, what nobody uses, and whether a rollback works.

Responsible for reports and for waiting until they say that a move has arrived. What hosts report is what they
say of themselves: nothing here verifies it, and a registry decides nothing by it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.canonical import check_digest
from carnet.client.messages import alias_of, time_of
from carnet.client.models import reference_to
from carnet.client.paging import all_pages
from carnet.client.results import Drill, PassedOver, RollbackCheck, ServingReport, StaleAlias, WarmVersion
from carnet.client.session import Session
from carnet.client.verification import checked_receipt
from carnet.errors import ConflictError, ReferenceInvalidError
from carnet.references import check_name
from carnet.registry.v1 import aliases_pb2
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.client.results import Alias
    from carnet.references import Reference

STALE_DAYS = 30
_POLL_SECONDS = 0.5


class AliasFacts(Session):
    """Operations on what is known of aliases beside where they point."""

    async def warm_versions(self, reference: str | Reference, count: int = 3) -> tuple[WarmVersion, ...]:
        """Tell which versions a serving host keeps on disk, so that a rollback downloads nothing.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            count: How many, 20 at most.

        Returns:
            The present version, then those that rollbacks would lead to, the best first; the marked version
            has the last place, where it has none before.

        Raises:
            NotFoundError: There is no such alias.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = aliases_pb2.GetAliasRequest(name=wanted.resource_name, warm=_int32(count))
        answer: aliases_pb2.GetAliasResponse = await registry.call(registry.aliases.GetAlias, request)
        return tuple(
            WarmVersion(version=each.version, bundle_digest=each.bundle_digest) for each in answer.warm
        )

    async def report_serving(
        self, reference: str | Reference, *, instance: str, bundle_digest: str, revision: int
    ) -> ServingReport:
        """Tell a registry what an instance of a serving host runs; again before ``ttl_seconds`` are over.

        Args:
            reference: The alias that it follows, ``ENV/NAMESPACE/MODEL@ALIAS``.
            instance: The instance, by a name that stays the same, such as the host's.
            bundle_digest: The digest of the bundle that it runs.
            revision: The alias's revision that it follows.

        Returns:
            The alias as it is now, and whether what runs has drifted.

        Raises:
            InvalidInputError: The instance, the digest or the revision is none that there can be.
            ResourceExhaustedError: There are as many instances as the registry keeps.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = aliases_pb2.ReportServingRequest(
            name=wanted.resource_name,
            instance=instance,
            bundle_digest=check_digest(bundle_digest, field="bundle_digest"),
            revision=_int64(revision),
        )
        answer: aliases_pb2.ReportServingResponse = await registry.call(
            registry.aliases.ReportServing, request
        )
        return ServingReport(
            alias=alias_of(answer.alias, wanted.environment),
            drifted=answer.drifted,
            ttl_seconds=answer.ttl_seconds,
        )

    async def wait_until_served(
        self,
        reference: str | Reference,
        revision: int,
        *,
        timeout: float = 600.0,  # noqa: ASYNC109  the limit of a wait is what the caller asks for
    ) -> Alias:
        """Wait until every instance that reports runs an alias's revision, or the time is over.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            revision: The revision that a move led to.
            timeout: How long at most, in seconds.

        Returns:
            The alias; its ``serving`` says who runs what, and is None where nobody reports.

        Raises:
            ConflictError: The alias was moved on meanwhile.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        end = asyncio.get_running_loop().time() + timeout
        while True:
            alias = await self._read_alias(wanted)
            if alias.revision > revision:
                raise ConflictError(
                    f"{wanted} was moved on while it was waited for: it is at revision {alias.revision} and "
                    f"points at version {alias.version}",
                    metadata={"revision": str(alias.revision), "version": str(alias.version)},
                )
            left = end - asyncio.get_running_loop().time()
            if is_served(alias) or left <= 0:
                return alias
            await asyncio.sleep(min(_POLL_SECONDS, left))

    async def _read_alias(self, wanted: Reference) -> Alias:
        registry = self._registry(wanted.environment)
        request = aliases_pb2.GetAliasRequest(name=wanted.resource_name)
        answer: aliases_pb2.GetAliasResponse = await registry.call(registry.aliases.GetAlias, request)
        return alias_of(answer.alias, wanted.environment)

    async def drill_rollback(
        self, reference: str | Reference, *, note: str = "", confirmed: bool = False
    ) -> Drill:
        """Rehearse a rollback: the alias is moved back and forward again, in one change.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS``.
            note: Why, for people.
            confirmed: Drill a protected alias even though serving hosts follow it there.

        Returns:
            The version that it was moved back to, and the verified receipts of both moves.

        Raises:
            PreconditionFailedError: There is nothing to go back to, or it is revoked or not whole; or hosts
                follow the alias and that was not confirmed.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = aliases_pb2.DrillAliasRequest(
            name=wanted.resource_name, note=note, confirmed=confirmed, request_id=uuid4().hex
        )
        answer: aliases_pb2.DrillAliasResponse = await registry.call(registry.aliases.DrillAlias, request)
        back, forward = (
            checked_receipt(
                receipt,
                self.federation.environment(wanted.environment),
                types=(EntryType.ALIAS_MOVED,),
                subject={"namespace": wanted.namespace, "model": wanted.model, "alias": wanted.alias},
                new=str(version),
            )
            for receipt, version in (
                (answer.back_receipt, answer.drilled_version),
                (answer.forward_receipt, answer.alias.version),
            )
        )
        return Drill(
            alias=alias_of(answer.alias, wanted.environment),
            drilled_version=answer.drilled_version,
            back=back,
            forward=forward,
            check=check_of(answer.check) if answer.HasField("check") else None,
        )

    async def stale_aliases(
        self, environment: str, *, namespace: str = "", days: int = STALE_DAYS
    ) -> tuple[StaleAlias, ...]:
        """List the aliases that for some days nobody moved or resolved, or that pointed at what is revoked.

        Args:
            environment: The environment.
            namespace: One namespace; empty for all that this identity may read.
            days: For how many days.

        Returns:
            The aliases, by name.

        Raises:
            CarnetError: The call failed; the class says how.
        """
        registry = self._registry(environment)
        parent = f"namespaces/{check_name(namespace, field='namespace') if namespace else '-'}"
        request = aliases_pb2.ListStaleAliasesRequest(parent=parent, days=_int32(days))
        found = await all_pages(registry, registry.aliases.ListStaleAliases, request, "aliases")
        return tuple(
            StaleAlias(
                alias=alias_of(each.alias, environment),
                reasons=tuple(_reason(reason) for reason in each.reasons),
                last_resolved_at=time_of(each.last_resolve_time),
                resolve_count=each.resolve_count,
            )
            for each in found
        )


def alias_reference(reference: str | Reference) -> Reference:
    """Return a reference, parsed if it is text, that names an alias.

    Raises:
        ReferenceInvalidError: It is malformed, or pins a version.
    """
    wanted = reference_to(reference, want="version")
    if not wanted.alias:
        raise ReferenceInvalidError(
            f"{wanted} points at a version: an alias is wanted, such as "
            f"{wanted.environment}/{wanted.namespace}/{wanted.model}@champion"
        )
    return wanted


def is_served(alias: Alias) -> bool:
    """Whether every instance that reports runs what an alias points at; so where none reports."""
    return alias.serving is None or alias.serving.current_count == alias.serving.instance_count


def check_of(message: aliases_pb2.RollbackCheck) -> RollbackCheck:
    """Return what a registry checked before a rollback."""
    return RollbackCheck(
        blob_count=message.blob_count,
        hashed_count=message.hashed_count,
        oldest_at=time_of(message.oldest_check_time),
        smoke_test=message.smoke_test,
        passed_over=tuple(
            PassedOver(version=each.version, reason=each.reason) for each in message.passed_over
        ),
    )


def _reason(value: aliases_pb2.StaleReason.ValueType) -> str:
    known = aliases_pb2.StaleReason.values()
    name = aliases_pb2.StaleReason.Name(value) if value in known else str(value)
    return name.removeprefix("STALE_REASON_").lower()


def _int32(value: int) -> int:
    """Return a number as the wire can have it; one that it cannot is refused by the registry as too large."""
    return max(-(2**31), min(value, 2**31 - 1))


def _int64(value: int) -> int:
    return max(-(2**63), min(value, 2**63 - 1))
