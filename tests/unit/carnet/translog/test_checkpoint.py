from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError, KeyUntrustedError, ProofInvalidError
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint, unverified_checkpoint
from carnet.translog.keys import KeyType, LogKey, LogVerifier
from carnet.translog.note import Note, NoteSignature, parse_note
from carnet.translog.tree import EMPTY_ROOT, SIZE_MAX, leaf_hash

KEY = LogKey.generate("example.com/prod")
OTHER = LogKey.generate("example.com/prod")
CHECKPOINT = Checkpoint("example.com/prod", 42, leaf_hash(b"root"))
SIGNED = sign_checkpoint(CHECKPOINT, KEY)
ROOT = base64.b64encode(CHECKPOINT.root).decode()


def signed_body(body: str, key: LogKey = KEY) -> str:
    return str(Note(body, (NoteSignature(key.name, key.verifier.key_id, key.sign(body.encode())),)))


def test_the_specifications_example_is_read() -> None:
    text = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    checkpoint = unverified_checkpoint(text)
    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20852163
    assert checkpoint.body == text.partition("\n\n")[0] + "\n"


@given(st.integers(min_value=1, max_value=SIZE_MAX), st.binary(min_size=32, max_size=32))
def test_a_signed_checkpoint_verifies_and_reads_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(KEY.name, size, root)
    signed = sign_checkpoint(checkpoint, KEY)
    assert parse_checkpoint(signed, KEY.verifier) == checkpoint
    assert parse_checkpoint(signed.encode(), KEY.verifier) == checkpoint
    assert unverified_checkpoint(signed) == checkpoint


def test_the_text_is_that_of_the_specification() -> None:
    body, _, line = SIGNED.partition("\n\n")
    assert body == f"example.com/prod\n42\n{ROOT}"
    assert line.startswith("— example.com/prod ")
    assert base64.b64decode(line.split(" ")[2])[:4] == KEY.verifier.key_id


def test_a_signature_by_an_unknown_key_is_passed_over() -> None:
    note = parse_note(SIGNED)
    stranger = NoteSignature(OTHER.name, OTHER.verifier.key_id, b"nothing that verifies")
    for signatures in [(stranger, *note.signatures), (*note.signatures, stranger)]:
        assert parse_checkpoint(str(Note(note.body, signatures)), KEY.verifier) == CHECKPOINT


def test_a_bad_signature_by_the_pinned_key_refuses_the_whole() -> None:
    note = parse_note(SIGNED)
    bad = NoteSignature(KEY.name, KEY.verifier.key_id, bytes(64))
    for signatures in [(bad,), (bad, *note.signatures), (*note.signatures, bad)]:
        with pytest.raises(ProofInvalidError, match="does not verify"):
            parse_checkpoint(str(Note(note.body, signatures)), KEY.verifier)


def test_a_checkpoint_without_the_pinned_keys_signature_is_refused() -> None:
    with pytest.raises(KeyUntrustedError, match="none of its signatures"):
        parse_checkpoint(SIGNED, OTHER.verifier)


def test_a_cosigners_key_does_not_vouch_for_a_log() -> None:
    cosigner = LogKey.generate("example.com/prod", key_type=KeyType.COSIGNATURE_V1)
    with pytest.raises(KeyUntrustedError):
        parse_checkpoint(signed_body(CHECKPOINT.body, cosigner), cosigner.verifier)
    with pytest.raises(InvalidInputError):
        sign_checkpoint(CHECKPOINT, cosigner)


def test_a_checkpoint_of_another_log_is_refused_though_the_key_signed_it() -> None:
    with pytest.raises(ProofInvalidError, match=r"'example\.com/dev'"):
        parse_checkpoint(signed_body(f"example.com/dev\n42\n{ROOT}\n"), KEY.verifier)
    with pytest.raises(InvalidInputError):
        sign_checkpoint(Checkpoint("example.com/dev", 42, CHECKPOINT.root), KEY)


@pytest.mark.parametrize(
    "body",
    [
        f"example.com/prod\n42\n{ROOT}\nextension\n",
        f"example.com/prod\n42\n{ROOT}\n\n",
        f"example.com/prod\n{ROOT}\n",
        f"example.com/prod\n042\n{ROOT}\n",
        f"example.com/prod\n-1\n{ROOT}\n",
        f"example.com/prod\n+42\n{ROOT}\n",
        f"example.com/prod\n4_2\n{ROOT}\n",
        f"example.com/prod\n\u0664\u0662\n{ROOT}\n",
        f"example.com/prod\n{SIZE_MAX + 1}\n{ROOT}\n",
        f"example.com/prod\n{'9' * 5000}\n{ROOT}\n",
        f"example.com/prod\n42\n{ROOT[:-4]}\n",
        f"example.com/prod\n42\n{ROOT} \n",
        f"example.com/prod\n0\n{ROOT}\n",
        f"\n42\n{ROOT}\n",
        f"example.com prod\n42\n{ROOT}\n",
    ],
)
def test_a_body_of_another_form_is_refused_though_the_key_signed_it(body: str) -> None:
    with pytest.raises(ProofInvalidError):
        parse_checkpoint(signed_body(body), KEY.verifier)


@given(st.data())
def test_no_mutation_of_a_checkpoint_verifies(data: st.DataObject) -> None:
    signed = SIGNED.encode()
    position = data.draw(st.integers(0, len(signed) - 1))
    inserted = data.draw(st.binary(min_size=1, max_size=3))
    for changed in (
        signed[:position],
        signed[:position]
        + bytes([signed[position] ^ (1 << data.draw(st.integers(0, 7)))])
        + signed[position + 1 :],
        signed[:position] + inserted + signed[position:],
        signed[:position] + signed[position + 1 :],
        signed + inserted,
    ):
        if changed == signed:
            continue
        with pytest.raises((ProofInvalidError, KeyUntrustedError)):
            parse_checkpoint(changed, KEY.verifier)


@given(st.binary())
def test_garbage_is_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(ProofInvalidError):
        parse_checkpoint(data, KEY.verifier)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, bytes(32)),
        ("a b", 1, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 1, bytes(31)),
        ("a", 0, bytes(32)),
    ],
)
def test_what_is_no_tree_head_cannot_be_made(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(InvalidInputError):
        Checkpoint(origin, size, root)


def test_the_empty_log_has_a_checkpoint() -> None:
    checkpoint = Checkpoint(KEY.name, 0, EMPTY_ROOT)
    assert (
        parse_checkpoint(sign_checkpoint(checkpoint, KEY), LogVerifier.parse(KEY.verifier.vkey)) == checkpoint
    )
