"""Walking forward: from a dataset or a commit to every version and alias that it reached.

Responsible for asking every environment what states it, for verifying each answer before it is believed, and
for going on to the versions that name those as parents. What a registry does not find is not found here: a
search is what a registry states, and leaving something out cannot be told from not having it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from carnet.client import lineage_nodes as nodes
from carnet.client.lineage_attempts import Attempts, Failure
from carnet.errors import NotFoundError
from carnet.lineage.graph import GraphBuilder
from carnet.lineage.origins import descendants_query
from carnet.references import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.client.lineage import Lineage
    from carnet.client.results import FoundVersion, ResolvedVersion
    from carnet.lineage.graph import LineageGraph
    from carnet.lineage.origins import Origin

MAX_VERSIONS: Final = 1000
_PARENTS_A_QUERY: Final = 15


class ForwardWalk:
    """One walk.

    Args:
        client: Who asks.
        environments: Whom to ask.
        depth: How many levels of descendants are followed.
    """

    def __init__(self, client: Lineage, environments: Iterable[str], *, depth: int) -> None:
        self._client = client
        self._environments = tuple(environments)
        self._depth = depth
        self._graph = GraphBuilder("forward")
        self._attempts = Attempts()
        self._holders: dict[str, str] = {}
        self._versions = 0

    async def walk(self, origin: Origin) -> LineageGraph:
        """Walk from an origin."""
        root = self._graph.add(
            origin.kind,
            origin.key,
            origin.label,
            standing="stated",
            basis="what was asked about",
            attributes={"name": origin.dataset, "digest": origin.digest, "commit": origin.commit},
        )
        level: list[str] = []
        for environment in self._environments:
            for found in await self._search(environment, origin.query, root):
                resolved = await self._verified(found, root)
                if resolved is not None and origin.is_stated_by(resolved.manifest):
                    bundle = await self._add(found, resolved, level)
                    self._graph.link(bundle, origin.relation, root)
        for _ in range(self._depth):
            if not level:
                break
            level = await self._descendants(level, root)
        return self._graph.finish(root)

    async def _descendants(self, digests: list[str], root: str) -> list[str]:
        """Add the versions that name one of these bundles as a parent; return the bundles that are new."""
        level: list[str] = []
        for start in range(0, len(digests), _PARENTS_A_QUERY):
            some = digests[start : start + _PARENTS_A_QUERY]
            for environment in self._environments:
                for found in await self._search(environment, descendants_query(some), root):
                    resolved = await self._verified(found, root)
                    if resolved is None:
                        continue
                    named = {parent.digest for parent in resolved.manifest.lineage.parents}
                    parents = [digest for digest in some if digest in named]
                    if parents:
                        bundle = await self._add(found, resolved, level)
                        for digest in parents:
                            self._graph.link(bundle, "derived_from", self._holders[digest])
        return level

    async def _search(self, environment: str, query: str, root: str) -> list[FoundVersion]:
        async def read() -> list[FoundVersion]:
            pages = self._client.search(environment, query, limit=MAX_VERSIONS + 1)
            return [each async for each in pages]

        found = await self._attempts.of(environment, read)
        if isinstance(found, Failure):
            missing = self._graph.add(
                "environment",
                environment,
                environment,
                standing=found.standing,
                basis=found.basis,
                attributes={"environment": environment},
            )
            self._graph.link(missing, "may_hold", root)
            return []
        return found

    async def _verified(self, found: FoundVersion, root: str) -> ResolvedVersion | None:
        """Read a version that was found, verified; what cannot be is a node below the root."""
        reference = found.version.reference
        if self._versions >= MAX_VERSIONS:
            basis = f"not followed: there are more than {MAX_VERSIONS} versions"
            missing = nodes.add_missing_version(self._graph, reference, "unreachable", basis)
            self._graph.link(missing, "may_hold", root)
            return None
        self._versions += 1
        resolved = await self._attempts.of(reference.environment, partial(self._client.resolve, reference))
        if isinstance(resolved, Failure):
            missing = nodes.add_missing_version(
                self._graph,
                reference,
                resolved.standing,
                resolved.basis,
                digest=found.version.bundle_digest,
            )
            self._graph.link(missing, "may_hold", root)
            return None
        return resolved

    async def _add(self, found: FoundVersion, resolved: ResolvedVersion, level: list[str]) -> str:
        """Add a version with its bundle and its aliases; return the bundle's node."""
        bundle = f"bundle:{resolved.bundle_digest}"
        if bundle not in self._graph:
            nodes.add_bundle(self._graph, resolved)
            level.append(resolved.bundle_digest)
        version = nodes.add_version(self._graph, resolved)
        self._graph.link(version, "holds", bundle)
        if resolved.reference.environment == resolved.manifest.home:
            self._holders[resolved.bundle_digest] = version
        self._holders.setdefault(resolved.bundle_digest, version)
        for name in found.aliases:
            await self._add_alias(name, resolved, version)
        return bundle

    async def _add_alias(self, name: str, resolved: ResolvedVersion, version: str) -> None:
        """Add an alias that still points at a version, as the receipt of its last move says."""
        where = resolved.reference
        reference = Reference(where.environment, where.namespace, where.model, alias=name)
        if f"alias:{reference}" in self._graph:
            return

        async def read() -> ResolvedVersion | None:
            try:
                return await self._client.resolve(reference)
            except NotFoundError:
                return None

        pointed = await self._attempts.of(where.environment, read)
        if isinstance(pointed, Failure):
            missing = self._graph.add(
                "alias", str(reference), str(reference), standing=pointed.standing, basis=pointed.basis
            )
            self._graph.link(missing, "points_at", version)
        elif pointed is not None and pointed.reference == resolved.reference:
            self._graph.link(nodes.add_alias(self._graph, pointed, None), "points_at", version)
