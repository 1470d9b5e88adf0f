from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from carnet_policies.editor_schema import editor_schema, editor_schema_text

FILE = Path(__file__).parents[3] / "policies" / "policy.schema.json"


def test_the_committed_schema_is_current() -> None:
    assert FILE.read_text() == editor_schema_text(), "run: carnet policy schema > policies/policy.schema.json"


def test_every_field_of_a_policy_is_described() -> None:
    properties = editor_schema()["properties"]
    assert [name for name, shown in properties.items() if not shown.get("description")] == []
    assert editor_schema()["required"] == ["schema", "environment", "version"]


def test_every_reference_leads_somewhere() -> None:
    generated = editor_schema()
    references = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(generated)))
    assert references == set(generated["$defs"])


@pytest.mark.parametrize(
    ("definition", "field", "good", "bad"),
    [
        ("DecisionDemand", "soak", "72h", "3 days"),
        ("Period", "from", "24:00", "25:00"),
        ("ApprovalDemand", "rule", "two-people", "Two"),
        ("LabelDeclaration", "required_in", "medical-*", "A?"),
        ("GuardrailDemand", "metric", "latency_ms", "5xx"),
        ("PurgeTerms", "grace", "7d", "0d"),
        ("QuotaTerms", "storage", "500GiB", "500GB"),
    ],
)
def test_what_is_written_as_text_has_its_form(definition: str, field: str, good: str, bad: str) -> None:
    def patterns(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["pattern"]] if isinstance(value.get("pattern"), str) else []
            return own + [each for inner in value.values() for each in patterns(inner)]
        return [each for inner in value for each in patterns(inner)] if isinstance(value, list) else []

    (pattern,) = patterns(editor_schema()["$defs"][definition]["properties"][field])
    assert re.search(pattern, good)
    assert not re.search(pattern, bad)


def test_one_demand_may_stand_for_a_list_of_one() -> None:
    one, many = editor_schema()["properties"]["approvals"]["anyOf"]
    assert one == {"$ref": "#/$defs/ApprovalDemand"}
    assert (many["type"], many["items"]) == ("array", one)
