"""Asking for promotions and following them.

Responsible for the signed request and the signed cancellation, and for telling how a promotion stands. The
promotion service is believed in nothing that matters: a success counts only with the target's decision and
receipt, which are verified against the keys that are pinned.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.client.messages import (
    name_in_answer,
    promotion_event_of,
    promotion_state_of,
    rules_of,
    time_of,
)
from carnet.client.models import Models
from carnet.client.paging import all_pages
from carnet.client.results import Promotion, PromotionState, PromotionUpdate
from carnet.client.verification import checked_decision, checked_receipt
from carnet.errors import (
    DeadlineExceededError,
    InvalidInputError,
    PermissionDeniedError,
    PreconditionFailedError,
    StatementInvalidError,
    UnauthenticatedError,
    UnavailableError,
)
from carnet.references import Reference
from carnet.registry.v1 import admission_pb2, log_pb2
from carnet.signing.cancellation import Cancellation
from carnet.signing.promotion_request import PromotionRequest
from carnet.sync.v1 import promotions_pb2
from carnet.translog.finality import Finality

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from carnet.client.results import VerifiedReceipt
    from carnet.signing.decision import Decision
    from carnet.signing.dsse import Envelope
    from carnet.signing.predicate import Predicate

_CREATE_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 2.0
_HEX = frozenset("0123456789abcdef")


class Promotions(Models):
    """Operations on promotions."""

    async def promote(
        self,
        reference: str | Reference,
        to: str,
        *,
        alias: str = "",
        dry_run: bool = False,
        emergency: bool = False,
        by_rollout: bool = False,
    ) -> Promotion:
        """Ask for a version to be brought into another environment, signed with this identity's key.

        Args:
            reference: The version at the source, ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``.
            to: The target environment.
            alias: The alias to move there; empty for none.
            dry_run: Asks the target what it would say, and stores nothing anywhere.
            emergency: Asks although rules stand open that people must break the glass for: what failed waits
                for them then, where the target's policy lets them skip it.
            by_rollout: The alias does not move on admission: that only permits it, and a rollout moves it.

        Returns:
            The promotion as it stands at first; ``wait`` and ``watch_promotion`` follow it.

        Raises:
            InvalidInputError: It is by rollout, and without an alias or an emergency.
            NotFoundError: There is no such version or environment.
            PreconditionFailedError: The promotion service has no such route.
            CarnetError: The call failed; the class says how.
        """
        self.federation.environment(to)
        resolved = await self.resolve(reference)
        request = PromotionRequest(
            promotion=uuid4().hex,
            source=resolved.reference.environment,
            target=to,
            namespace=resolved.reference.namespace,
            model=resolved.reference.model,
            version=resolved.reference.version,
            alias=alias,
            requested_at=datetime.now(UTC),
            emergency=emergency,
            by_rollout=by_rollout,
        )
        envelope = await self._signed(
            request,
            resolved.manifest.subject_name,
            resolved.bundle_digest,
            certified_by=(to, resolved.reference.environment),
        )
        service = self._promotion_service()
        answer = await service.call(
            service.promotions.CreatePromotion,
            promotions_pb2.CreatePromotionRequest(request=envelope.to_bytes(), validate_only=dry_run),
            deadline_seconds=_CREATE_SECONDS,
        )
        return self._promotion_of(answer.promotion)

    async def promotion(self, promotion: str) -> Promotion:
        """Read a promotion, with its events.

        Args:
            promotion: Its id.

        Raises:
            NotFoundError: There is none of that id.
            IntegrityError: It is said to have succeeded, and the target's decision or receipt do not hold.
            CarnetError: The call failed; the class says how.
        """
        service = self._promotion_service()
        answer = await service.call(
            service.promotions.GetPromotion,
            promotions_pb2.GetPromotionRequest(name=promotion_resource(promotion)),
        )
        events = tuple(promotion_event_of(each, peer=service.peer) for each in answer.events)
        found = replace(self._promotion_of(answer.promotion), events=events)
        if found.state is PromotionState.SUCCEEDED:
            return replace(found, receipt=await self._proof(found, answer.promotion.admission))
        return found

    async def promotions(self, *, active_only: bool = False, limit: int = 0) -> tuple[Promotion, ...]:
        """List promotions, the newest first.

        Args:
            active_only: Only those that have not ended.
            limit: How many at most; 0 for all.

        Raises:
            CarnetError: The call failed; the class says how.

        Example:
            >>> [promotion.id for promotion in client.promotions(active_only=True)]
            []
        """
        service = self._promotion_service()
        request = promotions_pb2.ListPromotionsRequest(active_only=active_only)
        found = await all_pages(
            service, service.promotions.ListPromotions, request, "promotions", limit=limit
        )
        return tuple(self._promotion_of(each) for each in found)

    async def watch_promotion(
        self, promotion: str, *, after_sequence: int = 0
    ) -> AsyncIterator[PromotionUpdate]:
        """Follow a promotion until it ends: every event, and the progress between them.

        A promotion service that goes away is dialled again, and goes on after the last event.

        Args:
            promotion: Its id.
            after_sequence: The last event that the caller has.

        Yields:
            The promotion as it stands, with the event that is news.

        Raises:
            NotFoundError: There is none of that id.
            CarnetError: The call failed, and not because the service was away.
        """
        service = self._promotion_service()
        pause = _FIRST_PAUSE_SECONDS
        ended = False
        while not ended:
            request = promotions_pb2.WatchPromotionRequest(
                name=promotion_resource(promotion), after_sequence=after_sequence
            )
            try:
                async for answer in service.stream(service.promotions.WatchPromotion, request):
                    event = (
                        promotion_event_of(answer.event, peer=service.peer)
                        if answer.HasField("event")
                        else None
                    )
                    pause = _FIRST_PAUSE_SECONDS
                    current = self._promotion_of(answer.promotion)
                    after_sequence = max(after_sequence, event.sequence if event else 0)
                    ended = current.ended and after_sequence >= current.sequence
                    yield PromotionUpdate(promotion=current, event=event)
                if not ended:
                    # The stream ended, and its last message may have been lost with a connection before.
                    current = await self.promotion(promotion)
                    ended = current.ended
                    for event in current.events if ended else ():
                        if event.sequence > after_sequence:
                            yield PromotionUpdate(promotion=current, event=event)
            except UnavailableError:
                ended = False
            if not ended:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MAX_PAUSE_SECONDS)

    async def wait(
        self,
        promotion: str,
        *,
        timeout: float = 600.0,  # noqa: ASYNC109  the limit of a wait is what the caller asks for
        on_update: Callable[[PromotionUpdate], None] | None = None,
        final: bool = False,
    ) -> Promotion:
        """Wait until a promotion has ended, or the time is over.

        Args:
            promotion: Its id.
            timeout: How long at most, in seconds.
            on_update: Told of every event, and of the progress between them; must be quick.
            final: Wait further until its admission is final. Nothing else waits for that: it is in force.

        Returns:
            The promotion: ended, or as it stands when the time is over (``ended`` tells, and its receipt's
            ``finality``).

        Raises:
            NotFoundError: There is none of that id.
            PreconditionFailedError: It is to be final, and no quorum of witnesses is pinned for its target.
            CarnetError: The call failed, and not because the service was away.
        """
        try:
            async with asyncio.timeout(timeout):
                async for update in self.watch_promotion(promotion):
                    if on_update is not None:
                        on_update(update)
                if final:
                    await self._wait_until_final(promotion)
        except TimeoutError:
            pass
        return await self.promotion(promotion)

    async def _wait_until_final(self, promotion: str) -> None:
        while True:
            try:
                found = await self.promotion(promotion)
            except UnavailableError:
                await asyncio.sleep(_MAX_PAUSE_SECONDS)
                continue
            if found.receipt is None or found.receipt.finality is Finality.FINAL:
                return
            if found.receipt.finality is Finality.UNSPECIFIED:
                raise PreconditionFailedError(
                    f"nothing in {found.target} is ever final for you: pin its policy of witnesses in "
                    f"federation.yaml, as environments.{found.target}.witnesses"
                )
            await asyncio.sleep(_MAX_PAUSE_SECONDS)

    async def cancel(self, promotion: str, reason: str) -> Promotion:
        """End a promotion at this identity's signed word; the target refuses it from then on.

        Args:
            promotion: Its id.
            reason: Why, for people.

        Raises:
            IllegalTransitionError: It is admitted already.
            PermissionDeniedError: This identity is neither its requester nor an operator there.
            CarnetError: The call failed; the class says how.
        """
        current = await self.promotion(promotion)
        resolved = await self.resolve(current.reference)
        said = Cancellation(promotion=promotion, reason=reason, cancelled_at=datetime.now(UTC))
        envelope = await self._signed(
            said,
            resolved.manifest.subject_name,
            resolved.bundle_digest,
            certified_by=(current.target, resolved.reference.environment),
        )
        service = self._promotion_service()
        answer = await service.call(
            service.promotions.CancelPromotion,
            promotions_pb2.CancelPromotionRequest(
                name=promotion_resource(promotion), envelope=envelope.to_bytes()
            ),
        )
        return self._promotion_of(answer.promotion)

    async def _signed(
        self, said: Predicate, subject_name: str, bundle_digest: str, *, certified_by: Sequence[str] = ()
    ) -> Envelope:
        """Sign with what this identity signs with, in a thread: a KMS is asked over the network.

        Args:
            said: What is said.
            subject_name: The bundle's name.
            bundle_digest: Its digest.
            certified_by: The environments that may certify a job's key for this; none where jobs may not.
        """
        signer = await self._signer(*certified_by)
        return await asyncio.to_thread(said.sign, subject_name, bundle_digest, signer)

    async def retry(self, promotion: str) -> Promotion:
        """Try a failed promotion again, from where it stood.

        Args:
            promotion: Its id.

        Raises:
            IllegalTransitionError: It has not failed.
            CarnetError: The call failed; the class says how.
        """
        service = self._promotion_service()
        answer = await service.call(
            service.promotions.RetryPromotion,
            promotions_pb2.RetryPromotionRequest(name=promotion_resource(promotion)),
            idempotent=False,
        )
        return self._promotion_of(answer.promotion)

    def _promotion_of(self, message: promotions_pb2.Promotion) -> Promotion:
        service = self._promotion_service()
        name = name_in_answer(message.version, want="version", peer=service.peer)
        admission = message.admission
        return Promotion(
            id=message.name.removeprefix("promotions/"),
            state=promotion_state_of(message.state, peer=service.peer),
            message=message.message,
            reference=Reference(message.source, name.namespace, name.model, version=name.version),
            target=message.target,
            alias=message.alias,
            by_rollout=message.by_rollout,
            bundle_digest=message.bundle_digest,
            requester=message.requester,
            rules=rules_of(admission.evaluation.results),
            policy_digest=admission.evaluation.policy_digest,
            awaits_dossier=bool(admission.dossier) and not admission.decision,
            transferred_bytes=message.transferred_bytes,
            total_bytes=message.total_bytes,
            transfer=message.transfer,
            error_reason=message.error_reason,
            sequence=message.sequence,
            created_at=time_of(message.create_time),
            updated_at=time_of(message.update_time),
            receipt=None,
        )

    async def _proof(self, found: Promotion, admission: admission_pb2.Admission) -> VerifiedReceipt:
        """Verify that a promotion which is said to have succeeded did: by the target's own signatures."""
        if not admission.decision or not admission.receipt.entry:
            registry = self._registry(found.target)
            answer = await registry.call(
                registry.admission.GetAdmission,
                admission_pb2.GetAdmissionRequest(name=f"admissions/{found.id}"),
            )
            admission = answer.admission
        target = self.federation.environment(found.target)
        decision = checked_decision(admission.decision, target, found.bundle_digest, promotion=found.id)
        said, signed = (_alias_of(found), _alias_of(decision))
        if said != signed:
            raise StatementInvalidError(
                f"promotion {found.id} is said to be for {said}, and {target.name} decided it for {signed}"
            )
        check = partial(
            checked_receipt,
            environment=target,
            subject={"promotion": found.id},
            if_named={"bundle_digest": found.bundle_digest},
        )
        receipt = check(admission.receipt)
        if receipt.finality is not Finality.COMMITTED:
            return receipt
        # The promotion service keeps the receipt of the moment; the target may have been witnessed since.
        registry = self._registry(found.target)
        request = log_pb2.GetReceiptRequest(index=receipt.receipt.index)
        try:
            answer = await registry.call(registry.log.GetReceipt, request)
        except (UnavailableError, DeadlineExceededError, PermissionDeniedError, UnauthenticatedError):
            return receipt
        return check(answer.receipt)


def _alias_of(promotion: Promotion | Decision) -> str:
    how = " by rollout" if promotion.by_rollout else ""
    return f"the alias {promotion.alias!r}{how}" if promotion.alias else "no alias"


def promotion_resource(promotion: str) -> str:
    """Return a promotion's resource name.

    Raises:
        InvalidInputError: The text is not a promotion's id.
    """
    if len(promotion) != 32 or not _HEX.issuperset(promotion):
        raise InvalidInputError(
            f"{promotion[:80]!r} is not a promotion's id: 32 hexadecimal digits, as `carnet promotions ls` "
            "shows them",
            metadata={"field": "promotion"},
        )
    return f"promotions/{promotion}"
