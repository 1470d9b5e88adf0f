"""What the engine and its worker process say to each other.

Responsible for the frames on their socket and the form of questions and answers. A request is two frames:
the questions as JSON, and the serialised ``PolicyFacts``. The worker answers each question in a frame of its
own, in order, so that when it dies it is known over which. Invariant: a frame that is not of this form raises
``ProtocolError``, which never leaves the package.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_FRAME_BYTES = 32 << 20
READY = b"ready"
_LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """The other end said something that is not of the protocol, or hung up."""


@dataclass(frozen=True, slots=True)
class Question:
    """An expression to decide by, and expressions whose values are to be shown."""

    expression: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an expression gave; see ``carnet_policies.cel.Outcome`` for ``kind``."""

    kind: str
    value: bool
    text: str
    values: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether the expression gave the boolean true, and nothing else will do."""
        return self.kind == "boolean" and self.value is True


def frame(payload: bytes) -> bytes:
    """Return a payload with its length before it.

    Raises:
        ProtocolError: It is too long.
    """
    if len(payload) > MAX_FRAME_BYTES:
        raise ProtocolError(f"{len(payload)} bytes do not fit into a frame of {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(payload)) + payload


def read_frame(receive: Callable[[int], bytes]) -> bytes:
    """Read one frame.

    Args:
        receive: Returns some bytes, at most as many as asked for; none at the end.

    Raises:
        ProtocolError: The frame is too long or cut off.
    """
    (length,) = _LENGTH.unpack(_read_exactly(receive, _LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {length} bytes")
    return _read_exactly(receive, length)


def _read_exactly(receive: Callable[[int], bytes], size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = receive(min(size - len(received), 1 << 16))
        if not piece:
            raise ProtocolError("the other end hung up")
        received += piece
    return bytes(received)


def encode_questions(questions: Sequence[Question]) -> bytes:
    """Return questions as JSON."""
    return json.dumps(
        [{"expression": question.expression, "values": dict(question.values)} for question in questions]
    ).encode()


def decode_questions(payload: bytes) -> list[Question]:
    """Parse questions, from the engine that the worker trusts."""
    return [Question(**question) for question in json.loads(payload)]


def encode_answer(answer: Answer) -> bytes:
    """Return an answer as JSON."""
    parts = {"kind": answer.kind, "value": answer.value, "text": answer.text, "values": dict(answer.values)}
    return json.dumps(parts).encode()


def decode_answer(payload: bytes) -> Answer:
    """Parse an answer strictly.

    Raises:
        ProtocolError: It is not an answer.
    """
    try:
        answer = Answer(**json.loads(payload))
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"not an answer: {error}") from error
    texts = (
        (answer.kind, answer.text, *answer.values.values()) if isinstance(answer.values, dict) else (None,)
    )
    if not isinstance(answer.value, bool) or not all(isinstance(text, str) for text in texts):
        raise ProtocolError("not an answer: a field is of another type")
    return answer
