"""PostgreSQL's programs where an account can run them that may not go where they are installed.

Root's own checkouts and virtual environments often lie below folders that only root may enter. The programs
are then copied once, with what they load, to a place that anybody may read and only root may change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from carnet_server.local.backends.account import Account

PROGRAMS = ("initdb", "postgres")
_PLACES = ("/var/tmp", "/tmp")  # noqa: S108  the copy's name and owner are checked
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def reachable_programs(program: Path, account: Account | None) -> Path:
    """Find the folder of the programs that an account is to run.

    Args:
        program: One of them, as it is installed.
        account: The account; None for whoever runs this.

    Raises:
        InvalidInputError: There is no place that the account could run them from.
        UnavailableError: They cannot be copied.
    """
    installed = program.resolve().parent
    if account is None or account.may_enter(installed):
        return installed
    for place in map(Path, _PLACES):
        if place.is_dir() and account.may_enter(place):
            return _copied(installed, place)
    raise InvalidInputError(
        f"{installed} lies where {account.name} may not go, as whom PostgreSQL would run in place of root: "
        "run as another user than root, or install it elsewhere"
    )


def _copied(installed: Path, place: Path) -> Path:
    """Copy what is installed to a place, unless that was done; returns the programs' folder there."""
    found = (installed / "postgres").stat()
    mark = hashlib.sha256(f"{installed}:{found.st_size}:{found.st_mtime_ns}".encode()).hexdigest()[:16]
    target = place / f"carnet-postgresql-{mark}"
    if not target.is_symlink() and target.exists():
        _check_untouched(target)
    else:
        try:
            _copy(installed, target)
        except OSError as error:
            raise UnavailableError(f"PostgreSQL cannot be copied to {target}: {error}") from error
    return target / installed.parent.parent.name / installed.parent.name / installed.name


def _check_untouched(target: Path) -> None:
    held = target.stat()
    if held.st_uid != os.geteuid() or held.st_mode & _OTHERS_MAY_WRITE:
        raise InvalidInputError(f"{target} could have been changed by others: remove it")


def _copy(installed: Path, target: Path) -> None:
    install = installed.parent
    package = install.parent
    making = Path(tempfile.mkdtemp(prefix="carnet-postgresql-", dir=target.parent))
    try:
        to = making / package.name / install.name
        (to / installed.name).mkdir(parents=True)
        for name in PROGRAMS:
            shutil.copy2(installed / name, to / installed.name / name)
        for name in ("lib", "share"):
            shutil.copytree(install / name, to / name, ignore=shutil.ignore_patterns("*.a"))
        # Libraries that came with the package lie beside it, and are found by their place.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, making / libraries.name)
        for path in (making, *making.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == installed.name else 0o644)
        making.rename(target)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        # Somebody else may have been quicker, and made the same.
        if not target.is_dir() or target.is_symlink():
            raise
        _check_untouched(target)
