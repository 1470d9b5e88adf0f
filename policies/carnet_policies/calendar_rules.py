"""Rules of time: change windows and freezes.

What is not open yet is awaited, never refused, and every result that awaits says when it could open at the
earliest. Nothing but the clock is awaited, so people can review meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.signing.times import format_time
from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.opening_hours import is_open, next_boundary, next_opening, zone_of
from carnet_policies.scope import holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet_policies.facts import Facts
    from carnet_policies.schema_times import FreezeDemand, WindowDemand


def check_window(demand: WindowDemand, facts: Facts) -> RuleResult:
    """Check that it is one of the hours at which changes are let in.

    Args:
        demand: The hours.
        facts: The facts, of which the clock is read.
    """
    zone = zone_of(demand.time_zone)
    hours = f"{'; '.join(period.hours for period in demand.open)} ({demand.time_zone})"
    if is_open(demand.open, zone, facts.now):
        return RuleResult(
            demand.rule,
            RuleStatus.PASSED,
            f"open: {hours}",
            "",
            {"hours": hours},
            holds_until=next_boundary(demand.open, zone, facts.now),
        )
    opens = next_opening(demand.open, zone, facts.now)
    if opens is None:
        message = f"closed, and it never opens: {hours}"
        return RuleResult(
            demand.rule, RuleStatus.FAILED, message, "Have the policy name hours that come.", {"hours": hours}
        )
    return RuleResult(
        demand.rule,
        RuleStatus.AWAITING,
        f"closed until {format_time(opens)}; open: {hours}",
        demand.remedy or f"It goes on by itself when the window opens, at {format_time(opens)}.",
        {"hours": hours},
        awaits_clock=True,
        opens_at=opens,
    )


def check_freeze(demand: FreezeDemand, facts: Facts, labels: Mapping[str, str | None]) -> RuleResult:
    """Check that no freeze is on, or that this version is exempt from it.

    Args:
        demand: The freeze.
        facts: The facts, of which the clock, the namespace, the alias and the source are read.
        labels: What each label counts as; None where that is not known.
    """
    first, last = format_time(demand.from_), format_time(demand.until)
    values = {"from": first, "until": last}
    if not demand.from_ <= facts.now < demand.until:
        when = "is over since" if facts.now >= demand.until else "begins at"
        at = last if facts.now >= demand.until else first
        begins = demand.from_ if facts.now < demand.from_ else None
        message = f"no freeze: it {when} {at}"
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values, holds_until=begins)
    if demand.exempt is not None and holds(demand.exempt, labels, facts, unknown=False):
        message = f"exempt from the freeze until {last} ({demand.reason})"
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values)
    return RuleResult(
        demand.rule,
        RuleStatus.AWAITING,
        f"frozen from {first} until {last}: {demand.reason}",
        demand.remedy or f"It goes on by itself when the freeze is over, at {last}.",
        values,
        awaits_clock=True,
        opens_at=demand.until,
    )
