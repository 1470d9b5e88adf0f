"""Breaking the glass, and reviewing it: the words of people in an emergency.

Responsible for signing exactly what was shown: the dossier that the target signed, and by name every rule
that stands open in it; and for a review that is over the target's verified decision.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet.client.approvals import Approvals, open_dossier
from carnet.client.results import Admission
from carnet.errors import PreconditionFailedError
from carnet.signing import break_glass as statements
from carnet.signing.nonce import new_nonce
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.client.results import ApprovalResult
    from carnet.signing.break_glass import Verdict

_OWN_RULE = "break-glass"
DEFAULT_VALIDITY = timedelta(hours=1)


def open_rules_of(shown: Admission) -> tuple[str, ...]:
    """Return the ids of the rules that stand open in what is shown, in order.

    Args:
        shown: The promotion at its target.
    """
    if shown.dossier is not None and shown.dossier.open_rules:
        return tuple(sorted(each.rule for each in shown.dossier.open_rules))
    return tuple(
        sorted(each.rule for each in shown.rules if each.status != "PASSED" and each.rule != _OWN_RULE)
    )


class BreakGlass(Approvals):
    """Operations of those who may break the glass, and of those who review it."""

    async def break_glass(
        self,
        promotion: str | Admission,
        reason: str,
        ticket: str,
        *,
        target: str | None = None,
        valid_for: timedelta = DEFAULT_VALIDITY,
    ) -> ApprovalResult:
        """Sign that an emergency outweighs what stands open, and write it to the target.

        Args:
            promotion: The promotion's id, or the ``Admission`` that was looked at: then exactly its dossier
                and its open rules are signed, and nothing newer.
            reason: Why, in the signer's words.
            ticket: The incident or change that it belongs to.
            target: The environment that decides; None to ask the promotion service which it is.
            valid_for: How long it is to count; the target's policy has a limit.

        Returns:
            What the target made of it, with the verified receipt.

        Raises:
            PreconditionFailedError: There is no dossier, nothing stands open, the policy lets nobody skip it,
                or the review of an earlier one is overdue.
            PermissionDeniedError: This identity may not break the glass there, or published the version.
            IntegrityError: What the target shows is not what is stated; nothing is signed.
            CarnetError: The call failed; the class says how.
        """
        shown = await self._shown(promotion, target)
        now = datetime.now(UTC)
        dossier = open_dossier(shown, now)
        skips = open_rules_of(shown)
        if not skips:
            raise PreconditionFailedError(
                f"every rule passes for promotion {shown.promotion}: there is no glass to break"
            )
        said = statements.BreakGlass(
            promotion=shown.promotion,
            dossier_digest=shown.dossier_digest,
            source=dossier.source,
            target=dossier.target,
            policy_digest=dossier.policy_digest,
            evidence_set_digest=dossier.evidence_set_digest,
            skips=skips,
            reason=reason,
            ticket=ticket,
            signed_at=now,
            expires_at=now + valid_for,
            nonce=new_nonce(),
        )
        return await self._write_word(
            shown,
            await self._signed(said, shown.dossier_subject, shown.bundle_digest),
            kind=EntryType.BREAK_GLASS_RECORDED,
            logged=",".join(skips),
            meaning="break-glass",
            reason=reason,
        )

    async def review_break_glass(
        self,
        promotion: str | Admission,
        reason: str,
        *,
        verdict: Verdict = "accepted",
        target: str | None = None,
    ) -> ApprovalResult:
        """Sign a review of an admission for which the glass was broken, and write it to the target.

        Args:
            promotion: The promotion's id, or the ``Admission`` that was looked at.
            reason: Why, in the reviewer's words.
            verdict: ``accepted``, or ``rejected`` for one that should not have been.
            target: The environment that admitted it; None to ask the promotion service which it is.

        Returns:
            What the target made of it, with the verified receipt.

        Raises:
            PreconditionFailedError: The promotion was not admitted with the glass broken.
            AlreadyExistsError: It was reviewed before.
            PermissionDeniedError: This identity may not review there, or had a part in it.
            IntegrityError: What the target shows is not what is stated; nothing is signed.
            CarnetError: The call failed; the class says how.
        """
        shown = await self._shown(promotion, target)
        if not shown.decision_digest:
            raise PreconditionFailedError(
                f"promotion {shown.promotion} is {shown.state} at {shown.target}: no review is asked for"
            )
        said = statements.BreakGlassReview(
            promotion=shown.promotion,
            target=shown.target,
            decision_digest=shown.decision_digest,
            verdict=verdict,
            reason=reason,
            signed_at=datetime.now(UTC),
            nonce=new_nonce(),
        )
        return await self._write_word(
            shown,
            await self._signed(said, shown.decision_subject, shown.bundle_digest),
            kind=EntryType.BREAK_GLASS_REVIEWED,
            logged=verdict,
            meaning=f"review-{verdict}",
            reason=reason,
        )

    async def _shown(self, promotion: str | Admission, target: str | None) -> Admission:
        if isinstance(promotion, Admission):
            return promotion
        return await self.admission(promotion, target=target)
