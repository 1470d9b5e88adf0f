"""The schema of what a policy says about rollouts: guardrails, and how long monitors may be silent.

Responsible for the fields, and for what holds within one guardrail, which is kept with a rollout and read
again without its policy. What holds between fields otherwise is in ``rollout_checks``; what a guardrail makes
of figures is in ``guardrails``. Does no I/O.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from carnet_policies.schema_fields import Duration, Figure, MaxRegression, Name, Part, Some
from carnet_policies.schema_scope import When  # noqa: TC001 - pydantic reads it

MAX_GUARDRAILS = 20
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")]


class GuardrailDemand(Part):
    """What a challenger's figures must keep to while it is tried.

    Attributes:
        rule: The rule's id.
        when: The rollouts that it is asked of, by the challenger's labels, namespace and the alias.
        kinds: The kinds of rollouts that it is asked of.
        metric: The metric that monitors report.
        direction: Which way is better.
        at_least: A floor for the challenger.
        at_most: A ceiling for the challenger.
        max_regression: How much worse than the champion's it may be, by the metric's direction.
        min_samples: How many samples of each version that it reads are needed before it says anything.
        false_alarm_rate: The chance that it stops a challenger that keeps to it, over the whole rollout.
        remedy: What to do about it.
    """

    rule: Name
    when: When | None = None
    kinds: Some[Literal["shadow", "split"]] = ("shadow", "split")
    metric: MetricName
    direction: Literal["higher_is_better", "lower_is_better"]
    at_least: Figure | None = None
    at_most: Figure | None = None
    max_regression: MaxRegression | None = None
    min_samples: Annotated[int, Field(ge=2, le=10**9)] = 100
    false_alarm_rate: Annotated[float, Field(ge=1e-6, le=0.5)] = 0.01
    remedy: str = Field(default="", max_length=2000)

    @field_validator("at_least", "at_most")
    @classmethod
    def _is_on_the_worse_side(cls, value: float | None, info: ValidationInfo) -> float | None:
        direction = info.data.get("direction")
        if value is not None and info.field_name == "at_least" and direction == "lower_is_better":
            raise ValueError("a floor for what is better the lower it is: that is at_most")
        if value is not None and info.field_name == "at_most" and direction == "higher_is_better":
            raise ValueError("a ceiling for what is better the higher it is: that is at_least")
        return value

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.at_least is None and self.at_most is None and self.max_regression is None:
            raise ValueError("bounds nothing: give at_least, at_most or max_regression")
        return self


class RolloutTerms(Part):
    """What holds for every rollout in the environment.

    Attributes:
        reporting_interval: How long the windows are that figures are counted by.
        max_silence: How long a rollout goes on without figures of a version; then the champion has all.
        max_duration: How long a rollout may take at most; then the champion has all.
        guardrails: What a challenger is judged by.
    """

    reporting_interval: Duration = timedelta(minutes=1)
    max_silence: Duration = timedelta(minutes=10)
    max_duration: Duration = timedelta(days=30)
    guardrails: tuple[GuardrailDemand, ...] = Field(default=(), max_length=MAX_GUARDRAILS)
