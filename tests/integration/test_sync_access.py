"""Who gets into the promotion service, by certificate and by token: real calls, made from its table of permissions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from types import SimpleNamespace
from typing import get_args

import grpc
import grpc.aio
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from google.protobuf import message_factory

from carnet.client.channel import TokenIdentity
from carnet.client.connection import SyncConnection
from carnet.errors import (
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from carnet.signing.keys import SigningKey
from carnet.sync.v1 import promotions_pb2
from carnet_sync.access import PERMISSIONS
from carnet_sync.app import SyncApp
from carnet_sync.callers import Role
from carnet_sync.config import load_config
from tests.integration.test_grpc_contract import SYNC
from tests.support.federation import LocalFederation
from tests.support.forks import run_program
from tests.support.oidc import Issuer, github_claims
from tests.support.simulator import AWAITING, DOMAIN, Authority, SimulatedFederation

ROLES = get_args(Role)
AUDIENCE = "carnet-promotions"
SERVER_NAME = "sync.carnet.internal"


class House:
    """A promotion service that runs in this process over simulated registries, and its files."""

    def __init__(self, federation, issuer, folder):
        self.federation, self.issuer, self.folder = federation, issuer, folder
        self._connections = []
        document = federation.configuration(
            folder,
            bearer_listen="127.0.0.1:0",
            oidc=[{"issuer": issuer.url, "audience": AUDIENCE}],
            callers=[
                *({"subject": f"{DOMAIN}/service/{role}", "roles": [role]} for role in ROLES),
                *(self.by_claims(role, role=role) for role in ROLES),
            ],
        )
        self.path = folder / "sync.yaml"
        self.path.write_text(json.dumps(document))

    def by_claims(self, *roles, **claims):
        return {"issuer": self.issuer.url, "claims": claims, "roles": list(roles)}

    async def start(self):
        self.app = await SyncApp.start(load_config(self.path))
        self.app._identity._every_seconds = 0

    async def stop(self):
        for connection in self._connections:
            await connection.close()
        await self.app.stop(grace_seconds=0)

    async def change(self, **fields):
        """Change fields of the configuration, and look at it."""
        self.path.write_text(json.dumps(json.loads(self.path.read_text()) | fields))
        await self.app._reload.look()

    async def revoke(self, **name):
        await self.change(revoked=[name | {"since": "2026-01-02T00:00:00Z", "reason": "lost"}])

    def _keep(self, connection):
        self._connections.append(connection)
        return connection

    def by_certificate(self, name="requester", *, address=None, identity=None):
        identity = identity or self.federation.authority.identity(f"service/{name}")
        address = address or self.app.address
        return self._keep(SyncConnection(address, server_name=SERVER_NAME, identity=identity))

    def by_token(self, token, *, address=None):
        identity = TokenIdentity(self.federation.authority.pem, token if callable(token) else lambda: token)
        address = address or self.app.bearer_address
        return self._keep(SyncConnection(address, server_name=SERVER_NAME, identity=identity))

    def token(self, role="requester", **claims):
        return self.issuer.token(github_claims(**{"aud": AUDIENCE, "role": role} | claims))


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture
async def house(issuer, tmp_path):
    async with SimulatedFederation() as federation:
        house = House(federation, issuer, tmp_path / "sync")
        await house.start()
        yield house
        await house.stop()


async def knock(connection, path):
    """Make a call with an empty request, and return what became of it."""
    method = SYNC[path]
    kind = "unary_stream" if method.server_streaming else "unary_unary"
    call = getattr(connection.channel, kind)(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )(message_factory.GetMessageClass(method.input_type)(), timeout=10)
    try:
        await (anext(aiter(call), None) if method.server_streaming else call)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def ask(connection):
    await connection.call(
        connection.promotions.ListPromotions, promotions_pb2.ListPromotionsRequest(), deadline_seconds=5
    )


async def create(connection, request):
    answer = await connection.call(
        connection.promotions.CreatePromotion, promotions_pb2.CreatePromotionRequest(request=request)
    )
    return answer.promotion


def watch(connection, name, **options):
    return connection.stream(
        connection.promotions.WatchPromotion, promotions_pb2.WatchPromotionRequest(name=name), **options
    )


# --- the table --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
@pytest.mark.parametrize("shown", ["certificate", "token"])
async def test_a_role_opens_what_the_table_says_and_nothing_else(house, role, shown):
    connection = house.by_certificate(role) if shown == "certificate" else house.by_token(house.token(role))
    wrong = []
    for path in SYNC:
        code = await knock(connection, path)
        assert code not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE)
        if (code is not grpc.StatusCode.PERMISSION_DENIED) is not (role in PERMISSIONS[path]):
            wrong.append((path, code))
    assert wrong == []


async def test_no_token_opens_the_door_of_certificates_nor_a_certificate_that_of_tokens(house):
    for path in SYNC:
        code = await knock(house.by_token(house.token("operator"), address=house.app.address), path)
        assert code is grpc.StatusCode.UNAVAILABLE
        connection = house.by_certificate("operator", address=house.app.bearer_address)
        assert await knock(connection, path) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_service_without_an_address_for_tokens_listens_for_none(issuer, tmp_path):
    async with SimulatedFederation() as federation:
        house = House(federation, issuer, tmp_path / "sync")
        document = json.loads(house.path.read_text())
        del document["bearer_listen"]
        house.path.write_text(json.dumps(document))
        await house.start()
        assert house.app.bearer_address == ""
        await ask(house.by_certificate())
        await house.stop()


# --- a job without a certificate ----------------------------------------------------------------------------


async def test_a_job_asks_for_a_promotion_watches_it_and_reads_it(house):
    job = house.by_token(house.token())
    promotion = await create(job, house.federation.request())
    place = house.issuer.url.removeprefix("http://").replace(":", "%3A")
    assert promotion.requester == f"oidc:{place}:repo:acme/fraud:environment:prod"
    states = [answer.promotion.state async for answer in watch(job, promotion.name)]
    assert states[-1] == promotions_pb2.PROMOTION_STATE_SUCCEEDED
    answer = await job.call(
        job.promotions.GetPromotion, promotions_pb2.GetPromotionRequest(name=promotion.name)
    )
    assert answer.promotion.state == states[-1]


async def test_a_job_cancels_its_own_promotion_and_an_operator_by_token_anybodys(house):
    house.federation.staging.script.answers = [int(AWAITING)]
    job, other = house.by_token(house.token()), house.by_token(house.token(sub="repo:acme/other"))

    async def cancel(connection, name, key=None):
        own, house.federation.key = house.federation.key, key or house.federation.key
        envelope = house.federation.cancellation(name.removeprefix("promotions/"))
        house.federation.key = own
        request = promotions_pb2.CancelPromotionRequest(name=name, envelope=envelope)
        return (await connection.call(connection.promotions.CancelPromotion, request)).promotion

    for canceller in (job, house.by_token(house.token("operator", sub="repo:acme/ops"))):
        name = (await create(job, house.federation.request())).name
        async for answer in watch(job, name):
            if answer.event.state == promotions_pb2.PROMOTION_STATE_AWAITING:
                break
        with pytest.raises(PermissionDeniedError, match="oidc:.*/other needs the role operator"):
            await cancel(other, name, SigningKey.generate())
        assert (await cancel(canceller, name)).state == promotions_pb2.PROMOTION_STATE_CANCELLED


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1, "iat": 1, "nbf": 1},
        {"aud": "carnet-dev"},
        {"iss": "https://elsewhere.example"},
        {"sub": None},
    ],
)
async def test_a_token_that_is_not_good_is_refused_and_shown_nowhere(house, claims, caplog):
    caplog.set_level("DEBUG")
    token = house.token(**claims)
    with pytest.raises(UnauthenticatedError) as caught:
        await ask(house.by_token(token))
    for part in token.split("."):
        assert part[:40] not in caplog.text
        assert part[:40] not in caught.value.message + str(caught.value.metadata)


async def test_a_token_that_its_issuer_did_not_sign_is_refused(house):
    claims = github_claims(aud=AUDIENCE, role="operator")
    for forged in (
        house.issuer.unsigned_token(claims),
        house.issuer.token_signed_with_the_public_key(claims),
        "a.b.c",
    ):
        with pytest.raises(UnauthenticatedError):
            await ask(house.by_token(forged))


async def test_a_stream_that_outlived_its_token_is_begun_anew_with_a_new_one(house, monkeypatch):
    house.federation.staging.script.answers = [int(AWAITING)]
    job = house.by_token(house.token())
    name = (await create(job, house.federation.request())).name
    watching = watch(job, name, deadline_seconds=20)
    await anext(watching)
    later = SimpleNamespace(time=lambda: 2**40)
    monkeypatch.setattr("carnet_sync.bearer.time", later)
    await house.change(revoked=[])
    await house.change(callers=[house.by_claims("requester", repository="acme/fraud")])
    with pytest.raises(UnavailableError, match="begin again with a new one"):
        async for _ in watching:
            pass
    await anext(watch(job, name))


# --- who is not let in any more -------------------------------------------------------------------------------


async def test_a_revoked_subject_is_refused_on_the_connections_that_it_has_open(house):
    subjects = {
        f"{DOMAIN}/service/requester": house.by_certificate(),
        f"oidc:{house.issuer.url.removeprefix('http://').replace(':', '%3A')}:repo:acme/x": house.by_token(
            house.token(sub="repo:acme/x")
        ),
    }
    others = (house.by_certificate("reader"), house.by_token(house.token("reader")))
    for subject, connection in subjects.items():
        await ask(connection)
        await house.revoke(subject=subject)
        with pytest.raises(
            UnauthenticatedError, match="is revoked here, compromised since 2026-01-02"
        ) as caught:
            await ask(connection)
        assert caught.value.metadata["subject"] == subject
        for other in others:
            await ask(other)
        await house.change(revoked=[])
        await ask(connection)


@pytest.mark.parametrize("kind", ["serial", "fingerprint"])
async def test_a_revoked_certificate_is_refused_and_its_subject_goes_on_with_another(house, kind):
    lost = house.federation.authority.identity("service/requester")
    certificate = x509.load_pem_x509_certificate(lost.certificate)
    name = {
        "serial": f"{certificate.serial_number:x}",
        "fingerprint": certificate.fingerprint(SHA256()).hex(),
    }[kind]
    connection = house.by_certificate(identity=lost)
    await ask(connection)
    await house.revoke(**{kind: name})
    with pytest.raises(UnauthenticatedError, match="this certificate of spiffe://carnet.internal"):
        await ask(connection)
    await ask(house.by_certificate())


@pytest.mark.parametrize("shown", ["certificate", "token"])
@pytest.mark.parametrize("how", ["revoked", "without a role"])
async def test_a_stream_tells_nothing_more_to_who_is_not_let_in_any_more(house, shown, how):
    house.federation.staging.script.answers = [int(AWAITING)]
    operator = house.by_certificate("operator")
    name = (await create(house.by_certificate(), house.federation.request())).name
    watcher = (
        house.by_certificate("reader") if shown == "certificate" else house.by_token(house.token("reader"))
    )
    watching = watch(watcher, name, deadline_seconds=20)
    async for answer in watching:
        if answer.event.state == promotions_pb2.PROMOTION_STATE_AWAITING:
            break
    if how == "revoked":
        place = house.issuer.url.removeprefix("http://").replace(":", "%3A")
        subject = f"oidc:{place}:repo:acme/fraud:environment:prod"
        await house.revoke(subject=subject if shown == "token" else f"{DOMAIN}/service/reader")
    else:
        await house.change(callers=[{"subject": f"{DOMAIN}/service/operator", "roles": ["operator"]}])
    envelope = house.federation.cancellation(name.removeprefix("promotions/"))
    await operator.call(
        operator.promotions.CancelPromotion,
        promotions_pb2.CancelPromotionRequest(name=name, envelope=envelope),
    )
    told = []
    with pytest.raises(UnauthenticatedError if how == "revoked" else PermissionDeniedError):
        async for answer in watching:
            told.append(answer)
    assert told == []


async def test_a_certificate_that_has_ended_is_refused_on_an_open_connection(house, monkeypatch):
    connection = house.by_certificate()
    await ask(connection)
    monkeypatch.setattr("carnet.serving.callers.certificates.time", SimpleNamespace(time=lambda: 2**40))
    with pytest.raises(UnauthenticatedError, match="has ended"):
        await ask(connection)


async def test_another_authority_is_taken_without_a_restart_and_the_old_one_believed_no_more(house):
    old = house.by_certificate()
    await ask(old)
    authority = Authority()
    renewed = authority.identity("sync", server_name=SERVER_NAME)
    for name, data in (
        ("ca.pem", renewed.ca),
        ("tls.pem", renewed.certificate),
        ("tls-key.pem", renewed.private_key),
    ):
        (house.folder / name).write_bytes(data)
    await house.app._reload.look()
    await ask(house.by_certificate(identity=authority.identity("service/requester")))
    with pytest.raises(UnauthenticatedError, match="is not believed here any more"):
        await ask(old)


async def test_the_file_is_followed_by_itself_and_an_invalid_one_changes_nothing(house, caplog):
    stranger = house.by_certificate("stranger")
    good = json.loads(house.path.read_text())

    async def until(outcome):
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(outcome):
                    return await ask(stranger)
                await asyncio.sleep(0.1)

    house.path.write_text("callers: [")
    await house.app._reload.look()
    with pytest.raises(PermissionDeniedError):
        await ask(stranger)
    await ask(house.by_certificate())
    assert "NOT in force" in caplog.text
    entry = {"subject": f"{DOMAIN}/service/stranger", "roles": ["reader"]}
    house.path.write_text(json.dumps(good | {"callers": [*good["callers"], entry]}))
    await until(PermissionDeniedError)


# --- what an outsider learns ------------------------------------------------------------------------------------


async def test_whoever_has_no_role_is_told_the_same_of_a_promotion_that_is_there_and_of_none(house):
    name = (await create(house.by_certificate(), house.federation.request())).name
    said = set()
    for stranger in (house.by_certificate("nobody"), house.by_token(house.token("nobody"))):
        for each in (name, "promotions/" + "0" * 32, "no name"):
            request = promotions_pb2.GetPromotionRequest(name=each)
            with pytest.raises(PermissionDeniedError) as caught:
                await stranger.call(stranger.promotions.GetPromotion, request)
            said.add(caught.value.message.partition(" may not")[2])
    assert len(said) == 1


# --- the command line, with tokens and without a certificate --------------------------------------------------------


class Job:
    """A job on a machine with a signing key, a token for each audience, and no certificate."""

    def __init__(self, federation, issuer, tmp_path):
        self.federation, self.issuer = federation, issuer
        self.folder = federation.folder
        self.files = {"DEV": tmp_path / "dev.jwt", "PROMOTIONS": tmp_path / "promotions.jwt"}
        self.renew()

    def renew(self):
        for name, audience in (("DEV", "carnet-dev"), ("PROMOTIONS", AUDIENCE)):
            self.files[name].write_text(self.issuer.token(github_claims(aud=audience)) + "\n")

    def run(self, *arguments, check=0, **variables):
        tokens = {f"CARNET_TOKEN_FILE_{name}": str(path) for name, path in self.files.items()}
        own = {"CARNET_DIR": str(self.folder), "CARNET_IDENTITY": "ci", "NO_COLOR": "1"}
        environment = os.environ | own | tokens | variables
        done = run_program("carnet", *arguments, "-o", "json", environment=environment, timeout=60)
        assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


def change(path, **fields):
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(document | fields, sort_keys=False))
    return document


@pytest.fixture
def job(issuer, tmp_path):
    federation = LocalFederation(tmp_path / "carnet")
    folder = federation.folder
    pinned = yaml.safe_load((folder / "federation.yaml").read_text())
    addresses = {
        name: f"127.0.0.1:{int(part['endpoint'].rpartition(':')[2]) + 1000}"
        for name, part in {**pinned["environments"], "sync": pinned["sync"]}.items()
    }
    pinned["environments"]["dev"]["bearer_endpoint"] = addresses["dev"]
    pinned["sync"]["bearer_endpoint"] = addresses["sync"]
    change(folder / "federation.yaml", **pinned)
    by_claims = {"issuer": issuer.url, "claims": {"repository": "acme/fraud"}}
    dev = folder / "environments" / "dev"
    change(dev / "environment.yaml", bearer_listen=addresses["dev"])
    trust = yaml.safe_load((dev / "trust.yaml").read_text())
    change(
        dev / "trust.yaml",
        oidc=[{"issuer": issuer.url, "audience": "carnet-dev"}],
        roles=[*trust["roles"], by_claims | {"roles": ["reader"]}],
    )
    sync = folder / "sync" / "sync.yaml"
    callers = yaml.safe_load(sync.read_text())["callers"]
    change(
        sync,
        bearer_listen=addresses["sync"],
        oidc=[{"issuer": issuer.url, "audience": AUDIENCE}],
        callers=[*callers, by_claims | {"roles": ["requester"]}],
    )
    federation.start("dev", "staging", "sync")
    yield Job(federation, issuer, tmp_path)
    federation.stop()


def test_a_job_promotes_from_the_command_line_with_tokens_and_no_certificate(job, tmp_path):
    reference = str(job.federation.publish(tmp_path))
    for name in ("tls.pem", "tls-key.pem"):
        (job.folder / "identities" / "ci" / name).unlink()

    asked = json.loads(job.run("promote", reference, "--to", "staging").stdout)
    assert asked["requester"].startswith("oidc:127.0.0.1%3A")
    job.run("promotions", "watch", asked["id"], "--timeout", "2s", check=5)
    assert asked["id"] in job.run("promotions", "ls").stdout
    assert json.loads(job.run("promotions", "show", asked["id"]).stdout)["state"] == "AWAITING"
    said = job.run("promotions", "retry", asked["id"], check=7).stderr
    assert "only one that is FAILED can be retried" in said
    job.renew()
    cancelled = job.run("promotions", "cancel", asked["id"], "--reason", "a better one is ready")
    assert json.loads(cancelled.stdout)["state"] == "CANCELLED"

    said = job.run("promotions", "ls", check=4, CARNET_TOKEN_FILE_PROMOTIONS=str(job.files["DEV"])).stderr
    assert "is not for the audience 'carnet-promotions'" in said
    said = job.run("promotions", "ls", check=2, CARNET_TOKEN_FILE_PROMOTIONS="").stderr
    assert "certificate" in said
