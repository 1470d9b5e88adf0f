"""What a semantic version promises, as a registry keeps it: at publication, in one transaction's basis."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from carnet.errors import AlreadyExistsError, ConflictError, ContractBrokenError
from carnet.references import ResourceName
from carnet_server.models import basis
from carnet_server.models.arrival import register_version
from carnet_server.models.domain import Arrival
from tests.support.registry import CI, FRAUD, OPERATOR, Registry, make_version

AMOUNT = {"name": "amount", "type": "float64"}
COUNTRY = {"name": "country", "type": "string", "nullable": True}


@pytest.fixture
async def registry(tmp_path, storage):
    registry = Registry(tmp_path, storage=storage)
    await registry.start()
    yield registry
    registry.stop()


async def publish(registry, number, semantic_version, inputs=(AMOUNT,), **options):
    manifest, contents = make_version(
        number, semantic_version=semantic_version, feature_schema={"inputs": list(inputs), "outputs": []}
    )
    await registry.give_blobs(manifest, contents)
    return await registry.publish(manifest, **options)


async def test_a_series_that_keeps_its_contract_is_published_and_listed(registry):
    await publish(registry, 1, "1.0.0")
    await publish(registry, 2, "1.0.1")
    await publish(registry, 3, "1.1.0", (AMOUNT, COUNTRY))
    await publish(registry, 4, "2.0.0", (COUNTRY,))
    await publish(registry, 5, "", ())
    await publish(registry, 6, "", (AMOUNT,))
    await publish(registry, 7, "1.1.1", (AMOUNT, COUNTRY))

    listed, _ = await registry.models.list_versions(FRAUD, page_size=0, page_token="")

    assert [version.semantic_version for version in reversed(listed)] == [
        "1.0.0",
        "1.0.1",
        "1.1.0",
        "2.0.0",
        None,
        None,
        "1.1.1",
    ]


@pytest.mark.parametrize(
    ("stated", "inputs", "field", "right"),
    [
        ("1.0.1", (AMOUNT, COUNTRY), "feature_schema.inputs.country", "1.1.0"),
        ("1.1.0", (COUNTRY,), "feature_schema.inputs.amount", "2.0.0"),
        ("1.0.0-rc.1", (AMOUNT,), "semantic_version", "1.0.1"),
    ],
)
@pytest.mark.parametrize("validate_only", [False, True])
async def test_what_breaks_a_promise_is_refused_with_its_field_and_the_right_number(
    registry, stated, inputs, field, right, validate_only
):
    await publish(registry, 1, "1.0.0")

    with pytest.raises(ContractBrokenError, match=f"semantic_version: {right}") as caught:
        await publish(registry, 2, stated, inputs, validate_only=validate_only)

    assert caught.value.metadata == {
        "field": field,
        "subject": "dev/risk/fraud@2",
        "semanticVersion": stated,
        "nextSemanticVersion": right,
    }
    assert await registry.count("versions") == 1
    await publish(registry, 2, right, inputs)


async def test_a_number_is_taken_once_also_by_what_is_revoked(registry):
    await publish(registry, 1, "1.0.0")
    await registry.models.revoke(registry.caller(OPERATOR), ResourceName("risk", "fraud", 1), "leaks")

    with pytest.raises(AlreadyExistsError, match="taken by version 1") as caught:
        await publish(registry, 2, "1.0.0", (COUNTRY,))
    assert caught.value.metadata["nextSemanticVersion"] == "1.0.1"
    await publish(registry, 2, "1.0.1", (COUNTRY,))


async def test_of_two_publications_at_once_the_second_is_judged_against_the_first(registry):
    await publish(registry, 1, "1.0.0")
    first, contents = make_version(2, semantic_version="1.1.0", feature_schema={"inputs": [AMOUNT]})
    second, other = make_version(3, semantic_version="1.1.0", feature_schema={"inputs": [AMOUNT]})
    await registry.give_blobs(first, contents)
    await registry.give_blobs(second, other)

    outcomes = await asyncio.gather(registry.publish(first), registry.publish(second), return_exceptions=True)

    assert not isinstance(outcomes[0], BaseException)
    assert isinstance(outcomes[1], ConflictError | AlreadyExistsError)
    assert await registry.count("versions") == 2


async def test_a_version_is_judged_anew_when_its_model_moved_before_the_commit(registry, monkeypatch):
    await publish(registry, 1, "1.0.0")
    await publish(registry, 2, "1.1.0", (AMOUNT, COUNTRY))
    judged, judge = [], basis.require_contract
    evaluate, loop = registry.engine.evaluate, asyncio.get_running_loop()

    def count(connection, manifest):
        judged.append(manifest.version)
        judge(connection, manifest)

    def withdraw_first(*arguments):
        if len(judged) == 1:
            revoking = registry.models.revoke(
                registry.caller(OPERATOR), ResourceName("risk", "fraud", 2), "leaks"
            )
            asyncio.run_coroutine_threadsafe(revoking, loop).result()
        return evaluate(*arguments)

    monkeypatch.setattr(basis, "require_contract", count)
    monkeypatch.setattr(registry.engine, "evaluate", withdraw_first)
    await publish(registry, 3, "1.1.1", (AMOUNT, COUNTRY))

    assert judged == [3, 3]


async def test_what_was_judged_at_its_home_is_admitted_only_under_a_number_that_is_free(registry):
    await publish(registry, 1, "1.0.0")
    manifest, contents = make_version(7, semantic_version="1.0.0")
    await registry.give_blobs(manifest, contents)
    arrival = Arrival.of(manifest, b"{}", publisher=CI, publisher_key_id="0" * 64, source="dev")

    with pytest.raises(AlreadyExistsError, match="is that of version 1"):
        await registry.writer.commit(
            lambda tx: register_version(
                tx, arrival, actor=registry.caller(CI).actor, decision_digest="0" * 64
            )
        )


async def test_the_database_itself_keeps_a_semantic_version_unique_in_its_model(registry):
    await publish(registry, 1, "1.0.0")
    versions = SQLModel.metadata.tables["versions"]
    row = (
        await registry.database.read(lambda connection: connection.execute(versions.select()).one())
    )._mapping

    with registry.database.writer_engine.connect() as connection:
        again = dict(row) | {"version": 2, "bundle_digest": "0" * 64}
        with pytest.raises(IntegrityError):
            connection.execute(insert(versions), again)
        connection.rollback()
        connection.execute(insert(versions), again | {"semantic_version": None})
        connection.execute(
            insert(versions), again | {"semantic_version": None, "version": 3, "bundle_digest": "1" * 64}
        )
        connection.rollback()
