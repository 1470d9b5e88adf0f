"""The documents and predicates that the page on attestations shows are what is taken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from carnet.attesting.kinds import KINDS
from carnet.attesting.statement import Options, make_statement
from carnet.signing.evidence_content import content_of
from carnet.signing.statement import Statement
from carnet.signing.verification_result import VerificationResult

PAGE = (Path(__file__).parents[4] / "docs" / "attestations.md").read_text(encoding="utf-8")
BLOCKS = [
    (text, json.loads(text)) for text in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]


def the(*fields):
    (found,) = (text for text, value in BLOCKS if set(fields) <= value.keys() and "carnet_suite" not in value)
    return found.encode()


@pytest.mark.parametrize(
    ("data", "kind", "result"),
    [(the("suite", "result"), None, "PASSED"), (the("properties", "tools"), "fairness", "WARNED")],
)
def test_a_document_on_the_page_is_taken(data, kind, result):
    statement = make_statement(
        data, name="f", kind=kind, options=Options(), subject_name="dev/risk/fraud@3", subject_digest="d" * 64
    )
    assert content_of(statement).result == result


def test_the_verification_result_on_the_page_is_one():
    (shown,) = (value for _, value in BLOCKS if "carnet_fail_on" in value)
    statement = Statement("fraud", "d" * 64, VerificationResult.PREDICATE_TYPE, shown)
    assert VerificationResult.parse(statement).to_predicate() == shown


def test_every_kind_is_on_the_page():
    (table,) = re.findall(r"^\| `--type` \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert set(KINDS) <= set(re.findall(r"`([a-z-]+)`", table))
