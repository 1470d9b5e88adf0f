"""A policy's limit on skew: from two data files over the signed report to the target's decision."""

from __future__ import annotations

import json

import pytest

from carnet.attesting.statement import Options, make_statement
from carnet.cli.main import main
from carnet.references import ResourceName
from carnet.signing.statement import sign_statement
from carnet_policies.engine import PolicyEngine
from carnet_server.admission.states import AdmissionState
from tests.unit.carnet_server.admission.registries import World

POLICY = b"""schema: carnet.policy/v1
environment: staging
version: 1
sources: [dev]
evidence:
  - {rule: skew-report, type: skew, signers: [evaluator], metrics: true, remedy: Compare the data and attest it.}
metrics:
  - {rule: input-skew, needs: [skew-report], metric: psi, slices: [{feature: "*"}], at_most: 0.25}
  - rule: input-gaps
    needs: [skew-report]
    metric: "null_share"
    at_most: 0.05
    min_sample_count: 100
"""
SCHEMA = """\
inputs:
  - {name: amount, type: float64, nullable: true}
  - {name: country, type: categorical, categories: [CH, "NO"]}
"""
ROWS = [{"amount": float(number), "country": ("CH", "NO")[number % 2]} for number in range(200)]


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine, storage):
    world = await World(tmp_path, engine, {"staging": POLICY}, storage).start()
    yield world
    world.stop()


@pytest.fixture
def report(tmp_path, capsys):
    """Make the report that the command line makes of some rows and those of the training."""

    def make(rows):
        files = {"schema.yaml": SCHEMA, "training.json": json.dumps(ROWS), "today.json": json.dumps(rows)}
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        paths = [str(tmp_path / name) for name in files]
        options = ["schema", "skew", paths[0], "--reference", paths[1], "--data", paths[2], "-o", "json"]
        assert main(options) == 0
        return capsys.readouterr().out.encode()

    return make


async def decided(world, version, document):
    """Publish a version, attest a report about it, and return what staging says of each rule."""
    manifest = await world.publish(version=version)
    if document:
        statement = make_statement(
            document,
            name="skew.json",
            kind=None,
            options=Options(),
            subject_name=manifest.subject_name,
            subject_digest=manifest.digest,
        )
        envelope = sign_statement(statement, world.parties.keys["evaluator"]).to_bytes()
        evaluator = world.dev.caller("evaluator")
        await world.dev.evidence.add(evaluator, ResourceName("risk", "fraud", version), envelope)
    given = await world.bring(manifest, world.parties.request(manifest, alias=""))
    admission = await world.evaluate(given, validate_only=True)
    results = {each.rule: each for each in admission.evaluation.evaluation.results}
    return admission.state, results


async def test_data_that_moved_too_far_is_refused_and_data_that_did_not_is_let_in(world, report):
    state, results = await decided(world, 1, report(ROWS[1:]))
    assert state is AdmissionState.READY
    assert results["input-skew"].message.startswith("all 3 figures hold")
    moved = [row | {"amount": row["amount"] + 150} for row in ROWS]
    state, results = await decided(world, 2, report(moved))
    assert (state, results["skew-report"].status) == (AdmissionState.REFUSED, "PASSED")
    assert results["input-skew"].status == "FAILED"
    assert "psi{feature=amount} is" in results["input-skew"].message
    assert "psi{feature=country}" not in results["input-skew"].message
    gaps = [row | {"amount": None if number % 4 else row["amount"]} for number, row in enumerate(ROWS)]
    state, results = await decided(world, 3, report(gaps))
    assert results["input-gaps"].status == "FAILED"
    assert "null_share is 0.75, above 0.05" in results["input-gaps"].message


async def test_without_a_report_or_with_a_column_left_out_the_report_is_awaited(world, report):
    state, results = await decided(world, 1, None)
    assert (state, results["skew-report"].status) == (AdmissionState.AWAITING, "AWAITING")
    assert "carnet attest dev/risk/fraud@1 --type skew --file FILE" in results["skew-report"].remedy
    state, results = await decided(world, 2, report([{"country": "CH"}, {"country": "NO"}] * 100))
    assert (state, results["input-skew"].status) == (AdmissionState.AWAITING, "AWAITING")
    assert "result is WARNED" in results["skew-report"].message
