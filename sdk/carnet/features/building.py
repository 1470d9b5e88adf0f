"""Schemas from plain values.

Responsible for making a feature schema with a typed error where it breaks a rule, and for reading one from a
file: ``carnet.yaml``, a manifest, or a document that is a feature schema. Infers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from carnet.bundle.feature_schema import FeatureSchema
from carnet.documents import YamlSource, read_file
from carnet.errors import DocumentInvalidError, InvalidInputError
from carnet.signing.problems import describe, field_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_MANIFEST, _DOCUMENT = "manifest.json", "carnet.yaml"


def build_schema(
    inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]] = ()
) -> FeatureSchema:
    """Make a schema of features that are given as plain values.

    Args:
        inputs: The fields of each input.
        outputs: The fields of each output.

    Raises:
        InvalidInputError: They break a rule of schemas; ``metadata["field"]`` names the field.
    """
    try:
        return FeatureSchema.model_validate(
            {"inputs": [dict(each) for each in inputs], "outputs": [dict(each) for each in outputs]}
        )
    except ValidationError as error:
        raise InvalidInputError(
            describe(error, what="feature schema"), metadata={"field": field_of(error)}
        ) from error


def read_schema(path: Path) -> FeatureSchema:
    """Read a feature schema from a file.

    Args:
        path: A ``carnet.yaml``, a ``manifest.json``, a document with ``feature_schema`` or one with
            ``inputs`` and ``outputs``; or a folder with one of the first two.

    Returns:
        The schema; only that part of the file is looked at.

    Raises:
        FileUnreadableError: The file is missing or cannot be read.
        DocumentInvalidError: It has no feature schema, or a wrong one; the message has file, line and field.
    """
    if path.is_dir():
        path = path / (_MANIFEST if (path / _MANIFEST).exists() else _DOCUMENT)
    source = YamlSource(read_file(path, what="the feature schema"), name=path.name)
    value: Any = source.value
    within: tuple[str, ...] = ()
    if isinstance(value, dict) and "feature_schema" in value:
        value, within = value["feature_schema"], ("feature_schema",)
    if not isinstance(value, dict) or not (value.keys() & {"inputs", "outputs"}):
        raise DocumentInvalidError(
            f"{source.where(within)}: no feature schema here: write `feature_schema` with `inputs` "
            "or `outputs`",
            metadata={"field": "feature_schema"},
        )
    try:
        return FeatureSchema.model_validate(value)
    except ValidationError as error:
        place = source.where((*within, *error.errors(include_url=False)[0]["loc"]))
        raise DocumentInvalidError(
            f"{place}: {describe(error, what='feature schema')}", metadata={"field": field_of(error)}
        ) from error
