"""What of a manifest can be searched."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.filtering.fields import FIELDS, Kind, Shape
from carnet_server.search.conditions import _ELSEWHERE, _EVIDENCE, COLUMNS
from carnet_server.search.terms import HEAD_LENGTH, term_name, terms_of
from tests.support.bundles import make_document


def said(**manifest):
    return {
        (each.term, each.ordinal): each.text if each.number is None else each.number
        for each in terms_of(json.dumps(manifest).encode())
    }


def test_a_complete_document_gives_a_term_for_each_value():
    found = said(**make_document(seed=1))
    assert found["labels.tier", 0] == "high"
    assert found["lineage.code.repository", 0] == "https://example.org/risk/fraud"
    assert found["lineage.datasets.window.start", 0] == 1_767_225_600_000_000
    assert found["environment.trained_at", 0] == 1_772_368_200_000_000
    assert found["environment.training_seconds", 0] == 12.5
    assert found["hyperparameters.trees", 0] == 101
    assert (found["feature_schema.inputs.name", 0], found["feature_schema.inputs.name", 1]) == (
        "amount",
        "country",
    )
    assert {"metrics.roc_auc", "metrics.log_loss{region=eu}"} <= {name for name, _ in found}


def test_lists_give_a_term_for_each_element_that_has_the_value():
    datasets = [{"name": "a", "digest": "x"}, {"name": "b"}, {"name": "c", "digest": "y"}]
    found = said(lineage={"datasets": datasets})
    assert [found["lineage.datasets.name", number] for number in range(3)] == ["a", "b", "c"]
    assert [found["lineage.datasets.digest", number] for number in range(2)] == ["x", "y"]


def test_of_hyperparameters_numbers_texts_and_flags_count():
    values = {
        "a": 1,
        "b": "x",
        "c": True,
        "d": None,
        "e": [1],
        "f": {"g": {"h": 2}},
        "i": "",
        "j": "a\0",
        "k\0": 1,
    }
    assert said(hyperparameters=values) == {
        ("hyperparameters.a", 0): 1,
        ("hyperparameters.b", 0): "x",
        ("hyperparameters.c", 0): "true",
        ("hyperparameters.f.g.h", 0): 2,
    }


def test_two_keys_that_come_to_one_name_both_count():
    assert said(hyperparameters={"a.b": 1, "a": {"b": 2}}) == {
        ("hyperparameters.a.b", 0): 1,
        ("hyperparameters.a.b", 1): 2,
    }
    slices = [
        {"name": "m", "value": 1, "slice": {"a": "1,b=2"}},
        {"name": "m", "value": 2, "slice": {"a": "1", "b": "2"}},
    ]
    assert said(metrics=slices) == {("metrics.m{a=1,b=2}", 0): 1, ("metrics.m{a=1,b=2}", 1): 2}


@given(st.text(max_size=1024))
def test_names_and_heads_fit_into_an_index(key):
    name = term_name("labels", key)
    assert len(name.encode()) <= 200
    assert name.startswith("labels")
    (term,) = terms_of(json.dumps({"labels": {"k": "x" + key.replace("\0", "")}}).encode())
    assert len(term.head) <= HEAD_LENGTH
    assert term.text.startswith(term.head)


def test_long_names_that_differ_at_the_end_differ():
    assert term_name("labels", "k" * 500 + "a") != term_name("labels", "k" * 500 + "b")


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_kept_in_one_place(name):
    field = FIELDS[name]
    in_manifest = name.startswith(("lineage.", "environment.", "feature_schema."))
    kept = [name in COLUMNS, name in _ELSEWHERE, name in _EVIDENCE, in_manifest]
    kept += [field.shape is Shape.MAP and name not in _EVIDENCE, name in {"revoked", "age"}]
    assert kept.count(True) == 1
    assert (field.kind is Kind.WORD) == bool(field.words)
