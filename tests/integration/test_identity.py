"""Identities on a running registry: what is renewed, revoked and changed while connections stay open."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import get_args

import grpc
import grpc.aio
import pytest
import yaml
from cryptography import x509

import carnet
from carnet.client.channel import TlsIdentity, TokenIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.errors import (
    CarnetError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from carnet.registry.v1 import environment_pb2, log_pb2, models_pb2
from carnet.signing.keys import SigningKey
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.access.bindings import Role
from carnet_server.access.permissions import PERMISSIONS
from carnet_server.access.scope import enter_scope
from carnet_server.access.trust import load_trust
from carnet_server.app import RegistryApp
from carnet_server.config import load_config
from carnet_server.local.authority import Authority
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import TRUST_DOMAIN, Identity, Plan
from tests.integration.test_access_matrix import Door
from tests.support.bundles import make_bundle_directory
from tests.support.oidc import Issuer, github_claims, gitlab_claims

PLAN = Plan(
    environments=("dev", "staging"),
    routes=(("dev", "staging", "pull"),),
    identities=(
        Identity("reader", "service", roles={"dev": ("reader",)}),
        Identity("other", "service", roles={"dev": ("reader",)}),
    ),
)
READER = PLAN.identities[0].subject
GET_ENVIRONMENT = environment_pb2.GetEnvironmentRequest()


class House:
    """A registry that runs in this process, and its files."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = folder / "environments" / "dev"
        self._connections = []

    def configure(self, **fields):
        path = self.environment / "environment.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | fields))

    async def start(self):
        self.app = await RegistryApp.start(load_config(self.environment / "environment.yaml"))
        await self.app._reload.stop()
        self.app._identity._every_seconds = 0

    async def stop(self):
        for connection in self._connections:
            await connection.close()
        await self.app.stop(grace_seconds=0)

    def connect(self, name="reader", *, folder=None, ca=None):
        folder = folder or self.folder / "identities" / name
        identity = TlsIdentity.load(
            folder / "tls.pem", folder / "tls-key.pem", ca or self.folder / "ca" / "ca.pem"
        )
        connection = RegistryConnection(
            self.app.address,
            server_name=Federation.load(self.folder).environment("dev").server_name,
            identity=identity,
            environment="dev",
        )
        connection.channel._identity._every_seconds = 0
        self._connections.append(connection)
        return connection

    def connect_by_token(self, token, *, address=None):
        identity = TokenIdentity((self.folder / "ca" / "ca.pem").read_bytes(), lambda: token)
        connection = RegistryConnection(
            address or self.app.bearer_address,
            server_name=Federation.load(self.folder).environment("dev").server_name,
            identity=identity,
            environment="dev",
        )
        self._connections.append(connection)
        return connection

    def change(self, document="trust", **fields):
        """Change a document's file and raise its version; ``fields`` are put in."""
        path = self.environment / f"{document}.yaml"
        value = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(value | {"version": value["version"] + 1} | fields))

    async def look(self):
        await self.app._reload.look()

    async def entries(self):
        rows = await self.app._log.entries(0, 1000)
        return [parse_entry(data) for _, data, _ in rows]


async def ask(connection):
    method = connection.environment.GetEnvironment
    return (await connection.call(method, GET_ENVIRONMENT, deadline_seconds=5)).environment


@pytest.fixture
async def house(tmp_path):
    initialise(tmp_path / "carnet", base_port=0, plan=PLAN)
    house = House(tmp_path / "carnet")
    house.configure(bearer_listen="127.0.0.1:0")
    await house.start()
    yield house
    await house.stop()


def revoke(**names):
    return names | {"since": "2026-01-02T00:00:00Z", "reason": "lost"}


# --- documents ------------------------------------------------------------------------------------------------


async def test_a_revoked_subject_is_refused_on_the_connection_that_it_has_open(house):
    reader, other = house.connect("reader"), house.connect("other")
    assert (await ask(reader)).name == "dev"
    house.change(revoked=[revoke(subject=READER)])
    await house.look()
    with pytest.raises(UnauthenticatedError, match="is revoked"):
        await ask(reader)
    await ask(other)
    last = (await house.entries())[-1]
    assert (last.type, last.new) == (EntryType.TRUST_CHANGED, house.app._state.trust.current.digest)


