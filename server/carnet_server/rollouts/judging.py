"""Reading what a rollout is judged by: its figures, the aliases and versions, and what the policy lets.

Used to look whether something is due, and once more inside the transaction that does it: what is written
always rests on what is true there. Decides nothing (``transitions``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.rollouts import RolloutKind, RolloutState
from carnet_policies.guardrails import Samples
from carnet_server.aliases.queries import read_alias
from carnet_server.models.queries import read_listed_version
from carnet_server.rollouts import figure_queries
from carnet_server.rollouts.domain import MetricFigures, RolloutView
from carnet_server.rollouts.permission import Permission, permission_for, promotion_command
from carnet_server.rollouts.recent import SPANS, judge
from carnet_server.rollouts.transitions import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_policies.guardrails import GuardrailVerdict
    from carnet_policies.schema import PolicyDocument
    from carnet_server.rollouts.domain import Rollout

# How much later than the clock says the last interval may be reported.
_LATE_INTERVALS = 4


def read_facts(
    connection: Connection, rollout: Rollout, *, environment: str, document: PolicyDocument, now: datetime
) -> Facts:
    """Read what a rollout is judged by.

    Args:
        connection: Where to read.
        rollout: The rollout, as it stands.
        environment: This environment.
        document: The policy in force, which says whether the alias may be moved.
        now: The environment's clock.
    """
    alias = read_alias(connection, rollout.alias_name)
    return Facts(
        now=now,
        alias_version=alias.version if alias else 0,
        challenger_revoked=_is_revoked(connection, rollout, rollout.challenger_version),
        champion_revoked=_is_revoked(connection, rollout, rollout.champion_version),
        verdicts=_read_verdicts(connection, rollout, *_samples(connection, rollout), until=now),
        permission=_read_permission(connection, rollout, document, now),
        needed=promotion_command(environment, rollout.alias_name, rollout.challenger_version),
    )


def read_view(connection: Connection, rollout: Rollout, *, now: datetime) -> RolloutView:
    """Read what was measured in the present phase of a rollout, and what its guardrails say."""
    challenger, champion = _samples(connection, rollout)
    directions = figure_queries.read_directions(connection, rollout.name)
    nothing = Samples()
    figures = tuple(
        MetricFigures(
            metric, directions[metric], champion.get(metric, nothing), challenger.get(metric, nothing)
        )
        for metric in sorted(challenger.keys() | champion.keys())
    )
    until = rollout.ended_at or now
    verdicts = _read_verdicts(connection, rollout, challenger, champion, until=until)
    return RolloutView(rollout, tuple(verdicts), figures)


def unmeasured_view(rollout: Rollout) -> RolloutView:
    """Return a rollout of which nothing was measured, with the guardrails that would judge it."""
    return RolloutView(rollout, tuple(judge(rollout, {}, {}, ())))


def _samples(connection: Connection, rollout: Rollout) -> tuple[dict[str, Samples], dict[str, Samples]]:
    """Read the challenger's samples and the champion's, by metric."""
    phases = {rollout.phase, rollout.champion_phase}
    totals = figure_queries.read_totals(connection, rollout.name, sorted(phases))
    challenger, champion = (
        {
            metric: samples
            for (in_phase, of_version, metric), samples in totals.items()
            if (in_phase, of_version) == (phase, version)
        }
        for phase, version in (
            (rollout.phase, rollout.challenger_version),
            (rollout.champion_phase, rollout.champion_version),
        )
    )
    return challenger, champion


def _read_verdicts(
    connection: Connection,
    rollout: Rollout,
    challenger: Mapping[str, Samples],
    champion: Mapping[str, Samples],
    *,
    until: datetime,
) -> list[GuardrailVerdict]:
    """Read what was measured lately, and say what the guardrails make of all of it."""
    metrics = sorted({each.metric for each in rollout.plan.guardrails})
    if not metrics:
        return []
    since = max(rollout.phase_at, until - (max(SPANS) + _LATE_INTERVALS) * rollout.plan.reporting_interval)
    windows = figure_queries.read_windows(connection, rollout.name, metrics, since=since)
    return judge(rollout, challenger, champion, windows)


def _is_revoked(connection: Connection, rollout: Rollout, number: int) -> bool:
    version = read_listed_version(connection, rollout.namespace, rollout.model, number)
    return version is None or version.revoked


def _read_permission(
    connection: Connection, rollout: Rollout, document: PolicyDocument, now: datetime
) -> Permission:
    """Read whether the alias may be moved, where that could be asked next."""
    at_the_end = rollout.phase == len(rollout.plan.steps) - 1
    if rollout.kind is RolloutKind.SHADOW or not at_the_end or rollout.state is RolloutState.BAKING:
        return Permission(allowed=False)
    return permission_for(connection, document, rollout.alias_name, rollout.challenger_digest, now=now)
