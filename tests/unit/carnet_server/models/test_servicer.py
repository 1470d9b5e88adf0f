"""ModelService: messages in, messages out."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format

from carnet.bundle.manifest import Manifest
from carnet.errors import InvalidInputError, ReferenceInvalidError
from carnet.registry.v1 import models_pb2 as pb
from carnet.translog.receipt import verify_receipt
from carnet_server.access.scope import enter_scope
from carnet_server.log.proto import receipt_from_proto
from carnet_server.models.proto import manifest_to_proto
from carnet_server.models.servicer import ModelServicer
from tests.support.bundles import make_document
from tests.support.registry import CI, OPERATOR, make_version

PARENT = "namespaces/risk/models/fraud"
VERSION = f"{PARENT}/versions/1"


@pytest.fixture
async def servicer(registry):
    enter_scope(registry.caller(CI))
    return ModelServicer(registry.models, registry.state, registry.log)


async def test_propose_publish_read_resolve_and_revoke(registry, servicer):
    enter_scope(registry.caller(CI))
    manifest, contents = make_version(1, description="Scores payments.")
    await registry.give_blobs(manifest, contents)
    proposal = await servicer.ProposeVersion(
        pb.ProposeVersionRequest(parent=PARENT, content_digest=manifest.content_digest), None
    )
    assert (proposal.version, proposal.published) == (1, False)
    request = pb.PublishVersionRequest(
        parent=PARENT, canonical_manifest=manifest.to_bytes(), signature=registry.sign(manifest)
    )
    request.validate_only = True
    checked = await servicer.PublishVersion(request, None)
    assert not checked.HasField("receipt")
    request.validate_only = False
    published = await servicer.PublishVersion(request, None)
    verify_receipt(receipt_from_proto(published.receipt), registry.state.log_key.verifier)
    version = published.version
    assert (version.name, version.bundle_digest, version.stage) == (
        VERSION,
        manifest.digest,
        pb.STAGE_REGISTERED,
    )
    assert (version.publisher, version.description, version.file_count) == (CI, "Scores payments.", 1)
    assert version.canonical_manifest == manifest.to_bytes()
    assert version.manifest.files[0].digest == manifest.files[0].digest
    assert (await servicer.GetVersion(pb.GetVersionRequest(name=VERSION), None)).version == version
    resolved = await servicer.ResolveVersion(pb.ResolveVersionRequest(name=VERSION), None)
    assert (resolved.version, resolved.HasField("alias")) == (version, False)
    (listed,) = (await servicer.ListVersions(pb.ListVersionsRequest(parent=PARENT), None)).versions
    assert (listed.name, listed.canonical_manifest, listed.HasField("manifest")) == (VERSION, b"", False)
    model = (await servicer.GetModel(pb.GetModelRequest(name=PARENT), None)).model
    for parent in ("namespaces/risk", "namespaces/-"):
        (found,) = (await servicer.ListModels(pb.ListModelsRequest(parent=parent), None)).models
        assert found == model
    assert (model.home, model.owner, model.latest_version) == ("dev", "risk-team", 1)
    enter_scope(registry.caller(OPERATOR))
    revoked = await servicer.RevokeVersion(pb.RevokeVersionRequest(name=VERSION, reason="bad data"), None)
    assert revoked.version.stage == pb.STAGE_REVOKED
    verify_receipt(receipt_from_proto(revoked.receipt), registry.state.log_key.verifier)


async def test_malformed_requests_are_refused(registry, servicer):
    await registry.add_version(1)
    for call, error in (
        (servicer.GetModel(pb.GetModelRequest(name=VERSION), None), ReferenceInvalidError),
        (servicer.GetVersion(pb.GetVersionRequest(name=PARENT), None), ReferenceInvalidError),
        (servicer.ListModels(pb.ListModelsRequest(parent=PARENT), None), ReferenceInvalidError),
        (servicer.ListVersions(pb.ListVersionsRequest(parent="fraud"), None), ReferenceInvalidError),
        (servicer.ResolveVersion(pb.ResolveVersionRequest(name=PARENT), None), ReferenceInvalidError),
        (servicer.PublishVersion(pb.PublishVersionRequest(parent=VERSION), None), ReferenceInvalidError),
        (servicer.RevokeVersion(pb.RevokeVersionRequest(name=VERSION), None), InvalidInputError),
        (
            servicer.RevokeVersion(pb.RevokeVersionRequest(name=VERSION, reason="x" * 2001), None),
            InvalidInputError,
        ),
        (
            servicer.ProposeVersion(pb.ProposeVersionRequest(parent=PARENT, content_digest="ABC"), None),
            InvalidInputError,
        ),
        (servicer.ListVersions(pb.ListVersionsRequest(parent=PARENT, page_size=-1), None), InvalidInputError),
        (
            servicer.ListModels(pb.ListModelsRequest(parent="namespaces/-", page_token="x"), None),
            InvalidInputError,
        ),
    ):
        with pytest.raises(error):
            await call


def test_the_manifest_message_mirrors_the_document_field_for_field():
    said = make_document(files=1)
    files = [{"path": "model.bin", "role": "model", "size_bytes": 2**40, "digest": "0" * 64}]
    document = {**said, "schema": "carnet.manifest/v1", "home": "dev", "files": files}
    document |= {"namespace": "risk", "model": "fraud", "version": 3}
    manifest = Manifest.model_validate_json(json.dumps(document), by_alias=True, by_name=False)
    message = manifest_to_proto(manifest.to_bytes())
    mirrored = json_format.MessageToDict(message, preserving_proto_field_name=True)
    mirrored["files"][0]["size_bytes"] = int(mirrored["files"][0]["size_bytes"])
    assert mirrored == manifest.to_json()
