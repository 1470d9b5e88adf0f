"""Answers about rollouts: how a challenger is tried beside a champion, and who gets which traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from carnet.client.results.receipts import VerifiedReceipt
    from carnet.references import Reference
    from carnet.rollouts import RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep:
    """One step of a plan: the challenger's share, above 0 and 1 at most, and for how long at least."""

    share: float
    min_duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """What was measured of one version: how many samples, their mean and their standard deviation."""

    count: int
    mean: float | None
    standard_deviation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricComparison:
    """A metric of the two versions side by side; ``direction`` says which way is better."""

    metric: str
    direction: str
    champion: MetricSummary
    challenger: MetricSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailResult:
    """What one guardrail says of a rollout.

    Attributes:
        rule: Its rule id in the policy.
        metric: The metric that it reads.
        status: ``collecting``, ``holding`` or ``breached``.
        message: What it says, with the figures.
        challenger_value: The challenger's figure; None where there is none.
        champion_value: The champion's; None where there is none, or it is not asked for.
        limit: What the challenger's must not be worse than, beyond noise; None until it can be told.
        challenger_samples: How many samples the challenger's figure is of.
        champion_samples: How many the champion's is of.
        evidence: What the test counts against it; breached from ``1 / false_alarm_rate`` on.
        false_alarm_rate: The chance of a false alarm that this step of the plan is given.
    """

    rule: str
    metric: str
    status: str
    message: str
    challenger_value: float | None
    champion_value: float | None
    limit: float | None
    challenger_samples: int
    champion_samples: int
    evidence: float
    false_alarm_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A champion and a challenger of an alias, as the registry states it.

    Attributes:
        reference: The alias.
        number: Which of the alias's rollouts, from 1.
        kind: ``shadow`` or ``split``.
        state: Where it stands.
        champion_version: The version that the alias pointed at when it began.
        champion_digest: The bundle digest of that version.
        challenger_version: The version that is tried.
        challenger_digest: The bundle digest of that version.
        challenger_alias: The alias that points at it meanwhile.
        steps: The plan.
        step: The step that it is at, from 0; the last one once all are passed.
        share: The challenger's share now.
        on_success: ``hold`` or ``move``: what happens once the plan is passed.
        bake_duration: For how long a breach still moves the alias back once it was moved.
        actor: Who began it.
        note: The note that was given.
        message: Why it stands where it does.
        reason_code: Why it ended, as a code; empty until then.
        created_at: When it began.
        step_at: When the present step, or the baking, began.
        ended_at: When it ended; None until then.
        revision: How often it changed.
        log_index: The index of its last change's entry.
        guardrails: What the guardrails say; empty in lists.
        metrics: What was measured; empty in lists.
        last_report_at: When a monitor last reported on both versions; None until then.
        policy_digest: The digest of the policy whose guardrails judge it.
    """

    reference: Reference
    number: int
    kind: str
    state: RolloutState
    champion_version: int
    champion_digest: str
    challenger_version: int
    challenger_digest: str
    challenger_alias: str
    steps: tuple[RolloutStep, ...]
    step: int
    share: float
    on_success: str
    bake_duration: timedelta
    actor: str
    note: str
    message: str
    reason_code: str
    created_at: datetime | None
    step_at: datetime | None
    ended_at: datetime | None
    revision: int
    log_index: int
    guardrails: tuple[GuardrailResult, ...]
    metrics: tuple[MetricComparison, ...]
    last_report_at: datetime | None
    policy_digest: str

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutChange:
    """A rollout after this client changed it, with the verified receipt; None where it was a dry run."""

    rollout: Rollout
    receipt: VerifiedReceipt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """What a monitor measured of one version in a window of time: the sums of its samples.

    Attributes:
        version: The rollout's champion or challenger.
        metric: 1 to 64 letters, digits, ``.``, ``_`` and ``-``, beginning with a letter.
        started_at: When the window began; aware.
        ended_at: When it ended; aware.
        count: How many samples, 1 at least.
        sum: Their sum.
        sum_of_squares: The sum of their squares.
        direction: ``higher_is_better`` or ``lower_is_better``; may be left out where a guardrail names the
            metric.
    """

    version: int
    metric: str
    started_at: datetime
    ended_at: datetime
    count: int
    sum: float
    sum_of_squares: float
    direction: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReport:
    """The answer to a report of metrics.

    Attributes:
        state: Where the rollout stands after it.
        accepted_count: How many points were taken; 0 for a batch that was taken before, or a rollout that
            has ended.
        reporting_interval: How long the windows are that the rollout counts by: report at least so often.
    """

    state: RolloutState
    accepted_count: int
    reporting_interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTarget:
    """A version, and its share of the traffic, above 0 and 1 at most."""

    version: int
    bundle_digest: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Who gets which traffic of an alias.

    Attributes:
        reference: The alias.
        revision: Grows with every change of it.
        alias_revision: The alias's own revision.
        answering: Who answers: the shares add up to 1; empty where the alias points nowhere.
        mirrored: To whom requests are mirrored, whose answers are thrown away.
        rollout: The number of the rollout that says so; None where there is none.
    """

    reference: Reference
    revision: int
    alias_revision: int
    answering: tuple[TrafficTarget, ...]
    mirrored: tuple[TrafficTarget, ...]
    rollout: int | None
