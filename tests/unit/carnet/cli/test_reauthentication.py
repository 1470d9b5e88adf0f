"""Who signs is asked again right before, and the signed statement says how."""

from __future__ import annotations

import boto3
import pytest
import yaml

from carnet.cli import reauthentication
from carnet.cli.settings import Settings
from carnet.registry.v1 import policy_pb2
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass
from carnet.signing.dsse import parse_envelope
from carnet.signing.passphrase import Passphrase
from carnet.signing.statement import parse_statement
from tests.support.kms import FakeKms
from tests.unit.carnet.client.fake_federation import signing_key

PROMOTION = "ab" * 16
WORDS = "correct horse battery"
OPEN = policy_pb2.RuleResult(
    rule="approvals", status=policy_pb2.RULE_STATUS_AWAITING, message="0 of 2", awaits_people=True
)


@pytest.fixture
def waiting(federation, fraud):
    message = federation.prod.hear_of(PROMOTION, fraud, source="dev")
    message.evaluation.results.append(OPEN)
    federation.prod.evidence[fraud.digest] = list(federation.dev.evidence[fraud.digest])
    federation.prod.issue_dossier(PROMOTION, fraud)
    return message


@pytest.fixture
def protected(federation):
    """Bob's key gets a passphrase."""
    path = federation.folder / "identities" / "bob" / "signing-key.pem"
    path.unlink()
    signing_key("bob").save(path, passphrase=Passphrase(WORDS))


@pytest.fixture
def kms(federation, monkeypatch):
    """Bob's key goes to a KMS."""
    kms = FakeKms()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in kms.environment.items():
        monkeypatch.setenv(name, value)
    place = federation.folder / "identities" / "bob"
    (place / "signing-key.pem").unlink()
    public = kms.add("alias/bob", signing_key("bob").to_pem())
    (place / "signing-key.pub.pem").write_text(public)
    path = federation.folder / "federation.yaml"
    document = yaml.safe_load(path.read_text())
    document["identities"]["bob"] = {
        "folder": "identities/bob",
        "signing_key": {"uri": "awskms:alias/bob", "public_key": "identities/bob/signing-key.pub.pem"},
    }
    path.write_text(yaml.safe_dump(document))
    yield kms
    kms.stop()


@pytest.fixture
def terminal(monkeypatch):
    """Somebody sits there; `said` is what they answer, `asked` what they were asked."""

    class Terminal:
        def __init__(self):
            self.asked, self.said = [], []

        def answer(self, text, **_):
            self.asked.append(text)
            return self.said.pop(0)

    terminal = Terminal()
    monkeypatch.setattr(Settings, "interactive", property(lambda self: not self.json))
    monkeypatch.setattr(reauthentication, "can_ask_secrets", lambda: True)
    monkeypatch.setattr(reauthentication.getpass, "getpass", terminal.answer)
    monkeypatch.setattr("click.prompt", terminal.answer)
    monkeypatch.setattr("click.confirm", lambda text, **_: terminal.asked.append(text) or True)
    return terminal


def approve(carnet, *more, word="approve"):
    return carnet(word, PROMOTION, "--reason", "in order", "--target", "prod", "--as", "bob", *more)


def said(waiting, kind=Approval):
    (held,) = waiting.approvals
    return kind.parse(parse_statement(parse_envelope(held.envelope)))


@pytest.mark.parametrize("word", ["approve", "reject", "withdraw"])
@pytest.mark.parametrize("more", [(), ("--yes",)])
def test_a_passphrase_is_asked_for_each_time_after_the_page_and_is_stated(
    carnet, waiting, protected, terminal, word, more
):
    terminal.said = ["wrong", WORDS]
    ran = approve(carnet, *more, word=word)
    assert ran.code == 0
    assert [each.partition("passphrase of")[0] for each in terminal.asked] == ["", "that was not it; "]
    assert "signed by prod" in ran.out
    assert said(waiting).authentication == "passphrase"
    for text in (ran.out, ran.err):
        assert WORDS not in text
        assert "wrong" not in text


def test_who_does_not_know_the_passphrase_signs_nothing(carnet, waiting, protected, terminal):
    terminal.said = ["one", "two", "three", WORDS]
    ran = approve(carnet)
    assert ran.code == 4
    assert "none of 3 passphrases" in ran.err
    assert list(waiting.approvals) == []


def test_a_passphrase_out_of_a_file_is_nobodys_authentication(
    carnet, waiting, protected, tmp_path, monkeypatch
):
    assert approve(carnet, "--yes").code == 4
    (tmp_path / "words").write_text(WORDS + "\n")
    monkeypatch.setenv("CARNET_KEY_PASSPHRASE_FILE", str(tmp_path / "words"))
    ran = approve(carnet, "--yes")
    assert ran.code == 0
    assert "nobody was asked who they are" in ran.err
    assert said(waiting).authentication == "none"


