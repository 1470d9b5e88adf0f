from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.document import FileEntry, parse_document, read_document
from carnet.errors import CarnetError, DocumentInvalidError, FileUnreadableError
from tests.support.bundles import DOCUMENT_NAME, make_bundle_directory, make_document

FILES = "files: [{path: model.bin, role: model}]\n"


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentInvalidError) as caught:
        parse_document(text.encode())
    return caught.value.message.splitlines()


def test_a_full_document_is_read(tmp_path) -> None:
    folder = make_bundle_directory(tmp_path)

    document = read_document(folder / DOCUMENT_NAME)

    assert document.owner == "risk-team"
    assert document.files == (
        FileEntry(path="model.bin", role="model"),
        FileEntry(path="parts/1.bin", role="preprocessor"),
    )
    assert document.metrics[1].key == "log_loss{region=eu}"
    assert document.lineage.code is not None
    assert document.environment.training_seconds == 12.5
    assert document.feature_schema.inputs[0].minimum == 0
    assert document.version is None


def test_the_least_document_is_its_files() -> None:
    document = parse_document(FILES.encode())

    assert (document.owner, document.metrics, document.lineage.code) == ("", (), None)


def test_files_may_be_a_mapping_from_path_to_role() -> None:
    short = parse_document(b"files: {b.bin: model, a.json: config}\nversion: 3\nowner: me\n")

    assert short == parse_document(
        b"files: [{path: b.bin, role: model}, {path: a.json, role: config}]\nversion: 3\nowner: me\n"
    )
    assert short.version == 3


def test_dates_stay_text() -> None:
    text = FILES + "lineage: {datasets: [{name: d, uri: u, window: {start: 2026-01-01, end: 2026-02-28}}]}\n"

    window = parse_document(text.encode()).lineage.datasets[0].window

    assert window is not None
    assert (window.start, window.end) == ("2026-01-01", "2026-02-28")


CASES = [
    ("ownr: me\n", "2:1: ownr: unknown field; did you mean 'owner'?"),
    ("lineage:\n  codes: {}\n", "3:3: lineage.codes: unknown field; did you mean 'code'?"),
    ("home: dev\n", "2:1: home: unknown field"),
    ("owner: 7\n", "2:1: owner: Input should be a valid string (it is 7)"),
    ("labels:\n  tier: 1\n", "3:3: labels.tier: Input should be a valid string (it is 1)"),
    ("version: 0\n", "2:1: version:"),
    ("version: '1'\n", "2:1: version:"),
    ("metrics:\n  - name: auc\n    value: 1\n", "3:5: metrics[0].direction: required, and missing"),
    ("metrics:\n  - {name: a, value: .nan, direction: lower_is_better}\n", "3:15: metrics[0].value:"),
    ("metrics:\n  - {name: a, value: .inf, direction: lower_is_better}\n", "3:15: metrics[0].value:"),
    (
        "metrics:\n  - &a {name: a, value: 1, direction: lower_is_better}\n  - *a\n",
        "3:5: anchors and aliases are not taken",
    ),
    (
        "metrics: [{name: a, value: 1, direction: lower_is_better}, {name: a, value: 2, direction: lower_is_better}]\n",
        "2:1: metrics: the metric 'a' is given twice",
    ),
    ("lineage:\n  code: {repository: x, commit: main}\n", "3:25: lineage.code.commit: should be 7 to 64"),
    (
        "feature_schema:\n  inputs:\n    - {name: a, type: bool}\n    - {name: a, type: bool}\n",
        "5:8: feature_schema.inputs[1].name: is given twice: each feature has a name of its own",
    ),
    ("feature_schema:\n  inputs:\n    - {name: a, type: double}\n", "4:17: feature_schema.inputs[0].type:"),
    ("owner: a\nowner: b\n", "3:1: the key 'owner' twice"),
    ("hyperparameters: {x: 9007199254740992}\n", "2:1: hyperparameters: has the integer 9007199254740992"),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_problem_is_named_with_its_line_column_and_field(text: str, expected: str) -> None:
    (problem,) = problems(FILES + text)

    assert problem.startswith("carnet.yaml:" + expected)


FILE_CASES = [
    ("owner: me\n", "1:1: files: required, and missing"),
    ("files: []\n", "1:1: files: should name one file at least"),
    ("files: {}\n", "1:1: files: should name one file at least"),
    ("files: model.bin\n", "1:1: files:"),
    ("files:\n  - path: a\n", "2:5: files[0].role: required, and missing"),
    ("files:\n  - {path: a, role: weights}\n", "2:15: files[0].role: Input should be 'model', "),
    ("files:\n  - {path: a, role: model}\n  - {path: ../b, role: model}\n", "3:6: files[1].path:"),
    ("files:\n  - {path: /a, role: model}\n", "2:6: files[0].path:"),
    ("files:\n  - {path: a, role: model}\n  - {path: A, role: model}\n", "1:1: files:"),
    (
        "files:\n  - {path: a, rol: model, role: model}\n",
        "2:15: files[0].rol: unknown field; did you mean 'role'?",
    ),
    ("files:\n  a: model\n  ../b: model\n", "3:3: files."),
    ("files:\n  a: weights\n", "2:3: files.a: Input should be 'model', "),
    ("files:\n  a: model\n  A: model\n", "1:1: files:"),
    ("files:\n  model.sig: other\n", "1:1: files:"),
]


@pytest.mark.parametrize(("text", "expected"), FILE_CASES)
def test_a_problem_with_the_files_is_named_with_its_line_and_column(text: str, expected: str) -> None:
    (problem,) = problems(text)

    assert problem.startswith("carnet.yaml:" + expected)


def test_all_problems_are_reported_at_once() -> None:
    found = problems("ownr: me\nversion: 0\nfiles:\n  - {path: ../a, role: weights}\n")

    assert sorted(line.split(": ")[1] for line in found) == [
        "files[0].path",
        "files[0].role",
        "ownr",
        "version",
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"text",
        b"files: [",
        b"a: b: c",
        b"\xff\xfe",
        b"!!python/object/apply:os.system [id]",
        b"files: !!python/name:os.system",
        b"--- {}\n--- {}\n",
        b"a: &a [*a]",
        b"? [a]\n: b",
        b"[" * 5000,
        b"x: " + b"[" * 100 + b"]" * 100,
        b"# " + b"x" * (1 << 20),
    ],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalidError, match=r"carnet\.yaml"):
        parse_document(data)


def test_nested_aliases_do_not_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    with pytest.raises(DocumentInvalidError):
        parse_document("\n".join(lines).encode())


def test_a_missing_document_is_named(tmp_path) -> None:
    with pytest.raises(FileUnreadableError, match="missing"):
        read_document(tmp_path / "missing.yaml")


def test_messages_use_the_name_of_the_file(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("ownr: me\n" + FILES)

    with pytest.raises(DocumentInvalidError, match=r"^mine\.yaml:1:1: ownr"):
        read_document(path)


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(make_document())), yaml_values)
def test_any_value_in_any_field_is_read_or_refused_with_our_errors(field: str, value: object) -> None:
    data = yaml.safe_dump(make_document() | {field: value}).encode()
    try:
        parse_document(data)
    except CarnetError as error:
        error.message.encode()


def test_the_example_of_the_documentation_has_every_field() -> None:
    page = (Path(__file__).parents[4] / "docs" / "bundle.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]

    document = parse_document(example.encode())

    absent = [name for name, value in document if not value]
    assert absent == ["version"]
    assert all(value for _, value in document.lineage)
    assert all(value for _, value in document.environment)
