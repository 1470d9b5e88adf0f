"""Rollouts with models that are really served: a host of its own reads the split, routes, and reports.

The champion and its challenger are scikit-learn models that were published to and pulled from a registry
process. Requests come from a seeded generator, and what is wrong with a challenger is wrong with its answers.
"""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sklearn.linear_model import LogisticRegression

import carnet
from carnet.rollouts import RolloutState
from carnet_policies.document import load_policy
from carnet_server.demo.training import Recipe, load_rows, train_bundle
from tests.support import serving_host
from tests.support.federation import LocalFederation

MODEL = "dev/risk/tumour"
CHAMPION = f"{MODEL}@champion"
ENOUGH = 4000
HOUR = timedelta(hours=1)
TERMS = {
    "reporting_interval": "1s",
    "max_silence": "10m",
    "guardrails": [
        {
            "rule": "errors",
            "metric": "error_rate",
            "direction": "lower_is_better",
            "max_regression": 0.05,
            "min_samples": 50,
        },
        {
            "rule": "latency",
            "metric": "latency_ms",
            "direction": "lower_is_better",
            "max_regression": 20.0,
            "min_samples": 30,
        },
    ],
}


def put_terms(federation: LocalFederation, **changed) -> str:
    """Put another version of dev's policy down, with these terms of rollouts, and return its digest."""
    path = federation.folder / "environments" / "dev" / "policy.yaml"
    policy = yaml.safe_load(path.read_text())
    policy |= {"version": policy["version"] + 1, "rollouts": TERMS | changed}
    path.write_text(yaml.safe_dump(policy))
    return load_policy(path.read_bytes()).digest


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A registry whose policy has guardrails, with two versions of a model, the first of them champion."""
    federation = LocalFederation(tmp_path_factory.mktemp("rollouts") / "carnet")
    put_terms(federation)
    federation.start("dev")
    bundles = tmp_path_factory.mktemp("bundles")
    with federation.client("ci") as ci:
        for number, strength in enumerate((1.0, 0.5), start=1):
            recipe = Recipe(
                f"logistic regression of {strength}", LogisticRegression(C=strength, max_iter=500)
            )
            pushed = ci.push(MODEL, train_bundle(recipe, bundles / str(number)))
            assert pushed.reference.version == number
        ci.set_alias(CHAMPION, 1)
    yield federation
    federation.stop()


class Host:
    """The serving host, from outside, and the requests that it gets."""

    def __init__(self, federation: LocalFederation, work: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, serving_host.__file__, str(federation.folder), CHAMPION, str(work)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", json.loads(self._process.stdout.readline())["port"], timeout=60
        )
        rows = load_rows(held_out=True)
        self._rows = list(zip(rows.features.tolist(), rows.malignant.tolist(), strict=True))
        self._random = random.Random(17)

    def ask(self, path: str, **body) -> tuple[int, dict]:
        self._connection.request("POST", path, json.dumps(body))
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def request(self, key: str | None = None) -> int:
        """Send one of the patients, and return which version answered."""
        row, truth = self._random.choice(self._rows)
        key = key or f"patient-{self._random.randrange(10**6)}"
        status, answer = self.ask("/predict", key=key, row=row, truth=truth)
        assert status == 200, answer
        return answer["version"]

    def load(self, count: int) -> dict[int, int]:
        """Send requests, and return how many each version answered."""
        answered = [self.request() for _ in range(count)]
        return {version: answered.count(version) for version in sorted(set(answered))}

    def degrade(self, version: int, how: str | None) -> None:
        assert self.ask("/degrade", version=version, how=how)[0] == 200

    def flush(self) -> None:
        status, answer = self.ask("/flush")
        assert status == 200, answer

    def follow(self, client: carnet.Client) -> None:
        """Wait until the host knows the traffic that counts now."""
        wanted = client.traffic(CHAMPION).revision
        wait_for(lambda: self.ask("/degrade", version=0, how=None)[1]["revision"] >= wanted)

    def close(self) -> None:
        self._connection.close()
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


def wait_for(holds) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shared_host(federation, tmp_path_factory):
    host = Host(federation, tmp_path_factory.mktemp("served"))
    yield host
    host.close()


@pytest.fixture(scope="module")
def shared_operator(federation):
    with federation.client("dave") as dave:
        yield dave


@pytest.fixture
def operator(shared_operator):
    """An operator; the alias points at version 1 and has no rollout that goes on, before and afterwards."""
    yield shared_operator
    if shared_operator.rollouts("dev", active=True):
        shared_operator.stop_rollout(CHAMPION, "test-is-over")
    if shared_operator.alias(CHAMPION).version != 1:
        shared_operator.set_alias(CHAMPION, 1)


@pytest.fixture
def host(shared_host, operator):
    """The serving host, following the traffic, with every version in order."""
    for version in (1, 2):
        shared_host.degrade(version, None)
    shared_host.follow(operator)
    return shared_host


def send_until(host: Host, operator: carnet.Client, state: RolloutState) -> carnet.client.results.Rollout:
    """Send requests until a rollout is in a state."""
    for _ in range(ENOUGH // 50):
        host.load(50)
        rollout = operator.rollout(CHAMPION)
        if rollout.state is state:
            return rollout
        assert not rollout.ended, rollout.message
    raise AssertionError(f"{rollout.state} after {ENOUGH} requests: {rollout.guardrails}")


@pytest.mark.parametrize(("how", "rule"), [("reversed", "errors"), ("late", "latency")])
def test_a_challenger_that_gets_worse_is_taken_back_by_itself(host, operator, how, rule):
    before = operator.alias(CHAMPION)
    started = operator.start_rollout(CHAMPION, challenger=2, share=0.4, min_duration=HOUR)
    assert [each.rule for each in started.rollout.guardrails] == ["errors", "latency"]
    host.follow(operator)
    host.flush()

    answered = host.load(300)
    assert 80 <= answered[2] <= 160  # five standard deviations around 120
    host.flush()
    assert operator.rollout(CHAMPION).state is RolloutState.RUNNING

    host.degrade(2, how)
    ended = send_until(host, operator, RolloutState.ROLLED_BACK)
    assert ended.reason_code == "guardrail-breached"
    breached = {each.rule for each in ended.guardrails if each.status == "breached"}
    assert rule in breached
    host.follow(operator)
    assert host.load(50) == {1: 50}
    after = operator.alias(CHAMPION)
    assert (after.version, after.revision) == (1, before.revision)
    assert [(each.version, each.share) for each in operator.traffic(CHAMPION).answering] == [(1, 1.0)]


def test_an_alias_that_was_moved_is_moved_back_while_it_bakes(host, operator):
    started = operator.start_rollout(CHAMPION, challenger=2, share=0.5, on_success="move", bake=HOUR)
    host.follow(operator)
    host.flush()
    baking = send_until(host, operator, RolloutState.BAKING)
    assert operator.alias(CHAMPION).version == 2
    host.follow(operator)
    assert host.load(50) == {2: 50}
    assert baking.guardrails[0].champion_samples >= 50, "the champion's figures are those of the step before"

    host.degrade(2, "reversed")
    ended = send_until(host, operator, RolloutState.ROLLED_BACK)
    assert (ended.number, ended.reason_code) == (started.rollout.number, "guardrail-breached")
    host.follow(operator)
    assert host.load(50) == {1: 50}
    moves = operator.alias_history(CHAMPION, limit=2)
    assert [(each.kind, each.old_version, each.new_version) for each in moves] == [
        ("rolled_back", 2, 1),
        ("rollout", 1, 2),
    ]
    assert moves[0].reason_code == "guardrail-breached"


def test_a_rollout_goes_on_past_the_end_of_its_registry_and_counts_every_request_once(
    host, operator, federation
):
    operator.start_rollout(CHAMPION, challenger=2, share=0.5, min_duration=HOUR)
    host.follow(operator)
    # The window in which the rollout began is no figure of it.
    host.flush()
    answered = host.load(100)
    federation.kill("dev")
    # Nobody can say what counts now, nor take figures: the last known split goes on, and they are kept.
    while_away = host.load(100)
    assert set(while_away) == {1, 2}
    federation.start("dev")
    back = host.load(100)
    wait_for(lambda: flushed(host))
    counted = {each.metric: each for each in operator.rollout(CHAMPION).metrics}["error_rate"]
    sent = {version: answered[version] + while_away[version] + back[version] for version in (1, 2)}
    assert (counted.champion.count, counted.challenger.count) == (sent[1], sent[2])

    host.degrade(2, "reversed")
    assert send_until(host, operator, RolloutState.ROLLED_BACK).reason_code == "guardrail-breached"
    assert operator.alias(CHAMPION).version == 1
    assert operator.audit_verify(environments=("dev",)).ok


def flushed(host: Host) -> bool:
    status, _ = host.ask("/flush")
    return status == 200


def test_a_shadow_answers_nobody_and_moves_nothing(host, operator):
    operator.start_rollout(CHAMPION, challenger=2, kind="shadow")
    host.follow(operator)
    host.flush()
    assert host.load(20) == {1: 20}
    ended = send_until(host, operator, RolloutState.SUCCEEDED)
    measured = {each.metric: each for each in ended.metrics}["error_rate"]
    # A window may close between the two answers of one request, the shadow's being the first of them.
    assert measured.champion.count >= 50
    assert measured.challenger.count - measured.champion.count in (0, 1)
    assert operator.alias(CHAMPION).version == 1
    assert operator.traffic(CHAMPION).mirrored == ()


def test_a_caller_stays_with_a_version_on_every_host(host, operator):
    operator.start_rollout(CHAMPION, challenger=2, share=0.5, min_duration=HOUR)
    host.follow(operator)
    by_key = {f"patient-{number}": host.request(f"patient-{number}") for number in range(40)}
    assert set(by_key.values()) == {1, 2}
    with carnet.TrafficRouter(operator, CHAMPION) as another:
        assert {key: another.route(key).version for key in by_key} == by_key


def test_a_rollout_that_nobody_watches_gives_the_champion_everything(federation, operator):
    digest = put_terms(federation, max_silence="2s")

    def begin(*, dry_run: bool) -> str:
        change = operator.start_rollout(CHAMPION, challenger=2, share=0.5, min_duration=HOUR, dry_run=dry_run)
        return change.rollout.policy_digest

    try:
        wait_for(lambda: begin(dry_run=True) == digest)
        assert begin(dry_run=False) == digest
    finally:
        put_terms(federation)
    ended = operator.wait_for_rollout(CHAMPION, timeout=60)
    assert (ended.state, ended.reason_code) == (RolloutState.ROLLED_BACK, "metrics-silent")
    assert [(each.version, each.share) for each in operator.traffic(CHAMPION).answering] == [(1, 1.0)]
    assert operator.alias(CHAMPION).version == 1


def test_the_command_line_takes_a_rollout_from_its_plan_to_its_end(federation, operator, tmp_path):
    dave = {"identity": "dave"}
    plan = ("rollout", "start", MODEL, "--challenger", "2", "--step", "50%:1h", "--note", "try it")
    checked = federation.cli(*plan, "--dry-run", **dave).stdout
    assert "errors" in checked
    assert "nothing was begun" in checked
    begun = federation.cli_json(*plan, **dave)
    number = begun["rollout"]["number"]
    assert (begun["rollout"]["state"], begun["receipt"]["type"]) == ("running", "rollout.started")
    now = datetime.now(UTC)
    window = {
        "metric": "error_rate",
        "start_time": now.isoformat(),
        "end_time": now.isoformat(),
        "direction": "lower_is_better",
    }
    points = [window | {"version": 1, "values": [0] * 200}, window | {"version": 2, "values": [1] * 200}]
    file = tmp_path / "points.jsonl"
    file.write_text("\n".join(map(json.dumps, points)))
    refused = federation.cli("rollout", "metrics", MODEL, "--file", str(file), check=4, **dave)
    assert "monitor" in refused.stderr
    taken = federation.cli_json("rollout", "metrics", MODEL, "--file", str(file), identity="monitor")
    assert (taken["accepted_count"], taken["state"], taken["rollout"]) == (2, "rolled_back", number)
    shown = federation.cli("rollout", "status", MODEL, "--wait", "--timeout", "1m", check=5).stdout
    assert "breached" in shown
    assert "guardrail-breached" in shown
    figures = federation.cli_json("rollout", "report", MODEL)["rollout"]["metrics"]
    assert [(each["metric"], each["challenger"]["mean"]) for each in figures] == [("error_rate", 1.0)]
