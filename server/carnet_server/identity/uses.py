"""What a key has touched: what to look at when it was compromised.

Responsible for finding everything here that was signed with a key, or as a subject, and for saying of each
what the trust document in force makes of it. It lists and judges; it revokes and moves nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import InvalidInputError
from carnet.serving.callers.subjects import SUBJECT_MAX_LENGTH
from carnet.serving.columns import EPOCH
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet_server.aliases.queries import read_aliases_of
from carnet_server.identity.domain import JudgedUse
from carnet_server.identity.queries import list_uses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from carnet_server.access.trust import Trust
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.identity.domain import Use
    from carnet_server.identity.queries import Position


class KeyUsesService:
    """Lists what keys have touched.

    Args:
        database: The environment's database.
        state: Its trust document.
    """

    def __init__(self, database: Database, state: EnvironmentState) -> None:
        self._database = database
        self._state = state

    async def list_page(
        self, *, key_id: str, subject: str, page_size: int, page_token: str
    ) -> tuple[list[JudgedUse], str]:
        """List what was signed with a key, or as a subject with whichever key; the newest first.

        Args:
            key_id: The key; empty where a subject is asked for.
            subject: The subject; empty where a key is asked for.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The uses, judged by the trust document in force, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: Not exactly one of key and subject is given, or one, the size or the token is
                malformed.
        """
        if bool(key_id) == bool(subject) or len(subject) > SUBJECT_MAX_LENGTH:
            raise InvalidInputError(
                "exactly one of key_id and subject is wanted: the id of a key, 64 hexadecimal digits, or a "
                f"subject of at most {SUBJECT_MAX_LENGTH} characters",
                metadata={"field": "key_id"},
            )
        if key_id:
            check_digest(key_id, field="key_id")
        query = f"key uses {key_id} {subject}"
        position = decode_page_token(page_token, query, int, int, int, str)
        before: Position | None = (position[0], position[1], position[2], position[3]) if position else None
        limit = page_limit(page_size)
        trust = self._state.trust.current
        keys = [key_id] if key_id else trust.key_ids_of(subject)

        def read(connection: Connection) -> tuple[list[JudgedUse], bool]:
            found = list_uses(
                connection,
                keys=keys,
                subjects=[subject] if subject else [],
                before=before,
                limit=limit + 1,
            )
            return _judge(connection, found[:limit], trust), len(found) > limit

        page, more = await self._database.read(read)
        return page, encode_page_token(query, _position_of(page[-1].use)) if more else ""


def _judge(connection: Connection, uses: Sequence[Use], trust: Trust) -> list[JudgedUse]:
    models = sorted({(each.namespace, each.model) for each in uses})
    pointing: dict[str, list[str]] = {}
    for alias in read_aliases_of(connection, models):
        pointing.setdefault(alias.bundle_digest, []).append(alias.alias)
    return [
        JudgedUse(each, _is_since_compromise(each, trust), tuple(pointing.get(each.bundle_digest, ())))
        for each in (_with_owner(use, trust) for use in uses)
    ]


def _with_owner(use: Use, trust: Trust) -> Use:
    """Return a use with its subject, which may have become known only after it arrived."""
    key = None if use.subject else trust.key(use.key_id)
    return use if key is None else replace(use, subject=key.subject)


def _is_since_compromise(use: Use, trust: Trust) -> bool:
    revocation = trust.revocation_of_key(use.key_id, use.subject)
    return revocation is not None and use.created_at >= revocation.since


def _position_of(use: Use) -> Position:
    delta = use.created_at - EPOCH
    micros = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    return micros, use.log_index, int(use.kind), use.digest
