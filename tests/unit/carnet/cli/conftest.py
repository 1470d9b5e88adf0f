"""The command line over a fake federation."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import pytest

from carnet.cli.main import main
from tests.unit.carnet.client.fake_federation import FakeFederation


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("CARNET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def federation(tmp_path):
    federation = FakeFederation(tmp_path / "federation")
    yield federation
    federation.stop()


@pytest.fixture
def fraud(federation, tmp_path):
    """The manifest of ``dev/risk/fraud@1``, which is published."""
    return federation.publish(tmp_path)


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one object on stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


@pytest.fixture
def run(capsys):
    """Run ``carnet`` in this process; without a federation's folder unless the arguments name one."""

    def run(*arguments):
        code = main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return Ran(int(code), captured.out, captured.err)

    return run


@pytest.fixture
def carnet(run, federation):
    """Run ``carnet`` in the fake federation."""
    return lambda *arguments: run("--dir", federation.folder, *arguments)
