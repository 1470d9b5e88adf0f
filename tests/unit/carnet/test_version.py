"""The version is the distribution's, and importing the package is cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import carnet
from carnet.version import __version__


def test_the_version_is_the_distributions():
    assert carnet.__version__ == __version__ == version("carnet")
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab]\d+|rc\d+|\.dev\d+)?", __version__)


def test_every_public_name_is_there():
    assert all(getattr(carnet, name) is not None for name in carnet.__all__)
    assert set(carnet.__all__) <= set(dir(carnet))


def test_importing_the_package_or_the_verifier_loads_no_grpc():
    code = (
        "import sys, carnet, carnet.audit.verify, carnet.bundle.manifest; "
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('grpc', 'google')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
