"""A schema from a fitted scikit-learn estimator or pipeline.

Responsible for what a fitted estimator knows of itself: the names and the number of its inputs, the
categories that its encoders learned, and what it predicts. scikit-learn is not imported; attributes with its
names are asked for. What an estimator does not know (types other than categories, ranges) comes from a
sample: see ``carnet.features.inference``.

Source: the developer's guide of scikit-learn, "Universal attributes" and "Estimator types".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.errors import InvalidInputError
from carnet.features.building import build_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.bundle.feature_schema import FeatureSchema


def infer_from_estimator(estimator: Any) -> FeatureSchema:
    """Propose a schema for a fitted estimator or pipeline.

    Args:
        estimator: It; never called, only its attributes are read.

    Returns:
        Inputs as float64, or categorical where an encoder learned categories of text. Outputs: of a
        classifier ``label`` and, where it has ``predict_proba``, ``probability`` with the shape of its
        classes; of anything else that predicts, ``prediction``.

    Raises:
        InvalidInputError: It is not fitted, or knows no inputs.
    """
    names = _attribute(estimator, "feature_names_in_")
    count = _attribute(estimator, "n_features_in_")
    if names is None and count is None:
        raise InvalidInputError(
            f"{type(estimator).__name__} knows no inputs: fit it first, on a frame so that it knows names",
            metadata={"field": "estimator"},
        )
    numbered = [f"x{place}" for place in range(int(count or 0))]
    given = numbered if names is None else [str(name) for name in names]
    categories = dict(_categories(estimator))
    inputs = [
        {"name": name, "type": "categorical", "categories": categories[name]}
        if name in categories
        else {"name": name, "type": "float64"}
        for name in given
    ]
    return build_schema(inputs, _outputs(estimator))


def _attribute(estimator: Any, name: str) -> Any:
    """Return what an estimator, or the first step of a pipeline that knows it, says."""
    value = getattr(estimator, name, None)
    if value is not None:
        return value
    for _, step in getattr(estimator, "steps", ()):
        value = getattr(step, name, None)
        if value is not None:
            return value
    return None


def _last(estimator: Any) -> Any:
    steps = getattr(estimator, "steps", None)
    return _last(steps[-1][1]) if steps else estimator


def _categories(estimator: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the inputs that an encoder of text looks at first, with the categories that it knows."""
    steps = getattr(estimator, "steps", None)
    if steps:
        yield from _categories(steps[0][1])
        return
    for _, transformer, columns in getattr(estimator, "transformers_", ()):
        known = getattr(_first(transformer), "categories_", None)
        if known is None or isinstance(columns, str) or len(known) != len(columns):
            continue
        for column, values in zip(columns, known, strict=True):
            if isinstance(column, str) and all(isinstance(each, str) for each in values):
                yield column, [str(each) for each in values]


def _first(transformer: Any) -> Any:
    steps = getattr(transformer, "steps", None)
    return _first(steps[0][1]) if steps else transformer


def _outputs(estimator: Any) -> list[dict[str, Any]]:
    last = _last(estimator)
    classes = getattr(last, "classes_", None)
    if classes is not None and getattr(classes, "ndim", 0) == 1:
        found = [{"name": "label", **_label(classes)}]
        if hasattr(last, "predict_proba"):
            probability = {"name": "probability", "type": "float64", "shape": [len(classes)]}
            found.append({**probability, "minimum": 0.0, "maximum": 1.0})
        return found
    if not hasattr(last, "predict"):
        return []
    several = int(getattr(last, "n_outputs_", 1))
    return [{"name": "prediction", "type": "float64", **({"shape": [several]} if several > 1 else {})}]


def _label(classes: Any) -> dict[str, Any]:
    values = classes.tolist()
    if all(isinstance(each, bool) for each in values):
        return {"type": "bool"}
    if all(isinstance(each, int) for each in values):
        return {"type": "int64", "minimum": float(min(values)), "maximum": float(max(values))}
    if all(isinstance(each, str) for each in values):
        return {"type": "categorical", "categories": values}
    return {"type": "float64"}
