"""Feature schemas at the boundary: data against a schema, a schema from data, data against other data.

Responsible for what a caller needs before a model sees its rows. Nothing of a bundle is loaded or executed;
only its manifest's ``feature_schema`` is read. One row is checked without further packages; tables need the
extra ``features``.
"""

from __future__ import annotations

from carnet.features.report import ValidationReport, Violation
from carnet.features.validator import Validator, require_valid, validate

__all__ = ["ValidationReport", "Validator", "Violation", "require_valid", "validate"]
