"""Revisions: how a decision notices that what it was based on has moved.

Every change touches the scopes whose facts it changes, in its own transaction. A decision reads the revisions
of its scopes before it reads the facts, is evaluated outside of any transaction, and the transaction that
acts on it compares them.
"""

from __future__ import annotations

from carnet_server.log.queries import read_revisions

POLICY_SCOPE = "policy"
TRUST_SCOPE = "trust"

__all__ = ["POLICY_SCOPE", "TRUST_SCOPE", "bundle_scope", "model_scope", "promotion_scope", "read_revisions"]


def bundle_scope(bundle_digest: str) -> str:
    """The scope of a bundle's evidence and revocation."""
    return f"bundle:{bundle_digest}"


def promotion_scope(promotion: str) -> str:
    """The scope of a promotion's state and approvals."""
    return f"promotion:{promotion}"


def model_scope(namespace: str, model: str) -> str:
    """The scope of a model's versions and aliases."""
    return f"model:{namespace}/{model}"
