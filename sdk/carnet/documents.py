"""YAML documents that people write: configuration, policies, trust, ``carnet.yaml``.

Responsible for reading YAML safely and for errors that name file, line, column and field, all of them at
once. A document's schema is a pydantic model. Scalars are those of YAML 1.2's core schema, so dates stay
text; duplicate keys, anchors, aliases and tags are refused; depth and size are bounded. Does not know what
any document means.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from carnet.errors import DocumentInvalidError, FileUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_DOCUMENT_BYTES = 1 << 20
MAX_DEPTH = 64

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's core schema, and without anchors, aliases and tags."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what refers to another place in the document, and what says its own type."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not taken", problem_mark=event.start_mark
            )
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem=f"the tag {event.tag!r}: tags are not taken", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


# YAML 1.1, PyYAML's default, reads `no` as false, 1e-3 as text, 012 as ten and dates as objects.
_CORE_SCHEMA = (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
)
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


class YamlSource:
    """A parsed YAML document that remembers where each of its values stands.

    Args:
        data: The document's bytes.
        name: What to call it in messages: a file's name.

    Raises:
        DocumentInvalidError: It is not one well-formed YAML document within the limits.
    """

    def __init__(self, data: bytes, *, name: str) -> None:
        self.name = name
        self._marks: dict[Location, yaml.Mark] = {}
        if len(data) > MAX_DOCUMENT_BYTES:
            raise DocumentInvalidError(
                f"{name}: {len(data)} bytes; a document has at most {MAX_DOCUMENT_BYTES}"
            )
        try:
            loader = _Loader(data.decode("utf-8"))
            try:
                node = loader.get_single_node()
                self.value: Any = None if node is None else self._construct(loader, node, ())
            finally:
                loader.dispose()
        except UnicodeDecodeError as error:
            raise DocumentInvalidError(f"{name}: not UTF-8 text at byte {error.start}") from error
        except yaml.MarkedYAMLError as error:
            problem = error.problem or "not YAML"
            raise DocumentInvalidError(f"{self._at(error.problem_mark)}: {problem}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise DocumentInvalidError(f"{name}: not YAML: {error}") from error

    def _construct(self, loader: _Loader, node: yaml.Node, location: Location) -> Any:
        if location in self._marks:
            raise yaml.MarkedYAMLError(problem="the same value twice", problem_mark=node.start_mark)
        if len(location) > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested deeper than {MAX_DEPTH}", problem_mark=node.start_mark
            )
        self._marks[location] = node.start_mark
        if isinstance(node, yaml.SequenceNode):
            return [self._construct(loader, child, (*location, i)) for i, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._construct_mapping(loader, node, location)
        return loader.construct_object(node, deep=True)

    def _construct_mapping(
        self, loader: _Loader, node: yaml.MappingNode, location: Location
    ) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = (
                loader.construct_object(key_node, deep=True)
                if isinstance(key_node, yaml.ScalarNode)
                else None
            )
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem="a key must be text (quote it if need be)", problem_mark=key_node.start_mark
                )
            if key in mapping:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} twice", problem_mark=key_node.start_mark)
            mapping[key] = self._construct(loader, value_node, (*location, key))
            self._marks[(*location, key)] = key_node.start_mark
        return mapping

    def _at(self, mark: yaml.Mark | None) -> str:
        return self.name if mark is None else f"{self.name}:{mark.line + 1}:{mark.column + 1}"

    def where(self, location: Iterable[str | int]) -> str:
        """Return ``name:line:column`` of a value, or of the nearest one around it.

        Args:
            location: The keys and indices that lead to the value.
        """
        path = tuple(location)
        while path and path not in self._marks:
            path = path[:-1]
        return self._at(self._marks.get(path))


def field_path(location: Iterable[str | int]) -> str:
    """Return a location as people write it, such as ``files[2].path``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "document"


def _explain(error: Any, source: YamlSource, model: type[BaseModel]) -> str:
    location, kind, message = error["loc"], error["type"], error["msg"]
    path = field_path(location)
    if kind == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = (
            f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}" if known else ""
        )
        message = f"unknown field{hint}"
    elif kind == "missing":
        message = "required, and missing"
    elif kind == "value_error":
        message = str(error["ctx"]["error"])
    elif not isinstance(error["input"], dict | list):
        shown = repr(error["input"])
        message = f"{message} (it is {shown[:60]}{'…' if len(shown) > 60 else ''})"
    return f"{source.where(location)}: {path}: {message}"


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """The names of the fields that the schema has at a location, where that can be told."""
    schema = model.model_json_schema()
    node: Any = schema
    for part in (*location, None):
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        for choice in node.get("anyOf", ()):
            if "$ref" in choice:
                node = schema["$defs"][choice["$ref"].rsplit("/", 1)[-1]]
        if part is not None:
            node = (
                node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
            )
    return sorted(node.get("properties", ()))


def validate_document(source: YamlSource, model: type[Model]) -> Model:
    """Check a parsed document against its schema.

    Args:
        source: The parsed document.
        model: Its pydantic model.

    Returns:
        The model's instance.

    Raises:
        DocumentInvalidError: It breaks the schema; the message has a line for each problem.
    """
    try:
        text = json.dumps(source.value, allow_nan=True)
        return model.model_validate_json(text)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [_explain(problem, source, model) for problem in problems]
        raise DocumentInvalidError(
            "\n".join(lines), metadata={"field": field_path(problems[0]["loc"])}
        ) from error
    except (TypeError, ValueError) as error:
        raise DocumentInvalidError(f"{source.name}: {error}") from error


def parse_document(data: bytes, model: type[Model], *, name: str) -> Model:
    """Parse and check a document; see ``YamlSource`` and ``validate_document`` for what is raised."""
    return validate_document(YamlSource(data, name=name), model)


def read_file(path: Path, *, what: str) -> bytes:
    """Read a file that a person named.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        FileUnreadableError: It is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileUnreadableError(f"{what} {path} cannot be read: {error.strerror or error}") from error


def read_document(path: Path, model: type[Model], *, what: str) -> Model:
    """Read, parse and check a document.

    Args:
        path: The file.
        model: Its pydantic model.
        what: What it should be, for the message of a file that cannot be read.

    Raises:
        FileUnreadableError: The file is missing or cannot be read.
        DocumentInvalidError: It is not a document of that schema.
    """
    return parse_document(read_file(path, what=what), model, name=path.name)
