from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies.document import load_policy

HEAD = "schema: carnet.policy/v1\nenvironment: dev\nversion: 1\npublishing: true\n"
PURGE = "retention:\n  purge: "


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("retention: {}\n", "5:1: retention", "says nothing: name archive, purge or erase"),
        ("retention: {archive: {}}\n", "5:13: retention.archive.older_than", "required, and missing"),
        (
            "retention: {archive: {older_than: 90}}\n",
            "5:23: retention.archive.older_than",
            "90 is not a duration",
        ),
        (
            "retention: {archive: {older_than: 4000d}}\n",
            "5:23: retention.archive.older_than",
            "longer than 3650d",
        ),
        ("retention: {keep_last: 5}\n", "5:13: retention.keep_last", "known here: archive, erase, purge"),
        (PURGE + "{keep_last: -1}\n", "6:11: retention.purge.keep_last", "greater than or equal to 0"),
        (PURGE + "{keep_last: 1.5}\n", "6:11: retention.purge.keep_last", "valid integer"),
        (PURGE + "{keep_last: .nan}\n", "6:11: retention.purge.keep_last", "it is nan"),
        (PURGE + "{grace: 0s}\n", "6:11: retention.purge.grace", "'0s' is not a duration"),
        (
            PURGE + "{archived_for: 90d, min_age: 30d}\n",
            "6:30: retention.purge.min_age",
            "never matters: what was archived 90d ago arrived before that",
        ),
        (
            "quotas: [{namespaces: [], storage: 1GiB}]\n",
            "5:11: quotas[0].namespaces",
            "at least one is needed",
        ),
        ("quotas: [{namespaces: [A], storage: 1GiB}]\n", "5:24: quotas[0].namespaces[0]", "is no namespace"),
        ("quotas: [{namespaces: [a]}]\n", "5:10: quotas[0].storage", "required, and missing"),
        (
            "quotas: [{namespaces: [a], storage: 5GB}]\n",
            "5:28: quotas[0].storage",
            "'5GB' is not a size: write a whole number and a unit, such as 500GiB",
        ),
        ("quotas: [{namespaces: [a], storage: 0GiB}]\n", "5:28: quotas[0].storage", "'0GiB' is not a size"),
        ("quotas: [{namespaces: [a], storage: .inf}]\n", "5:28: quotas[0].storage", "inf is not a size"),
        ("quotas: [{namespaces: [a], storage: 5000}]\n", "5:28: quotas[0].storage", "5000 is not a size"),
        (
            "quotas:\n  - {namespaces: ['*'], storage: 1GiB}\n  - {namespaces: [ml-a], storage: 2GiB}\n",
            "7:19: quotas[1].namespaces[0]",
            "'ml-a' never matters: '*' in quotas[0] fits all of it, and the first counts",
        ),
        (
            "quotas:\n  - {namespaces: [a, ml-*], storage: 1GiB}\n  - {namespaces: [b, ml-x-*], storage: 2GiB}\n",
            "7:22: quotas[1].namespaces[1]",
            "'ml-x-*' never matters: 'ml-*' in quotas[0]",
        ),
        (
            "quotas: [{namespaces: [a, a], storage: 1GiB}]\n",
            "5:27: quotas[0].namespaces[1]",
            "'a' never matters: 'a' in this one",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, place: str, says: str) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        load_policy((HEAD + text).encode(), name="p.yaml")
    (problem,) = caught.value.message.splitlines()
    assert problem.startswith(f"p.yaml:{place}: "), problem
    assert says in problem


@pytest.mark.parametrize(
    "text",
    [
        "retention: {archive: {older_than: 30d, unused_for: 90d}}\n",
        PURGE + "{archived_for: 400d}\n",
        PURGE + "{archived_for: 90d, min_age: 90d, keep_last: 0}\n",
        "quotas:\n  - {namespaces: [ml-a], storage: 2GiB}\n  - {namespaces: ['*'], storage: 1GiB}\n",
        "quotas:\n  - {namespaces: [ml-*], storage: 2GiB}\n  - {namespaces: ['*-eu'], storage: 1GiB}\n",
    ],
)
def test_what_can_matter_is_no_mistake(text: str) -> None:
    load_policy((HEAD + text).encode(), name="p.yaml")


def test_what_is_left_out_has_its_defaults() -> None:
    text = "retention: {archive: {older_than: 90d}, purge: {}}\nquotas: [{namespaces: [a], storage: 3MiB}]\n"
    document = load_policy((HEAD + text).encode()).document
    assert document.retention is not None
    archive, purge = document.retention.archive, document.retention.purge
    assert archive is not None
    assert purge is not None
    assert (archive.older_than, archive.unused_for) == (timedelta(days=90), timedelta(days=30))
    assert (purge.keep_last, purge.grace) == (5, timedelta(days=1))
    assert (purge.archived_for, purge.min_age) == (timedelta(days=90), timedelta(days=365))
    assert document.quotas[0].storage == 3 << 20
