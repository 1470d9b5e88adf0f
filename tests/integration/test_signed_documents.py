"""Documents that people must sign: what comes into force, at the start and while running, and what stays."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest
import yaml

from carnet.canonical import sha256_hex
from carnet.client.channel import TlsIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.errors import (
    DataLossError,
    DocumentInvalidError,
    FileUnreadableError,
    GateAwaitingError,
    LogTamperedError,
    PreconditionFailedError,
)
from carnet.registry.v1 import environment_pb2
from carnet.signing.document import read_header, sign_document, signatures_file
from carnet.signing.dsse import parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.times import parse_time
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.app import RegistryApp
from carnet_server.config import load_config
from carnet_server.environment import documents as documents_module
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import Identity, Plan, SignedDocuments
from tests.support.federation import LocalFederation

SIGNERS = ("bob", "carol", "dave")
PLAN = Plan(
    environments=("prod", "staging"),
    routes=(("staging", "prod", "pull"),),
    identities=(
        Identity("reader", "service", roles={"prod": ("reader",)}),
        *(Identity(name, "person", person=name, purposes=("approval",)) for name in (*SIGNERS, "mallory")),
    ),
    documents={"prod": SignedDocuments(2, SIGNERS)},
)
NOW = parse_time("2026-03-01T12:00:00Z")
BOTH = ("bob", "carol")


class Prod:
    """A registry in this process whose documents two people sign, and its files."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = folder / "environments" / "prod"
        self.app = None

    @property
    def config(self):
        return load_config(self.environment / "environment.yaml")

    async def start(self, config=None):
        self.app = await RegistryApp.start(config or self.config)
        await self.app._reload.stop()

    async def stop(self):
        if self.app is not None:
            await self.app.stop(grace_seconds=0)
            self.app = None

    async def restart(self):
        await self.stop()
        await self.start()

    async def look(self):
        await self.app._reload.look()

    def path(self, document):
        return self.environment / f"{document}.yaml"

    def key(self, name):
        return SigningKey.load(self.folder / "identities" / name / "signing-key.pem")

    def write(self, document="trust", *, by=BOTH, **fields):
        """Write a document with the next version, signed by some people; returns its bytes."""
        text = self.path(document).read_text()
        version = read_header(text.encode(), name=document).version
        changed = text.replace(
            f"\nversion: {version}\n", f"\nversion: {fields.get('version', version + 1)}\n"
        )
        assert changed != text or fields
        self.path(document).write_text(changed + "# changed\n")
        self.sign(document, *by)
        return self.path(document).read_bytes()

    def sign(self, document, *names, **said):
        """Write the signatures of a document; ``said`` is put into what is signed."""
        header = replace(read_header(self.path(document).read_bytes(), name="document"), **said)
        lines = [sign_document(header, self.key(name), NOW).to_bytes() + b"\n" for name in names]
        signatures_file(self.path(document)).write_bytes(b"".join(lines))

    def demand_no_signatures(self):
        path = self.environment / "environment.yaml"
        value = yaml.safe_load(path.read_text())
        self.demanded = value.pop("documents")
        path.write_text(yaml.safe_dump(value))

    def demand_signatures(self):
        path = self.environment / "environment.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"documents": self.demanded}))

    @property
    def versions(self):
        state = self.app._state
        return state.policy.document.version, state.trust.current.version

    @property
    def refused(self):
        return {each.name: each.reason for each in self.app._state.refused}

    async def changes(self):
        rows = await self.app._log.entries(0, 1000)
        entries = [parse_entry(data) for _, data, _ in rows]
        return [each for each in entries if each.type in {EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED}]

    async def ask(self):
        folder = self.folder / "identities" / "reader"
        identity = TlsIdentity.load(folder / "tls.pem", folder / "tls-key.pem", self.folder / "ca" / "ca.pem")
        server_name = Federation.load(self.folder).environment("prod").server_name
        async with RegistryConnection(
            self.app.address, server_name=server_name, identity=identity, environment="prod"
        ) as connection:
            method = connection.environment.GetEnvironment
            answer = await connection.call(
                method, environment_pb2.GetEnvironmentRequest(), deadline_seconds=5
            )
        return answer.environment

    def database(self):
        return closing(sqlite3.connect(self.environment / "data" / "registry.db"))


