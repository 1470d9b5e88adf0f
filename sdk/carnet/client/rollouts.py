"""Rollouts: trying a challenger beside a champion, ending that, and reporting what was measured.

Responsible for the client's side of the rollout service, but for who gets which traffic (``traffic``). Each
change comes back with the verified receipt of its entry; figures and states are what the registry states.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.client.messages import name_in_answer
from carnet.client.models import reference_to
from carnet.client.paging import all_pages
from carnet.client.results import MetricsReport, RolloutChange
from carnet.client.rollout_messages import (
    checked_duration,
    kind_number,
    point_message,
    rollout_of,
    state_of,
    step_message,
    success_number,
)
from carnet.client.serving import alias_reference
from carnet.client.session import Session
from carnet.client.verification import checked_receipt
from carnet.errors import InvalidInputError, NotFoundError, ReferenceInvalidError
from carnet.references import VERSION_MAX, Reference, ResourceName, check_name, check_version_number
from carnet.registry.v1 import rollouts_pb2
from carnet.rollouts import RolloutState, describe_standing
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet.client.results import MetricPoint, Rollout, VerifiedReceipt
    from carnet.registry.v1 import log_pb2

_STARTED = (EntryType.ROLLOUT_STARTED,)
_CHANGED = (EntryType.ROLLOUT_CHANGED,)
_POLL_SECONDS = 0.5
_NO_TIME = timedelta(0)


class Rollouts(Session):
    """Operations on rollouts."""

    async def start_rollout(
        self,
        reference: str | Reference,
        *,
        challenger: int | None = None,
        challenger_alias: str = "",
        kind: str = "split",
        steps: Sequence[tuple[float, timedelta]] = (),
        share: float | None = None,
        min_duration: timedelta = _NO_TIME,
        on_success: str = "hold",
        bake: timedelta = _NO_TIME,
        note: str = "",
        dry_run: bool = False,
    ) -> RolloutChange:
        """Begin to try a challenger beside the version that an alias points at.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``; it has one rollout at a time.
            challenger: The version to try; None for the one that the challenger's alias points at.
            challenger_alias: The alias that points at it meanwhile; empty for ``challenger``, or ``shadow``
                for a shadow.
            kind: ``split``: it answers a share of the requests. ``shadow``: a share of the requests is
                mirrored to it, and its answers are thrown away.
            steps: The plan: shares, above 0 and 1 at most, that do not fall, each with how long at least.
            share: Instead of ``steps``, the share of a plan of one step; a shadow's is 1 where neither is
                given.
            min_duration: For how long at least the one step of ``share`` lasts.
            on_success: Once the plan is passed, ``hold`` waits for ``complete_rollout`` or a promotion, and
                ``move`` moves the alias at once, where the policy lets it.
            bake: For how long a breach still moves the alias back once it was moved.
            note: Why, for people.
            dry_run: Checks all and begins nothing.

        Returns:
            The rollout, and the verified receipt of its beginning.

        Raises:
            InvalidInputError: The plan is none; the message says what of it.
            NotFoundError: There is no such alias or version.
            ConflictError: The alias has a rollout that has not ended.
            GateRefusedError: The policy lets no such share be without a promotion's decision.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = rollouts_pb2.StartRolloutRequest(
            parent=wanted.resource_name,
            kind=kind_number(kind),
            challenger_version=check_version_number(challenger, field="challenger") if challenger else 0,
            challenger_alias=challenger_alias,
            steps=_plan(kind, steps, share, min_duration),
            on_success=success_number(on_success),
            note=note,
            request_id=uuid4().hex,
            validate_only=dry_run,
        )
        request.bake_duration.FromTimedelta(checked_duration(bake, field="bake"))
        answer: rollouts_pb2.StartRolloutResponse = await registry.call(
            registry.rollouts.StartRollout, request
        )
        rollout = rollout_of(answer.rollout, wanted.environment)
        first = describe_standing(RolloutState.RUNNING, rollout.steps[0].share)
        name = ResourceName(wanted.namespace, wanted.model, alias=wanted.alias, rollout=rollout.number)
        receipt = None if dry_run else self._receipt(answer.receipt, rollout, name, _STARTED, new=first)
        return RolloutChange(rollout=rollout, receipt=receipt)

    async def rollout(self, reference: str | Reference, number: int | None = None) -> Rollout:
        """Read one rollout, with what its guardrails say and what was measured.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
            number: Which of the alias's rollouts; None for the newest.

        Raises:
            NotFoundError: There is no such rollout.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        name = await self._rollout_name(wanted, number)
        answer: rollouts_pb2.GetRolloutResponse = await registry.call(
            registry.rollouts.GetRollout, rollouts_pb2.GetRolloutRequest(name=str(name))
        )
        return rollout_of(answer.rollout, wanted.environment)

    async def rollouts(self, place: str | Reference, *, active: bool = False) -> tuple[Rollout, ...]:
        """List rollouts without their figures, an alias's newest first.

        Args:
            place: Of what: ``ENV``, ``ENV/NAMESPACE``, ``ENV/NAMESPACE/MODEL`` or
                ``ENV/NAMESPACE/MODEL@ALIAS``.
            active: Only those that have not ended.

        Returns:
            The rollouts, by namespace, model and alias.

        Raises:
            ReferenceInvalidError: The place is malformed, or a version.
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.rollouts("dev", active=True)
            ()
        """
        environment, parent = _place(place)
        registry = self._registry(environment)
        request = rollouts_pb2.ListRolloutsRequest(parent=parent, active=active)
        found = await all_pages(registry, registry.rollouts.ListRollouts, request, "rollouts")
        return tuple(rollout_of(each, environment) for each in found)

    async def wait_for_rollout(
        self,
        reference: str | Reference,
        number: int | None = None,
        *,
        timeout: float = 600.0,  # noqa: ASYNC109  the limit of a wait is what the caller asks for
        on_update: Callable[[Rollout], None] | None = None,
    ) -> Rollout:
        """Wait until a rollout has ended, or the time is over.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
            number: Which of the alias's rollouts; None for the newest.
            timeout: How long at most, in seconds.
            on_update: Told what stands now, about twice a second; it must be quick.

        Returns:
            The rollout; ask ``rollout.ended``.

        Raises:
            NotFoundError: There is no such rollout.
            CarnetError: The call failed; the class says how.
        """
        end = asyncio.get_running_loop().time() + timeout
        while True:
            rollout = await self.rollout(reference, number)
            number = rollout.number
            if on_update is not None:
                on_update(rollout)
            left = end - asyncio.get_running_loop().time()
            if rollout.ended or left <= 0:
                return rollout
            await asyncio.sleep(min(_POLL_SECONDS, left))

    async def stop_rollout(
        self, reference: str | Reference, reason_code: str, *, number: int | None = None, note: str = ""
    ) -> RolloutChange:
        """End a rollout: all traffic is the champion's. Once the alias was moved, only the watching ends.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
            reason_code: Why, as a code for reports, such as ``no-longer-wanted``.
            number: Which of the alias's rollouts; None for the newest.
            note: Why, for people.

        Returns:
            The rollout, and the verified receipt of its last change; one that had ended stays as it was.

        Raises:
            NotFoundError: There is no such rollout.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        name = await self._rollout_name(wanted, number)
        answer: rollouts_pb2.StopRolloutResponse = await registry.call(
            registry.rollouts.StopRollout,
            rollouts_pb2.StopRolloutRequest(name=str(name), reason_code=reason_code, note=note),
        )
        rollout = rollout_of(answer.rollout, wanted.environment)
        return self._changed(answer.receipt, rollout, name)

    async def complete_rollout(
        self, reference: str | Reference, *, number: int | None = None, note: str = ""
    ) -> RolloutChange:
        """Move the alias to the challenger of a rollout that has passed its plan and waits for that.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
            number: Which of the alias's rollouts; None for the newest.
            note: Why, for people.

        Returns:
            The rollout, and the verified receipt of its last change.

        Raises:
            NotFoundError: There is no such rollout.
            PreconditionFailedError: It does not wait for that.
            GateRefusedError: The policy protects the alias: a promotion moves it.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        name = await self._rollout_name(wanted, number)
        answer: rollouts_pb2.CompleteRolloutResponse = await registry.call(
            registry.rollouts.CompleteRollout, rollouts_pb2.CompleteRolloutRequest(name=str(name), note=note)
        )
        rollout = rollout_of(answer.rollout, wanted.environment)
        return self._changed(answer.receipt, rollout, name)

    async def report_metrics(
        self,
        reference: str | Reference,
        points: Sequence[MetricPoint],
        *,
        number: int | None = None,
        request_id: str = "",
    ) -> MetricsReport:
        """Report what was measured of a rollout's two versions; all points are taken, or none.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
            points: What was measured, 1 to 1,000 windows.
            number: Which of the alias's rollouts; None for the newest.
            request_id: Makes a repeated batch the same batch, 1 to 64 characters; empty for one of its own.

        Returns:
            Where the rollout stands after it, and how often to report.

        Raises:
            InvalidInputError: A point is malformed, or of another version.
            NotFoundError: There is no such rollout.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        request = rollouts_pb2.ReportMetricsRequest(
            request_id=request_id or uuid4().hex,
            points=[point_message(each, field=f"points[{place}]") for place, each in enumerate(points)],
        )
        request.name = str(await self._rollout_name(wanted, number))
        answer: rollouts_pb2.ReportMetricsResponse = await registry.call(
            registry.rollouts.ReportMetrics, request
        )
        return MetricsReport(
            state=state_of(answer.state, peer=wanted.environment),
            accepted_count=answer.accepted_count,
            reporting_interval=answer.reporting_interval.ToTimedelta(),
        )

    async def _rollout_name(self, wanted: Reference, number: int | None) -> ResourceName:
        if number is None:
            registry = self._registry(wanted.environment)
            request = rollouts_pb2.ListRolloutsRequest(parent=wanted.resource_name)
            newest = await all_pages(registry, registry.rollouts.ListRollouts, request, "rollouts", limit=1)
            if not newest:
                raise NotFoundError(f"{wanted} has had no rollout yet; `carnet rollout start` begins one")
            number = name_in_answer(newest[0].name, want="rollout", peer=wanted.environment).rollout
        if not 1 <= number <= VERSION_MAX:
            raise InvalidInputError(
                f"number: {number} is no rollout's: they start at 1", metadata={"field": "number"}
            )
        return ResourceName(wanted.namespace, wanted.model, alias=wanted.alias, rollout=number)

    def _changed(self, message: log_pb2.Receipt, rollout: Rollout, name: ResourceName) -> RolloutChange:
        # Between its receipt and its answer a rollout may have changed again.
        is_last = message.log_index == rollout.log_index
        new = describe_standing(rollout.state, rollout.share) if is_last else None
        return RolloutChange(
            rollout=rollout, receipt=self._receipt(message, rollout, name, _CHANGED, new=new)
        )

    def _receipt(
        self,
        message: log_pb2.Receipt,
        rollout: Rollout,
        name: ResourceName,
        types: tuple[EntryType, ...],
        *,
        new: str | None,
    ) -> VerifiedReceipt:
        return checked_receipt(
            message,
            self.federation.environment(rollout.reference.environment),
            types=types,
            subject={
                "namespace": name.namespace,
                "model": name.model,
                "alias": name.alias,
                "version": rollout.challenger_version,
                "rollout": name.rollout,
            },
            new=new,
        )


