"""Finding the aliases that nobody needs, or that lead to what is withdrawn."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet_server.access.permissions import READERS
from carnet_server.aliases.observation_queries import list_unused
from carnet_server.aliases.stale_rules import StaleAlias, check_days, judge_standing
from carnet_server.models.queries import list_namespaces

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias
    from carnet_server.database.engine import Database


class StaleAliases:
    """Lists stale aliases.

    Args:
        database: The environment's database.
        clock: Tells the time.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def list_page(
        self, caller: Caller, namespace: str, *, days: int, page_size: int, page_token: str
    ) -> tuple[list[StaleAlias], str]:
        """List stale aliases; see ``AliasesService.list_stale``."""
        query = f"stale {namespace} {check_days(days)}"
        position = decode_page_token(page_token, query, str, str, str)
        after = (str(position[0]), str(position[1]), str(position[2])) if position else ("", "", "")
        limit = page_limit(page_size)
        since = self._clock() - timedelta(days=days)

        def read(connection: Connection) -> list[StaleAlias]:
            there = [namespace] if namespace else list_namespaces(connection)
            allowed = [each for each in there if caller.roles_in(each) & READERS]
            found: list[StaleAlias] = []
            behind, more = after, bool(allowed)
            while more and len(found) <= limit:
                rows = list_unused(connection, allowed, since=since, after=behind, limit=limit + 1)
                judged = (judge_standing(row, since) for row in rows)
                found += [each for each in judged if each is not None]
                more = len(rows) > limit
                if rows:
                    behind = _key(rows[-1].alias)
            return found[: limit + 1]

        found = await self._database.read(read)
        if len(found) <= limit:
            return found, ""
        return found[:limit], encode_page_token(query, _key(found[limit - 1].standing.alias))


def _key(alias: Alias) -> tuple[str, str, str]:
    return alias.namespace, alias.model, alias.alias
