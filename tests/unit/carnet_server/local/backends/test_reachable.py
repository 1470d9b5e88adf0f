"""Programs that an account cannot reach are copied once to where only root may change them."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from carnet.errors import InvalidInputError
from carnet_server.local.backends import reachable as module
from carnet_server.local.backends.account import Account
from carnet_server.local.backends.programs import postgres_program
from carnet_server.local.backends.reachable import reachable_programs

INSTALLED = postgres_program("postgres").resolve().parent


class Stranger(Account):
    """May go nowhere but to one place."""

    place = None

    def may_enter(self, folder):
        return folder == self.place


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PLACES", (str(tmp_path / "none"), str(tmp_path)))
    monkeypatch.setattr(Stranger, "place", tmp_path)
    return Stranger("stranger", os.getuid() + 54321, os.getgid() + 54321)


def test_who_can_reach_them_runs_them_where_they_are(tmp_path, monkeypatch, stranger):
    monkeypatch.setattr(Stranger, "place", INSTALLED)
    for account in (None, stranger):
        assert reachable_programs(INSTALLED / "initdb", account) == INSTALLED
    assert not list(tmp_path.iterdir())


def test_who_cannot_runs_a_copy_that_works_and_is_made_once(tmp_path, stranger):
    programs = reachable_programs(INSTALLED / "initdb", stranger)
    assert programs.is_relative_to(tmp_path)
    for name in module.PROGRAMS:
        done = subprocess.run([programs / name, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{name} (PostgreSQL) ")
    assert reachable_programs(INSTALLED / "postgres", stranger) == programs
    (copy,) = tmp_path.iterdir()
    found = [copy, *copy.rglob("*")]
    assert len(found) > 100
    for path in found:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & 0o022, path
        assert mode & 0o555 == 0o555 if path.is_dir() else mode & 0o444 == 0o444, path


def test_a_copy_that_others_could_have_changed_is_refused(tmp_path, stranger):
    reachable_programs(INSTALLED / "initdb", stranger)
    (copy,) = tmp_path.iterdir()
    copy.chmod(0o775)
    with pytest.raises(InvalidInputError, match="could have been changed by others: remove it"):
        reachable_programs(INSTALLED / "initdb", stranger)


def test_a_machine_without_such_a_place_is_refused(tmp_path, monkeypatch, stranger):
    monkeypatch.setattr(module, "_PLACES", (str(tmp_path / "none"),))
    with pytest.raises(InvalidInputError, match=r"lies where stranger may not go.*run as another user"):
        reachable_programs(INSTALLED / "initdb", stranger)
