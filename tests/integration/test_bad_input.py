"""Bad input, and what it gets: a typed error, its gRPC status and exit code, nothing stored and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import psutil
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import carnet
from carnet import errors
from carnet.bundle.build import build_manifest
from carnet.bundle.document import read_document
from carnet.bundle.manifest import File, Manifest
from carnet.bundle.paths import MANIFEST_NAME
from carnet.canonical import canonical_json, sha256_hex
from carnet.cli.exit_codes import exit_code_of
from carnet.cli.main import main
from carnet.client.channel import MAX_MESSAGE_BYTES, TlsIdentity, typed_errors
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.client.status import code_of
from carnet.registry.v1 import blobs_pb2, log_pb2, models_pb2, models_pb2_grpc
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model
from carnet_server.local.authority import Authority
from tests.support.bundles import make_bundle_directory, make_manifest
from tests.support.federation import LocalFederation

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MIB = 1 << 20


# --- what must not change ---------------------------------------------------------------------------------


def stored(federation) -> tuple[int, frozenset[str], list[str]]:
    """What dev has: the changes in its log, its blobs, and the uploads that are under way."""
    root = federation.folder / "environments" / "dev" / "data" / "blobs"
    blobs = {path.name for path in (root / "blobs").rglob("*") if path.is_file()}
    uploads = sorted(path.name for path in (root / "uploads").rglob("*") if path.is_file())
    with federation.client("ci") as client:
        dev = next(each for each in client.environments() if each.name == "dev")
    assert dev.reachable
    return federation.changes("dev"), frozenset(blobs), uploads


@contextlib.contextmanager
def nothing_changes(federation) -> Iterator[None]:
    before = stored(federation)
    yield
    assert stored(federation) == before


@contextlib.contextmanager
def refused(
    family: type[errors.CarnetError], *messages: str, status: grpc.StatusCode, code: int
) -> Iterator[pytest.ExceptionInfo]:
    """The block ends in exactly this error, which has this status and this exit code."""
    with pytest.raises(errors.CarnetError) as caught:
        yield caught
    error = caught.value
    assert type(error) is family, f"{type(error).__name__}: {error.message}"
    assert (code_of(error), exit_code_of(error)) == (status, code)
    for message in messages:
        assert message in error.message


@contextlib.asynccontextmanager
async def registry_of(federation, identity: str = "ci", environment: str = "dev"):
    pinned = Federation.load(federation.folder)
    who = pinned.identity(identity)
    tls = TlsIdentity.load(who.certificate, who.private_key, pinned.ca)
    place = pinned.environment(environment)
    async with RegistryConnection(
        place.endpoint, server_name=place.server_name, identity=tls, environment=environment
    ) as registry:
        yield registry


# --- the folder that is pushed ----------------------------------------------------------------------------


@dataclass(frozen=True)
class BadFolder:
    """A folder that must not be published, and what its publisher is told."""

    spoil: Callable[[Path], None]
    family: type[errors.CarnetError]
    messages: tuple[str, ...]
    fields: dict = field(default_factory=dict)


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "carnet.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def naming(*paths: str) -> Callable[[Path], None]:
    """Have the document name these files, each with the same bytes where it can be there at all."""

    def rewrite(folder: Path) -> None:
        path = folder / "carnet.yaml"
        document = yaml.safe_load(path.read_text())
        document["files"] = [{"path": each, "role": "model"} for each in paths]
        path.write_text(yaml.safe_dump(document))
        for each in paths:
            if "/" not in each:
                (folder / each).write_bytes(b"model")

    return rewrite


def linked(folder: Path) -> None:
    (folder / "model.bin").rename(folder.parent / "elsewhere.bin")
    (folder / "model.bin").symlink_to(folder.parent / "elsewhere.bin")


def linked_above(folder: Path) -> None:
    shutil.rmtree(folder.parent / "elsewhere", ignore_errors=True)
    (folder / "parts").rename(folder.parent / "elsewhere")
    (folder / "parts").symlink_to(folder.parent / "elsewhere")


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return replace


def unchanged(folder: Path) -> None:
    """Leave it as it is: what is wrong with it is in its fields."""


FOLDERS = {
    "no folder": BadFolder(shutil.rmtree, errors.FileUnreadableError, ("bundle-0", "not a folder")),
    "no manifest": BadFolder(
        lambda folder: (folder / "carnet.yaml").unlink(), errors.FileUnreadableError, ("carnet.yaml",)
    ),
    "a folder for a manifest": BadFolder(
        replaced("carnet.yaml", Path.mkdir), errors.FileUnreadableError, ("carnet.yaml", "directory")
    ),
    "missing file": BadFolder(
        lambda folder: (folder / "model.bin").unlink(), errors.FileUnreadableError, ("model.bin",)
    ),
    "a folder for a file": BadFolder(
        replaced("model.bin", Path.mkdir), errors.PathRefusedError, ("model.bin", "regular file")
    ),
    "a pipe for a file": BadFolder(
        replaced("model.bin", os.mkfifo), errors.PathRefusedError, ("model.bin", "regular file")
    ),
    "unknown field": BadFolder(
        edited("owner:", "ownr:"),
        errors.DocumentInvalidError,
        ("carnet.yaml:2:1: ownr: unknown field; did you mean 'owner'?",),
    ),
    "unknown field inside": BadFolder(
        edited("  role: model", "  rolle: model"),
        errors.DocumentInvalidError,
        ("carnet.yaml:9:3: files[0].rolle: unknown field; did you mean 'role'?",),
    ),
    "mistyped field": BadFolder(
        edited("owner: risk-team", "owner: [risk-team]"),
        errors.DocumentInvalidError,
        ("carnet.yaml:2:1: owner: ",),
    ),
    "mistyped number": BadFolder(
        edited("training_seconds: 12.5", "training_seconds: soon"),
        errors.DocumentInvalidError,
        ("environment.training_seconds: ", "'soon'"),
    ),
    "no number": BadFolder(
        edited("training_seconds: 12.5", "training_seconds: .nan"),
        errors.DocumentInvalidError,
        ("environment.training_seconds: ",),
    ),
    "unknown direction": BadFolder(
        edited("direction: higher_is_better", "direction: up"),
        errors.DocumentInvalidError,
        ("metrics[0].direction: ",),
    ),
    "not YAML": BadFolder(
        edited("owner: ", "owner: ["), errors.DocumentInvalidError, ("carnet.yaml:", "expected")
    ),
    "a key twice": BadFolder(
        edited("owner: risk-team", "owner: risk-team\nowner: other"),
        errors.DocumentInvalidError,
        ("carnet.yaml:3:1: the key 'owner' twice",),
    ),
    "not text": BadFolder(
        lambda folder: (folder / "carnet.yaml").write_bytes(b"\xff\xfe"),
        errors.DocumentInvalidError,
        ("carnet.yaml: not UTF-8",),
    ),
    "empty": BadFolder(
        lambda folder: (folder / "carnet.yaml").write_bytes(b""),
        errors.DocumentInvalidError,
        ("carnet.yaml",),
    ),
    "no files": BadFolder(naming(), errors.DocumentInvalidError, ("carnet.yaml:", "files")),
    "absolute path": BadFolder(
        naming("/etc/passwd"), errors.DocumentInvalidError, ("carnet.yaml:", "absolute")
    ),
    "climbing path": BadFolder(
        naming("parts/../../secret"), errors.DocumentInvalidError, ("carnet.yaml:", "climbs")
    ),
    "backslash": BadFolder(
        naming("parts\\1.bin"), errors.DocumentInvalidError, ("carnet.yaml:", "backslash")
    ),
    "git folder": BadFolder(naming(".git/config"), errors.DocumentInvalidError, ("carnet.yaml:", ".git")),
    "reserved name": BadFolder(naming("manifest.json"), errors.DocumentInvalidError, ("reserved",)),
    "the same path twice": BadFolder(
        naming("model.bin", "model.bin"), errors.DocumentInvalidError, ("given twice",)
    ),
    "case-folding twins": BadFolder(
        naming("model.bin", "Model.bin"), errors.DocumentInvalidError, ("where case does not count",)
    ),
    "symlink": BadFolder(linked, errors.PathRefusedError, ("model.bin", "symlink")),
    "symlink above": BadFolder(linked_above, errors.PathRefusedError, ("parts", "symlink")),
    "a policy's field is missing": BadFolder(
        unchanged, errors.GateRefusedError, ("metadata", "owner"), {"owner": None}
    ),
}


@pytest.mark.parametrize("bad", FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_is_not_fit_is_not_published(federation, tmp_path, monkeypatch, capsys, bad):
    folder = make_bundle_directory(tmp_path, **bad.fields)
    bad.spoil(folder)
    gate = bad.family is errors.GateRefusedError
    status, code = (grpc.StatusCode.FAILED_PRECONDITION, 5) if gate else (INVALID, 2)
    log_size, blobs, _ = stored(federation)
    with federation.client("ci") as client:
        with refused(bad.family, *bad.messages, status=status, code=code):
            client.push("dev/bad/folder", folder)
        with pytest.raises(errors.NotFoundError):
            client.model("dev/bad/folder")
    monkeypatch.setenv("CARNET_DIR", str(federation.folder))
    assert main(["push", "dev/bad/folder", str(folder), "--as", "ci", "-o", "json"]) == code
    assert json.loads(capsys.readouterr().out)["reason"] == bad.family.reason
    if not gate:
        assert stored(federation)[:2] == (log_size, blobs)
    else:
        assert stored(federation)[0] == log_size + 2, "refusals are entries, one each"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_named(federation, tmp_path):
    folder = make_bundle_directory(tmp_path)
    (folder / "model.bin").chmod(0)
    with (
        nothing_changes(federation),
        federation.client("ci") as client,
        refused(errors.FileUnreadableError, "model.bin", status=INVALID, code=2),
    ):
        client.push("dev/bad/unreadable", folder)


# --- blobs ------------------------------------------------------------------------------------------------


async def write(registry: RegistryConnection, *messages: blobs_pb2.WriteBlobRequest):
    with typed_errors(registry.peer):
        return await registry.blobs.WriteBlob(iter(messages), timeout=10)


def first_message(data: bytes, reference: blobs_pb2.BlobRef, offset: int = 0) -> blobs_pb2.WriteBlobRequest:
    return blobs_pb2.WriteBlobRequest(parent="namespaces/bad", blob=reference, offset=offset, data=data)


async def test_bytes_that_are_not_their_digest_are_not_stored(federation):
    wrong = blobs_pb2.BlobRef(digest=sha256_hex(b"promised"), size_bytes=8)
    mismatch = {"status": INVALID, "code": 6}
    with nothing_changes(federation):
        async with registry_of(federation) as registry:
            with refused(errors.DigestMismatchError, wrong.digest, **mismatch):
                await registry.call(
                    registry.blobs.BatchWriteBlobs,
                    blobs_pb2.BatchWriteBlobsRequest(
                        parent="namespaces/bad",
                        blobs=[
                            blobs_pb2.BlobContent(digest=sha256_hex(b"good"), data=b"good"),
                            blobs_pb2.BlobContent(digest=wrong.digest, data=b"anything"),
                        ],
                    ),
                )
            with refused(errors.DigestMismatchError, wrong.digest, **mismatch):
                await write(registry, first_message(b"anything", wrong))
            answer = await registry.call(
                registry.blobs.FindMissingBlobs,
                blobs_pb2.FindMissingBlobsRequest(parent="namespaces/bad", blobs=[wrong]),
            )
            assert list(answer.missing) == [wrong]


BLOB = os.urandom(3 * MIB)
BLOB_REF = blobs_pb2.BlobRef(digest=sha256_hex(BLOB), size_bytes=len(BLOB))


async def test_a_truncated_upload_is_resumed_where_it_stands(federation):
    async with registry_of(federation) as registry:

        async def standing() -> tuple[int, bool]:
            answer = await registry.call(
                registry.blobs.GetUpload,
                blobs_pb2.GetUploadRequest(parent="namespaces/bad", blob=BLOB_REF),
            )
            return answer.committed_bytes, answer.complete

        log_size, blobs, _ = stored(federation)
        out_of_range = {"status": grpc.StatusCode.OUT_OF_RANGE, "code": 2}
        with refused(errors.OffsetOutOfRangeError, "go on from there", **out_of_range):
            await write(registry, first_message(BLOB[:MIB], BLOB_REF))
        assert await standing() == (MIB, False)
        assert stored(federation)[:2] == (log_size, blobs), "an upload is nothing that anybody has"
        with refused(errors.OffsetOutOfRangeError, str(MIB), **out_of_range) as told:
            await write(registry, first_message(BLOB[2 * MIB :], BLOB_REF, offset=2 * MIB))
        assert told.value.metadata["committedBytes"] == str(MIB)
        rest = blobs_pb2.WriteBlobRequest(offset=2 * MIB, data=BLOB[2 * MIB :])
        answer = await write(registry, first_message(BLOB[MIB : 2 * MIB], BLOB_REF, offset=MIB), rest)
        assert answer.blob == BLOB_REF
        assert await standing() == (len(BLOB), True)
    now = stored(federation)
    assert now[1] - blobs == {BLOB_REF.digest[2:]}
    assert BLOB_REF.digest not in "".join(now[2])


async def test_an_abandoned_upload_is_nothing_that_anybody_has(federation):
    data = os.urandom(2 * MIB)
    reference = blobs_pb2.BlobRef(digest=sha256_hex(data), size_bytes=len(data))
    log_size, blobs, _ = stored(federation)
    async with registry_of(federation) as registry:
        going_on = asyncio.Event()

        async def abandoned():
            yield first_message(data[:MIB], reference)
            going_on.set()
            await asyncio.sleep(30)

        call = registry.blobs.WriteBlob(abandoned(), timeout=30)
        await asyncio.wait_for(going_on.wait(), 10)
        call.cancel()
        missing = await registry.call(
            registry.blobs.FindMissingBlobs,
            blobs_pb2.FindMissingBlobsRequest(parent="namespaces/bad", blobs=[reference]),
        )
        assert list(missing.missing) == [reference]
        with refused(errors.NotFoundError, reference.digest, status=grpc.StatusCode.NOT_FOUND, code=3):
            async for _ in registry.stream(
                registry.blobs.ReadBlob,
                blobs_pb2.ReadBlobRequest(parent="namespaces/bad", digest=reference.digest),
            ):
                pass
    assert stored(federation)[:2] == (log_size, blobs)


@pytest.mark.parametrize(
    ("method", "request_message", "family"),
    [
        (
            "FindMissingBlobs",
            blobs_pb2.FindMissingBlobsRequest(parent="namespaces/bad", blobs=[BLOB_REF] * 10_001),
            errors.MessageTooLargeError,
        ),
        (
            "BatchWriteBlobs",
            blobs_pb2.BatchWriteBlobsRequest(
                parent="namespaces/bad",
                blobs=[blobs_pb2.BlobContent(digest=sha256_hex(bytes(3 * MIB)), data=bytes(3 * MIB))],
            ),
            errors.MessageTooLargeError,
        ),
        (
            "BatchReadBlobs",
            blobs_pb2.BatchReadBlobsRequest(parent="namespaces/bad", digests=[BLOB_REF.digest] * 1001),
            errors.MessageTooLargeError,
        ),
        (
            "GetUpload",
            blobs_pb2.GetUploadRequest(
                parent="namespaces/bad", blob=blobs_pb2.BlobRef(digest="ABC", size_bytes=1)
            ),
            errors.InvalidInputError,
        ),
        (
            "GetUpload",
            blobs_pb2.GetUploadRequest(
                parent="namespaces/bad", blob=blobs_pb2.BlobRef(digest=BLOB_REF.digest, size_bytes=-1)
            ),
            errors.InvalidInputError,
        ),
    ],
    ids=["too many asked for", "batch too large", "too many read", "no digest", "negative size"],
)
async def test_limits_of_the_contract_are_kept(federation, method, request_message, family):
    with nothing_changes(federation):
        async with registry_of(federation) as registry:
            with refused(family, status=INVALID, code=2):
                await registry.call(getattr(registry.blobs, method), request_message)


# --- messages that are too large --------------------------------------------------------------------------


async def test_a_message_over_the_limit_is_not_sent_and_not_taken(federation):
    request = models_pb2.PublishVersionRequest(
        parent="namespaces/bad/models/large", canonical_manifest=bytes(MAX_MESSAGE_BYTES + 1)
    )
    with nothing_changes(federation):
        async with registry_of(federation) as registry:
            with refused(errors.MessageTooLargeError, "larger than max", status=INVALID, code=2):
                await registry.call(registry.models.PublishVersion, request)
        pinned = Federation.load(federation.folder)
        place, who = pinned.environment("dev"), pinned.identity("ci")
        tls = TlsIdentity.load(who.certificate, who.private_key, pinned.ca)
        credentials = grpc.ssl_channel_credentials(tls.ca, tls.private_key, tls.certificate)
        options = [("grpc.ssl_target_name_override", place.server_name), ("grpc.max_send_message_length", -1)]
        async with grpc.aio.secure_channel(place.endpoint, credentials, options=options) as channel:
            with (
                refused(errors.MessageTooLargeError, "larger than max", status=INVALID, code=2),
                typed_errors("dev"),
            ):
                await models_pb2_grpc.ModelServiceStub(channel).PublishVersion(request, timeout=10)


# --- signatures and versions ------------------------------------------------------------------------------


@pytest.fixture
async def sent(federation, tmp_path):
    """A bundle whose files dev was given, and which nobody published so far."""
    folder = make_bundle_directory(tmp_path, seed=77)
    document = read_document(folder / "carnet.yaml")
    manifest = build_manifest(document, folder, home="dev", namespace="bad", model="signed", version=1)
    async with registry_of(federation) as registry:
        contents = [(folder / file.path).read_bytes() for file in manifest.files]
        await registry.call(
            registry.blobs.BatchWriteBlobs,
            blobs_pb2.BatchWriteBlobsRequest(
                parent="namespaces/bad",
                blobs=[blobs_pb2.BlobContent(digest=sha256_hex(data), data=data) for data in contents],
            ),
        )
        yield manifest, registry


def signed(manifest: Manifest, key: SigningKey, *, files=None) -> bytes:
    files = manifest.files if files is None else files
    covered = [(file.path, file.digest) for file in files] + [(MANIFEST_NAME, manifest.digest)]
    return sign_model(manifest.model, covered, key)


def publication(manifest: Manifest, signature: bytes, *, data: bytes | None = None, model: str = "signed"):
    return models_pb2.PublishVersionRequest(
        parent=f"namespaces/bad/models/{model}",
        canonical_manifest=manifest.to_bytes() if data is None else data,
        signature=signature,
    )


async def test_a_signature_counts_by_a_trusted_key_over_these_very_bytes(federation, sent):
    manifest, registry = sent
    federation_of = Federation.load(federation.folder)
    ci, bob = (federation_of.identity(name).signing_key() for name in ("ci", "bob"))
    stranger = SigningKey.generate()
    other = manifest.with_version(2)
    good = signed(manifest, ci)
    bundle = json.loads(good)
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = json.loads(signed(other, ci))["dsseEnvelope"][
        "signatures"
    ][0]["sig"]
    document = json.loads(manifest.to_bytes())
    spaced = json.dumps(document).encode()
    more = canonical_json(document | {"surprise": 1})
    elsewhere = canonical_json(document | {"home": "prod"})
    integrity, malformed = {"status": INVALID, "code": 6}, {"status": INVALID, "code": 2}
    table = [
        (errors.KeyUntrustedError, integrity, publication(manifest, signed(manifest, stranger))),
        (errors.KeyUntrustedError, integrity, publication(manifest, signed(manifest, bob))),
        (errors.SignatureInvalidError, integrity, publication(manifest, json.dumps(bundle).encode())),
        (errors.SignatureInvalidError, integrity, publication(manifest, b"{}")),
        (errors.SignatureInvalidError, integrity, publication(manifest, b"")),
        (errors.DigestMismatchError, integrity, publication(manifest, signed(other, ci))),
        (
            errors.StatementInvalidError,
            integrity,
            publication(manifest, signed(manifest, ci, files=manifest.files[1:])),
        ),
        (errors.DocumentInvalidError, malformed, publication(manifest, good, data=spaced)),
        (errors.DocumentInvalidError, malformed, publication(manifest, good, data=more)),
        (errors.DocumentInvalidError, malformed, publication(manifest, good, data=b"")),
        (errors.InvalidInputError, malformed, publication(manifest, good, data=elsewhere)),
        (errors.InvalidInputError, malformed, publication(manifest, good, model="another")),
    ]
    with nothing_changes(federation):
        for family, told, request in table:
            with refused(family, **told):
                await registry.call(registry.models.PublishVersion, request)
    await registry.call(registry.models.PublishVersion, publication(manifest, good))


async def test_a_version_without_its_blobs_is_not_published(federation, tmp_path):
    folder = make_bundle_directory(tmp_path, seed=78)
    document = read_document(folder / "carnet.yaml")
    manifest = build_manifest(document, folder, home="dev", namespace="bad", model="signed", version=1)
    manifest = manifest.model_copy(update={"model": "bloblessly"})
    ci = Federation.load(federation.folder).identity("ci").signing_key()
    with nothing_changes(federation):
        async with registry_of(federation) as registry:
            with refused(
                errors.BlobsMissingError,
                manifest.files[0].digest,
                status=grpc.StatusCode.FAILED_PRECONDITION,
                code=7,
            ):
                await registry.call(
                    registry.models.PublishVersion,
                    publication(manifest, signed(manifest, ci), model="bloblessly"),
                )


async def test_an_error_with_much_to_say_is_still_a_typed_error(federation):
    files = tuple(
        File(
            path=f"parts/{'x' * 60}-{number:04}.bin",
            role="model",
            size_bytes=1,
            digest=sha256_hex(b"%d" % number),
        )
        for number in range(1000)
    )
    manifest = make_manifest(namespace="bad", model="many", files=files)
    ci = Federation.load(federation.folder).identity("ci").signing_key()
    failed = {"status": grpc.StatusCode.FAILED_PRECONDITION, "code": 7}
    async with registry_of(federation) as registry:
        with refused(errors.BlobsMissingError, **failed):
            await registry.call(
                registry.models.PublishVersion, publication(manifest, signed(manifest, ci), model="many")
            )
        document = json.loads(manifest.to_bytes())
        strange = canonical_json(document | {f"{'€' * 100}{number}": 1 for number in range(1000)})
        with refused(errors.DocumentInvalidError, status=INVALID, code=2):
            await registry.call(
                registry.models.PublishVersion,
                publication(manifest, signed(manifest, ci), data=strange, model="many"),
            )


def test_a_number_that_has_another_content_is_kept(federation, tmp_path):
    first = federation.publish(tmp_path, "bad/numbered", seed=1)
    folder = make_bundle_directory(tmp_path, seed=2)
    with federation.client("ci") as client:
        digest = client.resolve(first).bundle_digest
        log_size = stored(federation)[0]
        with refused(
            errors.AlreadyExistsError,
            "version 1",
            status=grpc.StatusCode.ALREADY_EXISTS,
            code=7,
        ):
            client.push("dev/bad/numbered", folder, version=1)
        with refused(errors.ConflictError, "the next number is 2", status=grpc.StatusCode.ABORTED, code=7):
            client.push("dev/bad/numbered", folder, version=5)
        assert client.resolve(first).bundle_digest == digest
        assert stored(federation)[0] == log_size
        assert client.push("dev/bad/numbered", folder, version=2).reference.version == 2
        again = client.push("dev/bad/numbered", folder)
    assert (again.already_published, again.reference.version) == (True, 2)


def test_an_alias_that_moved_meanwhile_is_not_moved_from_under_whoever_moved_it(federation, tmp_path):
    for seed in (1, 2):
        federation.publish(tmp_path, "bad/aliased", seed=seed)
    alias = "dev/bad/aliased@challenger"
    conflict = {"status": grpc.StatusCode.ABORTED, "code": 7}
    with federation.client("ci") as one, federation.client("dave") as other:
        seen = one.set_alias(alias, 1).alias.revision
        other.set_alias(alias, 2)
        with nothing_changes(federation):
            with refused(errors.ConflictError, "revision 2", **conflict):
                one.set_alias(alias, 1, expected_revision=seen)
            with refused(errors.ConflictError, "revision 2", **conflict):
                one.delete_alias(alias, expected_revision=seen)
            with refused(errors.ConflictError, **conflict):
                one.set_alias(alias, 1, expected_revision=0)
            with refused(errors.NotFoundError, status=grpc.StatusCode.NOT_FOUND, code=3):
                one.set_alias(alias, 9)
        assert one.alias(alias).version == 2


@pytest.mark.parametrize(
    ("reference", "family", "status", "code"),
    [
        ("nowhere/bad/model@1", errors.NotFoundError, grpc.StatusCode.NOT_FOUND, 3),
        ("dev/bad/absent@1", errors.NotFoundError, grpc.StatusCode.NOT_FOUND, 3),
        ("dev/absent/absent@champion", errors.NotFoundError, grpc.StatusCode.NOT_FOUND, 3),
        ("dev/bad@1", errors.ReferenceInvalidError, INVALID, 2),
        ("dev/bad/model", errors.ReferenceInvalidError, INVALID, 2),
        ("dev/bad/../model@1", errors.ReferenceInvalidError, INVALID, 2),
        ("dev/bad/model@0", errors.ReferenceInvalidError, INVALID, 2),
    ],
)
def test_what_is_not_there_or_no_reference_is_said_to_be_so(
    federation, tmp_path, reference, family, status, code
):
    with nothing_changes(federation), federation.client("ci") as client:
        for act in (
            lambda: client.resolve(reference),
            lambda: client.pull(reference, tmp_path / "pulled"),
            lambda: client.promote(reference, "staging"),
            lambda: client.attest(reference, {"suite": "evaluation", "result": "PASSED"}),
        ):
            with refused(family, status=status, code=code):
                act()
    assert not (tmp_path / "pulled").exists()


# --- certificates -----------------------------------------------------------------------------------------


@pytest.fixture
def view(federation, tmp_path):
    """A client's folder of the federation, in which files may be replaced."""
    folder = tmp_path / "view"
    folder.mkdir()
    shutil.copy(federation.folder / "federation.yaml", folder)
    shutil.copytree(federation.folder / "ca", folder / "ca")
    shutil.copytree(federation.folder / "identities" / "ci", folder / "identities" / "ci")
    return folder


