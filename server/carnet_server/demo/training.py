"""Training: real models on the breast-cancer data that scikit-learn ships, and the bundles that they become.

The rows are the Wisconsin diagnostic data set (UCI, 569 rows, 30 features). Malignant is the positive class.
A fixed split keeps rows back that only the evaluator looks at.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import yaml
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import recall_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

SPLIT_SEED = 3
HELD_OUT_SHARE = 0.3
THRESHOLD = 0.3
LARGE_RADIUS = 15.0
_FOLDS = 5


@dataclass(frozen=True)
class Rows:
    """Rows of the data set.

    Attributes:
        features: float64, shape (rows, 30).
        malignant: int64 of 0 and 1, shape (rows,).
        names: The 30 features' names.
    """

    features: np.ndarray[Any, np.dtype[np.float64]]
    malignant: np.ndarray[Any, np.dtype[np.int64]]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """How one candidate is trained.

    Attributes:
        title: What it is, for people.
        estimator: The unfitted classifier.
        features: The names of the features that it uses; empty for all.
        caveats: What it cannot do.
    """

    title: str
    estimator: Any
    features: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()


def forest() -> Recipe:
    """The first model: a random forest over all features."""
    return Recipe(
        "random forest over all 30 features",
        RandomForestClassifier(n_estimators=120, min_samples_leaf=2, random_state=7),
    )


def small_boosting() -> Recipe:
    """The weaker model: boosting that sees four features only."""
    return Recipe(
        "gradient boosting over four features that are cheap to measure",
        GradientBoostingClassifier(n_estimators=60, max_depth=2, random_state=7),
        features=("mean_radius", "mean_texture", "mean_smoothness", "mean_concave_points"),
        caveats=("Sees four of the thirty features.",),
    )


def boosting() -> Recipe:
    """The second good model: stochastic gradient boosting over all features."""
    return Recipe(
        "stochastic gradient boosting over all 30 features",
        GradientBoostingClassifier(
            n_estimators=200, max_depth=2, subsample=0.6, max_features=0.4, random_state=7
        ),
    )


def load_rows(*, held_out: bool) -> Rows:
    """Return the rows for training, or those that are kept back for the evaluator.

    Args:
        held_out: Whether the rows that no training saw are wanted.
    """
    data = load_breast_cancer()
    names = tuple(str(name).replace(" ", "_") for name in data.feature_names)
    malignant = 1 - data.target
    train_x, held_x, train_y, held_y = train_test_split(
        data.data, malignant, test_size=HELD_OUT_SHARE, stratify=malignant, random_state=SPLIT_SEED
    )
    return Rows(held_x, held_y, names) if held_out else Rows(train_x, train_y, names)


def measure(
    malignant: np.ndarray[Any, Any], probability: np.ndarray[Any, Any], radius: np.ndarray[Any, Any]
) -> list[dict[str, Any]]:
    """Measure predictions, overall and by slice.

    Args:
        malignant: The truth, shape (rows,).
        probability: The predicted probability of malignant, shape (rows,).
        radius: The mean radius of the tumours, which slices are cut by, shape (rows,).

    Returns:
        Metrics as manifests and attestations hold them.
    """
    decided = probability >= THRESHOLD
    metrics = [
        _metric("roc_auc", roc_auc_score(malignant, probability)),
        _metric("recall", recall_score(malignant, decided)),
    ]
    for label, rows in (("small", radius < LARGE_RADIUS), ("large", radius >= LARGE_RADIUS)):
        metrics.append(
            _metric("recall", recall_score(malignant[rows], decided[rows]), slice={"tumour_size": label})
        )
    return metrics


def _metric(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": round(float(value), 6), "direction": "higher_is_better", **more}


def train_bundle(recipe: Recipe, folder: Path) -> Path:
    """Train a candidate and write its bundle: files and ``carnet.yaml``.

    Args:
        recipe: How it is trained.
        folder: Where the bundle goes; it must not be there.

    Returns:
        The folder.
    """
    rows = load_rows(held_out=False)
    columns = [i for i, name in enumerate(rows.names) if not recipe.features or name in recipe.features]
    features = rows.features[:, columns]
    started = time.perf_counter()
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=7)
    pipeline = make_pipeline(StandardScaler(), recipe.estimator)
    predicted = cross_val_predict(pipeline, features, rows.malignant, cv=folds, method="predict_proba")
    scaler = StandardScaler().fit(features)
    model = recipe.estimator.fit(scaler.transform(features), rows.malignant)
    seconds = time.perf_counter() - started
    folder.mkdir(parents=True)
    names = [rows.names[i] for i in columns]
    joblib.dump(model, folder / "model.joblib")
    joblib.dump(scaler, folder / "preprocessor.joblib")
    config = {"features": names, "threshold": THRESHOLD, "positive": "malignant"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    document = _document(recipe, names, features, seconds)
    document["metrics"] = measure(rows.malignant, predicted[:, 1], rows.features[:, 0])
    (folder / "carnet.yaml").write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    return folder


def _document(
    recipe: Recipe, names: Sequence[str], features: np.ndarray[Any, Any], seconds: float
) -> dict[str, Any]:
    return {
        "description": f"Tells malignant from benign tumours: {recipe.title}.",
        "owner": "diagnostics-team",
        "caveats": ["Trained on 398 rows of one hospital.", *recipe.caveats],
        "labels": {"task": "classification", "risk_tier": "high"},
        "files": [
            {"path": "model.joblib", "role": "model"},
            {"path": "preprocessor.joblib", "role": "preprocessor"},
            {"path": "config.json", "role": "config"},
        ],
        "hyperparameters": {
            key: value
            for key, value in sorted(recipe.estimator.get_params().items())
            if isinstance(value, int | float | str)
        },
        "lineage": {
            "code": _code(),
            "datasets": [
                {
                    "name": "breast-cancer-wisconsin-diagnostic",
                    "uri": f"https://archive.ics.uci.edu/dataset/17#scikit-learn-{metadata.version('scikit-learn')}",
                    "digest": _dataset_digest(),
                    "window": {"start": "1989-01-01", "end": "1991-12-31"},
                }
            ],
            "features": {"name": "cell-nucleus-measurements", "snapshot": f"split-{SPLIT_SEED}"},
            "training_run": {"id": f"demo-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"},
        },
        "environment": {
            "python": platform.python_version(),
            "framework": {"name": "scikit-learn", "version": metadata.version("scikit-learn")},
            "trained_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "training_seconds": round(seconds, 3),
            "hardware": platform.machine(),
        },
        "feature_schema": {
            "inputs": [
                {
                    "name": name,
                    "type": "float64",
                    "nullable": False,
                    "minimum": float(column.min()),
                    "maximum": float(column.max()),
                }
                for name, column in zip(names, features.T, strict=True)
            ],
            "outputs": [
                {"name": "malignant", "type": "float64", "nullable": False, "minimum": 0.0, "maximum": 1.0}
            ],
        },
    }


def _dataset_digest() -> str:
    data = resources.files("sklearn.datasets.data").joinpath("breast_cancer.csv").read_bytes()
    return hashlib.sha256(data).hexdigest()


def _code() -> dict[str, str]:
    """The commit of the training code; outside of a checkout, the digest of this file stands in for it."""
    here = Path(__file__)
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607
            cwd=here.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = hashlib.sha256(here.read_bytes()).hexdigest()
    return {"repository": "file:server/carnet_server/demo", "commit": commit}
