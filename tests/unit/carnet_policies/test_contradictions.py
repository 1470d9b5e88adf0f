from __future__ import annotations

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies.document import load_policy

HEAD = """\
schema: carnet.policy/v1
environment: prod
version: 1
sources: [staging]
labels: {change: {values: [feature, fix]}}
evidence: [{rule: evaluation, type: evaluation, signers: [evaluator], metrics: true}]
"""
WINDOW = "time_zone: Europe/Berlin, open: [{days: [mon], from: '09:00', until: '12:00'}]"
MORNING = f"change_windows:\n  - {{rule: morning, {WINDOW}}}\n"
FREEZE = "rule: f, reason: r, from: 2026-12-18T18:00:00Z"
FLOOR = "metrics:\n  - {rule: floor, needs: [evaluation], metric: recall, at_least: 0.9}\n"


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        (
            "approvals: {rule: a, count: 1, when: {sources: [dev]}}\n",
            "7:49: approvals.when.sources[0]",
            "nothing comes from 'dev' here",
        ),
        ("traffic_share_above: 0.1\n", "7:1: traffic_share_above", "no alias is protected"),
        (
            "decisions: [{rule: d, environment: prod}]\n",
            "7:23: decisions[0].environment",
            "cannot rest on its own decision",
        ),
        ("publishing: true\napprovals: {rule: a, count: 1}\n", "8:22: approvals.count", "nobody can approve"),
        (
            MORNING.replace("'12:00'", "'08:00'"),
            "8:83: change_windows[0].open[0].until",
            "closes before it opens",
        ),
        (
            MORNING
            + f"  - {{rule: afternoon, {WINDOW.replace('12:00', '15:00').replace('09:00', '12:00')}}}\n",
            "9:49: change_windows[1].open",
            "is never open while 'morning' is",
        ),
        (
            MORNING + f"  - {{rule: other, {WINDOW.replace('mon', 'tue')}}}\n",
            "9:45: change_windows[1].open",
            "is never open while 'morning' is",
        ),
        (
            f"freezes: [{{{FREEZE}, until: 2026-12-18T18:00:00Z}}]\n",
            "7:60: freezes[0].until",
            "is over before it begins",
        ),
        (
            f"freezes: [{{{FREEZE}, until: 2027-01-01T00:00:00Z, when: {{aliases: [a]}}, exempt: {{aliases: [a, b]}}}}]\n",
            "7:111: freezes[0].exempt",
            "everything that the freeze is for is exempt",
        ),
        (
            f"freezes: [{{{FREEZE}, until: 2027-01-01T00:00:00Z, exempt: {{sources: [dev]}}}}]\n",
            "7:108: freezes[0].exempt.sources[0]",
            "nothing comes from 'dev' here",
        ),
        (
            f"freezes: [{{{FREEZE}, until: 2027-01-01T00:00:00Z, exempt: {{labels: {{chang: fix}}}}}}]\n",
            "7:107: freezes[0].exempt.labels.chang",
            "did you mean 'change'?",
        ),
        (
            FLOOR + "  - {rule: ceiling, needs: [evaluation], metric: recall, at_most: 0.8}\n",
            "9:58: metrics[1].at_most",
            "no figure is at least 0.9 (floor) and at most 0.8 (ceiling)",
        ),
        (
            FLOOR.replace("at_least: 0.9", "at_most: 0.9, slices: [{sex: [f]}], overall: false")
            + "  - {rule: other, needs: [evaluation], metric: recall, at_least: 0.95, slices: [{sex: [f]}]}\n",
            "9:56: metrics[1].at_least",
            "no figure is at least 0.95 (other) and at most 0.9 (floor)",
        ),
    ],
)
def test_a_contradiction_is_named_with_its_place(text: str, place: str, says: str) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        load_policy((HEAD + text).encode(), name="p.yaml")
    (problem,) = caught.value.message.splitlines()
    assert problem.startswith(f"p.yaml:{place}: "), problem
    assert says in problem


def test_a_label_that_is_mandatory_anyway_needs_no_namespaces() -> None:
    text = HEAD.replace("fix]", "fix], required_in: [risk]")
    with pytest.raises(
        DocumentInvalidError, match=r"p.yaml:5:43: labels.change.required_in: without a default"
    ):
        load_policy(text.encode(), name="p.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "publishing: true\napprovals: {rule: a, count: 1, when: {sources: [staging]}}\n",
        "publishing: true\napprovals: {rule: a, count: 1, when: {aliases: [champion]}}\n",
        MORNING + f"  - {{rule: other, {WINDOW.replace('Berlin', 'Paris').replace('mon', 'tue')}}}\n",
        MORNING + f"  - {{rule: other, {WINDOW}}}\n",
        MORNING.replace("rule: morning", "rule: morning, when: {labels: {change: fix}}")
        + f"  - {{rule: other, {WINDOW.replace('mon', 'tue')}, when: {{labels: {{change: feature}}}}}}\n",
        f"freezes: [{{{FREEZE}, until: 2027-01-01T00:00:00Z, exempt: {{aliases: [a]}}}}]\n",
        FLOOR + "  - {rule: ceiling, needs: [evaluation], metric: recall, at_most: 0.95}\n",
        FLOOR + "  - {rule: other, needs: [evaluation], metric: latency_ms, at_most: 0.1}\n",
        FLOOR
        + "  - {rule: s, needs: [evaluation], metric: recall, at_most: 0.1, overall: false, slices: [{a: b}]}\n",
    ],
)
def test_what_can_be_met_is_no_contradiction(text: str) -> None:
    load_policy((HEAD + text).encode())
