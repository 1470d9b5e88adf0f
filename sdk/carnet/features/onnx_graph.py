"""A schema from an ONNX model.

Responsible for the names, types and shapes of a graph's inputs and outputs. The file is mapped and only those
are read, whatever the size of the weights; nothing of it is run, and the package onnx is not needed.

Source: ``onnx.proto`` of ONNX, IR version 3 and later, for the numbers of fields and types.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from carnet.errors import FileUnreadableError, InvalidInputError
from carnet.features.building import build_schema
from carnet.features.protobuf_wire import integer, message, messages, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from carnet.bundle.feature_schema import FeatureSchema

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE_INITIALIZER = 5, 11, 12, 15
_TENSOR_NAME, _SPARSE_VALUES = 8, 1
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2
_SHAPE_DIMENSION, _DIMENSION_VALUE = 1, 1
_ELEMENTS = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}


def infer_from_onnx(path: Path) -> FeatureSchema:
    """Read the inputs and outputs of an ONNX model.

    A first dimension that is open is the batch, and no part of a feature's shape; a single element a row is a
    scalar.

    Args:
        path: The ``.onnx`` file.

    Returns:
        The schema, without ranges.

    Raises:
        FileUnreadableError: The file is missing or cannot be read.
        InvalidInputError: It is no ONNX model, or an input or output is no tensor of a type that features
            have; ``metadata["field"]`` names it.
    """
    try:
        with path.open("rb") as file:
            # Not closed by hand: an error that is under way may still hold a part of it.
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise FileUnreadableError(f"the model {path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise InvalidInputError(f"{path.name} is empty, and no ONNX model") from error
    return _schema(view, path.name)


def _schema(view: memoryview, name: str) -> FeatureSchema:
    graph = message(view, _MODEL_GRAPH)
    if graph is None:
        raise InvalidInputError(f"{name} is no ONNX model: it has no graph", metadata={"field": "graph"})
    # Before IR version 4 weights are listed among the inputs.
    weights = {text(each, _TENSOR_NAME) for each in messages(graph, _GRAPH_INITIALIZER)}
    for sparse in messages(graph, _GRAPH_SPARSE_INITIALIZER):
        values = message(sparse, _SPARSE_VALUES)
        weights |= {text(values, _TENSOR_NAME)} if values else set()
    inputs = [each for each in _features(graph, _GRAPH_INPUT) if each["name"] not in weights]
    outputs = list(_features(graph, _GRAPH_OUTPUT))
    if not inputs and not outputs:
        raise InvalidInputError(
            f"{name} is no ONNX model: its graph has neither inputs nor outputs", metadata={"field": "graph"}
        )
    return build_schema(inputs, outputs)


def _features(graph: memoryview, number: int) -> Iterator[dict[str, Any]]:
    for value in messages(graph, number):
        name = text(value, _VALUE_NAME)
        kind = message(value, _VALUE_TYPE)
        tensor = message(kind, _TYPE_TENSOR) if kind is not None else None
        if tensor is None:
            raise InvalidInputError(
                f"{name}: is no tensor, and a feature can be no sequence or map; export the model without "
                "them (for a classifier of scikit-learn: zipmap=False)",
                metadata={"field": name},
            )
        element = integer(tensor, _TENSOR_ELEMENT)
        if element not in _ELEMENTS:
            raise InvalidInputError(
                f"{name}: the element type {element} is none that a feature has", metadata={"field": name}
            )
        yield {"name": name, "type": _ELEMENTS[element], "shape": _shape(tensor)}


def _shape(tensor: memoryview) -> list[int]:
    shape = message(tensor, _TENSOR_SHAPE)
    if shape is None:
        return []
    sizes = []
    for dimension in messages(shape, _SHAPE_DIMENSION):
        size = integer(dimension, _DIMENSION_VALUE)
        sizes.append(size if size is not None and size > 0 else -1)
    row = sizes[1:] if sizes[:1] == [-1] else sizes
    return [] if row == [1] else row
