"""Judging what was measured lately, so that long good times excuse no sudden bad ones.

A phase's sums move ever more slowly: after a day without an error, an hour of errors hardly shows in them.
So the guardrails are asked twice: of the whole phase, and of its last 1, 2, 4, 8 and 16 reporting intervals.

Asking more often must not mean more false alarms. A test that begins anew with an interval is a test of its
own, and those that begin with the 1st, 2nd, 3rd … interval of a phase are given 1/2, 1/6, 1/12 … of half of
the phase's false-alarm rate (1 / (n (n + 1)), which adds up to 1); the whole phase has the other half. Tests
that could be asked and are not only make false alarms rarer. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet_policies.guardrails import GuardrailStatus, Samples, judge_guardrails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from carnet_policies.guardrails import GuardrailVerdict
    from carnet_server.rollouts.domain import Rollout

SPANS = (1, 2, 4, 8, 16)
_HALVES = 2

Window = tuple["datetime", int, str, Samples]
"""When a reporting interval began, and what was measured in it: version, metric and samples."""


def judge(
    rollout: Rollout,
    challenger: Mapping[str, Samples],
    champion: Mapping[str, Samples],
    windows: Sequence[Window],
) -> list[GuardrailVerdict]:
    """Say what the guardrails of a rollout make of its present phase, and of what was measured lately.

    Args:
        rollout: The rollout.
        challenger: The challenger's samples in the present phase, by metric.
        champion: The champion's in the phase that they are compared with.
        windows: The last reporting intervals, ``max(SPANS)`` at least where there are so many.

    Returns:
        What each guardrail says, in their order: of the whole phase, unless only what came lately breaches
        it.
    """
    plan = rollout.plan
    rate_parts = _HALVES * plan.phase_count
    verdicts = judge_guardrails(plan.guardrails, challenger, champion, phases=rate_parts)
    for span, begins_at in _spans(rollout, windows):
        place = (begins_at - rollout.phase_at) // plan.reporting_interval + 1
        lately = judge_guardrails(
            plan.guardrails,
            _sums(windows, begins_at, rollout.challenger_version),
            champion
            if rollout.champion_phase != rollout.phase
            else _sums(windows, begins_at, rollout.champion_version),
            phases=rate_parts * place * (place + 1),
        )
        verdicts = [_worse(whole, recent, span) for whole, recent in zip(verdicts, lately, strict=True)]
    return verdicts


def _spans(rollout: Rollout, windows: Sequence[Window]) -> list[tuple[int, datetime]]:
    """Return the spans that lie in the present phase: how many intervals, and when the first one began."""
    interval = rollout.plan.reporting_interval
    last = max((at for at, version, *_ in windows if version == rollout.challenger_version), default=None)
    if last is None:
        return []
    begins = [(span, last - (span - 1) * interval) for span in SPANS]
    return [(span, at) for span, at in begins if at >= rollout.phase_at]


def _sums(windows: Sequence[Window], since: datetime, of_version: int) -> dict[str, Samples]:
    """Add up what was measured of a version since a time, by metric."""
    found: dict[str, Samples] = {}
    for at, version, metric, samples in windows:
        if at >= since and version == of_version:
            found[metric] = found.get(metric, Samples()) + samples
    return found


def _worse(whole: GuardrailVerdict, recent: GuardrailVerdict, span: int) -> GuardrailVerdict:
    if whole.status is GuardrailStatus.BREACHED or recent.status is not GuardrailStatus.BREACHED:
        return whole
    when = "the last reporting interval" if span == 1 else f"the last {span} reporting intervals"
    return replace(recent, message=f"{recent.message}, in {when}")
