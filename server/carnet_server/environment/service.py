"""Recording what the environment is, and what changed of its documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, update

from carnet.errors import ConflictError
from carnet.translog.entry import EntryType
from carnet_server.environment.queries import TABLE, read_digests
from carnet_server.log.revisions import POLICY_SCOPE, TRUST_SCOPE
from carnet_server.log.transaction import EntryDraft, Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.writer import Writer

POLICY_MEDIA_TYPE = "application/vnd.carnet.policy+yaml"
TRUST_MEDIA_TYPE = "application/vnd.carnet.trust+yaml"
SIGNATURES_MEDIA_TYPE = "application/vnd.carnet.document-signatures+jsonl"
_INSERT = insert(TABLE)
_UPDATE = update(TABLE).where(TABLE.c.kind == bindparam("wanted")).values(digest=bindparam("new_digest"))


async def record_documents(
    writer: Writer,
    state: EnvironmentState,
    *,
    documents: tuple[Policy, Trust] | None = None,
    signatures: Mapping[str, bytes] | None = None,
    recorded: Mapping[str, str] | None = None,
) -> None:
    """Log the environment's birth, and a policy or trust document that is not the one in force before.

    Args:
        writer: The environment's writer.
        state: Its documents as they are now.
        documents: Those that are put in force with their entries; None for those of ``state``.
        signatures: The envelopes that they were signed with, one a line, by kind.
        recorded: The digests that the database must still say are in force, by kind; None for any.

    Raises:
        ConflictError: Another process put a document in force meanwhile; nothing is changed.
    """
    policy, trust = documents or (state.policy, state.trust.current)
    kinds = (
        ("policy", EntryType.POLICY_CHANGED, POLICY_SCOPE, policy.bytes, POLICY_MEDIA_TYPE),
        ("trust", EntryType.TRUST_CHANGED, TRUST_SCOPE, trust.data, TRUST_MEDIA_TYPE),
    )

    def change(tx: Transaction) -> None:
        before = read_digests(tx.connection)
        if recorded is not None and before != dict(recorded):
            raise ConflictError(
                "another process of this environment put a document in force meanwhile: look again"
            )
        if not before:
            tx.append(EntryDraft(EntryType.ENVIRONMENT_INITIALIZED, state.actor, {}, new=state.name))
        for kind, entry_type, scope, data, media_type in kinds:
            digest = tx.store_document(data, media_type)
            if digest == before.get(kind):
                continue
            if kind not in before:
                tx.connection.execute(_INSERT, {"kind": kind, "digest": digest})
            else:
                tx.connection.execute(_UPDATE, {"wanted": kind, "new_digest": digest})
            signed = (signatures or {}).get(kind)
            tx.touch(scope)
            tx.append(
                EntryDraft(
                    entry_type,
                    state.actor,
                    {kind: digest} if kind == "policy" else {},
                    old=before.get(kind),
                    new=digest,
                    envelope_digest=digest,
                    request_digest=tx.store_document(signed, SIGNATURES_MEDIA_TYPE) if signed else None,
                )
            )
        state.put_in_force(policy, trust)

    await writer.commit(change)
