"""What deciding costs: a policy of 50 rules with its signatures verified, and the permission of a call.

The policy has demands on evidence and metrics, overall and by slice, with a baseline, and rules in CEL; the
facts are a manifest and 20 signed test results with 200 figures, as many for the baseline. One evaluation is
what a registry does for one decision: every envelope's signature and statement, then the policy. The
permission is timed alone, in this process, against the whole of an alias's resolution by a running registry.
"""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.bundles import make_bundle
from benchmarks.registries import MODEL, Registries
from benchmarks.report import Report, Row
from benchmarks.sizes import KIB
from carnet.client.channel import TlsIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.client.renewal import FollowedIdentity
from carnet.registry.v1 import models_pb2
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.statement import parse_statement
from carnet.signing.test_result import MeasuredMetric, TestResult
from carnet_policies.case_forms import FactsForm
from carnet_policies.document import load_policy
from carnet_policies.engine import PolicyEngine
from carnet_server.access.interceptor import RegistryCallScope
from carnet_server.config import load_config
from carnet_server.environment.state import load_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DECISION_LIMIT_SECONDS = 0.005
PERMISSION_LIMIT = 0.05
ATTESTATIONS = 20
FIGURES = 10
ROUNDS = 300
QUICK_ROUNDS = 30
RESULT = "https://in-toto.io/attestation/test-result/v0.1"
_METHOD = "/carnet.registry.v1.ModelService/ResolveVersion"


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    rules, deciding, verifying = _measure_decision(rounds)
    resolve, permission = _measure_permission(work, rounds)
    rows = [
        Row(
            f"a decision: {rules} rules, {ATTESTATIONS} attestations, {ATTESTATIONS * FIGURES} figures",
            f"{deciding * 1000:.2f} ms",
            f"{DECISION_LIMIT_SECONDS * 1000:.0f} ms",
            deciding / DECISION_LIMIT_SECONDS,
            held=None if quick else deciding <= DECISION_LIMIT_SECONDS,
        ),
        Row(
            "of it: verifying the signatures",
            f"{verifying * 1000:.2f} ms",
            f"{DECISION_LIMIT_SECONDS * 1000:.0f} ms",
            verifying / DECISION_LIMIT_SECONDS,
        ),
        Row(
            "the permission of a call, against resolving an alias",
            f"{permission * 1e6:.1f} µs",
            f"{resolve * 1e6:.0f} µs",
            permission / resolve,
            held=None if quick else permission <= PERMISSION_LIMIT * resolve,
        ),
    ]
    return Report(
        name="deciding",
        question="Deciding: the median time of one",
        rows=rows,
        figures={
            "rounds": rounds,
            "decision_seconds": deciding,
            "verifying_seconds": verifying,
            "permission_seconds": permission,
            "resolve_seconds": resolve,
        },
        notes=["the policy's expressions run in the worker process; everything else in this one"],
    )


def _median_seconds(work: Callable[[], object], rounds: int) -> float:
    for _ in range(max(3, rounds // 10)):
        work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def _policy() -> dict[str, Any]:
    suites = [f"suite-{number}" for number in range(ATTESTATIONS)]
    return {
        "schema": "carnet.policy/v1",
        "environment": "staging",
        "version": 1,
        "sources": ["dev"],
        "baseline_alias": "champion",
        "evidence": [
            {"rule": name, "type": RESULT, "suite": name, "signers": ["evaluator"], "metrics": True}
            for name in suites
        ],
        "metrics": [
            {
                "rule": f"figure-{number}",
                "needs": [name],
                "metric": f"{name}-figure-1".replace("-", "_"),
                "at_least": 0.5,
                "max_regression": 0.1,
            }
            for number, name in enumerate(suites)
        ],
        "rules": [
            {
                "rule": f"expression-{number}",
                "needs": [suites[number]],
                "expression": f'metrics["suite_{number}_figure_2"] >= 0.5',
                "message": "a figure",
                "remedy": "improve it",
            }
            for number in range(10)
        ],
    }


def _evidence(base: float) -> list[dict[str, Any]]:
    return [
        {
            "suite": f"suite-{number}",
            "roles": ["evaluator"],
            "metrics": {f"suite_{number}_figure_{figure}": base for figure in range(FIGURES)},
        }
        for number in range(ATTESTATIONS)
    ]


def _measure_decision(rounds: int) -> tuple[int, float, float]:
    document = _policy()
    policy = load_policy(json.dumps(document).encode(), name="policy.yaml")
    given = {"source": "dev", "evidence": _evidence(0.9), "baseline": {"evidence": _evidence(0.89)}}
    facts = FactsForm.model_validate_json(json.dumps(given)).spell_out("staging")
    key = SigningKey.generate()
    envelopes = []
    for each in given["evidence"]:
        metrics = tuple(
            MeasuredMetric(name=name, value=value, direction="higher_is_better")
            for name, value in each["metrics"].items()
        )
        predicate = TestResult(result="PASSED", configuration=(), suite=each["suite"], metrics=metrics)
        envelopes.append(predicate.sign("risk/fraud@3", "a" * 64, key).to_bytes())
    keys = {key.verification_key.key_id: key.verification_key}

    def verify() -> None:
        for data in envelopes:
            envelope = parse_envelope(data)
            verify_envelope(envelope, keys)
            TestResult.parse(parse_statement(envelope))

    with PolicyEngine() as engine:
        results = engine.evaluate(policy, facts)
        wrong = [each for each in results.results if str(each.status) != "PASSED"]
        if wrong:
            raise RuntimeError(f"the policy does not pass: {wrong[:3]}")

        def decide() -> None:
            verify()
            engine.evaluate(policy, facts)

        return len(results.results), _median_seconds(decide, rounds), _median_seconds(verify, rounds)


class _Context:
    """As much of a call's context as the permission looks at."""

    def __init__(self, subject: str, certificate: bytes) -> None:
        self._found = {"peer_spiffe_id": [subject.encode()], "x509_pem_cert": [certificate]}

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._found

    def invocation_metadata(self) -> tuple[()]:
        return ()


def _measure_permission(work: Path, rounds: int) -> tuple[float, float]:
    with Registries(work / "registries", "pull") as registries:
        registries.push(make_bundle(work / "bundle", {"model.bin": KIB}))
        with registries.client() as client:
            client.set_alias(f"{MODEL}@current", 1)
        federation = Federation.load(registries.folder)
        me, pinned = federation.identity("ci"), federation.environment("dev")
        identity = TlsIdentity.load(me.certificate, me.private_key, federation.ca)
        config = load_config(registries.folder / "environments" / "dev" / "environment.yaml")
        state = load_state(config)
        scope = RegistryCallScope(state.trust, identity=FollowedIdentity(state.identity))
        request = models_pb2.ResolveVersionRequest(name="namespaces/benchmarks/models/model/aliases/current")
        context = _Context("spiffe://carnet.internal/service/ci", identity.certificate)

        async def resolving() -> float:
            async with RegistryConnection(
                pinned.endpoint, server_name=pinned.server_name, identity=identity, environment="dev"
            ) as connection:
                times = []
                for _ in range(rounds):
                    began = time.perf_counter()
                    await connection.call(connection.models.ResolveVersion, request)
                    times.append(time.perf_counter() - began)
                return median(times)

        resolve = asyncio.run(resolving())
        return resolve, _median_seconds(lambda: scope.enter(_METHOD, request, context), rounds)
