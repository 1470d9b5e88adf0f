"""Committed or final: the client judges by the witnesses that it pins, whatever a registry says."""

from __future__ import annotations

import pytest
import yaml

import carnet
from carnet import errors
from carnet.client.audit_memory import federation_pins
from carnet.client.federation import Federation
from carnet.registry.v1 import log_pb2
from carnet.translog.entry import EntryType
from carnet.translog.finality import Finality
from carnet.translog.keys import KeyType, LogKey

WITNESSES = {
    name: LogKey.generate(f"witness.test/{name}", key_type=KeyType.COSIGNATURE_V1) for name in ("one", "two")
}


@pytest.fixture
def pinned(federation):
    """The federation, whose client wants dev's log witnessed by one and two."""
    federation.pin_witnesses("dev", WITNESSES)
    return federation


@pytest.fixture
async def pinning(pinned):
    async with carnet.connect_async(pinned.folder) as client:
        yield client


async def test_what_nobody_cosigned_is_committed_though_its_registry_says_that_it_is_final(
    pinned, pinning, fraud
):
    def lie(answer):
        answer.receipt.finality = log_pb2.FINALITY_FINAL

    pinned.dev.lies["ResolveVersion"] = lie
    assert (await pinning.resolve("dev/risk/fraud@1")).receipt.finality is Finality.COMMITTED


@pytest.mark.parametrize(
    ("names", "finality"),
    [(("one",), Finality.COMMITTED), (("one", "two"), Finality.FINAL), (("two", "one"), Finality.FINAL)],
)
async def test_what_a_quorum_cosigned_is_final(pinned, pinning, fraud, names, finality):
    await pinning.set_alias("dev/risk/fraud@live", 1)
    pinned.dev.log.cosigners = [WITNESSES[name] for name in names]
    assert (await pinning.resolve("dev/risk/fraud@1")).receipt.finality is finality
    (listed,) = await pinning.aliases("dev/risk/fraud")
    assert listed.finality is finality
    assert {each.finality for each in await pinning.alias_history(listed.reference)} == {finality}
    (dev, *_) = await pinning.environments()
    assert dev.final_size == (len(pinned.dev.log.entries) if finality is Finality.FINAL else 0)


async def test_cosignatures_of_strangers_count_for_nothing(pinned, pinning, fraud):
    strangers = [LogKey.generate(key.name, key_type=KeyType.COSIGNATURE_V1) for key in WITNESSES.values()]
    pinned.dev.log.cosigners = strangers
    await pinning.set_alias("dev/risk/fraud@live", 1)
    assert (await pinning.resolve("dev/risk/fraud@1")).receipt.finality is Finality.COMMITTED
    assert {each.finality for each in await pinning.aliases("dev/risk/fraud")} == {Finality.COMMITTED}


async def test_a_bad_cosignature_by_a_pinned_witness_is_refused(pinned, pinning, fraud):
    pinned.dev.log.cosigners = list(WITNESSES.values())
    older = pinned.dev.log.checkpoint().split("\n\n")[1]
    pinned.dev.log.cosigners = []

    def graft(answer):
        body, own = answer.receipt.checkpoint.split("\n\n")
        answer.receipt.checkpoint = f"{body}\n\n{own}" + "".join(
            f"{each}\n" for each in older.split("\n")[1:3]
        )

    pinned.dev.log.append(EntryType.ALIAS_REMOVED, {"alias": "x"})
    pinned.dev.lies["ResolveVersion"] = graft
    with pytest.raises(errors.ProofInvalidError, match="cosignature"):
        await pinning.resolve("dev/risk/fraud@1")


async def test_a_witnessed_checkpoint_by_another_log_is_refused(pinned, pinning, fraud):
    def lie(answer):
        answer.witnessed_checkpoint = pinned.prod.log.checkpoint()

    pinned.dev.lies["GetCheckpoint"] = lie
    with pytest.raises(errors.CarnetError) as caught:
        await pinning.aliases("dev/risk/fraud")
    assert caught.value.reason in {"KEY_UNTRUSTED", "PROOF_INVALID"}
    (dev, *_) = await pinning.environments()
    assert dev.problem
    assert dev.final_size is None


async def test_where_no_witnesses_are_pinned_nothing_is_said_and_nobody_is_asked(federation, client, fraud):
    def refuse(answer):
        raise errors.UnavailableError("nobody asks")

    federation.dev.lies["GetCheckpoint"] = refuse
    await client.set_alias("dev/risk/fraud@live", 1)
    assert (await client.resolve("dev/risk/fraud@1")).receipt.finality is Finality.UNSPECIFIED
    assert {each.finality for each in await client.aliases("dev/risk/fraud")} == {Finality.UNSPECIFIED}
    (dev, *_) = await client.environments()
    assert dev.final_size is None


def test_pinned_witnesses_reach_the_verifier(pinned):
    pins = federation_pins(Federation.load(pinned.folder)).environments["dev"]
    assert set(pins.policy.witnesses) == {"one", "two"}
    assert pins.policy.demands_witnesses


def test_a_policy_for_another_log_is_refused(pinned):
    path = pinned.folder / "federation.yaml"
    document = yaml.safe_load(path.read_text())
    document["environments"]["prod"]["witnesses"] = document["environments"]["dev"]["witnesses"]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(errors.DocumentInvalidError, match=r"environments.prod.*not for the log"):
        Federation.load(pinned.folder)
