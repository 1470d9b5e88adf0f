from __future__ import annotations

import pytest

from carnet.errors import DigestMismatchError, DocumentInvalidError
from carnet.importing.document import ImportDocument, read_import_document
from carnet.importing.drafts import make_drafts
from carnet.importing.layout import read_store
from carnet.references import parse_reference
from tests.support.folder_registry import make_folder_store, write_import_document

TARGET = parse_reference("dev/risk/fraud")


@pytest.fixture
def folder(tmp_path):
    return make_folder_store(tmp_path / "store")


@pytest.fixture
def document(tmp_path):
    return read_import_document(write_import_document(tmp_path / "import.yaml"))


def test_each_version_gets_a_manifest_under_its_own_number(folder, document):
    told = []

    drafts = make_drafts(read_store(folder), document, TARGET, progress=lambda *each: told.append(each))

    assert [draft.manifest.subject_name for draft in drafts] == [f"dev/risk/fraud@{n}" for n in (1, 2, 3)]
    assert {file.path: file.digest for file in drafts[0].manifest.files} == drafts[0].source.checksums
    assert told[-1] == (12000, 12000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_same_folder_gives_the_same_manifests(folder, document):
    first, second = (make_drafts(read_store(folder), document, TARGET) for _ in range(2))

    assert [draft.manifest.digest for draft in first] == [draft.manifest.digest for draft in second]


def test_every_file_that_is_not_what_its_checksum_says_is_named(folder, document):
    for path in ("v1/model.pkl", "v3/preprocessor.pkl"):
        data = bytearray((folder / path).read_bytes())
        data[7] ^= 1
        (folder / path).write_bytes(data)

    with pytest.raises(DigestMismatchError, match="v1/model.pkl has .*v3/preprocessor.pkl has") as caught:
        make_drafts(read_store(folder), document, TARGET)

    assert caught.value.metadata["files"] == "v1/model.pkl,v3/preprocessor.pkl"


def test_nothing_is_hashed_before_the_document_is_complete(folder):
    with pytest.raises(DocumentInvalidError, match="metric_directions"):
        make_drafts(read_store(folder), ImportDocument(), TARGET, progress=lambda *_: pytest.fail("hashed"))
