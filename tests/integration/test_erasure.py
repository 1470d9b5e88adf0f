"""Erasing as people meet it, over real processes: refused while it is needed, done, shown, exported, audited."""

from __future__ import annotations

import json

import pytest
import yaml

from carnet.errors import MustBeKeptError, PermissionDeniedError
from tests.support.federation import LocalFederation

ADMIN = "spiffe://carnet.internal/person/dave"
TEXT = "Jane Doe of branch 12 asked for it"
SHIPPED = "erase: {notes_after: 30d, statements_after: 2557d}"
TERMS = "erase: {notes_after: 1s, statements_after: 1s}"
ERASE = ("audit", "erase", "prod")
WHY = ("--reason-code", "person-request")


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation in which dave administers prod, whose policy keeps notes and words for a second."""
    federation = LocalFederation(tmp_path_factory.mktemp("erasure") / "carnet")
    place = federation.folder / "environments" / "prod"
    policy = (place / "policy.yaml").read_text(encoding="utf-8")
    assert SHIPPED in policy
    (place / "policy.yaml").write_text(policy.replace(SHIPPED, TERMS), encoding="utf-8")
    trust = yaml.safe_load((place / "trust.yaml").read_text(encoding="utf-8"))
    next(each for each in trust["roles"] if each["subject"] == ADMIN)["roles"].append("admin")
    (place / "trust.yaml").write_text(yaml.safe_dump(trust), encoding="utf-8")
    federation.sign_documents("prod")
    federation.start()
    yield federation
    federation.stop()


@pytest.fixture(scope="module")
def promotion(federation, tmp_path_factory):
    """A promotion to prod that bob and carol approved, and that was admitted."""
    reference = federation.publish(tmp_path_factory.mktemp("bundle"))
    federation.to_staging(reference)
    staged = f"staging/risk/fraud@{reference.version}"
    federation.test_integration(staged)
    federation.smoke_test(staged)
    with federation.client("ci") as ci:
        asked = ci.promote(staged, "prod")
        federation.wait_for_dossier(ci, asked.id)
        for name in ("bob", "carol"):
            with federation.client(name) as approver:
                approver.approve(asked.id, TEXT, target="prod")
        assert str(ci.wait(asked.id, timeout=60).state) == "SUCCEEDED"
    return asked.id


def erased(federation, digest):
    """Erase a document, once the second is over for which the policy keeps it."""
    while True:
        done = federation.cli(*ERASE, digest, *WHY, "-o", "json", identity="dave", check=None)
        answer = json.loads(done.stdout)
        if done.returncode == 0:
            return answer
        assert answer["metadata"].get("because") == "window", answer


def test_words_and_notes_are_erased_and_everything_still_verifies(federation, promotion, tmp_path):
    with federation.client("bob") as bob:
        digests = [each.digest for each in bob.admission(promotion, target="prod").approvals]
        with pytest.raises(PermissionDeniedError):
            bob.erase_document("prod", digests[0], "person-request")
    assert len(digests) == 2
    for digest in digests:
        assert not erased(federation, digest)["erased_before"]
    assert erased(federation, digests[0])["erased_before"]
    shown = federation.cli("approve", promotion, "--show", "--target", "prod", identity="bob", check=None)
    assert TEXT not in shown.stdout

    with federation.client("dave") as dave:
        said = dave.admission(promotion, target="prod").approvals
        assert [(each.erased, each.signer, each.reason) for each in said] == [(True, "", "(erased)")] * 2
        placed = dave.place_hold("prod/risk/fraud", TEXT)
        index = placed.receipt.receipt.index
        with pytest.raises(MustBeKeptError) as caught:
            dave.erase_document("prod", dave.entry_note("prod", index), "person-request")
        assert caught.value.metadata["because"] == "hold"
        dave.release_hold("prod/risk/fraud", placed.hold.hold, "closed")
        digest = dave.entry_note("prod", index)
    assert erased(federation, digest)["digest"] == digest
    again = federation.cli(*ERASE, "--entry", str(index), *WHY, identity="dave").stdout
    assert "was erased before" in again
    assert "(erased)" in federation.cli("hold", "ls", "prod", "--all", identity="dave").stdout
    lineage = federation.cli("lineage", "prod/risk/fraud@1", identity="dave").stdout
    assert "approved" in lineage
    assert TEXT not in lineage

    told = federation.cli_json("audit", "verify", identity="dave")
    assert told["ok"]
    assert {each["digest"] for each in told["erasures"]} == {*digests, digest}
    assert told["environments"]["prod"]["erased"] == 3
    federation.cli("audit", "export", str(tmp_path / "export"), identity="dave")
    for file in (tmp_path / "export").rglob("*"):
        assert not file.is_file() or TEXT.encode() not in file.read_bytes()
    offline = federation.cli("audit", "verify", "--offline", str(tmp_path / "export"), identity="dave").stdout
    assert "the audit found nothing wrong" in offline
    assert "ERASED" in offline
    assert "not verified" in offline
    database = federation.database("prod")
    for file in database.parent.iterdir():
        if file.name.startswith(database.name):
            assert TEXT.encode() not in file.read_bytes(), file


def test_a_policy_is_never_erased(federation, promotion):
    done = federation.cli(*ERASE, "--entry", "1", *WHY, identity="dave", check=7)
    assert "must be kept: entry 1, policy.changed, rests on it" in done.stderr
    assert "name the document by its DIGEST" in federation.cli(*ERASE, *WHY, identity="dave", check=2).stderr
