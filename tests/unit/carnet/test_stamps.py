"""Whatever bytes a stamp has, it is read or refused; and a folder has one name whatever its path is written like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import CarnetError, IntegrityError
from carnet.stamps.folder import LIST_NAME, folder_of, read_folder
from carnet.stamps.stamp import read_stamp


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"c2sp.org/tlog-proof@v1\n" + data))
def test_no_bytes_make_reading_a_stamp_fail_in_another_way(data):
    with pytest.raises(IntegrityError):
        read_stamp(data)


@given(st.binary(max_size=300))
def test_no_list_makes_reading_a_folder_fail_in_another_way(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("stamps")
    (folder / LIST_NAME).write_bytes(data)
    (folder / "index.json").write_bytes(data)
    with pytest.raises(CarnetError):
        read_folder(folder)


def test_the_folder_is_beside_the_bundle_however_its_path_is_written(tmp_path, monkeypatch):
    (tmp_path / "fraud").mkdir()
    monkeypatch.chdir(tmp_path / "fraud")
    beside = tmp_path / "fraud.carnet"
    for path in (Path(), Path("../fraud"), tmp_path / "fraud", Path("../fraud/.")):
        assert folder_of(path).resolve() == beside, path
