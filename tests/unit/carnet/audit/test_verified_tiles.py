from __future__ import annotations

import hashlib

import pytest

from carnet.audit.verified_tiles import VerifiedTiles
from carnet.errors import CarnetError, InvalidInputError
from carnet.translog.checkpoint import Checkpoint
from carnet.translog.tile_builder import TileBuilder
from carnet.translog.tree import Frontier

SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_100]


def leaves(size):
    return (hashlib.sha256(index.to_bytes(8, "big")).digest() for index in range(size))


def written(directory, size):
    """The tiles of a log, its tree head, and the roots of its beginnings as a naive pass has them."""
    builder, frontier, roots = TileBuilder(), Frontier(), [Frontier().root()]

    def write(tile, data):
        path = directory / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    for value in leaves(size):
        for tile, data in builder.append(value):
            write(tile, data)
        frontier.append(value)
        roots.append(frontier.root())
    for tile, data in builder.partial_tiles():
        write(tile, data)
    return VerifiedTiles(directory, Checkpoint("example.com/log", size, roots[-1])), roots


@pytest.mark.parametrize("size", SIZES)
def test_every_root_is_what_hashing_all_entries_gives(tmp_path, size):
    tiles, roots = written(tmp_path, size)
    wanted = {each for edge in SIZES for each in (edge - 1, edge, edge + 1) if 0 <= each <= size}
    wanted |= set(range(0, size, 997)) | set(range(min(size, 600)))
    assert {each: tiles.root(each) for each in sorted(wanted)} == {each: roots[each] for each in wanted}
    with pytest.raises(InvalidInputError):
        tiles.root(size + 1)


@pytest.mark.parametrize("size", [70, 256, 600, 65_537])
def test_no_tile_is_believed_that_does_not_lead_to_the_signed_root(tmp_path, size):
    """Each tile in turn is changed by a bit, cut, or gone: a root is right then, or is not given."""
    _, roots = written(tmp_path, size)
    head = Checkpoint("example.com/log", size, roots[-1])
    paths = [each for each in sorted(tmp_path.rglob("*")) if each.is_file()]
    chosen = paths if len(paths) < 8 else [*paths[:2], *paths[-4:]]
    for path in chosen:
        data = path.read_bytes()
        for damaged in (bytes([data[0] ^ 1]) + data[1:], data[:-1] + bytes([data[-1] ^ 1]), data[:-32], None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            refused = 0
            tiles = VerifiedTiles(tmp_path, head)
            for wanted in {1, 3, 300, 65_500, size // 2, size - 1, size, 255, 256} & set(range(size + 1)):
                try:
                    assert tiles.root(wanted) == roots[wanted]
                except CarnetError:
                    refused += 1
            assert refused, f"{path.name} was not looked at"
            path.write_bytes(data)


def test_a_tree_of_another_root_is_refused(tmp_path):
    _, roots = written(tmp_path, 300)
    with pytest.raises(CarnetError, match="do not lead to the signed root"):
        VerifiedTiles(tmp_path, Checkpoint("example.com/log", 300, roots[299])).root(10)
