"""What the evaluator and the integration tester really do with a pulled bundle.

Both load the model, which no registry ever does: loading a pickle runs its code, so they load only what they
pulled and verified.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from carnet_server.demo.training import load_rows, measure

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECONDS_PER_BATCH = 5.0


class ServedModel:
    """A pulled bundle, loaded as a serving host would.

    Args:
        folder: The bundle's folder, pulled and verified.
    """

    def __init__(self, folder: Path) -> None:
        self._model = joblib.load(folder / "model.joblib")
        self._preprocessor = joblib.load(folder / "preprocessor.joblib")
        self._features: list[str] = json.loads((folder / "config.json").read_text())["features"]

    def predict(
        self, features: np.ndarray[Any, np.dtype[np.float64]], names: tuple[str, ...]
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the probability of malignant.

        Args:
            features: float64, shape (rows, 30).
            names: The columns' names.

        Returns:
            float64 in 0..1, shape (rows,).
        """
        columns = [names.index(name) for name in self._features]
        probability: np.ndarray[Any, np.dtype[np.float64]] = self._model.predict_proba(
            self._preprocessor.transform(features[:, columns])
        )[:, 1]
        return probability


def evaluate(folder: Path) -> dict[str, Any]:
    """Evaluate a pulled bundle on the rows that its training never saw.

    Args:
        folder: The bundle's folder.

    Returns:
        A test-result document for ``carnet attest``, suite ``evaluation``.
    """
    rows = load_rows(held_out=True)
    probability = ServedModel(folder).predict(rows.features, rows.names)
    return {
        "suite": "evaluation",
        "result": "PASSED",
        "configuration": [{"name": f"held-out rows: {len(rows.malignant)}"}],
        "metrics": measure(rows.malignant, probability, rows.features[:, 0]),
        "finished_at": _now(),
    }


def integration_test(folder: Path) -> dict[str, Any]:
    """Test a pulled bundle as a serving host would use it.

    Args:
        folder: The bundle's folder.

    Returns:
        A test-result document for ``carnet attest``, suite ``integration``.
    """
    rows = load_rows(held_out=True)
    started = time.perf_counter()
    served = ServedModel(folder)
    batch = served.predict(rows.features, rows.names)
    seconds = time.perf_counter() - started
    single = np.concatenate([served.predict(rows.features[i : i + 1], rows.names) for i in range(5)])
    tests = {
        "answers-every-row": batch.shape == rows.malignant.shape,
        "probabilities-are-in-range": bool(
            np.isfinite(batch).all() and (batch >= 0).all() and (batch <= 1).all()
        ),
        "single-rows-agree-with-the-batch": bool(np.allclose(single, batch[:5])),
        "a-batch-is-answered-in-time": seconds < MAX_SECONDS_PER_BATCH,
    }
    return {
        "suite": "integration",
        "result": "PASSED" if all(tests.values()) else "FAILED",
        "configuration": [{"name": "serving-smoke-test"}],
        "passed_tests": [name for name, passed in tests.items() if passed],
        "failed_tests": [name for name, passed in tests.items() if not passed],
        "finished_at": _now(),
    }


def smoke_test(folder: Path) -> dict[str, Any]:
    """Load a pulled bundle and call it once, as a host does when an alias is rolled back to it.

    Args:
        folder: The bundle's folder.

    Returns:
        A test-result document for ``carnet attest``, suite ``smoke-test``.
    """
    rows = load_rows(held_out=True)
    answer = ServedModel(folder).predict(rows.features[:1], rows.names)
    answers = answer.shape == (1,) and bool(np.isfinite(answer).all())
    return {
        "suite": "smoke-test",
        "result": "PASSED" if answers else "FAILED",
        "configuration": [{"name": "loaded from the pulled files, called with one row"}],
        "passed_tests": ["loads", *(["answers"] if answers else [])],
        "failed_tests": [] if answers else ["answers"],
        "finished_at": _now(),
    }


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
