"""Searching a running registry with the command and the SDK."""

from __future__ import annotations

import asyncio

import pytest

import carnet
from carnet.errors import InvalidInputError, ReferenceInvalidError


@pytest.fixture(scope="module")
def found_model(federation, tmp_path_factory):
    """Three versions of ``search/ranker`` in dev, with metrics that differ."""
    folder = tmp_path_factory.mktemp("ranker")
    for number, value in enumerate((0.91, 0.97, 0.95), 1):
        federation.publish(
            folder,
            "search/ranker",
            seed=number,
            labels={"region": "eu" if number > 1 else "us"},
            metrics=[{"name": "ndcg", "value": value, "direction": "higher_is_better"}],
        )
    return "search/ranker"


def test_the_command_finds_versions_for_people_and_for_scripts(federation, found_model):
    asked = 'metrics.ndcg > 0.9 AND labels.region = "eu"'
    answer = federation.cli_json("search", "dev/search", asked, "--order-by", "metrics.ndcg desc")
    assert [each["version"]["reference"] for each in answer["versions"]] == [
        "dev/search/ranker@2",
        "dev/search/ranker@3",
    ]
    assert answer["versions"][0]["metrics"] == {"ndcg": 0.97}
    assert answer["versions"][0]["labels"] == {"region": "eu"}
    assert answer["more"] is False
    page = federation.cli("search", "dev/search/ranker", "labels.region:us").stdout
    assert "dev/search/ranker@1" in page
    assert "ndcg=0.91" in page
    assert "no version is like that" in federation.cli("search", "dev", "model = nothing").stdout


def test_the_command_says_when_there_are_more(federation, found_model):
    answer = federation.cli_json("search", f"dev/{found_model}", "--limit", "2")
    found = [each["version"]["reference"] for each in answer["versions"]]
    assert (found, answer["more"]) == (["dev/search/ranker@3", "dev/search/ranker@2"], True)
    assert "there are more" in federation.cli("search", f"dev/{found_model}", "--limit", "2").stdout
    whole = federation.cli_json("search", f"dev/{found_model}", "--limit", "0")
    assert (len(whole["versions"]), whole["more"]) == (3, False)


@pytest.mark.parametrize(
    ("asked", "place"),
    [("labels.region = ", 16), ("stage = aproved", 8), ('metrics.ndcg > "x"', 15), ("a AND (b", 6)],
)
def test_a_filter_that_is_wrong_is_shown_with_a_caret(federation, asked, place):
    done = federation.cli("search", "dev", asked, check=2)
    *_, shown, caret = done.stderr.rstrip("\n").split("\n")
    assert shown.startswith("  ")
    assert caret.index("^") - 2 == place
    answer = federation.cli_json("search", "dev", asked, check=2)
    assert (answer["reason"], answer["metadata"]["offset"]) == ("INVALID_INPUT", str(place))


def test_the_sdk_asks_for_pages_as_they_are_needed(federation, found_model, monkeypatch):
    monkeypatch.setattr("carnet.client.search.PAGE_SIZE", 1)
    with federation.client("ci") as ci:
        found = ci.search("dev", "age < 1d", namespace="search", model="ranker", order_by="metrics.ndcg")
        assert [each.version.reference.version for each in found] == [1, 3, 2]
        assert len(list(ci.search("dev", namespace="search", limit=2))) == 2

    async def numbers():
        async with carnet.connect_async(federation.folder, identity="ci") as client:
            asked = client.search("dev", "metrics.ndcg:*", namespace="search")
            return [each.version.reference.version async for each in asked]

    assert asyncio.run(numbers()) == [3, 2, 1]


def test_the_sdk_refuses_what_cannot_be_asked(federation):
    with federation.client("ci") as ci:
        for error, options in (
            (InvalidInputError, {"query": "("}),
            (InvalidInputError, {"query": "nothing = 1"}),
            (InvalidInputError, {"limit": -1}),
            (InvalidInputError, {"model": "ranker"}),
            (ReferenceInvalidError, {"namespace": "No"}),
            (InvalidInputError, {"order_by": "aliases"}),
        ):
            with pytest.raises(error):
                list(ci.search("dev", **options))