@pytest.fixture
async def prod(tmp_path):
    initialise(tmp_path / "carnet", base_port=0, plan=PLAN)
    prod = Prod(tmp_path / "carnet")
    yield prod
    await prod.stop()


async def taken(prod, how):
    """Have the files taken in, by a start or by the next look."""
    await (prod.restart() if how == "at start" else prod.look())


HOW = pytest.mark.parametrize("how", ["at start", "while running"])
BAD = {
    "unsigned": lambda prod, name: signatures_file(prod.path(name)).unlink(),
    "one signature of two": lambda prod, name: prod.sign(name, "bob"),
    "one person twice": lambda prod, name: prod.sign(name, "bob", "bob"),
    "somebody else": lambda prod, name: prod.sign(name, "bob", "mallory"),
    "for another environment": lambda prod, name: prod.sign(name, *BOTH, environment="staging"),
    "of another kind": lambda prod, name: prod.sign(
        name, *BOTH, kind="policy" if name == "trust" else "trust"
    ),
    "of another version": lambda prod, name: prod.sign(name, *BOTH, version=1),
    "over other bytes": lambda prod, name: prod.path(name).write_bytes(
        prod.path(name).read_bytes() + b"# more\n"
    ),
    "malformed": lambda prod, name: signatures_file(prod.path(name)).write_bytes(b'{"payload": \n\xff\n'),
    "too many": lambda prod, name: signatures_file(prod.path(name)).write_bytes(b"{}\n" * 100),
    "not YAML": lambda prod, name: prod.path(name).write_text("{"),
    "gone": lambda prod, name: prod.path(name).unlink(),
    "a folder": lambda prod, name: (prod.path(name).unlink(), prod.path(name).mkdir()),
}


@HOW
@pytest.mark.parametrize("document", ["policy", "trust"])
async def test_a_newer_document_that_two_people_signed_is_in_force_and_who_signed_is_in_the_log(
    prod, how, document
):
    await prod.start()
    first = prod.versions[document == "trust"]
    data = prod.write(document, by=("dave", "mallory", "bob"))
    await taken(prod, how)
    assert prod.versions[document == "trust"] == first + 1
    assert prod.refused == {}
    last = (await prod.changes())[-1]
    assert (last.new, last.envelope_digest) == (sha256_hex(data), sha256_hex(data))
    kept = await prod.app._log.document(last.request_digest)
    signed_by = [parse_envelope(line).signatures[0].keyid for line in kept.splitlines()]
    assert signed_by == [prod.key("dave").key_id, prod.key("bob").key_id]


@HOW
@pytest.mark.parametrize("document", ["policy", "trust"])
@pytest.mark.parametrize("bad", BAD)
async def test_what_is_not_signed_or_bad_is_not_in_force_and_the_last_good_one_stays(
    prod, how, document, bad, caplog
):
    await prod.start()
    before, entries = prod.app._state.documents, await prod.changes()
    prod.write(document)
    BAD[bad](prod, document)
    await taken(prod, how)
    assert prod.app._state.documents == before
    assert await prod.changes() == entries
    assert [*prod.refused] == [f"{document}.yaml"]
    assert "is NOT in force" in caplog.text
    answer = await prod.ask()
    assert [each.name for each in answer.refused_documents] == [f"{document}.yaml"]
    assert answer.refused_documents[0].reason == prod.refused[f"{document}.yaml"]
    assert answer.refused_documents[0].refused_at.ToJsonString().endswith("Z")


@HOW
@pytest.mark.parametrize("document", ["policy", "trust"])
async def test_an_older_document_is_refused_whoever_signed_it(prod, how, document):
    await prod.start()
    older = prod.write(document)
    signatures = signatures_file(prod.path(document)).read_bytes()
    await prod.look()
    prod.write(document)
    await prod.look()
    newest = prod.versions
    prod.path(document).write_bytes(older)
    signatures_file(prod.path(document)).write_bytes(signatures)
    await taken(prod, how)
    assert prod.versions == newest
    assert "is older than" in prod.refused[f"{document}.yaml"]


