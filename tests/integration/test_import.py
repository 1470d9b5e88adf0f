"""A registry that is a folder comes into dev: whole, again, after a kill, and not at all where it is damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from carnet.client.results import ImportReport
from carnet.errors import (
    AlreadyExistsError,
    ConflictError,
    DigestMismatchError,
    DocumentInvalidError,
    GateRefusedError,
    NotFoundError,
    PermissionDeniedError,
    ReferenceInvalidError,
)
from tests.support.federation import CARNET
from tests.support.folder_registry import (
    change_manifest,
    make_folder_store,
    make_folder_version,
    point,
    write_import_document,
)


@pytest.fixture
def folder(tmp_path):
    return make_folder_store(tmp_path / "store")


@pytest.fixture
def document(tmp_path):
    return write_import_document(tmp_path / "import.yaml")


@pytest.fixture
def ci(federation):
    with federation.client("ci") as client:
        yield client


def outcomes(report: ImportReport) -> list[tuple[str, int, str]]:
    return [(each.source, each.reference.version, each.outcome) for each in report.versions]


def test_versions_keep_numbers_checksums_times_status_and_pointer_history(ci, folder, document, tmp_path):
    told = []
    report = ci.import_folder(
        "dev/imports/whole", folder, document=document, alias="live", progress=lambda *each: told.append(each)
    )

    assert outcomes(report) == [(f"v{number}", number, "published") for number in (1, 2, 3)]
    assert {stage: (done, total) for stage, done, total in told} == {
        "hashing": (12000, 12000),
        "sending": (12000, 12000),
    }
    second = ci.resolve("dev/imports/whole@live")
    assert second.reference.version == 2
    assert second.manifest.labels["import_status"] == "production"
    assert second.manifest.labels["import_registered_at"] == "2026-05-02T08:05:47Z"
    history = ci.alias_history("dev/imports/whole@live")
    assert [(move.old_version, move.new_version) for move in reversed(history)] == [(0, 1), (1, 2)]
    assert "current version of the folder store" in history[0].note

    pulled = ci.pull("dev/imports/whole@3", tmp_path / "pulled")
    assert (pulled.path / "model.pkl").read_bytes() == (folder / "v3" / "model.pkl").read_bytes()


def test_a_second_run_changes_nothing_and_a_later_one_brings_what_is_new(ci, federation, folder, document):
    ci.import_folder("dev/imports/again", folder, document=document, alias="live")
    before = federation.changes("dev")

    report = ci.import_folder("dev/imports/again", folder, document=document, alias="live")

    assert outcomes(report) == [(f"v{number}", number, "there already") for number in (1, 2, 3)]
    assert report.alias is not None
    assert report.alias.moves == ()
    assert federation.changes("dev") == before

    make_folder_version(folder, 4, status="production")
    change_manifest(folder / "v2", status="archived")
    point(folder, 4, 2)
    report = ci.import_folder("dev/imports/again", folder, document=document, alias="live")

    assert outcomes(report)[3] == ("v4", 4, "published")
    assert {each.outcome for each in report.versions[:3]} == {"there already"}
    assert ci.alias("dev/imports/again@live").version == 4


def test_an_import_that_is_killed_goes_on_where_it_ended(federation, ci, document, tmp_path):
    folder = make_folder_store(tmp_path / "store", versions=28, current=5, previous=4)
    command = [
        CARNET,
        "import",
        "folder",
        str(folder),
        "--to",
        "dev/imports/killed",
        "--document",
        str(document),
    ]
    environment = os.environ | {"CARNET_DIR": str(federation.folder), "CARNET_IDENTITY": "ci"}

    def published() -> int:
        return federation.query("dev", "SELECT count(*) FROM versions WHERE model = ?", "killed")[0][0]

    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while published() < 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    there = published()
    assert 2 <= there < 28

    report = ci.import_folder("dev/imports/killed", folder, document=document)

    assert [each.outcome for each in report.versions] == [
        *("there already" for _ in range(there)),
        *("published" for _ in range(28 - there)),
    ]
    assert [each.reference.version for each in report.versions] == list(range(1, 29))


def test_an_alias_that_stands_half_way_is_moved_on_and_one_that_a_person_moved_is_left(ci, folder, document):
    model = "dev/imports/halfway"
    ci.import_folder(model, folder, document=document)
    ci.set_alias(f"{model}@first", 1, note="imported: the previous version of the folder store")
    ci.set_alias(f"{model}@second", 1, note="rolled back by hand")
    ci.set_alias(f"{model}@third", 3)

    assert ci.import_folder(model, folder, document=document, alias="first").alias.moves == (2,)
    assert ci.alias(f"{model}@first").version == 2
    for alias in ("second", "third"):
        with pytest.raises(ConflictError, match="somebody moved it here"):
            ci.import_folder(model, folder, document=document, alias=alias)
    assert ci.alias(f"{model}@second").version == 1


def test_an_operator_moves_the_alias_of_what_somebody_else_published(federation, ci, folder, document):
    ci.import_folder("dev/imports/handed", folder, document=document)

    with federation.client("dave") as operator:
        report = operator.import_folder("dev/imports/handed", folder, document=document, alias="live")

    assert report.alias is not None
    assert report.alias.moves == (1, 2)
    assert ci.alias_history("dev/imports/handed@live")[0].actor.endswith("/dave")


def test_a_damaged_file_is_named_and_nothing_is_published(ci, folder, document):
    (folder / "v3" / "model.pkl").write_bytes(b"another model")

    with pytest.raises(DigestMismatchError, match="v3/model.pkl"):
        ci.import_folder("dev/imports/damaged", folder, document=document)
    with pytest.raises(NotFoundError):
        ci.model("dev/imports/damaged")


def test_another_content_under_a_number_is_a_conflict_that_names_it(ci, folder, document, tmp_path):
    ci.import_folder("dev/imports/other", folder, document=document)
    make_folder_version(folder, 4)
    change_manifest(folder / "v2", metrics={"roc_auc": 0.5})

    with pytest.raises(AlreadyExistsError, match="v2 is @2, and differs in metrics"):
        ci.import_folder("dev/imports/other", folder, document=document)
    assert ci.model("dev/imports/other").latest_version == 3


def test_a_dry_run_shows_all_and_changes_nothing(ci, federation, folder, document):
    before = federation.changes("dev")

    report = ci.import_folder("dev/imports/dry", folder, document=document, alias="live", dry_run=True)

    assert report.dry_run
    assert outcomes(report) == [(f"v{number}", number, "to be published") for number in (1, 2, 3)]
    assert report.alias is not None
    assert (report.alias.moves, report.alias.done) == ((1, 2), False)
    assert federation.changes("dev") == before


def test_a_purged_folder_is_refused_or_gets_new_numbers_in_order(ci, document, tmp_path):
    folder = tmp_path / "store"
    for number in (2, 5):
        make_folder_version(folder, number)
    point(folder, 5, 2)
    with pytest.raises(DocumentInvalidError, match="v1, v3, v4"):
        ci.import_folder("dev/imports/purged", folder, document=document)

    report = ci.import_folder("dev/imports/purged", folder, document=document, renumber=True, alias="live")
    assert outcomes(report) == [("v2", 1, "published"), ("v5", 2, "published")]
    assert ci.resolve("dev/imports/purged@live").manifest.labels["import_version"] == "v5"

    make_folder_version(folder, 6)
    report = ci.import_folder("dev/imports/purged", folder, document=document, renumber=True)
    assert outcomes(report) == [
        ("v2", 1, "there already"),
        ("v5", 2, "there already"),
        ("v6", 3, "published"),
    ]


@pytest.mark.parametrize(
    ("reference", "options"),
    [("dev/imports/x@1", {}), ("dev/imports", {}), ("dev/imports/x", {"alias": "No Name"})],
)
def test_a_malformed_name_is_refused_before_anything_is_read(ci, tmp_path, reference, options):
    with pytest.raises(ReferenceInvalidError):
        ci.import_folder(reference, tmp_path / "absent", **options)


def test_the_policy_and_the_roles_of_the_environment_hold_for_an_import_too(
    federation, ci, folder, document, tmp_path
):
    bare = write_import_document(tmp_path / "bare.yaml", owner=None)
    with pytest.raises(GateRefusedError, match="owner"):
        ci.import_folder("dev/imports/refused", folder, document=bare)
    with federation.client("dave") as operator, pytest.raises(PermissionDeniedError):
        operator.import_folder("dev/imports/denied", folder, document=document)


def test_the_command_prints_a_report_and_one_object(federation, folder, document):
    arguments = ("import", "folder", str(folder), "--to", "dev/imports/cli", "--document", str(document))

    dry = federation.cli(*arguments, "--dry-run", "--aliases", "--alias-name", "live")
    assert "to be published" in dry.stdout
    assert "dev/imports/cli@live would be moved to @1, then @2" in dry.stdout
    answer = federation.cli_json(*arguments, "--aliases", "--alias-name", "live")
    assert [each["outcome"] for each in answer["versions"]] == ["published"] * 3
    assert answer["versions"][0]["registered_at"] == "2026-05-01T08:05:47Z"
    assert answer["alias"]["moves"] == [1, 2]
    again = federation.cli(*arguments)
    assert "0 published, 3 there already" in again.stdout
    assert "the log has the time of the import" in again.stdout

    (folder / "v1" / "model.pkl").write_bytes(b"?")
    assert "v1/model.pkl" in federation.cli(*arguments, check=6).stderr
    assert federation.cli_json(*arguments, check=6)["reason"] == "DIGEST_MISMATCH"
