"""Witnesses: what others cosigned is final, anchors come to rest, and an older database is not served."""

from __future__ import annotations

import asyncio
import shutil
import time

import pytest
import yaml

from carnet.errors import CarnetError, UnavailableError
from carnet.registry.v1 import environment_pb2, log_pb2, witness_pb2
from carnet.translog.checkpoint import parse_checkpoint
from carnet.translog.keys import LogVerifier
from carnet.translog.witness_policy import parse_witness_policy
from tests.support.federation import LocalFederation

WITHIN_SECONDS = 60.0


@pytest.fixture(scope="module")
def witnessed(tmp_path_factory):
    """A federation whose logs are witnessed every second."""
    federation = LocalFederation(tmp_path_factory.mktemp("witnesses") / "carnet")
    for name in ("dev", "staging", "prod"):
        path = federation.folder / "environments" / name / "environment.yaml"
        path.write_text(path.read_text() + "witness_every: 1s\n")
    federation.start()
    yield federation
    federation.stop()


def ask(federation, environment, service, method, request, *, identity="identities/dave"):
    async def run():
        async with federation.connection(environment, identity) as connection:
            return await connection.call(getattr(getattr(connection, service), method), request)

    return asyncio.run(run())


def environment_of(federation, name):
    answer = ask(federation, name, "environment", "GetEnvironment", environment_pb2.GetEnvironmentRequest())
    return answer.environment


def until(question, what):
    """Ask again and again, for a bounded time, until the answer is true."""
    end = time.monotonic() + WITHIN_SECONDS
    while not (answer := question()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.2)
    return answer


def is_final(federation, name, index):
    try:
        receipt = log_pb2.GetReceiptRequest(index=index, witnessed=True)
        return ask(federation, name, "log", "GetReceipt", receipt).receipt
    except CarnetError:
        return None


def test_what_a_quorum_cosigned_is_final_and_shown_by_its_receipt_alone(witnessed, tmp_path):
    reference = witnessed.publish(tmp_path, "risk/final")
    with witnessed.client("ci") as ci:
        index = ci.resolve(str(reference)).receipt.receipt.index
    receipt = until(lambda: is_final(witnessed, "dev", index), "the publication is witnessed")
    folder = witnessed.folder / "environments" / "dev"
    policy = parse_witness_policy((folder / "witnesses.policy").read_bytes(), name="witnesses.policy")
    assert policy.is_final(receipt.checkpoint)
    assert len(policy.cosigners(receipt.checkpoint)) >= 2
    origin = yaml.safe_load((folder / "environment.yaml").read_text())["log"]["origin"]
    assert parse_checkpoint(receipt.checkpoint, policy.logs[origin]).size > index
    standing = environment_of(witnessed, "dev").witnesses
    assert {each.name for each in standing} == {"sync", "staging", "prod"}


def test_anchors_are_recorded_and_come_to_rest(witnessed, tmp_path):
    reference = witnessed.publish(tmp_path, "risk/anchored")
    with witnessed.client("ci") as ci:
        index = ci.resolve(str(reference)).receipt.receipt.index
    until(lambda: is_final(witnessed, "dev", index), "the publication is witnessed")
    sizes = None
    for _ in range(20):
        before, sizes = (
            sizes,
            [environment_of(witnessed, name).log_size for name in ("dev", "staging", "prod")],
        )
        if before == sizes:
            break
        time.sleep(2.5)
    assert before == sizes, "the logs anchor each other for ever"
    anchors = witnessed.query("staging", "SELECT entry FROM log_entries")
    assert any(b'"type":"anchor.recorded"' in bytes(entry) for (entry,) in anchors)
    with witnessed.client("dave") as auditor:
        assert auditor.audit_verify().ok


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_a_forged_checkpoint_is_cosigned_by_nobody(witnessed, environment):
    held = ask(witnessed, "dev", "log", "GetCheckpoint", log_pb2.GetCheckpointRequest()).checkpoint
    forged = held.replace("\n", "\n9", 1)  # another size under the same signature

    async def add(text):
        folder = witnessed.folder / "environments" / environment
        policy = parse_witness_policy(
            (witnessed.folder / "environments" / "dev" / "witnesses.policy").read_bytes(), name="p"
        )
        from carnet_server.config import load_config
        from carnet_server.witnessing.links import GrpcWitness

        url = policy.witnesses[environment].url.removeprefix("carnet://")
        endpoint, _, server_name = url.partition("/")
        identity = load_config(folder.parent / "dev" / "environment.yaml").tls_identity()
        link = GrpcWitness(environment, endpoint, server_name, identity)
        try:
            return await link._call("AddCheckpoint", witness_pb2.AddCheckpointRequest(checkpoint=text))
        finally:
            await link.close()

    with pytest.raises(CarnetError) as caught:
        asyncio.run(add(forged))
    assert caught.value.reason == "PROOF_INVALID"


def test_an_older_database_is_not_served_and_one_that_went_on_adds_nothing(tmp_path):
    federation = LocalFederation(tmp_path / "carnet")
    path = federation.folder / "environments" / "dev" / "environment.yaml"
    path.write_text(path.read_text() + "witness_every: 1s\n")
    federation.start()
    try:
        federation.publish(tmp_path / "one", "risk/kept")
        dev = federation.processes["dev"]
        data, backup = path.parent / "data", tmp_path / "backup"
        dev.stop()
        shutil.copytree(data, backup)
        federation.start("dev")
        reference = federation.publish(tmp_path / "two", "risk/lost")
        with federation.client("ci") as ci:
            index = ci.resolve(str(reference)).receipt.receipt.index
        until(lambda: is_final(federation, "dev", index), "what will be lost is witnessed")
        dev.stop()
        shutil.rmtree(data)
        shutil.copytree(backup, data)

        with pytest.raises(CarnetError):
            federation.start("dev")
        assert "restored-backup" in dev.log_tail()

        # Nobody can be asked: it starts, as an unreachable witness keeps nothing from starting.
        for name in ("staging", "prod", "sync"):
            federation.processes[name].stop()
        federation.start("dev")
        federation.publish(tmp_path / "three", "risk/other")
        federation.start("staging", "prod", "sync")
        alarms = until(lambda: environment_of(federation, "dev").alarms, "the next exchange shows it")
        assert alarms[0].kind in {"restored-backup", "equivocation"}
        with pytest.raises(UnavailableError, match="nothing is added to this log"):
            federation.publish(tmp_path / "four", "risk/more")
        assert environment_of(federation, "dev").log_size  # reading goes on
    finally:
        federation.stop()


def test_the_cosigner_key_and_the_log_key_are_different_keys(witnessed):
    for name in ("dev", "staging", "prod"):
        folder = witnessed.folder / "environments" / name
        assert (folder / "witness-key.pem").read_bytes() != (folder / "log-key.pem").read_bytes()
        policy = parse_witness_policy((folder / "witnesses.policy").read_bytes(), name="p")
        for witness in policy.witnesses.values():
            assert isinstance(witness.verifier, LogVerifier)
            assert witness.verifier.key_type == 4
