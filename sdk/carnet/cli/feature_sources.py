"""Where a command's feature schema comes from.

Responsible for the argument ``REF|FILE``: a file or folder that is there, or else a version in a registry,
resolved and verified.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from carnet.errors import FileUnreadableError, InvalidInputError

if TYPE_CHECKING:
    from carnet.bundle.feature_schema import Feature, FeatureSchema
    from carnet.cli.settings import Settings

_SUFFIXES = (".yaml", ".yml", ".json")


def find_schema(settings: Settings, source: str) -> FeatureSchema:
    """Return the feature schema that an argument names.

    Raises:
        FileUnreadableError: It is the name of a file that is not there.
        DocumentInvalidError: The file has no feature schema, or a wrong one.
        CarnetError: The version cannot be resolved; the class says why.
    """
    from carnet.features.building import read_schema  # noqa: PLC0415  a quick `--help` needs none of it

    path = Path(source)
    if path.exists():
        return read_schema(path)
    if source.endswith(_SUFFIXES) or source.startswith((".", "/")):
        raise FileUnreadableError(f"the feature schema {source} is not there")
    with settings.client() as client:
        found: FeatureSchema = client.resolve(source).manifest.feature_schema
    return found


def features_of(schema: FeatureSchema, source: str, *, outputs: bool) -> tuple[Feature, ...]:
    """Return one side of a schema.

    Raises:
        InvalidInputError: It has no features there.
    """
    features = schema.outputs if outputs else schema.inputs
    if not features:
        side = "outputs" if outputs else "inputs"
        raise InvalidInputError(
            f"{source} has no {side} in its feature schema, so nothing can be checked",
            metadata={"field": f"feature_schema.{side}"},
        )
    return features