@HOW
async def test_the_same_version_with_other_bytes_is_refused_though_it_is_signed(prod, how):
    await prod.start()
    before = prod.app._state.documents
    prod.write("trust", version=prod.versions[1])
    await taken(prod, how)
    assert prod.app._state.documents == before
    assert "raise the version" in prod.refused["trust.yaml"]


async def test_the_environment_tells_versions_and_what_was_refused_is_forgotten_once_corrected(prod):
    await prod.start()
    prod.write("trust", by=("bob",))
    await prod.look()
    since = prod.app._state.refused[0].refused_at
    await prod.look()
    assert prod.app._state.refused[0].refused_at == since
    prod.sign("trust", *BOTH)
    await prod.look()
    answer = await prod.ask()
    assert not answer.refused_documents
    assert (answer.policy_version, answer.trust_version) == prod.versions
    assert answer.trust_digest == prod.app._state.trust.current.digest


async def test_the_same_documents_are_no_change_at_the_next_start(prod, caplog):
    await prod.start()
    entries = await prod.changes()
    assert [each.request_digest is not None for each in entries] == [True, True]
    await prod.restart()
    assert await prod.changes() == entries
    assert "WITHOUT" not in caplog.text
    assert prod.refused == {}


# --- the first start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("unsigned", GateAwaitingError),
        ("one signature of two", GateAwaitingError),
        ("one person twice", GateAwaitingError),
        ("for another environment", GateAwaitingError),
        ("malformed", GateAwaitingError),
        ("not YAML", DocumentInvalidError),
        ("gone", FileUnreadableError),
    ],
)
async def test_a_registry_that_never_had_a_good_document_does_not_start(prod, bad, error):
    BAD[bad](prod, "trust")
    with pytest.raises(error) as caught:
        await prod.start()
    assert "trust.yaml" in caught.value.message
    if error is GateAwaitingError:
        assert "carnet document sign" in caught.value.message


async def test_documents_from_before_signatures_were_demanded_stay_until_a_signed_one_comes(prod, caplog):
    prod.demand_no_signatures()
    await prod.start()
    signatures_file(prod.path("trust")).unlink()
    before = prod.app._state.documents
    prod.demand_signatures()
    await prod.restart()
    assert prod.app._state.documents == before
    loud = [each.getMessage() for each in caplog.records if "WITHOUT the signatures" in each.getMessage()]
    assert len(loud) == 1
    assert "trust.yaml" in loud[0]
    prod.write("trust")
    await prod.look()
    assert prod.versions[1] == 2
    caplog.clear()
    await prod.restart()
    assert "version 2 of prod's trust.yaml is in force WITHOUT" not in caplog.text


async def test_an_environment_without_signers_takes_unsigned_documents_and_still_no_older_ones(prod):
    prod.demand_no_signatures()
    await prod.start()
    older = prod.path("policy").read_bytes()
    prod.write("policy", by=())
    await prod.restart()
    newest = prod.versions
    assert (await prod.changes())[-1].request_digest is None
    prod.path("policy").write_bytes(older)
    await prod.restart()
    assert prod.versions == newest


# --- the database -------------------------------------------------------------------------------------------


async def test_a_document_in_force_that_this_version_cannot_read_is_replaced_by_a_newer_signed_one_only(
    prod, monkeypatch
):
    await prod.start()
    await prod.stop()
    real, stale = documents_module.load_policy, prod.path("policy").read_bytes()

    def refuse_the_stored_one(data, *, name):
        if data == stale:
            raise DocumentInvalidError("policy.yaml: a rule of another age")
        return real(data, name=name)

    monkeypatch.setattr(documents_module, "load_policy", refuse_the_stored_one)
    with pytest.raises(PreconditionFailedError, match="a rule of another age"):
        await prod.start()
    prod.write("policy", by=("bob",))
    with pytest.raises(PreconditionFailedError, match="signed by 2 different people"):
        await prod.start()
    prod.sign("policy", *BOTH)
    await prod.start()
    assert (await prod.changes())[-1].old == sha256_hex(stale)


