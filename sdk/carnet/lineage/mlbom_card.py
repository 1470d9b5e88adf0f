"""The model card of an ML-BOM.

Responsible for what a manifest and evidence say of a model itself: parameters, data, inputs and outputs,
figures, limits (CycloneDX 1.6, ``modelCard``). A figure of evidence is named with its suite, and is taken
only where the environment trusts the signer and the key is pinned here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.canonical import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from carnet.bundle.feature_schema import Feature
    from carnet.bundle.manifest import Manifest
    from carnet.client.results import Evidence


def model_card(manifest: Manifest, evidence: Sequence[Evidence], datasets: Sequence[str]) -> dict[str, Any]:
    """Return the model card.

    Args:
        manifest: The manifest.
        evidence: The evidence about it.
        datasets: The references of its datasets in the document.
    """
    parameters: dict[str, Any] = {
        "datasets": [{"ref": each} for each in datasets],
        "inputs": [{"format": _format(each)} for each in manifest.feature_schema.inputs],
        "outputs": [{"format": _format(each)} for each in manifest.feature_schema.outputs],
    }
    if "task" in manifest.labels:
        parameters["task"] = manifest.labels["task"]
    card: dict[str, Any] = {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": list(_figures(manifest, evidence))},
        "properties": list(_properties(manifest)),
    }
    if manifest.caveats:
        card["considerations"] = {"technicalLimitations": list(manifest.caveats)}
    return card


def named(name: str, value: str) -> dict[str, str]:
    """Return a property."""
    return {"name": name, "value": value}


def _figures(manifest: Manifest, evidence: Sequence[Evidence]) -> Iterator[dict[str, str]]:
    for metric in manifest.metrics:
        yield _figure(metric.name, metric.value, metric.slice)
    for each in evidence:
        if each.trusted and each.signer:
            for measured in each.metrics:
                yield _figure(f"{measured.name} ({each.kind})", measured.value, measured.slice)


def _figure(name: str, value: float, part: Mapping[str, str]) -> dict[str, str]:
    figure = {"type": name, "value": canonical_json(value).decode()}
    if part:
        figure["slice"] = ",".join(f"{key}={of}" for key, of in sorted(part.items()))
    return figure


def _properties(manifest: Manifest) -> Iterator[dict[str, str]]:
    for name, setting in manifest.hyperparameters.items():
        text = setting if isinstance(setting, str) else canonical_json(setting).decode()
        yield named(f"carnet:hyperparameter:{name}", text)
    for metric in manifest.metrics:
        yield named(f"carnet:direction:{metric.key}", metric.direction)
        if metric.unit:
            yield named(f"carnet:unit:{metric.key}", metric.unit)
    preprocessing = manifest.feature_schema.preprocessing
    if preprocessing is not None:
        through = preprocessing.path or f"{preprocessing.name} {preprocessing.version}"
        yield named("carnet:preprocessing", through)


def _format(feature: Feature) -> str:
    """Return a feature in one line, such as ``amount: float64, at least 0``."""
    shape = (
        f"[{', '.join('any' if size < 0 else str(size) for size in feature.shape)}]" if feature.shape else ""
    )
    parts = [f"{feature.name}: {feature.type}{shape}"]
    if feature.minimum is not None:
        parts.append(f"at least {canonical_json(feature.minimum).decode()}")
    if feature.maximum is not None:
        parts.append(f"at most {canonical_json(feature.maximum).decode()}")
    if feature.categories:
        parts.append(f"one of {canonical_json(list(feature.categories)).decode()}")
    if feature.nullable:
        parts.append("may be missing")
    return ", ".join(parts)
