"""A schema from an MLflow model signature.

Responsible for the JSON of a signature's inputs and outputs, and for the ``MLmodel`` file that has it. MLflow
is not imported, and the model beside the file is not touched.

Source: MLflow, "Model Signatures", the column-based and the tensor-based form.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from carnet.documents import YamlSource, read_file
from carnet.errors import DocumentInvalidError, InvalidInputError
from carnet.features.building import build_schema

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.bundle.feature_schema import FeatureSchema

_COLUMN_TYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "binary": "bytes",
    "datetime": "timestamp",
}
_TENSOR_TYPES = {"str": "string", "object": "string", "bytes": "bytes"}


def infer_from_mlflow(path: Path) -> FeatureSchema:
    """Read the signature in an ``MLmodel`` file.

    Args:
        path: The file, or the folder that it is in.

    Raises:
        FileUnreadableError: It is missing or cannot be read.
        DocumentInvalidError: It is no such file, or has no signature.
        InvalidInputError: The signature has a type that no feature has; ``metadata["field"]`` names it.
    """
    if path.is_dir():
        path = path / "MLmodel"
    value = YamlSource(read_file(path, what="the MLmodel file"), name=path.name).value
    signature = value.get("signature") if isinstance(value, dict) else None
    if not isinstance(signature, dict):
        raise DocumentInvalidError(
            f"{path.name}: has no signature: log the model with one", metadata={"field": "signature"}
        )
    return infer_from_signature(signature.get("inputs"), signature.get("outputs"))


def infer_from_signature(inputs: Any, outputs: Any = None) -> FeatureSchema:
    """Make a schema of a signature's inputs and outputs.

    Args:
        inputs: The JSON text, or the list that it stands for; None where there are none.
        outputs: The same of the outputs.

    Raises:
        DocumentInvalidError: It is not JSON, or not the form of a signature.
        InvalidInputError: It has a type that no feature has; ``metadata["field"]`` names it.
    """
    return build_schema(_side(inputs, "inputs"), _side(outputs, "outputs"))


def _side(given: Any, side: str) -> list[dict[str, Any]]:
    if given is None:
        return []
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise _wrong(side, f"is not JSON: {error}") from error
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise _wrong(side, "is not a list of columns")
    return [_feature(each, side, place) for place, each in enumerate(given)]


def _feature(given: dict[str, Any], side: str, place: int) -> dict[str, Any]:
    name = given.get("name") or (side.removesuffix("s") if given.get("type") == "tensor" else f"{place}")
    field = f"{side}[{place}]"
    if given.get("type") == "tensor":
        return {"name": name, **_tensor(given.get("tensor-spec"), field)}
    found = _type(given, field)
    required = given.get("required", True)
    return {"name": name, "nullable": not required or bool(given.get("optional")), **found}


def _tensor(spec: Any, field: str) -> dict[str, Any]:
    if not isinstance(spec, dict) or not isinstance(spec.get("shape"), list):
        raise _wrong(field, "is a tensor without dtype and shape")
    dtype, shape = str(spec.get("dtype")), spec["shape"]
    # The first dimension is the batch where it is open; a feature's shape is that of one row.
    shape = shape[1:] if shape[:1] == [-1] else shape
    return {"type": _TENSOR_TYPES.get(dtype, dtype), "shape": shape}


def _type(given: dict[str, Any], field: str) -> dict[str, Any]:
    kind = given.get("type")
    if kind == "array" and isinstance(given.get("items"), dict):
        inner = _type(given["items"], field)
        return {**inner, "shape": [-1, *inner.get("shape", ())]}
    if not isinstance(kind, str) or kind not in _COLUMN_TYPES:
        raise InvalidInputError(
            f"{field}: the type {str(kind)[:60]!r} is none that a feature has; "
            f"there are {', '.join(_COLUMN_TYPES)}, arrays of them, and tensors",
            metadata={"field": field},
        )
    return {"type": _COLUMN_TYPES[kind]}


def _wrong(field: str, what: str) -> DocumentInvalidError:
    return DocumentInvalidError(f"the signature's {field} {what}", metadata={"field": field})
