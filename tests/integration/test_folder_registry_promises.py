"""What teams expect who kept their models in a folder: each promise of such a registry, kept by Carnet.

A folder registry registers, stages, promotes, compares, rolls back, purges and verifies: numbered versions with a
manifest beside the artifacts, one pointer with a current and a previous version, and nothing deleted unasked. The
tests speak of it in its own words (current, staged, archived), and do with the client what it did with files.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from carnet.canonical import sha256_hex
from carnet.errors import DataLossError, DigestMismatchError, NotFoundError, PreconditionFailedError
from tests.support.bundles import make_bundle_directory

ARTIFACTS = ("model.bin", "parts/1.bin")
FIRST = {"roc_auc": 0.9939, "recall": 0.9561}
SECOND = {"roc_auc": 0.9854, "recall": 0.9386}


class Store:
    """A model of a test's own in dev, with the operations of a folder registry."""

    def __init__(self, client, model, folder):
        self.client = client
        self.folder = folder
        self.model = model
        self.pointer = f"{model}@champion"

    def version(self, number):
        return f"{self.model}@{number}"

    def register(self, seed, *, metrics=None, **document):
        """Register artifacts; returns the version's number and the folder with the sources."""
        said = [
            {"name": name, "value": value, "direction": "higher_is_better"}
            for name, value in (metrics or FIRST).items()
        ]
        sources = make_bundle_directory(self.folder, seed=seed, metrics=said, **document)
        return self.client.push(self.model, sources).reference.version, sources

    def stage(self, number):
        self.client.set_stage(self.version(number), "candidate", "passed validation")

    def promote(self, number):
        return self.client.set_alias(self.pointer, number)

    def roll_back(self):
        return self.client.rollback(self.pointer, "metric-degradation")

    def current(self):
        return self.client.resolve(self.pointer).reference.version

    def fetch_current(self, name):
        """Fetch the artifacts that the pointer leads to, by name."""
        pulled = self.client.pull(self.pointer, self.folder / name)
        return {path: (pulled.path / path).read_bytes() for path in ARTIFACTS}

    def statuses(self):
        return {each.reference.version: each.stage for each in self.client.versions(self.model)}

    def manifest(self, number):
        return self.client.resolve(self.version(number)).manifest

    def compare(self, before, after):
        found = self.client.compare(self.version(before), self.version(after))
        return {each.name: each.delta for each in found.metrics}

    def verify(self, what):
        return self.client.verify(what)

    def pull(self, number, name):
        return self.client.pull(self.version(number), self.folder / name).path


@pytest.fixture
def store(federation, tmp_path, request):
    name = request.node.name.removeprefix("test_").replace("_", "-")[:50].rstrip("-")
    with federation.client("ci") as client:
        yield Store(client, f"dev/promises/{name}", tmp_path)


def contents(sources):
    return {path: (sources / path).read_bytes() for path in ARTIFACTS}


# --- register -----------------------------------------------------------------------------------------------


def test_the_first_version_is_number_one_and_the_second_is_two(store):
    assert [store.register(seed)[0] for seed in (1, 2)] == [1, 2]


def test_a_manifest_has_the_checksum_of_every_artifact(store):
    number, sources = store.register(1)
    told = {file.path: file.digest for file in store.manifest(number).files}
    assert told == {path: sha256_hex(data) for path, data in contents(sources).items()}


def test_a_manifest_says_when_how_good_and_out_of_what(store):
    number, _ = store.register(1, labels={"data_window": "last_90_days"})
    manifest = store.manifest(number)
    assert {each.name: each.value for each in manifest.metrics} == FIRST
    assert manifest.labels == {"data_window": "last_90_days"}
    assert manifest.lineage.code.commit.endswith("1a")
    (version,) = store.client.versions(store.model)
    assert abs(datetime.now(UTC) - version.created_at) < timedelta(hours=1)
    assert version.stage == "registered"


