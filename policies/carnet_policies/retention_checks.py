"""Mistakes in what a policy says about keeping: terms that never matter, and quotas that are never reached.

Responsible for what holds between the fields there. Nothing is evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.schema_fields import in_words
from carnet_policies.scope import fits_any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_policies.mistakes import Problem
    from carnet_policies.schema import PolicyDocument


def retention_problems(document: PolicyDocument) -> Iterator[Problem]:
    """Yield the mistakes in what a policy says about retention and quotas, with the field that each is in."""
    yield from _term_problems(document)
    yield from _quota_problems(document)


def _term_problems(document: PolicyDocument) -> Iterator[Problem]:
    terms = document.retention
    if terms is None:
        return
    if terms.archive is None and terms.purge is None and terms.erase is None:
        yield (("retention",), "says nothing: name archive, purge or erase, or leave it out")
    purge = terms.purge
    if purge is not None and "min_age" in purge.model_fields_set and purge.min_age < purge.archived_for:
        yield (
            ("retention", "purge", "min_age"),
            f"never matters: what was archived {in_words(purge.archived_for)} ago arrived before that",
        )


def _quota_problems(document: PolicyDocument) -> Iterator[Problem]:
    earlier: dict[str, int] = {}
    for index, quota in enumerate(document.quotas):
        own: dict[str, int] = {}
        for number, pattern in enumerate(quota.namespaces):
            # A pattern that fits another one, its stars taken as they stand, fits whatever that one fits.
            found = next((each for each in (*earlier, *own) if fits_any((each,), pattern)), None)
            if found is not None:
                where = "this one" if found in own else f"quotas[{earlier[found]}]"
                message = (
                    f"{pattern!r} never matters: {found!r} in {where} fits all of it, and the first counts"
                )
                yield (("quotas", index, "namespaces", number), message)
            own[pattern] = index
        earlier |= own
