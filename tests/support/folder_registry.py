"""A registry that is a folder, as teams have it before they have a service."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import yaml

from carnet.canonical import sha256_hex

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = {
    "description": "Scores card payments for fraud.",
    "owner": "risk-team",
    "repository": "https://example.org/risk/fraud",
    "lineage": {"datasets": [{"name": "payments", "uri": "s3://payments"}]},
    "environment": {"framework": {"name": "scikit-learn", "version": "1.6.1"}},
    "feature_schema": {
        "inputs": [{"name": "amount", "type": "float64"}],
        "outputs": [{"name": "score", "type": "float64"}],
    },
    "labels": {"risk_tier": "low"},
    "metric_directions": {"roc_auc": "higher_is_better", "recall": "higher_is_better"},
}


def make_folder_version(
    store: Path, number: int, *, artifacts: tuple[str, ...] = ("model.pkl", "preprocessor.pkl"), **fields: Any
) -> Path:
    """Register a version: its artifacts, and a manifest with their checksums.

    Args:
        store: The folder of the registry.
        number: The version's number.
        artifacts: The names of its files.
        fields: Fields of the manifest to put in; None takes the field out.

    Returns:
        The version's folder.
    """
    folder = store / f"v{number}"
    folder.mkdir(parents=True)
    draw = random.Random(number)
    manifest: dict[str, Any] = {
        "version": f"v{number}",
        "registered_at": f"2026-05-{number:02d}T08:05:47Z",
        "metrics": {"roc_auc": round(0.9 + draw.random() / 20, 4), "recall": 0.9},
        "metadata": {
            "git_commit": f"abc123{number}",
            "data_window": "last 90 days",
            "cv_mean": 0.91,
            "tuned": True,
        },
        "status": "registered",
    }
    for name in artifacts:
        data = draw.randbytes(2000)
        (folder / name).write_bytes(data)
        manifest[f"{name.partition('.')[0]}_sha256"] = sha256_hex(data)
    manifest.update(fields)
    write_json(
        folder / "manifest.json", {name: value for name, value in manifest.items() if value is not None}
    )
    return folder


def make_folder_store(root: Path, *, versions: int = 3, current: int = 2, previous: int = 1) -> Path:
    """Make a registry of some versions, with its pointer; 0 stands for none."""
    for number in range(1, versions + 1):
        status = "production" if number == current else "archived" if number == previous else "registered"
        make_folder_version(root, number, status=status)
    point(root, current, previous)
    return root


def point(root: Path, current: int, previous: int) -> None:
    """Write the pointer; 0 stands for none."""
    pointer = {"current": current, "previous": previous}
    write_json(
        root / "active_version.json",
        {name: f"v{number}" if number else None for name, number in pointer.items()},
    )


def change_manifest(folder: Path, **fields: Any) -> None:
    """Put fields into a version's manifest; None takes the field out."""
    manifest = json.loads((folder / "manifest.json").read_text()) | fields
    write_json(
        folder / "manifest.json", {name: value for name, value in manifest.items() if value is not None}
    )


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file as people find it."""
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def write_import_document(path: Path, **fields: Any) -> Path:
    """Write what the folder does not say; None takes a field out."""
    document = {name: value for name, value in (DOCUMENT | fields).items() if value is not None}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path