async def test_a_watch_of_a_revoked_subject_hears_nothing_more(house):
    reader = house.connect("reader")
    house.change(roles=[{"subject": READER, "roles": ["auditor"]}])
    await house.look()
    heard = []
    with pytest.raises(UnauthenticatedError, match="is revoked"):
        async for entry in reader.stream(reader.log.WatchEntries, log_pb2.WatchEntriesRequest()):
            if not heard:
                house.change(revoked=[revoke(subject=READER)])
                await house.look()
            heard.append(entry)
    assert len(heard) < len(await house.entries())


async def test_a_changed_document_is_in_force_within_seconds_and_with_its_entry(house):
    house.app._reload.start()
    before = len(await house.entries())
    house.change(roles=[])
    reader = house.connect()
    for _ in range(60):
        if len(await house.entries()) > before:
            break
        await asyncio.sleep(0.1)
    with pytest.raises(PermissionDeniedError):
        await ask(reader)
    assert [entry.type for entry in (await house.entries())[before:]] == [EntryType.TRUST_CHANGED]


@pytest.mark.parametrize(
    ("document", "text", "said"),
    [
        ("trust", "schema: carnet.trust/v1\nversion: 9\n", "environment"),
        ("trust", "{", "trust.yaml:"),
        ("trust", None, "cannot be read"),
        ("policy", "schema: carnet.policy/v1\nenvironment: prod\nversion: 9\n", "policy.yaml"),
    ],
)
async def test_a_bad_document_is_not_loaded_and_the_last_good_one_stays(house, caplog, document, text, said):
    path = house.environment / f"{document}.yaml"
    good, before = path.read_text(), house.app._state.documents
    path.unlink() if text is None else path.write_text(text)
    await house.look()
    await house.look()
    loud = [each for each in caplog.records if "NOT in force" in each.getMessage()]
    assert len(loud) == 1
    assert said in loud[0].getMessage()
    assert house.app._state.documents == before
    await ask(house.connect())
    path.write_text(good)
    house.change(document)
    await house.look()
    assert house.app._state.documents != before
    assert house.app._state.refused == ()


async def test_an_older_document_is_not_loaded(house, caplog):
    house.change(version=7)
    await house.look()
    house.change(version=6, roles=[])
    await house.look()
    assert "version: 6 is older than 7" in caplog.text
    await ask(house.connect())


async def test_a_new_policy_is_what_the_registry_says_it_has(house):
    reader = house.connect()
    before = (await ask(reader)).policy_digest
    house.change("policy", version=99)
    await house.look()
    after = await ask(reader)
    assert after.policy_digest != before
    assert yaml.safe_load(after.policy)["version"] == 99
    assert (await house.entries())[-1].type is EntryType.POLICY_CHANGED


async def test_what_began_under_other_documents_writes_nothing(house):
    app = house.app
    caller_began = app._state.documents
    house.change()
    await house.look()

    async def write(documents):
        enter_scope(None, documents)
        return await app._writer.commit(lambda tx: "written")

    with pytest.raises(UnavailableError, match="changed meanwhile"):
        await asyncio.create_task(write(caller_began))
    assert await asyncio.create_task(write(app._state.documents)) == "written"
    assert await app._writer.commit(lambda tx: "written") == "written"


async def test_documents_whose_entry_cannot_be_written_are_not_in_force(house, monkeypatch):
    before = house.app._state.documents

    async def fail(change):
        house.app._state.put_in_force(house.app._state.policy, load_trust(data, environment="dev"))
        raise UnavailableError("the database is away")

    house.change()
    data = (house.environment / "trust.yaml").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(house.app._writer, "commit", fail)
        with pytest.raises(UnavailableError):
            await house.look()
    assert house.app._state.documents == before
    await house.look()
    assert house.app._state.trust.current.version == 2


# --- certificates ---------------------------------------------------------------------------------------------


async def test_the_servers_certificate_and_authority_change_without_a_restart(house, tmp_path):
    shutil.copy(house.folder / "ca" / "ca.pem", tmp_path / "old-ca.pem")
    old = house.connect(ca=tmp_path / "old-ca.pem")
    await ask(old)
    fresh = Authority.create(TRUST_DOMAIN)
    fresh.save(tmp_path / "new-ca")
    server_name = Federation.load(house.folder).environment("dev").server_name
    fresh.issue(
        tmp_path / "server", spiffe_id=f"spiffe://{TRUST_DOMAIN}/registry/dev", server_name=server_name
    )
    fresh.issue(tmp_path / "client", spiffe_id=READER)
    for name in ("tls.pem", "tls-key.pem"):
        shutil.copy(tmp_path / "server" / name, house.environment / name)
    shutil.copy(tmp_path / "new-ca" / "ca.pem", house.folder / "ca" / "ca.pem")
    await house.look()
    new = house.connect(folder=tmp_path / "client", ca=tmp_path / "new-ca" / "ca.pem")
    assert (await ask(new)).name == "dev"
    with pytest.raises(UnauthenticatedError, match="not believed here any more"):
        await ask(old)


