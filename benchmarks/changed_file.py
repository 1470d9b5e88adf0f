"""Whether a version in which one file of many changed moves that file and nothing else.

Exact, and no clock in it: the bytes that the promotion says it moved, and the blobs that the target's store
has and had not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bundles import make_bundle, write_random
from benchmarks.registries import Registries, Transfer, promote
from benchmarks.report import Report, Row
from benchmarks.sizes import KIB, MIB, in_words

if TYPE_CHECKING:
    from pathlib import Path

    import carnet

FILES = 100
FILE_BYTES = 2 * MIB
QUICK_FILE_BYTES = 100 * KIB


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder with room for three times all files."""
    size_bytes = QUICK_FILE_BYTES if quick else FILE_BYTES
    rows: list[Row] = []
    figures = {}
    for transfer in ("pull", "relay"):
        first, second, arrived = _measure(work, transfer, size_bytes)
        figures[transfer] = {
            "first_version_bytes": first.transferred_bytes,
            "second_version_bytes": second.transferred_bytes,
            "second_version_total_bytes": second.total_bytes,
            "blobs_new_at_the_target": arrived,
        }
        rows += [
            Row(
                f"promote ({transfer}): bytes that the promotion moved",
                in_words(second.transferred_bytes),
                in_words(size_bytes),
                second.transferred_bytes / size_bytes,
                held=second.transferred_bytes == second.total_bytes == size_bytes,
            ),
            Row(
                f"promote ({transfer}): bytes new in the target's store",
                in_words(sum(arrived)),
                in_words(size_bytes),
                sum(arrived) / size_bytes,
                held=arrived == [size_bytes],
            ),
        ]
    return Report(
        name="changed_file",
        question=f"One of {FILES} files changed: what moves, against that one file",
        rows=rows,
        figures={"files": FILES, "file_bytes": size_bytes, **figures},
    )


def _measure(
    work: Path, transfer: Transfer, size_bytes: int
) -> tuple[carnet.Promotion, carnet.Promotion, list[int]]:
    names = [f"part-{number:03}.bin" for number in range(FILES)]
    bundle = make_bundle(work / f"bundle-{transfer}", dict.fromkeys(names, size_bytes))
    with Registries(work / transfer, transfer) as registries, registries.client() as client:
        reference = registries.push(bundle)
        registries.evaluate(reference)
        first = promote(client, reference)
        before = registries.stored("staging")
        changed = bundle / names[FILES // 2]
        changed.unlink()
        write_random(changed, size_bytes)
        reference = registries.push(bundle)
        registries.evaluate(reference)
        second = promote(client, reference)
        after = registries.stored("staging")
    return first, second, [after[digest] for digest in after.keys() - before.keys()]
