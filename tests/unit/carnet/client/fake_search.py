"""A search in memory for ``fake_environment``: equal texts under AND and OR, and a pattern's beginning."""

# ruff: noqa: N802  the contract's names

from __future__ import annotations

import re

from carnet.registry.v1 import search_pb2, search_pb2_grpc

_TERM = re.compile(r'([a-z_.]+) = "((?:[^"\\]|\\.)*)"')


class FakeSearch(search_pb2_grpc.SearchServiceServicer):
    """Finds what an environment has; ``here`` is a ``FakeEnvironment``."""

    def __init__(self, environment) -> None:
        self.here = environment

    def SearchVersions(self, request, context):
        """One version a page, so that paging is used."""
        found = [each for each in self.here.versions.values() if _holds(each.manifest, request.filter)]
        at = int(request.page_token or 0)
        return search_pb2.SearchVersionsResponse(
            results=[self._found(each) for each in found[at : at + 1]],
            next_page_token=str(at + 1) if at + 1 < len(found) else "",
        )

    def _found(self, version):
        manifest = version.manifest
        model = f"namespaces/{manifest.namespace}/models/{manifest.model}/aliases/"
        return search_pb2.FoundVersion(
            version=self.here.version_message(version),
            labels=manifest.labels,
            metrics={metric.key: metric.value for metric in manifest.metrics},
            aliases=[
                name.removeprefix(model)
                for name, alias in self.here.aliases.items()
                if name.startswith(model) and alias.version == manifest.version
            ],
        )


def _holds(manifest, query: str) -> bool:
    return all(
        any(_term_holds(manifest, *_TERM.fullmatch(term).groups()) for term in part.split(" OR "))
        for part in query.split(" AND ")
        if part
    )


def _term_holds(manifest, field: str, text: str) -> bool:
    lineage = manifest.lineage
    values = {
        "model": [manifest.model],
        "lineage.code.commit": [lineage.code.commit] if lineage.code else [],
        "lineage.datasets.name": [each.name for each in lineage.datasets],
        "lineage.datasets.digest": [each.digest for each in lineage.datasets],
        "lineage.parents.digest": [each.digest for each in lineage.parents],
    }[field]
    if text.endswith("*") and not text.endswith("\\*"):
        return any(value.startswith(text[:-1]) for value in values)
    return re.sub(r"\\(.)", r"\1", text) in values
