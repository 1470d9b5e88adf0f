from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.document import BundleDocument
from carnet.bundle.feature_schema import FeatureSchema
from carnet.bundle.manifest import MAX_MANIFEST_BYTES, File, Manifest, parse_manifest
from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import DocumentInvalidError, ReferenceInvalidError
from tests.support.bundles import make_document, make_manifest

A = "a" * 64
FILE = {"path": "model.bin", "role": "model", "size_bytes": 3, "digest": A}
METRIC = {"name": "auc", "value": 0.5, "direction": "higher_is_better"}
MINIMAL = {
    "schema": "carnet.manifest/v1",
    "home": "dev",
    "namespace": "risk",
    "model": "fraud",
    "version": 1,
    "files": [FILE],
}


def full_manifest() -> Manifest:
    document = BundleDocument.model_validate_json(json.dumps(make_document()))
    said = {name: value for name, value in document if name not in {"files", "version"}}
    return make_manifest(**said)


def parse(**fields: Any) -> Manifest:
    return parse_manifest(canonical_json(MINIMAL | fields))


def test_a_full_manifest_is_read_back_from_its_bytes() -> None:
    manifest = full_manifest()

    read = parse_manifest(manifest.to_bytes())

    assert read == manifest
    assert read.digest == sha256_hex(manifest.to_bytes())


def test_the_canonical_form_has_no_field_at_its_default() -> None:
    assert make_manifest().to_bytes() == canonical_json(
        MINIMAL | {"files": [FILE | {"digest": sha256_hex(b"abc")}]}
    )


def test_the_name_is_that_of_signed_statements() -> None:
    assert make_manifest(version=12).subject_name == "dev/risk/fraud@12"


def test_content_digest_is_blind_to_the_version_only() -> None:
    first, second = make_manifest(version=1), make_manifest(version=2)

    assert first.digest != second.digest
    assert first.content_digest == second.content_digest
    assert make_manifest(model="churn").content_digest != first.content_digest
    assert make_manifest(owner="me").content_digest != first.content_digest


def test_with_version_changes_the_version_only() -> None:
    manifest = full_manifest()

    assert manifest.with_version(7).version == 7
    assert manifest.with_version(7).with_version(1) == manifest
    with pytest.raises(ReferenceInvalidError):
        manifest.with_version(0)


NOT_CANONICAL = {
    "whitespace": canonical_json(MINIMAL) + b"\n",
    "indented": json.dumps(MINIMAL, indent=1).encode(),
    "keys in another order": json.dumps(
        dict(sorted(MINIMAL.items(), reverse=True)), separators=(",", ":")
    ).encode(),
    "an empty text": canonical_json(MINIMAL | {"owner": ""}),
    "an empty list": canonical_json(MINIMAL | {"caveats": []}),
    "an empty object": canonical_json(MINIMAL | {"lineage": {}}),
    "an empty list inside": canonical_json(MINIMAL | {"lineage": {"datasets": []}}),
    "a null": canonical_json(MINIMAL | {"lineage": {"code": None}}),
    "a false": canonical_json(
        MINIMAL | {"feature_schema": {"inputs": [{"name": "a", "type": "bool", "nullable": False}]}}
    ),
    "a number written longer": canonical_json(MINIMAL | {"metrics": [METRIC]}).replace(b"0.5", b"0.50"),
    "a number as a decimal": canonical_json(MINIMAL | {"metrics": [METRIC | {"value": 1}]}).replace(
        b'"value":1', b'"value":1.0'
    ),
    "an escape": canonical_json(MINIMAL).replace(b"model.bin", b"model\\u002ebin"),
}


@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_another_form_of_the_same_manifest_is_refused(name: str) -> None:
    with pytest.raises(DocumentInvalidError, match="canonical"):
        parse_manifest(NOT_CANONICAL[name])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        canonical_json(MINIMAL)[:-1],
        b"\xff",
        b'{"a":NaN}',
        b'{"a":' * 300,
        b" " * (MAX_MANIFEST_BYTES + 1),
        canonical_json(MINIMAL)[:-1] + b',"home":"dev"}',
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalidError):
        parse_manifest(data)


@pytest.mark.parametrize("field", MINIMAL)
def test_each_required_field_is_named(field: str) -> None:
    data = canonical_json({name: value for name, value in MINIMAL.items() if name != field})

    with pytest.raises(DocumentInvalidError, match=f"{field} is missing") as caught:
        parse_manifest(data)
    assert caught.value.metadata["field"] == field


def feature(**fields: Any) -> dict[str, Any]:
    return {"feature_schema": {"inputs": [{"name": "a", "type": "float64"} | fields]}}


