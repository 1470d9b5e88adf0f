"""What a folder registry does not say, and a bundle must: written once, for all of its versions.

Responsible for the schema of that document: the fields of ``carnet.yaml`` that are the same for every
version, the direction of each metric, and the repository that commits are of. Metrics, files and numbers come
from the folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from carnet.bundle.metadata import Direction, Metadata
from carnet.documents import YamlSource, read_file, validate_document
from carnet.signing.fields import Line, OptionalLine, problem

if TYPE_CHECKING:
    from pathlib import Path

# What begins the labels that an import writes itself.
LABEL_PREFIX = "import_"


class ImportDocument(Metadata):
    """A parsed document.

    Attributes:
        metric_directions: Which way each metric is better; never guessed.
        repository: The repository that a version's ``git_commit`` is of; empty to keep it as a label only.
    """

    metric_directions: dict[Line, Direction] = Field(default_factory=dict)
    repository: OptionalLine = ""

    @model_validator(mode="after")
    def _only_what_is_shared(self) -> Self:
        for name in ("metrics", "semantic_version"):
            if getattr(self, name):
                raise problem("{name} is each version's own, and not for all of them", name=name)
        own = next((name for name in self.labels if name.startswith(LABEL_PREFIX)), None)
        if own is not None:
            raise problem("labels.{name} is what an import writes itself", name=own)
        if self.repository and self.lineage.code:
            raise problem("repository and lineage.code are given: take one")
        return self


def read_import_document(path: Path) -> ImportDocument:
    """Read the document.

    Raises:
        FileUnreadableError: The file is missing or cannot be read.
        DocumentInvalidError: It breaks its schema; the message names line and field of each problem.
    """
    data = read_file(path, what="the document for the import")
    return validate_document(YamlSource(data, name=path.name), ImportDocument)