async def test_clients_of_both_authorities_are_served_while_one_replaces_the_other(house, tmp_path):
    old = house.connect()
    await ask(old)
    fresh = Authority.create(TRUST_DOMAIN)
    fresh.save(tmp_path / "new-ca")
    fresh.issue(tmp_path / "client", spiffe_id=READER)
    ca = house.folder / "ca" / "ca.pem"
    both = ca.read_bytes() + (tmp_path / "new-ca" / "ca.pem").read_bytes()
    ca.write_bytes(both)
    await house.look()
    await ask(old)
    await ask(house.connect(folder=tmp_path / "client"))


async def test_a_certificate_whose_key_is_anothers_is_not_used(house, caplog):
    stranger = house.folder / "identities" / "other" / "tls.pem"
    shutil.copy(stranger, house.environment / "tls.pem")
    await house.look()
    await house.look()
    assert [each.levelname for each in caplog.records if "is not used" in each.getMessage()] == ["ERROR"]
    await ask(house.connect())


async def test_a_revoked_certificate_is_refused_and_its_subject_goes_on_with_another(house, tmp_path):
    reader = house.connect()
    await ask(reader)
    folder = house.folder / "identities" / "reader"
    serial = x509.load_pem_x509_certificate((folder / "tls.pem").read_bytes()).serial_number
    house.change(revoked=[revoke(serial=f"{serial:x}")])
    await house.look()
    with pytest.raises(UnauthenticatedError, match="this certificate"):
        await ask(reader)
    Authority.load(house.folder / "ca").issue(tmp_path / "again", spiffe_id=READER)
    for name in ("tls-key.pem", "tls.pem"):
        shutil.copy(tmp_path / "again" / name, folder / name)
    assert (await ask(reader)).name == "dev"


async def test_a_client_with_a_renewed_certificate_ends_its_calls_on_the_old_one(house, tmp_path):
    reader = house.connect("other")
    house.change(roles=[{"subject": PLAN.identities[1].subject, "roles": ["auditor"]}])
    await house.look()
    watching = aiter(reader.stream(reader.log.WatchEntries, log_pb2.WatchEntriesRequest()))
    there = [entry.index for entry in (await anext(watching)).entries]
    assert there == [*range(len(there))]
    Authority.load(house.folder / "ca").issue(tmp_path / "again", spiffe_id=PLAN.identities[1].subject)
    before = reader.channel._channel
    for name in ("tls-key.pem", "tls.pem"):
        shutil.copy(tmp_path / "again" / name, house.folder / "identities" / "other" / name)
    await reader.call(reader.models.ListModels, models_pb2.ListModelsRequest(parent="namespaces/-"))
    assert reader.channel._channel is not before
    house.change(roles=[{"subject": PLAN.identities[1].subject, "roles": ["auditor", "reader"]}])
    await house.look()
    assert [entry.index for entry in (await anext(watching)).entries] == [len(there)]
    await watching.aclose()


async def test_a_stranger_to_the_authority_gets_no_connection(house, tmp_path):
    stranger = Authority.create(TRUST_DOMAIN)
    stranger.issue(tmp_path / "stranger", spiffe_id=READER)
    connection = house.connect(folder=tmp_path / "stranger")
    with pytest.raises(UnavailableError):
        await connection.call(connection.environment.GetEnvironment, GET_ENVIRONMENT, deadline_seconds=1)


# --- tokens ---------------------------------------------------------------------------------------------------


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


async def trust_tokens(house, issuer, **fields):
    """Trust the jobs of one repository, on main and in one environment; ``fields`` are put in."""
    binding = {
        "issuer": issuer.url,
        "claims": {"repository": "acme/fraud", "ref": "refs/heads/main", "environment": "prod"},
        "roles": ["publisher", "reader"],
        "namespaces": ["risk"],
    }
    person = {"name": "alice", "claims": [{"issuer": issuer.url, "claims": {"actor": "alice-acme"}}]}
    house.change(
        version=house.app._state.trust.current.version + 1,
        **{
            "oidc": [{"issuer": issuer.url, "audience": "carnet-dev"}],
            "roles": [binding],
            "people": [person],
        }
        | fields,
    )
    await house.look()