CODE = {"repository": "https://example.org/x", "commit": "abcdef1"}
DATASET = {"name": "d", "uri": "s3://d"}
PARENT = {"home": "dev", "namespace": "risk", "model": "fraud", "version": 1, "digest": A}
BAD: list[tuple[str, dict[str, Any]]] = [
    ("schema", {"schema": "carnet.manifest/v2"}),
    ("home", {"home": "Dev"}),
    ("namespace", {"namespace": "risk/eu"}),
    ("model", {"model": "x" * 64}),
    ("version", {"version": 0}),
    ("version", {"version": "1"}),
    ("version", {"version": True}),
    ("version", {"version": 1.5}),
    ("version", {"version": 2**31}),
    ("bogus", {"bogus": 1}),
    ("document_schema", {"document_schema": "carnet.manifest/v1"}),
    ("owner", {"owner": 1}),
    ("owner", {"owner": "a\nb"}),
    ("description", {"description": "a\0"}),
    ("caveats[0]", {"caveats": [1]}),
    ("labels.a", {"labels": {"a": 1}}),
    ("files", {"files": []}),
    ("files", {"files": {}}),
    ("files[0].path", {"files": [FILE | {"path": "../x"}]}),
    ("files[0].role", {"files": [FILE | {"role": "weights"}]}),
    ("files[0].size_bytes", {"files": [FILE | {"size_bytes": -1}]}),
    ("files[0].size_bytes", {"files": [FILE | {"size_bytes": 2.5}]}),
    ("files[0].digest", {"files": [FILE | {"digest": "sha256:" + A}]}),
    ("files[0].mode", {"files": [FILE | {"mode": 1}]}),
    ("files", {"files": [FILE, FILE]}),
    ("files", {"files": [FILE | {"path": "b"}, FILE | {"path": "a"}]}),
    ("files", {"files": [FILE | {"path": "A"}, FILE | {"path": "a"}]}),
    ("files", {"files": [FILE | {"path": "manifest.json"}]}),
    ("metrics[0].direction", {"metrics": [{"name": "auc", "value": 1}]}),
    ("metrics[0].direction", {"metrics": [METRIC | {"direction": "up"}]}),
    ("metrics[0].value", {"metrics": [METRIC | {"value": "1"}]}),
    ("metrics[0].value", {"metrics": [METRIC | {"value": True}]}),
    ("metrics[0].name", {"metrics": [METRIC | {"name": ""}]}),
    ("metrics[0].slice.a", {"metrics": [METRIC | {"slice": {"a": 1}}]}),
    ("metrics", {"metrics": [METRIC, METRIC | {"value": 0.7}]}),
    ("metrics", {"metrics": [METRIC, METRIC | {"direction": "lower_is_better"}]}),
    (
        "metrics",
        {"metrics": [METRIC | {"slice": {"a": "1", "b": "2"}}, METRIC | {"slice": {"b": "2", "a": "1"}}]},
    ),
    ("hyperparameters", {"hyperparameters": [1]}),
    ("lineage.code.commit", {"lineage": {"code": CODE | {"commit": "abcdef"}}}),
    ("lineage.code.commit", {"lineage": {"code": CODE | {"commit": "ABCDEF1"}}}),
    ("lineage.code.commit", {"lineage": {"code": CODE | {"commit": "main"}}}),
    ("lineage.code.commit", {"lineage": {"code": CODE | {"commit": "a" * 65}}}),
    ("lineage.code.repository", {"lineage": {"code": {"commit": "abcdef1"}}}),
    ("lineage.datasets[0].digest", {"lineage": {"datasets": [DATASET | {"digest": "x"}]}}),
    (
        "lineage.datasets[0].window.end",
        {"lineage": {"datasets": [DATASET | {"window": {"start": "2026-01-01"}}]}},
    ),
    (
        "lineage.datasets[0].window.end",
        {"lineage": {"datasets": [DATASET | {"window": {"start": "2026-01-01", "end": "2026-02-30"}}]}},
    ),
    ("lineage.parents[0].version", {"lineage": {"parents": [PARENT | {"version": 0}]}}),
    ("environment.framework.version", {"environment": {"framework": {"name": "sklearn"}}}),
    ("environment.training_seconds", {"environment": {"training_seconds": -1}}),
    ("environment.lock_file_digest", {"environment": {"lock_file_digest": "x"}}),
    ("feature_schema.inputs[0].type", feature(type="double")),
    ("feature_schema.inputs[0]", feature(type="string", minimum=1)),
    ("feature_schema.inputs[0]", feature(minimum=2, maximum=1)),
    ("feature_schema.inputs[0]", feature(categories=["a"])),
    ("feature_schema.inputs[0]", feature(type="categorical", categories=["a", "a"])),
    ("feature_schema.inputs[0]", feature(shape=[0])),
    ("feature_schema.inputs[0].shape[0]", feature(shape=[-2])),
    ("feature_schema.inputs[0].nullable", feature(nullable="yes")),
    ("feature_schema.inputs", {"feature_schema": {"inputs": [{"name": "a", "type": "bool"}] * 2}}),
]


