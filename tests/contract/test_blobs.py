"""Blobs between processes: the service over real TLS, and everything that carries blobs to it and from it."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carnet.canonical import sha256_hex
from carnet.client import transfer
from carnet.client.blob_codec import WriteHeader, encode_first, encode_read_response
from carnet.client.channel import TlsIdentity, typed_errors
from carnet.client.connection import RegistryConnection
from carnet.client.transfer import LocalBlob, patience, upload, writing
from carnet.client.transfer.write_call import WriteCall
from carnet.errors import (
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    DeadlineExceededError,
    DigestMismatchError,
    FileUnreadableError,
    InvalidInputError,
    MessageTooLargeError,
    NotFoundError,
    OffsetOutOfRangeError,
    PermissionDeniedError,
    StorageFullError,
    UnavailableError,
)
from carnet.registry.v1 import blobs_pb2
from carnet.translog.keys import LogKey
from carnet_server.access.interceptor import RegistryCallScope
from carnet_server.blobs.domain import Blob, UploadState
from carnet_server.blobs.fetch import FetchProgress, fetch_into_store
from carnet_server.blobs.objects.names import PART_BYTES
from carnet_server.blobs.service import BlobsService
from carnet_server.blobs.servicer import BlobServicer, add_blob_service
from carnet_server.blobs.stream import UploadStream
from carnet_server.database.engine import Database
from carnet_server.log.writer import Writer
from tests.contract.tapped import TappedStore
from tests.support.storage import ALL_FOUR

PIECE = transfer.PIECE_BYTES
SMALL = transfer.SMALL_BLOB_BYTES
ALICE = "spiffe://carnet.test/person/alice"
PEER = "spiffe://carnet.test/registry/staging"
# How many pieces are read before the first is on its way.
READ_AHEAD = 3
STRANGER = "spiffe://carnet.test/person/mallory"


# --- parts ------------------------------------------------------------------------------------------------


class Authority:
    """A private certificate authority."""

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._certificate = self._sign(self._name, self._key, [], authority=True)

    def _sign(self, subject, key, alternatives, *, authority=False):
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def identity(self, subject: str) -> TlsIdentity:
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.UniformResourceIdentifier(subject),
            x509.DNSName("registry.carnet.test"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]), key, names)
        return TlsIdentity(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            self._certificate.public_bytes(serialization.Encoding.PEM),
        )


class Trust:
    """Who has which role: what the interceptor asks a trust document."""

    def __init__(self):
        self.bindings = {
            ALICE: {"risk": {"publisher", "promoter"}, "growth": {"publisher"}},
            PEER: {None: {"peer"}},
        }
        self.current = self

    def person_of(self, subject):
        return None

    def revocation_of(self, subject, certificate=None):
        return None

    def roles(self, subject, namespace):
        bound = self.bindings.get(subject, {})
        everywhere = bound.get(None, set())
        here = set().union(*bound.values()) if namespace is None else bound.get(namespace, set())
        return frozenset(everywhere | here)

    def acting_roles(self, subject, namespace, alias=""):
        return self.roles(subject, namespace)

    def denial_of(self, subject, roles, namespace, alias):
        return None


class Registry:
    """One environment's registry with nothing but blobs."""

    def __init__(self, storage, authority: Authority):
        self.named: set[str] = set()
        self.everything_named = True
        self.database = Database(storage.make_database())
        self.writer = Writer(self.database, environment="dev", key=LogKey.generate("carnet.test/dev"))
        self.bench = storage.make_bench()
        self.store = TappedStore(self.bench.open())
        self.service = BlobsService(
            self.store,
            self.database,
            self.writer,
            readable=self._is_named,
            is_named=self._is_named,
            capability_check=self._check,
        )
        self._authority = authority
        self._connections: list[RegistryConnection] = []
        self.port = 0

    def _is_named(self, _connection, _namespace, digest):
        return self.everything_named or digest in self.named

    @staticmethod
    def _check(capability, namespace, digests, caller):
        if (capability, caller.subject) != (b"right", PEER):
            raise PermissionDeniedError("the capability is not this caller's")

    async def start(self) -> None:
        identity = self._authority.identity("spiffe://carnet.test/registry/dev")
        credentials = grpc.ssl_server_credentials(
            [(identity.private_key, identity.certificate)], identity.ca, require_client_auth=True
        )
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 4 << 20)]
        self.server = grpc.aio.server(interceptors=[RegistryCallScope(Trust())], options=options)
        add_blob_service(BlobServicer(self.service, idle_seconds=0.5), self.server)
        self.port = self.server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self.server.start()

    def connect(self, subject: str = ALICE) -> RegistryConnection:
        connection = RegistryConnection(
            f"127.0.0.1:{self.port}",
            server_name="registry.carnet.test",
            identity=self._authority.identity(subject),
            environment="dev",
        )
        self._connections.append(connection)
        return connection

    async def stop(self) -> None:
        for connection in self._connections:
            await connection.close()
        await self.server.stop(0)
        self.writer.stop()
        self.service.close()
        self.store.close()
        self.database.close()