async def test_a_job_of_github_actions_has_the_roles_of_its_claims_and_acts_for_a_person(house, issuer):
    await trust_tokens(house, issuer)
    job = house.connect_by_token(issuer.token(github_claims()))
    said = await ask(job)
    place = issuer.url.removeprefix("http://").replace(":", "%3A")
    assert said.caller == f"oidc:{place}:repo:acme/fraud:environment:prod"
    assert sorted(said.caller_roles) == ["publisher", "reader"]
    with pytest.raises(PermissionDeniedError):
        await job.call(job.models.ListModels, models_pb2.ListModelsRequest(parent="namespaces/growth"))


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "acme/fraud-fork"},
        {"repository": "mallory/fraud"},
        {"ref": "refs/heads/main-2"},
        {"ref": "refs/pull/7/merge"},
        {"environment": None},
        {"environment": "staging"},
    ],
)
async def test_a_job_of_another_place_has_no_role(house, issuer, claims):
    await trust_tokens(house, issuer)
    with pytest.raises(PermissionDeniedError):
        await ask(house.connect_by_token(issuer.token(github_claims(**claims))))


async def test_a_long_token_fits_and_one_that_is_too_long_is_refused(house, issuer):
    await trust_tokens(house, issuer)
    long = issuer.token(github_claims(groups="g" * 4150))
    assert 6500 < len(long) < 7168
    assert (await ask(house.connect_by_token(long))).name == "dev"
    with pytest.raises(UnauthenticatedError, match="7168"):
        await ask(house.connect_by_token(issuer.token(github_claims(groups="g" * 4400))))


async def test_a_job_of_gitlab_has_the_roles_of_the_beginning_of_a_claim(house, issuer):
    binding = {
        "issuer": issuer.url,
        "claims": {"project_path": "acme/*", "ref_protected": "true"},
        "roles": ["reader"],
    }
    await trust_tokens(house, issuer, roles=[binding], people=[])
    assert list((await ask(house.connect_by_token(issuer.token(gitlab_claims())))).caller_roles) == ["reader"]
    for claims in ({"project_path": "acmecorp/fraud"}, {"ref_protected": "false"}):
        with pytest.raises(PermissionDeniedError):
            await ask(house.connect_by_token(issuer.token(gitlab_claims(**claims))))


async def test_a_denial_by_claim_wins(house, issuer):
    denial = {"issuer": issuer.url, "claims": {"actor": "alice-acme"}, "roles": ["publisher", "reader"]}
    await trust_tokens(house, issuer, denied=[denial])
    with pytest.raises(PermissionDeniedError):
        await ask(house.connect_by_token(issuer.token(github_claims())))
    await ask(house.connect_by_token(issuer.token(github_claims(actor="bob"))))


async def test_a_revoked_subject_of_tokens_is_refused_while_its_token_is_good(house, issuer):
    await trust_tokens(house, issuer)
    job = house.connect_by_token(issuer.token(github_claims()))
    subject = (await ask(job)).caller
    await trust_tokens(house, issuer, revoked=[revoke(subject=subject)])
    with pytest.raises(UnauthenticatedError, match="is revoked"):
        await ask(job)


async def test_a_job_publishes_with_a_token_and_the_log_names_it(house, issuer, tmp_path, monkeypatch):
    key = SigningKey.generate()
    key.save(house.folder / "identities" / "reader" / "signing-key.pem")
    place = issuer.url.removeprefix("http://").replace(":", "%3A")
    subject = f"oidc:{place}:repo:acme/fraud:environment:prod"
    await trust_tokens(
        house,
        issuer,
        keys=[{"subject": subject, "pem": key.verification_key.pem, "purposes": ["bundle"]}],
    )
    path = house.folder / "federation.yaml"
    federation = yaml.safe_load(path.read_text())
    federation["environments"]["dev"]["bearer_endpoint"] = house.app.bearer_address
    path.write_text(yaml.safe_dump(federation))
    file = tmp_path / "token"
    file.write_text(issuer.token(github_claims()) + "\n")
    monkeypatch.setenv("CARNET_TOKEN_FILE", str(file))

    def publish():
        with carnet.connect(house.folder, identity="reader") as client:
            return client.push("dev/risk/fraud", make_bundle_directory(tmp_path))

    pushed = await asyncio.to_thread(publish)
    assert pushed.reference.version == 1
    actor = next(each.actor for each in await house.entries() if each.type is EntryType.VERSION_PUBLISHED)
    assert (actor.subject, actor.issuer, actor.method) == (subject, issuer.url, "oidc")


