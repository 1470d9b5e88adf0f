"""``carnet.yaml``: what a publisher writes about a version.

Responsible for its schema: the fields of the manifest that people know, with the path and role of each file.
Names, digests and sizes are not in it; they come with the push. Every problem is reported at once, with file,
line, column and field. Does not read the files that it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from carnet.bundle.metadata import BundlePath, Metadata, Role, paths_fit_together
from carnet.documents import YamlSource, read_file, validate_document
from carnet.signing.fields import FrozenModel, Many, VersionNumber, problem

if TYPE_CHECKING:
    from pathlib import Path


class FileEntry(FrozenModel):
    """A file to put into the bundle: its path below the folder that is pushed, and what it is for."""

    path: BundlePath
    role: Role


def _listed(files: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
    _fit_together([file.path for file in files])
    return files


def _mapped(files: dict[str, Role]) -> dict[str, Role]:
    _fit_together(list(files))
    return files


def _fit_together(paths: list[str]) -> None:
    if not paths:
        raise problem("should name one file at least")
    paths_fit_together(paths)


class BundleDocument(Metadata):
    """A parsed ``carnet.yaml``.

    Attributes:
        files: Every file of the bundle, in the order written.
        version: The number that the version is to have; absent for the next free one.
    """

    files: Annotated[Many[FileEntry], AfterValidator(_listed)]
    version: VersionNumber | None = None


class _MappedDocument(Metadata):
    """The same with ``files`` in short form: a mapping from path to role."""

    files: Annotated[dict[BundlePath, Role], AfterValidator(_mapped)]
    version: VersionNumber | None = None


def parse_document(data: bytes, *, name: str = "carnet.yaml") -> BundleDocument:
    """Parse a bundle's document.

    Args:
        data: The YAML text, at most 1 MiB.
        name: What to call it in messages.

    Returns:
        The document.

    Raises:
        DocumentInvalidError: It is not YAML, or breaks the schema; the message has a line for each problem,
            which begins with ``name:line:column:`` and names the field.
    """
    source = YamlSource(data, name=name)
    if not (isinstance(source.value, dict) and isinstance(source.value.get("files"), dict)):
        return validate_document(source, BundleDocument)
    short = validate_document(source, _MappedDocument)
    files = tuple(FileEntry(path=path, role=role) for path, role in short.files.items())
    return BundleDocument(**{**dict(short), "files": files})


def read_document(path: Path) -> BundleDocument:
    """Read a bundle's document from a file; see ``parse_document``.

    Raises:
        FileUnreadableError: The file is missing or cannot be read.
        DocumentInvalidError: It is not a valid document.
    """
    return parse_document(read_file(path, what="the bundle's document"), name=path.name)
