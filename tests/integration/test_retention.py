"""Retention as people meet it: held, told of, purged, published again, looked after, audited."""

from __future__ import annotations

import pytest
import yaml

from carnet.errors import PermissionDeniedError, PreconditionFailedError, PurgedError
from tests.support.bundles import make_bundle_directory
from tests.support.federation import LocalFederation

MODEL = "dev/purged/scores"
WHO = ("--as", "dave")
TERMS = {
    "retention": {"purge": {"keep_last": 1, "archived_for": "1s", "min_age": "1s"}},
    "quotas": [{"namespaces": ["purged"], "storage": "1MiB"}],
}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """dev and the promotion service; dev's policy lets go what was archived a second ago."""
    federation = LocalFederation(tmp_path_factory.mktemp("retention") / "carnet")
    policy = federation.folder / "environments" / "dev" / "policy.yaml"
    document = yaml.safe_load(policy.read_text(encoding="utf-8"))
    policy.write_text(yaml.safe_dump(document | TERMS), encoding="utf-8")
    federation.sign_documents("dev")
    federation.start("dev", "sync")
    yield federation
    federation.stop()


def reasons(versions):
    return {each.reference.version: (each.purged, each.why) for each in versions}


def test_the_life_of_what_is_purged(federation, tmp_path):
    with federation.client("ci") as ci, federation.client("dave") as dave:
        for seed in (1, 2, 3):
            number = ci.push(MODEL, make_bundle_directory(tmp_path, seed=seed)).reference.version
            dave.set_stage(f"{MODEL}@{number}", "archived", "old")
        hold = dave.place_hold(f"{MODEL}@2", "case 7").hold.hold
        # A second is the shortest that a policy can say.
        while "is kept for 1 s" in str(why := reasons(dave.purge("dev", dry_run=True))):
            pass
        assert [goes for goes, _ in why.values()] == [True, False, False]
        assert [text for _, text in why.values()][1:] == [
            f"hold {hold} is on it",
            "one of the 1 newest archived versions of its model",
        ]
        with pytest.raises(PreconditionFailedError, match=f"is not purged: hold {hold} is on it"):
            dave.purge(f"{MODEL}@2", reason="space")
        with pytest.raises(PermissionDeniedError), federation.client("alice") as alice:
            alice.purge("dev/purged", reason="space")

        told = federation.cli("purge", "dev/purged", "--dry-run", *WHO).stdout
        assert f"{MODEL}@1" in told
        assert "nothing was purged" in told
        done = federation.cli_json("purge", "dev", "--reason", "space", *WHO)["versions"]
        assert [each["purged"] for each in done] == [True, False, False]
        gone = federation.cli("pull", f"{MODEL}@1", "--to", str(tmp_path / "gone"), check=7)
        assert "was purged at" in gone.stderr
        assert "its files are gone" in federation.cli("show", f"{MODEL}@1").stdout

        dave.release_hold(f"{MODEL}@2", hold, "closed")
        assert reasons(dave.purge(f"{MODEL}@2", reason="space"))[2][0]
        with pytest.raises(PurgedError):
            dave.set_stage(f"{MODEL}@1", "registered", "wanted")
        dave.compare(f"{MODEL}@1", f"{MODEL}@3")
        dave.pull(f"{MODEL}@3", tmp_path / "kept")
        assert ci.push(MODEL, make_bundle_directory(tmp_path, seed=1)).reference.version == 4
        dave.pull(f"{MODEL}@4", tmp_path / "again")
    report = federation.cli_json("audit", "verify", "--environment", "dev", identity="dave")
    assert report["ok"], report


def test_a_namespace_beyond_its_quota_is_refused_and_hygiene_tells_of_it(federation, tmp_path):
    for seed, code in ((8, 0), (9, 8)):
        folder = make_bundle_directory(tmp_path, seed=seed)
        (folder / "model.bin").write_bytes(bytes([seed]) * (900 << 10))
        done = federation.cli("push", MODEL, str(folder), check=code)
    assert "of its quota of 1.0 MiB in dev" in done.stderr
    found = federation.cli_json("hygiene", "dev/purged")
    (storage,) = found["storage"]
    assert 0.8 * (1 << 20) < storage["size_bytes"] <= storage["quota_bytes"] == 1 << 20
    assert "storage near its quota" in federation.cli("hygiene", "dev").stdout
