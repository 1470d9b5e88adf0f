"""The runbook of a compromised key, with the real commands: revoke it, see what it touched, be refused."""

from __future__ import annotations

import time

import pytest

from carnet.client.federation import Federation
from tests.support.federation import LocalFederation


@pytest.fixture
def federation(tmp_path):
    federation = LocalFederation(tmp_path / "carnet")
    federation.start("dev", "staging", "sync")
    yield federation
    federation.stop()


def wait_until_revoked(federation, environment, key):
    """A registry takes its trust document within seconds."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        rows = federation.query(environment, "SELECT entry FROM log_entries")
        if sum(b'"type":"trust.changed"' in bytes(entry) for (entry,) in rows) > 1:
            return
        time.sleep(0.1)
    raise AssertionError(f"{environment} did not take the revocation of {key}")


def test_a_compromised_key_is_revoked_traced_and_admitted_no_more(federation, tmp_path):
    first = federation.publish(tmp_path / "first")
    assert federation.to_staging(first, alias="champion").state == "SUCCEEDED"
    second = federation.publish(tmp_path / "second", seed=2)
    federation.evaluate(second)
    key = Federation.load(federation.folder).identity("ci").signing_key().key_id

    before = federation.cli("identity", "uses", key, "--environment", "staging", identity="dave")
    assert "1 version, 1 of them live, behind the aliases risk/fraud@champion" in before.stdout
    since = ("--since", "2026-01-31T08:00Z")
    revoked = federation.cli("identity", "revoke", "--key", key, "--reason", "the laptop was stolen", *since)
    assert f"carnet identity uses {key} --environment staging" in revoked.stdout
    wait_until_revoked(federation, "staging", key)

    found = federation.cli_json("identity", "uses", key, "--environment", "staging", identity="dave", check=5)
    assert {(each["kind"], each["since_compromise"], each["live"]) for each in found["uses"]} == {
        ("bundle", True, True),
        ("request", True, True),
    }
    assert found["summary"]["compromised_live_versions"] == ["staging/risk/fraud@1"]
    refused = federation.cli(
        "promote", str(second), "--to", "staging", "--wait", "--timeout", "30s", identity="alice", check=None
    )
    said = " ".join((refused.stdout + refused.stderr).split())
    assert refused.returncode not in (0, 1)
    assert "compromised since 2026-01-31 08:00 UTC" in said
    assert federation.cli_json("identity", "uses", "ci", "--environment", "staging", identity="dave", check=5)
    denied = federation.cli("identity", "uses", key, "--environment", "staging", identity="ci", check=4)
    assert "ListKeyUses" in denied.stderr or "not allowed" in denied.stderr or "auditor" in denied.stderr
