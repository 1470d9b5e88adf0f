"""Positions and intervals: shares are kept to, and nobody is sent back and forth."""

from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carnet.client.results import Traffic, TrafficTarget
from carnet.hosting.shares import RoutingTable
from carnet.references import Reference
from tests.support.fuzzing import examples

KEYS = [f"customer-{number}" for number in range(4000)]
shares = st.floats(0.001, 1.0)
# The challenger is mostly the newer of the two, and need not be.
versions = st.sampled_from([(1, 2), (2, 1), (7, 31)])


def table(champion=1, challenger=2, share=0.1, *, rollout=1, mirrored=False):
    def target(version, part):
        return TrafficTarget(version=version, bundle_digest=f"{version:064x}", share=part)

    split = [target(challenger, share), *([target(champion, 1 - share)] if share < 1 else [])]
    return RoutingTable.of(
        Traffic(
            reference=Reference("prod", "risk", "fraud", alias="champion"),
            revision=1,
            alias_revision=1,
            answering=(target(champion, 1.0),) if mirrored else tuple(split),
            mirrored=(target(challenger, share),) if mirrored else (),
            rollout=rollout,
        )
    )


def answered_by(version, routes):
    return {key for key in KEYS if routes.choose(routes.position_of(key)).version == version}


def mirrored_to(version, routes):
    choices = {key: routes.choose(routes.position_of(key)) for key in KEYS}
    return {key for key, choice in choices.items() if version in [each.version for each in choice.mirrored]}


@settings(max_examples=examples(25), deadline=None)
@given(share=shares, versions=versions, rollout=st.integers(1, 1000), mirrored=st.booleans())
def test_the_challenger_gets_its_share(share, versions, rollout, mirrored):
    routes = table(*versions, share, rollout=rollout, mirrored=mirrored)
    got = (mirrored_to if mirrored else answered_by)(versions[1], routes)
    error = 6 * math.sqrt(share * (1 - share) / len(KEYS)) + 1 / len(KEYS)
    assert abs(len(got) / len(KEYS) - share) <= error


@settings(max_examples=examples(25), deadline=None)
@given(first=shares, second=shares, versions=versions, mirrored=st.booleans())
def test_a_larger_share_keeps_everybody_who_was_in_the_smaller_one(first, second, versions, mirrored):
    chosen = mirrored_to if mirrored else answered_by
    small, large = (
        chosen(versions[1], table(*versions, share, mirrored=mirrored)) for share in sorted((first, second))
    )
    assert small <= large


@given(
    parts=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5),
    position=st.floats(0.0, 1.0, exclude_max=True),
)
def test_somebody_answers_at_every_position_though_shares_are_rounded(parts, position):
    whole = sum(parts)
    traffic = Traffic(
        reference=Reference("prod", "risk", "fraud", alias="champion"),
        revision=1,
        alias_revision=1,
        answering=tuple(
            TrafficTarget(version=number, bundle_digest="", share=part / whole * (1 - 1e-9))
            for number, part in enumerate(parts, start=1)
        ),
        mirrored=(),
        rollout=None,
    )
    assert RoutingTable.of(traffic).choose(position).version in range(1, len(parts) + 1)


def test_another_rollout_asks_other_callers_first():
    first, second = (answered_by(2, table(rollout=number)) for number in (1, 2))
    assert len(first & second) < len(first) / 2


def test_a_mirrored_version_answers_nobody():
    routes = table(share=1.0, mirrored=True)
    assert answered_by(1, routes) == set(KEYS)
    assert mirrored_to(2, routes) == set(KEYS)


def test_a_position_is_what_the_pages_say():
    salt = "namespaces/risk/models/fraud/aliases/champion/rollouts/3"
    digest = hashlib.sha256(f"{salt}\ncustomer-17".encode()).hexdigest()
    assert table(rollout=3).position_of("customer-17") == pytest.approx(int(digest[:16], 16) / 2**64)
    assert table(rollout=3).position_of("customer-17") == table(rollout=3, share=0.9).position_of(
        "customer-17"
    )
    assert 0 <= table(rollout=None).position_of("") < 1
