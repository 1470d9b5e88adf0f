"""The lineage graph as OpenLineage events.

Responsible for two jobs: the training that made a bundle, with its datasets, features and parents as inputs
and the model as output; and each admission, with the version at the source as input and the one at the target
as output. Each run is a START and a COMPLETE. A run's id follows from what it made, so that exporting twice
is the same events. Sends nothing, and tells of nothing that could not be read or is contradicted.

Reference: OpenLineage 2-0-2 (https://openlineage.io/spec/2-0-2/OpenLineage.json), with its dataset naming.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from carnet.errors import InvalidInputError
from carnet.lineage.uris import as_uri
from carnet.signing.times import format_time, parse_time
from carnet.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from carnet.lineage.graph import Kind, LineageGraph, LineageNode, Relation

SCHEMA_URL: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER: Final = f"urn:carnet:{__version__}"
_FACETS: Final = "https://openlineage.io/spec/facets"
_RUNS: Final = UUID("6d0f1c9c-4b7e-5a55-9d5e-3b8c2f6f1f10")


@dataclass(frozen=True, slots=True)
class _Run:
    id: UUID
    job: dict[str, Any]
    started_at: datetime
    ended_at: datetime
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]


class _Neighbours:
    """What stands at the other ends of a node's edges."""

    def __init__(self, graph: LineageGraph) -> None:
        self._nodes = {node.id: node for node in graph.nodes}
        self._edges = graph.edges

    def after(self, node: LineageNode, relation: Relation) -> list[LineageNode]:
        return [
            self._nodes[edge.target]
            for edge in self._edges
            if edge.source == node.id and edge.relation == relation
        ]

    def before(self, node: LineageNode, relation: Relation) -> list[LineageNode]:
        return [
            self._nodes[edge.source]
            for edge in self._edges
            if edge.target == node.id and edge.relation == relation
        ]


def to_events(graph: LineageGraph) -> tuple[dict[str, Any], ...]:
    """Return the events of a graph, each a JSON object.

    Args:
        graph: The lineage, of either direction.

    Returns:
        A START and a COMPLETE for each training, then for each admission.
    """
    around = _Neighbours(graph)
    runs = [*_trainings(graph, around), *_admissions(graph, around)]
    return tuple(
        event
        for run in runs
        for event in (_event(run, "START", run.started_at), _event(run, "COMPLETE", run.ended_at))
    )


def _event(run: _Run, kind: str, moment: datetime) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": format_time(moment),
        "run": {"runId": str(run.id)},
        "job": run.job,
        "inputs": list(run.inputs),
        "outputs": list(run.outputs) if kind == "COMPLETE" else [],
        "producer": PRODUCER,
        "schemaURL": SCHEMA_URL,
    }


def _known(graph: LineageGraph, kind: Kind) -> Iterator[LineageNode]:
    return (node for node in graph.of_kind(kind) if node.standing in {"verified", "stated"})


def _trainings(graph: LineageGraph, around: _Neighbours) -> Iterator[_Run]:
    for bundle in _known(graph, "bundle"):
        home, _, rest = _text(bundle, "subject").partition("/")
        path, _, number = rest.partition("@")
        ended_at = _moment(bundle, "trained_at") or _first_arrival(bundle, around)
        if ended_at is None:
            continue
        seconds = bundle.attributes.get("training_seconds", 0)
        inputs = [_dataset(each) for each in around.after(bundle, "trained_on")]
        inputs += [_features(each) for each in around.after(bundle, "uses") if each.kind == "features"]
        inputs += [_model_of(each) for each in around.after(bundle, "derived_from")]
        yield _Run(
            id=uuid5(_RUNS, _text(bundle, "digest")),
            job={
                "namespace": f"carnet://{home}",
                "name": f"{path}/training",
                "facets": _job_facets("TRAINING") | _code(bundle, around),
            },
            started_at=_earlier(ended_at, float(seconds) if isinstance(seconds, int | float) else 0.0),
            ended_at=ended_at,
            inputs=tuple(inputs),
            outputs=(_model(home, path, number, _text(bundle, "digest")),),
        )


