"""Stages as people meet them: moved by hand, with aliases, promoted with approvals, archived by age, audited."""

from __future__ import annotations

from tests.support.bundles import make_bundle_directory


def push(federation, model, tmp_path, *seeds):
    for seed in seeds:
        federation.cli("push", model, str(make_bundle_directory(tmp_path, seed=seed)))


def stages(federation, model, *options):
    listed = federation.cli_json("ls", model, *options)["versions"]
    return {each["reference"].rpartition("@")[2]: each["stage"] for each in listed}


def test_a_version_goes_its_way_and_the_log_verifies(federation, tmp_path):
    model = "dev/staged/scores"
    push(federation, model, tmp_path, 1, 2, 3)
    who = ("--as", "dave")
    federation.cli("stage", f"{model}@2", "candidate", "--reason", "looks good", *who)
    federation.cli("alias", "set", f"{model}@live", "1", *who)
    refused = federation.cli("archive", f"{model}@1", "--reason", "old", *who, check=7)
    assert "once the last one is moved or removed" in refused.stderr
    federation.cli("alias", "set", f"{model}@live", "2", *who)
    assert stages(federation, model) == {"1": "archived", "2": "deployed", "3": "registered"}
    assert stages(federation, model, "--stage", "archived") == {"1": "archived"}

    federation.cli("rollback", f"{model}@live", "--reason-code", "drift", *who)
    assert stages(federation, model) == {"1": "deployed", "2": "archived", "3": "registered"}
    federation.cli("pull", f"{model}@2", "--to", str(tmp_path / "archived"))

    told = federation.cli_json(
        "archive", "--policy", "--dry-run", "dev/staged", "--older-than", "0", "--unused-for", "0", *who
    )
    assert [each["version"]["reference"] for each in told["versions"]] == [f"{model}@3"]
    assert "registered, no alias" in told["versions"][0]["why"]
    federation.cli(
        *("archive", "--policy", "dev/staged", "--older-than", "0", "--unused-for", "0"),
        *("--reason", "cleaning", *who),
    )
    assert stages(federation, model)["3"] == "archived"
    federation.cli("archive", f"{model}@3", "--undo", "--reason", "wanted", *who)
    assert stages(federation, model)["3"] == "registered"

    federation.cli("stage", f"{model}@3", "candidate", "--reason", "no", "--as", "alice", check=4)
    federation.cli("audit", "verify", identity="dave")
