from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet_policies.protocol import (
    MAX_FRAME_BYTES,
    Answer,
    ProtocolError,
    Question,
    decode_answer,
    decode_questions,
    encode_answer,
    encode_questions,
    frame,
    read_frame,
)


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_frames_come_out_as_they_went_in(payloads: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(frame(payload) for payload in payloads))
    assert [read_frame(lambda size: stream.read(min(size, 7))) for _ in payloads] == payloads


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\0\x05abc", b"\xff\xff\xff\xff"])
def test_a_frame_that_is_cut_off_or_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_frame(io.BytesIO(data).read)


def test_a_payload_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        frame(bytes(MAX_FRAME_BYTES + 1))


def test_questions_and_answers_survive_the_way() -> None:
    questions = [Question("true", {"a": "1"}), Question("'é\ud800' == ''", {})]
    assert decode_questions(encode_questions(questions)) == questions
    answer = Answer("boolean", value=True, text="true", values={"a": "1"})
    assert decode_answer(encode_answer(answer)) == answer


GOOD = {"kind": "boolean", "value": True, "text": "true", "values": {}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"1",
        json.dumps({"kind": "boolean"}).encode(),
        json.dumps(GOOD | {"more": 1}).encode(),
        json.dumps(GOOD | {"value": 1}).encode(),
        json.dumps(GOOD | {"value": "true"}).encode(),
        json.dumps(GOOD | {"kind": None}).encode(),
        json.dumps(GOOD | {"values": []}).encode(),
        json.dumps(GOOD | {"values": {"a": 1}}).encode(),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(data)


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        (Answer("boolean", value=True, text="true", values={}), True),
        (Answer("boolean", value=False, text="false", values={}), False),
        (Answer("error", value=True, text="true", values={}), False),
        (Answer("value", value=True, text="true", values={}), False),
        (Answer("memory", value=True, text="true", values={}), False),
    ],
)
def test_only_the_boolean_true_holds(answer: Answer, holds: bool) -> None:
    assert answer.holds is holds
