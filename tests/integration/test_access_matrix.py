"""Every call of a registry by every role, allowed and denied, over real TLS; made from the table of permissions.

Each role has three identities: one that has it in the namespace ``risk``, one that has it everywhere, and one
that has it everywhere and is denied it. What the table allows must come past the door (it may fail behind it,
since the requests are hardly filled in); what it does not must be PERMISSION_DENIED, and say nothing else.
"""

from __future__ import annotations

import asyncio
from typing import get_args

import grpc
import grpc.aio
import pytest
import yaml
from google.protobuf import message_factory

from carnet.client.channel import TlsIdentity, open_channel
from carnet.client.federation import Federation
from carnet_server.access.bindings import Role
from carnet_server.access.permissions import PERMISSIONS, READERS
from carnet_server.app import RegistryApp
from carnet_server.config import load_config
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import Identity, Plan
from tests.integration.test_grpc_contract import REGISTRY

ROLES = get_args(Role)
PLAN = Plan(
    environments=("dev", "staging"),
    routes=(("dev", "staging", "pull"),),
    identities=(
        *(
            Identity(f"{role}-{kind}", "service", roles={"dev": (role,)})
            for role in ROLES
            for kind in ("here", "everywhere", "denied")
        ),
        Identity("nobody", "service"),
    ),
)
WAIT_SECONDS = 0.2
PATIENCE_SECONDS = 9.0


def limit_roles(folder) -> None:
    """Bind the roles of those who are ``here`` to one namespace, and deny theirs to those who are ``denied``."""
    path = folder / "environments" / "dev" / "trust.yaml"
    trust = yaml.safe_load(path.read_text())
    for binding in trust["roles"]:
        if binding["subject"].endswith("-here"):
            binding["namespaces"] = ["risk"]
    trust["denied"] = [
        {"subject": binding["subject"], "roles": list(binding["roles"])}
        for binding in trust["roles"]
        if binding["subject"].endswith("-denied")
    ]
    path.write_text(yaml.safe_dump(trust))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix") / "carnet"
    initialise(folder, base_port=0, plan=PLAN)
    limit_roles(folder)
    return folder


class Door:
    """A running registry, and who knocks."""

    def __init__(self, folder, app):
        self._folder, self._app = folder, app
        self._federation = Federation.load(folder)
        self._channels = {}

    def _channel(self, who: str):
        if who not in self._channels:
            place = "environments/staging" if who == "peer" else f"identities/{who}"
            keys = self._folder / place
            identity = TlsIdentity.load(keys / "tls.pem", keys / "tls-key.pem", self._federation.ca)
            name = self._federation.environment("dev").server_name
            self._channels[who] = open_channel(self._app.address, server_name=name, identity=identity)
        return self._channels[who]

    async def knock(self, who: str, path: str, namespace: str, *, opens: bool = False) -> grpc.StatusCode:
        """Make a call; of a stream that is to open, the first answer is awaited for a moment only."""
        method = REGISTRY[path]
        request = message_factory.GetMessageClass(method.input_type)()
        alias = "/aliases/champion" if path.split("/")[1].endswith("AliasService") else ""
        for field in {"parent", "name"} & set(request.DESCRIPTOR.fields_by_name):
            setattr(request, field, f"namespaces/{namespace}/models/fraud{alias if field == 'name' else ''}")
        kind = [
            "stream" if streaming else "unary"
            for streaming in (method.client_streaming, method.server_streaming)
        ]
        answer = message_factory.GetMessageClass(method.output_type)
        call = getattr(self._channel(who), "_".join(kind))(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )(iter([request]) if method.client_streaming else request, timeout=10)
        try:
            if not method.server_streaming:
                await call
            else:
                await asyncio.wait_for(anext(aiter(call), None), WAIT_SECONDS if opens else PATIENCE_SECONDS)
        except TimeoutError:
            return grpc.StatusCode.OK  # a stream that waits for news was let in
        except grpc.aio.AioRpcError as error:
            return error.code()
        finally:
            call.cancel()
        return grpc.StatusCode.OK

    async def close(self):
        for channel in self._channels.values():
            await channel.close()


@pytest.fixture
async def door(folder):
    app = await RegistryApp.start(load_config(folder / "environments" / "dev" / "environment.yaml"))
    door = Door(folder, app)
    yield door
    await door.close()
    await app.stop(grace_seconds=0)


def expected(path: str, role: str, kind: str, namespace: str) -> bool:
    """Whether the table lets a role's identity do a call there."""
    permission = PERMISSIONS[path]
    if role not in permission.roles or kind == "denied":
        return False
    if permission.everywhere:
        return kind == "everywhere"
    return kind == "everywhere" or permission.place is None or namespace == "risk"


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_what_the_table_says_where_it_is_held_and_nothing_else(door, role):
    wrong = []
    for path in PERMISSIONS:
        for kind in ("here", "everywhere", "denied"):
            for namespace in ("risk", "growth") if PERMISSIONS[path].place else ("risk",):
                may = expected(path, role, kind, namespace)
                code = await door.knock(f"{role}-{kind}", path, namespace, opens=may)
                if (code is not grpc.StatusCode.PERMISSION_DENIED) is not may:
                    wrong.append((path, f"{role}-{kind}", namespace, code))
    assert wrong == []


async def test_a_peer_opens_what_the_table_says_and_nothing_else(door):
    wrong = []
    for path, permission in PERMISSIONS.items():
        may = "peer" in permission.roles
        code = await door.knock("peer", path, "risk", opens=may)
        if (code is not grpc.StatusCode.PERMISSION_DENIED) is not may:
            wrong.append((path, code))
    assert wrong == []


async def test_whoever_has_no_role_opens_nothing(door):
    codes = {path: await door.knock("nobody", path, "risk", opens=False) for path in PERMISSIONS}
    assert set(codes.values()) == {grpc.StatusCode.PERMISSION_DENIED}


def test_every_role_opens_something_and_only_the_promotion_service_and_operators_move_things():
    for role in READERS:
        assert any(role in permission.roles for permission in PERMISSIONS.values())
    movers = {
        path.rpartition("/")[2]
        for path, each in PERMISSIONS.items()
        if each.acts and "operator" in each.roles
    }
    stages = {"RevokeVersion", "SetStage", "ArchiveVersions", "PurgeVersions"}
    rollouts = {"StartRollout", "StopRollout", "CompleteRollout"}
    marks = {"MarkChampion", "UnmarkChampion"}
    assert movers == stages | rollouts | marks | {
        "SetAlias",
        "DeleteAlias",
        "RollbackAlias",
        "DrillAlias",
    }