@pytest.mark.parametrize(("field", "fields"), BAD)
def test_a_field_that_breaks_its_rule_is_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        parse(**fields)
    assert caught.value.metadata["field"].startswith(field)
    assert field.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0] in caught.value.message


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        parse(home="Dev", version=0, bogus=1)

    assert all(field in caught.value.message for field in ("home", "version", "bogus"))


def test_the_same_metric_on_another_slice_is_another() -> None:
    manifest = parse(metrics=[METRIC, METRIC | {"slice": {"b": "2", "a": "1"}}])

    assert [metric.key for metric in manifest.metrics] == ["auc", "auc{a=1,b=2}"]


def test_the_same_feature_may_be_input_and_output() -> None:
    side = [{"name": "a", "type": "bool"}]

    assert parse(feature_schema={"inputs": side, "outputs": side}).feature_schema.outputs[0].name == "a"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, -(2**60), {"deep": [2**53]}, "\ud800", {"\udfff": 1}]
)
def test_a_setting_that_json_cannot_hold_exactly_is_refused(value: Any) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        make_manifest(hyperparameters={"x": value})
    assert caught.value.metadata["field"].startswith("hyperparameters")


@pytest.mark.parametrize(
    "value", [2.0**53, 1e20, -1e18, 1e21, 5e-324, 1.7976931348623157e308, -0.0, 2**53 - 1]
)
def test_numbers_of_every_size_are_read_back_from_the_canonical_form(value: float) -> None:
    manifest = make_manifest(
        hyperparameters={"x": value},
        metrics=({"name": "m", "value": value, "direction": "lower_is_better"},),
        **feature(minimum=value),
    )

    read = parse_manifest(manifest.to_bytes())

    assert read.hyperparameters["x"] == value
    assert read.metrics[0].value == value
    assert read.to_bytes() == manifest.to_bytes()


def test_settings_too_deep_are_refused() -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]

    with pytest.raises(DocumentInvalidError, match="nested"):
        make_manifest(hyperparameters={"x": value})


def test_a_manifest_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_manifest().version = 2  # type: ignore[misc]


names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
scalars = (
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53) + 1, 2**53 - 1)
)
settings_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
manifests = st.builds(
    make_manifest,
    home=names,
    model=names,
    version=st.integers(1, 2**31 - 1),
    owner=names,
    labels=st.dictionaries(names, names, max_size=3),
    hyperparameters=st.dictionaries(names, settings_values, max_size=4),
    files=st.lists(names, min_size=1, max_size=5, unique=True).map(
        lambda paths: tuple(
            File(path=path, role="other", size_bytes=len(path), digest=sha256_hex(path.encode()))
            for path in sorted(paths)
        )
    ),
)


@given(manifests)
def test_every_manifest_has_one_form_that_reads_back(manifest: Manifest) -> None:
    data = manifest.to_bytes()

    read = parse_manifest(data)

    assert read.to_bytes() == data == canonical_json(json.loads(data, parse_int=float))
    assert read.digest == manifest.digest


@given(manifests, st.data())
def test_a_change_of_a_byte_gives_another_digest_or_is_refused(
    manifest: Manifest, data: st.DataObject
) -> None:
    original = manifest.to_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    changed = original[:at] + bytes([data.draw(st.integers(0, 255))]) + original[at + 1 :]
    try:
        read = parse_manifest(changed)
    except DocumentInvalidError:
        return
    assert (read.digest == manifest.digest) == (changed == original)


def test_preprocessing_that_is_a_file_is_one_of_the_bundle() -> None:
    def through(path: str) -> Manifest:
        feature = {"name": "amount", "type": "float64"}
        schema = {"inputs": [feature], "outputs": [], "preprocessing": {"path": path}}
        return make_manifest(feature_schema=FeatureSchema.model_validate(schema))

    assert parse_manifest(through("model.bin").to_bytes()).feature_schema is not None
    with pytest.raises(DocumentInvalidError, match="prep.json is no file of the bundle"):
        through("prep.json")
