"""Adding evidence: who may bring what, and what is never stored."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from carnet.errors import (
    DataLossError,
    InvalidInputError,
    KeyUntrustedError,
    MessageTooLargeError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.references import ResourceName
from carnet.signing.decision import Decision, PolicyReference, Verifier, verifier_id
from carnet.signing.predicate import DigestSet
from carnet.signing.statement import Statement, sign_statement
from carnet_server.evidence.believed import peer_decisions, trusted_attestations
from tests.support.registry import CI, EVALUATOR, STAGING, SYNC, make_test_result, make_version

NAME = ResourceName("risk", "fraud", 1)


def make_decision(manifest, key, *, environment="staging", result="PASSED"):
    decision = Decision(
        verifier=Verifier(id=verifier_id(environment)),
        time_verified="2026-03-01T12:00:00Z",
        resource_uri=f"urn:carnet:environment:{environment}/risk/fraud@1",
        policy=PolicyReference(uri="urn:carnet:policy:x", digest=DigestSet(sha256="0" * 64)),
        verification_result=result,
        verified_levels=(),
    )
    return decision.sign(manifest.subject_name, manifest.digest, key).to_bytes()


async def counted(registry, digest):
    """What decisions would look at: attestations and peers' decisions."""
    arguments = {
        "trust": registry.state.trust.current,
        "own_key": registry.state.signing_key.verification_key,
    }
    return await registry.database.read(
        lambda c: (
            trusted_attestations(c, "risk", digest, **arguments),
            peer_decisions(c, "risk", digest, **arguments),
        )
    )


async def add(registry, data, *, by=EVALUATOR, name=NAME):
    return (await registry.evidence.add(registry.caller(by), name, data)).evidence


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda r, m: b"nonsense", SignatureInvalidError),
        (lambda r, m: b" " * ((1 << 20) + 1), MessageTooLargeError),
        (lambda r, m: make_test_result(m, r.stranger).to_bytes(), KeyUntrustedError),
        (lambda r, m: make_test_result(m, r.ci).to_bytes(), KeyUntrustedError),
        (lambda r, m: make_test_result(m.with_version(2), r.evaluator).to_bytes(), StatementInvalidError),
        (
            lambda r, m: make_test_result(m.model_copy(update={"owner": "x"}), r.evaluator).to_bytes(),
            StatementInvalidError,
        ),
        (lambda r, m: make_decision(m, r.staging, environment="dev"), KeyUntrustedError),
    ],
)
async def test_what_is_refused_leaves_nothing(registry, make, error):
    manifest = await registry.add_version(1)
    size, held = registry.log.size, await registry.count("evidence")
    for by in (EVALUATOR, CI):
        with pytest.raises(error):
            await add(registry, make(registry, manifest), by=by)
    assert (registry.log.size, await registry.count("evidence")) == (size, held)


async def test_the_promotion_service_may_bring_untrusted_evidence_but_no_forged_one(registry):
    manifest = await registry.add_version(1)
    assert not (
        await add(registry, make_test_result(manifest, registry.stranger).to_bytes(), by=SYNC)
    ).trusted
    assert not (await add(registry, make_test_result(manifest, registry.ci).to_bytes(), by=SYNC)).trusted
    forged = make_test_result(manifest, registry.stranger).to_bytes()
    forged = forged.replace(registry.stranger.key_id.encode(), registry.evaluator.key_id.encode())
    with pytest.raises(SignatureInvalidError):
        await add(registry, forged, by=SYNC)
    assert (await counted(registry, manifest.digest)) == ([], [])


async def test_evidence_may_come_before_its_version(registry):
    manifest, contents = make_version(1)
    await add(registry, make_test_result(manifest, registry.evaluator).to_bytes())
    await registry.give_blobs(manifest, contents)
    await registry.publish(manifest)
    attestations, _ = await counted(registry, manifest.digest)
    assert [each.suite for each in attestations] == ["evaluation"]


