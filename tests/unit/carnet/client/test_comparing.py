"""Figures of a comparison come from the manifests and from evidence that counts."""

from __future__ import annotations

import pytest

import carnet
from carnet import errors


async def attest(federation, reference, suite, value, *, identity="evaluator"):
    metrics = [{"name": "recall", "value": value, "direction": "higher_is_better"}]
    async with carnet.connect_async(federation.folder, identity=identity) as signer:
        await signer.attest(reference, {"suite": suite, "result": "PASSED", "metrics": metrics})


@pytest.fixture
def second(federation, fraud, tmp_path):
    return federation.publish(tmp_path, seed=2, version=2)


def measured(found):
    return [(each.suite, each.before, each.after, each.verdict) for each in found.metrics if each.suite]


async def test_evidence_is_compared_by_suite_and_says_who_signed_it(federation, client, second):
    await attest(federation, "dev/risk/fraud@1", "evaluation", 0.9)
    await attest(federation, "dev/risk/fraud@2", "evaluation", 0.8)
    await attest(federation, "dev/risk/fraud@2", "load", 0.5)
    found = await client.compare("dev/risk/fraud@1", "dev/risk/fraud@2")
    assert measured(found) == [("evaluation", 0.9, 0.8, "regressed"), ("load", None, 0.5, "added")]
    assert {each.source for each in found.metrics} == {"manifest", "evidence"}
    signed = next(each for each in found.metrics if each.suite == "evaluation")
    assert signed.before_signer == signed.after_signer == "spiffe://carnet.internal/service/evaluator"


async def test_without_evidence_only_the_manifests_are_read(federation, client, second):
    await attest(federation, "dev/risk/fraud@1", "evaluation", 0.9)
    federation.dev.calls.clear()
    found = await client.compare("dev/risk/fraud@1", "dev/risk/fraud@2", with_evidence=False)
    assert measured(found) == []
    assert not any("ListEvidence" in each for each in federation.dev.calls)


async def test_evidence_that_the_registry_does_not_trust_does_not_count(federation, client, second):
    await attest(federation, "dev/risk/fraud@1", "evaluation", 0.9)

    def distrust(answer):
        for each in answer.evidence:
            each.trusted = False

    federation.dev.lies["ListEvidence"] = distrust
    assert measured(await client.compare("dev/risk/fraud@1", "dev/risk/fraud@2")) == []


async def test_the_newest_evidence_of_a_suite_counts(federation, client, second):
    for value in (0.9, 0.7):
        await attest(federation, "dev/risk/fraud@1", "evaluation", value)

    def in_order(answer):
        for number, each in enumerate(answer.evidence):
            each.log_index = number

    federation.dev.lies["ListEvidence"] = in_order
    found = await client.compare("dev/risk/fraud@1", "dev/risk/fraud@2")
    assert measured(found) == [("evaluation", 0.7, None, "removed")]


async def test_evidence_that_is_not_what_is_stated_is_refused(federation, client, second):
    await attest(federation, "dev/risk/fraud@1", "evaluation", 0.9)

    def edited(answer):
        answer.evidence[-1].envelope += b" "

    federation.dev.lies["ListEvidence"] = edited
    with pytest.raises(errors.DigestMismatchError):
        await client.compare("dev/risk/fraud@1", "dev/risk/fraud@2")
