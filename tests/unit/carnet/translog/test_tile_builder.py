from __future__ import annotations

import pytest

from carnet.errors import InvalidInputError
from carnet.translog.tile_builder import TileBuilder
from carnet.translog.tiles import Tile, encode_tile, hash_tiles, parse_tile
from carnet.translog.tree import leaf_hash, root_of

HASHES = [leaf_hash(b"%d" % index) for index in range(66_000)]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 65_535, 65_536, 66_000])
def test_the_tiles_are_those_of_the_tree_and_hold_the_roots_of_their_subtrees(size: int) -> None:
    builder = TileBuilder()
    tiles: dict[Tile, bytes] = {}
    for value in HASHES[:size]:
        tiles |= dict(builder.append(value))
    tiles |= dict(builder.partial_tiles())
    assert set(tiles) == set(hash_tiles(size))
    for tile, data in tiles.items():
        span = 256**tile.level
        first = tile.first_index * span
        expected = [
            root_of(HASHES[first + n * span : first + (n + 1) * span]) for n in range(min(tile.width, 2))
        ]
        assert parse_tile(data, width=tile.width)[: len(expected)] == expected


def test_partial_tiles_can_be_had_at_any_size() -> None:
    builder = TileBuilder()
    builder.append(HASHES[0])
    assert builder.partial_tiles() == [(Tile(0, 0, 1), HASHES[0])]
    builder.append(HASHES[1])
    assert builder.partial_tiles() == [(Tile(0, 0, 2), encode_tile(HASHES[:2]))]


def test_a_hash_of_another_length_is_refused() -> None:
    builder = TileBuilder()
    builder.append(b"short")
    with pytest.raises(InvalidInputError):
        builder.partial_tiles()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_535, 65_536, 66_000])
def test_whole_tiles_at_once_give_the_tree_of_its_leaves_one_by_one(size: int) -> None:
    builder, one_by_one = TileBuilder(), TileBuilder()
    tiles = [each for at in range(0, size, 256) for each in builder.extend(HASHES[at : min(at + 256, size)])]
    assert tiles == [each for value in HASHES[:size] for each in one_by_one.append(value)]
    assert builder.size == size
    assert builder.root() == root_of(HASHES[:size])
    assert builder.partial_tiles() == one_by_one.partial_tiles()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 65_536, 65_700])
def test_a_tree_goes_on_from_its_right_edge(size: int) -> None:
    builder = TileBuilder()
    builder.extend(HASHES[:size])
    again = TileBuilder(builder.size, builder.right_edge)
    assert again.root() == builder.root()
    assert again.root(HASHES[size : size + 10]) == root_of(HASHES[: size + 10])
    again.extend(HASHES[size : size + 299])
    assert again.root() == root_of(HASHES[: size + 299])


@pytest.mark.parametrize(
    ("size", "edge"),
    [(-1, []), (1, []), (2, [[HASHES[0]]]), (0, [[HASHES[0]]]), (256, [[]]), (1, [[b"short"]])],
)
def test_what_is_no_right_edge_is_refused(size: int, edge: list[list[bytes]]) -> None:
    with pytest.raises(InvalidInputError):
        TileBuilder(size, edge)
