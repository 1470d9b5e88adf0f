"""What needs no network loads none of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import carnet


def _loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import carnet",
        "import carnet.audit, carnet.audit.verify",
        "import carnet.bundle.directory, carnet.signing.dsse, carnet.translog.receipt",
        "import carnet.attesting.statement, carnet.attesting.envelopes",
        "from carnet import CarnetError, Reference, parse_reference, Federation, PushResult",
        "from carnet.client.audit_memory import verify_offline, federation_pins",
        "from carnet.cli.application import build; import carnet.cli.audit",
        "import carnet.client.folders, carnet.stamps.verify",
    ],
)
def test_no_grpc_and_no_protobuf(code):
    loaded = _loaded_by(code)
    assert "carnet" in loaded
    assert not {"grpc", "google.protobuf"} & loaded


def test_listing_the_commands_loads_no_other_package():
    loaded = _loaded_by(
        "from carnet.cli.main import main\nimport contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()): main(['--help'])"
    )
    assert not {"grpc", "rich.console", "carnet_server", "carnet_policies", "cryptography"} & loaded


def test_every_public_name_is_there():
    for name in carnet.__all__:
        assert getattr(carnet, name) is not None
    assert set(dir(carnet)) >= set(carnet.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = carnet.nothing
