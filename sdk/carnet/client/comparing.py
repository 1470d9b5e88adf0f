"""Comparing two versions: their manifests, and what trusted evidence measured of them.

Responsible for which evidence counts here: of each suite the newest that the registry trusts and whose signer
is pinned, read where the version was named. The comparison itself is ``carnet.bundle.compare``.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.bundle.compare import compare_manifests
from carnet.bundle.metric_comparison import Figure
from carnet.client.evidence import EvidenceOperations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.bundle.compare import Comparison
    from carnet.client.results import Evidence, ResolvedVersion
    from carnet.references import Reference

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Comparing(EvidenceOperations):
    """Operations that compare."""

    async def compare(
        self, before: str | Reference, after: str | Reference, *, with_evidence: bool = True
    ) -> Comparison:
        """Compare two versions, each verified first.

        Metrics come from the manifests, which are the publishers' own words, and from the evidence about each
        version that its environment trusts and whose signer is pinned here; each figure says where it is
        from, and is compared with the same suite's only.

        Args:
            before: The version to compare with; of any environment.
            after: The version that is compared.
            with_evidence: Whether evidence is read too.

        Returns:
            What differs, metrics with the direction in which they are better.

        Raises:
            NotFoundError: There is no such version or alias.
            IntegrityError: What a registry answers is not what was signed or logged.
            InvalidInputError: A figure is not finite, or has no direction.
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.compare("dev/risk/fraud@1", "dev/risk/fraud@1").files
            ()
        """
        old, new = await asyncio.gather(self.resolve(before), self.resolve(after))
        if not with_evidence:
            return compare_manifests(old.manifest, new.manifest)
        first, second = await asyncio.gather(self._measured(old), self._measured(new))
        return compare_manifests(old.manifest, new.manifest, measured_before=first, measured_after=second)

    async def _measured(self, resolved: ResolvedVersion) -> tuple[Figure, ...]:
        held = await self._held_evidence(resolved.reference, resolved.bundle_digest)
        return tuple(
            Figure(
                name=metric.name,
                value=metric.value,
                direction=metric.direction,
                slice=metric.slice,
                suite=evidence.suite,
                signer=evidence.signer,
            )
            for evidence in _newest_of_each_suite(held)
            for metric in evidence.metrics
        )


def _newest_of_each_suite(held: Iterable[Evidence]) -> list[Evidence]:
    """Return the evidence that counts: of each suite the newest with figures by a trusted, pinned signer."""
    newest: dict[str, Evidence] = {}
    trusted = (each for each in held if each.trusted and each.signer and each.metrics)
    for each in sorted(trusted, key=lambda each: (each.added_at or _BEFORE_ALL, each.log_index)):
        newest[each.suite] = each
    return list(newest.values())
