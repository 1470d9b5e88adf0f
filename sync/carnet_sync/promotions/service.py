"""What people and jobs do with promotions: start, read, list, cancel and retry them.

Responsible for the use cases and their storage. Invariants: a promotion's id is one signed request for ever;
a cancellation is the target's before it is ours; nothing is stored for a dry run, here or anywhere. A request
is read here for its routing only: the target verifies it. Does not know the API's messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import (
    AlreadyExistsError,
    ConflictError,
    IllegalTransitionError,
    NotFoundError,
    PermissionDeniedError,
    StatementInvalidError,
)
from carnet.serving.columns import EPOCH
from carnet.serving.paging import page_limit
from carnet.signing.cancellation import Cancellation
from carnet.signing.dsse import parse_envelope
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import parse_statement
from carnet_sync.promotions import queries, rehearsal
from carnet_sync.promotions.domain import Event, Promotion, State, check_transition, state_to_retry
from carnet_sync.promotions.paging import decode_page_token, encode_page_token
from carnet_sync.promotions.worker import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.signing.dsse import Envelope
    from carnet_sync.database import Database
    from carnet_sync.environments.links import Links
    from carnet_sync.promotions.changes import Changes
    from carnet_sync.promotions.worker import Worker


@dataclass(frozen=True, slots=True)
class Page:
    """A page of promotions, the newest first, and the token of the next one; empty at the end."""

    promotions: list[Promotion]
    next_page_token: str


class PromotionsService:
    """The use cases of promotions.

    Args:
        database: Where they are stored.
        links: The registries and routes.
        worker: Who carries them on.
        changes: Who is told of changes.
        clock: The time.
    """

    def __init__(
        self,
        database: Database,
        links: Links,
        worker: Worker,
        changes: Changes,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._links = links
        self._worker = worker
        self._changes = changes
        self._clock = clock

    async def create(self, request: bytes, *, caller: str) -> Promotion:
        """Take a signed request in, and begin with it.

        Args:
            request: The signed promotion request's envelope.
            caller: The caller's subject.

        Returns:
            The promotion; the one that is there, where the same bytes were taken in before.

        Raises:
            IntegrityError: The bytes are not an envelope with a promotion request.
            PreconditionFailedError: There is no such route.
            AlreadyExistsError: The id is another request's.
        """
        wanted = self._read_request(request, caller)

        def change(connection: Connection) -> Promotion:
            found = queries.get(connection, wanted.id)
            if found is None:
                queries.add(connection, wanted)
                return wanted
            if found.request != request:
                raise AlreadyExistsError(
                    f"promotion {wanted.id} is another signed request's: sign a new one under a new id",
                    metadata={"subject": f"promotions/{wanted.id}"},
                )
            return found

        promotion = await self._database.write(change)
        self._worker.enqueue(promotion.id)
        return promotion

    async def rehearse(self, request: bytes, *, caller: str) -> Promotion:
        """Say what the target would answer to a signed request now, and store nothing anywhere.

        Args:
            request: The signed promotion request's envelope.
            caller: The caller's subject.

        Raises:
            CarnetError: As ``create``, and whatever the source or the target answers with.
        """
        return await rehearsal.rehearse(self._read_request(request, caller), self._links)

    def _read_request(self, request: bytes, caller: str) -> Promotion:
        statement = parse_statement(parse_envelope(request))
        asked = PromotionRequest.parse(statement)
        route = self._links.route(asked.source, asked.target)
        now = self._clock()
        return Promotion(
            id=asked.promotion,
            state=State.PENDING,
            message=f"taken in; looking for the bundle in {asked.source}",
            error_reason="",
            source=asked.source,
            target=asked.target,
            namespace=asked.namespace,
            model=asked.model,
            version=asked.version,
            alias=asked.alias,
            bundle_digest=statement.subject_digest,
            requester=caller,
            request=request,
            manifest=b"",
            signature=b"",
            source_receipt=b"",
            admission=b"",
            transferred_bytes=0,
            total_bytes=0,
            transfer=route.transfer,
            attempts=0,
            returns=0,
            retrying_since=None,
            wake_at=now,
            lease_owner="",
            lease_expires_at=EPOCH,
            epoch=0,
            created_at=now,
            updated_at=now,
            sequence=1,
            by_rollout=asked.by_rollout,
        )

    async def get(self, promotion_id: str, *, after_sequence: int = 0) -> tuple[Promotion, list[Event]]:
        """Return a promotion as it stands, and its events behind a number.

        Raises:
            NotFoundError: It is unknown here.
        """
        found = await self._database.read(lambda c: queries.glance(c, promotion_id, after_sequence))
        if found is None:
            raise _unknown(promotion_id)
        return found

    async def list(self, *, page_size: int, page_token: str, active_only: bool) -> Page:
        """Return a page of promotions, the newest first, without the targets' answers.

        Args:
            page_size: How many at most; 0 for 100, and 1000 at most.
            page_token: The token of the page; empty for the first.
            active_only: Whether those that have ended are left out.

        Raises:
            InvalidInputError: The size is negative, or the token is not of this question.
        """
        limit = page_limit(page_size)
        before = decode_page_token(page_token, active_only=active_only)
        found = await self._database.read(
            lambda c: queries.newest(c, before=before, active_only=active_only, limit=limit + 1)
        )
        token = ""
        if len(found) > limit:
            last = found[limit - 1]
            token = encode_page_token(last.created_at, last.id, active_only=active_only)
        return Page(found[:limit], token)

    async def cancel(
        self, promotion_id: str, envelope: bytes, *, caller: str, is_operator: bool = False
    ) -> Promotion:
        """End a promotion at a signed word, which the target verifies and keeps first.

        A requester is known by its subject, or by the key that signed the request too: a job with a token and
        a key has another subject here than its key has at the target.

        Args:
            promotion_id: The promotion.
            envelope: The signed cancellation.
            caller: The caller's subject.
            is_operator: Whether the caller may cancel what others asked for.

        Raises:
            NotFoundError: It is unknown here.
            PermissionDeniedError: It is another requester's by caller and key, or the target does not accept
                the signer.
            IntegrityError: The envelope is not a cancellation of this promotion, or not one that the target
                accepts.
            IllegalTransitionError: It has ended otherwise, here or at the target.
            UnavailableError: The target cannot be reached; nothing was changed.
        """
        signed = parse_envelope(envelope)
        cancellation = Cancellation.parse(parse_statement(signed))
        if cancellation.promotion != promotion_id:
            raise StatementInvalidError(
                f"the cancellation is of promotion {cancellation.promotion}, not of {promotion_id}",
                metadata={"field": "promotion"},
            )
        promotion = await self._whole(promotion_id)
        # A target that has not heard of a promotion cannot tell yet whose it is.
        if not is_operator and caller != promotion.requester and not _same_key(signed, promotion):
            raise PermissionDeniedError(
                f"promotion {promotion_id} was asked for by {promotion.requester}: {caller} needs the role "
                "operator here to cancel it",
                metadata={"subject": f"promotions/{promotion_id}"},
            )
        if promotion.state is State.CANCELLED:
            return promotion
        check_transition(promotion, State.CANCELLED)
        await self._links.registry(promotion.target).cancel(promotion_id, envelope)
        now = self._clock()

        def change(connection: Connection) -> Promotion:
            present = queries.get(connection, promotion_id)
            if present is None or present.state is State.CANCELLED:
                return present or promotion
            check_transition(present, State.CANCELLED)
            message = f"cancelled: {cancellation.reason}"
            settled = queries.overrule(connection, present, State.CANCELLED, message, now=now)
            if settled is None:
                raise _moved(promotion_id)
            queries.add_cancellation(connection, promotion_id, caller=caller, envelope=envelope, now=now)
            return settled

        cancelled = await self._database.write(change)
        self._changes.tell(promotion_id)
        return cancelled

    async def retry(self, promotion_id: str, *, caller: str) -> Promotion:
        """Try a failed promotion again, from where it stood.

        Args:
            promotion_id: The promotion.
            caller: The caller's subject.

        Raises:
            NotFoundError: It is unknown here.
            IllegalTransitionError: It has not failed.
            ConflictError: It moved at this moment.
        """
        now = self._clock()

        def change(connection: Connection) -> Promotion:
            present = queries.get(connection, promotion_id)
            if present is None:
                raise _unknown(promotion_id)
            if present.state is not State.FAILED:
                raise IllegalTransitionError(
                    f"promotion {promotion_id} is {present.state}: only one that is {State.FAILED} "
                    "can be retried",
                    metadata={"subject": f"promotions/{promotion_id}", "state": str(present.state)},
                )
            message = f"tried again at the word of {caller}"
            settled = queries.overrule(connection, present, state_to_retry(present), message, now=now)
            if settled is None:
                raise _moved(promotion_id)
            return settled

        retried = await self._database.write(change)
        self._changes.tell(promotion_id)
        self._worker.enqueue(promotion_id)
        return retried

    async def _whole(self, promotion_id: str) -> Promotion:
        found = await self._database.read(lambda c: queries.get(c, promotion_id))
        if found is None:
            raise _unknown(promotion_id)
        return found


def _same_key(cancellation: Envelope, promotion: Promotion) -> bool:
    """Whether a cancellation says that it is by the request's key and no other, which the target verifies."""
    request = parse_envelope(promotion.request)
    keys = [[each.keyid for each in envelope.signatures] for envelope in (request, cancellation)]
    return keys[0] == keys[1] and len(keys[0]) == 1 and keys[0] != [""]


def _unknown(promotion_id: str) -> NotFoundError:
    return NotFoundError(
        f"promotion {promotion_id} is unknown to this promotion service",
        metadata={"subject": f"promotions/{promotion_id}"},
    )


def _moved(promotion_id: str) -> ConflictError:
    return ConflictError(
        f"promotion {promotion_id} moved at this very moment: try again",
        metadata={"subject": f"promotions/{promotion_id}"},
    )
