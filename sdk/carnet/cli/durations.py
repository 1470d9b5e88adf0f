"""Durations as people write them: ``30s``, ``10m``, ``1h30m``; and shares: ``5%``."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

import click

_PARTS = re.compile(r"(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m)?(?:(?P<s>\d{1,9})s?)?")


class Duration(click.ParamType[float]):
    """A duration, in seconds when it is parsed; a bare number counts seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; refuse what is no duration."""
        if isinstance(value, int | float):
            return float(value)
        match = _PARTS.fullmatch(value) if value else None
        if match is None:
            self.fail(f"{value!r} is not a duration: write 30s, 10m or 1h30m", param, ctx)
        hours, minutes, seconds = (int(match[part] or 0) for part in "hms")
        return float(hours * 3600 + minutes * 60 + seconds)


class Share(click.ParamType[float]):
    """A share of the traffic, above 0 and 1 at most when it is parsed: ``5%`` or ``0.05``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share; refuse what is none."""
        if isinstance(value, int | float):
            return float(value)
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            share = math.nan
        if not 0 < share <= 1:
            self.fail(f"{value!r} is not a share: write 5% or 0.05, above 0 and 100% at most", param, ctx)
        return share


class Step(click.ParamType[tuple[float, timedelta]]):
    """A step of a rollout's plan: ``5%:30m``, a share and for how long at least."""

    name = "step"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, timedelta]:
        """Return the share and the duration; refuse what is no step."""
        if isinstance(value, tuple):
            return value
        share, colon, duration = value.partition(":")
        seconds = Duration().convert(duration, param, ctx) if colon else 0.0
        try:
            return Share().convert(share, param, ctx), timedelta(seconds=seconds)
        except OverflowError:
            self.fail(f"{duration!r} is longer than anything lasts", param, ctx)


def spoken(duration: timedelta) -> str:
    """Return a duration as it is written, such as ``1h30m``; ``0s`` for none."""
    seconds = round(duration.total_seconds(), 3)
    if seconds < 60:
        return f"{seconds:g}s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{part}{unit}" for part, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if part)


def percentage(share: float) -> str:
    """Return a share in percent, such as ``5 %``."""
    return f"{share * 100:.4g} %"
