"""Programs are found in their packages, and a missing package is named with what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from carnet.errors import InvalidInputError
from carnet_server.local.backends.programs import postgres_program, rclone_program
from carnet_server.local.initialise import initialise
from carnet_server.local.stores import Stores


def no_packages(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


@pytest.mark.parametrize("name", ["initdb", "postgres", "pg_dump", "psql"])
def test_every_program_of_postgresql_that_is_used_is_there(name):
    assert os.access(postgres_program(name), os.X_OK)


def test_rclone_is_there():
    assert os.access(rclone_program(), os.X_OK)


def test_a_program_that_the_package_lacks_is_named():
    with pytest.raises(InvalidInputError, match="PostgreSQL's pg_nothing is not installed"):
        postgres_program("pg_nothing")


@pytest.mark.parametrize(
    ("stores", "program"), [(Stores(database="postgres"), "PostgreSQL"), (Stores(blobs="s3"), "rclone")]
)
def test_without_the_packages_nothing_is_made(tmp_path, monkeypatch, stores, program):
    no_packages(monkeypatch)
    with pytest.raises(InvalidInputError, match=rf"{program}.* pip install 'carnet\[backends\]'"):
        initialise(tmp_path / "carnet", base_port=0, stores=stores)
    assert not list(tmp_path.iterdir())


def test_the_defaults_need_none_of_it(tmp_path, monkeypatch):
    no_packages(monkeypatch)
    initialise(tmp_path / "carnet", base_port=0)
    assert not (tmp_path / "carnet" / "backends").exists()


def test_the_defaults_load_none_of_it(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from carnet_server.local import commands, health\n"
        "from carnet_server.local.initialise import initialise\n"
        "initialise(Path(sys.argv[1]), base_port=0)\n"
        "print([name for name in sys.modules if name.startswith(('carnet_server.local.backends', 'psycopg', 'obstore'))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "carnet")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
