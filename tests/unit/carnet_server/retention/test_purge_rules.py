"""What may be purged: whatever is read of a version, one reason to keep it is enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError, PreconditionFailedError
from carnet_policies.schema_retention import PurgeTerms, RetentionTerms
from carnet_server.models.domain import Stage, Version
from carnet_server.retention.purge_rules import Looked, PurgeRule, judge, rule_of, span

NOW = datetime(2031, 5, 4, 12, tzinfo=UTC)
RULE = PurgeRule(2, timedelta(days=90), timedelta(days=365), timedelta(days=1))
DAYS = st.integers(0, 1000)


def version(*, stage=Stage.ARCHIVED, arrived=400, staged=100, purged=None):
    return Version(
        namespace="risk",
        model="fraud",
        version=3,
        home="dev",
        bundle_digest="b" * 64,
        content_digest="c" * 64,
        stage=stage,
        size_bytes=1,
        file_count=1,
        publisher="ci",
        publisher_key_id="k",
        source="",
        promotion="",
        created_at=NOW - timedelta(days=arrived),
        log_index=1,
        description="",
        owner="",
        staged_at=NOW - timedelta(days=staged),
        stage_log_index=2,
        purged_at=purged,
    )


def verdict(*reasons, rule=RULE, newer_archived=2, **fields):
    return judge(rule, Looked(version(**fields), newer_archived), reasons, NOW)


def test_what_is_old_out_of_use_and_beyond_the_newest_goes():
    found = verdict()
    assert (found.goes, found.why) == (
        True,
        "archived 100 days ago, arrived 400 days ago, not among the 2 newest archived",
    )
    assert verdict(stage=Stage.REVOKED).why == "revoked 100 days ago, arrived 400 days ago"


@pytest.mark.parametrize("stage", [Stage.ARCHIVED, Stage.REVOKED])
def test_the_ends_of_the_terms_are_exact(stage):
    assert verdict(stage=stage, arrived=365, staged=90).goes
    assert not verdict(stage=stage, arrived=364).goes
    assert not verdict(stage=stage, staged=89).goes


def test_only_archived_versions_are_among_the_newest_archived():
    assert not verdict(newer_archived=1).goes
    assert verdict(newer_archived=0, stage=Stage.REVOKED).goes
    assert verdict(newer_archived=0, rule=PurgeRule(0, *[timedelta(0)] * 3)).goes


@given(
    stage=st.sampled_from(Stage),
    arrived=DAYS,
    staged=DAYS,
    newer=st.integers(0, 5),
    reasons=st.lists(st.sampled_from(["an alias points at it", "a hold is on it"]), max_size=2),
    purged=st.booleans(),
)
def test_nothing_goes_that_anything_speaks_for(stage, arrived, staged, newer, reasons, purged):
    found = verdict(
        *reasons,
        newer_archived=newer,
        stage=stage,
        arrived=arrived,
        staged=staged,
        purged=NOW - timedelta(days=1) if purged else None,
    )
    old = arrived >= 365 and staged >= 90 and (newer >= 2 or stage is Stage.REVOKED)
    at_rest = stage in {Stage.ARCHIVED, Stage.REVOKED}
    assert found.goes == (old and at_rest and not reasons and not purged)
    assert found.why
    if at_rest and not purged:
        assert all(reason in found.why for reason in reasons)


def test_a_request_may_keep_more_than_the_policy_and_never_less():
    terms = RetentionTerms(purge=PurgeTerms(keep_last=5))
    assert rule_of(terms, None, environment="dev").keep_last == 5
    assert rule_of(terms, 7, environment="dev").keep_last == 7
    for asked in (4, 0, -1, 10_001):
        with pytest.raises(InvalidInputError, match="the policy keeps the 5 newest") as caught:
            rule_of(terms, asked, environment="dev")
        assert caught.value.metadata == {"field": "keep_last"}


@pytest.mark.parametrize("terms", [None, RetentionTerms()])
def test_a_policy_that_says_nothing_lets_nothing_go(terms):
    with pytest.raises(PreconditionFailedError, match="the policy in force of dev lets nothing be purged"):
        rule_of(terms, None, environment="dev")


def test_lengths_are_told_in_a_unit_that_fits():
    told = [span(timedelta(seconds=seconds)) for seconds in (0, 59, 60, 7_200, 86_400, 90 * 86_400)]
    assert told == ["0 s", "59 s", "1 minute", "2 hours", "1 day", "90 days"]
