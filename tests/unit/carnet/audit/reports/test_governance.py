"""Changes of policies, keys, roles and witnesses, with who signed them and what they changed."""

from __future__ import annotations

import pytest
import yaml

from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.document_changes import (
    DIFFERENCES_MAX,
    TrustFact,
    parse_yaml,
    summarise_changes,
    trust_facts,
)
from carnet.audit.reports.query import ReportKind, ReportQuery
from carnet.canonical import sha256_hex
from tests.unit.carnet.audit.conftest import START
from tests.unit.carnet.audit.test_anchors import Anchored, forked
from tests.unit.carnet.audit.test_signed_documents import change

POLICY = """schema: carnet.policy/v1
environment: dev
version: {version}
approvals: {{count: {count}}}
"""


def trust(keys, version, people, roles):
    return yaml.safe_dump(
        {
            "schema": "carnet.trust/v1",
            "environment": "dev",
            "version": version,
            "keys": [
                {"subject": f"spiffe://example.com/{name}", "pem": keys[name].verification_key.pem}
                for name in people
            ],
            "roles": [
                {"subject": f"spiffe://example.com/{name}", "roles": [role]} for name, role in roles.items()
            ],
        }
    ).encode()


def test_a_policy_is_told_with_its_signers_and_what_it_changed(world, keys, derive, rows):
    change(world, "policy", POLICY.format(version=2, count=1).encode(), keys["bob"])
    change(world, "policy", POLICY.format(version=3, count=2).encode(), keys["carol"], keys["bob"])
    report = derive("governance", environments=("dev",))
    first, second = (sha256_hex(POLICY.format(version=v, count=v - 1).encode()) for v in (2, 3))
    wanted = ("entry", "kind", "version", "signed_by", "old_digest", "new_digest", "changes")
    assert rows(report, "documents", *wanted)[-1] == (
        *(6, "policy", 3, ("bob", "carol"), first, second),
        ("approvals.count: 1 -> 2", "version: 2 -> 3"),
    )


def test_a_trust_document_is_told_by_the_keys_and_roles_that_came_and_went(world, keys, derive, rows):
    change(world, "trust", trust(keys, 2, ["bob", "carol"], {"carol": "approver"}), keys["bob"])
    change(world, "trust", trust(keys, 3, ["bob", "dave"], {"carol": "auditor"}), keys["bob"])
    found = rows(
        derive("governance", environments=("dev",)), "trust", "entry", "change", "kind", "person", "what"
    )
    assert [row for row in found if row[0] == 6] == [
        (6, "added", "key", "dave", keys["dave"].key_id),
        (6, "added", "role", "carol", "auditor"),
        (6, "removed", "key", "carol", keys["carol"].key_id),
        (6, "removed", "role", "carol", "approver"),
    ]


def test_only_changes_of_the_period_are_told_and_compared_with_those_before_it(world, keys, derive, rows):
    change(world, "policy", POLICY.format(version=2, count=1).encode())
    since = world.now
    world.tick()
    change(world, "policy", POLICY.format(version=3, count=1).encode())
    report = derive("governance", environments=("dev",), since=since.replace(microsecond=1))
    assert rows(report, "documents", "entry", "changes") == [(6, ("version: 2 -> 3",))]


def test_witnesses_are_told_from_their_first_anchor_on_and_alarms_each_time(world, log_keys, tmp_path, rows):
    logs = Anchored(world, log_keys, tmp_path)
    world.promote()
    began = logs.anchor("prod", size=3)
    logs.anchor("prod", size=9)
    alarm = logs.alarm(forked(log_keys, "dev", 3), forked(log_keys, "dev", 3, of=b"a third"))
    logs.export()
    query = ReportQuery(ReportKind.GOVERNANCE)
    report = derive_report(tmp_path, logs.pins(), query, generated_at=START, despite_findings=True).report
    assert rows(report, "witnesses", "environment", "entry", "what", "log", "size") == [
        ("dev", began, "began to anchor", "example.com/prod", 3),
        ("prod", alarm, "raised an alarm: equivocation example.com/dev", None, None),
    ]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ({}, {}, ()),
        ({"a": 1}, {"a": 1}, ()),
        ({"a": {"b": 1}}, {"a": {"b": [1, 2]}}, ("a.b: 1 -> [1,2]",)),
        ({"a": 1}, {"b": None}, ("a removed: 1", "b added: null")),
        (
            {"rules": [{"rule": "x", "count": 1}, {"rule": "y"}]},
            {"rules": [{"rule": "y"}, {"rule": "x", "count": 2}]},
            ("rules[x].count: 1 -> 2",),
        ),
        (
            {"roles": [{"subject": "s", "role": "a"}, {"subject": "s", "role": "b"}]},
            {"roles": [{"subject": "s", "role": "a"}]},
            ('roles[s #2].role removed: "b"', 'roles[s #2].subject removed: "s"'),
        ),
    ],
)
def test_differences_of_documents_are_told_by_path(before, after, wanted):
    assert summarise_changes(before, after) == wanted


def test_many_differences_are_cut_and_long_values_named_by_their_digest():
    found = summarise_changes({}, {f"k{number:03}": number for number in range(DIFFERENCES_MAX + 5)})
    assert len(found) == DIFFERENCES_MAX + 1
    assert found[-1] == "and 5 more"
    (line,) = summarise_changes({}, {"pem": "x" * 1000})
    assert line.startswith("pem added: 1002 characters, SHA-256 ")


def test_facts_of_a_trust_document():
    document = {
        "people": [{"name": "alice", "subjects": ["s1", "s2"]}],
        "peers": [{"environment": "prod", "signing_keys": ["no key"], "log_key": "vkey"}],
        "roles": [{"subject": "s1", "roles": ["operator"], "namespaces": ["risk"], "aliases": ["canary"]}],
        "denied": [{"subject": "*", "roles": ["operator"]}],
        "oidc": [{"issuer": "https://i", "audience": "a"}],
        "keys": "nonsense",
    }
    assert trust_facts(document) == {
        TrustFact("person", "alice", "s1"),
        TrustFact("person", "alice", "s2"),
        TrustFact("peer's key", "prod", "a key that cannot be read"),
        TrustFact("peer's log key", "prod", "vkey"),
        TrustFact("role", "s1", "operator, namespaces risk, aliases canary"),
        TrustFact("denial", "*", "operator"),
        TrustFact("issuer of tokens", "https://i", "audience a"),
    }


@pytest.mark.parametrize("data", [None, b"", b"a: [", b"- 1", b"\xff"])
def test_what_is_no_document_has_no_differences(data):
    assert parse_yaml(data) == {}
