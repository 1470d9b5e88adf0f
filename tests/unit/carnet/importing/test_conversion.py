from __future__ import annotations

from pathlib import Path

import pytest

from carnet.bundle.build import build_manifest
from carnet.documents import YamlSource, validate_document
from carnet.errors import DocumentInvalidError
from carnet.importing.conversion import bundle_document, check_directions, lasting_content
from carnet.importing.document import ImportDocument, read_import_document
from carnet.importing.layout import read_store
from tests.support.folder_registry import (
    change_manifest,
    make_folder_store,
    make_folder_version,
    point,
    write_import_document,
)


@pytest.fixture
def document(tmp_path):
    return read_import_document(write_import_document(tmp_path / "import.yaml"))


@pytest.fixture
def folder(tmp_path):
    return make_folder_store(tmp_path / "store", versions=2)


def convert(folder, document, number=1):
    store = read_store(folder)
    return bundle_document(store, store.versions[number - 1], document)


def test_every_fact_of_the_folder_has_its_place(folder, document):
    change_manifest(folder / "v1", note="from the old days", metrics={"roc_auc": 0.93, "recall": 1})

    said = convert(folder, document)

    assert {file.path: file.role for file in said.files} == {
        "model.pkl": "model",
        "preprocessor.pkl": "preprocessor",
    }
    assert [(each.name, each.value, each.direction) for each in said.metrics] == [
        ("recall", 1.0, "higher_is_better"),
        ("roc_auc", 0.93, "higher_is_better"),
    ]
    assert said.labels == {
        "risk_tier": "low",
        "git_commit": "abc1231",
        "data_window": "last 90 days",
        "cv_mean": "0.91",
        "tuned": "true",
        "import_version": "v1",
        "import_registered_at": "2026-05-01T08:05:47Z",
        "import_status": "archived",
        "import_pointer": "previous",
        "import_note": "from the old days",
    }
    assert said.lineage.code is not None
    assert said.lineage.code.commit == "abc1231"
    assert said.lineage.datasets[0].name == "payments"
    assert said.owner == "risk-team"


def test_an_artifact_of_another_name_is_a_file_of_another_role(tmp_path, document):
    make_folder_version(tmp_path / "store", 1, artifacts=("model.onnx", "tokenizer.json", "encoder.pkl"))

    roles = {file.path: file.role for file in convert(tmp_path / "store", document).files}

    assert roles == {"model.onnx": "model", "tokenizer.json": "tokenizer", "encoder.pkl": "other"}


def test_tags_that_say_nothing_are_left_out_and_others_become_text(folder, document):
    change_manifest(
        folder / "v1", metadata={"empty": "", "none": None, "list": [1, "b"], "map": {"b": 1, "a": None}}
    )

    labels = convert(folder, document).labels

    assert labels["list"] == '[1, "b"]'
    assert labels["map"] == '{"a": null, "b": 1}'
    assert {"empty", "none"}.isdisjoint(labels)


def test_without_a_repository_a_commit_stays_a_label(folder, document):
    said = convert(folder, document.model_copy(update={"repository": ""}))

    assert said.lineage.code is None
    assert said.labels["git_commit"] == "abc1231"


def test_metrics_without_a_direction_are_named_all_at_once(folder):
    with pytest.raises(DocumentInvalidError, match="recall, roc_auc") as caught:
        check_directions(read_store(folder).versions, ImportDocument())

    assert caught.value.metadata == {"field": "metric_directions", "missing": "recall,roc_auc"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"import_status": "mine"}, "metadata.import_status"),
        ({"note": "two\nlines"}, "labels"),
        ({"note": "x" * 2000}, "labels"),
        ({"git_commit": "HEAD"}, "commit"),
        ({"git_commit": 7}, "commit"),
    ],
)
def test_a_tag_that_has_no_form_here_is_refused_with_its_name(folder, document, metadata, message):
    change_manifest(folder / "v2", metadata=metadata)

    with pytest.raises(DocumentInvalidError, match=message) as caught:
        convert(folder, document, 2)
    assert "v2" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": [{"name": "a", "value": 1, "direction": "higher_is_better"}]}, "metrics"),
        ({"semantic_version": "1.0.0"}, "semantic_version"),
        ({"labels": {"import_status": "x"}}, "import_status"),
        ({"metric_directions": {"roc_auc": "up"}}, "metric_directions"),
        ({"files": []}, "files"),
        ({"lineage": {"code": {"repository": "https://example.org", "commit": "abc1234"}}}, "repository"),
    ],
)
def test_a_document_says_only_what_all_versions_share(tmp_path, fields, message):
    with pytest.raises(DocumentInvalidError, match=message):
        read_import_document(write_import_document(tmp_path / "import.yaml", **fields))


def test_the_example_of_the_documentation_is_a_document():
    page = Path(__file__).parents[4].joinpath("docs", "import.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]

    document = validate_document(YamlSource(example.encode(), name="import.yaml"), ImportDocument)

    assert document.metric_directions == {"roc_auc": "higher_is_better", "latency_ms": "lower_is_better"}
    assert document.feature_schema.inputs[0].name == "amount"


def test_status_and_pointer_go_on_changing_and_make_no_other_content(folder, document):
    def content():
        store = read_store(folder)
        version = store.versions[0]
        said = bundle_document(store, version, document)
        return lasting_content(
            build_manifest(said, version.root, home="dev", namespace="risk", model="fraud", version=1)
        )

    before = content()
    change_manifest(folder / "v1", status="production", promoted_at="2026-06-01")
    point(folder, 1, 2)
    assert content() == before

    change_manifest(folder / "v1", registered_at="2026-05-02T00:00:00Z")
    assert content() != before
