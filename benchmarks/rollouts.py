"""How much monitors can report to a rollout, and how soon a breach is acted on.

One registry, a process behind mutual TLS on SQLite, under its shipped policy with guardrails put in. Monitors
send batches of 500 points over bare gRPC calls, several at once; each batch is checked, added up, committed
and judged before it is answered. Then an alias was moved to a challenger that is still watched, and the
challenger goes bad in the middle of a window, by the same share of each window round after round: the time
runs from that moment until a watcher is told that the alias is back, and is told in reporting intervals.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import yaml

import carnet
from benchmarks.bundles import make_bundle
from benchmarks.registries import BenchmarkFailedError
from benchmarks.report import Report, Row
from benchmarks.sizes import KIB
from carnet.client.channel import TlsIdentity, open_channel
from carnet.client.federation import Federation
from carnet.registry.v1 import aliases_pb2, aliases_pb2_grpc, rollouts_pb2, rollouts_pb2_grpc
from carnet_server.local.health import wait_until_serving
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import DEFAULT_PLAN
from carnet_server.local.processes import processes_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc.aio

DEMANDED_POINTS = 10_000
DEMANDED_INTERVALS = 2.0
BATCH = 500
MONITORS = 4
METRICS = 10
BATCHES_EACH = 60
QUICK_BATCHES_EACH = 5
INTERVAL_SECONDS = 2.0
ROUNDS = 5
QUICK_ROUNDS = 1
SAMPLES_A_SECOND = 500
SAMPLES_BEFORE = 1_000_000
ERRORS_GOOD, ERRORS_BAD = 0.01, 0.1
MODEL = "dev/benchmarks/model"
ALIAS = "namespaces/benchmarks/models/model/aliases/champion"
_BASE_PORT = 17500
_TERMS: dict[str, Any] = {
    "reporting_interval": f"{INTERVAL_SECONDS:.0f}s",
    "guardrails": [
        {
            "rule": f"metric-{number}",
            "metric": f"metric_{number}",
            "direction": "lower_is_better",
            "max_regression": 0.01,
        }
        for number in range(3)
    ],
}


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder."""
    folder = work / "carnet"
    plan = replace(DEFAULT_PLAN, environments=("dev", "staging"), routes=(("dev", "staging", "pull"),))
    initialise(folder, base_port=_BASE_PORT, plan=plan)
    _put_guardrails(folder / "environments" / "dev" / "policy.yaml")
    dev = next(process for process in processes_of(folder) if process.name == "dev")
    try:
        dev.start()
        wait_until_serving([dev])
        _publish(work, folder)
        speeds, lags = asyncio.run(_measure(folder, quick=quick))
    finally:
        dev.stop()
    speed, lag = median(speeds), max(lags)
    return Report(
        name="rollouts",
        question="Rollouts: what monitors can report, and how soon a breach is acted on",
        rows=[
            Row(
                f"points a second, {MONITORS} monitors, batches of {BATCH}",
                f"{speed:,.0f}",
                f"{DEMANDED_POINTS:,}",
                speed / DEMANDED_POINTS,
                held=None if quick else speed >= DEMANDED_POINTS,
            ),
            Row(
                "from a challenger that goes bad to the alias moved back, at most",
                f"{lag:.2f} intervals",
                f"{DEMANDED_INTERVALS:.0f} intervals",
                lag / DEMANDED_INTERVALS,
                held=None if quick else lag <= DEMANDED_INTERVALS,
            ),
        ],
        figures={
            "points_a_second": speeds,
            "intervals": lags,
            "interval_seconds": INTERVAL_SECONDS,
            "samples_a_second": SAMPLES_A_SECOND,
            "errors": [ERRORS_GOOD, ERRORS_BAD],
        },
        notes=[
            (
                f"a challenger that goes bad has {ERRORS_BAD:.0%} errors instead of {ERRORS_GOOD:.0%}, over "
                f"{SAMPLES_A_SECOND} samples a second, after {SAMPLES_BEFORE:,} samples in which it was "
                "good; 1 percentage point is let"
            )
        ],
    )


def _put_guardrails(path: Path) -> None:
    policy = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(policy | {"rollouts": _TERMS}), encoding="utf-8")


def _publish(work: Path, folder: Path) -> None:
    """Publish two versions, and point the alias at the first."""
    with carnet.connect(folder, identity="ci") as ci:
        for number in (1, 2):
            ci.push(MODEL, make_bundle(work / f"bundle-{number}", {"model.bin": KIB + number}))
        ci.set_alias(f"{MODEL}@champion", 1)


async def _measure(folder: Path, *, quick: bool) -> tuple[list[float], list[float]]:
    batches, rounds = (QUICK_BATCHES_EACH, QUICK_ROUNDS) if quick else (BATCHES_EACH, ROUNDS)
    async with _channel(folder, "dave") as operator, _channel(folder, "monitor") as monitor:
        rollouts = rollouts_pb2_grpc.RolloutServiceStub(operator)
        reports = rollouts_pb2_grpc.RolloutServiceStub(monitor)
        speeds = [await _report_much(rollouts, reports, batches) for _ in range(rounds)]
        lags = []
        for number in range(rounds):
            offset = (number + 0.5) / rounds
            lags.append(await _go_bad(operator, rollouts, reports, offset))
    return speeds, lags