async def test_a_table_that_was_set_back_to_an_older_document_is_noticed(prod):
    await prod.start()
    older = prod.app._state.trust.current.digest
    prod.write("trust")
    await prod.look()
    newest = prod.versions
    with prod.database() as connection:
        connection.execute("UPDATE documents_in_force SET digest = ? WHERE kind = 'trust'", (older,))
        connection.commit()
    with pytest.raises(LogTamperedError, match="documents_in_force"):
        await prod.look()
    assert prod.versions == newest
    with pytest.raises(LogTamperedError, match="documents_in_force"):
        await prod.restart()


async def test_a_stored_document_whose_bytes_were_edited_is_not_started_with(prod):
    await prod.start()
    digest = prod.app._state.trust.current.digest
    with prod.database() as connection:
        connection.execute("UPDATE documents SET data = ? WHERE digest = ?", (b"schema: x\n", digest))
        connection.commit()
    with pytest.raises(DataLossError, match=digest):
        await prod.restart()


async def test_processes_over_one_database_agree_whatever_their_own_files_say(prod, tmp_path):
    await prod.start()
    stale = tmp_path / "stale"
    stale.mkdir()
    for path in prod.environment.glob("*.yaml*"):
        (stale / path.name).write_bytes(path.read_bytes())
    other = Prod(prod.folder)
    config = replace(
        prod.config, trust=stale / "trust.yaml", policy=stale / "policy.yaml", listen="127.0.0.1:0"
    )
    await other.start(config)
    try:
        prod.write("trust")
        await prod.look()
        entries = await prod.changes()
        await other.look()
        assert other.app._state.documents == prod.app._state.documents
        assert "is older than" in other.refused["trust.yaml"]
        prod.write("policy")
        await prod.look()
        await other.look()
        await prod.look()
        assert other.app._state.documents == prod.app._state.documents
        assert len(await prod.changes()) == len(entries) + 1
    finally:
        await other.stop()


async def test_of_two_processes_that_take_new_documents_at_once_neither_undoes_the_others(prod):
    await prod.start()
    other = Prod(prod.folder)
    await other.start(replace(prod.config, listen="127.0.0.1:0"))
    try:
        prod.write("trust")
        prod.write("policy")
        before = len(await prod.changes())
        await asyncio.gather(prod.look(), other.look())
        assert other.app._state.documents == prod.app._state.documents
        # Whichever wrote them knows of both at once; the other one follows.
        assert max(len(await prod.changes()), len(await other.changes())) == before + 2
    finally:
        await other.stop()


# --- real processes -----------------------------------------------------------------------------------------


def test_a_process_that_is_started_on_an_older_policy_keeps_the_newer_one(tmp_path):
    federation = LocalFederation(tmp_path / "carnet")
    try:
        federation.start("prod")
        prod = Prod(federation.folder)
        older = {path: path.read_bytes() for path in prod.environment.glob("policy.yaml*")}
        prod.write("policy")
        newer = sha256_hex(prod.path("policy").read_bytes())
        wait_until_in_force(federation, newer)
        federation.kill("prod")
        for path, data in older.items():
            path.write_bytes(data)
        federation.start("prod")
        answers = federation.cli_json("environments", identity="bob")["environments"]
        found = next(each for each in answers if each["name"] == "prod")
        assert found["policy_digest"] == newer
        (refused,) = found["refused_documents"]
        assert refused["name"] == "policy.yaml"
        assert "is older than" in refused["reason"]
        page = federation.cli("environments", identity="bob").stdout
        (told,) = [line for line in page.splitlines() if "NOT in force" in line]
        assert told.startswith("prod: policy.yaml is NOT in force since ")
        assert "is older than" in told
        export = tmp_path / "export"
        federation.cli("audit", "export", str(export), "--environment", "prod", identity="dave")
        federation.cli("audit", "verify", "--offline", str(export), identity="dave")
        signatures = federation.query(
            "prod", "SELECT digest FROM documents WHERE media_type LIKE '%signatures%'"
        )
        assert {digest for (digest,) in signatures} <= set(os.listdir(export / "prod" / "envelopes"))
        assert len(signatures) == 3
    finally:
        federation.stop()


def wait_until_in_force(federation, digest):
    for _ in range(200):
        if (digest,) in federation.query("prod", "SELECT digest FROM documents_in_force"):
            return
        time.sleep(0.05)
    raise AssertionError(digest)