def test_on_a_terminal_the_file_is_no_way_round_being_asked(
    carnet, waiting, protected, terminal, tmp_path, monkeypatch
):
    (tmp_path / "words").write_text(WORDS + "\n")
    monkeypatch.setenv("CARNET_KEY_PASSPHRASE_FILE", str(tmp_path / "words"))
    terminal.said = [WORDS]
    assert approve(carnet).code == 0
    assert said(waiting).authentication == "passphrase"


@pytest.mark.parametrize(
    ("typed", "code"), [("abababab", 0), (PROMOTION, 0), ("ababab", 130), ("", 130), ("cdcdcdcd", 130)]
)
def test_a_plain_key_is_said_to_be_one_and_the_promotion_is_typed(carnet, waiting, terminal, typed, code):
    terminal.said = [typed]
    ran = approve(carnet)
    assert ran.code == code
    assert "has no passphrase: nobody was asked who they are" in ran.err
    assert "type the first 8 characters of the promotion's id" in terminal.asked[0]
    assert len(waiting.approvals) == (1 if code == 0 else 0)
    if code == 0:
        assert said(waiting).authentication == "none"


def test_a_script_signs_with_a_plain_key_and_yes(carnet, waiting):
    ran = approve(carnet, "--yes", "-o", "json")
    assert (ran.code, said(waiting).authentication) == (0, "none")
    assert ran.json["approval"]["meaning"] == "approved"
    assert "nobody was asked" in ran.err


def test_a_key_at_a_service_is_authenticated_by_it(carnet, waiting, kms, terminal):
    assert approve(carnet).code == 0
    assert "awskms:alias/bob" in terminal.asked[0]
    assert kms.asked == [("Sign", "alias/bob")]
    assert said(waiting).authentication == "service"


def test_a_service_that_refuses_lets_nobody_sign(carnet, waiting, kms):
    kms.refuse_with = "AccessDeniedException"
    ran = approve(carnet, "--yes")
    assert ran.code == 4
    assert "awskms:alias/bob did not sign: AccessDeniedException" in ran.err
    assert list(waiting.approvals) == []


def test_breaking_the_glass_asks_too(carnet, waiting, protected, terminal):
    terminal.said = ["fraud@1", WORDS]
    ran = approve(carnet, "--ticket", "INC-7", word="break-glass")
    assert ran.code == 0
    assert "passphrase of" in terminal.asked[1]
    assert said(waiting, BreakGlass).authentication == "passphrase"


def test_nobody_is_asked_where_there_is_nothing_to_sign(carnet, federation, fraud, protected, terminal):
    federation.prod.hear_of(PROMOTION, fraud, source="dev")
    assert approve(carnet).code == 7
    assert terminal.asked == []


def test_other_commands_ask_once_before_they_begin(carnet, federation, fraud, protected, terminal):
    terminal.said = [WORDS]
    ran = carnet("promote", "dev/risk/fraud@1", "--to", "staging", "--as", "bob")
    assert ran.code == 0
    assert len(terminal.asked) == 1
    assert len(federation.sync.requests) == 1


def test_other_commands_sign_with_a_key_at_a_service(carnet, federation, fraud, kms, tmp_path):
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"suite": "evaluation", "result": "PASSED", "metrics": []}')
    assert carnet("promote", "dev/risk/fraud@1", "--to", "staging", "--as", "bob").code == 0
    ran = carnet("attest", "dev/risk/fraud@1", "--file", metrics, "--as", "bob")
    assert ran.code == 0, ran.err
    assert kms.asked == [("Sign", "alias/bob")] * 2


@pytest.mark.parametrize("answers", [("tiny", "tiny"), (WORDS, "another one entirely")])
def test_a_new_passphrase_is_long_enough_and_typed_twice(terminal, answers):
    terminal.said = list(answers)
    with pytest.raises(reauthentication.InvalidInputError) as caught:
        reauthentication.new_passphrase("bob's key")
    assert answers[1] not in caught.value.message
    terminal.said = [WORDS, WORDS]
    assert reauthentication.new_passphrase("bob's key") == Passphrase(WORDS, typed=True)


def test_who_leaves_is_not_asked_again(carnet, waiting, protected, terminal, monkeypatch):
    def leave(*_, **__):
        raise EOFError

    monkeypatch.setattr(reauthentication.getpass, "getpass", leave)
    assert approve(carnet).code == 130
    assert list(waiting.approvals) == []
