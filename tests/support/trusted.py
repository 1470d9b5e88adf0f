"""Trust documents of tests: written as JSON, which is YAML too, and read once however many tests have the same.

The keys of the cast stay the same from test to test, so that the documents do.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from carnet.signing.keys import SigningKey
from carnet.translog.keys import LogKey
from carnet_server.access.trust import Trust, load_trust

if TYPE_CHECKING:
    from collections.abc import Mapping


@functools.cache
def signing_key(name: str) -> SigningKey:
    """The key of somebody; the same one for all tests of a process."""
    return SigningKey.generate()


@functools.cache
def log_key(name: str) -> LogKey:
    """The key of a log; the same one for all tests of a process."""
    return LogKey.generate(name)


def document_bytes(fields: Mapping[str, Any]) -> bytes:
    """A document as a file has it."""
    return json.dumps(fields).encode()


@functools.lru_cache(maxsize=32)
def trust_of(data: bytes, environment: str) -> Trust:
    """The trust document of an environment, which nothing ever changes."""
    return load_trust(data, environment=environment)
