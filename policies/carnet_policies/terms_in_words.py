"""What a policy says of versions that it has admitted: rollouts, keeping and quotas, in words and as JSON.

Responsible for the page of ``carnet policy explain FILE``. What it says of one admission is the environment's
own answer (``explaining``). Does no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet_policies.guardrails import guardrail_to_json
from carnet_policies.schema_fields import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_policies.schema import PolicyDocument
    from carnet_policies.schema_retention import QuotaTerms, RetentionTerms
    from carnet_policies.schema_rollouts import GuardrailDemand, RolloutTerms
    from carnet_policies.schema_scope import When

_SIZES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
Section = tuple[str, list[str]]


def sections(document: PolicyDocument) -> list[Section]:
    """Return what a policy says of versions that it has admitted: headings, each with its sentences.

    Args:
        document: The policy.
    """
    return [
        ("rollouts", list(_rollouts(document.rollouts))),
        *((f"guardrail {each.rule}", list(_guardrail(each))) for each in _guardrails(document)),
        ("retention", list(_retention(document.retention))),
        ("quotas", [*map(_quota, document.quotas)] or ["no namespace has one"]),
    ]


def terms_to_json(document: PolicyDocument) -> dict[str, Any]:
    """Return the same as a JSON object, as the policy has it and with the sentences.

    Args:
        document: The policy.
    """
    rollouts, retention = document.rollouts, document.retention
    return {
        "environment": document.environment,
        "version": document.version,
        "rollouts": None
        if rollouts is None
        else {
            "reporting_interval": in_words(rollouts.reporting_interval),
            "max_silence": in_words(rollouts.max_silence),
            "max_duration": in_words(rollouts.max_duration),
            "guardrails": [guardrail_to_json(each) for each in rollouts.guardrails],
        },
        "retention": None if retention is None else _retention_to_json(retention),
        "quotas": [
            {"namespaces": list(each.namespaces), "storage": size_in_words(each.storage)}
            for each in document.quotas
        ],
        "in_words": dict(sections(document)),
    }


def size_in_words(size_bytes: int) -> str:
    """Return a size as a policy writes it, in the largest unit that it is a whole number of.

    Args:
        size_bytes: The size, a whole number of KiB.
    """
    unit, size = next((unit, size) for unit, size in _SIZES if size_bytes % size == 0)
    return f"{size_bytes // size}{unit}"


def _guardrails(document: PolicyDocument) -> tuple[GuardrailDemand, ...]:
    return document.rollouts.guardrails if document.rollouts else ()


def _rollouts(terms: RolloutTerms | None) -> Iterator[str]:
    if terms is None:
        yield "no guardrail judges a challenger"
        return
    yield f"figures are counted by windows of {in_words(terms.reporting_interval)}"
    yield f"without figures of a version for {in_words(terms.max_silence)} the champion has all traffic"
    yield f"after {in_words(terms.max_duration)} the champion has all traffic"
    if not terms.guardrails:
        yield "no guardrail judges a challenger"


def _guardrail(demand: GuardrailDemand) -> Iterator[str]:
    bounds = []
    if demand.at_least is not None:
        bounds.append(f"at least {demand.at_least:g}")
    if demand.at_most is not None:
        bounds.append(f"at most {demand.at_most:g}")
    if demand.max_regression is not None:
        worse = "above" if demand.direction == "lower_is_better" else "below"
        spare = f"at most {demand.max_regression} {worse}" if demand.max_regression.value else f"not {worse}"
        bounds.append(f"{spare} the champion's")
    better = "lower" if demand.direction == "lower_is_better" else "higher"
    yield f"{demand.metric} ({better} is better) must be {' and '.join(bounds)}"
    yield f"asked of {_of(demand)}"
    each = "each version" if demand.max_regression is not None else "the challenger"
    yield f"says nothing before {demand.min_samples:,} samples of {each}"
    yield f"stops a challenger that keeps to it in {demand.false_alarm_rate * 100:g}% of rollouts at most"
    if demand.remedy:
        yield f"to do: {demand.remedy}"


def _of(demand: GuardrailDemand) -> str:
    kinds = " and ".join(f"{kind} rollouts" for kind in demand.kinds)
    return kinds if demand.when is None else f"{kinds} {'; '.join(_criteria(demand.when))}"


def _criteria(when: When) -> Iterator[str]:
    for name, values in when.labels.items():
        yield f"where {name} is {' or '.join(values)}"
    if when.namespaces:
        yield f"in {' or '.join(when.namespaces)}"
    if when.aliases:
        yield f"of {' or '.join(when.aliases)}"


def _retention(terms: RetentionTerms | None) -> Iterator[str]:
    if terms is None or terms.archive is None:
        yield "nothing is archived by itself"
    else:
        yield (
            f"archived by itself: what arrived {in_words(terms.archive.older_than)} ago and was not used for "
            f"{in_words(terms.archive.unused_for)}"
        )
    if terms is None or terms.purge is None:
        yield "nothing may be purged"
    else:
        purge = terms.purge
        yield (
            f"may be purged: what has been archived or revoked for {in_words(purge.archived_for)} and "
            f"arrived {in_words(purge.min_age)} ago"
        )
        yield f"kept all the same: the newest {purge.keep_last:,} archived versions of each model"
        yield f"the bytes go {in_words(purge.grace)} after that"
    if terms is None or terms.erase is None:
        yield "no document of the log may be erased"
    else:
        yield (
            f"may be erased from the log: notes {in_words(terms.erase.notes_after)} after their entry, "
            f"people's signed words {in_words(terms.erase.statements_after)} after theirs"
        )


def _retention_to_json(terms: RetentionTerms) -> dict[str, Any]:
    archive, purge, erase = terms.archive, terms.purge, terms.erase
    return {
        "archive": None
        if archive is None
        else {"older_than": in_words(archive.older_than), "unused_for": in_words(archive.unused_for)},
        "purge": None
        if purge is None
        else {
            "keep_last": purge.keep_last,
            "archived_for": in_words(purge.archived_for),
            "min_age": in_words(purge.min_age),
            "grace": in_words(purge.grace),
        },
        "erase": None
        if erase is None
        else {
            "notes_after": in_words(erase.notes_after),
            "statements_after": in_words(erase.statements_after),
        },
    }


def _quota(terms: QuotaTerms) -> str:
    return f"{size_in_words(terms.storage)} for each namespace that fits {' or '.join(terms.namespaces)}"
