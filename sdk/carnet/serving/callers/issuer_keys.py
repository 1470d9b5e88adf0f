"""The public keys of an OIDC issuer: found by discovery, kept, and fetched anew when they rotate.

Responsible for asking the issuer (OpenID Connect Discovery 1.0, section 4; RFC 7517) within bounds of time
and size, and for asking it rarely: at most once in `REFETCH_SECONDS`, whatever key ids tokens name. A key
that the issuer took away is believed for at most `FRESH_SECONDS` where the issuer answers, and for
`STALE_SECONDS` where it does not. Verifies no token.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jwt import PyJWK
from jwt.exceptions import InvalidKeyError, PyJWTError

from carnet.errors import UnauthenticatedError, UnavailableError
from carnet.serving.callers.issuers import LOOPBACK, is_asked_safely

if TYPE_CHECKING:
    from collections.abc import Callable

FETCH_SECONDS = 5.0
FETCH_MAX_BYTES = 256 << 10
REFETCH_SECONDS = 30.0
FRESH_SECONDS = 3600.0
STALE_SECONDS = 24 * 3600.0
MIN_RSA_BITS = 2048
_MAX_KEYS = 100
_KEY_TYPES = {"RS256": "RSA", "ES256": "EC"}

logger = logging.getLogger(__name__)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: what an issuer says stands where its URL says."""

    def redirect_request(self, *_: Any) -> None:
        """Return nothing, which makes the redirect an error."""
        return


def fetch_json(url: str) -> dict[str, Any]:
    """Fetch a JSON object over https, or from this machine itself; blocks for a bounded time.

    Args:
        url: Where it is.

    Raises:
        UnavailableError: It cannot be reached, or answers with something else.
    """
    if not is_asked_safely(url):
        raise UnavailableError(f"{url[:200]} is not asked: its URL must begin with https://")
    proxies: dict[str, str] | None = {} if urlsplit(url).hostname in LOOPBACK else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _NoRedirect(),
    )
    end = time.monotonic() + FETCH_SECONDS
    data = b""
    try:
        with opener.open(url, timeout=FETCH_SECONDS) as answer:
            while len(data) <= FETCH_MAX_BYTES and (piece := answer.read1(1 << 14)):
                data += piece
                if time.monotonic() > end:
                    raise UnavailableError(f"{url} took longer than {FETCH_SECONDS:.0f} s to answer")
        if len(data) > FETCH_MAX_BYTES:
            raise UnavailableError(f"{url} answered with more than {FETCH_MAX_BYTES} bytes")
        value = json.loads(data)
    except urllib.error.HTTPError as error:
        error.close()
        raise UnavailableError(f"{url} answered with HTTP {error.code}") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "reason", error)
        raise UnavailableError(f"{url} cannot be asked: {str(reason)[:200]}") from error
    if not isinstance(value, dict):
        raise UnavailableError(f"{url} did not answer with a JSON object")
    return value


class IssuerKeys:
    """The keys of one issuer; used on one event loop.

    Args:
        issuer: Its URL.
        fetch: Fetches a JSON object; it is called on a thread.
        clock: Tells seconds that only grow.
    """

    def __init__(
        self,
        issuer: str,
        *,
        fetch: Callable[[str], dict[str, Any]] = fetch_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._fetching: asyncio.Task[None] | None = None
        self._keys: dict[tuple[str, str], PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._problem = ""

    async def key(self, key_id: str, algorithm: str) -> PyJWK:
        """Return the key of an id.

        Args:
            key_id: The token's ``kid``.
            algorithm: The token's ``alg``.

        Raises:
            UnauthenticatedError: The issuer has no such key for that algorithm.
            UnavailableError: The issuer cannot be asked now.
        """
        found = self._keys.get((key_id, algorithm))
        if found is None or self._age() > FRESH_SECONDS:
            await self._refreshed()
            found = self._keys.get((key_id, algorithm))
        if found is not None and self._age() <= STALE_SECONDS:
            return found
        if self._problem:
            raise UnavailableError(
                f"the keys of {self._issuer} cannot be fetched: {self._problem}",
                metadata={"issuer": self._issuer},
                retry_after_seconds=REFETCH_SECONDS,
            )
        raise UnauthenticatedError(
            f"the token is signed with a key that {self._issuer} does not publish for {algorithm}",
            metadata={"issuer": self._issuer},
        )

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    async def _refreshed(self) -> None:
        """Wait for what is being fetched, or fetch if it is time to; who stops waiting stops nothing."""
        if self._fetching is None:
            if self._tried_at is not None and self._clock() - self._tried_at < REFETCH_SECONDS:
                return
            self._tried_at = self._clock()
            self._fetching = asyncio.get_running_loop().create_task(self._refresh())
            self._fetching.add_done_callback(self._ended)
        await asyncio.shield(self._fetching)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _refresh(self) -> None:
        try:
            keys = await asyncio.wait_for(asyncio.to_thread(self._ask), 2 * FETCH_SECONDS + 1)
        except (UnavailableError, TimeoutError) as error:
            self._problem = error.message if isinstance(error, UnavailableError) else "it does not answer"
            logger.warning("the keys of %s cannot be fetched: %s", self._issuer, self._problem)
            return
        self._keys, self._fetched_at, self._problem = keys, self._clock(), ""

    def _ask(self) -> dict[tuple[str, str], PyJWK]:
        said = self._fetch(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if said.get("issuer") != self._issuer:
            raise UnavailableError(f"who answers there says it is {str(said.get('issuer'))[:200]!r}")
        where = said.get("jwks_uri")
        if not isinstance(where, str):
            raise UnavailableError("its configuration has no jwks_uri")
        entries = self._fetch(where).get("keys")
        if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
            raise UnavailableError(f"its key set has no list of at most {_MAX_KEYS} keys")
        return _usable_keys(entries)


def _usable_keys(entries: list[Any]) -> dict[tuple[str, str], PyJWK]:
    """Return the keys that tokens may be signed with; others are passed over (RFC 7517, section 5)."""
    keys: dict[tuple[str, str], PyJWK] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        if entry.get("use", "sig") != "sig" or "d" in entry:
            continue
        for algorithm, kind in _KEY_TYPES.items():
            if entry.get("kty") != kind or entry.get("alg", algorithm) != algorithm:
                continue
            try:
                key = PyJWK({**entry, "alg": algorithm}, algorithm)
                strong = kind != "RSA" or key.key.key_size >= MIN_RSA_BITS
            except (PyJWTError, InvalidKeyError, ValueError, TypeError, KeyError):
                continue
            if strong and (kind != "EC" or entry.get("crv") == "P-256"):
                keys[entry["kid"], algorithm] = key
    return keys
