"""A feature schema as people write it in ``carnet.yaml``.

Responsible for text that reads back as the same schema: one feature a line, text in quotes wherever a reader
of YAML could take it for something else.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from carnet.bundle.feature_schema import FeatureSchema

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words that some version of YAML reads as a flag or as nothing.
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_yaml(schema: FeatureSchema) -> str:
    """Return a schema as the ``feature_schema`` of a ``carnet.yaml``."""
    value = schema.model_dump(mode="json", exclude_defaults=True)
    if not value:
        return "feature_schema: {}\n"
    lines = ["feature_schema:"]
    for side in ("inputs", "outputs"):
        if side in value:
            lines.append(f"  {side}:")
            lines += [f"    - {_flow(feature)}" for feature in value[side]]
    if "preprocessing" in value:
        lines.append(f"  preprocessing: {_flow(value['preprocessing'])}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        # JSON's escape of a character beyond the BMP is two surrogates, which YAML does not put together.
        return value if plain else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)
