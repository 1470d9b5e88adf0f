from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import IntegrityError, KeyUntrustedError, ProofInvalidError
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.keys import LogKey
from carnet.translog.receipt import Receipt, format_receipt, parse_receipt, verify_receipt
from carnet.translog.tree import inclusion_proof, leaf_hash, root_of

KEY = LogKey.generate("example.com/prod")
ENTRIES = [
    Entry(
        event_id=f"event-{index}",
        type=EntryType.VERSION_PUBLISHED,
        environment="prod",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        actor=Actor("spiffe://example.com/ci", "", "mtls"),
        subject={"namespace": "risk", "model": "fraud", "version": index + 1},
    )
    for index in range(11)
]
HASHES = [leaf_hash(entry.to_bytes()) for entry in ENTRIES]


def make_receipt(index: int, size: int = len(ENTRIES)) -> Receipt:
    def node_at(level: int, position: int) -> bytes:
        return root_of(HASHES[position << level : (position + 1) << level])

    checkpoint = sign_checkpoint(Checkpoint(KEY.name, size, root_of(HASHES[:size])), KEY)
    proof = tuple(inclusion_proof(index, size, node_at))
    return Receipt(ENTRIES[index].to_bytes(), index, size, proof, checkpoint)


@pytest.mark.parametrize("index", range(11))
def test_every_receipt_verifies_and_reads_back_from_its_file(index: int) -> None:
    receipt = make_receipt(index)
    assert verify_receipt(receipt, KEY.verifier) == ENTRIES[index]
    text = format_receipt(receipt)
    assert parse_receipt(text) == receipt
    assert text.startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert f"\nindex {index}\n" in text
    assert text.endswith("\n\n" + receipt.checkpoint)


def test_the_receipt_of_a_lone_entry_has_no_proof() -> None:
    receipt = make_receipt(0, size=1)
    assert receipt.proof == ()
    assert verify_receipt(parse_receipt(format_receipt(receipt)), KEY.verifier) == ENTRIES[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"entry_bytes": ENTRIES[4].to_bytes()},
        {"index": 4},
        {"index": -1},
        {"index": 11},
        {"tree_size": 10},
        {"tree_size": 12},
        {"proof": ()},
        {"proof": make_receipt(5).proof[:-1]},
        {"proof": (*make_receipt(5).proof, bytes(32))},
        {"proof": make_receipt(4).proof[::-1]},
        {"checkpoint": make_receipt(5, size=10).checkpoint},
        {"checkpoint": ""},
    ],
)
def test_a_changed_receipt_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProofInvalidError):
        verify_receipt(replace(make_receipt(5), **changes), KEY.verifier)


def test_a_receipt_of_another_log_is_refused() -> None:
    with pytest.raises(KeyUntrustedError):
        verify_receipt(make_receipt(5), LogKey.generate(KEY.name).verifier)


def test_what_is_in_the_log_and_no_entry_is_refused() -> None:
    checkpoint = sign_checkpoint(Checkpoint(KEY.name, 1, leaf_hash(b"junk")), KEY)
    with pytest.raises(ProofInvalidError, match="not JSON"):
        verify_receipt(Receipt(b"junk", 0, 1, (), checkpoint), KEY.verifier)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tlog-proof@v1", "tlog-proof@v2"),
        ("extra ", "Extra "),
        ("index 5", "index 05"),
        ("index 5", "index -5"),
        ("index 5", "index"),
        ("index 5\n", ""),
        ("index 5\n", "index 5\nAAAA\n"),
        ("index 5\n", "index 5\n" + "A" * 43 + "=\n" * 1 + ("A" * 43 + "=\n") * 63),
        ("index 5\n", "index 5\n\n"),
        ("\n\n", "\n"),
        ("\n", "\r\n"),
    ],
)
def test_a_file_of_another_form_is_refused(old: str, new: str) -> None:
    text = format_receipt(make_receipt(5))
    assert old in text
    with pytest.raises(ProofInvalidError):
        parse_receipt(text.replace(old, new, 1))


@given(st.data())
def test_no_mutation_of_the_file_verifies(data: st.DataObject) -> None:
    original = format_receipt(make_receipt(5))
    position = data.draw(st.integers(0, len(original) - 1))
    inserted = data.draw(st.text(min_size=1, max_size=2))
    for changed in (
        original[:position],
        original[:position] + original[position + 1 :],
        original[:position] + inserted + original[position:],
        original[:position] + inserted + original[position + 1 :],
    ):
        if changed == original:
            continue
        with pytest.raises(IntegrityError):
            verify_receipt(parse_receipt(changed), KEY.verifier)


@given(st.text())
def test_garbage_is_refused_with_a_typed_error(text: str) -> None:
    for candidate in (text, f"c2sp.org/tlog-proof@v1\nextra {text}\nindex 0\n\n{text}", "x" * 300_000):
        with pytest.raises(ProofInvalidError):
            parse_receipt(candidate)
