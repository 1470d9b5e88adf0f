"""Names that are one, names that others do not take, and storage near its quota."""

from __future__ import annotations

import pytest

from carnet.references import ResourceName
from carnet_policies.schema_retention import QuotaTerms
from carnet_server.retention.hygiene_rules import (
    NamespaceStorage,
    judge_alias_names,
    judge_names,
    judge_storage,
)
from carnet_server.retention.quotas import quota_of, size_text


def names(*models, namespace="risk"):
    return [
        (each.subject.rsplit("/", 1)[1], [other.rsplit("/", 1)[1] for other in each.related])
        for each in judge_names((namespace, model) for model in models)
    ]


@pytest.mark.parametrize(
    ("models", "found"),
    [
        (("fraud", "churn"), []),
        (("fraud", "fraud2"), [("fraud", ["fraud2"])]),
        (("card-fraud", "cardfraud"), [("card-fraud", ["cardfraud"])]),
        (("fraud-2", "fraud-10", "fraud-eu"), [("fraud-10", ["fraud-2"])]),
        (("card_fraud",), [("card_fraud", [])]),
        (("card-fraud", "card_fraud"), [("card-fraud", ["card_fraud"]), ("card_fraud", [])]),
    ],
)
def test_names_that_are_one_but_for_separators_or_a_number_are_found_together(models, found):
    assert names(*models) == found


def test_names_in_different_namespaces_have_nothing_to_do_with_each_other():
    assert list(judge_names([("risk", "fraud"), ("sales", "fraud2")])) == []


def test_only_twenty_others_are_named():
    (found,) = judge_names(("risk", f"fraud{number}") for number in range(40))
    assert len(found.related) == 20


@pytest.mark.parametrize(
    ("alias", "odd"), [("latest", True), ("v1", True), ("v10", True), ("vip", False), ("champion", False)]
)
def test_aliases_that_mlflow_keeps_for_itself_are_told(alias, odd):
    assert bool(list(judge_alias_names([ResourceName("risk", "fraud", alias=alias)]))) == odd


@pytest.mark.parametrize(("stored", "told"), [(79, False), (80, True), (100, True), (130, True)])
def test_storage_is_told_from_four_fifths_of_the_quota(stored, told):
    storage = [NamespaceStorage("risk", stored, 1, 1, 1, 100), NamespaceStorage("sales", stored, 1, 1, 1, 0)]
    found = list(judge_storage(storage))
    assert [each.subject for each in found] == ["namespaces/risk"] * told


def test_the_first_entry_that_fits_is_the_quota():
    terms = [
        QuotaTerms.model_validate({"namespaces": ("risk", "medical-*"), "storage": "1KiB"}),
        QuotaTerms.model_validate({"namespaces": ("*",), "storage": "2MiB"}),
    ]
    assert [quota_of(terms, each) for each in ("risk", "medical-eu", "sales")] == [1024, 1024, 2 << 20]
    assert quota_of(terms[:1], "sales") is None


def test_sizes_are_told_in_a_unit_that_fits():
    assert [size_text(each) for each in (0, 1023, 1024, 3 << 19, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 MiB",
        "5.0 TiB",
    ]
