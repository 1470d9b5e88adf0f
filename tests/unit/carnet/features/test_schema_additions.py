"""The preprocessing that a schema can name, and manifests from before it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from carnet.bundle.feature_schema import Feature, FeatureSchema, Preprocessing
from carnet.bundle.manifest import parse_manifest
from tests.support.bundles import make_manifest

AMOUNT = Feature(name="amount", type="float64")


def test_a_manifest_without_preprocessing_keeps_its_bytes():
    manifest = make_manifest(feature_schema=FeatureSchema(inputs=(AMOUNT,)))
    data = manifest.to_bytes()
    assert b'"feature_schema":{"inputs":[{"name":"amount","type":"float64"}]}' in data
    assert parse_manifest(data).to_bytes() == data


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"path": "model.bin"}, b'{"path":"model.bin"}'),
        ({"name": "payment-features", "version": "7"}, b'{"name":"payment-features","version":"7"}'),
    ],
)
def test_preprocessing_is_written_and_read_back(given, written):
    schema = FeatureSchema(inputs=(AMOUNT,), preprocessing=Preprocessing(**given))
    data = make_manifest(feature_schema=schema).to_bytes()
    assert b'"preprocessing":' + written in data
    assert parse_manifest(data).feature_schema == schema


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": "x"},
        {"version": "1"},
        {"path": "a", "name": "x", "version": "1"},
        {"path": "a", "version": "1"},
        {"path": "../a"},
        {"path": "/a"},
        {"name": "two\nlines", "version": "1"},
        {"file": "a"},
    ],
)
def test_preprocessing_is_one_thing(given):
    with pytest.raises(ValidationError):
        Preprocessing(**given)
