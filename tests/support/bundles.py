"""Small bundles: a folder with files and ``carnet.yaml``, a manifest, a signed folder.

The same arguments give the same bytes.
"""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import yaml

from carnet.bundle.build import build_manifest
from carnet.bundle.directory import write_metadata
from carnet.bundle.document import BundleDocument
from carnet.bundle.manifest import File, Manifest
from carnet.bundle.paths import MANIFEST_NAME
from carnet.canonical import sha256_hex
from carnet.signing.model_signature import sign_model

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.signing.keys import SigningKey

DOCUMENT_NAME = "carnet.yaml"
_ROLES = ("model", "preprocessor", "config", "documentation", "other")


def file_paths(count: int) -> list[str]:
    """Return the paths of a bundle of ``count`` files: ``model.bin``, then ``parts/1.bin`` and so on."""
    return ["model.bin", *(f"parts/{number}.bin" for number in range(1, count))]


def make_document(*, seed: int = 0, files: int = 2, **overrides: Any) -> dict[str, Any]:
    """Return a complete ``carnet.yaml`` as plain values.

    Args:
        seed: What the figures are drawn from.
        files: How many files it names.
        overrides: Top-level fields to put in; None takes the field out.
    """
    draw = random.Random(seed)
    document: dict[str, Any] = {
        "description": "Scores card payments for fraud.",
        "owner": "risk-team",
        "caveats": ["Not for amounts above 10,000."],
        "labels": {"tier": "high"},
        "files": [
            {"path": path, "role": _ROLES[min(number, len(_ROLES) - 1)]}
            for number, path in enumerate(file_paths(files))
        ],
        "metrics": [
            {
                "name": "roc_auc",
                "value": round(0.97 + draw.random() / 50, 4),
                "direction": "higher_is_better",
            },
            {
                "name": "log_loss",
                "value": round(draw.random() / 10, 4),
                "direction": "lower_is_better",
                "slice": {"region": "eu"},
            },
        ],
        "hyperparameters": {"trees": 100 + seed, "depth": 8, "learning_rate": 0.1},
        "lineage": {
            "code": {"repository": "https://example.org/risk/fraud", "commit": f"{seed:039x}a"},
            "datasets": [
                {
                    "name": "payments",
                    "uri": "s3://payments/2026-02",
                    "digest": sha256_hex(b"payments"),
                    "window": {"start": "2026-01-01", "end": "2026-02-28"},
                }
            ],
            "training_run": {"id": f"run-{seed}"},
        },
        "environment": {
            "python": "3.11.9",
            "framework": {"name": "scikit-learn", "version": "1.6.1"},
            "trained_at": "2026-03-01T12:30:00Z",
            "training_seconds": 12.5,
        },
        "feature_schema": {
            "inputs": [
                {"name": "amount", "type": "float64", "minimum": 0},
                {"name": "country", "type": "categorical", "categories": ["CH", "NO"], "nullable": True},
            ],
            "outputs": [{"name": "score", "type": "float64", "minimum": 0, "maximum": 1}],
        },
    }
    document.update(overrides)
    return {name: value for name, value in document.items() if value is not None}


def make_bundle_directory(tmp_path: Path, *, seed: int = 0, files: int = 2, **overrides: Any) -> Path:
    """Make a folder that is ready to be pushed: the files, and ``carnet.yaml`` beside them.

    Args:
        tmp_path: Where to make it, as ``bundle-SEED``; one that is there is replaced.
        seed: What the files' bytes and the figures are drawn from.
        files: How many files.
        overrides: Top-level fields of ``carnet.yaml`` to put in; None takes the field out.

    Returns:
        The folder.
    """
    folder = tmp_path / f"bundle-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    draw = random.Random(seed)
    for path in file_paths(files):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(draw.randbytes(1000 + draw.randrange(1000)))
    document = make_document(seed=seed, files=files, **overrides)
    (folder / DOCUMENT_NAME).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return folder


def make_manifest(**overrides: Any) -> Manifest:
    """Return a small manifest of ``dev/risk/fraud@1``; ``overrides`` are its fields."""
    fields: dict[str, Any] = {
        "document_schema": "carnet.manifest/v1",
        "home": "dev",
        "namespace": "risk",
        "model": "fraud",
        "version": 1,
        "files": (File(path="model.bin", role="model", size_bytes=3, digest=sha256_hex(b"abc")),),
    }
    return Manifest(**{**fields, **overrides})


def make_signed_directory(
    tmp_path: Path, key: SigningKey, *, seed: int = 0, files: int = 2, **overrides: Any
) -> Path:
    """Make a folder as a pull writes it: the files, ``manifest.json`` and ``model.sig``.

    Args:
        tmp_path: Where to make it, as ``bundle-SEED``.
        key: The key to sign with.
        seed: See ``make_bundle_directory``.
        files: See ``make_bundle_directory``.
        overrides: See ``make_bundle_directory``.

    Returns:
        The folder; it is version 1 of ``dev/risk/fraud``.
    """
    folder = make_bundle_directory(tmp_path, seed=seed, files=files, **overrides)
    (folder / DOCUMENT_NAME).unlink()
    said = make_document(seed=seed, files=files, **overrides)
    document = BundleDocument.model_validate_json(json.dumps(said))
    manifest = build_manifest(document, folder, home="dev", namespace="risk", model="fraud", version=1)
    covered = [(file.path, file.digest) for file in manifest.files] + [(MANIFEST_NAME, manifest.digest)]
    write_metadata(folder, manifest.to_bytes(), sign_model("fraud", covered, key))
    return folder