@pytest.fixture(scope="session")
def authority():
    return Authority()


@asynccontextmanager
async def running(storage, authority):
    registry = Registry(storage, authority)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()


@pytest.fixture
async def source(storage, authority):
    async with running(storage, authority) as registry:
        yield registry


@pytest.fixture
async def target(storage, authority):
    async with running(storage, authority) as registry:
        yield registry


@pytest.fixture
def large(storage):
    """A size that takes several messages, and where the store has parts, two of them."""
    return (PART_BYTES if storage.has_parts else 4 * PIECE) + PIECE + 17


@pytest.fixture
def sizes(large):
    return [0, 1, SMALL, SMALL + 1, PIECE, PIECE + 1, large]


@pytest.fixture
def at(request, large):
    """Which call of those that a large blob takes, counted from 1."""
    calls = -(-large // PIECE)
    return {"first": 1, "second": 2, "middle": calls // 2 + 1, "last": calls}[request.param]


@pytest.fixture
def size(request, large):
    return {"small": 100, "large": large}[request.param]


AT_SOME_CALL = pytest.mark.parametrize("at", ["first", "second", "middle", "last"], indirect=True)
SMALL_AND_LARGE = pytest.mark.parametrize("size", ["small", "large"], indirect=True)


@pytest.fixture
def make_file(tmp_path):
    def make(size_bytes: int, seed: int = 0) -> LocalBlob:
        data = random.Random(seed).randbytes(size_bytes)
        path = tmp_path / f"file-{seed}-{size_bytes}"
        path.write_bytes(data)
        return LocalBlob(path, sha256_hex(data), size_bytes)

    return make


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(patience, "MAX_PAUSE_SECONDS", 0.05)


def ref(file) -> Blob:
    return Blob(file.digest, file.size_bytes)


class Told:
    """Progress that was told."""

    def __init__(self):
        self.all: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.all.append((done, total))

    def is_whole(self, total: int) -> bool:
        done = [each for each, _ in self.all]
        return done == sorted(done) and self.all[-1] == (total, total)


def raw_write(connection):
    method = connection.channel.stream_unary(
        "/carnet.registry.v1.BlobService/WriteBlob",
        response_deserializer=blobs_pb2.WriteBlobResponse.FromString,
    )
    return method()


def calls_for(size_bytes: int) -> int:
    """How many messages, and so calls of the store, so many bytes take."""
    return -(-size_bytes // PIECE)


async def write_raw(connection, *messages) -> None:
    call = WriteCall(connection)
    for message in messages:
        if not await call.send(message):
            break
    await call.answer()


# --- up and down ------------------------------------------------------------------------------------------


@ALL_FOUR
async def test_files_go_up_and_come_down_the_same(source, make_file, sizes, tmp_path):
    connection, files, up, down = (
        source.connect(),
        [make_file(size, seed) for seed, size in enumerate(sizes)],
        Told(),
        Told(),
    )
    total = sum(sizes)
    await transfer.upload_files(connection, "risk", [*files, files[-1]], progress=up)
    assert up.is_whole(total)
    copies = [LocalBlob(tmp_path / f"copy-{i}", file.digest, file.size_bytes) for i, file in enumerate(files)]
    await transfer.download_files(connection, "risk", copies, progress=down)
    assert down.is_whole(total)
    assert [copy.path.read_bytes() for copy in copies] == [file.path.read_bytes() for file in files]


@ALL_FOUR
async def test_what_is_there_is_not_sent_again(source, make_file, sizes):
    connection, told = source.connect(), Told()
    files = [make_file(size, seed) for seed, size in enumerate(sizes)]
    await transfer.upload_files(connection, "risk", files)
    source.store.calls.clear()
    await transfer.upload_files(connection, "risk", files, progress=told)
    assert not source.store.calls
    assert told.all == [(sum(sizes), sum(sizes))]


@ALL_FOUR
async def test_many_small_files_travel_in_batches(source, make_file):
    connection = source.connect()
    batches = []

    def count(_namespace, contents):
        batches.append(sum(len(data) for _, data in contents))

    source.store.before["write_small"] = count
    files = [make_file(60_000, seed) for seed in range(40)]
    await transfer.upload_files(connection, "risk", files)
    assert sum(batches) == 40 * 60_000
    assert len(batches) == 2
    assert max(batches) <= transfer.BATCH_BYTES
    got = {digest: data async for digest, data in transfer.download_small(connection, "risk", files)}
    assert got == {file.digest: file.path.read_bytes() for file in files}


@AT_SOME_CALL
async def test_an_upload_goes_on_where_it_stopped_when_the_registry_was_away(source, make_file, large, at):
    file, told = make_file(large), Told()
    source.store.fail("append", UnavailableError("away"), at=at)
    await transfer.upload_files(source.connect(), "risk", [file], progress=told)
    assert source.store.read_small(ref(file)) == file.path.read_bytes()
    assert told.all[-1] == (large, large)
    resumed = source.bench.kept((at - 1) * PIECE)
    assert source.store.calls["append"] == at + calls_for(large - resumed)


async def test_an_upload_outlives_a_restart_of_the_registry(source, make_file, large, monkeypatch):
    file, connection, restarted = make_file(large), source.connect(), asyncio.Event()
    real = UploadStream.append

    async def stop_at_the_third(stream, offset, data):
        await real(stream, offset, data)
        if offset == 2 * PIECE and not restarted.is_set():
            restarted.set()
            asyncio.get_running_loop().create_task(source.server.stop(0))
            await asyncio.sleep(10)

    async def start_again():
        await restarted.wait()
        await source.server.wait_for_termination()
        await source.start()

    monkeypatch.setattr(UploadStream, "append", stop_at_the_third)
    starting = asyncio.create_task(start_again())
    await transfer.upload_files(connection, "risk", [file])
    await starting
    assert source.store.read_small(ref(file)) == file.path.read_bytes()


@AT_SOME_CALL
async def test_a_download_goes_on_where_it_stopped(source, make_file, large, tmp_path, at):
    file, told, copy = make_file(large), Told(), tmp_path / "copy"
    connection = source.connect()
    await transfer.upload_files(connection, "risk", [file])
    source.store.fail("next_piece", UnavailableError("away"), at=at)
    await transfer.download_blob(connection, "risk", file.digest, large, copy, progress=told)
    assert copy.read_bytes() == file.path.read_bytes()
    assert told.is_whole(large)
    assert source.store.calls["next_piece"] <= calls_for(large) + 1 + READ_AHEAD


async def test_a_registry_that_stays_away_is_given_up(source, make_file, large, tmp_path):
    file, copy, connection = make_file(large), tmp_path / "copy", source.connect()
    await transfer.upload_files(connection, "risk", [file])
    source.store.fail("next_piece", UnavailableError("away"))
    with pytest.raises(UnavailableError, match="away"):
        await transfer.download_blob(connection, "risk", file.digest, large, copy)
    assert patience.ATTEMPTS <= source.store.calls["next_piece"] <= 2 * patience.ATTEMPTS + 2
    assert not copy.exists()


async def test_bytes_that_another_left_are_no_obstacle(source, make_file, large):
    """Somebody began this upload with wrong bytes; whoever has the right ones still gets them in."""
    file = make_file(large)
    async with source.service.open_upload("risk", ref(file)) as stream:
        while not source.bench.kept(stream.offset):
            await stream.append(stream.offset, bytes(PIECE))
    assert (await source.service.upload_state("risk", ref(file))).committed_bytes
    await transfer.upload_files(source.connect(), "risk", [file])
    assert source.store.read_small(ref(file)) == file.path.read_bytes()


async def test_a_file_that_is_not_what_was_said_is_refused_and_nothing_is_kept(source, make_file, large):
    connection = source.connect()
    for size in (100, large):
        file = make_file(size)
        other = LocalBlob(file.path, "a" * 64, size)
        with pytest.raises(DigestMismatchError):
            await transfer.upload_files(connection, "risk", [other])
        assert await source.service.upload_state("risk", ref(other)) == UploadState(0, complete=False)


@SMALL_AND_LARGE
async def test_a_file_that_shrank_since_is_named(source, make_file, size):
    file = make_file(size)
    file.path.write_bytes(b"short")
    with pytest.raises(FileUnreadableError, match="changed"):
        await transfer.upload_files(source.connect(), "risk", [file])


@SMALL_AND_LARGE
async def test_a_file_that_is_gone_is_named(source, make_file, size):
    file = make_file(size)
    file.path.unlink()
    with pytest.raises(FileUnreadableError, match=file.path.name):
        await transfer.upload_files(source.connect(), "risk", [file])


async def test_a_full_registry_says_so(source, make_file, large):
    source.store.fail("append", StorageFullError("full"), at=2)
    with pytest.raises(StorageFullError, match="full"):
        await transfer.upload_files(source.connect(), "risk", [make_file(large)])


async def test_the_reason_of_a_refusal_in_the_middle_of_a_write_is_never_lost(source, make_file):
    """The registry answers while messages are still being sent, at whatever moment that meets them."""
    file, connection = make_file(30 * PIECE), source.connect()
    source.store.fail("append", StorageFullError("full"))
    for _ in range(20):
        with pytest.raises(StorageFullError, match="full"):
            await transfer.upload_files(connection, "risk", [file])
    assert source.store.calls["append"] == 20


async def test_a_write_of_what_is_there_meanwhile_succeeds(source, make_file, monkeypatch):
    """The registry says that it has the blob while it is being sent."""
    file, connection = make_file(30 * PIECE), source.connect()
    await transfer.upload_files(connection, "risk", [file])

    async def begin_anew(*_):
        return blobs_pb2.GetUploadResponse()

    async def all_missing(_connection, _namespace, blobs):
        return list(blobs)

    monkeypatch.setattr(writing, "upload_state", begin_anew)
    monkeypatch.setattr(upload, "find_missing", all_missing)
    for _ in range(20):
        told = Told()
        await transfer.upload_files(connection, "risk", [file], progress=told)
        assert told.all[-1] == (file.size_bytes, file.size_bytes)


@ALL_FOUR
async def test_two_that_write_the_same_blob_both_succeed(source, make_file):
    file = make_file(40 * PIECE)
    await asyncio.gather(
        *(transfer.upload_files(source.connect(), "risk", [file]) for _ in range(3)),
    )
    assert await source.service.find_missing("risk", [ref(file)]) == []


async def test_a_source_that_gives_other_bytes_is_found_out_and_the_file_is_gone(
    source, make_file, large, tmp_path
):
    source.store.lies = True
    connection = source.connect()
    for size in (100, large):
        file, copy = make_file(size), tmp_path / f"copy-{size}"
        await transfer.upload_files(connection, "risk", [file])
        with pytest.raises(DigestMismatchError):
            await transfer.download_files(connection, "risk", [LocalBlob(copy, file.digest, size)])
        assert not copy.exists()


@pytest.mark.parametrize("more", [-1, 1])
async def test_a_blob_of_another_size_than_was_said_is_refused(source, make_file, large, tmp_path, more):
    file, connection, copy = make_file(large), source.connect(), tmp_path / "copy"
    await transfer.upload_files(connection, "risk", [file])
    with pytest.raises(DigestMismatchError):
        await transfer.download_blob(connection, "risk", file.digest, large + more, copy)
    assert not copy.exists()


@ALL_FOUR
async def test_damaged_bytes_in_the_registry_are_data_loss_to_the_client(source, make_file, large, tmp_path):
    file, connection, copy = make_file(large), source.connect(), tmp_path / "copy"
    await transfer.upload_files(connection, "risk", [file])
    source.bench.damage(file.digest, bytes(large))
    with pytest.raises(DataLossError, match=file.digest):
        await transfer.download_blob(connection, "risk", file.digest, large, copy)
    assert not copy.exists()


@SMALL_AND_LARGE
async def test_a_file_that_is_in_the_way_is_not_touched(source, make_file, tmp_path, size):
    file, connection, copy = make_file(size), source.connect(), tmp_path / "copy"
    await transfer.upload_files(connection, "risk", [file])
    copy.write_text("precious")
    with pytest.raises(AlreadyExistsError):
        await transfer.download_files(connection, "risk", [LocalBlob(copy, file.digest, size)])
    assert copy.read_text() == "precious"


async def test_a_download_that_is_cancelled_leaves_no_file(source, make_file, large, tmp_path):
    file, connection, copy = make_file(large), source.connect(), tmp_path / "copy"
    await transfer.upload_files(connection, "risk", [file])
    begun = asyncio.Event()
    downloading = asyncio.create_task(
        transfer.download_blob(connection, "risk", file.digest, large, copy, progress=lambda *_: begun.set())
    )
    await begun.wait()
    downloading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await downloading
    assert not copy.exists()


# --- who may ----------------------------------------------------------------------------------------------


async def test_who_has_no_role_can_neither_write_nor_read(source, make_file, large, tmp_path):
    file = make_file(large)
    await transfer.upload_files(source.connect(), "risk", [file])
    for subject in (STRANGER, PEER):
        connection = source.connect(subject)
        with pytest.raises(PermissionDeniedError):
            await transfer.upload_files(connection, "risk", [file])
        with pytest.raises(PermissionDeniedError):
            await transfer.download_blob(connection, "risk", file.digest, large, tmp_path / "copy")
        with pytest.raises(PermissionDeniedError):
            await write_raw(connection, encode_first(WriteHeader("namespaces/risk", file.digest, large), 0))


async def test_a_capability_lets_its_holder_read_and_nobody_else(source, make_file, large, tmp_path):
    small, whole = make_file(100), make_file(large)
    await transfer.upload_files(source.connect(), "risk", [small, whole])
    peer, copies = source.connect(PEER), [tmp_path / "small", tmp_path / "large"]
    files = [LocalBlob(copies[0], small.digest, 100), LocalBlob(copies[1], whole.digest, large)]
    await transfer.download_files(peer, "risk", files, capability=b"right")
    assert [copy.read_bytes() for copy in copies] == [small.path.read_bytes(), whole.path.read_bytes()]
    for connection, capability in ((peer, b"wrong"), (source.connect(), b"right")):
        for file in (small, whole):
            with pytest.raises(PermissionDeniedError):
                await transfer.download_files(
                    connection,
                    "risk",
                    [LocalBlob(tmp_path / "copy", file.digest, file.size_bytes)],
                    capability=capability,
                )


async def test_a_namespace_gives_out_only_what_its_versions_name(source, make_file, large, tmp_path):
    file, connection = make_file(large), source.connect()
    await transfer.upload_files(connection, "risk", [file])
    source.everything_named = False
    with pytest.raises(NotFoundError):
        await transfer.download_blob(connection, "risk", file.digest, large, tmp_path / "copy")
    source.named.add(file.digest)
    await transfer.download_blob(connection, "risk", file.digest, large, tmp_path / "copy")


# --- on the wire ------------------------------------------------------------------------------------------


async def test_generated_stubs_understand_the_service(source, make_file, large):
    file, connection = make_file(large), source.connect()
    data = file.path.read_bytes()

    async def messages():
        for offset in range(0, large, PIECE):
            message = blobs_pb2.WriteBlobRequest(offset=offset, data=data[offset:][:PIECE])
            if not offset:
                message.parent = "namespaces/risk"
                message.blob.CopyFrom(blobs_pb2.BlobRef(digest=file.digest, size_bytes=large))
            yield message

    answer = await connection.blobs.WriteBlob(messages())
    assert (answer.blob.digest, answer.blob.size_bytes) == (file.digest, large)
    request = blobs_pb2.ReadBlobRequest(
        parent="namespaces/risk", digest=file.digest, offset=5, length=PIECE + 1
    )
    pieces = [piece async for piece in connection.blobs.ReadBlob(request)]
    assert [piece.offset for piece in pieces] == [5, 5 + PIECE]
    assert b"".join(piece.data for piece in pieces) == data[5:][: PIECE + 1]


HEADER = WriteHeader("namespaces/risk", "a" * 64, 100)


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([encode_read_response(0, b"x")], InvalidInputError),
        ([encode_first(WriteHeader("namespaces/risk/models/m", "a" * 64, 1), 0)], InvalidInputError),
        ([encode_first(WriteHeader("namespaces/risk", "nonsense", 1), 0)], InvalidInputError),
        ([encode_first(WriteHeader("namespaces/risk", "a" * 64, -1), 0)], InvalidInputError),
        ([encode_first(HEADER, 0), encode_first(HEADER, 0)], InvalidInputError),
        ([encode_first(HEADER, 0), b"\xff\xff"], InvalidInputError),
        ([b"\xff\xff"], InvalidInputError),
        ([encode_first(HEADER, 1)], OffsetOutOfRangeError),
        ([encode_first(HEADER, -1)], OffsetOutOfRangeError),
        ([encode_first(HEADER, 0), encode_read_response(1, b"x")], OffsetOutOfRangeError),
        ([encode_first(HEADER, 0), encode_read_response(0, b"x" * 101)], OffsetOutOfRangeError),
        ([encode_first(HEADER, 0), encode_read_response(0, b"x")], OffsetOutOfRangeError),
        ([encode_first(HEADER, 0), encode_read_response(0, b"x" * 100)], DigestMismatchError),
        ([encode_first(HEADER, 0), encode_read_response(0, bytes((1 << 20) + 1))], MessageTooLargeError),
    ],
)
async def test_a_malformed_write_is_refused_with_its_reason(source, messages, error):
    with pytest.raises(error):
        await write_raw(source.connect(), *messages)
    assert source.store.find_missing([Blob("a" * 64, 100)])


async def test_a_writer_that_falls_silent_is_ended_and_its_bytes_are_kept(source, make_file):
    file, call = make_file(1000), raw_write(source.connect())
    await call.write(encode_first(WriteHeader("namespaces/risk", file.digest, 1000), 0))
    await call.write(encode_read_response(0, file.path.read_bytes()[:400]))
    with pytest.raises(DeadlineExceededError, match="kept"), typed_errors("dev"):
        await call
    kept = source.bench.kept(400)
    assert await source.service.upload_state("risk", ref(file)) == UploadState(kept, complete=False)


async def test_a_second_writer_is_told_of_the_first(source, make_file):
    file, connection = make_file(1000), source.connect()
    header = WriteHeader("namespaces/risk", file.digest, 1000)
    first = raw_write(connection)
    await first.write(encode_first(header, 0))
    await first.write(encode_read_response(0, file.path.read_bytes()[:400]))
    while not source.store.calls["append"]:
        await asyncio.sleep(0.01)
    with pytest.raises(ConflictError):
        await write_raw(connection, encode_first(header, 400))
    first.cancel()


@pytest.mark.parametrize(
    "request_", [
        blobs_pb2.FindMissingBlobsRequest(parent="risk"),
        blobs_pb2.FindMissingBlobsRequest(parent="namespaces/risk", blobs=[blobs_pb2.BlobRef(digest="x")]),
        blobs_pb2.FindMissingBlobsRequest(parent="namespaces/-"),
        blobs_pb2.BatchWriteBlobsRequest(parent="namespaces/risk", blobs=[blobs_pb2.BlobContent(digest="../x")]),
        blobs_pb2.GetUploadRequest(parent="namespaces/risk"),
        blobs_pb2.BatchReadBlobsRequest(parent="namespaces/risk", digests=["A" * 64]),
        blobs_pb2.ReadBlobRequest(parent="namespaces/risk", digest=""),
        blobs_pb2.ReadBlobRequest(parent="", digest="a" * 64),
    ],
)  # fmt: skip
async def test_a_malformed_request_is_refused(source, request_):
    connection = source.connect()
    name = type(request_).__name__.removesuffix("Request")

    async def ask() -> None:
        if name == "ReadBlob":
            await anext(aiter(connection.stream(connection.blobs.ReadBlob, request_)))
        else:
            await connection.call(getattr(connection.blobs, name), request_)

    with pytest.raises(InvalidInputError):
        await ask()


# --- from registry to registry ----------------------------------------------------------------------------


@ALL_FOUR
async def test_a_pull_brings_what_is_missing_and_tells_how_far_it_is(source, target, make_file, sizes):
    files = [make_file(size, seed) for seed, size in enumerate(sizes)]
    await transfer.upload_files(source.connect(), "risk", files)
    await transfer.upload_files(target.connect(), "risk", files[:3])
    told: list[FetchProgress] = []
    blobs = [ref(file) for file in [*files, files[-1]]]
    await fetch_into_store(
        source.connect(PEER), "risk", blobs, target.service, capability=b"right", progress=told.append
    )
    assert await target.service.find_missing("risk", blobs) == []
    assert [target.store.read_small(ref(file)) for file in files] == [
        file.path.read_bytes() for file in files
    ]
    total = sum(sizes[3:])
    assert told[-1] == FetchProgress(total, total, 4)
    assert [each.transferred_bytes for each in told] == sorted(each.transferred_bytes for each in told)


@AT_SOME_CALL
async def test_a_pull_goes_on_where_it_stopped(source, target, make_file, large, at):
    file = make_file(large)
    await transfer.upload_files(source.connect(), "risk", [file])
    source.store.fail("next_piece", UnavailableError("away"), at=at)
    await fetch_into_store(source.connect(), "risk", [ref(file)], target.service)
    resumed = target.bench.kept(max(0, at - 1 - READ_AHEAD) * PIECE)
    assert source.store.calls["next_piece"] <= at + calls_for(large - resumed) + 1 + READ_AHEAD
    assert target.store.read_small(ref(file)) == file.path.read_bytes()


async def test_a_pull_without_the_right_brings_nothing(source, target, make_file, large):
    files = [make_file(100), make_file(large)]
    await transfer.upload_files(source.connect(), "risk", files)
    for file in files:
        with pytest.raises(PermissionDeniedError):
            await fetch_into_store(
                source.connect(PEER), "risk", [ref(file)], target.service, capability=b"wrong"
            )
        assert await target.service.find_missing("risk", [ref(file)]) == [ref(file)]


@pytest.mark.parametrize("way", ["pull", "relay"])
@SMALL_AND_LARGE
async def test_a_source_that_lies_gives_the_target_nothing(source, target, make_file, way, size):
    file = make_file(size)
    await transfer.upload_files(source.connect(), "risk", [file])
    source.store.lies = True
    if way == "pull":
        carrying = fetch_into_store(source.connect(), "risk", [ref(file)], target.service)
    elif size <= SMALL:
        carrying = transfer.relay_small(source.connect(), target.connect(), "risk", "risk", [file])
    else:
        carrying = transfer.relay_blob(source.connect(), target.connect(), "risk", "risk", file)
    with pytest.raises(DigestMismatchError):
        await carrying
    assert await target.service.upload_state("risk", ref(file)) == UploadState(0, complete=False)


@ALL_FOUR
async def test_a_relay_passes_blobs_on_to_another_namespace(source, target, make_file, sizes, large):
    files = [make_file(size, seed) for seed, size in enumerate(sizes)]
    await transfer.upload_files(source.connect(), "risk", files)
    up, down = target.connect(), source.connect(PEER)
    told, told_of_large = Told(), Told()
    await transfer.relay_small(down, up, "risk", "growth", files, capability=b"right", progress=told)
    assert told.is_whole(sum(size for size in sizes if size <= SMALL))
    await transfer.relay_blob(
        down, up, "risk", "growth", files[-1], capability=b"right", progress=told_of_large
    )
    assert told_of_large.is_whole(large)
    assert target.store.read_small(ref(files[-1])) == files[-1].path.read_bytes()
    assert await target.service.find_missing("growth", [ref(file) for file in files]) == [
        ref(file) for file in files if SMALL < file.size_bytes < large
    ]


async def test_a_relay_carries_even_an_empty_blob(source, target, make_file):
    file = make_file(0)
    await transfer.upload_files(source.connect(), "risk", [file])
    await transfer.relay_blob(source.connect(), target.connect(), "risk", "risk", file)
    assert await target.service.find_missing("risk", [ref(file)]) == []


@pytest.mark.parametrize("side", ["source", "target"])
@AT_SOME_CALL
async def test_a_relay_goes_on_where_the_target_stands(source, target, make_file, large, side, at):
    file = make_file(large)
    await transfer.upload_files(source.connect(), "risk", [file])
    if side == "source":
        source.store.fail("next_piece", UnavailableError("away"), at=at)
    else:
        target.store.fail("append", UnavailableError("away"), at=at)
    await transfer.relay_blob(source.connect(), target.connect(), "risk", "risk", file)
    assert target.store.read_small(ref(file)) == file.path.read_bytes()


async def test_a_relay_of_what_is_there_reads_nothing(source, target, make_file, large):
    file, told = make_file(large), Told()
    for registry in (source, target):
        await transfer.upload_files(registry.connect(), "risk", [file])
    source.store.calls.clear()
    await transfer.relay_blob(source.connect(), target.connect(), "risk", "risk", file, progress=told)
    assert told.all == [(large, large)]
    assert not source.store.calls
