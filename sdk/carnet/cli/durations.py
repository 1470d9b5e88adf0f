"""Durations as people write them: ``30s``, ``10m``, ``1h30m``."""

from __future__ import annotations

import re
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
