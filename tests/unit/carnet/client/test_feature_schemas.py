"""A version's feature schema, from the registry to the check."""

from __future__ import annotations

import pytest

import carnet
from carnet import errors


def test_a_versions_schema_checks_rows(federation, fraud):
    with carnet.connect(federation.folder) as client:
        validator = client.feature_schema("dev/risk/fraud@1")
        outputs = client.feature_schema("dev/risk/fraud@1", side="outputs", allow_extra=True)
    assert validator.schema == fraud.feature_schema
    assert validator.validate({"amount": 1.0, "country": "CH"}).valid
    with pytest.raises(errors.InvalidInputError, match="amount is below the minimum"):
        validator.require_valid([{"amount": -1.0, "country": "CH"}])
    assert outputs.validate({"score": 0.5, "more": 1}).valid


def test_a_version_without_a_schema_is_a_typed_error(federation, fraud):
    federation.dev.publish(*_without_schema(federation, fraud))
    with carnet.connect(federation.folder) as client:
        with pytest.raises(errors.PreconditionFailedError, match="has no inputs") as caught:
            client.feature_schema("dev/risk/fraud@2")
        with pytest.raises(errors.NotFoundError):
            client.feature_schema("dev/risk/fraud@7")
    assert caught.value.metadata["field"] == "feature_schema.inputs"


def _without_schema(federation, fraud):
    from carnet.bundle.feature_schema import FeatureSchema
    from carnet.bundle.paths import MANIFEST_NAME
    from carnet.signing.model_signature import sign_model
    from tests.unit.carnet.client.fake_federation import signing_key

    manifest = fraud.model_copy(update={"version": 2, "feature_schema": FeatureSchema()})
    files = [(file.path, file.digest) for file in manifest.files]
    return manifest, sign_model("fraud", [*files, (MANIFEST_NAME, manifest.digest)], signing_key("ci"))
