"""Nonces of signed statements: each is the only one of its kind, and its digest gives no text away."""

from __future__ import annotations

import secrets

_BYTES = 16


def new_nonce() -> str:
    """Return 128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(_BYTES)
