from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError, LogTamperedError
from carnet.translog.tiles import (
    ENTRIES_LEVEL,
    ENTRY_MAX_BYTES,
    TILE_WIDTH,
    Tile,
    encode_bundle,
    encode_tile,
    entry_bundles,
    hash_tiles,
    in_tree,
    parse_bundle,
    parse_tile,
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(1, 1000, 5), "tile/1/x001/000.p/5"),
        (Tile(63, 999, 255), "tile/63/999.p/255"),
        (Tile(ENTRIES_LEVEL, 5, 1), "tile/entries/005.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(st.integers(-1, 63), st.integers(0, 2**55), st.integers(1, 256))
def test_every_tile_has_one_path(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/001/002",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/data/000",
        "tile/0/../0/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/" + "x001/" * 60 + "001",
    ],
)
def test_what_is_no_path_of_a_tile_is_refused(path: str) -> None:
    with pytest.raises(InvalidInputError):
        Tile.parse(path)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(-2, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_what_is_no_tile_cannot_be_made(level: int, index: int, width: int) -> None:
    with pytest.raises(InvalidInputError):
        Tile(level, index, width)


def test_the_specifications_example_tree_has_its_tiles() -> None:
    tiles = list(hash_tiles(70_000))
    assert sum(tile.level == 0 and tile.width == 256 for tile in tiles) == 273
    assert [tile for tile in tiles if tile.width < 256] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert sum(tile.level == 1 for tile in tiles) == 2
    assert list(hash_tiles(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(hash_tiles(0)) == list(entry_bundles(0)) == []
    assert [tile.width for tile in entry_bundles(600)] == [256, 256, 88]


@given(st.integers(0, 70_000), st.integers(-1, 3), st.integers(0, 300), st.integers(1, 256))
def test_a_tree_has_exactly_the_tiles_that_are_listed(size: int, level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert in_tree(tile, size) is (tile in {*entry_bundles(size), *hash_tiles(size)})


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=TILE_WIDTH))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    assert parse_bundle(encode_bundle(entries), width=len(entries)) == entries


def test_the_longest_entry_fits_and_a_longer_one_does_not() -> None:
    assert parse_bundle(encode_bundle([bytes(ENTRY_MAX_BYTES)]), width=1) == [bytes(ENTRY_MAX_BYTES)]
    with pytest.raises(InvalidInputError, match="65536 bytes"):
        encode_bundle([bytes(ENTRY_MAX_BYTES + 1)])


@pytest.mark.parametrize("count", [0, 257])
def test_a_tile_holds_1_to_256(count: int) -> None:
    with pytest.raises(InvalidInputError):
        encode_bundle([b""] * count)
    with pytest.raises(InvalidInputError):
        encode_tile([bytes(32)] * count)


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=5), st.binary(min_size=1, max_size=5), st.data())
def test_a_bundle_that_is_cut_or_goes_on_is_refused(
    entries: list[bytes], more: bytes, data: st.DataObject
) -> None:
    bundle = encode_bundle(entries)
    cut = data.draw(st.integers(0, len(bundle) - 1))
    for changed in (bundle[:cut], bundle + more):
        with pytest.raises(LogTamperedError):
            parse_bundle(changed, width=len(entries))


def test_a_tile_of_another_length_is_refused() -> None:
    data = encode_tile([bytes(32), bytes(range(32))])
    assert parse_tile(data, width=2) == [bytes(32), bytes(range(32))]
    for changed in (data[:-1], data + b"\0", b""):
        with pytest.raises(LogTamperedError):
            parse_tile(changed, width=2)
    with pytest.raises(InvalidInputError):
        encode_tile([bytes(31)])
