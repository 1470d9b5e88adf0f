"""carnet rollout: plans, guardrails, figures, and codes that scripts can rely on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click
import pytest

from carnet.cli.durations import Share, Step, percentage, spoken
from carnet.cli.metric_points import read_points
from carnet.errors import DocumentInvalidError
from carnet.registry.v1 import rollouts_pb2

MODEL = "dev/risk/fraud"
ALIAS = "namespaces/risk/models/fraud/aliases/champion"
NAME = f"{ALIAS}/rollouts/1"
LINE = {
    "version": 2,
    "metric": "latency_ms",
    "start_time": "2026-03-01T12:00:00Z",
    "end_time": "2026-03-01T12:00:10+00:00",
}


@pytest.fixture
def book(federation):
    return federation.dev.rollouts


@pytest.fixture
def started(carnet):
    return carnet(
        "rollout", "start", MODEL, "--challenger", "2", "--step", "5%:30m", "--step", "0.5:2h",
        "--on-success", "move", "--bake", "1h", "--note", "try it",
    )  # fmt: skip


def test_start_shows_the_plan_and_what_it_is_judged_by(started, book):
    assert started.code == 0
    assert "rollout 1 of dev/risk/fraud@champion: version 2 beside version 1" in started.out
    for told in ("5 %", "30m", "50 %", "2h", "latency-guardrail", "collecting", "moves it back", "verified"):
        assert told in started.out
    held = book.held[NAME]
    assert [each.min_duration.ToTimedelta() for each in held.steps] == [
        timedelta(minutes=30),
        timedelta(hours=2),
    ]
    assert held.bake_duration.ToTimedelta() == timedelta(hours=1)


def test_a_dry_run_says_that_nothing_was_begun(carnet, book):
    ran = carnet("rollout", "start", MODEL, "--shadow", "--for", "24h", "--dry-run")
    assert "nothing was begun" in ran.out
    assert "mirrored beside" in ran.out
    assert "100 %" in ran.out
    assert book.held == {}
    answer = carnet("rollout", "start", MODEL, "--share", "10%", "--dry-run", "-o", "json").json
    assert (answer["rollout"]["steps"], answer["receipt"]) == ([{"share": 0.1, "min_duration": "0s"}], None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("start", MODEL),
        ("start", MODEL, "--step", "5%:30m", "--share", "5%"),
        ("start", MODEL, "--step", "5%:30m", "--for", "1h"),
        ("start", MODEL, "--step", "0%"),
        ("start", MODEL, "--step", "101%"),
        ("start", MODEL, "--step", "half"),
        ("start", MODEL, "--step", "5%:soon"),
        ("start", MODEL, "--share", "nan"),
        ("start", f"{MODEL}@1", "--share", "5%"),
        ("stop", MODEL),
        ("status", MODEL, "--number", "0"),
        ("ls", f"{MODEL}@1"),
        ("ls", "dev/Risk"),
        ("traffic", MODEL, "--count", "0"),
        ("metrics", MODEL),
        ("metrics", MODEL, "--file", "nowhere.jsonl"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_a_usage_error(carnet, federation, arguments):
    ran = carnet("rollout", *arguments)
    assert ran.code == 2
    assert ran.err
    assert federation.dev.calls == []


def test_status_shows_each_guardrail_with_its_figures(carnet, started, book):
    said = book.held[NAME].guardrails[0]
    said.status = rollouts_pb2.GUARDRAIL_STATUS_HOLDING
    said.challenger_value, said.champion_value, said.limit = 12.5, 11.25, 13.5
    said.challenger_samples, said.champion_samples, said.evidence = 1200, 22800, 1.75
    ran = carnet("rollout", "status", MODEL)
    assert ran.code == 0
    for told in ("holding", "12.5", "11.25", "13.5", "1,200 / 22,800", "1.75 of 100", "step 1 of 2, 30m at"):
        assert told in ran.out
    answer = carnet("rollout", "status", f"{MODEL}@champion", "--number", "1", "-o", "json").json
    assert answer["rollout"]["guardrails"][0]["limit"] == 13.5
    assert (answer["rollout"]["bake_duration"], answer["ended"]) == ("3600s", False)


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("ROLLED_BACK", 5), ("STOPPED", 5)])
def test_the_exit_code_of_a_wait_tells_the_end(carnet, started, book, state, code):
    book.end(NAME, state, "test")
    assert carnet("rollout", "status", MODEL, "--wait").code == code
    assert carnet("rollout", "status", MODEL).code == 0


def test_a_wait_tells_each_change(carnet, started, book, federation):
    book.held[NAME].step_time.FromDatetime(datetime.now(UTC))

    def end_it(answer):
        if answer.rollout.state == rollouts_pb2.ROLLOUT_STATE_RUNNING:
            book.end(NAME, "ROLLED_BACK", "guardrail-breached")

    federation.dev.lies["GetRollout"] = end_it
    ran = carnet("rollout", "status", MODEL, "--wait", "--timeout", "30s", "-o", "json")
    assert ran.code == 5
    assert (ran.json["rollout"]["state"], ran.json["ended"]) == ("rolled_back", True)
    assert "it is rolled_back" in ran.err
    assert "step 1 of 2 1800 seconds" in ran.err


def test_a_wait_that_is_over_is_a_gate_that_said_no(carnet, started):
    ran = carnet("rollout", "status", MODEL, "--wait", "--timeout", "0s", "-o", "json")
    assert (ran.code, ran.json["ended"]) == (5, False)


def test_report_sets_the_figures_side_by_side(carnet, started, book):
    assert "no monitor has reported" in carnet("rollout", "report", MODEL).out
    comparison = book.held[NAME].metrics.add(
        metric="latency_ms", direction=rollouts_pb2.METRIC_DIRECTION_LOWER_IS_BETTER
    )
    comparison.champion.count, comparison.champion.mean = 22800, 10.0
    comparison.champion.standard_deviation = 2.0
    comparison.challenger.count, comparison.challenger.mean = 1, 12.0
    ran = carnet("rollout", "report", MODEL)
    for told in ("lower", "10 ± 2", "12", "+2 (+20.0%)", "22,800 / 1", "collecting"):
        assert told in ran.out
    (found,) = carnet("rollout", "report", MODEL, "-o", "json").json["rollout"]["metrics"]
    assert (found["challenger"]["standard_deviation"], found["champion"]["mean"]) == (None, 10.0)


def test_stopping_completing_and_listing(carnet, started):
    assert "(log entry" in carnet("rollout", "stop", MODEL, "--reason-code", "wrong-version").out
    carnet("rollout", "start", MODEL, "--share", "5%")
    assert "is succeeded" in carnet("rollout", "complete", MODEL).out
    answer = carnet("rollout", "ls", "dev/risk", "-o", "json").json["rollouts"]
    assert [(each["number"], each["state"]) for each in answer] == [(2, "succeeded"), (1, "stopped")]
    assert "wrong-version" in carnet("rollout", "ls", f"{MODEL}@champion").out
    assert "no rollouts here" in carnet("rollout", "ls", "dev", "--active").out
    assert carnet("rollout", "status", MODEL, "--number", "7").code == 3


def test_traffic_is_shown_and_followed(carnet, book):
    book.share_out(ALIAS, (1, 0.95), (2, 0.05), rollout=NAME)
    ran = carnet("rollout", "traffic", MODEL)
    assert "95 %" in ran.out
    assert "by rollout 1" in ran.out
    line = carnet("rollout", "traffic", MODEL, "--watch", "--count", "1").out
    assert line == "revision 1: version 1 95 %, version 2 5 % (rollout 1)\n"
    state = carnet("rollout", "traffic", MODEL, "--watch", "--count", "1", "-o", "json").json
    assert [(each["version"], each["share"]) for each in state["answering"]] == [(1, 0.95), (2, 0.05)]
    book.share_out(ALIAS, (1, 1.0), mirrored=[(2, 0.5)])
    assert "is mirrored to" in carnet("rollout", "traffic", MODEL).out
    book.share_out(ALIAS)
    assert "nobody answers" in carnet("rollout", "traffic", MODEL).out


def test_a_file_of_points_is_a_batch_that_counts_once(carnet, started, book, tmp_path):
    path = tmp_path / "points.jsonl"
    lines = [
        LINE | {"values": [1, 2.5]},
        LINE | {"metric": "error", "count": 3, "sum": 1, "sum_of_squares": 1},
    ]
    path.write_text("\n\n".join(json.dumps(each) for each in lines))
    assert (
        "2 of 2 points were taken; rollout 1 is running"
        in carnet("rollout", "metrics", MODEL, "--file", path).out
    )
    answer = carnet("rollout", "metrics", MODEL, "--file", path, "-o", "json").json
    assert (answer["point_count"], answer["accepted_count"]) == (2, 0)
    (batch,) = book.batches.values()
    assert [(each.count, each.sum, each.sum_of_squares) for each in batch.points] == [
        (2, 3.5, 7.25),
        (3, 1.0, 1.0),
    ]
    assert batch.points[0].end_time.ToDatetime(UTC) == datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


def test_a_long_file_goes_in_several_batches(carnet, started, book, tmp_path):
    path = tmp_path / "points.jsonl"
    path.write_text(f"{json.dumps(LINE | {'values': [1]})}\n" * 1001)
    answer = carnet("rollout", "metrics", MODEL, "--file", path, "--request-id", "run-7", "-o", "json").json
    assert answer["accepted_count"] == 1001
    assert {name: len(batch.points) for name, batch in book.batches.items()} == {
        "run-7-1": 1000,
        "run-7-2": 1,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "points.jsonl:2: "),
        (json.dumps(LINE), "give count, sum and sum_of_squares, or values"),
        (json.dumps(LINE | {"values": [1], "count": 1}), "give count, sum and sum_of_squares, or values"),
        (json.dumps(LINE | {"values": []}), "values"),
        (json.dumps(LINE | {"values": [1], "valeus": 1}), "valeus"),
        (json.dumps(LINE | {"values": [1], "start_time": "yesterday"}), "start_time"),
        (json.dumps(LINE | {"values": [1], "start_time": 3}), "start_time"),
        (json.dumps(LINE | {"values": [1], "direction": "up"}), "direction"),
        (json.dumps(LINE | {"values": [1], "version": 0}), "version"),
        ('{"values": [NaN]}', "points.jsonl:2: "),
        ("[1]", "points.jsonl:2: "),
    ],
)
def test_a_line_that_is_no_point_is_named(line, said):
    with pytest.raises(DocumentInvalidError) as refused:
        read_points(f"\n{line}".encode(), name="points.jsonl")
    assert refused.value.message.startswith("points.jsonl:2: ")
    assert said in refused.value.message


def test_a_file_without_points_is_refused():
    with pytest.raises(DocumentInvalidError, match="no point in it"):
        read_points(b"\n \n", name="points.jsonl")


def test_shares_and_steps_as_people_write_them():
    assert Share().convert("5%", None, None) == pytest.approx(0.05)
    assert Share().convert("0.25", None, None) == 0.25
    assert Step().convert("100%:1h30m", None, None) == (1.0, timedelta(minutes=90))
    assert Step().convert("10%", None, None) == (0.1, timedelta(0))
    with pytest.raises(click.BadParameter):
        Step().convert("-1%:1h", None, None)
    assert [spoken(timedelta(seconds=each)) for each in (0, 0.5, 59, 60, 5400, 90061)] == [
        "0s", "0.5s", "59s", "1m", "1h30m", "25h1m1s",
    ]  # fmt: skip
    assert [percentage(each) for each in (0.05, 1.0, 0.3333333)] == ["5 %", "100 %", "33.33 %"]