@asynccontextmanager
async def _channel(folder: Path, name: str) -> AsyncIterator[grpc.aio.Channel]:
    federation = Federation.load(folder)
    me, pinned = federation.identity(name), federation.environment("dev")
    identity = TlsIdentity.load(me.certificate, me.private_key, federation.ca)
    channel = open_channel(pinned.endpoint, server_name=pinned.server_name, identity=identity)
    try:
        yield channel
    finally:
        await channel.close()


async def _begin(rollouts: Any, *, hold_seconds: int, bake_seconds: int) -> str:
    request = rollouts_pb2.StartRolloutRequest(
        parent=ALIAS,
        kind=rollouts_pb2.ROLLOUT_KIND_SPLIT,
        challenger_version=2,
        on_success=rollouts_pb2.ROLLOUT_SUCCESS_MOVE,
    )
    request.steps.add(share=0.5).min_duration.FromSeconds(hold_seconds)
    request.bake_duration.FromSeconds(bake_seconds)
    return (await rollouts.StartRollout(request)).rollout.name


def _point(version: int, metric: str, began: float, ended: float, count: int, mean: float) -> Any:
    total = round(count * mean)
    point = rollouts_pb2.MetricPoint(
        version=version,
        metric=metric,
        count=count,
        sum=total,
        sum_of_squares=total,
        direction=rollouts_pb2.METRIC_DIRECTION_LOWER_IS_BETTER,
    )
    point.start_time.FromNanoseconds(int(began * 1e9))
    point.end_time.FromNanoseconds(int(ended * 1e9))
    return point


async def _report_much(rollouts: Any, reports: Any, batches: int) -> float:
    """Report batch after batch from several monitors at once; returns points a second."""
    name = await _begin(rollouts, hold_seconds=86_400, bake_seconds=0)
    now = time.time()
    points = [
        _point(1 + number % 2, f"metric_{number // 2 % METRICS}", now - 1, now, 100, 0.1)
        for number in range(BATCH)
    ]
    requests = [
        [
            rollouts_pb2.ReportMetricsRequest(name=name, request_id=f"{lane}-{number}", points=points)
            for number in range(batches)
        ]
        for lane in range(MONITORS)
    ]

    async def monitor(lane: int) -> None:
        for request in requests[lane]:
            answer = await reports.ReportMetrics(request)
            if answer.accepted_count != BATCH:
                raise BenchmarkFailedError(f"{answer.accepted_count} of {BATCH} points were taken")

    began = time.perf_counter()
    await asyncio.gather(*(monitor(lane) for lane in range(MONITORS)))
    seconds = time.perf_counter() - began
    await rollouts.StopRollout(rollouts_pb2.StopRolloutRequest(name=name, reason_code="measured"))
    return MONITORS * batches * BATCH / seconds


async def _go_bad(operator: grpc.aio.Channel, rollouts: Any, reports: Any, offset: float) -> float:
    """Let a challenger go bad while it bakes; returns how many intervals later the alias was back."""
    name = await _begin(rollouts, hold_seconds=0, bake_seconds=86_400)
    now = time.time()
    for version in (1, 2):
        for number in range(3):
            point = _point(version, f"metric_{number}", now - 1, now, 4000, ERRORS_GOOD)
            request_id = f"good-{version}-{number}"
            await reports.ReportMetrics(
                rollouts_pb2.ReportMetricsRequest(name=name, request_id=request_id, points=[point])
            )
    states = aliases_pb2_grpc.AliasServiceStub(operator).WatchAlias(aliases_pb2.WatchAliasRequest(name=ALIAS))
    if (await states.read()).alias.version != 2:
        raise BenchmarkFailedError("the alias was not moved to the challenger")
    began = time.time()
    goes_bad = began + INTERVAL_SECONDS * (2 + offset)
    monitor = asyncio.create_task(_monitor(reports, name, began, goes_bad))
    while (await states.read()).alias.version != 1:
        pass
    lag = time.time() - goes_bad
    states.cancel()
    await monitor
    return lag / INTERVAL_SECONDS


async def _monitor(reports: Any, name: str, began: float, goes_bad: float) -> None:
    """Report each window at its end, of a challenger that goes bad at a moment, until the rollout is over."""
    state, number = rollouts_pb2.ROLLOUT_STATE_BAKING, 0
    while state == rollouts_pb2.ROLLOUT_STATE_BAKING:
        start = began + number * INTERVAL_SECONDS
        end = start + INTERVAL_SECONDS
        await asyncio.sleep(end - time.time())
        bad = min(max((end - goes_bad) / INTERVAL_SECONDS, 0.0), 1.0)
        mean = ERRORS_GOOD + bad * (ERRORS_BAD - ERRORS_GOOD)
        count = int(SAMPLES_A_SECOND * INTERVAL_SECONDS) if number else SAMPLES_BEFORE
        points = [
            _point(2, "metric_0", start, end, count, mean),
            _point(2, "metric_1", start, end, count, ERRORS_GOOD),
            _point(2, "metric_2", start, end, count, ERRORS_GOOD),
        ]
        request = rollouts_pb2.ReportMetricsRequest(name=name, request_id=f"window-{number}", points=points)
        state = (await reports.ReportMetrics(request)).state
        number += 1
