from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import CarnetError, InvalidInputError, KeyUntrustedError, ProofInvalidError
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from carnet.translog.cosignature import cosign_checkpoint, verify_cosignature
from carnet.translog.keys import KeyType, LogKey
from carnet.translog.note import Note, NoteSignature, parse_note
from carnet.translog.tree import leaf_hash

LOG = LogKey.generate("example.com/prod")
WITNESS = LogKey.generate("example.com/witness", key_type=KeyType.COSIGNATURE_V1)
CHECKPOINT = Checkpoint(LOG.name, 7, leaf_hash(b"root"))
SIGNED = sign_checkpoint(CHECKPOINT, LOG)
TIME = 1_700_000_000


def with_signature(value: bytes) -> str:
    note = parse_note(SIGNED)
    line = NoteSignature(WITNESS.name, WITNESS.verifier.key_id, value)
    return str(Note(note.body, (*note.signatures, line)))


def test_a_cosigned_checkpoint_verifies_by_both_keys() -> None:
    text = cosign_checkpoint(SIGNED, LOG.verifier, WITNESS, timestamp=TIME)
    assert text.startswith(SIGNED)
    assert parse_checkpoint(text, LOG.verifier).size == 7
    assert verify_cosignature(text, WITNESS.verifier) == TIME


def test_the_signed_message_is_that_of_the_specification() -> None:
    text = cosign_checkpoint(SIGNED, LOG.verifier, WITNESS, timestamp=TIME)
    value = parse_note(text).signatures[1].signature
    assert value[:8] == struct.pack(">Q", TIME)
    body = SIGNED.partition("\n\n")[0] + "\n"
    WITNESS.verifier.verify(f"cosignature/v1\ntime {TIME}\n{body}".encode(), value[8:])


def test_the_newest_of_several_cosignatures_counts() -> None:
    text = SIGNED
    for timestamp in (TIME, TIME + 60, TIME + 30):
        text = cosign_checkpoint(text, LOG.verifier, WITNESS, timestamp=timestamp)
    assert verify_cosignature(text, WITNESS.verifier) == TIME + 60


def test_a_checkpoint_that_nobody_cosigned_is_refused() -> None:
    with pytest.raises(KeyUntrustedError):
        verify_cosignature(SIGNED, WITNESS.verifier)
    with pytest.raises(KeyUntrustedError):
        verify_cosignature(SIGNED, LOG.verifier)


@pytest.mark.parametrize(
    "value",
    [
        bytes(72),
        struct.pack(">Q", TIME) + WITNESS.sign(SIGNED.encode()),
        WITNESS.sign(b"short"),
        struct.pack(">Q", TIME) + WITNESS.sign(b"x") + b"\0",
        struct.pack(">Q", 2**63) + WITNESS.sign(f"cosignature/v1\ntime {2**63}\n".encode()),
    ],
    ids=["zeros", "over the checkpoint alone", "no time", "a byte too many", "a time out of range"],
)
def test_a_bad_cosignature_is_refused(value: bytes) -> None:
    with pytest.raises(ProofInvalidError):
        verify_cosignature(with_signature(value), WITNESS.verifier)


def test_a_cosignature_holds_for_its_time_only() -> None:
    text = cosign_checkpoint(SIGNED, LOG.verifier, WITNESS, timestamp=TIME)
    value = parse_note(text).signatures[1].signature
    with pytest.raises(ProofInvalidError):
        verify_cosignature(with_signature(struct.pack(">Q", TIME + 1) + value[8:]), WITNESS.verifier)


def test_a_checkpoint_that_does_not_verify_is_not_cosigned() -> None:
    other = LogKey.generate(LOG.name)
    with pytest.raises(KeyUntrustedError):
        cosign_checkpoint(SIGNED, other.verifier, WITNESS, timestamp=TIME)
    with pytest.raises(ProofInvalidError):
        cosign_checkpoint(SIGNED.replace("\n7\n", "\n8\n"), LOG.verifier, WITNESS, timestamp=TIME)


@pytest.mark.parametrize("timestamp", [-1, 2**63])
def test_a_time_out_of_range_is_refused(timestamp: int) -> None:
    with pytest.raises(InvalidInputError):
        cosign_checkpoint(SIGNED, LOG.verifier, WITNESS, timestamp=timestamp)


def test_a_logs_own_key_does_not_cosign() -> None:
    with pytest.raises(InvalidInputError):
        cosign_checkpoint(SIGNED, LOG.verifier, LOG, timestamp=TIME)


@given(st.data())
def test_no_mutation_of_a_cosigned_checkpoint_verifies_by_both_keys(data: st.DataObject) -> None:
    text = cosign_checkpoint(SIGNED, LOG.verifier, WITNESS, timestamp=TIME)
    at = data.draw(st.integers(0, len(text) - 1))
    junk = data.draw(st.text(max_size=4))
    ways = {
        "truncate": text[:at],
        "insert": text[:at] + junk + text[at:],
        "replace": text[:at] + junk + text[at + 1 :],
        "swap": text[at:] + text[:at],
        "double": text * 2,
        "trailing": text + junk,
    }
    changed = ways[data.draw(st.sampled_from(sorted(ways)))]
    if changed == text:
        return
    try:
        checkpoint = parse_checkpoint(changed, LOG.verifier)
        timestamp = verify_cosignature(changed, WITNESS.verifier)
    except CarnetError:
        return
    # A stranger's line may have come to it: what both vouch for is the same.
    assert (checkpoint, timestamp) == (CHECKPOINT, TIME)
