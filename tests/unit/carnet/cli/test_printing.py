"""Durations, JSON, figures and progress."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.cli.durations import Duration
from carnet.cli.json_form import as_json
from carnet.cli.output import cell, console, number, print_fields, printable, size, when
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Settings
from carnet.client.results import Metric, PromotionState
from carnet.references import parse_reference


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("1h30m", 5400), ("2h", 7200), ("45", 45), ("1m1s", 61), ("0", 0)],
)
def test_durations(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1d", "-1s", "1.5m", "10m1h", "s", "1 m", "9" * 20])
def test_what_is_no_duration(text):
    with pytest.raises(click.BadParameter, match="not a duration"):
        Duration().convert(text, None, None)


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59))
def test_every_spelling_of_a_duration_is_its_seconds(hours, minutes, seconds):
    assert Duration().convert(f"{hours}h{minutes}m{seconds}s", None, None) == (
        hours * 3600 + minutes * 60 + seconds
    )


def test_the_json_form():
    value = {
        "reference": parse_reference("dev/risk/fraud@1"),
        "path": Path("a/b"),
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        "state": PromotionState.FAILED,
        "data": b"\x00",
        "many": (1, None, True, 0.5),
        "metric": Metric(name="a", value=1.0, direction="higher_is_better", slice={}),
    }
    assert as_json(value, leave_out=frozenset({"direction"})) == {
        "reference": "dev/risk/fraud@1",
        "path": "a/b",
        "time": "2026-01-02T00:00:00Z",
        "state": "FAILED",
        "data": "AA==",
        "many": [1, None, True, 0.5],
        "metric": {"name": "a", "value": 1.0, "slice": {}},
    }
    with pytest.raises(TypeError, match="no JSON form"):
        as_json(object())


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 << 20, "1.5 GiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes(count, text):
    assert size(count) == text


def test_small_things():
    assert number(0.98765432) == "0.987654"
    assert when(None) == ""
    assert when(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05Z"
    assert cell("PASSED").style == "green"


@given(st.text())
def test_nothing_printable_acts_on_a_terminal(text):
    assert not any(ord(each) < 32 and each != "\n" for each in printable(text))


def test_empty_fields_are_left_out(capsys):
    print_fields(console(), [("a", ""), ("b", None), ("c", 0)])
    assert capsys.readouterr().out.split() == ["c", "0"]


def test_progress_is_a_line_for_each_stage_where_no_terminal_is(capsys):
    with progress_shown(Settings()) as progress:
        for done in range(3):
            progress("sending", done, 2048)
        progress("verifying", 1, 1024)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "sending 2.0 KiB\nverifying 1.0 KiB\n"


def test_progress_is_bars_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_shown(Settings(), unit="entries") as progress:
        progress("copying dev", 1, 2)
        progress("copying dev", 2, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "copying dev" in captured.err
