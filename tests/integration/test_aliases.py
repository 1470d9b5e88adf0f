"""Rollbacks as the on-call engineer meets them: checked, waited for, and rehearsed, over real processes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carnet.signing.times import format_time
from tests.support.reports import rows

OPERATOR = {"identity": "dave"}


@pytest.fixture
def live(federation, tmp_path, request):
    """A model of the test's own, of which version 2 is live and version 1 was."""
    model = f"aliases/{request.node.name.removeprefix('test_').replace('_', '-')[:40]}"
    digests = {}
    # Contents of its own too, since a blob that was hashed lately is not hashed again.
    first_seed = 10 * len(request.node.name)
    for number in (1, 2):
        reference = federation.publish(tmp_path, model=model, seed=first_seed + number)
        with federation.client("ci") as ci:
            digests[number] = ci.resolve(reference).version.bundle_digest
        federation.cli("alias", "set", f"dev/{model}@champion", str(number), **OPERATOR)
    return f"dev/{model}", digests


def report(federation, model, digest, revision, instance="host-a"):
    return federation.cli_json(
        "alias", "report", f"{model}@champion",
        "--instance", instance, "--digest", digest, "--revision", str(revision),
    )  # fmt: skip


def test_a_rollback_is_done_when_the_hosts_say_so(federation, live):
    model, digests = live
    assert not report(federation, model, digests[2], 2)["drifted"]
    late = federation.cli_json(
        "rollback", model, "--reason-code", "metric-degradation", "--wait", "--timeout", "1s",
        check=5, **OPERATOR,
    )  # fmt: skip
    assert (late["alias"]["version"], late["served"]) == (1, False)
    assert late["alias"]["serving"]["lagging"][0].endswith(" host-a")
    assert late["check"]["blob_count"] > 1
    report(federation, model, digests[1], 3)
    shown = federation.cli_json("alias", "show", f"{model}@champion", "--warm", "2")
    assert shown["alias"]["serving"]["current_count"] == 1
    assert [each["version"] for each in shown["warm"]] == [1]
    refused = federation.cli("rollback", model, "--reason-code", "again", check=7, **OPERATOR)
    assert "nothing to roll back to" in refused.stderr


def test_an_auditor_sees_what_hosts_said_beside_what_the_alias_pointed_at(federation, live, tmp_path):
    model, digests = live
    report(federation, model, digests[1], 1)
    report(federation, model, digests[2], 2, "host-b")
    at, out = format_time(datetime.now(UTC)), tmp_path / "at.json"
    federation.cli("audit", "at", at, f"{model}@champion", "--out", str(out), **OPERATOR)
    assert [each["version"].rpartition("@")[2] for each in rows(out, "live")] == ["2"]
    assert [each["version"].rpartition("@")[2] for each in rows(out, "running")] == ["1", "2"]
    federation.cli("audit", "verify", "--environment", "dev", **OPERATOR)


def test_a_damaged_version_is_not_rolled_back_to(federation, live):
    model, _ = live
    with federation.client("ci") as ci:
        first, second = (
            {file.digest for file in ci.resolve(f"{model}@{number}").manifest.files} for number in (1, 2)
        )
    digest = min(first - second)
    path = federation.blob_file("dev", digest)
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(b"\0" * len(whole))
    try:
        refused = federation.cli_json("rollback", model, "--reason-code", "test", check=6, **OPERATOR)
    finally:
        path.write_bytes(whole)
    assert refused["reason"] == "DATA_LOSS"
    assert refused["metadata"]["digest"] == digest
    assert (
        federation.cli_json("rollback", model, "--reason-code", "test", **OPERATOR)["alias"]["version"] == 1
    )


def test_a_drill_and_a_drift_are_in_a_log_that_still_verifies(federation, live):
    model, digests = live
    drill = federation.cli_json("rollback", model, "--drill", "--note", "monthly", **OPERATOR)
    assert (drill["drilled_version"], drill["alias"]["version"]) == (1, 2)
    history = federation.cli_json("alias", "history", f"{model}@champion")["moves"]
    assert [each["kind"] for each in history] == ["drilled", "drilled", "set", "set"]
    assert federation.cli_json("alias", "show", f"{model}@champion")["alias"]["last_drill_at"]
    assert report(federation, model, "9" * 64, 2, instance="host-b")["drifted"]
    assert report(federation, model, digests[2], 4)["drifted"] is False
    stale = federation.cli_json("alias", "stale", "dev/aliases", "--days", "0")["stale"]
    assert f"{model}@champion" in {each["alias"]["reference"] for each in stale}
    federation.cli("audit", "verify", identity="dave")


def test_what_is_marked_is_where_a_rollback_can_be_sent_and_the_log_verifies(federation, live):
    model, digests = live
    marked = federation.cli_json("alias", "mark", f"{model}@champion", "1", "--note", "quiet", **OPERATOR)
    assert (marked["alias"]["marked_version"], marked["receipt"]["type"]) == (1, "alias.marked")
    never = federation.cli("alias", "mark", f"{model}@champion", "3", check=7, **OPERATOR)
    assert "never pointed at version 3" in never.stderr
    assert "marked as known-good for alias champion since" in federation.cli("show", f"{model}@1").stdout
    shown = federation.cli_json("alias", "show", f"{model}@champion", "--warm", "2")
    assert (shown["alias"]["marked_version"], shown["alias"]["mark_note"]) == (1, "quiet")
    assert [each["bundle_digest"] for each in shown["warm"]] == [digests[2], digests[1]]
    done = federation.cli_json("rollback", model, "--reason-code", "drift", "--to-mark", **OPERATOR)
    assert done["alias"]["version"] == 1
    again = federation.cli("rollback", model, "--reason-code", "drift", "--to-mark", check=7, **OPERATOR)
    assert "which is the marked one" in again.stderr
    federation.cli("alias", "mark", f"{model}@champion", "1", identity="alice", check=4)
    federation.cli("alias", "mark", f"{model}@champion", "--clear", **OPERATOR)
    federation.cli("audit", "verify", "--environment", "dev", identity="dave")
