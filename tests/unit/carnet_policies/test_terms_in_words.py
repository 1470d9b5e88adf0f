from __future__ import annotations

import pytest

from carnet_policies.document import load_policy
from carnet_policies.shipped import SHIPPED, shipped_policy
from carnet_policies.terms_in_words import sections, size_in_words, terms_to_json

HEAD = "schema: carnet.policy/v1\nenvironment: lab\nversion: 1\npublishing: true\n"
FULL = (
    HEAD
    + """\
labels: {tier: {values: [low, high, critical]}}
rollouts:
  max_silence: 5m
  guardrails:
    - rule: accuracy
      when: {labels: {tier: [high, critical]}, namespaces: [risk, ml-*], aliases: [champion]}
      kinds: [split]
      metric: accuracy
      direction: higher_is_better
      at_least: 0.9
      max_regression: 2.5%
      min_samples: 2000
      false_alarm_rate: 0.001
      remedy: Train more.
    - {rule: errors, metric: error_rate, direction: lower_is_better, max_regression: 0}
retention:
  archive: {older_than: 90d}
  purge: {keep_last: 3, archived_for: 14d, min_age: 30d}
  erase: {notes_after: 2d}
quotas:
  - {namespaces: [risk, ml-*], storage: 512GiB}
"""
)


def test_a_policy_is_said_in_words() -> None:
    assert dict(sections(load_policy(FULL.encode()).document)) == {
        "rollouts": [
            "figures are counted by windows of 1m",
            "without figures of a version for 5m the champion has all traffic",
            "after 30d the champion has all traffic",
        ],
        "guardrail accuracy": [
            "accuracy (higher is better) must be at least 0.9 and at most 2.5% below the champion's",
            "asked of split rollouts where tier is high or critical; in risk or ml-*; of champion",
            "says nothing before 2,000 samples of each version",
            "stops a challenger that keeps to it in 0.1% of rollouts at most",
            "to do: Train more.",
        ],
        "guardrail errors": [
            "error_rate (lower is better) must be not above the champion's",
            "asked of shadow rollouts and split rollouts",
            "says nothing before 100 samples of each version",
            "stops a challenger that keeps to it in 1% of rollouts at most",
        ],
        "retention": [
            "archived by itself: what arrived 90d ago and was not used for 30d",
            "may be purged: what has been archived or revoked for 14d and arrived 30d ago",
            "kept all the same: the newest 3 archived versions of each model",
            "the bytes go 1d after that",
            "may be erased from the log: notes 2d after their entry, people's signed words 365d after theirs",
        ],
        "quotas": ["512GiB for each namespace that fits risk or ml-*"],
    }


def test_what_a_policy_does_not_say_is_said_too() -> None:
    assert sections(load_policy(HEAD.encode()).document) == [
        ("rollouts", ["no guardrail judges a challenger"]),
        (
            "retention",
            [
                "nothing is archived by itself",
                "nothing may be purged",
                "no document of the log may be erased",
            ],
        ),
        ("quotas", ["no namespace has one"]),
    ]


def test_it_is_a_json_object_as_the_policy_has_it() -> None:
    found = terms_to_json(load_policy(FULL.encode()).document)
    assert (found["environment"], found["version"]) == ("lab", 1)
    assert found["rollouts"]["max_silence"] == "5m"
    assert [each["rule"] for each in found["rollouts"]["guardrails"]] == ["accuracy", "errors"]
    assert found["retention"]["archive"] == {"older_than": "90d", "unused_for": "30d"}
    assert found["retention"]["purge"]["keep_last"] == 3
    assert found["quotas"] == [{"namespaces": ["risk", "ml-*"], "storage": "512GiB"}]
    bare = terms_to_json(load_policy(HEAD.encode()).document)
    assert (bare["rollouts"], bare["retention"], bare["quotas"]) == (None, None, [])


@pytest.mark.parametrize("environment", SHIPPED)
def test_every_shipped_policy_can_be_said(environment: str) -> None:
    document = load_policy(shipped_policy(environment)).document
    headings = [heading for heading, _ in sections(document)]
    assert (headings[0], headings[-2:]) == ("rollouts", ["retention", "quotas"])


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(1 << 40, "1TiB"), (1536 << 20, "1536MiB"), (3 << 10, "3KiB"), (5 << 30, "5GiB")],
)
def test_a_size_is_written_as_policies_write_it(size_bytes: int, words: str) -> None:
    assert size_in_words(size_bytes) == words
