"""The process that evaluates expressions: ``python -m carnet_policies.worker``, with a socket as its stdin.

Responsible for bounding what an expression can use: its address space is limited before the first expression
comes, and an expression that runs out of memory ends the process. It reads no file, opens no connection, and
loads no gRPC. It ends when the engine hangs up.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sys

from carnet.registry.v1 import policy_pb2
from carnet_policies.cel import Evaluator
from carnet_policies.protocol import (
    READY,
    Answer,
    ProtocolError,
    Question,
    decode_questions,
    encode_answer,
    frame,
    read_frame,
)


def limit_address_space(limit_bytes: int) -> None:
    """Limit this process to an address space, where the platform lets it; allow no core dump."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer(evaluator: Evaluator, question: Question, activation: object) -> Answer:
    """Answer one question; the shown values come first, and are never what decides."""
    values: dict[str, str] = {}
    for name, source in question.values.items():
        shown = evaluator.evaluate(source, activation)
        if shown.kind == "memory":
            return Answer("memory", value=False, text=shown.text, values=values)
        values[name] = f"({shown.text})" if shown.kind == "error" else shown.text
    outcome = evaluator.evaluate(question.expression, activation)
    return Answer(outcome.kind, value=outcome.value, text=outcome.text, values=values)


def serve(connection: socket.socket) -> None:
    """Answer requests until the engine hangs up or an expression runs out of memory."""
    evaluator = Evaluator()
    connection.sendall(frame(READY))
    while True:
        try:
            questions = decode_questions(read_frame(connection.recv))
            facts = policy_pb2.PolicyFacts.FromString(read_frame(connection.recv))
        except ProtocolError:
            return
        activation = evaluator.bind(facts)
        for question in questions:
            answered = answer(evaluator, question, activation)
            connection.sendall(frame(encode_answer(answered)))
            if answered.kind == "memory":
                return


def main() -> None:
    """Run the worker; the address-space limit in bytes is the one argument."""
    limit_address_space(int(sys.argv[1]))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError), socket.socket(fileno=0) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
