"""SearchService: messages in, messages out."""

from __future__ import annotations

import pytest

from carnet.errors import InvalidInputError, ReferenceInvalidError
from carnet.registry.v1 import search_pb2 as pb
from carnet_server.access.scope import enter_scope
from carnet_server.search.service import SearchService
from carnet_server.search.servicer import SearchServicer
from tests.support.registry import OPERATOR, READER, Registry, make_version


@pytest.fixture
async def registry(tmp_path):
    registry = Registry(tmp_path)
    await registry.start()
    yield registry
    registry.stop()


@pytest.fixture
async def servicer(registry):
    for number, value in ((1, 0.9), (2, 0.95)):
        metric = {"name": "roc_auc", "value": value, "direction": "higher_is_better"}
        manifest, contents = make_version(number, labels={"region": "eu"}, metrics=(metric,))
        await registry.give_blobs(manifest, contents)
        await registry.publish(manifest)
    return SearchServicer(SearchService(registry.database))


async def test_versions_are_found_with_what_lists_say_of_them(registry, servicer):
    enter_scope(registry.caller(READER))
    request = pb.SearchVersionsRequest(
        parent="namespaces/-", filter="metrics.roc_auc > 0.9", order_by="version", page_size=5
    )
    answer = await servicer.SearchVersions(request, None)
    (found,) = answer.results
    assert (found.version.name, found.version.version) == ("namespaces/risk/models/fraud/versions/2", 2)
    assert not found.version.canonical_manifest
    assert dict(found.labels) == {"region": "eu"}
    assert dict(found.metrics) == {"roc_auc": 0.95}
    assert (list(found.aliases), answer.next_page_token) == ([], "")


async def test_pages_go_on_where_they_ended(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    request = pb.SearchVersionsRequest(parent="namespaces/risk/models/fraud", page_size=1)
    first = await servicer.SearchVersions(request, None)
    request.page_token = first.next_page_token
    second = await servicer.SearchVersions(request, None)
    assert [each.version.version for page in (first, second) for each in page.results] == [2, 1]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"parent": ""}, ReferenceInvalidError, "parent"),
        ({"parent": "namespaces/risk/models/fraud/versions/1"}, ReferenceInvalidError, "parent"),
        ({"filter": "stage = "}, InvalidInputError, "filter"),
        ({"filter": " AND ".join(["a = 1"] * 10_000)}, InvalidInputError, "filter"),
        ({"order_by": "aliases"}, InvalidInputError, "order_by"),
        ({"page_size": -1}, InvalidInputError, "page_size"),
        ({"page_token": "x"}, InvalidInputError, "page_token"),
    ],
)
async def test_what_is_malformed_is_refused_with_its_field(registry, servicer, fields, error, field):
    enter_scope(registry.caller(OPERATOR))
    request = pb.SearchVersionsRequest(**({"parent": "namespaces/-"} | fields))
    with pytest.raises(error) as caught:
        await servicer.SearchVersions(request, None)
    assert caught.value.metadata["field"] == field
