"""Models, versions, aliases and evidence as one registry keeps them: services over a real database and log."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import (
    AlreadyExistsError,
    BlobsMissingError,
    ConflictError,
    GateAwaitingError,
    GateRefusedError,
    NotFoundError,
    PreconditionFailedError,
)
from carnet.references import ResourceName
from carnet.signing.decision import Decision
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.statement import parse_statement, sign_statement
from carnet.translog.receipt import verify_receipt
from carnet_server.blobs.queries import remove_possession
from carnet_server.evidence.believed import trusted_attestations
from carnet_server.evidence.queries import read_all_evidence
from carnet_server.log.revisions import bundle_scope, model_scope, read_revisions
from carnet_server.models.domain import Stage
from carnet_server.models.queries import names_blob
from tests.support.registry import (
    CI,
    EVALUATOR,
    FRAUD,
    OPERATOR,
    READER,
    SYNC,
    Registry,
    make_test_result,
    make_version,
)
from tests.support.storage import ALL_FOUR

CHAMPION = ResourceName("risk", "fraud", alias="champion")


def version_name(number):
    return ResourceName("risk", "fraud", number)


@pytest.fixture
async def registry(tmp_path, storage):
    registry = Registry(tmp_path, storage=storage)
    await registry.start()
    yield registry
    registry.stop()


async def set_champion(registry, version, **options):
    asked = {"expected_revision": None, "note": "", "request_id": ""} | options
    return await registry.aliases.set_alias(registry.caller(OPERATOR), CHAMPION, version, **asked)


async def roll_back(registry, **options):
    asked = {"version": 0, "reason_code": "metric-degradation", "note": "", "request_id": ""} | options
    return await registry.aliases.roll_back(registry.caller(OPERATOR), CHAMPION, **asked)


# --- publishing -------------------------------------------------------------------------------------------


@ALL_FOUR
async def test_a_published_version_is_readable_whole_and_its_receipt_verifies(registry):
    manifest, contents = make_version(1, description="Scores payments.")
    await registry.give_blobs(manifest, contents)
    done = await registry.publish(manifest)
    assert not done.already_published
    version = await registry.models.get_version(version_name(1))
    assert version == done.version
    assert (version.bundle_digest, version.manifest) == (manifest.digest, manifest.to_bytes())
    assert (version.publisher, version.stage, version.owner) == (CI, Stage.REGISTERED, "risk-team")
    entry = verify_receipt(done.receipt, registry.state.log_key.verifier)
    assert entry.type == "version.published"
    assert entry.subject == {
        "namespace": "risk",
        "model": "fraud",
        "version": 1,
        "bundle_digest": manifest.digest,
    }
    assert await registry.entries() == ["decision.made", "version.published"]


async def test_publishing_leaves_a_signed_decision_in_log_documents_and_evidence(registry):
    manifest = await registry.add_version(1)
    (held,) = await registry.database.read(lambda c: read_all_evidence(c, "risk", manifest.digest))
    key = registry.state.signing_key.verification_key
    envelope = parse_envelope(held.envelope)
    assert verify_envelope(envelope, {key.key_id: key}) == key.key_id
    decision = Decision.parse(parse_statement(envelope))
    assert decision.passed
    assert decision.environment == "dev"
    assert decision.policy.digest.sha256 == registry.state.policy.digest
    assert [rule.rule for rule in decision.rules] == ["source", "signature", "metadata"]
    assert await registry.log.document(held.digest) == held.envelope
    version = await registry.models.get_version(version_name(1))
    assert (held.log_index, held.trusted) == (version.log_index - 1, True)


async def test_a_second_identical_publication_succeeds_and_changes_nothing(registry):
    manifest = await registry.add_version(1)
    size = registry.log.size
    again = await registry.publish(manifest)
    assert again.already_published
    assert verify_receipt(again.receipt, registry.state.log_key.verifier).subject["version"] == 1
    assert registry.log.size == size


async def test_concurrent_identical_publications_make_one_version(registry):
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    done = await asyncio.gather(*(registry.publish(manifest) for _ in range(8)))
    assert sorted(each.already_published for each in done) == [False] + [True] * 7
    assert await registry.entries() == ["decision.made", "version.published"]


async def test_of_concurrent_publications_under_one_number_one_wins(registry):
    rivals = [make_version(1, description=f"rival {i}") for i in range(6)]
    for manifest, contents in rivals:
        await registry.give_blobs(manifest, contents)
    done = await asyncio.gather(
        *(registry.publish(manifest) for manifest, _ in rivals), return_exceptions=True
    )
    lost = [each for each in done if isinstance(each, Exception)]
    assert len(lost) == 5
    assert {type(each) for each in lost} == {AlreadyExistsError}
    assert await registry.count("versions") == 1
    assert await registry.entries() == ["decision.made", "version.published"]


async def test_a_number_that_is_taken_by_another_bundle_tells_both_digests(registry):
    first = await registry.add_version(1)
    other, contents = make_version(1, description="another")
    await registry.give_blobs(other, contents)
    with pytest.raises(AlreadyExistsError) as raised:
        await registry.publish(other)
    assert raised.value.metadata == {"existingDigest": first.digest, "givenDigest": other.digest}


@pytest.mark.parametrize("number", [2, 7])
async def test_a_number_that_is_not_the_next_says_which_is(registry, number):
    manifest, contents = make_version(number)
    await registry.give_blobs(manifest, contents)
    with pytest.raises(ConflictError, match="the next number is 1") as raised:
        await registry.publish(manifest)
    assert raised.value.metadata == {"nextVersion": "1"}
    assert await registry.count("models") == 0


@ALL_FOUR
async def test_blobs_that_the_namespace_was_not_given_are_named_and_nothing_is_stored(registry):
    manifest, _ = make_version(1)
    with pytest.raises(BlobsMissingError) as raised:
        await registry.publish(manifest)
    assert raised.value.metadata["digests"] == manifest.files[0].digest
    other, contents = make_version(1, namespace="ads")
    await registry.give_blobs(other, contents)
    with pytest.raises(BlobsMissingError):
        await registry.publish(manifest.model_copy(update={"files": other.files}))
    assert await registry.entries() == []


async def test_blobs_are_looked_for_before_the_policy_is_asked(registry):
    manifest, _ = make_version(1)
    with pytest.raises(BlobsMissingError):
        await registry.publish(manifest.model_copy(update={"owner": ""}))
    assert await registry.entries() == []


@ALL_FOUR
async def test_a_blob_that_is_collected_before_the_commit_stops_it(registry, monkeypatch):
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    loop, evaluate = asyncio.get_running_loop(), registry.engine.evaluate

    def evaluate_and_collect(policy, facts):
        digest = manifest.files[0].digest
        later = datetime.now(UTC) + timedelta(days=2)
        change = registry.writer.commit(
            lambda tx: remove_possession(tx.connection, "risk", digest, before=later, now=later)
        )
        asyncio.run_coroutine_threadsafe(change, loop).result(10)
        return evaluate(policy, facts)

    monkeypatch.setattr(registry.engine, "evaluate", evaluate_and_collect)
    with pytest.raises(BlobsMissingError):
        await registry.publish(manifest)
    assert await registry.entries() == []
    assert await registry.count("models") == await registry.count("versions") == 0


async def test_a_refused_publication_is_a_signed_decision_and_names_the_rule(registry):
    manifest, contents = make_version(1)
    manifest = manifest.model_copy(update={"owner": ""})
    await registry.give_blobs(manifest, contents)
    with pytest.raises(
        GateRefusedError, match=r"rule metadata: the manifest lacks owner\. Fill in owner"
    ) as e:
        await registry.publish(manifest)
    assert e.value.metadata["rules"] == "metadata"
    assert await registry.entries() == ["decision.made"]
    receipt = await registry.log.receipt(registry.log.size - 1)
    entry = verify_receipt(receipt, registry.state.log_key.verifier)
    assert entry.new == "FAILED"
    statement = parse_statement(parse_envelope(await registry.log.document(entry.envelope_digest)))
    assert not Decision.parse(statement).passed
    assert statement.subject_digest == manifest.digest
    assert await registry.count("versions") == await registry.count("evidence") == 0


async def test_an_environment_that_takes_no_publications_refuses_them_by_its_policy(registry):
    registry.set_policy(publishing=False, sources=["staging"])
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    with pytest.raises(GateRefusedError, match="rule source: dev takes no publications"):
        await registry.publish(manifest)


async def test_validating_only_stores_nothing_whatever_the_outcome(registry):
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    done = await registry.publish(manifest, validate_only=True)
    assert (done.receipt, done.already_published, done.version.version) == (None, False, 1)
    lacking = manifest.model_copy(update={"owner": ""})
    with pytest.raises(GateRefusedError):
        await registry.publish(lacking, validate_only=True)
    assert await registry.entries() == []
    assert await registry.count("documents") == 2  # policy and trust


async def test_a_policy_that_demands_evidence_awaits_it_and_then_looks_at_what_was_added(registry):
    demand = {
        "rule": "smoke",
        "type": "https://in-toto.io/attestation/test-result/v0.1",
        "suite": "smoke",
        "signers": ["evaluator"],
    }
    registry.set_policy(evidence=[demand])
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    with pytest.raises(GateAwaitingError, match="rule smoke"):
        await registry.publish(manifest)
    assert await registry.entries() == []
    envelope = make_test_result(manifest, registry.evaluator, suite="smoke")
    await registry.evidence.add(registry.caller(EVALUATOR), version_name(1), envelope.to_bytes())
    await registry.publish(manifest)
    held = await registry.database.read(lambda c: read_all_evidence(c, "risk", manifest.digest))
    decision = Decision.parse(parse_statement(parse_envelope(held[-1].envelope)))
    assert [each.digest.sha256 for each in decision.input_attestations] == [envelope.digest]


async def test_facts_that_move_between_evaluation_and_commit_are_evaluated_again(registry, monkeypatch):
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    loop, evaluations = asyncio.get_running_loop(), []
    evaluate = registry.engine.evaluate

    def evaluate_and_move(policy, facts):
        evaluations.append(len(facts.evidence))
        if len(evaluations) == 1:
            envelope = make_test_result(manifest, registry.evaluator).to_bytes()
            adding = registry.evidence.add(registry.caller(EVALUATOR), version_name(1), envelope)
            asyncio.run_coroutine_threadsafe(adding, loop).result(10)
        return evaluate(policy, facts)

    monkeypatch.setattr(registry.engine, "evaluate", evaluate_and_move)
    await registry.publish(manifest)
    assert evaluations == [0, 1]


async def test_facts_that_keep_moving_end_in_a_conflict_and_nothing_is_published(registry, monkeypatch):
    manifest, contents = make_version(1)
    await registry.give_blobs(manifest, contents)
    loop = asyncio.get_running_loop()
    evaluate = registry.engine.evaluate

    def evaluate_and_move(policy, facts):
        change = registry.writer.commit(lambda tx: tx.touch(bundle_scope(manifest.digest)))
        asyncio.run_coroutine_threadsafe(change, loop).result(10)
        return evaluate(policy, facts)

    monkeypatch.setattr(registry.engine, "evaluate", evaluate_and_move)
    with pytest.raises(ConflictError, match="changed 5 times"):
        await registry.publish(manifest)
    assert await registry.entries() == []


async def test_proposals_count_on_and_recognise_published_content(registry):
    manifest, contents = make_version(1)
    propose = registry.models.propose_version
    assert (await propose(FRAUD, manifest.content_digest)).version == 1
    await registry.give_blobs(manifest, contents)
    await registry.publish(manifest)
    known = await propose(FRAUD, manifest.content_digest)
    assert (known.version, known.published) == (1, True)
    new = await propose(FRAUD, sha256_hex(b"other"))
    assert (new.version, new.published) == (2, False)


# --- reading ----------------------------------------------------------------------------------------------


async def test_models_are_listed_in_pages_with_their_aliases_and_newest_owner(registry):
    for model in ("fraud", "churn", "score"):
        await registry.add_version(1, model=model)
    await registry.add_version(2)
    await set_champion(registry, 1)
    caller, seen, token = registry.caller(READER), [], ""
    while True:
        page, token = await registry.models.list_models(caller, "risk", page_size=2, page_token=token)
        seen += page
        if not token:
            break
    assert [model.model for model in seen] == ["churn", "fraud", "score"]
    assert (seen[1].latest_version, seen[1].version_count, seen[1].owner) == (2, 2, "risk-team")
    assert [(alias.alias, alias.version) for alias in seen[1].aliases] == [("champion", 1)]
    assert seen[1] == await registry.models.get_model(FRAUD)


async def test_all_namespaces_means_those_that_the_caller_may_read(registry):
    await registry.add_version(1)
    await registry.add_version(1, namespace="ads")

    async def listed(subject):
        page, _ = await registry.models.list_models(registry.caller(subject), "", page_size=0, page_token="")
        return [model.namespace for model in page]

    assert await listed(CI) == ["ads", "risk"]
    assert await listed(READER) == ["risk"]
    assert await listed("spiffe://carnet.test/nobody") == []


async def test_versions_are_listed_newest_first_without_their_bytes(registry):
    for number in (1, 2, 3):
        await registry.add_version(number)
    first, token = await registry.models.list_versions(FRAUD, page_size=2, page_token="")
    rest, end = await registry.models.list_versions(FRAUD, page_size=2, page_token=token)
    assert [version.version for version in first + rest] == [3, 2, 1]
    assert end == ""
    assert all(version.manifest == version.signature == b"" for version in first)


async def test_only_files_of_a_version_give_a_right_to_a_blob_and_only_in_its_namespace(registry):
    manifest = await registry.add_version(1)
    digest = manifest.files[0].digest
    named = [
        await registry.database.read(lambda c, n=namespace, d=wanted: names_blob(c, n, d))
        for namespace, wanted in (("risk", digest), ("ads", digest), ("risk", "0" * 64))
    ]
    assert named == [True, False, False]


async def test_what_is_not_there_is_not_found(registry):
    await registry.add_version(1)
    nothing = ResourceName("risk", "nothing")
    for call in (
        registry.models.get_model(nothing),
        registry.models.get_version(version_name(9)),
        registry.models.list_versions(nothing, page_size=0, page_token=""),
        registry.models.resolve(version_name(9)),
        registry.models.resolve(CHAMPION),
        registry.models.revoke(registry.caller(OPERATOR), version_name(9), "bad data"),
        registry.aliases.get(CHAMPION),
        registry.aliases.list_page(nothing, page_size=0, page_token=""),
        registry.aliases.list_moves(CHAMPION, page_size=0, page_token=""),
        set_champion(registry, 9),
        roll_back(registry),
        registry.evidence.list_page(version_name(9), "", page_size=0, page_token=""),
    ):
        with pytest.raises(NotFoundError):
            await call


# --- revoking ---------------------------------------------------------------------------------------------


async def test_a_revoked_version_says_so_resolves_and_takes_no_alias(registry):
    manifest = await registry.add_version(1)
    scopes = [bundle_scope(manifest.digest), model_scope("risk", "fraud")]
    before = await registry.database.read(lambda c: read_revisions(c, scopes))
    done = await registry.models.revoke(
        registry.caller(OPERATOR), version_name(1), "trained on leaked labels"
    )
    entry = verify_receipt(done.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.new) == ("version.revoked", "revoked")
    assert b"leaked" not in done.receipt.entry_bytes
    assert b"leaked" in await registry.log.document(entry.envelope_digest)
    assert (await registry.models.resolve(version_name(1))).version.stage is Stage.REVOKED
    with pytest.raises(PreconditionFailedError, match="is revoked"):
        await set_champion(registry, 1)
    after = await registry.database.read(lambda c: read_revisions(c, scopes))
    assert all(after[scope] > before[scope] for scope in scopes)


async def test_revoking_again_gives_the_first_receipt_and_changes_nothing(registry):
    await registry.add_version(1)
    operator = registry.caller(OPERATOR)
    first = await registry.models.revoke(operator, version_name(1), "bad")
    size = registry.log.size
    again = await registry.models.revoke(operator, version_name(1), "worse")
    assert again.receipt.index == first.receipt.index
    assert again.version == first.version
    assert registry.log.size == size


async def test_revoked_content_cannot_come_back_under_another_number(registry):
    manifest = await registry.add_version(1)
    await registry.models.revoke(registry.caller(OPERATOR), version_name(1), "bad")
    with pytest.raises(PreconditionFailedError, match="version 1 of risk/fraud, which is revoked"):
        await registry.models.propose_version(FRAUD, manifest.content_digest)
    with pytest.raises(PreconditionFailedError, match="which is revoked"):
        await registry.publish(manifest.with_version(2))
    assert (await registry.publish(manifest)).version.stage is Stage.REVOKED


# --- aliases ----------------------------------------------------------------------------------------------


async def test_resolve_answers_with_version_alias_and_the_receipt_of_its_last_move(registry):
    for number in (1, 2):
        await registry.add_version(number)
    await set_champion(registry, 1)
    await set_champion(registry, 2, note="better on new data")
    found = await registry.models.resolve(CHAMPION)
    assert (found.version.version, found.alias.revision) == (2, 2)
    entry = verify_receipt(found.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.old, entry.new) == ("alias.moved", "1", "2")
    assert entry.subject["bundle_digest"] == found.version.bundle_digest
    assert b"better on new data" not in found.receipt.entry_bytes


async def test_one_of_many_concurrent_moves_wins_each_revision(registry):
    for number in (1, 2):
        await registry.add_version(number)
    for revision in range(4):
        done = await asyncio.gather(
            *(set_champion(registry, 1 + i % 2, expected_revision=revision) for i in range(12)),
            return_exceptions=True,
        )
        won = [each for each in done if not isinstance(each, Exception)]
        lost = [each for each in done if isinstance(each, Exception)]
        assert len(won) == 1
        assert {type(each) for each in lost} == {ConflictError}
        assert won[0].alias.revision == revision + 1
        now = {"revision": str(revision + 1), "version": str(won[0].alias.version)}
        assert all(each.metadata == now for each in lost)
    moves, _ = await registry.aliases.list_moves(CHAMPION, page_size=0, page_token="")
    assert [move.revision for move in moves] == [4, 3, 2, 1]


async def test_moves_are_listed_in_pages_with_notes_and_reasons(registry):
    for number in (1, 2):
        await registry.add_version(number)
    await set_champion(registry, 1, note="the first")
    await set_champion(registry, 2)
    await roll_back(registry, note="recall fell")
    newest, token = await registry.aliases.list_moves(CHAMPION, page_size=1, page_token="")
    older, end = await registry.aliases.list_moves(CHAMPION, page_size=5, page_token=token)
    told = [(m.kind, m.old_version, m.new_version, m.reason_code, m.note) for m in newest + older]
    assert told == [
        ("rolled_back", 2, 1, "metric-degradation", "recall fell"),
        ("set", 1, 2, "", ""),
        ("set", 0, 1, "", "the first"),
    ]
    assert end == ""
    assert {move.actor for move in older} == {OPERATOR}


async def test_a_note_is_salted_and_only_its_digest_is_in_the_entry(registry):
    await registry.add_version(1)
    digests = set()
    for _ in range(2):
        done = await set_champion(registry, 1, note="ok")
        entry = verify_receipt(done.receipt, registry.state.log_key.verifier)
        assert await registry.log.document(entry.envelope_digest) is not None
        digests.add(entry.envelope_digest)
    assert len(digests) == 2
    assert sha256_hex(canonical_json({"note": "ok"})) not in digests


async def test_a_repeated_request_gives_its_first_outcome_even_after_others_moved_on(registry):
    for number in (1, 2):
        await registry.add_version(number)
    first = await set_champion(registry, 1, request_id="deploy-7", expected_revision=0)
    await set_champion(registry, 2)
    size = registry.log.size
    again = await set_champion(registry, 1, request_id="deploy-7", expected_revision=0)
    assert again.alias == first.alias
    assert again.receipt.index == first.receipt.index
    assert registry.log.size == size
    with pytest.raises(AlreadyExistsError, match="used for another request"):
        await set_champion(registry, 2, request_id="deploy-7")
    other = ResourceName("risk", "fraud", alias="challenger")
    await registry.aliases.set_alias(
        registry.caller(OPERATOR), other, 2, expected_revision=0, note="", request_id="deploy-7"
    )


async def test_concurrent_repeats_of_one_request_move_once(registry):
    await registry.add_version(1)
    done = await asyncio.gather(*(set_champion(registry, 1, request_id="once") for _ in range(10)))
    assert {each.alias.revision for each in done} == {1}


async def test_a_removed_alias_keeps_its_history_and_goes_on_counting(registry):
    await registry.add_version(1)
    operator = registry.caller(OPERATOR)
    await set_champion(registry, 1)
    gone = await registry.aliases.delete_alias(
        operator, CHAMPION, expected_revision=1, note="retired", request_id="gone"
    )
    entry = verify_receipt(gone.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.old, entry.new) == ("alias.removed", "1", "")
    with pytest.raises(NotFoundError):
        await registry.models.resolve(CHAMPION)
    again = await registry.aliases.delete_alias(
        operator, CHAMPION, expected_revision=1, note="retired", request_id="gone"
    )
    assert again.receipt.index == gone.receipt.index
    with pytest.raises(NotFoundError):
        await registry.aliases.delete_alias(
            operator, CHAMPION, expected_revision=None, note="", request_id=""
        )
    back = await set_champion(registry, 1, expected_revision=0)
    assert back.alias.revision == 3


async def test_protected_aliases_move_by_rollback_only_and_say_how_else(registry):
    for number in (1, 2):
        await registry.add_version(number)
    first = await set_champion(registry, 1, request_id="before")
    await set_champion(registry, 2)
    registry.set_policy(protected_aliases=["champion"])
    with pytest.raises(
        GateRefusedError, match="carnet promote SOURCE/risk/fraud@1 --to dev --alias champion"
    ):
        await set_champion(registry, 1)
    with pytest.raises(GateRefusedError, match="protected"):
        await registry.aliases.delete_alias(
            registry.caller(OPERATOR), CHAMPION, expected_revision=None, note="", request_id=""
        )
    assert (await set_champion(registry, 1, request_id="before")).alias == first.alias
    done = await roll_back(registry)
    assert (done.alias.version, done.old_version) == (1, 2)


# --- rollback ---------------------------------------------------------------------------------------------


async def live(registry, *numbers):
    for number in sorted(set(numbers)):
        await registry.add_version(number)
    for number in numbers:
        await set_champion(registry, number)


async def test_rollbacks_lead_further_back_and_never_to_what_was_rolled_back(registry):
    await live(registry, 1, 2, 3)
    assert (await roll_back(registry)).alias.version == 2
    assert (await roll_back(registry)).alias.version == 1
    with pytest.raises(PreconditionFailedError, match="has nothing to roll back to"):
        await roll_back(registry)


@ALL_FOUR
async def test_a_rollback_passes_over_revoked_and_damaged_versions(registry):
    await live(registry, 1, 2, 3, 4)
    await registry.models.revoke(registry.caller(OPERATOR), version_name(3), "bad")
    _, contents = make_version(2)
    (digest,) = contents
    registry.bench.lose(digest)
    assert (await roll_back(registry)).alias.version == 1


@ALL_FOUR
async def test_a_rollback_with_no_good_version_left_names_what_is_wrong_with_each(registry):
    await live(registry, 1, 2, 3)
    await registry.models.revoke(registry.caller(OPERATOR), version_name(2), "bad")
    _, contents = make_version(1)
    (digest,) = contents
    registry.bench.damage(digest, b"short")
    with pytest.raises(PreconditionFailedError, match=f"version 2 is revoked, version 1 .*{digest}"):
        await roll_back(registry)
    assert (await registry.aliases.get(CHAMPION)).version == 3


async def test_a_named_version_must_have_been_live_and_be_good(registry):
    await live(registry, 1, 2, 3)
    await registry.add_version(4)
    await registry.models.revoke(registry.caller(OPERATOR), version_name(2), "bad")
    for version, text in ((3, "points at version 3 already"), (4, "never pointed at"), (2, "is revoked")):
        with pytest.raises(PreconditionFailedError, match=text):
            await roll_back(registry, version=version)
    assert (await roll_back(registry, version=1)).alias.version == 1


async def test_the_version_that_was_rolled_back_can_be_named(registry):
    await live(registry, 1, 2)
    await roll_back(registry)
    assert (await roll_back(registry, version=2)).alias.version == 2


async def test_a_repeated_rollback_request_rolls_back_once(registry):
    await live(registry, 1, 2, 3)
    first = await roll_back(registry, request_id="incident-9")
    again = await roll_back(registry, request_id="incident-9")
    assert again == first or (again.alias, again.old_version) == (first.alias, first.old_version)
    assert (await registry.aliases.get(CHAMPION)).version == 2


async def test_a_removed_alias_is_rolled_back_to_where_it_last_was(registry):
    await live(registry, 1)
    await registry.aliases.delete_alias(
        registry.caller(OPERATOR), CHAMPION, expected_revision=None, note="", request_id=""
    )
    assert (await roll_back(registry)).alias.version == 1


async def test_a_rollback_that_is_overtaken_looks_again(registry, monkeypatch):
    await live(registry, 1, 2, 3)
    loop, looked = asyncio.get_running_loop(), []
    find_missing = registry.store.find_missing

    def find_and_move(blobs):
        looked.append(blobs)
        if len(looked) == 1:
            asyncio.run_coroutine_threadsafe(set_champion(registry, 1), loop).result(10)
        return find_missing(blobs)

    monkeypatch.setattr(registry.store, "find_missing", find_and_move)
    registry.wire()
    done = await roll_back(registry)
    assert (done.old_version, done.alias.version) == (1, 3)


# --- watching ---------------------------------------------------------------------------------------------


async def take(states, count):
    async with asyncio.timeout(10):
        return [await anext(states) for _ in range(count)]


async def test_a_watcher_is_told_the_present_state_and_every_move(registry):
    await live(registry, 1, 2)
    states = registry.watch(CHAMPION, 0)
    (present,) = await take(states, 1)
    assert (present.version, present.revision) == (2, 2)
    await asyncio.gather(*(set_champion(registry, 1 + i % 2) for i in range(10)))
    await registry.aliases.delete_alias(
        registry.caller(OPERATOR), CHAMPION, expected_revision=None, note="", request_id=""
    )
    told = await take(states, 11)
    await set_champion(registry, 1)
    (after,) = await take(states, 1)
    assert (after.revision, after.version) == (14, 1)
    await states.aclose()
    assert [alias.revision for alias in told] == list(range(3, 14))
    assert (told[-1].version, told[-1].bundle_digest) == (0, "")


async def test_a_watcher_goes_on_where_it_stood_and_is_not_told_twice(registry):
    await live(registry, 1, 2)
    states = registry.watch(CHAMPION, 2)
    waiting = asyncio.ensure_future(anext(states))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await registry.add_version(3)
    await set_champion(registry, 3)
    async with asyncio.timeout(10):
        assert (await waiting).revision == 3
    await states.aclose()
    (missed,) = await take(registry.watch(CHAMPION, 1), 1)
    assert missed.revision == 3


async def test_an_alias_can_be_watched_before_it_exists(registry):
    states = registry.watch(CHAMPION, 0)
    (nothing,) = await take(states, 1)
    assert (nothing.version, nothing.revision, nothing.updated_at) == (0, 0, None)
    await live(registry, 1)
    (made,) = await take(states, 1)
    assert made.version == 1
    await states.aclose()


async def test_a_move_between_subscription_and_read_is_told_once(registry, monkeypatch):
    await live(registry, 1, 2)
    read = registry.database.read

    async def move_then_read(query):
        monkeypatch.setattr(registry.database, "read", read)
        await set_champion(registry, 1)
        return await read(query)

    monkeypatch.setattr(registry.database, "read", move_then_read)
    states = registry.watch(CHAMPION, 2)
    (told,) = await take(states, 1)
    await set_champion(registry, 2)
    (next_told,) = await take(states, 1)
    assert (told.revision, next_told.revision) == (3, 4)
    await states.aclose()


# --- evidence ---------------------------------------------------------------------------------------------


async def test_added_evidence_is_held_logged_and_touches_the_bundle(registry):
    manifest = await registry.add_version(1)
    scope = bundle_scope(manifest.digest)
    before = await registry.database.read(lambda c: read_revisions(c, [scope]))
    envelope = make_test_result(manifest, registry.evaluator)
    added = await registry.evidence.add(registry.caller(EVALUATOR), version_name(1), envelope.to_bytes())
    entry = verify_receipt(added.receipt, registry.state.log_key.verifier)
    assert (entry.type, entry.envelope_digest) == ("evidence.added", envelope.digest)
    assert await registry.log.document(envelope.digest) == envelope.to_bytes()
    evidence = added.evidence
    assert (evidence.suite, evidence.result, evidence.signer, evidence.trusted) == (
        "evaluation",
        "PASSED",
        EVALUATOR,
        True,
    )
    after = await registry.database.read(lambda c: read_revisions(c, [scope]))
    assert after[scope] == before[scope] + 1


async def test_the_same_envelope_is_held_once_however_many_bring_it(registry):
    manifest = await registry.add_version(1)
    data = make_test_result(manifest, registry.evaluator).to_bytes()
    done = await asyncio.gather(
        *(registry.evidence.add(registry.caller(EVALUATOR), version_name(1), data) for _ in range(6))
    )
    assert sorted(each.already_held for each in done) == [False] + [True] * 5
    assert len({each.receipt.index for each in done}) == 1


async def test_evidence_is_listed_oldest_first_in_pages(registry):
    manifest = await registry.add_version(1)
    digests = []
    for i in range(4):
        envelope = make_test_result(manifest, registry.evaluator, url=f"https://runs.test/{i}")
        await registry.evidence.add(registry.caller(EVALUATOR), version_name(1), envelope.to_bytes())
        digests.append(envelope.digest)
    seen, token = [], ""
    while True:
        page, token = await registry.evidence.list_page(version_name(1), "", page_size=2, page_token=token)
        seen += page
        if not token:
            break
    assert [each.digest for each in seen][1:] == digests
    assert seen[0].predicate_type == Decision.PREDICATE_TYPE


async def test_a_page_of_evidence_is_bounded_in_bytes(registry):
    manifest = await registry.add_version(1)
    for i in range(4):
        envelope = make_test_result(manifest, registry.evaluator, url=f"https://{i}.test/{'x' * 600_000}")
        await registry.evidence.add(registry.caller(EVALUATOR), version_name(1), envelope.to_bytes())
    page, token = await registry.evidence.list_page(version_name(1), "", page_size=0, page_token="")
    assert token
    assert sum(len(each.envelope) for each in page) <= 2 << 20


async def test_evidence_of_one_namespace_neither_counts_nor_shows_in_another(registry):
    manifest, _ = make_version(1)
    foreign = make_test_result(manifest, registry.evaluator)
    statement = parse_statement(foreign)
    assert statement.subject_name == "dev/risk/fraud@1"
    elsewhere = ResourceName("ads", "fraud", 1)
    renamed = type(statement)("some model", manifest.digest, statement.predicate_type, statement.predicate)
    data = sign_statement(renamed, registry.evaluator).to_bytes()
    await registry.evidence.add(registry.caller(EVALUATOR), elsewhere, data)
    own_key = registry.state.signing_key.verification_key
    counted = await registry.database.read(
        lambda c: trusted_attestations(
            c, "risk", manifest.digest, trust=registry.state.trust.current, own_key=own_key
        )
    )
    shown, _ = await registry.evidence.list_page(version_name(1), manifest.digest, page_size=0, page_token="")
    assert counted == shown == []
    again = await registry.evidence.add(registry.caller(EVALUATOR), version_name(1), data)
    assert not again.already_held


async def test_the_promotion_service_brings_what_is_not_trusted_and_it_counts_for_nothing(registry):
    manifest = await registry.add_version(1)
    data = make_test_result(manifest, registry.stranger, result="FAILED").to_bytes()
    added = await registry.evidence.add(registry.caller(SYNC), version_name(1), data)
    assert (added.evidence.trusted, added.evidence.signer) == (False, "")
    own_key = registry.state.signing_key.verification_key
    trust = registry.state.trust.current
    counted = await registry.database.read(
        lambda c: trusted_attestations(c, "risk", manifest.digest, trust=trust, own_key=own_key)
    )
    assert counted == []
