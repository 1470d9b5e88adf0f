"""The worker: takes promotions that are due, and carries each on, one step after another.

Responsible for leases, for persisting what each step came to before the next begins, and for what happens
when a step raises. Invariants: a step runs only under a lease; the lease's epoch goes along with every call
that changes a target, so that a worker that lost it changes nothing any more; nothing that matters is in
memory. What the steps do is in ``promotions.steps``.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, InternalError, StaleEpochError
from carnet_sync.promotions import queries
from carnet_sync.promotions.domain import State, check_transition
from carnet_sync.promotions.failures import outcome_of_error
from carnet_sync.promotions.steps import STEPS
from carnet_sync.promotions.steps.step import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carnet_sync.database import Database
    from carnet_sync.environments.links import Links
    from carnet_sync.promotions.changes import Changes
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.outcome import Outcome
    from carnet_sync.promotions.steps.step import Step

logger = logging.getLogger(__name__)

LEASE_SECONDS = 4.0
CONCURRENT_PROMOTIONS = 16
DEFECT_MESSAGE = "internal error: it is in the promotion service's log under the same time"


def utc_now() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.now(UTC)


class Worker:
    """Carries promotions on.

    Args:
        database: Where they are stored.
        links: The registries.
        changes: Who is told of changes.
        patience: How long nothing but retries may happen before a promotion fails.
        lease_seconds: How long a lease lasts unless it is renewed.
        clock: The time.
        steps: The step to take in each state.
    """

    def __init__(
        self,
        database: Database,
        links: Links,
        changes: Changes,
        *,
        patience: timedelta = timedelta(hours=1),
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], datetime] = utc_now,
        steps: Mapping[State, Step] = STEPS,
    ) -> None:
        self.owner = uuid.uuid4().hex
        self._database = database
        self._links = links
        self._changes = changes
        self._patience = patience
        self._lease = timedelta(seconds=lease_seconds)
        self._clock = clock
        self._steps = steps
        self._running: dict[str, asyncio.Task[None]] = {}
        self._nudged: set[str] = set()
        self._stopping = False

    async def wake_everything(self) -> None:
        """Make every promotion that has not ended due; done once at the start."""
        now = self._clock()
        await self._database.write(lambda connection: queries.wake_all(connection, now))

    async def enqueue_due(self) -> None:
        """Begin with the promotions that are due, as many as there is room for."""
        now, room = self._clock(), CONCURRENT_PROMOTIONS - len(self._running)
        if room > 0:
            found = await self._database.read(lambda connection: queries.due(connection, now, room))
            for promotion_id in found:
                self.enqueue(promotion_id)

    async def take_over(self) -> None:
        """Free the promotions whose worker went away."""
        now = self._clock()
        freed = await self._database.write(lambda connection: queries.free_expired(connection, now))
        if freed:
            logger.warning("%d promotions were left by a worker that went away, and are taken over", freed)
            await self.enqueue_due()

    def enqueue(self, promotion_id: str) -> None:
        """Begin with a promotion now, or look again once the step under way has ended."""
        if self._stopping:
            return
        if promotion_id in self._running:
            self._nudged.add(promotion_id)
        elif len(self._running) < CONCURRENT_PROMOTIONS:
            task = asyncio.create_task(self._run(promotion_id), name=f"promotion-{promotion_id}")
            self._running[promotion_id] = task

    async def stop(self) -> None:
        """Stop the steps under way, and give their leases back."""
        self._stopping = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until no promotion is being carried on here."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _run(self, promotion_id: str) -> None:
        try:
            await self.carry_on(promotion_id)
        except StaleEpochError:
            logger.info("promotion %s was taken over by another worker", promotion_id)
        except CarnetError as error:
            logger.warning("promotion %s is left for later: %s", promotion_id, error.message)
        finally:
            del self._running[promotion_id]
            if promotion_id in self._nudged:
                self._nudged.discard(promotion_id)
                if not self._stopping:
                    await self._wake(promotion_id)

    async def _wake(self, promotion_id: str) -> None:
        """Make it due, since something happened while it was looked at."""
        now = self._clock()
        await self._database.write(lambda connection: queries.wake(connection, now, promotion=promotion_id))
        self.enqueue(promotion_id)

    async def carry_on(self, promotion_id: str) -> None:
        """Take the lease of a promotion, and carry it on until it ends or has to wait.

        Args:
            promotion_id: The promotion; nothing happens where it is not due or another worker has it.

        Raises:
            StaleEpochError: Another worker took it over, or a person moved it; nothing more was stored.
            UnavailableError: The database cannot be used.
        """
        now = self._clock()
        expires = now + self._lease
        held = await self._database.write(
            lambda connection: queries.take_lease(
                connection, promotion_id, owner=self.owner, now=now, expires=expires
            )
        )
        if held is None:
            return
        try:
            while held.lease_owner == self.owner:
                outcome = await self._attempt(held)
                held = await self._settle(held, outcome)
        except (asyncio.CancelledError, StaleEpochError):
            await asyncio.shield(self._give_back(held))
            raise

    async def _attempt(self, promotion: Promotion) -> Outcome:
        """Take the step of the promotion's state, and say what it came to, whatever happens."""
        try:
            outcome = await self._under_lease(promotion)
            check_transition(promotion, outcome.state)
        except StaleEpochError:
            raise
        except CarnetError as error:
            failure = error
        except Exception:
            logger.exception("promotion %s: the step in %s is defective", promotion.id, promotion.state)
            failure = InternalError(DEFECT_MESSAGE)
        else:
            return outcome
        return outcome_of_error(promotion, failure, now=self._clock(), patience=self._patience)

    async def _under_lease(self, promotion: Promotion) -> Outcome:
        """Take the step, and renew the lease for as long as it takes."""

        async def report(transferred_bytes: int, total_bytes: int) -> None:
            await self._report(promotion, transferred_bytes, total_bytes)

        work = Work(self._links, report)
        step = asyncio.ensure_future(self._steps[promotion.state](promotion, work))
        try:
            while not (await asyncio.wait({step}, timeout=self._lease.total_seconds() / 3))[0]:
                await self._renew(promotion)
            return step.result()
        finally:
            if not step.done():
                step.cancel()
                await asyncio.wait({step})

    async def _renew(self, promotion: Promotion) -> None:
        expires = self._clock() + self._lease
        if not await self._database.write(lambda c: queries.renew_lease(c, promotion, expires)):
            raise _lost(promotion)

    async def _report(self, promotion: Promotion, transferred_bytes: int, total_bytes: int) -> None:
        stored = await self._database.write(
            lambda c: queries.report_progress(c, promotion, transferred_bytes, total_bytes)
        )
        if not stored:
            raise _lost(promotion)
        self._changes.tell(promotion.id)

    async def _settle(self, promotion: Promotion, outcome: Outcome) -> Promotion:
        now = self._clock()
        due_at = now + timedelta(seconds=outcome.wait_seconds or 0)
        settled = await self._database.write(
            lambda connection: queries.settle(connection, promotion, outcome, now=now, due_at=due_at)
        )
        if settled is None:
            raise _lost(promotion)
        if outcome.state is not promotion.state:
            logger.info("promotion %s: %s: %s", promotion.id, outcome.state, outcome.message)
        self._changes.tell(promotion.id)
        return settled

    async def _give_back(self, promotion: Promotion) -> None:
        """Drop the lease without a word; where it is lost already, nothing happens."""
        due_at = self._clock() + timedelta(seconds=0 if self._stopping else 1)
        await self._database.write(lambda connection: queries.drop_lease(connection, promotion, due_at))


def _lost(promotion: Promotion) -> StaleEpochError:
    return StaleEpochError(
        f"promotion {promotion.id} is no longer this worker's under epoch {promotion.epoch}",
        metadata={"subject": f"promotions/{promotion.id}"},
    )
