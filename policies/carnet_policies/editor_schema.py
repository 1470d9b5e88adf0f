"""The JSON Schema of a policy, for editors: it completes fields, and marks mistakes while one types.

Responsible for generating it from the schema that the engine itself uses, with what the docstrings say of
each field. It knows nothing of what holds between fields, nor of expressions: ``carnet policy check`` does.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from pydantic import BaseModel

from carnet_policies import (
    schema,
    schema_fields,
    schema_retention,
    schema_rollouts,
    schema_scope,
    schema_times,
)
from carnet_policies.schema import PolicyDocument

_ATTRIBUTE = re.compile(r"^    ([a-z][a-z_]*): (.*(?:\n {8}.*)*)", re.MULTILINE)


def editor_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a policy."""
    generated = PolicyDocument.model_json_schema(by_alias=True, mode="validation")
    for name, part in [("", generated), *generated["$defs"].items()]:
        _describe(part, _MODELS[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:carnet:schema:policy:v1",
        **generated,
        "title": "Carnet policy",
    }


def editor_schema_text() -> str:
    """Return the JSON Schema as the text of a file."""
    return json.dumps(editor_schema(), indent=2, ensure_ascii=False) + "\n"


def _models() -> dict[str, type[BaseModel]]:
    modules = (schema, schema_fields, schema_retention, schema_rollouts, schema_scope, schema_times)
    values = [item for module in modules for item in vars(module).items()]
    return {"": PolicyDocument} | {
        name: value for name, value in values if isinstance(value, type) and issubclass(value, BaseModel)
    }


_MODELS = _models()


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Put a docstring's summary at the object, and what it says of each attribute at the property."""
    text = inspect.cleandoc(model.__doc__ or "")
    part["description"] = " ".join(text.partition("\n\n")[0].split())
    said = {match[1]: " ".join(match[2].split()) for match in _ATTRIBUTE.finditer(text)}
    for name, field in model.model_fields.items():
        shown = part["properties"][field.alias or name]
        shown.pop("title", None)
        if name in said:
            shown["description"] = said[name].partition("; ``")[0].rstrip(".") + "."
