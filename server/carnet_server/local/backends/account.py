"""As whom PostgreSQL runs: it refuses root, so root runs it as an account that may do little.

That account must reach the server's folder, which may lie below folders that only root may enter, such as
``/root``. On Linux the folder is therefore opened by root and handed on as a descriptor: ``/proc/self/fd/N``
leads there past its parents. Elsewhere, such a place is refused.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ACCOUNTS = ("postgres", "nobody")
_DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True)
class Account:
    """An account of this machine.

    Attributes:
        name: Its name.
        uid: Its number.
        gid: Its group's.
    """

    name: str
    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Whether it may enter a folder and all folders above it, going by their modes."""
        for each in (folder, *folder.parents):
            found = each.stat()
            if found.st_uid == self.uid:
                needed = stat.S_IXUSR
            else:
                needed = stat.S_IXGRP if found.st_gid == self.gid else stat.S_IXOTH
            if not found.st_mode & needed:
                return False
        return True


def unprivileged_account() -> Account | None:
    """As whom to run what refuses root; None for whoever runs this.

    Raises:
        InvalidInputError: This is root, and there is no such account.
    """
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return Account(name, found.pw_uid, found.pw_gid)
    raise InvalidInputError(
        f"PostgreSQL refuses to run as root, and this machine has no account {' or '.join(_ACCOUNTS)}: "
        "run as another user than root"
    )


@dataclass(frozen=True)
class Place:
    """A folder as a program will reach it that runs as an account.

    Attributes:
        path: Its path for that program.
        descriptor: The descriptor to hand on; None where the path needs none.
        account: As whom the program runs; None for whoever runs this.
    """

    path: str
    descriptor: int | None
    account: Account | None

    @property
    def popen(self) -> dict[str, Any]:
        """What ``subprocess`` is to be told."""
        handed = () if self.descriptor is None else (self.descriptor,)
        if self.account is None:
            return {"pass_fds": handed}
        return {
            "pass_fds": handed,
            "user": self.account.uid,
            "group": self.account.gid,
            "extra_groups": (),
            "cwd": "/",
        }

    def become(self) -> None:
        """Make this very process one that runs there, as the account, for good."""
        if self.descriptor is not None:
            os.set_inheritable(self.descriptor, True)
        os.chdir("/")
        if self.account is not None:
            os.setgroups(())
            os.setgid(self.account.gid)
            os.setuid(self.account.uid)


@contextlib.contextmanager
def reached(folder: Path, account: Account | None) -> Iterator[Place]:
    """Make a folder reachable within a block.

    Args:
        folder: The folder, absolute.
        account: By whom; None for whoever runs this.

    Raises:
        InvalidInputError: The account could reach the folder in no way.
    """
    if account is None:
        yield Place(str(folder), None, None)
        return
    if account.may_enter(folder):
        yield Place(str(folder), None, account)
        return
    if not _DESCRIPTORS.is_dir():
        raise InvalidInputError(
            f"{folder} lies where {account.name} may not go, as whom PostgreSQL would run in place of root: "
            "run as another user than root, or choose another folder"
        )
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Place(str(_DESCRIPTORS / str(descriptor)), descriptor, account)
    finally:
        os.close(descriptor)
