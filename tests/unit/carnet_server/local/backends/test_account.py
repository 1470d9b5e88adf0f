"""PostgreSQL never runs as root, and is reached wherever its folder lies."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from carnet.errors import InvalidInputError
from carnet_server.local.backends import account as module
from carnet_server.local.backends.account import Account, reached, unprivileged_account

STRANGER = Account("stranger", os.getuid() + 54321, os.getgid() + 54321)


@pytest.fixture
def hidden(tmp_path):
    """A folder that anybody may enter, below one that only its owner may."""
    tmp_path.chmod(0o700)
    folder = tmp_path / "server"
    folder.mkdir(mode=0o755)
    return folder


def test_whoever_is_not_root_stays_who_they_are(monkeypatch, hidden):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged_account() is None
    with reached(hidden, None) as place:
        assert (place.path, place.descriptor, place.popen) == (str(hidden), None, {"pass_fds": ()})


def test_root_runs_it_as_an_account_that_is_not_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = unprivileged_account()
    assert found is not None
    assert found.uid != 0
    assert found.name in ("postgres", "nobody")


def test_a_machine_without_such_an_account_is_refused(monkeypatch):
    def nobody(name):
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    with pytest.raises(InvalidInputError, match="no account postgres or nobody: run as another user"):
        unprivileged_account()


@pytest.mark.parametrize(
    ("mode", "may"), [(0o755, True), (0o711, True), (0o750, False), (0o700, False), (0o766, False)]
)
def test_an_account_enters_where_every_folder_above_lets_it(mode, may):
    class Folder:
        parents = ()

        def stat(self):
            return os.stat_result((0o040000 | mode, 1, 1, 1, 0, 0, 0, 0, 0, 0))

    assert STRANGER.may_enter(Folder()) is may
    assert Account("owner", 0, 77).may_enter(Folder())


def test_it_may_not_enter_below_a_closed_folder(hidden):
    assert not STRANGER.may_enter(hidden)
    assert Account("me", os.getuid(), os.getgid()).may_enter(hidden) is all(
        each.stat().st_mode & 0o001 or each.stat().st_uid == os.getuid() for each in hidden.parents
    )


def test_a_folder_that_can_be_reached_in_no_way_is_refused(hidden, monkeypatch):
    monkeypatch.setattr(module, "_DESCRIPTORS", hidden / "none")
    with (
        pytest.raises(InvalidInputError, match=r"server lies where stranger may not go.*another folder"),
        reached(hidden, STRANGER),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs root, on Linux")
def test_roots_folder_is_reached_past_its_parents(hidden):
    account = unprivileged_account()
    (hidden / "word").write_text("here")
    with reached(hidden, account) as place:
        command = ["/bin/sh", "-c", f"id -u; cat {place.path}/word; cat {hidden}/word"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **place.popen)
    assert done.stdout == f"{account.uid}\nhere"
    assert "Permission denied" in done.stderr
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # another thread's, closed meanwhile
            assert each.readlink() != hidden
