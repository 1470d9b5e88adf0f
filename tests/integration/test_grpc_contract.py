"""The contract over the wire: every call of every service, by descriptor, against running processes.

No call is forgotten by the tables of permissions, says anything to whoever has no role, or fails otherwise than
with one typed error; health and reflection answer; a page's token is good for its query only.
"""

from __future__ import annotations

import base64
import contextlib
import json

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import carnet_server.app
import carnet_sync.access
import carnet_sync.app
from carnet.client.channel import TlsIdentity
from carnet.client.status import CLASS_OF_REASON, ERROR_DOMAIN, STATUS_DETAILS_KEY, code_of
from carnet.errors import CarnetError
from carnet.registry.v1 import (
    admission_pb2,
    aliases_pb2,
    blobs_pb2,
    environment_pb2,
    evidence_pb2,
    identity_pb2,
    log_pb2,
    models_pb2,
    retention_pb2,
    rollouts_pb2,
    search_pb2,
    stamps_pb2,
    witness_pb2,
)
from carnet.sync.v1 import compliance_pb2, environments_pb2, promotions_pb2
from carnet_server.access.permissions import PERMISSIONS
from carnet_server.local.authority import Authority

REGISTRY_FILES = (
    admission_pb2,
    aliases_pb2,
    blobs_pb2,
    environment_pb2,
    evidence_pb2,
    identity_pb2,
    log_pb2,
    models_pb2,
    retention_pb2,
    rollouts_pb2,
    search_pb2,
    stamps_pb2,
    witness_pb2,
)
SYNC_FILES = (compliance_pb2, environments_pb2, promotions_pb2)
KNOWN = "namespaces/contract/models/known"
STRANGER = "spiffe://carnet.internal/service/stranger"
SECONDS = 5.0