async def test_what_names_its_version_cannot_be_added_to_another_even_before_either_is_here(registry):
    manifest, _ = make_version(1)
    data = make_test_result(manifest, registry.evaluator).to_bytes()
    for name in (ResourceName("risk", "fraud", 2), ResourceName("ads", "fraud", 1)):
        for by in (EVALUATOR, SYNC):
            with pytest.raises(StatementInvalidError, match="it was added to"):
                await add(registry, data, by=by, name=name)
    assert await registry.count("evidence") == 0


async def test_a_bundle_that_is_known_cannot_be_attested_under_another_name(registry):
    manifest = await registry.add_version(1)
    statement = Statement(
        "a model",
        manifest.digest,
        "https://in-toto.io/attestation/test-result/v0.1",
        {"result": "PASSED", "configuration": []},
    )
    data = sign_statement(statement, registry.evaluator).to_bytes()
    with pytest.raises(StatementInvalidError, match="which is another version"):
        await add(registry, data, name=ResourceName("risk", "churn", 1))
    assert (await add(registry, data)).trusted


async def test_a_peers_decision_counts_as_its_decision_and_not_as_an_attestation(registry):
    manifest = await registry.add_version(1)
    added = await add(registry, make_decision(manifest, registry.staging), by=SYNC)
    assert (added.signer, added.result, added.trusted) == (STAGING, "PASSED", True)
    attestations, decisions = await counted(registry, manifest.digest)
    assert attestations == []
    assert [(each.environment, each.result, each.digest) for each in decisions] == [
        ("staging", "PASSED", added.digest)
    ]


async def test_the_own_decision_is_neither_an_attestation_nor_a_peers(registry):
    manifest = await registry.add_version(1)
    assert await counted(registry, manifest.digest) == ([], [])
    (held,), _ = await registry.evidence.list_page(NAME, "", page_size=0, page_token="")
    assert (held.trusted, held.signer) == (True, "urn:carnet:environment:dev")


async def test_trust_is_todays_for_counting_and_for_listing(registry):
    manifest = await registry.add_version(1)
    known = make_test_result(manifest, registry.evaluator)
    unknown = make_test_result(manifest, registry.stranger)
    await add(registry, known.to_bytes(), by=SYNC)
    await add(registry, unknown.to_bytes(), by=SYNC)
    swapped = registry.trust_document()["keys"]
    swapped[1]["pem"] = registry.stranger.verification_key.pem
    registry.trust_anew(keys=swapped)
    attestations, _ = await counted(registry, manifest.digest)
    assert [each.digest for each in attestations] == [unknown.digest]
    page, _ = await registry.evidence.list_page(NAME, "", page_size=0, page_token="")
    shown = {each.digest: (each.trusted, each.signer) for each in page}
    assert shown[known.digest] == (False, "")
    assert shown[unknown.digest] == (True, EVALUATOR)


@pytest.mark.parametrize("damage", ["envelope = zeroblob(8)", "digest = '" + "0" * 64 + "'"])
async def test_damaged_evidence_is_never_passed_over_in_silence(registry, damage):
    registry.follows_log = False
    manifest = await registry.add_version(1)
    await add(registry, make_test_result(manifest, registry.evaluator, result="FAILED").to_bytes())
    with registry.database.writer_engine.begin() as connection:
        connection.execute(text(f"UPDATE evidence SET {damage} WHERE suite = 'evaluation'"))
    with pytest.raises(DataLossError, match="is damaged"):
        await counted(registry, manifest.digest)


@pytest.mark.parametrize(
    "asked",
    [{"bundle_digest": "abc"}, {"page_size": -1}, {"page_token": "!"}, {"page_token": "bm9uc2Vuc2U="}],
)
async def test_malformed_questions_are_refused(registry, asked):
    await registry.add_version(1)
    asked = {"bundle_digest": "", "page_size": 0, "page_token": ""} | asked
    digest = asked.pop("bundle_digest")
    with pytest.raises(InvalidInputError):
        await registry.evidence.list_page(NAME, digest, **asked)
