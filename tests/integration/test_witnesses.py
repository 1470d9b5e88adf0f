"""Witnesses: what others cosigned is final, anchors come to rest, and an older database is not served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from dataclasses import replace

import pytest
import yaml

from carnet.audit.export import ExportWriter
from carnet.errors import CarnetError, ConflictError, UnavailableError
from carnet.registry.v1 import environment_pb2, log_pb2
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint, unverified_checkpoint
from carnet.translog.entry import parse_entry
from carnet.translog.finality import Finality
from carnet.translog.keys import LogKey, LogVerifier
from carnet.translog.tiles import entry_bundles, parse_bundle
from carnet.translog.tree import leaf_hash, root_of
from carnet.translog.witness_policy import parse_witness_policy
from carnet.translog.witness_request import WitnessRequest
from carnet_server.config import load_config
from carnet_server.witnessing.links import open_link
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

    with pytest.raises(CarnetError) as caught:
        request = WitnessRequest(0, (), forged)
        asyncio.run(as_dev(witnessed, environment, lambda link: link.add_checkpoint(request, anchor=False)))
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


def anchored_by(federation, environment, index):
    """Whether another environment's log anchors an entry of dev's."""
    told = [
        json.loads(bytes(entry))["change"]["new"].split()
        for (entry,) in federation.query(environment, "SELECT entry FROM log_entries")
        if b'"type":"anchor.recorded"' in bytes(entry)
    ]
    return any(origin.endswith("/dev") and int(size) > index for origin, size in told)


def rewritten(export, key, index, *, keep_witnessed):
    """Change an entry of dev's log in an export, as whoever holds the log's key may, who signs it all anew."""
    place = export / "dev"
    size = unverified_checkpoint((place / "checkpoint").read_text()).size
    entries = [
        entry
        for bundle in entry_bundles(size)
        for entry in parse_bundle((place / bundle.path).read_bytes(), width=bundle.width)
    ]
    changed = parse_entry(entries[index])
    actor = replace(changed.actor, subject="spiffe://carnet.internal/service/somebody-else")
    entries[index] = replace(changed, actor=actor).to_bytes()
    head = Checkpoint(key.name, size, root_of(map(leaf_hash, entries)))
    documents = [each.read_bytes() for each in (place / "envelopes").iterdir()]
    witnessed = (place / "checkpoint.witnessed").read_text()
    with ExportWriter(export).environment("dev") as writer:
        for entry in entries:
            writer.append_entry(entry)
        for document in documents:
            writer.add_document(document)
        writer.finish_log(sign_checkpoint(head, key), witnessed if keep_witnessed else "")


def test_an_export_shows_what_is_final_and_anchors_name_a_log_that_its_own_key_rewrote(witnessed, tmp_path):
    reference = witnessed.publish(tmp_path, "risk/rewritten")
    with witnessed.client("ci") as ci:
        index = ci.resolve(str(reference)).receipt.receipt.index
        until(
            lambda: ci.resolve(str(reference)).receipt.finality is Finality.FINAL,
            "the client itself finds the publication final",
        )
    for environment in ("staging", "prod"):
        until(lambda name=environment: anchored_by(witnessed, name, index), f"{environment} anchors it")
    export, trust = tmp_path / "export", str(witnessed.folder / "federation.yaml")
    witnessed.cli("audit", "export", str(export), identity="dave")
    verify = ("audit", "verify", "--offline", str(export), "--trust", trust)
    report = witnessed.cli_json(*verify)
    assert report["ok"]
    assert report["environments"]["dev"]["final_size"] > index
    assert (export / "dev" / "checkpoint.witnessed").exists()

    folder = witnessed.folder / "environments" / "dev"
    origin = yaml.safe_load((folder / "environment.yaml").read_text())["log"]["origin"]
    key = LogKey.load(origin, folder / "log-key.pem")
    kept, stripped = tmp_path / "kept", tmp_path / "stripped"
    shutil.copytree(export, kept)
    shutil.copytree(export, stripped)

    # Whoever rewrites it leaves the checkpoint that was witnessed, or takes it away: the anchors stay.
    rewritten(kept, key, index, keep_witnessed=True)
    rewritten(stripped, key, index, keep_witnessed=False)
    for place in (kept, stripped):
        report = witnessed.cli_json(*verify[:3], str(place), *verify[4:], check=6)
        found = [each for each in report["findings"] if each["verdict"] == "tampered"]
        assert {each["environment"] for each in found} == {"dev"}
        told = " ".join(each["message"] for each in found)
        assert "of staging's log anchors" in told
        assert "of prod's log anchors" in told
        assert all(each["index"] is None or each["index"] <= index for each in found)
        assert report["environments"]["dev"]["final_size"] == 0
    assert any(each["verdict"] == "incomplete" for each in report["findings"]), "nothing is witnessed there"


def test_a_promotion_is_waited_for_until_it_is_final(witnessed, tmp_path):
    reference = witnessed.publish(tmp_path, "risk/promoted")
    witnessed.evaluate(reference)
    done = witnessed.cli_json("promote", str(reference), "--to", "staging", "--final", "--timeout", "60s")
    assert done["state"] == "SUCCEEDED"
    assert done["receipt"]["finality"] == "final"
    assert witnessed.cli_json("promotions", "show", done["id"])["receipt"]["finality"] == "final"


def test_status_and_answers_say_what_is_final(witnessed, tmp_path):
    reference = witnessed.publish(tmp_path, "risk/told")
    alias = f"dev/{reference.namespace}/{reference.model}@live"
    moved = witnessed.cli_json("alias", "set", alias, "1")
    assert moved["receipt"]["finality"] == "committed", "a change comes back before any witness saw it"
    until(lambda: witnessed.cli_json("alias", "show", alias)["alias"]["finality"] == "final", "it is final")
    (listed,) = witnessed.cli_json("alias", "ls", f"dev/{reference.namespace}/{reference.model}")["aliases"]
    (move,) = witnessed.cli_json("alias", "history", alias)["moves"]
    assert (listed["finality"], move["finality"]) == ("final", "final")
    assert witnessed.cli_json("show", alias)["receipt"]["finality"] == "final"
    told = witnessed.cli_json("status", "--dir", str(witnessed.folder))["environments"]
    (dev,) = [each for each in told if each["name"] == "dev"]
    assert dev["log_size"] >= dev["final_size"] > listed["log_index"]
    assert {each["name"] for each in dev["witnesses"]} == {"sync", "staging", "prod"}
    assert dev["alarms"] == []


def test_nothing_waits_for_witnesses_that_are_away(witnessed, tmp_path):
    """Moves and rollbacks come back committed while nobody can cosign; what was final before stays so."""
    reference = witnessed.publish(tmp_path / "one", "risk/alone", seed=1)
    witnessed.publish(tmp_path / "two", "risk/alone", seed=2)
    alias = f"dev/{reference.namespace}/{reference.model}@live"
    with witnessed.client("ci") as ci:
        ci.set_alias(alias, 1)
        until(lambda: ci.alias(alias).finality is Finality.FINAL, "the first move is final")
        with contextlib.ExitStack() as held:
            for name in ("staging", "prod", "sync"):
                held.enter_context(witnessed.frozen(name))
            moved = ci.set_alias(alias, 2)
            assert moved.receipt.finality is Finality.COMMITTED
            back = ci.rollback(alias, "metric-degradation")
            assert (back.alias.version, back.receipt.finality) == (1, Finality.COMMITTED)
            newest, *_, first = ci.alias_history(alias)
            assert (newest.finality, first.finality) == (Finality.COMMITTED, Finality.FINAL)
        until(lambda: ci.alias(alias).finality is Finality.FINAL, "the witnesses are back")


def test_two_histories_by_one_key_are_alarmed_in_log_status_and_every_audit(tmp_path):
    federation = LocalFederation(tmp_path / "carnet")
    federation.start()
    try:
        reference = federation.publish(tmp_path, "risk/fraud")
        with federation.client("ci") as ci:
            until(
                lambda: ci.resolve(str(reference)).receipt.finality is Finality.FINAL,
                "the publication is witnessed",
            )
        folder = federation.folder / "environments"
        config = load_config(folder / "dev" / "environment.yaml")
        key = LogKey.load(config.log_origin, config.log_key)
        held = until(lambda: witnessed_by(federation, "staging", key), "staging holds a checkpoint of dev")
        size = unverified_checkpoint(held).size
        fork = sign_checkpoint(Checkpoint(key.name, size, b"\1" * 32), key)
        request = WitnessRequest(size, (), fork)
        with pytest.raises(ConflictError, match="two histories"):
            asyncio.run(
                as_dev(federation, "staging", lambda link: link.add_checkpoint(request, anchor=False))
            )

        (alarm,) = environment_of(federation, "staging").alarms
        assert (alarm.kind, alarm.origin) == ("equivocation", key.name)
        shown = federation.cli("status", "--dir", str(federation.folder))
        assert f"ALARM in staging: equivocation of {key.name}" in shown.stderr
        assert f"equivocation of {key.name}" in federation.cli("environments").stdout
        assert "alarm:" in federation.processes["staging"].log_file.read_text()

        report = federation.cli_json("audit", "verify", identity="dave", check=6)
        (finding,) = report["findings"]
        assert (finding["verdict"], finding["environment"]) == ("tampered", "dev")
        assert f"the alarm in entry {alarm.log_index} of staging's log" in finding["message"]
        assert (b"\1" * 32).hex() in finding["message"]

        # It stands after a start, and the same two checkpoints are told once.
        with pytest.raises(ConflictError):
            asyncio.run(
                as_dev(federation, "staging", lambda link: link.add_checkpoint(request, anchor=False))
            )
        federation.processes["staging"].stop()
        federation.start("staging")
        assert len(environment_of(federation, "staging").alarms) == 1
    finally:
        federation.stop()


def witnessed_by(federation, environment, key):
    return asyncio.run(as_dev(federation, environment, lambda link: link.newest(key.name)))


async def as_dev(federation, environment, act):
    """Speak to another environment's witness as dev's registry does."""
    config = load_config(federation.folder / "environments" / "dev" / "environment.yaml")
    policy = parse_witness_policy(config.witnesses.read_bytes(), name="witnesses.policy")
    link = open_link(policy.witnesses[environment], config.tls_identity())
    try:
        return await act(link)
    finally:
        await link.close()


def test_the_cosigner_key_and_the_log_key_are_different_keys(witnessed):
    for name in ("dev", "staging", "prod"):
        folder = witnessed.folder / "environments" / name
        assert (folder / "witness-key.pem").read_bytes() != (folder / "log-key.pem").read_bytes()
        policy = parse_witness_policy((folder / "witnesses.policy").read_bytes(), name="p")
        for witness in policy.witnesses.values():
            assert isinstance(witness.verifier, LogVerifier)
            assert witness.verifier.key_type == 4