def test_artifacts_are_copied_and_the_sources_stay_as_they_were(store):
    folder = make_bundle_directory(store.folder, seed=1)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    store.client.push(store.model, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_equal_checksums_show_that_the_weights_did_not_change(store):
    store.register(1)
    again, _ = store.register(1, description="The same weights, described anew.")
    assert again == 2
    first, second = ({file.path: file.digest for file in store.manifest(each).files} for each in (1, 2))
    assert first == second


def test_what_is_registered_is_not_current(store):
    store.register(1)
    with pytest.raises(NotFoundError):
        store.current()


# --- stage --------------------------------------------------------------------------------------------------


def test_a_staged_version_waits_and_is_not_current(store):
    for seed in (1, 2):
        store.register(seed)
    store.promote(1)
    store.stage(2)
    assert store.statuses() == {1: "deployed", 2: "candidate"}
    assert store.current() == 1


# --- promote ------------------------------------------------------------------------------------------------


def test_a_promotion_sets_what_is_current_and_its_status(store):
    store.register(1)
    store.promote(1)
    assert store.current() == 1
    assert store.statuses() == {1: "deployed"}


def test_staging_before_is_optional(store):
    store.register(1)
    store.stage(1)
    store.promote(1)
    store.register(2)
    store.promote(2)
    assert store.current() == 2


def test_a_second_promotion_archives_the_first_version(store):
    for seed in (1, 2):
        store.register(seed)
        store.promote(seed)
    assert store.current() == 2
    assert store.statuses() == {1: "archived", 2: "deployed"}


def test_what_is_current_can_be_fetched_whole(store):
    _, first = store.register(1)
    store.register(2)
    store.promote(1)
    assert store.fetch_current("serving") == contents(first)


def test_the_pointer_tells_what_it_replaced_and_who_moved_it(store):
    for seed in (1, 2):
        store.register(seed)
        store.promote(seed)
    moves = store.client.alias_history(store.pointer)
    assert [(each.old_version, each.new_version) for each in moves] == [(1, 2), (0, 1)]
    assert all(each.actor and each.moved_at for each in moves)


# --- compare ------------------------------------------------------------------------------------------------


def test_comparing_gives_the_change_of_each_metric(store):
    store.register(1, metrics=FIRST)
    store.register(2, metrics=SECOND)
    assert store.compare(1, 2) == pytest.approx({"roc_auc": -0.0085, "recall": -0.0175})
    assert store.compare(2, 1) == pytest.approx({"roc_auc": 0.0085, "recall": 0.0175})


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_comparing_with_a_version_that_there_is_not_is_an_error(store, before, after):
    store.register(1)
    with pytest.raises(NotFoundError, match="no version 2"):
        store.compare(before, after)


# --- roll back ----------------------------------------------------------------------------------------------


def test_a_rollback_restores_the_previous_version_and_archives_the_bad_one(store):
    _, first = store.register(1)
    store.promote(1)
    store.register(2)
    store.promote(2)
    change = store.roll_back()
    assert (change.alias.version, change.rolled_back_version) == (1, 2)
    assert store.current() == 1
    assert store.statuses() == {1: "deployed", 2: "archived"}
    assert store.fetch_current("restored") == contents(first)


def test_after_the_first_promotion_there_is_nothing_to_roll_back_to_and_the_error_says_so(store):
    store.register(1)
    store.promote(1)
    with pytest.raises(PreconditionFailedError, match="nothing to roll back to"):
        store.roll_back()
    assert store.current() == 1


def test_what_was_rolled_back_is_kept_whole(store):
    store.register(1)
    store.promote(1)
    _, second = store.register(2)
    store.promote(2)
    store.roll_back()
    kept = store.pull(2, "kept")
    assert {path: (kept / path).read_bytes() for path in ARTIFACTS} == contents(second)


# --- verify -------------------------------------------------------------------------------------------------


def test_verifying_goes_through_while_all_is_as_it_was(store):
    store.register(1)
    assert store.verify(store.version(1)).file_count == len(ARTIFACTS)
    assert store.verify(store.pull(1, "pulled")).file_count == len(ARTIFACTS)


@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_verifying_notices_a_flipped_byte_of_a_fetched_artifact(store, artifact):
    store.register(1)
    pulled = store.pull(1, "pulled")
    flip(pulled / artifact)
    with pytest.raises(DigestMismatchError, match=artifact):
        store.verify(pulled)


def test_verifying_notices_a_flipped_byte_of_a_stored_artifact(store, federation, request):
    _, sources = store.register(31)
    path = federation.blob_file("dev", sha256_hex((sources / "model.bin").read_bytes()))
    whole = path.read_bytes()
    path.chmod(0o600)
    request.addfinalizer(lambda: path.write_bytes(whole))
    flip(path)
    with pytest.raises(DataLossError):
        store.verify(store.version(1))
    with pytest.raises(DataLossError):
        store.pull(1, "never")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# --- list ---------------------------------------------------------------------------------------------------


def test_listing_has_every_version_with_its_status(store):
    for seed in (1, 2, 3):
        store.register(seed)
    store.promote(1)
    store.promote(2)
    store.stage(3)
    assert store.statuses() == {1: "archived", 2: "deployed", 3: "candidate"}
