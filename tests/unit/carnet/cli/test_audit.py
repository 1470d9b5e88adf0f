"""audit verify and audit export."""

from __future__ import annotations

import shutil

import pytest

from carnet.translog.entry import EntryType


@pytest.fixture
def export(carnet, fraud, tmp_path):
    ran = carnet("audit", "export", tmp_path / "export")
    assert ran.code == 0
    assert f"carnet audit verify --offline {tmp_path / 'export'}" in ran.out
    return tmp_path / "export"


def test_an_audit_that_finds_nothing(carnet, fraud):
    ran = carnet("audit", "verify")
    assert ran.code == 0
    assert "found nothing wrong" in ran.out
    answer = carnet("audit", "verify", "-o", "json").json
    assert answer["ok"] is True
    assert answer["environments"]["dev"]["published"] == 1


def test_an_edited_log_is_exit_code_6_with_the_verdict(carnet, federation, fraud):
    entries = federation.dev.log.entries
    assert carnet("audit", "verify").code == 0
    entries[0] = entries[0].replace(b"service/ci", b"service/xx")
    ran = carnet("audit", "verify")
    assert ran.code == 6
    assert "TAMPERED" in ran.out
    answer = carnet("audit", "verify", "-o", "json").json
    assert answer["ok"] is False
    assert "tampered" in {each["verdict"] for each in answer["findings"]}


def test_offline_with_pins_needs_no_server_and_no_federation(run, federation, export, tmp_path):
    pins = shutil.copy(federation.folder / "federation.yaml", tmp_path / "pins.yaml")
    federation.stop()
    ran = run("--dir", tmp_path / "nowhere", "audit", "verify", "--offline", export, "--trust", pins)
    assert ran.code == 0
    assert run("--dir", federation.folder, "audit", "verify", "--offline", export).code == 0


def test_an_export_that_was_tampered_with_is_exit_code_6(carnet, export):
    envelope = next((export / "dev" / "envelopes").iterdir())
    envelope.write_bytes(envelope.read_bytes() + b" ")
    assert carnet("audit", "verify", "--offline", export).code == 6


def test_what_cannot_be_verified_says_so(carnet, federation, export):
    pins = (federation.folder / "federation.yaml").read_text()
    (export.parent / "pins.yaml").write_text(pins.replace("  prod:", "  other:"))
    ran = carnet("audit", "verify", "--offline", export, "--trust", export.parent / "pins.yaml")
    assert ran.code == 6
    assert "CANNOT VERIFY" in ran.out
    assert "not everything could be verified" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--offline", "nowhere"), 2),
        (("--trust", "nowhere.yaml"), 2),
        (("--offline", ".", "--environment", "dev"), 2),
        (("--environment", "nowhere"), 3),
    ],
)
def test_malformed_input(carnet, fraud, arguments, code):
    assert carnet("audit", "verify", *arguments).code == code


def test_only_some_environments(carnet, federation, fraud):
    federation.servers["prod"].stop(None).wait()
    assert carnet("audit", "verify", "--environment", "dev", "--environment", "staging").code == 0
    assert carnet("audit", "verify").code == 8


def test_an_audit_that_goes_on_says_from_where(carnet, fraud, federation):
    assert carnet("audit", "verify").code == 0
    federation.dev.log.append(EntryType.ALIAS_REMOVED, {"alias": "challenger"})
    ran = carnet("audit", "verify", "--continue")
    assert ran.code == 0
    assert "dev: entries from 3 on; those before by an earlier audit" in ran.out
    kept = federation.folder / "verified" / "dev.state.json"
    kept.write_text("damaged")
    ran = carnet("audit", "verify", "--continue")
    assert ran.code != 0
    assert "kept state of dev is damaged" in ran.err


def test_an_export_is_gone_on_from_without_a_federation(carnet, fraud, run, federation, tmp_path):
    carnet("audit", "export", tmp_path / "export")
    pins = federation.folder / "federation.yaml"
    options = ("--offline", tmp_path / "export", "--trust", pins, "--verified", tmp_path / "verified")
    nowhere = ("--dir", tmp_path / "nowhere")
    ran = run(*nowhere, "audit", "verify", *options, "--continue")
    assert ran.code == 0
    assert "no earlier audit left a state" in ran.out
    answer = run(*nowhere, "audit", "verify", *options, "--continue", "-o", "json").json
    assert answer["notes"] == []
    assert answer["environments"]["dev"]["verified_from"] == 3
