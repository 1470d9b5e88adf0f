"""From a version of a folder registry to the document of a bundle.

Responsible for where each fact goes. Artifacts become files under roles of their names; metrics get the
direction that the document gives; tags become labels; what the folder registry itself recorded (name, time
of registration, status, pointer) becomes labels that begin with ``import_``. The status and the pointer go on
changing there, so that they do not count when two contents are compared.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast, get_args

from pydantic import ValidationError

from carnet.bundle.document import BundleDocument, FileEntry
from carnet.bundle.lineage import Code
from carnet.bundle.metadata import Metric, Role
from carnet.errors import DocumentInvalidError
from carnet.importing.document import LABEL_PREFIX, ImportDocument
from carnet.signing.problems import describe, field_of
from carnet.signing.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.bundle.manifest import Manifest
    from carnet.importing.layout import FolderStore, FolderVersion

VERSION_LABEL = "import_version"
TIME_LABEL = "import_registered_at"
STATUS_LABEL = "import_status"
POINTER_LABEL = "import_pointer"
_LASTING = frozenset({VERSION_LABEL, TIME_LABEL})
_COMMIT_TAG = "git_commit"


def check_directions(versions: Iterable[FolderVersion], document: ImportDocument) -> None:
    """Insist that the document says of every metric which way is better.

    Raises:
        DocumentInvalidError: It does not; the message names all of them.
    """
    names = {name for version in versions for name in version.manifest.metrics}
    missing = sorted(names - document.metric_directions.keys())
    if missing:
        raise DocumentInvalidError(
            f"metric_directions: {', '.join(missing)}: a folder registry does not say which way a metric is "
            "better; write higher_is_better or lower_is_better for each into the document",
            metadata={"field": "metric_directions", "missing": ",".join(missing)},
        )


def bundle_document(store: FolderStore, version: FolderVersion, document: ImportDocument) -> BundleDocument:
    """Return what a version says, as the document of a bundle.

    Args:
        store: The folder registry.
        version: A version of it.
        document: What it does not say.

    Raises:
        DocumentInvalidError: Something has no form in a bundle; the message names version and field.
    """
    said: dict[str, Any] = {
        name: value for name, value in document if name not in {"metric_directions", "repository"}
    }
    try:
        said["files"] = tuple(
            FileEntry(path=path, role=_role(artifact)) for artifact, path in version.artifacts.items()
        )
        said["metrics"] = tuple(
            Metric(name=name, value=value, direction=document.metric_directions[name])
            for name, value in sorted(version.manifest.metrics.items())
        )
        said["labels"] = {**document.labels, **_tags(version), **_recorded(store, version)}
        commit = version.manifest.metadata.get(_COMMIT_TAG)
        if document.repository and commit:
            code = Code.model_validate({"repository": document.repository, "commit": commit})
            said["lineage"] = document.lineage.model_copy(update={"code": code})
        return BundleDocument(**said)
    except ValidationError as error:
        raise DocumentInvalidError(
            describe(error, what=f"{version.root}"), metadata={"field": field_of(error)}
        ) from error


def lasting_content(manifest: Manifest) -> dict[str, Any]:
    """Return what makes two imports of a version the same: all but its number, its status and the pointer."""
    value = manifest.to_json()
    labels = {
        name: text
        for name, text in manifest.labels.items()
        if not name.startswith(LABEL_PREFIX) or name in _LASTING
    }
    return {**value, "version": 0, "labels": labels}


def _role(artifact: str) -> Role:
    return cast("Role", artifact) if artifact in get_args(Role) else "other"


def _tags(version: FolderVersion) -> dict[str, str]:
    tags = {}
    for name, value in version.manifest.metadata.items():
        if name.startswith(LABEL_PREFIX):
            raise DocumentInvalidError(
                f"{version.root}: metadata.{name}: labels that begin with {LABEL_PREFIX} are what an import "
                "writes itself",
                metadata={"field": f"metadata.{name}"},
            )
        text = _text(value)
        if text:
            tags[name] = text
    return tags


def _recorded(store: FolderStore, version: FolderVersion) -> dict[str, str]:
    labels = {
        VERSION_LABEL: version.name,
        TIME_LABEL: format_time(version.manifest.registered_at),
        STATUS_LABEL: version.manifest.status,
        POINTER_LABEL: store.pointed(version.number),
    }
    further = {f"{LABEL_PREFIX}{name}": _text(value) for name, value in version.manifest.further.items()}
    return {name: text for name, text in {**further, **labels}.items() if text}


def _text(value: Any) -> str:
    """Return a tag as the text of a label: empty for what says nothing, JSON for what is no text."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
