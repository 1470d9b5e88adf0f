"""What the policy in force let people skip, read out of the policy document that the log rests on.

Responsible for the one part of a policy that the verifier reads. Pure. Replays no rule, and judges nothing:
a document that cannot be read lets nobody skip anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from carnet.documents import YamlSource
from carnet.errors import CarnetError

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class GlassTerms:
    """The terms on which the glass can be broken; the defaults are those of ``carnet.policy/v1``."""

    skips: frozenset[str]
    count: int
    max_validity: timedelta = timedelta(hours=1)
    review_within: timedelta = timedelta(days=3)


def read_terms(policy: bytes) -> GlassTerms | None:
    """Return the terms of a policy document; None where it lets nobody skip anything.

    Args:
        policy: The document's bytes.
    """
    try:
        value = YamlSource(policy, name="the policy").value
    except CarnetError:
        return None
    terms = value.get("break_glass") if isinstance(value, dict) else None
    if not isinstance(terms, dict):
        return None
    skips, count = terms.get("skips"), terms.get("count")
    if not isinstance(skips, list) or not all(isinstance(each, str) for each in skips):
        return None
    if type(count) is not int or count < 1:
        return None
    durations = {key: terms[key] for key in ("max_validity", "review_within") if key in terms}
    read = {key: _duration(each) for key, each in durations.items()}
    if None in read.values():
        return None
    return GlassTerms(frozenset(skips), count, **{key: each for key, each in read.items() if each})


def _duration(value: Any) -> timedelta | None:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
