"""Names of promotions, and the fencing epoch."""

from __future__ import annotations

import pytest

from carnet.errors import ReferenceInvalidError, StaleEpochError
from carnet_server.admission.domain import parse_admission_name
from tests.unit.carnet_server.admission.admissions import an_admission


def test_the_name_of_an_admission_holds_the_promotion():
    assert parse_admission_name("admissions/" + "0af" + "1" * 29) == "0af" + "1" * 29


@pytest.mark.parametrize(
    "name",
    [
        "",
        "admissions/",
        "1" * 32,
        "admissions/" + "1" * 31,
        "admissions/" + "G" * 32,
        "admissions/x/" + "1" * 32,
    ],
)
def test_another_name_is_refused(name):
    with pytest.raises(ReferenceInvalidError):
        parse_admission_name(name)


@pytest.mark.parametrize(("epoch", "stale"), [(4, True), (5, False), (6, False)])
def test_a_worker_whose_epoch_is_over_is_fenced_off(epoch, stale):
    admission = an_admission(epoch=5)
    if stale:
        with pytest.raises(StaleEpochError):
            admission.check_epoch(epoch)
    else:
        admission.check_epoch(epoch)


def test_an_entry_names_the_alias_only_where_there_is_one():
    assert an_admission().subject["alias"] == "champion"
    assert "alias" not in an_admission(alias="").subject
