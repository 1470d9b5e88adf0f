"""Recording what the environment is, and what changed of its documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import SQLModel

from carnet.translog.entry import Actor, EntryType
from carnet_server.environment.tables import DocumentInForceRow
from carnet_server.log.revisions import POLICY_SCOPE, TRUST_SCOPE
from carnet_server.log.writer import EntryDraft, Transaction, Writer

if TYPE_CHECKING:
    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust
    from carnet_server.environment.state import EnvironmentState

POLICY_MEDIA_TYPE = "application/vnd.carnet.policy+yaml"
TRUST_MEDIA_TYPE = "application/vnd.carnet.trust+yaml"
_TABLE = SQLModel.metadata.tables[str(DocumentInForceRow.__tablename__)]
_READ = select(_TABLE.c.digest).where(_TABLE.c.kind == bindparam("wanted"))
_INSERT = insert(_TABLE)
_UPDATE = update(_TABLE).where(_TABLE.c.kind == bindparam("wanted")).values(digest=bindparam("new_digest"))


async def record_documents(
    writer: Writer, state: EnvironmentState, *, documents: tuple[Policy, Trust] | None = None
) -> None:
    """Log the environment's birth, and a policy or trust document that is not the one in force before.

    Args:
        writer: The environment's writer.
        state: Its documents as they are now.
        documents: Those that are put in force with their entries; None for those of ``state``.
    """
    policy, trust = documents or (state.policy, state.trust.current)
    actor = Actor(subject=f"urn:carnet:environment:{state.name}", issuer=state.log_key.name, method="local")
    kinds = (
        ("policy", EntryType.POLICY_CHANGED, POLICY_SCOPE, policy.bytes, POLICY_MEDIA_TYPE),
        ("trust", EntryType.TRUST_CHANGED, TRUST_SCOPE, trust.data, TRUST_MEDIA_TYPE),
    )

    def change(tx: Transaction) -> None:
        before = {kind: tx.connection.execute(_READ, {"wanted": kind}).scalar() for kind, *_ in kinds}
        if not any(before.values()):
            tx.append(EntryDraft(EntryType.ENVIRONMENT_INITIALIZED, actor, {}, new=state.name))
        for kind, entry_type, scope, data, media_type in kinds:
            digest = tx.store_document(data, media_type)
            if digest == before[kind]:
                continue
            if before[kind] is None:
                tx.connection.execute(_INSERT, {"kind": kind, "digest": digest})
            else:
                tx.connection.execute(_UPDATE, {"wanted": kind, "new_digest": digest})
            tx.touch(scope)
            tx.append(
                EntryDraft(
                    entry_type,
                    actor,
                    {kind: digest} if kind == "policy" else {},
                    old=before[kind],
                    new=digest,
                    envelope_digest=digest,
                )
            )
        state.put_in_force(policy, trust)

    await writer.commit(change)
