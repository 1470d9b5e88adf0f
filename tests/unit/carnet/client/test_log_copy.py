"""A copy that is made from an earlier one fetches only what that lacks, and is the same copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.export import ExportWriter
from carnet.audit.held import HeldCopy
from carnet.audit.layout import files_below
from carnet.client.log_copy import LogCopy, copy_environment
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copy(federation: Any, client: Any, tmp_path: Path):
    """Copy dev's log into a folder, beginning with what is held there if that is wanted.

    Returns the files of the copy, and which calls it took.
    """

    async def run(name: str, *, held: bool) -> tuple[dict[str, bytes], list[str]]:
        place = tmp_path / name / "dev"
        export = ExportWriter(tmp_path / name).environment("dev")
        before = len(federation.dev.calls)
        earlier = HeldCopy(place) if held else None
        await copy_environment(LogCopy(client._registry("dev"), export, held=earlier, manifests=True), export)
        files = {path: (place / path).read_bytes() for path in files_below(place)}
        return files, federation.dev.calls[before:]

    return run


async def test_nothing_is_fetched_twice(federation, fraud, copy):
    first, calls = await copy("one", held=True)
    assert "ListEntries" in calls
    assert {"BatchGetDocuments", "GetVersion"} <= set(calls)
    assert f"bundles/{fraud.digest}.json" in first
    again, calls = await copy("one", held=True)
    assert again == first
    assert calls == ["GetCheckpoint"]


async def test_what_is_new_is_added_and_the_copy_is_as_a_whole_one(federation, fraud, copy, tmp_path):
    await copy("one", held=True)
    for number in range(300):
        federation.dev.log.append(EntryType.ALIAS_REMOVED, {"alias": f"a{number}"})
    grown, calls = await copy("one", held=True)
    whole, _ = await copy("two", held=False)
    assert grown == whole
    assert "BatchGetDocuments" not in calls


@pytest.mark.parametrize("break_it", ["checkpoint", "entries", "document"])
async def test_what_is_damaged_is_fetched_again(federation, fraud, copy, tmp_path, break_it):
    first, _ = await copy("one", held=True)
    place = tmp_path / "one" / "dev"
    begins = {"checkpoint": "checkpoint", "entries": "tile/entries", "document": "envelopes/"}[break_it]
    path = next(each for each in first if each.startswith(begins))
    (place / path).write_bytes(b"damaged")
    again, _ = await copy("one", held=True)
    assert again == first


async def test_a_log_that_shrank_is_fetched_whole(federation, fraud, copy, tmp_path):
    for number in range(3):
        federation.dev.log.append(EntryType.ALIAS_REMOVED, {"alias": f"a{number}"})
    await copy("one", held=True)
    del federation.dev.log.entries[2:]
    _, calls = await copy("one", held=True)
    assert "ListEntries" in calls
    assert HeldCopy(tmp_path / "one" / "dev").size == 2


async def test_a_document_that_an_entry_calls_erased_is_not_kept(federation, fraud, copy):
    first, _ = await copy("one", held=True)
    documents = {path.removeprefix("envelopes/") for path in first if path.startswith("envelopes/")}
    erased = min(documents - {fraud.digest})
    federation.dev.log.append(EntryType.DOCUMENT_ERASED, {"document": erased}, new="person-request")
    federation.dev.log.documents.pop(erased)
    again, calls = await copy("one", held=True)
    assert f"envelopes/{erased}" not in again
    assert "BatchGetDocuments" in calls


@pytest.mark.parametrize("said", [True, False])
async def test_a_copy_knows_whether_documents_are_missing_without_a_word(
    federation, client, fraud, tmp_path, said
):
    log = federation.dev.log
    missing = next(iter(log.documents))
    log.documents.pop(missing)
    if said:
        log.append(EntryType.DOCUMENT_ERASED, {"document": missing}, new="person-request")
    export = ExportWriter(tmp_path).environment("dev")
    made = LogCopy(client._registry("dev"), export)
    await copy_environment(made, export)
    assert made.lacks_documents is not said