def reissue(view: Path, authority: Authority, **options) -> None:
    for name in ("tls.pem", "tls-key.pem"):
        (view / "identities" / "ci" / name).unlink()
    authority.issue(view / "identities" / "ci", spiffe_id="spiffe://carnet.internal/service/ci", **options)


def another_authority(view: Path) -> None:
    reissue(view, Authority.create("carnet.internal"))


def expired(view: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=2)
    reissue(view, Authority.load(view / "ca"), now=past, valid_for=timedelta(days=1))


def not_begun(view: Path) -> None:
    reissue(view, Authority.load(view / "ca"), now=datetime.now(UTC) + timedelta(days=1))


def no_spiffe_id(view: Path) -> None:
    authority = Authority.load(view / "ca")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("spiffe.carnet.internal")]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    folder = view / "identities" / "ci"
    (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls-key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def believes_another_authority(view: Path) -> None:
    shutil.rmtree(view / "ca")
    Authority.create("carnet.internal").save(view / "ca")


def expects_another_name(view: Path) -> None:
    path = view / "federation.yaml"
    document = yaml.safe_load(path.read_text())
    document["environments"]["dev"]["server_name"] = "prod.carnet.internal"
    path.write_text(yaml.safe_dump(document))


def no_certificate(view: Path) -> None:
    (view / "identities" / "ci" / "tls.pem").unlink()


def no_pem(view: Path) -> None:
    (view / "identities" / "ci" / "tls.pem").write_text("not PEM")


UNAVAILABLE = (errors.UnavailableError, grpc.StatusCode.UNAVAILABLE, 8)
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
CERTIFICATES = {
    "of another authority": (another_authority, *UNAVAILABLE, "dev"),
    "expired": (expired, errors.CertificateExpiredError, UNAUTHENTICATED, 4, "get a new one"),
    "not valid yet": (not_begun, errors.CertificateExpiredError, UNAUTHENTICATED, 4, "is valid from"),
    "without a SPIFFE id": (no_spiffe_id, errors.UnauthenticatedError, UNAUTHENTICATED, 4, "SPIFFE id"),
    "the server's is of another authority": (believes_another_authority, *UNAVAILABLE, "dev"),
    "the server's has another name": (expects_another_name, *UNAVAILABLE, "dev"),
    "missing": (no_certificate, errors.FileUnreadableError, INVALID, 2, "tls.pem"),
    "no certificate at all": (no_pem, errors.DocumentInvalidError, INVALID, 2, "not PEM"),
}


@pytest.mark.parametrize(
    ("spoil", "family", "status", "code", "message"), CERTIFICATES.values(), ids=CERTIFICATES
)
def test_a_wrong_certificate_opens_nothing(federation, view, spoil, family, status, code, message):
    spoil(view)
    with (
        carnet.connect(view, identity="ci") as client,
        refused(family, message, status=status, code=code),
    ):
        client.models("dev")


def test_a_key_that_the_registry_does_not_know_signs_nothing(federation, view, tmp_path):
    (view / "identities" / "ci" / "signing-key.pem").unlink()
    SigningKey.generate().save(view / "identities" / "ci" / "signing-key.pem")
    log_size, _, _ = stored(federation)
    with (
        carnet.connect(view, identity="ci") as client,
        refused(errors.KeyUntrustedError, status=INVALID, code=6),
    ):
        client.push("dev/bad/stranger", make_bundle_directory(tmp_path, seed=79))
    assert stored(federation)[0] == log_size


# --- a full disk, and peers that are not there ------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """dev alone, its data on a disk of its own of 24 MiB where one can be mounted."""
    federation = LocalFederation(tmp_path_factory.mktemp("small") / "carnet")
    disk = federation.folder / "environments" / "dev" / "data"
    disk.mkdir(exist_ok=True)
    mounted = _mount(disk, "size=24m")
    try:
        federation.start("dev")
        yield federation, disk if mounted else None
    finally:
        federation.stop()
        if mounted:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _mount(disk: Path, options: str) -> bool:
    command = shutil.which("mount")
    if command is None or os.geteuid() != 0:
        return False
    done = subprocess.run(
        [command, "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True, check=False
    )
    return done.returncode == 0


def log_entry_count(federation) -> int:
    async def ask() -> int:
        async with registry_of(federation) as registry:
            answer = await registry.call(registry.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
            return int(answer.checkpoint.splitlines()[1])

    return asyncio.run(ask())


FULL = {"status": grpc.StatusCode.RESOURCE_EXHAUSTED, "code": 8}


def make_large(tmp_path: Path, seed: int) -> Path:
    folder = make_bundle_directory(tmp_path, seed=seed)
    (folder / "model.bin").write_bytes(os.urandom(40 * MIB))
    return folder


def test_a_file_that_may_not_grow_is_a_full_store_and_the_registry_recovers(small, tmp_path):
    federation, _ = small
    process = psutil.Process(federation.processes["dev"].pid())
    before = process.rlimit(resource.RLIMIT_FSIZE)
    folder = make_bundle_directory(tmp_path, seed=1)
    (folder / "model.bin").write_bytes(os.urandom(10 * MIB))
    with federation.client("ci") as client:
        size = log_entry_count(federation)
        process.rlimit(resource.RLIMIT_FSIZE, (6 * MIB, before[1]))
        try:
            with refused(errors.StorageFullError, "nothing was stored", **FULL):
                client.push("dev/bad/limited", folder)
            with pytest.raises(errors.NotFoundError):
                client.model("dev/bad/limited")
            assert log_entry_count(federation) == size
        finally:
            process.rlimit(resource.RLIMIT_FSIZE, before)
        pushed = client.push("dev/bad/limited", folder)
        assert client.verify(str(pushed.reference)).bundle_digest == pushed.bundle_digest


def test_a_full_disk_is_said_to_be_full_and_the_registry_recovers(small, tmp_path):
    federation, disk = small
    if disk is None:
        pytest.skip("a small disk cannot be mounted here: it takes root")
    folder = make_large(tmp_path, 2)
    with federation.client("ci") as client:
        size = log_entry_count(federation)
        with refused(errors.StorageFullError, "disk", **FULL):
            client.push("dev/bad/full", folder)
        with pytest.raises(errors.NotFoundError):
            client.model("dev/bad/full")
        assert log_entry_count(federation) == size
        subprocess.run(["mount", "-o", "remount,size=128m", str(disk)], check=True)
        pushed = client.push("dev/bad/full", folder)
        assert client.verify(str(pushed.reference)).bundle_digest == pushed.bundle_digest


def test_a_full_disk_of_the_database_changes_nothing_and_the_registry_recovers(small, tmp_path):
    federation, disk = small
    if disk is None:
        pytest.skip("a small disk cannot be mounted here: it takes root")
    reference = federation.publish(tmp_path, "bad/database", seed=3)
    alias = "dev/bad/database@challenger"
    ballast = disk / "ballast"
    with federation.client("ci") as client:
        client.set_alias(alias, 1)
        size = log_entry_count(federation)
        fill(ballast)
        try:
            with refused(errors.StorageFullError, "full", **FULL):
                for _ in range(200):
                    client.set_alias(alias, 1, note="x" * 1000)
                    size = log_entry_count(federation)
            assert client.resolve(reference).version.reference == reference, "reading goes on"
            revision = client.alias(alias).revision
            assert log_entry_count(federation) == size
        finally:
            ballast.unlink()
        assert client.set_alias(alias, 1).alias.revision == revision + 1
        assert log_entry_count(federation) == size + 1
    with federation.client("dave") as auditor:
        assert auditor.audit_verify(environments=("dev",)).ok


def fill(path: Path) -> None:
    """Write until the disk has no room left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 << 10))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")


def test_a_peer_that_is_stopped_is_unavailable(small, tmp_path, monkeypatch, capsys):
    federation, _ = small
    reference = federation.publish(tmp_path, "bad/alone", seed=4)
    size = log_entry_count(federation)
    family, status, code = UNAVAILABLE
    with federation.client("ci") as client:
        with refused(family, "staging", "is it running", status=status, code=code):
            client.models("staging")
        with refused(family, "the promotion service", status=status, code=code):
            client.promote(str(reference), "staging")
    assert log_entry_count(federation) == size
    monkeypatch.setenv("CARNET_DIR", str(federation.folder))
    assert main(["ls", "prod", "-o", "json"]) == 8
    assert json.loads(capsys.readouterr().out)["reason"] == "UNAVAILABLE"


def test_a_registry_that_comes_back_has_lost_nothing(small, tmp_path):
    federation, _ = small
    reference = federation.publish(tmp_path, "bad/killed", seed=5)
    with federation.client("ci") as client:
        before = client.resolve(reference)
        size = log_entry_count(federation)
        federation.kill("dev")
        with refused(UNAVAILABLE[0], "dev", status=UNAVAILABLE[1], code=8):
            client.resolve(reference)
        federation.start("dev")
        after = client.resolve(reference)
    assert (after.bundle_digest, after.manifest) == (before.bundle_digest, before.manifest)
    assert log_entry_count(federation) >= size
