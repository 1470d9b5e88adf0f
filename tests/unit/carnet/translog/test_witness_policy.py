"""The policy file of witnesses: every mistake by its line, and a quorum only by cosignatures that verify."""

from __future__ import annotations

import pytest

from carnet.errors import DocumentInvalidError, ProofInvalidError
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.cosignature import cosign_checkpoint
from carnet.translog.keys import KeyType, LogKey
from carnet.translog.witness_policy import parse_witness_policy, with_cosignatures

LOG = LogKey.generate("log.test/prod")
KEYS = {
    name: LogKey.generate(f"{name}.test", key_type=KeyType.COSIGNATURE_V1)
    for name in ("x1", "x2", "x3", "y1")
}
CHECKPOINT = sign_checkpoint(Checkpoint(LOG.name, 7, b"\x07" * 32), LOG)


def vkey(name):
    return KEYS[name].verifier.vkey


TWO_LEVELS = f"""
# who looks at prod
log {LOG.verifier.vkey}

witness X1 {vkey("x1")} https://x1.test/witness
witness X2\t{vkey("x2")}
  witness X3 {vkey("x3")}
group X 2 X1 X2 X3
witness Y1 {vkey("y1")}
group both all X Y1
quorum both
"""


def policy(text):
    return parse_witness_policy(text.encode(), name="witnesses.policy")


def cosigned(*names, checkpoint=CHECKPOINT):
    for number, name in enumerate(names):
        checkpoint = cosign_checkpoint(checkpoint, LOG.verifier, KEYS[name], timestamp=1000 + number)
    return checkpoint


def test_a_quorum_is_met_by_groups_of_groups():
    read = policy(TWO_LEVELS)
    assert list(read.logs) == [LOG.name]
    assert read.witnesses["X1"].url == "https://x1.test/witness"
    assert not read.is_final(CHECKPOINT)
    assert not read.is_final(cosigned("x1", "x2", "x3"))
    assert not read.is_final(cosigned("x1", "y1"))
    assert read.is_final(cosigned("y1", "x3", "x1"))
    assert read.cosigners(cosigned("x1", "y1")) == {"X1": 1000, "Y1": 1001}


def test_nobody_is_asked_where_the_quorum_is_none():
    read = policy("quorum none\n")
    assert not read.demands_witnesses
    assert read.is_final(CHECKPOINT)


def test_a_cosignature_of_another_checkpoint_makes_nothing_final():
    other = sign_checkpoint(Checkpoint(LOG.name, 8, b"\x08" * 32), LOG)
    line = cosigned("x1", checkpoint=other).splitlines()[-1]
    read = policy(f"witness X1 {vkey('x1')}\nquorum X1\n")
    with pytest.raises(ProofInvalidError):
        read.is_final(f"{CHECKPOINT}{line}\n")


def test_only_witnesses_lines_are_added_and_each_once():
    read = policy(f"witness X1 {vkey('x1')}\nquorum X1\n")
    mine, strangers = (cosigned(name).splitlines()[-1] for name in ("x1", "x2"))
    merged = with_cosignatures(CHECKPOINT, [strangers, mine, mine], read)
    assert merged == f"{CHECKPOINT}{mine}\n"
    assert with_cosignatures(merged, [mine], read) == merged
    assert read.is_final(merged)


@pytest.mark.parametrize("line", ["no signature at all", "— x1.test AAAA", ""])
def test_what_is_no_signature_line_is_refused(line):
    with pytest.raises(ProofInvalidError):
        with_cosignatures(CHECKPOINT, [line], policy(f"witness X1 {vkey('x1')}\nquorum X1\n"))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "no quorum"),
        ("quorum x\n", 1, "no witness or group"),
        ("quorum none\nquorum none\n", 2, "second quorum"),
        ("witness none <x1>\nquorum none\n", 1, "is taken"),
        ("witness a <x1>\nwitness a <x2>\nquorum a\n", 2, "is taken"),
        ("witness a <x1>\nwitness b <x1>\nquorum a\n", 2, "stands twice"),
        ("log <log>\nlog <log>\nquorum none\n", 2, "stands twice"),
        ("witness a <log>\nquorum a\n", 1, "type 0x01"),
        ("log <x1>\nquorum none\n", 1, "type 0x04"),
        ("witness a b+c+d\nquorum a\n", 1, "log key"),
        ("witness a <x1>\ngroup g 2 a\nquorum g\n", 2, "from 1 to 1"),
        ("witness a <x1>\ngroup g 0 a\nquorum g\n", 2, "from 1 to 1"),
        ("witness a <x1>\ngroup g any a a\nquorum g\n", 2, "already"),
        ("witness a <x1>\ngroup g any a\ngroup h any a\nquorum g\n", 3, "already"),
        ("group g any later\nquorum g\n", 1, "no witness or group"),
        ("group g any\nquorum g\n", 1, "too few"),
        ("\nwhatever x\nquorum none\n", 2, "log, witness, group or quorum"),
        ("quorum none\x00\n", 1, "control character"),
        ("quorum none\r\n", 1, "control character"),
    ],
)
def test_a_mistake_is_named_with_its_line(text, line, what):
    for name in ("x1", "x2"):
        text = text.replace(f"<{name}>", vkey(name))
    text = text.replace("<log>", LOG.verifier.vkey)
    with pytest.raises(DocumentInvalidError, match=rf"witnesses.policy, line {line}: .*{what}"):
        policy(text)