def methods_of(files) -> dict[str, object]:
    return {
        f"/{service.full_name}/{method.name}": method
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


REGISTRY = methods_of(REGISTRY_FILES)
SYNC = methods_of(SYNC_FILES)
METHODS = [("dev", path) for path in REGISTRY] + [("sync", path) for path in SYNC]
every_method = pytest.mark.parametrize(("server", "path"), METHODS, ids=[path for _, path in METHODS])


# --- who calls --------------------------------------------------------------------------------------------


class Callers:
    """Channels to the federation's servers, by server and by who calls."""

    def __init__(self, federation, folder, stack):
        self._federation = federation
        self._stack = stack
        self._channels = {}
        self.ca = (federation.folder / "ca" / "ca.pem").read_bytes()
        Authority.load(federation.folder / "ca").issue(folder, spiffe_id=STRANGER)
        self._folders = {
            "stranger": folder,
            "promoter": federation.folder / "sync",
            "peer": federation.folder / "environments" / "staging",
        }

    def endpoint(self, server: str) -> tuple[str, str]:
        with self._federation.client("ci") as client:
            address = client.federation.sync if server == "sync" else client.federation.environment(server)
        return address.endpoint, address.server_name

    def channel(self, server: str, caller: str) -> grpc.Channel:
        if (server, caller) not in self._channels:
            folder = self._folders.get(caller, self._federation.folder / "identities" / caller)
            identity = TlsIdentity(
                (folder / "tls.pem").read_bytes(), (folder / "tls-key.pem").read_bytes(), self.ca
            )
            credentials = grpc.ssl_channel_credentials(
                identity.ca, identity.private_key, identity.certificate
            )
            self._channels[server, caller] = self.dial(server, credentials)
        return self._channels[server, caller]

    def dial(self, server: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
        endpoint, name = self.endpoint(server)
        options = [("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)]
        channel = (
            grpc.insecure_channel(endpoint)
            if credentials is None
            else grpc.secure_channel(endpoint, credentials, options=options)
        )
        return self._stack.enter_context(channel)


@pytest.fixture(scope="module")
def callers(federation, tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Callers(federation, tmp_path_factory.mktemp("stranger"), stack)


@pytest.fixture(scope="module")
def known(federation, tmp_path_factory):
    """Two models, one with three versions, moved aliases and evidence: enough for several pages."""
    folder = tmp_path_factory.mktemp("bundles")
    for seed in (1, 2, 3):
        federation.publish(folder, "contract/known", seed=seed)
    federation.publish(folder, "contract/other", seed=4)
    with federation.client("ci") as client:
        for alias, version in (("blue", 1), ("green", 2), ("blue", 2), ("blue", 3)):
            client.set_alias(f"dev/contract/known@{alias}", version)
        for version in (1, 2, 3):
            client.cancel(client.promote(f"dev/contract/known@{version}", "staging").id, "only listed")
    # Afterwards, or the target may refuse a promotion before it is cancelled.
    for roc_auc in (0.98, 0.99):
        metric = {"name": "roc_auc", "value": roc_auc, "direction": "higher_is_better"}
        federation.evaluate("dev/contract/known@1", metrics=[metric])


def call(channel: grpc.Channel, path: str, request, *, seconds: float = SECONDS):
    """Make a call of any kind; of a stream of answers, the first is returned."""
    method = (REGISTRY | SYNC)[path]
    kind = ("stream" if method.client_streaming else "unary") + (
        "_stream" if method.server_streaming else "_unary"
    )
    answer_class = message_factory.GetMessageClass(method.output_type)
    make = getattr(channel, kind)
    started = make(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer_class.FromString,
    )(iter([request]) if method.client_streaming else request, timeout=seconds)
    if not method.server_streaming:
        return started
    try:
        return next(started, None)
    finally:
        started.cancel()


def new_request(path: str):
    return message_factory.GetMessageClass((REGISTRY | SYNC)[path].input_type)()


def error_of(failure: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """The one ``ErrorInfo`` of a failure, after checking that it is one, and says what the code says."""
    details = [value for key, value in failure.trailing_metadata() if key == STATUS_DETAILS_KEY]
    assert len(details) == 1, f"{failure.code()}: {failure.details()}"
    status = status_pb2.Status.FromString(details[0])
    infos = [
        error_details_pb2.ErrorInfo.FromString(detail.value)
        for detail in status.details
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)
    ]
    assert len(infos) == 1
    assert infos[0].domain == ERROR_DOMAIN
    family = CLASS_OF_REASON[infos[0].reason]
    assert issubclass(family, CarnetError)
    assert status.code == failure.code().value[0] == code_of(family("x")).value[0]
    assert status.message
    return infos[0]


# --- permissions ------------------------------------------------------------------------------------------


def test_the_tables_of_permissions_have_every_call_and_no_other():
    assert set(PERMISSIONS) == set(REGISTRY)
    witness = {path for path in REGISTRY if ".WitnessService/" in path}
    assert set(carnet_sync.access.PERMISSIONS) == set(SYNC) | witness


def named(path: str, name: str):
    """A request about a resource of that name, as far as the request names one."""
    request = new_request(path)
    for field in ("parent", "name"):
        if field in request.DESCRIPTOR.fields_by_name:
            setattr(request, field, name)
    return request


@every_method
def test_a_caller_without_any_role_learns_nothing(callers, known, server, path):
    channel = callers.channel(server, "stranger")
    said = set()
    for request in (
        new_request(path),
        named(path, f"{KNOWN}/versions/1"),
        named(path, "namespaces/nowhere/models/absent/versions/1"),
        named(path, "\x00 no name at all"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(channel, path, request)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert error_of(refused.value).reason == "PERMISSION_DENIED"
        assert STRANGER in refused.value.details()
        said.add(refused.value.details())
    assert len(said) == 1


@pytest.mark.parametrize("server", ["dev", "prod", "sync"])
@pytest.mark.parametrize("kind", ["TLS without a certificate", "no TLS"])
def test_a_client_without_a_certificate_gets_no_answer_to_any_call(callers, server, kind):
    credentials = grpc.ssl_channel_credentials(callers.ca) if "certificate" in kind else None
    channel = callers.dial(server, credentials)
    for path in SYNC if server == "sync" else REGISTRY:
        with pytest.raises(grpc.RpcError) as refused:
            call(channel, path, new_request(path))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.RpcError) as refused:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "path", [path for path, permission in PERMISSIONS.items() if "promoter" not in permission.roles]
)
def test_the_promotion_service_may_not_do_the_work_of_people(callers, known, path):
    with pytest.raises(grpc.RpcError) as refused:
        call(callers.channel("dev", "promoter"), path, named(path, KNOWN))
    assert error_of(refused.value).reason == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    "path", [path for path, permission in PERMISSIONS.items() if "peer" not in permission.roles]
)
def test_another_environment_may_read_what_peers_need_and_no_more(callers, known, path):
    with pytest.raises(grpc.RpcError) as refused:
        call(callers.channel("dev", "peer"), path, named(path, KNOWN))
    assert error_of(refused.value).reason == "PERMISSION_DENIED"


# --- errors -----------------------------------------------------------------------------------------------

ROLES = {
    "dev": {
        "promoter": {"promoter"},
        "ci": {"publisher", "requester", "operator"},
        "dave": {"operator", "auditor"},
        "bob": {"approver"},
        "monitor": {"monitor"},
    },
    "sync": {"ci": {"reader", "requester", "operator"}, "dave": {"reader", "operator", "auditor"}},
}


def permitted(server: str, path: str) -> str:
    wanted = PERMISSIONS[path].roles if server == "dev" else carnet_sync.access.PERMISSIONS[path]
    # Nobody administers a federation as it is made: what only an administrator may do is refused to the auditor.
    allowed = (caller for caller, held in ROLES[server].items() if held & wanted)
    return "dave" if wanted == {"admin"} else next(allowed)


def filled(message, depth: int = 0):
    """Put something that fits nothing into every field of a message."""
    values = {
        FieldDescriptor.CPPTYPE_STRING: "\x00../\u202e" + "é" * 300,
        FieldDescriptor.CPPTYPE_INT32: -1,
        FieldDescriptor.CPPTYPE_INT64: -(2**63),
        FieldDescriptor.CPPTYPE_UINT32: 2**32 - 1,
        FieldDescriptor.CPPTYPE_UINT64: 2**64 - 1,
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_ENUM: 99,
        FieldDescriptor.CPPTYPE_DOUBLE: float("nan"),
    }
    for field in message.DESCRIPTOR.fields:
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            if field.message_type.GetOptions().map_entry:
                getattr(message, field.name)[values[FieldDescriptor.CPPTYPE_STRING]] = "\x00"
            elif depth < 3:
                inner = getattr(message, field.name)
                filled(inner.add() if field.is_repeated else inner, depth + 1)
            continue
        value = b"\xff{" if field.type == FieldDescriptor.TYPE_BYTES else values[field.cpp_type]
        if field.is_repeated:
            getattr(message, field.name).extend([value, value])
        else:
            setattr(message, field.name, value)
    return message


def failure_of(channel: grpc.Channel, path: str, request) -> grpc.RpcError | None:
    try:
        call(channel, path, request, seconds=1.0)
    except grpc.RpcError as failure:
        return failure
    return None


def about(path: str, name: str):
    """A request that fits nothing except for its resource's name."""
    request = filled(new_request(path))
    for field in ("parent", "name"):
        if field in request.DESCRIPTOR.fields_by_name:
            setattr(request, field, name)
    return request


@every_method
def test_a_request_that_fits_nothing_gets_one_typed_error(callers, known, server, path):
    channel = callers.channel(server, permitted(server, path))
    requests = [
        new_request(path),
        filled(new_request(path)),
        about(path, "namespaces/contract"),
        about(path, KNOWN),
        about(path, f"{KNOWN}/versions/1"),
        about(path, f"{KNOWN}/aliases/blue"),
        about(path, f"admissions/{'0' * 32}"),
        about(path, f"promotions/{'0' * 32}"),
    ]
    for request in requests:
        failure = failure_of(channel, path, request)
        if failure is None:
            continue
        if failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            assert (REGISTRY | SYNC)[path].server_streaming, "only a watch has nothing to say for long"
            continue
        assert error_of(failure).reason != "INTERNAL", failure.details()


def test_a_call_that_there_is_not_is_unimplemented(callers):
    ask = callers.channel("dev", "ci").unary_unary("/carnet.registry.v1.ModelService/DropEverything")
    with pytest.raises(grpc.RpcError) as refused:
        ask(b"", timeout=SECONDS)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_message_are_refused(callers):
    ask = callers.channel("dev", "ci").unary_unary("/carnet.registry.v1.ModelService/GetModel")
    with pytest.raises(grpc.RpcError) as refused:
        ask(b"\xff\xff\xff", timeout=SECONDS)
    assert refused.value.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), "gRPC's own refusal"
    assert call(
        callers.channel("dev", "ci"),
        "/carnet.registry.v1.LogService/GetCheckpoint",
        log_pb2.GetCheckpointRequest(),
    )


# --- health and reflection --------------------------------------------------------------------------------

SERVED = {
    "dev": carnet_server.app.SERVICES,
    "staging": carnet_server.app.SERVICES,
    "prod": carnet_server.app.SERVICES,
    "sync": carnet_sync.app.SERVICES,
}


@pytest.mark.parametrize("server", SERVED)
def test_health_answers_for_the_whole_and_for_every_service(callers, server):
    stub = health_pb2_grpc.HealthStub(callers.channel(server, "ci"))
    for service in ("", *SERVED[server]):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as unknown:
        stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=SECONDS)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("server", SERVED)
def test_reflection_lists_what_is_served_and_describes_it(callers, server):
    stub = reflection_pb2_grpc.ServerReflectionStub(callers.channel(server, "ci"))
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in SERVED[server]),
    ]
    listed, *described = stub.ServerReflectionInfo(iter(asked), timeout=SECONDS)
    names = {service.name for service in listed.list_services_response.service}
    assert names == {
        *SERVED[server],
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert all(answer.file_descriptor_response.file_descriptor_proto for answer in described)


# --- pages ------------------------------------------------------------------------------------------------

_MODELS = "/carnet.registry.v1.ModelService"
_ALIASES = "/carnet.registry.v1.AliasService"
# Path -> (server, requests whose tokens must not be exchanged, field of the items)
LISTS = {
    f"{_MODELS}/ListModels": (
        "dev",
        [{"parent": "namespaces/contract"}, {"parent": "namespaces/-"}],
        "models",
    ),
    f"{_MODELS}/ListVersions": (
        "dev",
        [{"parent": KNOWN}, {"parent": "namespaces/contract/models/other"}],
        "versions",
    ),
    "/carnet.registry.v1.SearchService/SearchVersions": (
        "dev",
        [{"parent": "namespaces/contract"}, {"parent": "namespaces/-"}, {"parent": KNOWN}],
        "results",
    ),
    f"{_ALIASES}/ListAliases": (
        "dev",
        [{"parent": KNOWN}, {"parent": "namespaces/contract/models/other"}],
        "aliases",
    ),
    f"{_ALIASES}/ListAliasMoves": (
        "dev",
        [{"parent": f"{KNOWN}/aliases/blue"}, {"parent": f"{KNOWN}/aliases/green"}],
        "moves",
    ),
    "/carnet.registry.v1.EvidenceService/ListEvidence": (
        "dev",
        [{"parent": f"{KNOWN}/versions/1"}, {"parent": f"{KNOWN}/versions/2"}],
        "evidence",
    ),
    "/carnet.sync.v1.PromotionService/ListPromotions": ("sync", [{}, {"active_only": True}], "promotions"),
}


def page(callers, path: str, fields: dict, *, size: int, token: str = ""):
    server, _, items = LISTS[path]
    request = new_request(path)
    for name, value in fields.items():
        setattr(request, name, value)
    request.page_size = size
    request.page_token = token
    answer = call(callers.channel(server, "ci"), path, request)
    return [
        item.SerializeToString(deterministic=True) for item in getattr(answer, items)
    ], answer.next_page_token


@pytest.mark.parametrize("path", LISTS)
def test_pages_together_are_the_whole_list(callers, known, path):
    (fields, *_) = LISTS[path][1]
    whole, rest = page(callers, path, fields, size=1000)
    assert rest == ""
    assert len(whole) >= 2
    found, token = page(callers, path, fields, size=1)
    while token:
        more, token = page(callers, path, fields, size=1, token=token)
        assert len(more) <= 1
        found += more
    assert found == whole


@pytest.mark.parametrize("path", LISTS)
def test_a_token_is_good_for_its_own_query_only(callers, known, path):
    (fields, *others) = LISTS[path][1]
    _, token = page(callers, path, fields, size=1)
    assert token
    refused = [(path, each, token) for each in others]
    refused += [(each, LISTS[each][1][0], token) for each in LISTS if each != path]
    refused += [(path, fields, each) for each in ("x", token[:-4], "é", "[]", "bnVsbA==")]
    for where, asked, wrong in refused:
        with pytest.raises(grpc.RpcError) as failure:
            page(callers, where, asked, size=1, token=wrong)
        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT, (where, asked, wrong)
        assert error_of(failure.value).metadata["field"] == "page_token"


@pytest.mark.parametrize("path", LISTS)
def test_a_page_has_a_size_that_is_not_negative(callers, known, path):
    with pytest.raises(grpc.RpcError) as failure:
        page(callers, path, LISTS[path][1][0], size=-1)
    assert error_of(failure.value).metadata["field"] == "page_size"


@pytest.mark.parametrize("path", LISTS)
def test_a_token_that_somebody_made_up_is_an_error_of_theirs(callers, known, path):
    server, (fields, *_), _ = LISTS[path]
    _, token = page(callers, path, fields, size=1)
    bound, *position = json.loads(base64.urlsafe_b64decode(token))
    count = len(position)
    for place in (
        [],
        [*position, 1],
        [[]] * count,
        [None] * count,
        ["x"] * count,
        [-1] * count,
        [2**70] * count,
    ):
        request = new_request(path)
        for name, value in fields.items():
            setattr(request, name, value)
        request.page_token = base64.urlsafe_b64encode(json.dumps([bound, *place]).encode()).decode()
        failure = failure_of(callers.channel(server, "ci"), path, request)
        assert failure is None or error_of(failure).reason == "INVALID_INPUT", place
