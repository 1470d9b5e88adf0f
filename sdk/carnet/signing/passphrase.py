"""The passphrase of a key: how it is handed over, and where a script keeps it.

Responsible for keeping it out of sight: it is no part of a command line, of a variable's value, of a log or
of an error, and its holder does not show it. Does not decide who is asked: a function that asks is handed in
by whoever has a terminal.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from carnet.errors import FileUnreadableError, InvalidInputError

PASSPHRASE_FILE_VARIABLE = "CARNET_KEY_PASSPHRASE_FILE"  # noqa: S105  a variable's name
PASSPHRASE_MAX_BYTES = 1023  # the most that OpenSSL takes
# PKCS #8 as it is written here derives its key in tens of thousands of rounds: a short one can be guessed.
NEW_PASSPHRASE_MIN_LENGTH = 12

# Asks whoever sits there: told what it is the passphrase of and the number of the try, from 1.
AskPassphrase = Callable[[str, int], str]


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase; never shown by ``repr``.

    Attributes:
        text: The passphrase.
        typed: Whether a person was asked for it just now; False for one out of a file.

    Raises:
        InvalidInputError: On construction, if it is longer than 1023 bytes.
    """

    text: str = field(repr=False)
    typed: bool = False

    def __post_init__(self) -> None:
        if len(self.text.encode("utf-8", errors="surrogatepass")) > PASSPHRASE_MAX_BYTES:
            raise InvalidInputError(f"a passphrase has at most {PASSPHRASE_MAX_BYTES} bytes")

    def to_bytes(self) -> bytes:
        """Return it as a key's file takes it."""
        return self.text.encode("utf-8", errors="surrogatepass")


def check_new_passphrase(passphrase: Passphrase) -> Passphrase:
    """Return a passphrase that a new key may be given.

    Raises:
        InvalidInputError: It is too short.
    """
    if len(passphrase.text) < NEW_PASSPHRASE_MIN_LENGTH:
        raise InvalidInputError(
            f"the passphrase is too short: a new key's has {NEW_PASSPHRASE_MIN_LENGTH} characters or more; "
            "several words are easy to remember"
        )
    return passphrase


def passphrase_file_is_named() -> bool:
    """Tell whether ``CARNET_KEY_PASSPHRASE_FILE`` names a file."""
    return bool(os.environ.get(PASSPHRASE_FILE_VARIABLE))


def read_passphrase_file() -> Passphrase | None:
    """Read the passphrase that a script is given, without the end of its line.

    Returns:
        The passphrase in the file that ``CARNET_KEY_PASSPHRASE_FILE`` names; None where it names none.

    Raises:
        FileUnreadableError: The file cannot be read, is empty, or is no line of text.
    """
    name = os.environ.get(PASSPHRASE_FILE_VARIABLE)
    if not name:
        return None
    where = f"the file {name} ({PASSPHRASE_FILE_VARIABLE})"
    try:
        with Path(name).open("rb") as file:
            data = file.read(PASSPHRASE_MAX_BYTES + 3)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it has no such name"
        raise FileUnreadableError(f"{where} cannot be read: {reason}") from error
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileUnreadableError(f"{where} is not a line of text in UTF-8") from error
    if not text or "\n" in text or len(line) > PASSPHRASE_MAX_BYTES:
        raise FileUnreadableError(
            f"{where} is not a passphrase: one line of 1 to {PASSPHRASE_MAX_BYTES} bytes"
        )
    return Passphrase(text)
