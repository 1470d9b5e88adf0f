"""The canonical manifest: what a bundle is.

Responsible for the document whose SHA-256 is the bundle's identity: it names home, namespace, model and
version, and every file with its size and digest. Its bytes are canonical JSON (RFC 8785) in which no field
stands at its default: what is absent, empty or false is left out, and writing it is refused, so that one
manifest has one form. Does not read files, and verifies no signature.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from carnet.bundle.metadata import BundlePath, Metadata, Role, paths_fit_together
from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import DocumentInvalidError
from carnet.references import check_version_number
from carnet.signing.fields import Digest, FrozenModel, Many, Name, VersionNumber, problem
from carnet.signing.problems import describe, field_of
from carnet.signing.strict_json import MAX_SAFE_INTEGER, parse_json_object

SCHEMA: Final = "carnet.manifest/v1"
MAX_MANIFEST_BYTES = 1 << 20


class File(FrozenModel):
    """One file of a bundle: its path, what it is for, its size, and the SHA-256 of its bytes."""

    path: BundlePath
    role: Role
    size_bytes: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
    digest: Digest


def _in_order(files: tuple[File, ...]) -> tuple[File, ...]:
    if not files:
        raise problem("should name one file at least")
    paths = [file.path for file in files]
    paths_fit_together(paths)
    if paths != sorted(paths):
        raise problem("should be in the order of their paths")
    return files


class Manifest(Metadata):
    """A manifest.

    Attributes:
        document_schema: ``carnet.manifest/v1``; ``schema`` in JSON.
        home: The environment that gave the version its number.
        namespace: The namespace in it.
        model: The model.
        version: The version's number.
        files: Every file of the bundle, in the order of their paths.

    Raises:
        DocumentInvalidError: On construction, if a field breaks its rule; ``metadata["field"]`` names it.
    """

    document_schema: Literal["carnet.manifest/v1"] = Field(alias="schema")
    home: Name
    namespace: Name
    model: Name
    version: VersionNumber
    files: Annotated[Many[File], AfterValidator(_in_order)]

    @model_validator(mode="after")
    def _names_files_that_it_has(self) -> Self:
        through = self.feature_schema.preprocessing if self.feature_schema else None
        if through and through.path and all(file.path != through.path for file in self.files):
            named = "feature_schema.preprocessing.path"
            raise problem("{named}: {path} is no file of the bundle", named=named, path=through.path)
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _typed_errors(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            raise DocumentInvalidError(
                describe(error, what="manifest"), metadata={"field": field_of(error)}
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON object, without what stands at its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def to_bytes(self) -> bytes:
        """Return the manifest in its canonical form.

        Raises:
            InvalidInputError: A value has no canonical form.
        """
        return canonical_json(self.to_json())

    @property
    def digest(self) -> str:
        """The SHA-256 of the canonical form: the bundle's identity."""
        return sha256_hex(self.to_bytes())

    @property
    def content_digest(self) -> str:
        """The SHA-256 of the canonical form without ``version``: equal for the same content pushed again."""
        return sha256_hex(
            canonical_json({key: value for key, value in self.to_json().items() if key != "version"})
        )

    @property
    def subject_name(self) -> str:
        """The bundle's name in signed statements: ``HOME/NAMESPACE/MODEL@VERSION``."""
        return f"{self.home}/{self.namespace}/{self.model}@{self.version}"

    def with_version(self, version: int) -> Manifest:
        """Return the same manifest under another version number.

        Raises:
            ReferenceInvalidError: The number cannot number a version.
        """
        return self.model_copy(update={"version": check_version_number(version)})


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest, and insist that the bytes are its canonical form.

    Args:
        data: The bytes as received.

    Returns:
        The manifest; its ``to_bytes()`` are the bytes given.

    Raises:
        DocumentInvalidError: The bytes are more than 1 MiB, are not JSON, break the schema, or are not the
            canonical form; ``metadata["field"]`` names the field where there is one.
    """
    value = parse_json_object(
        data, what="the manifest", max_bytes=MAX_MANIFEST_BYTES, error=DocumentInvalidError
    )
    manifest = Manifest.model_validate(value, by_alias=True, by_name=False)
    if manifest.to_bytes() != data:
        raise DocumentInvalidError(
            "the manifest is not in its canonical form: RFC 8785, without fields that are empty or false"
        )
    return manifest