def _plan(
    kind: str, steps: Sequence[tuple[float, timedelta]], share: float | None, min_duration: timedelta
) -> list[rollouts_pb2.RolloutStep]:
    if steps and (share is not None or min_duration):
        raise InvalidInputError(
            "steps: give either steps, or one share and its min_duration", metadata={"field": "steps"}
        )
    if not steps and share is None:
        if kind != "shadow":
            raise InvalidInputError(
                "steps: say which share of the traffic the challenger gets, by steps or share",
                metadata={"field": "steps"},
            )
        share = 1.0
    chosen = steps or [(share or 0.0, min_duration)]
    return [
        step_message(part, duration, field=f"steps[{place}].min_duration")
        for place, (part, duration) in enumerate(chosen)
    ]


def _place(place: str | Reference) -> tuple[str, str]:
    """Return the environment of a place, and the name of what rollouts are listed of there."""
    if isinstance(place, str) and place.count("/") < 2:
        environment, slash, namespace = place.partition("/")
        check_name(environment, field="environment")
        return environment, f"namespaces/{check_name(namespace, field='namespace') if slash else '-'}"
    wanted = reference_to(place, want="any")
    if wanted.version:
        raise ReferenceInvalidError(f"{wanted} points at a version: rollouts are of aliases")
    return wanted.environment, wanted.resource_name
