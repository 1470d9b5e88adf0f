"""Stages: moving versions by hand, and archiving what is old and out of use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.client.messages import stage_number, time_of, version_of
from carnet.client.models import ARRIVALS, reference_to
from carnet.client.paging import all_pages
from carnet.client.promotions import Promotions
from carnet.client.results import ArchivedVersion, StageResult
from carnet.client.verification import checked_receipt
from carnet.errors import ReferenceInvalidError
from carnet.references import check_name
from carnet.registry.v1 import models_pb2
from carnet.stages import Stage
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.client.federation import PinnedEnvironment
    from carnet.client.results import VerifiedReceipt, Version
    from carnet.references import Reference
    from carnet.registry.v1 import log_pb2

_CHANGES = (EntryType.VERSION_STAGE_CHANGED,)


class Stages(Promotions):
    """Operations on stages."""

    async def set_stage(
        self, reference: str | Reference, stage: str, reason: str, *, expected: str = ""
    ) -> StageResult:
        """Move a version to a stage by hand; one that stands there already stays as it is.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION``; an alias is refused, since it may move meanwhile.
            stage: ``registered``, ``candidate``, ``approved`` or ``archived``.
            reason: Why, for people.
            expected: Where the version was seen; empty for anywhere.

        Returns:
            The version, and the verified receipt of the entry that put it where it stands.

        Raises:
            NotFoundError: There is no such version.
            ConflictError: It does not stand where it was seen.
            IllegalTransitionError: It cannot go there; the message names where it can go.
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.set_stage("dev/risk/fraud@1", "registered", "as it came").version.stage
            'registered'
        """
        wanted = reference_to(reference, want="version")
        if not wanted.version:
            raise ReferenceInvalidError(f"{wanted}: a stage is of a version: write its number, not an alias")
        registry = self._registry(wanted.environment)
        answer: models_pb2.SetStageResponse = await registry.call(
            registry.models.SetStage,
            models_pb2.SetStageRequest(
                name=wanted.resource_name,
                stage=stage_number(stage, field="stage"),
                expected_stage=stage_number(expected, field="expected"),
                reason=reason,
            ),
        )
        version = version_of(answer.version, wanted.environment)
        environment = self.federation.environment(wanted.environment)
        return StageResult(
            version=version, receipt=_stage_receipt(answer.receipt, environment, version, wanted, stage)
        )

    async def archive_unused(
        self,
        environment: str,
        *,
        min_age: timedelta,
        min_unused: timedelta = timedelta(0),
        namespace: str = "",
        reason: str = "",
        dry_run: bool = False,
    ) -> tuple[ArchivedVersion, ...]:
        """Archive the versions that are old and out of use, one by one, or tell which those are.

        They are registered, candidate or approved; no alias points at them, and no promotion that has not
        ended is about them, from here or to here: the promotion service is asked which those are.

        Args:
            environment: The environment.
            min_age: How long ago a version arrived at least.
            min_unused: For how long it was at least not staged, told of by evidence, or admitted elsewhere.
            namespace: One namespace; empty for all in which this identity may act as operator.
            reason: Why, for people; may be empty for a dry run.
            dry_run: Tells only.

        Returns:
            The versions, each with why, by namespace, model and number.

        Raises:
            InvalidInputError: A time is negative or too long, or the reason is missing.
            CarnetError: The call failed; the class says how.

        Example:
            >>> from datetime import timedelta
            >>> client.archive_unused("dev", min_age=timedelta(days=3650), dry_run=True)
            ()
        """
        registry = self._registry(environment)
        request = models_pb2.ArchiveVersionsRequest(
            parent=f"namespaces/{check_name(namespace, field='namespace') if namespace else '-'}",
            excluded=await self._in_promotions(environment),
            validate_only=dry_run,
            reason=reason,
        )
        request.min_age.FromTimedelta(min_age)
        request.min_unused.FromTimedelta(min_unused)
        found = await all_pages(registry, registry.models.ArchiveVersions, request, "versions")
        return tuple(self._archived(each, environment, dry_run=dry_run) for each in found)

    async def _in_promotions(self, environment: str) -> list[str]:
        if self.federation.sync is None:
            return []
        running = await self.promotions(active_only=True)
        return sorted(
            {
                promotion.reference.resource_name
                for promotion in running
                if environment in {promotion.reference.environment, promotion.target}
            }
        )

    def _archived(
        self, message: models_pb2.ArchivedVersion, environment: str, *, dry_run: bool
    ) -> ArchivedVersion:
        version = version_of(message.version, environment)
        pinned = self.federation.environment(environment)
        archived = str(Stage.ARCHIVED)
        receipt = (
            None if dry_run else _stage_receipt(message.receipt, pinned, version, version.reference, archived)
        )
        return ArchivedVersion(
            version=version, last_used_at=time_of(message.last_use_time), why=message.why, receipt=receipt
        )


def _stage_receipt(
    message: log_pb2.Receipt,
    environment: PinnedEnvironment,
    version: Version,
    wanted: Reference,
    stage: str,
) -> VerifiedReceipt:
    """Verify that the log has the version at a stage: by its last change, or as it arrived."""
    as_it_arrived = stage == Stage.REGISTERED and version.stage_log_index == version.log_index
    return checked_receipt(
        message,
        environment,
        types=ARRIVALS if as_it_arrived else _CHANGES,
        subject={"namespace": wanted.namespace, "model": wanted.model, "version": wanted.version},
        new=None if as_it_arrived else stage,
    )
