"""The two JSON documents of a folder registry: a version's manifest, and the pointer.

Responsible for their fields. A manifest has ``version``, ``registered_at``, ``status``, ``metrics``,
``metadata``, and ``NAME_sha256`` for each artifact; what else stands in it is kept as it is.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from carnet.canonical import DIGEST_PATTERN
from carnet.errors import DocumentInvalidError, PathRefusedError
from carnet.signing.fields import ForeignTime, FrozenModel, Line
from carnet.signing.problems import describe, field_of
from carnet.signing.strict_json import parse_json_object

_SUFFIX = "_sha256"
_ARTIFACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MAX_BYTES = 1 << 20

Document = TypeVar("Document", bound=FrozenModel)


class FolderManifest(FrozenModel):
    """What a version of a folder registry says of itself.

    Attributes:
        version: Its name, such as ``v3``.
        registered_at: When it was registered there.
        status: Where it stood there.
        metrics: What was measured, by name; in which direction each is better is not said there.
        metadata: Tags of any kind.
    """

    model_config = ConfigDict(extra="allow")

    version: Line
    registered_at: ForeignTime
    status: Literal["registered", "staging", "production", "archived"]
    metrics: dict[Line, Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=dict)
    metadata: dict[Line, JsonValue] = Field(default_factory=dict)

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each artifact, by the artifact's name."""
        return {
            name.removesuffix(_SUFFIX): value for name, value in self._extra.items() if name.endswith(_SUFFIX)
        }

    @property
    def further(self) -> dict[str, Any]:
        """The fields that are none of the layout's."""
        return {name: value for name, value in self._extra.items() if not name.endswith(_SUFFIX)}

    @property
    def _extra(self) -> dict[str, Any]:
        return self.__pydantic_extra__ or {}


class Pointer(FrozenModel):
    """Which version is live, and which was before; None for none."""

    current: str | None = None
    previous: str | None = None


def parse_folder_manifest(data: bytes, *, what: str, name: str) -> FolderManifest:
    """Parse a version's manifest.

    Args:
        data: The bytes.
        what: What to call it in messages.
        name: The version that it must be about.

    Raises:
        DocumentInvalidError: It is not JSON, breaks the layout, has no checksum, or is about another version.
        PathRefusedError: A checksum is for something that is no name of a file.
    """
    manifest = _parse(data, FolderManifest, what)
    if manifest.version != name:
        raise DocumentInvalidError(
            f"{what}: version: is {manifest.version!r}, and the folder is {name}",
            metadata={"field": "version"},
        )
    if not manifest.checksums:
        raise DocumentInvalidError(
            f"{what}: has no checksums: model{_SUFFIX} is wanted, and one for each further artifact",
            metadata={"field": f"model{_SUFFIX}"},
        )
    for artifact, value in manifest.checksums.items():
        field = ascii(artifact + _SUFFIX)[1:-1]
        if not _ARTIFACT.fullmatch(artifact):
            raise PathRefusedError(f"{what}: {field}: is for no name of a file", metadata={"field": field})
        if not isinstance(value, str) or not DIGEST_PATTERN.fullmatch(value):
            raise DocumentInvalidError(
                f"{what}: {field}: should be a SHA-256 of 64 lowercase hexadecimal digits",
                metadata={"field": field},
            )
    return manifest


def parse_pointer(data: bytes, *, what: str) -> Pointer:
    """Parse the pointer; see ``parse_folder_manifest``."""
    return _parse(data, Pointer, what)


def _parse(data: bytes, form: type[Document], what: str) -> Document:
    value = parse_json_object(data, what=what, max_bytes=_MAX_BYTES, error=DocumentInvalidError)
    try:
        return form.model_validate(value)
    except ValidationError as error:
        raise DocumentInvalidError(describe(error, what=what), metadata={"field": field_of(error)}) from error