async def test_no_token_opens_the_door_of_certificates_nor_a_certificate_that_of_tokens(house, issuer):
    await trust_tokens(house, issuer)
    token = issuer.token(github_claims())
    with pytest.raises(UnavailableError):
        await ask(house.connect_by_token(token, address=house.app.address))
    connection = house.connect()
    stranger = RegistryConnection(
        house.app.bearer_address,
        server_name=Federation.load(house.folder).environment("dev").server_name,
        identity=connection.channel._used,
        environment="dev",
    )
    house._connections.append(stranger)
    with pytest.raises(UnauthenticatedError, match="authorization: Bearer"):
        await ask(stranger)


async def test_a_token_is_nowhere_in_errors_and_logs(house, issuer, caplog):
    caplog.set_level("DEBUG")
    await trust_tokens(house, issuer)
    tokens = [
        issuer.token(github_claims()),
        issuer.token(github_claims(exp=1, iat=1, nbf=1)),
        issuer.token(github_claims(aud="other")),
        issuer.token(github_claims(iss="https://elsewhere.example")),
        issuer.token(github_claims(repository="x/y")),
        issuer.unsigned_token(github_claims()),
    ]
    said = []
    for token in tokens:
        with contextlib.suppress(CarnetError):
            try:
                await ask(house.connect_by_token(token))
            except CarnetError as error:
                said.append(f"{error.message} {error.metadata}")
                raise
    assert len(said) == 5
    for token in tokens:
        for part in filter(None, token.split(".")):
            assert part[:40] not in caplog.text
            assert part[:40] not in "".join(said)


async def test_an_issuer_that_is_away_is_unavailable_and_its_tokens_are_good_when_it_is_back(house, issuer):
    await trust_tokens(house, issuer)
    issuer.answers["/.well-known/openid-configuration"] = (503, b"")
    job = house.connect_by_token(issuer.token(github_claims()))
    with pytest.raises(UnavailableError, match="HTTP 503"):
        await job.call(job.environment.GetEnvironment, GET_ENVIRONMENT, idempotent=False)
    issuer.answers.clear()
    keys = house.app._bearer_listener._scope._verifier._keys[issuer.url]
    keys._tried_at -= 60
    assert (await ask(job)).name == "dev"


class TokenDoor(Door):
    """The door of tokens; who knocks is the claim ``role`` of a token, and nobody has a certificate."""

    def __init__(self, house, issuer):
        super().__init__(house.folder, house.app)
        self._house, self._issuer = house, issuer

    def _channel(self, who):
        if who not in self._channels:
            token = self._issuer.token(github_claims(role=who))
            self._channels[who] = self._house.connect_by_token(token).channel
        return self._channels[who]


async def test_a_role_by_claim_opens_what_the_table_says_and_no_token_is_the_promotion_service(house, issuer):
    roles = [role for role in get_args(Role) if role != "promoter"]
    bindings = [{"issuer": issuer.url, "claims": {"role": role}, "roles": [role]} for role in roles]
    await trust_tokens(house, issuer, roles=bindings)
    door, wrong = TokenDoor(house, issuer), []
    for path, permission in PERMISSIONS.items():
        for who in (*roles, "promoter", "peer", "nobody"):
            code = await door.knock(who, path, "risk")
            opened = code is not grpc.StatusCode.PERMISSION_DENIED
            if opened is not (who in roles and who in permission.roles):
                wrong.append((path, who, code))
    assert wrong == []


async def test_no_call_is_open_without_a_token(house):
    door = TokenDoor(house, None)
    credentials = grpc.ssl_channel_credentials((house.folder / "ca" / "ca.pem").read_bytes())
    name = Federation.load(house.folder).environment("dev").server_name
    options = [("grpc.ssl_target_name_override", name)]
    async with grpc.aio.secure_channel(house.app.bearer_address, credentials, options=options) as channel:
        door._channels["nobody"] = channel
        codes = {path: await door.knock("nobody", path, "risk") for path in PERMISSIONS}
    assert set(codes.values()) == {grpc.StatusCode.UNAUTHENTICATED}