def _admissions(graph: LineageGraph, around: _Neighbours) -> Iterator[_Run]:
    for promotion in _known(graph, "promotion"):
        for version in around.before(promotion, "brought_by"):
            sources = around.after(promotion, "came_from")
            moment = _moment(version, "arrived_at")
            if moment is None or not sources:
                continue
            yield _Run(
                id=UUID(_text(promotion, "promotion")),
                job={
                    "namespace": f"carnet://{_text(version, 'environment')}",
                    "name": f"{_text(version, 'namespace')}/{_text(version, 'model')}/admission",
                    "facets": _job_facets("ADMISSION"),
                },
                started_at=moment,
                ended_at=moment,
                inputs=tuple(_model_of(each) for each in sources),
                outputs=(_model_of(version),),
            )


def _first_arrival(bundle: LineageNode, around: _Neighbours) -> datetime | None:
    arrivals = [_moment(each, "arrived_at") for each in around.before(bundle, "holds")]
    return min((each for each in arrivals if each is not None), default=None)


def _earlier(moment: datetime, seconds: float) -> datetime:
    try:
        return moment - timedelta(seconds=max(seconds, 0.0))
    except OverflowError:
        return moment


def _moment(node: LineageNode, name: str) -> datetime | None:
    """Read a moment; a date is its first moment in UTC."""
    text = _text(node, name)
    try:
        return parse_time(text if "T" in text else f"{text}T00:00:00Z")
    except InvalidInputError:
        return None


def _text(node: LineageNode, name: str) -> str:
    return str(node.attributes.get(name, ""))


# --- datasets, by OpenLineage's naming ---------------------------------------------------------------------


def _dataset(node: LineageNode) -> dict[str, Any]:
    name, uri = _text(node, "name"), _text(node, "uri")
    facets = {"dataSource": _facet("1-0-1", "DatasourceDatasetFacet", name=name, uri=as_uri(uri))}
    if digest := _text(node, "digest"):
        facets["version"] = _facet("1-0-1", "DatasetVersionDatasetFacet", datasetVersion=digest)
    if start := _text(node, "window_start"):
        said = f"rows from {start} to {_text(node, 'window_end')}"
        facets["documentation"] = _facet("1-0-1", "DocumentationDatasetFacet", description=said)
    return _named(uri, name) | {"facets": facets}


def _features(node: LineageNode) -> dict[str, Any]:
    name, uri = _text(node, "name"), _text(node, "uri")
    facets = {}
    if uri:
        facets["dataSource"] = _facet("1-0-1", "DatasourceDatasetFacet", name=name, uri=as_uri(uri))
    if snapshot := _text(node, "snapshot"):
        facets["version"] = _facet("1-0-1", "DatasetVersionDatasetFacet", datasetVersion=snapshot)
    return _named(uri, name) | {"facets": facets}


def _named(uri: str, name: str) -> dict[str, str]:
    """Name a dataset by where it is: scheme and authority, and the path below them."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    path = parts.path.strip("/")
    if parts.scheme and path:
        namespace = f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.scheme
        return {"namespace": namespace, "name": path}
    return {"namespace": "carnet://datasets", "name": name}


def _model_of(node: LineageNode) -> dict[str, Any]:
    path = f"{_text(node, 'namespace')}/{_text(node, 'model')}"
    return _model(_text(node, "environment"), path, _text(node, "version"), _text(node, "digest"))


def _model(environment: str, path: str, number: str, digest: str) -> dict[str, Any]:
    facets = {
        "datasetType": _facet("1-0-0", "DatasetTypeDatasetFacet", datasetType="MODEL"),
        "version": _facet("1-0-1", "DatasetVersionDatasetFacet", datasetVersion=digest or number),
    }
    return {"namespace": f"carnet://{environment}", "name": f"{path}@{number}", "facets": facets}


# --- facets -------------------------------------------------------------------------------------------------


def _job_facets(kind: str) -> dict[str, Any]:
    return {
        "jobType": _facet(
            "2-0-3", "JobTypeJobFacet", processingType="BATCH", integration="CARNET", jobType=kind
        )
    }


def _code(bundle: LineageNode, around: _Neighbours) -> dict[str, Any]:
    for code in around.after(bundle, "built_from"):
        repository = _text(code, "repository")
        return {
            "sourceCodeLocation": _facet(
                "1-0-1",
                "SourceCodeLocationJobFacet",
                type="git",
                url=as_uri(repository),
                repoUrl=repository,
                version=_text(code, "commit"),
            )
        }
    return {}


def _facet(release: str, facet: str, /, **fields: str) -> dict[str, Any]:
    return {
        "_producer": PRODUCER,
        "_schemaURL": f"{_FACETS}/{release}/{facet}.json#/$defs/{facet}",
    } | fields
