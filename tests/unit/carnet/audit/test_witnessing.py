"""What is exported as witnessed, damaged in every way: it is found, or nothing is final by it; never a crash."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.audit.pins import EnvironmentPins
from carnet.audit.report import Verdict
from carnet.audit.verified_tiles import VerifiedTiles
from carnet.audit.witnessing import LogHead, read_witnessing
from carnet.signing.keys import SigningKey
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.cosignature import cosign_checkpoint
from carnet.translog.keys import KeyType, LogKey
from carnet.translog.tile_builder import TileBuilder
from carnet.translog.tree import leaf_hash, root_of
from tests.support.fuzzing import examples

SIZE, WITNESSED = 300, 280
LOG = LogKey.generate("example.com/dev")
WITNESSES = [
    LogKey.generate(f"example.com/witness/{name}", key_type=KeyType.COSIGNATURE_V1) for name in ("one", "two")
]
PINS = EnvironmentPins(
    "dev",
    LOG.verifier.vkey,
    (SigningKey.generate().verification_key.pem,),
    witnesses="\n".join(
        [
            *(f"witness {index} {key.verifier.vkey}" for index, key in enumerate(WITNESSES)),
            "group both all 0 1",
            "quorum both",
        ]
    ),
)
LEAVES = [leaf_hash(str(index).encode()) for index in range(SIZE)]


def head_at(size):
    return Checkpoint(LOG.name, size, root_of(LEAVES[:size]))


def witnessed_at(size, *, root=None, log=LOG, by=WITNESSES):
    text = sign_checkpoint(Checkpoint(log.name, size, root or root_of(LEAVES[:size])), log)
    for key in by:
        text = cosign_checkpoint(text, log.verifier, key, timestamp=1_772_000_000)
    return text


GOOD = witnessed_at(WITNESSED).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A log's tiles."""
    place = tmp_path_factory.mktemp("dev")
    builder = TileBuilder()
    written = [each for leaf in LEAVES for each in builder.append(leaf)] + builder.partial_tiles()
    for tile, data in written:
        path = place / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return place


def judge(place, data):
    """Return how much is final, and what was found."""
    path = place / "checkpoint.witnessed"
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)
    head = head_at(SIZE)
    found = read_witnessing(place, PINS)
    final_size = found.finish(LogHead(head, sign_checkpoint(head, LOG), None), VerifiedTiles(place, head))
    return final_size, {each.verdict for each in found.findings}


def test_what_is_whole_is_final_as_far_as_it_goes(place):
    assert judge(place, GOOD) == (WITNESSED, set())
    assert judge(place, witnessed_at(SIZE).encode()) == (SIZE, set())


LINES = GOOD.split(b"\n")
DAMAGED = {
    "nothing": (b"", Verdict.TAMPERED),
    "missing": (None, Verdict.INCOMPLETE),
    "cut in half": (GOOD[: len(GOOD) // 2], Verdict.TAMPERED),
    "without its end": (GOOD[:-1], Verdict.TAMPERED),
    "with bytes behind it": (GOOD + b"x", Verdict.TAMPERED),
    "twice": (GOOD * 2, Verdict.TAMPERED),
    "not text": (b"\xff" + GOOD, Verdict.TAMPERED),
    "one entry more": (GOOD.replace(b"\n280\n", b"\n281\n"), Verdict.TAMPERED),
    "one entry less": (GOOD.replace(b"\n280\n", b"\n279\n"), Verdict.TAMPERED),
    "twice as large": (GOOD.replace(b"\n280\n", b"\n560\n"), Verdict.TAMPERED),
    "of another log": (GOOD.replace(b"example.com/dev\n", b"example.com/pro\n"), Verdict.TAMPERED),
    "with lines swapped": (b"\n".join([LINES[1], LINES[0], *LINES[2:]]), Verdict.TAMPERED),
    "without the log's signature": (b"\n".join([*LINES[:4], *LINES[5:]]), Verdict.CANNOT_VERIFY),
    "without a witness": (b"\n".join([*LINES[:5], *LINES[6:]]), Verdict.INCOMPLETE),
    "by one witness twice": (b"\n".join([*LINES[:5], LINES[5], LINES[5], LINES[7]]), Verdict.INCOMPLETE),
    "by another key of its name": (
        witnessed_at(WITNESSED, log=LogKey.generate(LOG.name)).encode(),
        Verdict.CANNOT_VERIFY,
    ),
    "of a larger tree": (witnessed_at(SIZE + 1, root=b"\1" * 32).encode(), Verdict.TAMPERED),
    "of another tree": (witnessed_at(WITNESSED, root=b"\1" * 32).encode(), Verdict.TAMPERED),
    "of another tree, and by nobody": (witnessed_at(5, root=b"\1" * 32, by=[]).encode(), Verdict.TAMPERED),
    "far too long": (GOOD + b"x" * 2_000_000, Verdict.TAMPERED),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_damaged_is_found(place, damage):
    data, verdict = DAMAGED[damage]
    assert judge(place, data) == (0, {verdict})


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_no_bit_can_be_flipped(place, at, bit):
    data = GOOD[:at] + bytes([GOOD[at] ^ (1 << bit)]) + GOOD[at + 1 :]
    final_size, verdicts = judge(place, data)
    assert final_size == 0
    assert verdicts
