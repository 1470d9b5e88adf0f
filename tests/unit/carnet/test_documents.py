"""YAML that people write: what its scalars are, what is refused, and where each error points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from carnet.documents import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    YamlSource,
    field_path,
    parse_document,
    read_document,
    read_file,
    validate_document,
)
from carnet.errors import DocumentInvalidError, FileUnreadableError


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Part(Strict):
    path: str
    role: str = "other"
    size: int = 0


class Document(Strict):
    owner: str
    files: tuple[Part, ...] = Field(min_length=1)
    labels: dict[str, Part] = Field(default_factory=dict)
    nested: Part | None = None
    ratio: float = 0.0


def parsed(text: str | bytes):
    return YamlSource(text.encode() if isinstance(text, str) else text, name="carnet.yaml").value


# --- scalars ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("nil", "nil"),
        ("0", 0),
        ("12", 12),
        ("+12", 12),
        ("-12", -12),
        ("012", 12),
        ("0o14", 12),
        ("0xFf", 255),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("-1.5e+3", -1500.0),
        (".inf", float("inf")),
        ("-.Inf", float("-inf")),
        ("3.11.9", "3.11.9"),
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01T12:30:00Z", "2026-03-01T12:30:00Z"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("=", "="),
        ("4f0c1d2e", "4f0c1d2e"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parsed(f"field: {text}")["field"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_float():
    assert parsed("field: .nan")["field"] != parsed("field: .nan")["field"]


@given(st.integers())
def test_integers_are_decimal(number):
    assert parsed(f"field: {number}") == {"field": number}


def test_an_empty_document_is_nothing():
    assert parsed("") is None
    assert parsed("# only a comment\n") is None


def test_blocks_flows_and_texts_of_several_lines():
    assert parsed("a:\n  - {b: 1, c: [x, y]}\n  - |\n    one\n    two\n") == {
        "a": [{"b": 1, "c": ["x", "y"]}, "one\ntwo\n"]
    }


# --- what is refused --------------------------------------------------------------------------------------

REFUSED = {
    "anchor": ("a: 1\nb: &anchor 2\n", "carnet.yaml:2:4: anchors and aliases are not taken"),
    "alias": ("a: 1\nb: *anchor\n", "carnet.yaml:2:4: anchors and aliases are not taken"),
    "anchored mapping": ("a: &x {b: 1}\n", "carnet.yaml:1:4: anchors and aliases are not taken"),
    "duplicate key": ("a: 1\nb:\n  c: 1\n  c: 2\n", "carnet.yaml:4:3: the key 'c' twice"),
    "duplicate key in a flow": ("{a: 1, a: 1}", "carnet.yaml:1:8: the key 'a' twice"),
    "number as a key": ("a:\n  5: x\n", "carnet.yaml:2:3: a key must be text"),
    "null as a key": ("~: x\n", "carnet.yaml:1:1: a key must be text"),
    "list as a key": ("? [a]\n: 1\n", "carnet.yaml:1:3: a key must be text"),
    "python object": ("a: !!python/object:os.system {}\n", "carnet.yaml:1:4: the tag"),
    "own tag": ("a: !secret x\n", "carnet.yaml:1:4: the tag '!secret'"),
    "standard tag": ("a: !!binary aGk=\n", "carnet.yaml:1:4: the tag"),
    "tag that does not fit": ("a: !!bool perhaps\n", "carnet.yaml:1:4: the tag"),
    "empty number by tag": ("a: !!int ''\n", "carnet.yaml:1:4: the tag"),
    "time by tag": ("a: !!timestamp now\n", "carnet.yaml:1:4: the tag"),
    "two documents": ("a: 1\n---\nb: 2\n", "carnet.yaml:2:1: "),
    "tab": ("a:\n\tb: 1\n", "carnet.yaml:2:1: "),
    "open bracket": ("a: [1, 2\n", "carnet.yaml:2:1: "),
    "not UTF-8": (b"a: \xff\n", "carnet.yaml: not UTF-8 text at byte 3"),
    "control character": (b"a: \x00\n", "carnet.yaml: not YAML"),
    "huge number": ("a: " + "9" * 5000, "carnet.yaml: not YAML"),
    "deep": ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), f"nested deeper than {MAX_DEPTH}"),
    "very deep": ("[" * 100_000, "carnet.yaml: not YAML"),
    "large": ("#" * (MAX_DOCUMENT_BYTES + 1), f"a document has at most {MAX_DOCUMENT_BYTES}"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_plain_yaml_is_refused_with_its_place(text, message):
    with pytest.raises(DocumentInvalidError) as refused:
        parsed(text)
    assert message in refused.value.message


def test_a_document_may_be_as_deep_and_as_large_as_the_limits():
    assert parsed("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert parsed("#" * MAX_DOCUMENT_BYTES) is None


def read_or_refused(data: bytes) -> bool:
    """Whether a document is read, or refused with an error that begins with its name."""
    try:
        return isinstance(parse_document(data, Document, name="carnet.yaml"), Document)
    except DocumentInvalidError as error:
        return error.message.startswith("carnet.yaml")


@given(st.binary(max_size=100) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_make_it_fail_otherwise(data):
    assert read_or_refused(data)


@given(st.text("!&*{}[]?:-'\"|>%@` \n\tab1~.", max_size=40).map(str.encode))
def test_no_signs_of_yaml_make_it_fail_otherwise(data):
    assert read_or_refused(data)


# --- errors of schema -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "field"),
    [
        (
            "owner: a\nfiles:\n  - path: m\n    rolle: x\n",
            "carnet.yaml:4:5: files[0].rolle: unknown field; did you mean 'role'?",
            "files[0].rolle",
        ),
        (
            "owner: a\nfiles: [{path: m}]\nqqq: 1\n",
            "carnet.yaml:3:1: qqq: unknown field; known here: files, labels, nested, owner, ratio",
            "qqq",
        ),
        (
            "owner: a\nfiles: [{path: m}]\nnested: {path: m, sise: 1}\n",
            "carnet.yaml:3:19: nested.sise: unknown field; did you mean 'size'?",
            "nested.sise",
        ),
        ("files: [{path: m}]\n", "carnet.yaml:1:1: owner: required, and missing", "owner"),
        (
            "owner: a\nfiles:\n  - role: x\n",
            "carnet.yaml:3:5: files[0].path: required, and missing",
            "files[0].path",
        ),
        (
            "owner: 5\nfiles: [{path: m}]\n",
            "carnet.yaml:1:1: owner: Input should be a valid string (it is 5)",
            "owner",
        ),
        (
            "owner: a\nfiles:\n  - path: m\n  - {path: n, size: big}\n",
            "carnet.yaml:4:15: files[1].size: Input should be a valid integer (it is 'big')",
            "files[1].size",
        ),
        (
            "owner: a\nfiles: [{path: m}]\nlabels:\n  one:\n    path: 1.5\n",
            "carnet.yaml:5:5: labels.one.path: Input should be a valid string (it is 1.5)",
            "labels.one.path",
        ),
        ("owner: a\nfiles: m\n", "carnet.yaml:2:1: files: ", "files"),
        ("owner: a\nfiles: []\n", "carnet.yaml:2:1: files: ", "files"),
        ("just text\n", "carnet.yaml:1:1: document: ", "document"),
        ("", "carnet.yaml: document: ", "document"),
    ],
)
def test_an_error_names_line_column_field_and_value(text, message, field):
    with pytest.raises(DocumentInvalidError) as refused:
        parse_document(text.encode(), Document, name="carnet.yaml")
    assert refused.value.message.startswith(message)
    assert refused.value.metadata == {"field": field}


def test_all_errors_are_told_at_once():
    text = "owners: a\nfiles:\n  - {pat: m}\nratio: much\n"
    with pytest.raises(DocumentInvalidError) as refused:
        parse_document(text.encode(), Document, name="carnet.yaml")
    lines = refused.value.message.splitlines()
    assert {line.split(": ")[1] for line in lines} >= {
        "owner",
        "owners",
        "files[0].path",
        "files[0].pat",
        "ratio",
    }


def test_a_long_value_is_shown_in_part():
    with pytest.raises(DocumentInvalidError) as refused:
        parse_document(b"owner: a\nfiles: [{path: m}]\nratio: " + b"x" * 10_000, Document, name="carnet.yaml")
    assert len(refused.value.message) < 200


def test_an_unpaired_surrogate_is_an_error_of_the_document():
    with pytest.raises(DocumentInvalidError):
        parse_document(b'owner: "\\ud800"\nfiles: [{path: m}]', Document, name="carnet.yaml")


def test_a_document_that_keeps_to_its_schema_is_read():
    source = YamlSource(
        b"owner: a\nfiles: [{path: m, size: 3}]\nnested: {path: n}\nratio: 1", name="carnet.yaml"
    )
    document = validate_document(source, Document)
    assert document == Document(owner="a", files=(Part(path="m", size=3),), nested=Part(path="n"), ratio=1.0)
    assert source.where(("files", 0, "size")) == "carnet.yaml:2:19"
    assert source.where(("files", 0, "absent", "deeper")) == "carnet.yaml:2:9"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ((), "document"),
        (("files", 2, "path"), "files[2].path"),
        ((0, "a"), "[0].a"),
        (("a", 0, 1), "a[0][1]"),
    ],
)
def test_a_location_is_written_as_people_write_it(location, text):
    assert field_path(location) == text


# --- files ------------------------------------------------------------------------------------------------


def test_a_file_is_read_and_checked(tmp_path):
    path = tmp_path / "carnet.yaml"
    path.write_text("owner: a\nfiles: [{path: m}]\n")
    assert read_document(path, Document, what="the manifest").owner == "a"
    path.write_text("owner: a\n")
    with pytest.raises(DocumentInvalidError, match=r"^carnet\.yaml:1:1: files: required"):
        read_document(path, Document, what="the manifest")


@pytest.mark.parametrize("make", ["missing", "folder", "below a file"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, make):
    path = tmp_path / "carnet.yaml"
    if make == "folder":
        path.mkdir()
    elif make == "below a file":
        path.write_text("")
        path = path / "carnet.yaml"
    with pytest.raises(FileUnreadableError) as refused:
        read_file(path, what="the manifest")
    assert refused.value.message.startswith(f"the manifest {path} cannot be read: ")
