"""`carnet document sign` and `verify`: what is shown and signed, what is kept, and what suffices."""

from __future__ import annotations

import json

import pytest
import yaml

from carnet.cli.exit_codes import ExitCode
from carnet.cli.main import main
from carnet.signing.keys import SigningKey

POLICY = "schema: carnet.policy/v1\nenvironment: prod\nversion: {version}\nsources: [staging]\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a policy, the keys of three people, and the environment that names two of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY.format(version=3))
    keys = {name: SigningKey.generate() for name in ("bob", "carol", "mallory")}
    for name, key in keys.items():
        key.save(tmp_path / f"{name}.pem")
    signers = [{"person": name, "pem": keys[name].verification_key.pem} for name in ("bob", "carol")]
    environment = {"name": "prod", "documents": {"signatures": 2, "signers": signers}}
    (tmp_path / "environment.yaml").write_text(yaml.safe_dump(environment))
    return tmp_path


def run(capsys, *arguments, code=ExitCode.DONE):
    assert main(list(arguments)) == code
    return capsys.readouterr()


def sign(capsys, name, *more, code=ExitCode.DONE, environment="prod"):
    arguments = ("policy.yaml", "--environment", environment, "--key", f"{name}.pem", "--yes")
    return run(capsys, "document", "sign", *arguments, *more, code=code)


def verify(capsys, *, code=ExitCode.DONE):
    arguments = ("policy.yaml", "--environment-file", "environment.yaml", "-o", "json")
    return json.loads(run(capsys, "document", "verify", *arguments, code=code).out.splitlines()[0])


def test_what_is_signed_is_shown_first(files, capsys):
    page = sign(capsys, "bob").out
    assert [word in page for word in ("prod", "policy.yaml", "version", "3", "digest")] == [True] * 5
    assert page.index("version") < page.index("signed:")


def test_two_people_suffice_and_each_signature_is_a_line(files, capsys):
    sign(capsys, "bob")
    sign(capsys, "carol")
    answer = verify(capsys)
    assert answer["suffices"]
    assert [each["person"] for each in answer["signed"]] == ["bob", "carol"]
    assert len((files / "policy.yaml.intoto.jsonl").read_bytes().splitlines()) == 2
    page = run(capsys, "document", "verify", "policy.yaml", "--environment-file", "environment.yaml").out
    assert "signed by enough people: 2, 2 are wanted" in page


@pytest.mark.parametrize("names", [[], ["bob"], ["bob", "bob"], ["bob", "mallory"]])
def test_too_few_people_exit_as_a_gate_that_waits(files, capsys, names):
    for name in names:
        sign(capsys, name)
    answer = verify(capsys, code=ExitCode.GATE)
    assert not answer["suffices"]
    assert len(answer["signed"]) == min(len(names), 1)


def test_who_signs_again_has_one_line(files, capsys):
    sign(capsys, "bob")
    answer = json.loads(sign(capsys, "bob", "-o", "json").out)
    assert answer["signatures"] == 1


def test_signatures_of_earlier_bytes_are_left_out_when_the_next_is_added(files, capsys):
    sign(capsys, "bob")
    sign(capsys, "carol")
    (files / "policy.yaml").write_text(POLICY.format(version=4))
    assert len(verify(capsys, code=ExitCode.GATE)["problems"]) == 2
    sign(capsys, "bob")
    answer = verify(capsys, code=ExitCode.GATE)
    assert [each["person"] for each in answer["signed"]] == ["bob"]
    assert answer["problems"] == []


def test_a_line_that_is_no_envelope_does_not_stop_a_signer(files, capsys):
    (files / "policy.yaml.intoto.jsonl").write_bytes(b"{]\n\xff\n")
    sign(capsys, "bob")
    sign(capsys, "carol")
    assert verify(capsys)["suffices"]


def test_a_document_of_another_environment_is_not_signed(files, capsys):
    sign(capsys, "bob", environment="staging", code=ExitCode.INTEGRITY)
    assert not (files / "policy.yaml.intoto.jsonl").exists()
    (files / "environment.yaml").write_text("name: staging\n")
    run(
        capsys,
        *("document", "verify", "policy.yaml", "--environment-file", "environment.yaml"),
        code=ExitCode.INTEGRITY,
    )


@pytest.mark.parametrize("text", ["{", "schema: carnet.sync/v1\n", "schema: carnet.policy/v1\nversion: 1\n"])
def test_what_is_no_document_is_not_signed(files, capsys, text):
    (files / "policy.yaml").write_text(text)
    sign(capsys, "bob", code=ExitCode.USAGE)
    assert not (files / "policy.yaml.intoto.jsonl").exists()


def test_nobody_signs_by_accident(files, capsys):
    arguments = ("document", "sign", "policy.yaml", "--environment", "prod", "--key", "bob.pem")
    run(capsys, *arguments, code=ExitCode.USAGE)
    assert not (files / "policy.yaml.intoto.jsonl").exists()


def test_an_environment_that_demands_nothing_is_satisfied(files, capsys):
    (files / "environment.yaml").write_text("name: prod\n")
    assert verify(capsys)["wanted"] == 0
