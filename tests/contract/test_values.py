"""Values and orders in which databases differ: every combination refuses the same, and gives the same order."""

from __future__ import annotations

import base64
import json
from functools import partial

import pytest

from carnet.errors import CarnetError, InvalidInputError
from carnet.references import ResourceName
from tests.support.registry import OPERATOR, Registry, make_version

ON_BOTH = pytest.mark.parametrize("storage", ["sqlite-directory", "postgresql-directory"], indirect=True)
pytestmark = ON_BOTH
CHALLENGER = ResourceName("risk", "fraud", alias="challenger")
# In other languages '_' comes before '-', and both before digits.
NAMES = [
    *("a-b", "a_b", "ab", "a-b-c", "a-1", "a1", "a10", "a2", "a_1", "b", "aa", "a", "z9", "z-9", "z_9"),
    "zz",
]
TEXTS = {"NUL": "a\0b", "a surrogate": "a\ud800b", "a control character": "a\x1bb"}
# A person's words are kept in a document's bytes, whatever they are, unless no bytes can be made of them.
WORDS = {"note", "reason"}


@pytest.fixture
async def begun(tmp_path, storage):
    """A registry that has a version."""
    registry = Registry(tmp_path, storage=storage)
    await registry.start()
    await registry.add_version(1)
    yield registry
    registry.stop()


def say(registry, place, text):
    """Bring a text in at a place."""
    operator, version = registry.caller(OPERATOR), ResourceName("risk", "fraud", 1)
    alias = {"expected_revision": None, "note": "", "request_id": ""}
    if place in ("note", "request_id"):
        return registry.aliases.set_alias(operator, CHALLENGER, 1, **alias | {place: text})
    if place == "reason code":
        return registry.aliases.roll_back(
            operator, CHALLENGER, version=0, reason_code=text, note="", request_id=""
        )
    if place == "reason":
        return registry.models.revoke(operator, version, text)
    if place == "bundle digest":
        return registry.evidence.list_page(version, text, page_size=0, page_token="")
    if place == "page token":
        return registry.models.list_models(operator, "risk", page_size=0, page_token=text)
    value = {"tier": text} if place == "labels" else text
    return registry.publish(make_version(2)[0].model_copy(update={place: value}))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    "place",
    [
        *("note", "reason", "reason code", "description", "owner", "labels", "bundle digest"),
        *("page token", "request_id"),
    ],
)
async def test_texts_that_not_every_database_keeps_are_treated_the_same_by_all(begun, place, text):
    size = begun.log.size
    if place in WORDS and "\ud800" not in text:
        await say(begun, place, text)
        # An alias that comes to a version puts it into another stage, which is an entry of its own.
        assert begun.log.size == size + (2 if place == "note" else 1)
        return
    with pytest.raises(InvalidInputError):
        await say(begun, place, text)
    assert begun.log.size == size


@pytest.mark.parametrize("position", [["a\ud800", "b"], ["a", 1], ["a"], [2**63, "b"], [None, "b"]])
async def test_a_page_token_that_was_made_up_is_refused(begun, position):
    await begun.add_version(1, model="other")
    operator = begun.caller(OPERATOR)
    _, token = await begun.models.list_models(operator, "risk", page_size=1, page_token="")
    bound = json.loads(base64.urlsafe_b64decode(token))[0]
    forged = base64.urlsafe_b64encode(json.dumps([bound, *position]).encode()).decode()
    with pytest.raises(InvalidInputError):
        await begun.models.list_models(operator, "risk", page_size=1, page_token=forged)


@pytest.mark.parametrize("number", [2**31, 2**63 - 1, 2**63, 2**64, 10**30])
async def test_numbers_beyond_what_databases_keep_are_refused_and_found_nowhere(begun, number):
    manifest, _ = make_version(1)
    size = begun.log.size
    data = manifest.to_bytes().replace(b'"version":1', b'"version":%d' % number)
    with pytest.raises(CarnetError):
        await begun.publish(manifest, data=data)
    stated = b'"size_bytes":%d' % manifest.files[0].size_bytes
    assert stated in manifest.to_bytes()
    with pytest.raises(CarnetError):
        await begun.publish(manifest, data=manifest.to_bytes().replace(stated, b'"size_bytes":%d' % number))
    assert begun.log.size == size
    for name in (ResourceName("risk", "fraud", number), ResourceName("risk", "fraud", 7)):
        with pytest.raises(CarnetError):
            await begun.models.get_version(name)


# --- order ----------------------------------------------------------------------------------------------------


async def pages(query):
    """Everything that a query gives, in pages of three."""
    found, token = [], ""
    while True:
        page, token = await query(page_size=3, page_token=token)
        assert 0 < len(page) <= 3
        found += page
        if not token:
            return found


async def test_models_are_listed_in_the_order_of_their_bytes_each_once(begun):
    for name in NAMES:
        await begun.add_version(1, model=name)
    listed = await pages(partial(begun.models.list_models, begun.caller(OPERATOR), "risk"))
    assert [model.model for model in listed] == sorted([*NAMES, "fraud"])


async def test_namespaces_come_before_models_in_that_order(begun):
    for name in NAMES[:6]:
        await begun.add_version(1, namespace=name, model="b")
        await begun.add_version(1, namespace=name, model="a-1")
    listed = await pages(partial(begun.models.list_models, begun.caller(OPERATOR), ""))
    names = [(model.namespace, model.model) for model in listed]
    assert names == sorted(names)
    assert len(set(names)) == len(names) == 13


async def test_aliases_are_listed_in_the_order_of_their_bytes_each_once(begun):
    for name in NAMES:
        alias = ResourceName("risk", "fraud", alias=name)
        await begun.aliases.set_alias(
            begun.caller(OPERATOR), alias, 1, expected_revision=None, note="", request_id=""
        )
    listed = await pages(partial(begun.aliases.list_page, ResourceName("risk", "fraud")))
    assert [alias.alias for alias in listed] == sorted(NAMES)
