"""Walking back: from an alias or a version to all that it came from.

Responsible for the order of the walk, and for its bounds: through the promotions to the home publication,
into the evidence and the manifest, and on to the parents, level by level. Everything is verified by the
client's own checks; what cannot be read becomes a node that says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from carnet.client import lineage_nodes as nodes
from carnet.client.lineage_attempts import Attempts, Failure
from carnet.client.results import ResolvedVersion
from carnet.client.verification import checked_decision
from carnet.errors import CarnetError, StatementInvalidError
from carnet.lineage.graph import GraphBuilder
from carnet.references import Reference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet.bundle.lineage import ParentVersion
    from carnet.client.lineage import Lineage
    from carnet.client.results import Admission, AliasMove, Evidence
    from carnet.lineage.graph import LineageGraph

MAX_VERSIONS: Final = 500


@dataclass(frozen=True, slots=True)
class _Parent:
    named: ParentVersion
    child: str
    child_name: str
    environment: str
    level: int


class BackWalk:
    """One walk.

    Args:
        client: Who asks.
        request_signer: Tells who signed the request of a promotion; empty for a key that is not pinned.
        depth: How many levels of parents are followed.
    """

    def __init__(
        self,
        client: Lineage,
        request_signer: Callable[[Admission], Awaitable[str]],
        *,
        depth: int,
    ) -> None:
        self._client = client
        self._request_signer = request_signer
        self._depth = depth
        self._graph = GraphBuilder("back")
        self._attempts = Attempts()
        self._parents: deque[_Parent] = deque()
        self._versions = 0

    async def walk(self, reference: Reference) -> LineageGraph:
        """Walk from a reference; what is wrong with the reference itself is raised."""
        resolved = await self._client.resolve(reference)
        root = ""
        if resolved.alias is not None:
            root = nodes.add_alias(self._graph, resolved, await self._last_move(resolved))
            version = await self._place(resolved.reference, resolved.bundle_digest, level=0)
            self._graph.link(root, "points_at", version)
            await self._link_mover(root, resolved)
        else:
            root = await self._place(resolved.reference, resolved.bundle_digest, level=0)
        while self._parents:
            await self._follow(self._parents.popleft())
        return self._graph.finish(root)

    async def _last_move(self, resolved: ResolvedVersion) -> AliasMove | None:
        """Return what the registry tells of the move that the receipt shows."""
        assert resolved.alias is not None
        found = await self._attempts.of(
            resolved.reference.environment,
            partial(self._client.alias_history, resolved.alias.reference, limit=1),
        )
        index = resolved.receipt.receipt.index
        moves = () if isinstance(found, Failure) else found
        return next((each for each in moves if each.log_index == index), None)

    async def _link_mover(self, alias: str, resolved: ResolvedVersion) -> None:
        promotion = str(resolved.receipt.entry.subject.get("promotion", ""))
        if promotion:
            mover, _ = await self._promotion(promotion, resolved)
            self._graph.link(alias, "moved_by", mover)

    async def _place(self, reference: Reference, digest: str, *, level: int) -> str:
        """Add a version of an environment with all behind it, and return its node."""
        known = f"version:{reference}"
        if known in self._graph:
            return known
        if self._versions >= MAX_VERSIONS:
            basis = f"not followed: the lineage has more than {MAX_VERSIONS} versions"
            return nodes.add_missing_version(self._graph, reference, "unreachable", basis, digest=digest)
        self._versions += 1
        found = await self._attempts.of(reference.environment, partial(self._client.resolve, reference))
        if isinstance(found, Failure):
            return nodes.add_missing_version(
                self._graph, reference, found.standing, found.basis, digest=digest
            )
        if found.bundle_digest != digest:
            basis = f"{reference} is the bundle {found.bundle_digest}, and {digest} is what was named"
            return nodes.add_missing_version(self._graph, reference, "contradicted", basis, digest=digest)
        return await self._version(found, level=level)

    async def _version(self, resolved: ResolvedVersion, *, level: int) -> str:
        version = nodes.add_version(self._graph, resolved)
        self._bundle(version, resolved, level=level)
        await self._evidence(version, resolved)
        promotion = str(resolved.receipt.entry.subject.get("promotion", ""))
        source = resolved.version.source
        if promotion:
            brought, shown = await self._promotion(promotion, resolved)
            self._graph.link(version, "brought_by", brought)
            source = shown.source if shown else source
            if source:
                before = Reference(
                    source,
                    resolved.reference.namespace,
                    resolved.reference.model,
                    version=resolved.reference.version,
                )
                earlier = await self._place(before, resolved.bundle_digest, level=level)
                self._graph.link(brought, "came_from", earlier)
        return version

    def _bundle(self, version: str, resolved: ResolvedVersion, *, level: int) -> None:
        known = f"bundle:{resolved.bundle_digest}" in self._graph
        bundle = nodes.add_bundle(self._graph, resolved)
        self._graph.link(version, "holds", bundle)
        if known:
            return
        nodes.add_origins(self._graph, bundle, resolved)
        for parent in resolved.manifest.lineage.parents:
            self._parents.append(
                _Parent(
                    parent,
                    bundle,
                    resolved.manifest.subject_name,
                    resolved.reference.environment,
                    level + 1,
                )
            )

    # --- decision and evidence -----------------------------------------------------------------------------

    async def _evidence(self, version: str, resolved: ResolvedVersion) -> None:
        environment = resolved.reference.environment
        found = await self._attempts.of(environment, partial(self._client.evidence, resolved.reference))
        if isinstance(found, Failure):
            missing = self._graph.add(
                "evidence",
                f"of {resolved.reference}",
                f"evidence in {environment}",
                standing=found.standing,
                basis=found.basis,
            )
            self._graph.link(version, "attested_by", missing)
            return
        decided = resolved.receipt.entry.envelope_digest
        for each in found:
            if each.digest == decided:
                self._graph.link(version, "decided_by", self._decision(resolved, each))
            else:
                self._graph.link(version, "attested_by", nodes.add_evidence(self._graph, each))

    def _decision(self, resolved: ResolvedVersion, evidence: Evidence) -> str:
        """Add the decision that the arrival's entry rests on, verified against the environment's key."""
        environment = resolved.reference.environment
        try:
            decision = checked_decision(
                evidence.envelope,
                self._client.federation.environment(environment),
                resolved.bundle_digest,
                promotion=str(resolved.receipt.entry.subject.get("promotion", "")),
            )
        except CarnetError as error:
            return self._graph.add(
                "decision",
                evidence.digest,
                f"{environment}'s decision",
                standing="contradicted",
                basis=error.message,
            )
        return nodes.add_decision(self._graph, environment, evidence.digest, decision)

    # --- promotions ----------------------------------------------------------------------------------------

    async def _promotion(self, promotion: str, resolved: ResolvedVersion) -> tuple[str, Admission | None]:
        """Add the promotion that brought a version, or moved an alias to it."""
        known = f"promotion:{promotion}"
        if known in self._graph:
            return known, None
        target = resolved.reference.environment
        found = await self._attempts.of(target, partial(self._admission, promotion, resolved))
        if isinstance(found, Failure):
            missing = self._graph.add(
                "promotion",
                promotion,
                f"{resolved.version.source or 'elsewhere'} → {target}",
                standing=found.standing,
                basis=found.basis,
                attributes={"promotion": promotion, "target": target, "source": resolved.version.source},
            )
            return missing, None
        shown, signer = found
        node = nodes.add_promotion(self._graph, shown, request_signer=signer)
        for each in shown.approvals:
            approval = nodes.add_approval(self._graph, each, target=target)
            self._graph.link(node, "judged_by", approval)
        return node, shown

    async def _admission(self, promotion: str, resolved: ResolvedVersion) -> tuple[Admission, str]:
        target = resolved.reference.environment
        shown = await self._client.admission(promotion, target=target)
        if shown.bundle_digest != resolved.bundle_digest:
            raise StatementInvalidError(
                f"the promotion {promotion} is about the bundle {shown.bundle_digest}, and "
                f"{resolved.reference} is {resolved.bundle_digest}"
            )
        return shown, await self._request_signer(shown)

    # --- parents -------------------------------------------------------------------------------------------

    async def _follow(self, parent: _Parent) -> None:
        named = parent.named
        home = Reference(named.home, named.namespace, named.model, version=named.version)
        if parent.level > self._depth and f"version:{home}" not in self._graph:
            basis = (
                f"the manifest of {parent.child_name}; not followed beyond {self._depth} levels of parents"
            )
            node = nodes.add_missing_version(self._graph, home, "stated", basis, digest=named.digest)
        else:
            node = await self._place_parent(home, parent)
        self._graph.link(parent.child, "derived_from", node)

    async def _place_parent(self, home: Reference, parent: _Parent) -> str:
        """Find a parent at its home, or where its child was found if its home cannot be read."""
        digest = parent.named.digest
        here = Reference(parent.environment, home.namespace, home.model, version=home.version)
        if here != home and f"version:{home}" not in self._graph:
            found = await self._attempts.of(home.environment, partial(self._client.resolve, home))
            if isinstance(found, Failure) and found.standing == "unreachable":
                there = await self._attempts.of(here.environment, partial(self._client.resolve, here))
                if isinstance(there, ResolvedVersion) and there.bundle_digest == digest:
                    return await self._place(here, digest, level=parent.level)
        known = f"version:{home}"
        if known in self._graph and self._graph.attribute(known, "digest") != digest:
            basis = (
                f"{home} is the bundle {self._graph.attribute(known, 'digest')}, and "
                f"{parent.child_name} names {digest}"
            )
            return nodes.add_missing_version(self._graph, home, "contradicted", basis, digest=digest)
        return await self._place(home, digest, level=parent.level)
