from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.filtering.parser import parse_filter
from carnet.lineage.origins import commit_origin, dataset_origin, descendants_query, parse_origin, quoted
from tests.support.bundles import make_manifest

A, B = "a" * 64, "b" * 64


def with_lineage(**lineage):
    return make_manifest(lineage=lineage)


@pytest.mark.parametrize(
    ("text", "dataset", "digest", "commit"),
    [
        ("dataset:payments", "payments", "", ""),
        (f"dataset:payments@{A}", "payments", A, ""),
        (f"dataset:me@home@{A}", "me@home", A, ""),
        ("dataset:me@home", "me@home", "", ""),
        ("dataset:s3://x:y", "s3://x:y", "", ""),
        ("commit:ABCDEF0", "", "", "abcdef0"),
    ],
)
def test_origins_are_read(text, dataset, digest, commit) -> None:
    found = parse_origin(text)
    assert (found.dataset, found.digest, found.commit) == (dataset, digest, commit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "payments",
        "dataset:",
        f"dataset:@{A}",
        "dataset: ",
        "dataset:a\nb",
        "commit:",
        "commit:abc",
        "commit:xyzxyzx",
        f"commit:{A}0",
        "model:fraud",
        "dataset:" + "x" * 1025,
    ],
)
def test_what_is_no_origin_is_refused(text) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_origin(text)
    assert caught.value.metadata["field"] in {"from", "dataset", "commit"}


def test_a_dataset_is_the_one_of_that_name_and_digest_together() -> None:
    manifest = with_lineage(
        datasets=[{"name": "x", "uri": "u", "digest": A}, {"name": "y", "uri": "u", "digest": B}]
    )
    assert dataset_origin("x").is_stated_by(manifest)
    assert dataset_origin(f"x@{A}").is_stated_by(manifest)
    assert not dataset_origin(f"x@{B}").is_stated_by(manifest)
    assert not dataset_origin("z").is_stated_by(manifest)


@pytest.mark.parametrize(
    ("stated", "asked", "is_it"),
    [("abcdef0123", "abcdef0", True), ("abcdef0", "abcdef0123", True), ("abcdef0123", "abcdef0124", False)],
)
def test_of_two_commits_the_shorter_begins_the_longer(stated, asked, is_it) -> None:
    manifest = with_lineage(code={"repository": "r", "commit": stated})
    assert commit_origin(asked).is_stated_by(manifest) is is_it
    assert not commit_origin(asked).is_stated_by(make_manifest())


@given(st.text(min_size=1, max_size=200).filter(lambda text: text.isprintable() and text.strip()))
def test_every_dataset_has_a_filter_that_can_be_read(name) -> None:
    parse_filter(dataset_origin(name).query)
    assert quoted(name).startswith('"')


def test_the_filters() -> None:
    assert dataset_origin('a"b*').query == 'lineage.datasets.name = "a\\"b\\*"'
    assert commit_origin("abcdef0123").query == 'lineage.code.commit = "abcdef0*"'
    parse_filter(descendants_query([A, B] * 7))
