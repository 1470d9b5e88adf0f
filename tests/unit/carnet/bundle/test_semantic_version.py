from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.semantic_version import SemanticVersion, parse_semantic_version
from carnet.errors import InvalidInputError

# The order that the specification gives (§11), and a few steps more.
ASCENDING = [
    "0.0.0-0",
    "0.0.0",
    "0.9.10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0-1.x--y",
    "2.0.0",
    "10.0.0",
]


def test_the_order_is_that_of_the_specification():
    versions = [parse_semantic_version(text) for text in ASCENDING]

    assert all(first < second for first, second in pairwise(versions))
    assert not any(second < first for first, second in pairwise(versions))


@pytest.mark.parametrize("text", [*ASCENDING, "1.0.0+20130313144700", "1.0.0-0A.is.legal+0001.-"])
def test_what_is_a_semantic_version_is_written_as_it_was_read(text):
    assert str(parse_semantic_version(text)) == text


def test_builds_do_not_tell_two_versions_apart():
    first, second = parse_semantic_version("1.0.0+a"), parse_semantic_version("1.0.0+b")

    assert first == second
    assert hash(first) == hash(second)
    assert not first < second
    assert first != "1.0.0+a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "v1.2.3",
        "01.2.3",
        "1.02.3",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3-a..b",
        "1.2.3+",
        "1.2.3+a+b",
        "1.2.3-é",
        "1.2.٣",
        " 1.2.3",
        "1.2.3\n",
        "-1.2.3",
        "1." + "9" * 130 + ".0",
    ],
)
def test_what_is_none_is_refused_with_its_field(text):
    with pytest.raises(InvalidInputError, match="semantic version") as caught:
        parse_semantic_version(text)
    assert caught.value.metadata == {"field": "semantic_version"}


@pytest.mark.parametrize(
    ("version", "level", "following"),
    [
        ("1.2.3", "patch", "1.2.4"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.3", "major", "2.0.0"),
        ("1.2.3-rc.1", "patch", "1.2.3"),
        ("1.2.3-rc.1", "minor", "1.3.0"),
        ("1.2.0-rc.1", "minor", "1.2.0"),
        ("2.0.0-rc.1", "major", "2.0.0"),
        ("2.1.0-rc.1", "major", "3.0.0"),
        ("1.2.3+build", "patch", "1.2.4"),
    ],
)
def test_the_next_release_raises_one_number(version, level, following):
    assert str(parse_semantic_version(version).next(level)) == following


@pytest.mark.parametrize(
    ("earlier", "later", "level"),
    [
        ("1.2.3", "1.2.9", "patch"),
        ("1.2.3", "1.3.0", "minor"),
        ("1.9.0", "2.0.0", "major"),
        ("1.0.0-a", "1.0.0", "patch"),
    ],
)
def test_the_level_is_the_first_number_that_was_raised(earlier, later, level):
    assert parse_semantic_version(later).level_above(parse_semantic_version(earlier)) == level


numbers = st.integers(0, 12)
identifiers = st.one_of(numbers.map(str), st.from_regex(r"[a-zA-Z-][0-9a-zA-Z-]{0,4}", fullmatch=True))
versions = st.builds(
    SemanticVersion,
    numbers,
    numbers,
    numbers,
    st.lists(identifiers, max_size=3).map(tuple),
    st.lists(st.from_regex(r"[0-9a-zA-Z-]{1,5}", fullmatch=True), max_size=2).map(tuple),
)


@given(versions, st.sampled_from(["patch", "minor", "major"]))
def test_every_version_is_read_back_and_the_next_is_above_it(version, level):
    assert parse_semantic_version(str(version)) == version
    assert version.next(level) > version
    assert not version.next(level).is_prerelease


@given(versions, versions, versions)
def test_the_order_is_total(first, second, third):
    assert (first < second) + (second < first) + (first == second) == 1
    if first <= second <= third:
        assert first <= third
