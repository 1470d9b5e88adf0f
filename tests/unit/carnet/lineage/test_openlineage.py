"""The events against the rules of OpenLineage 2-0-2, written out here, since its schema comes with no package."""

from __future__ import annotations

import json
import re
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.lineage.graph import GraphBuilder
from carnet.lineage.openlineage import to_events

A, B = "a" * 64, "b" * 64
PROMOTION = "0123456789abcdef0123456789abcdef"
# The required fields of the facets, besides those of every facet.
FACETS = {
    "jobType": {"processingType", "integration"},
    "sourceCodeLocation": {"type", "url"},
    "version": {"datasetVersion"},
    "datasetType": {"datasetType"},
    "dataSource": set(),
    "documentation": {"description"},
}
URIS = {"url", "uri", "_producer", "_schemaURL"}


def check_uri(text: str) -> None:
    parts = urlsplit(text)
    assert parts.scheme, text
    assert re.fullmatch(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", text), text


def check_facets(facets: dict) -> None:
    for name, facet in facets.items():
        assert set(facet) >= {"_producer", "_schemaURL"} | FACETS[name]
        for key, value in facet.items():
            assert isinstance(value, str)
            if key in URIS:
                check_uri(value)


def check_event(event: dict) -> None:
    """RunEvent: the required fields, their types and formats, and nothing that the schema does not have."""
    assert set(event) <= {
        "eventType",
        "eventTime",
        "run",
        "job",
        "inputs",
        "outputs",
        "producer",
        "schemaURL",
    }
    assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    check_uri(event["producer"])
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    UUID(event["run"]["runId"])
    for part in (event["job"], *event["inputs"], *event["outputs"]):
        assert part["namespace"]
        assert part["name"]
        assert set(part) <= {"namespace", "name", "facets"}
        check_facets(part["facets"])
    json.dumps(event, allow_nan=False)


def promoted(
    uri="s3://payments/2026-02", repository="https://example.org/risk", trained_at="2026-03-01T12:30:00Z"
):
    """prod's version 3, from dev, trained on a dataset and derived from version 2."""
    graph = GraphBuilder("back")

    def version(environment, number, moment, digest):
        return graph.add(
            "version",
            f"{environment}/risk/fraud@{number}",
            "",
            standing="verified",
            basis="",
            attributes={
                "environment": environment,
                "namespace": "risk",
                "model": "fraud",
                "version": number,
                "digest": digest,
                "arrived_at": moment,
            },
        )

    prod = version("prod", 3, "2026-03-03T00:00:00Z", A)
    dev = version("dev", 3, "2026-03-02T00:00:00Z", A)
    parent = version("dev", 2, "2026-01-02T00:00:00Z", B)
    bundle = graph.add(
        "bundle",
        A,
        "",
        standing="verified",
        basis="",
        attributes={
            "subject": "dev/risk/fraud@3",
            "digest": A,
            "trained_at": trained_at,
            "training_seconds": 60.5,
        },
    )
    promotion = graph.add(
        "promotion", PROMOTION, "", standing="verified", basis="", attributes={"promotion": PROMOTION}
    )
    code = graph.add(
        "code",
        "c",
        "",
        standing="stated",
        basis="",
        attributes={"repository": repository, "commit": "abcdef0"},
    )
    dataset = graph.add(
        "dataset",
        "d",
        "",
        standing="stated",
        basis="",
        attributes={
            "name": "payments",
            "uri": uri,
            "digest": B,
            "window_start": "2026-01-01",
            "window_end": "2026-02-28",
        },
    )
    features = graph.add(
        "features", "f", "", standing="stated", basis="", attributes={"name": "cards", "snapshot": "7"}
    )
    graph.link(prod, "holds", bundle)
    graph.link(dev, "holds", bundle)
    graph.link(prod, "brought_by", promotion)
    graph.link(promotion, "came_from", dev)
    graph.link(bundle, "built_from", code)
    graph.link(bundle, "trained_on", dataset)
    graph.link(bundle, "uses", features)
    graph.link(bundle, "derived_from", parent)
    return graph.finish(prod)


def test_a_training_and_an_admission_are_a_start_and_a_complete_each() -> None:
    events = to_events(promoted())
    for event in events:
        check_event(event)
    assert [(event["job"]["namespace"], event["job"]["name"], event["eventType"]) for event in events] == [
        ("carnet://dev", "risk/fraud/training", "START"),
        ("carnet://dev", "risk/fraud/training", "COMPLETE"),
        ("carnet://prod", "risk/fraud/admission", "START"),
        ("carnet://prod", "risk/fraud/admission", "COMPLETE"),
    ]
    training, admission = events[1], events[3]
    assert [(each["namespace"], each["name"]) for each in training["inputs"]] == [
        ("s3://payments", "2026-02"),
        ("carnet://datasets", "cards"),
        ("carnet://dev", "risk/fraud@2"),
    ]
    assert training["inputs"][0]["facets"]["version"]["datasetVersion"] == B
    assert training["outputs"][0]["facets"]["version"]["datasetVersion"] == A
    assert training["job"]["facets"]["sourceCodeLocation"]["version"] == "abcdef0"
    assert (events[0]["eventTime"], training["eventTime"]) == (
        "2026-03-01T12:28:59.500000Z",
        "2026-03-01T12:30:00Z",
    )
    assert admission["run"]["runId"] == str(UUID(PROMOTION))
    assert admission["inputs"][0]["namespace"] == "carnet://dev"
    assert admission["outputs"][0]["name"] == "risk/fraud@3"


def test_exporting_twice_is_the_same_events() -> None:
    assert to_events(promoted()) == to_events(promoted())


def test_without_the_time_of_training_the_first_arrival_stands_for_it() -> None:
    assert to_events(promoted(trained_at=""))[1]["eventTime"] == "2026-03-02T00:00:00Z"
    assert to_events(promoted(trained_at="2026-02-20"))[1]["eventTime"] == "2026-02-20T00:00:00Z"


@pytest.mark.parametrize("standing", ["unreachable", "contradicted"])
def test_what_could_not_be_read_or_is_contradicted_is_no_event(standing) -> None:
    graph = GraphBuilder("back")
    node = graph.add(
        "promotion", PROMOTION, "", standing=standing, basis="", attributes={"promotion": PROMOTION}
    )
    assert to_events(graph.finish(node)) == ()


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_a_publisher_wrote_as_uri_the_events_are_valid(uri, repository) -> None:
    for event in to_events(promoted(uri=uri, repository=repository)):
        check_event(event)
