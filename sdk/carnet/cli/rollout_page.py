"""How rollouts are shown: plans, guardrails and figures, and each change while one is waited for."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet.cli.durations import percentage, spoken
from carnet.cli.output import entry_of, number, print_fields, print_table, say, short, when
from carnet.cli.progress_bars import progress_shown
from carnet.rollouts import RolloutState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from carnet.cli.settings import Settings
    from carnet.client.results import MetricComparison, MetricSummary, Rollout, RolloutChange

_BETTER = {"higher_is_better": "higher", "lower_is_better": "lower"}


@contextlib.contextmanager
def updates_shown(settings: Settings) -> Iterator[Callable[[Rollout], None]]:
    """Tell each change of a rollout in plain words, and how far its step is, while a block runs.

    Yields:
        What is to be told of the rollout again and again.
    """
    last: list[tuple[int, str]] = []
    with progress_shown(settings, unit="seconds") as progress:

        def tell(rollout: Rollout) -> None:
            if not last:
                say(settings, headline(rollout))
            seen = (rollout.revision, rollout.message)
            if seen not in last:
                last[:] = [seen]
                say(settings, f"  {rollout.state:<11}  {percentage(rollout.share):>6}  {rollout.message}")
            planned = _present_duration(rollout)
            if planned and rollout.step_at and not rollout.ended:
                elapsed = int((datetime.now(UTC) - rollout.step_at).total_seconds())
                progress(_phase(rollout), min(max(elapsed, 0), planned), planned)

        yield tell


def _present_duration(rollout: Rollout) -> int:
    """For how many seconds the present step, or the baking, lasts at least."""
    match rollout.state:
        case RolloutState.RUNNING:
            return int(rollout.steps[rollout.step].min_duration.total_seconds())
        case RolloutState.BAKING:
            return int(rollout.bake_duration.total_seconds())
    return 0


def _phase(rollout: Rollout) -> str:
    if rollout.state is RolloutState.BAKING:
        return "baking"
    return f"step {rollout.step + 1} of {len(rollout.steps)}"


def headline(rollout: Rollout) -> str:
    """Return what a rollout is, in a line."""
    beside = "mirrored beside" if rollout.kind == "shadow" else "beside"
    return (
        f"rollout {rollout.number} of {rollout.reference}: version {rollout.challenger_version} "
        f"{beside} version {rollout.champion_version}"
    )


def print_started(page: Console, change: RolloutChange) -> None:
    """Print the plan of a rollout that begins, and what it is judged by."""
    rollout = change.rollout
    page.print(headline(rollout))
    print_table(
        page,
        ("step#", "mirrored#" if rollout.kind == "shadow" else "share#", "at least#"),
        (
            (place, percentage(step.share), spoken(step.min_duration))
            for place, step in enumerate(rollout.steps, start=1)
        ),
    )
    page.print(_afterwards(rollout))
    print_guardrails(page, rollout)
    if change.receipt is None:
        page.print("nothing was begun: this was a dry run")
    else:
        page.print(f"it has begun (log {entry_of(change.receipt)})")


def _afterwards(rollout: Rollout) -> str:
    if rollout.kind == "shadow":
        return "once that is passed it is over: a shadow moves no alias"
    back = f", and a breach within {spoken(rollout.bake_duration)} moves it back"
    moved = f"{rollout.reference} is moved to it" + (back if rollout.bake_duration else "")
    if rollout.on_success == "move":
        return f"once that is passed, {moved}"
    return f"once that is passed, it waits for `carnet rollout complete` or a promotion; then {moved}"


def print_guardrails(page: Console, rollout: Rollout) -> None:
    """Print what each guardrail says, with its figures."""
    if not rollout.guardrails:
        page.print("the policy has no guardrail for it: only silence and people end it early")
        return
    titles = ("guardrail", "says", "challenger#", "champion#", "limit#", "samples#", "evidence#", "in words")
    print_table(
        page,
        titles,
        (
            (
                each.rule,
                each.status,
                _figure(each.challenger_value),
                _figure(each.champion_value),
                _figure(each.limit),
                f"{each.challenger_samples:,} / {each.champion_samples:,}",
                _evidence(each.evidence, each.false_alarm_rate),
                each.message,
            )
            for each in rollout.guardrails
        ),
    )


def _evidence(evidence: float, rate: float) -> str:
    """Return how far a guardrail is on its way to a breach: what it counts, of what it takes."""
    return f"{evidence:.3g} of {1 / rate:,.0f}" if rate else f"{evidence:.3g}"


def _figure(value: float | None) -> str:
    return "" if value is None else number(value)


def print_rollout(page: Console, rollout: Rollout) -> None:
    """Print where a rollout stands, and what its guardrails say."""
    page.print(headline(rollout))
    print_fields(
        page,
        [
            ("state", rollout.state),
            ("why", rollout.message),
            ("reason", rollout.reason_code),
            ("step", _place_in_plan(rollout)),
            ("share", percentage(rollout.share)),
            ("since", when(rollout.step_at)),
            ("challenger", f"version {rollout.challenger_version}, {short(rollout.challenger_digest)}"),
            ("champion", f"version {rollout.champion_version}, {short(rollout.champion_digest)}"),
            ("on success", rollout.on_success),
            ("bake", spoken(rollout.bake_duration) if rollout.bake_duration else ""),
            ("begun", f"{when(rollout.created_at)} by {rollout.actor}"),
            ("note", rollout.note),
            ("last report", when(rollout.last_report_at) or "none yet"),
            ("ended", when(rollout.ended_at)),
        ],
    )
    print_guardrails(page, rollout)


def _place_in_plan(rollout: Rollout) -> str:
    planned = _present_duration(rollout)
    return f"{_phase(rollout)}, {spoken(timedelta(seconds=planned))} at least" if planned else ""


def print_figures(page: Console, rollout: Rollout) -> None:
    """Print all that was measured of the two versions, side by side."""
    page.print(f"{headline(rollout)}; {rollout.state}, step {rollout.step + 1} of {len(rollout.steps)}")
    if not rollout.metrics:
        page.print("no monitor has reported yet")
        return
    guarded = {each.metric: each.status for each in rollout.guardrails}
    print_table(
        page,
        ("metric", "better", "champion#", "challenger#", "change#", "samples#", "guardrail"),
        (
            (
                each.metric,
                _BETTER.get(each.direction, ""),
                _summary(each.champion),
                _summary(each.challenger),
                _change(each),
                f"{each.champion.count:,} / {each.challenger.count:,}",
                guarded.get(each.metric, ""),
            )
            for each in rollout.metrics
        ),
    )


def _summary(summary: MetricSummary) -> str:
    if summary.mean is None:
        return ""
    spread = summary.standard_deviation
    return number(summary.mean) if spread is None else f"{number(summary.mean)} ± {number(spread)}"


def _change(comparison: MetricComparison) -> str:
    before, after = comparison.champion.mean, comparison.challenger.mean
    if before is None or after is None:
        return ""
    relative = f" ({(after - before) / abs(before):+.1%})" if before else ""
    return f"{after - before:+.4g}{relative}"


def print_changed(page: Console, change: RolloutChange) -> None:
    """Print a rollout after somebody changed it."""
    rollout = change.rollout
    logged = f" (log {entry_of(change.receipt)})" if change.receipt else ""
    page.print(f"{headline(rollout)} is {rollout.state}: {rollout.message}{logged}")


def print_rollouts(page: Console, rollouts: Sequence[Rollout]) -> None:
    """Print a list of rollouts."""
    if not rollouts:
        page.print("no rollouts here; `carnet rollout start` begins one")
        return
    print_table(
        page,
        ("alias", "rollout#", "kind", "champion#", "challenger#", "state", "share#", "begun", "why"),
        (
            (
                each.reference,
                each.number,
                each.kind,
                each.champion_version,
                each.challenger_version,
                each.state,
                percentage(each.share),
                when(each.created_at),
                each.reason_code,
            )
            for each in rollouts
        ),
    )
