"""How mistakes in a policy are named: where they are, and what was perhaps meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.documents import Location
    from carnet_policies.schema import PolicyDocument

Problem = tuple["Location", str]


def place_of(document: PolicyDocument, field: str, index: int) -> Location:
    """Return where a demand stands; some fields take one object instead of a list of one."""
    alone = field in ("approvals", "compatibility", "metadata") and len(getattr(document, field)) == 1
    return (field,) if alone else (field, index)


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return the end of a message: the known name that a dotted one is near to, or all that are known."""
    names = list(known)
    close = [match for part in given.split(".") for match in difflib.get_close_matches(part, names, n=1)]
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known there: {', '.join(names)}" if names else "; nothing stands below it"


def needs_wider(need: str) -> str:
    """Return the message for a rule that needs another which is asked of fewer versions."""
    return f"{need!r} is not demanded of every version that this rule is for: give the rule its when"
