"""Where a key that signs is, as documents name it: a file, or a URI at a KMS or HSM.

Responsible for the one form of that in every document (``signing_key: FILE``, or ``signing_key: {uri: …,
public_key: FILE}``) and for opening what it names, with a passphrase or PIN where one is needed. Asks nobody
by itself: whoever has a terminal hands a function in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from carnet.documents import read_file
from carnet.errors import InvalidInputError, UnauthenticatedError
from carnet.signing.fields import FrozenModel
from carnet.signing.keys import SigningKey, VerificationKey, is_encrypted
from carnet.signing.passphrase import (
    PASSPHRASE_FILE_VARIABLE,
    AskPassphrase,
    Passphrase,
    read_passphrase_file,
)
from carnet.signing.service_key import ServiceKey, service_of

if TYPE_CHECKING:
    from pathlib import Path

TRIES = 3


@dataclass(frozen=True, slots=True)
class KeyReference:
    """Where a key is.

    Attributes:
        file: The private key's file; None for a key at a service.
        uri: The key at a service; empty for a key in a file.
        public_key: The file of its public key; None for a key in a file.
    """

    file: Path | None = None
    uri: str = ""
    public_key: Path | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a key: a file that is there, or a URI."""
        return bool(self.uri) or (self.file is not None and self.file.exists())

    def open(self, ask: AskPassphrase | None = None) -> SigningKey:
        """Make the key ready to sign.

        A passphrase is asked for up to three times; an HSM's PIN once, since it counts mistakes.

        Args:
            ask: Asks a person; None to take what ``CARNET_KEY_PASSPHRASE_FILE`` says.

        Raises:
            FileUnreadableError: A file is missing or cannot be read.
            InvalidInputError: A file holds no key that can be used, or the URI names none.
            UnauthenticatedError: A passphrase or PIN is needed and was not given, or not rightly.
            PreconditionFailedError: The service's library is not installed.
            UnavailableError: The service does not answer.
        """
        if self.file is not None:
            return _open_file(self.file, ask)
        assert self.public_key is not None
        public = _read_public_key(self.public_key)
        pin = None
        if service_of(self.uri).has_pin:
            what = f"PIN of {self.uri}"
            pin = Passphrase(ask(what, 1), typed=True) if ask else _from_file(what)
        return ServiceKey.connect(self.uri, public, pin=pin)

    def __str__(self) -> str:
        """Return the file or the URI."""
        return self.uri or str(self.file)


def _file_alone(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


class _KeyForm(FrozenModel):
    """A key in a document; paths are relative to it."""

    file: Annotated[str, Field(min_length=1)] | None = None
    uri: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    public_key: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.file is None) == (self.uri is None):
            raise ValueError("names a key: a file, or a mapping with uri and public_key")
        if self.uri is None:
            if self.public_key is not None:
                raise ValueError("public_key belongs to a uri: a file has its public key in it")
            return self
        if self.public_key is None:
            raise ValueError("a uri needs public_key beside it: the file of its public key, in PEM")
        try:
            service_of(self.uri)
        except InvalidInputError as error:
            raise ValueError(error.message) from error
        return self

    def below(self, folder: Path) -> KeyReference:
        """Return where the key is, for a document in a folder."""
        return KeyReference(
            file=folder / self.file if self.file is not None else None,
            uri=self.uri or "",
            public_key=folder / self.public_key if self.public_key is not None else None,
        )


KeyDocument = Annotated[_KeyForm, BeforeValidator(_file_alone)]


def _open_file(path: Path, ask: AskPassphrase | None) -> SigningKey:
    pem = read_file(path, what="the private key")
    if not is_encrypted(pem):
        return SigningKey.load(path)
    what = f"passphrase of {path}"
    if ask is None:
        return SigningKey.load(path, passphrase=_from_file(what))
    for attempt in range(1, TRIES + 1):
        try:
            return SigningKey.load(path, passphrase=Passphrase(ask(what, attempt), typed=True))
        except UnauthenticatedError:
            if attempt == TRIES:
                break
    raise UnauthenticatedError(
        f"{path}: none of {TRIES} passphrases is that of the private key: nothing was signed"
    )


def _from_file(what: str) -> Passphrase:
    found = read_passphrase_file()
    if found is None:
        raise UnauthenticatedError(
            f"the {what} is needed, and nobody can be asked here: name a file that has it with "
            f"{PASSPHRASE_FILE_VARIABLE}"
        )
    return found


def _read_public_key(path: Path) -> VerificationKey:
    pem = read_file(path, what="the public key")
    try:
        return VerificationKey.from_pem(pem)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error.message}") from error
