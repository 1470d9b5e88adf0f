"""What the logs of an export say about each other's checkpoints, and who witnessed them, broken one way at a time."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from carnet.audit.codes import Code
from carnet.audit.pins import Pins
from carnet.audit.report import Verdict
from carnet.audit.verify import verify_export
from carnet.canonical import canonical_json
from carnet.errors import CarnetError
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.cosignature import cosign_checkpoint
from carnet.translog.entry import EntryType
from carnet.translog.keys import KeyType, LogKey
from carnet.translog.note import parse_note
from carnet.translog.tree import leaf_hash, root_of

WITNESSES = {
    name: LogKey.generate(f"example.com/witness/{name}", key_type=KeyType.COSIGNATURE_V1)
    for name in ("dev", "prod", "sync")
}
OTHER = {"dev": "prod", "prod": "dev"}
NOW = 1_772_000_000


class Anchored:
    """Dev and prod, each of which anchors the other's log and has its own witnessed by prod or dev, and sync."""

    def __init__(self, world, log_keys, directory):
        self.world, self.log_keys, self.directory = world, log_keys, directory
        self.logs = {"dev": world.dev, "prod": world.prod}
        self.anchored = {"dev": 0, "prod": 0}
        self.witnessed = {}

    def cosigned(self, name, *witnesses, size=None, text=None):
        """A checkpoint of a log with some cosignatures."""
        text = text or self.logs[name].signed_checkpoint(size)
        for each in witnesses:
            text = cosign_checkpoint(text, self.log_keys[name].verifier, WITNESSES[each], timestamp=NOW)
        return text

    def anchor(self, about, *, size=None, old=None, text=None, **changes):
        """Have the other environment record an anchor."""
        by = OTHER[about]
        size = len(self.logs[about].entries) if size is None else size
        origin = self.log_keys[about].name
        old = self.anchored[about] if old is None else old
        self.anchored[about] = size
        text = text or self.cosigned(about, by, size=size)
        values = {"old": f"{origin} {old}", "new": f"{origin} {size}"} | changes
        return self.logs[by].add(EntryType.ANCHOR_RECORDED, {}, text.encode(), **values)

    def alarm(self, held, shown, *, origin=None, new=None):
        """Have prod raise an alarm about dev."""
        origin = origin or self.log_keys["dev"].name
        proof = {"schema": "carnet.alarm/v1", "kind": "equivocation", "origin": origin}
        document = canonical_json(proof | {"held": held, "shown": shown})
        new = new or f"equivocation {origin}"
        return self.world.prod.add(EntryType.ALARM_RAISED, {}, document, new=new)

    def rewrite(self, name, index):
        """Change an entry, as whoever holds the log's key may, who signs the whole anew."""
        entries = self.logs[name].entries
        entries[index] = entries[index].replace(b'"mtls"', b'"oidc"')

    def pins(self, **changes):
        data = self.world.pins_data()
        for name, pins in data["environments"].items():
            lines = [
                f"log {self.log_keys[name].verifier.vkey}",
                *(f"witness {each} {WITNESSES[each].verifier.vkey}" for each in (OTHER[name], "sync")),
                f"group both all {OTHER[name]} sync",
                "quorum both",
            ]
            added = {"witness_key": WITNESSES[name].verifier.vkey, "witnesses": "\n".join(lines) + "\n"}
            pins.update(added | changes.get(name, {}))
        return Pins.from_mapping(data)

    def export(self, *names):
        self.world.export(self.directory, *names)
        for name in names or self.logs:
            text = self.witnessed.get(name) or self.cosigned(name, OTHER[name], "sync")
            (self.directory / name / "checkpoint.witnessed").write_text(text)

    def audit(self, *names, **changes):
        self.export(*names)
        return verify_export(self.directory, self.pins(**changes))


@pytest.fixture
def logs(world, log_keys, tmp_path):
    return Anchored(world, log_keys, tmp_path)


def forked(log_keys, name, size, of=b"another"):
    """A checkpoint by a log's own key over another history."""
    root = root_of([leaf_hash(of)] * size)
    return sign_checkpoint(Checkpoint(log_keys[name].name, size, root), log_keys[name])


def test_logs_that_anchor_each_other_are_in_order_and_final_as_far_as_witnessed(logs):
    logs.anchor("dev", size=2)
    logs.anchor("prod")
    logs.world.promote()
    logs.anchor("dev")
    logs.witnessed["prod"] = logs.cosigned("prod", "dev", "sync", size=4)
    report = logs.audit()
    assert report.findings == ()
    assert report.ok
    sizes = {name: len(log.entries) for name, log in logs.logs.items()}
    assert {name: each.final_size for name, each in report.environments.items()} == {
        "dev": sizes["dev"],
        "prod": 4,
    }
    assert report.to_json()["environments"]["prod"]["final_size"] == 4


def test_a_newest_checkpoint_that_is_cosigned_itself_is_final_as_a_whole(logs):
    logs.export()
    (logs.directory / "dev/checkpoint.witnessed").unlink()
    (logs.directory / "dev/checkpoint").write_text(logs.cosigned("dev", "prod", "sync"))
    report = verify_export(logs.directory, logs.pins())
    assert report.ok
    assert report.environments["dev"].final_size == len(logs.world.dev.entries)


def test_where_no_quorum_is_pinned_nothing_is_said_of_finality(logs):
    logs.export()
    (logs.directory / "dev/checkpoint.witnessed").unlink()
    report = verify_export(logs.directory, logs.pins(dev={"witnesses": None}))
    assert report.ok
    assert report.environments["dev"].final_size is None


@pytest.mark.parametrize("witnesses", [(), ("prod",), ("prod", "dev")])
def test_a_log_that_no_quorum_has_witnessed_is_incomplete(logs, only, witnesses):
    logs.witnessed["dev"] = logs.cosigned("dev", *witnesses)
    report = logs.audit()
    finding = only(report)
    assert (finding.verdict, finding.environment, finding.index) == (Verdict.INCOMPLETE, "dev", 0)
    assert report.environments["dev"].final_size == 0


def test_a_log_without_a_witnessed_checkpoint_is_incomplete(logs, only):
    logs.export()
    (logs.directory / "prod/checkpoint.witnessed").unlink()
    finding = only(verify_export(logs.directory, logs.pins()))
    assert (finding.verdict, finding.environment) == (Verdict.INCOMPLETE, "prod")
    assert "nothing of its" in finding.message


def test_a_log_whose_witnesses_are_silent_for_more_than_a_day_is_incomplete(logs, only):
    logs.witnessed["prod"] = logs.cosigned("prod", "dev", "sync")
    first = len(logs.world.prod.entries)
    logs.world.prod.add(EntryType.ALIAS_REMOVED, {"alias": "x"}, old="1")
    logs.world.now += timedelta(hours=23)
    logs.world.prod.add(EntryType.ALIAS_REMOVED, {"alias": "x"}, old="1")
    assert logs.audit().ok
    logs.world.now += timedelta(hours=2)
    logs.world.prod.add(EntryType.ALIAS_REMOVED, {"alias": "x"}, old="1")
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment, finding.index) == (Verdict.INCOMPLETE, "prod", first)


def flipped(signature):
    return signature[:-1] + bytes([signature[-1] ^ 1])


def test_a_bad_cosignature_by_a_pinned_witness_is_tampered(logs):
    good = logs.cosigned("dev", "prod", "sync")
    bad = parse_note(good)
    line = dataclasses.replace(bad.signatures[1], signature=flipped(bad.signatures[1].signature))
    logs.witnessed["dev"] = str(dataclasses.replace(bad, signatures=(bad.signatures[0], line)))
    assert Verdict.TAMPERED in {each.verdict for each in logs.audit().findings}
    logs.witnessed["dev"] = good
    logs.export()
    (logs.directory / "dev/checkpoint").write_text(
        str(dataclasses.replace(bad, signatures=(bad.signatures[0], line)))
    )
    assert Verdict.TAMPERED in {each.verdict for each in verify_export(logs.directory, logs.pins()).findings}


def test_a_checkpoint_that_was_put_back_is_shown_by_the_one_that_was_witnessed(logs):
    logs.witnessed["dev"] = logs.cosigned("dev", "prod", "sync")
    del logs.world.dev.entries[-1]
    (finding, *_) = logs.audit().findings
    assert (finding.verdict, finding.environment) == (Verdict.TAMPERED, "dev")
    assert "the log was cut" in finding.message


def test_a_history_rewritten_under_what_was_witnessed_is_tampered_with_both_roots(logs):
    logs.witnessed["dev"] = logs.cosigned("dev", "prod", "sync")
    before = logs.world.dev.checkpoint().root.hex()
    logs.rewrite("dev", 1)
    report = logs.audit()
    finding = next(each for each in report.findings if "rewritten" in each.message)
    assert (finding.verdict, finding.environment) == (Verdict.TAMPERED, "dev")
    assert before in finding.message
    assert logs.world.dev.checkpoint().root.hex() in finding.message


# --- anchors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 600])
def test_a_rewritten_history_is_named_by_the_anchor_of_another_log(logs, only, count):
    for _ in range(count):
        logs.world.dev.add(EntryType.ALIAS_REMOVED, {"alias": "x"}, old="1")
    size = len(logs.world.dev.entries)
    for each in (3, size // 2, size - 1):
        logs.anchor("dev", size=each)
    before = logs.world.dev.checkpoint(size - 1).root.hex()
    assert logs.audit().ok
    logs.rewrite("dev", size - 2)
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment) == (Verdict.TAMPERED, "dev")
    assert finding.index == size // 2
    assert f"entry {len(logs.world.prod.entries) - 1} of prod's log" in finding.message
    assert before in finding.message
    assert logs.world.dev.checkpoint(size - 1).root.hex() in finding.message
    assert finding.affects == (f"entries {size // 2} to {size - 2}",)


def test_an_anchor_by_another_key_cannot_be_verified(logs, only):
    stranger = LogKey.generate(logs.log_keys["dev"].name)
    text = sign_checkpoint(logs.world.dev.checkpoint(), stranger)
    logs.anchor("dev", text=text)
    assert only(logs.audit()).verdict is Verdict.CANNOT_VERIFY


def test_an_anchor_of_a_log_that_is_not_pinned_cannot_be_verified(logs, only):
    logs.anchor("dev", old=0, new="example.com/nowhere 3")
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment) == (Verdict.CANNOT_VERIFY, "prod")
    assert "example.com/nowhere" in finding.message


def test_an_anchor_whose_checkpoint_was_changed_is_tampered(logs, only):
    text = logs.cosigned("dev", "prod").replace("\n5\n", "\n4\n", 1)
    logs.anchor("dev", text=text, size=4)
    assert only(logs.audit()).verdict is Verdict.TAMPERED


def test_an_anchor_that_its_environment_did_not_cosign_breaks_the_rules(logs, only):
    logs.anchor("dev", text=logs.cosigned("dev"))
    assert only(logs.audit()).verdict is Verdict.POLICY_VIOLATED


def test_an_anchor_with_a_bad_cosignature_is_tampered(logs, only):
    mine, other = WITNESSES["prod"], LogKey.generate(WITNESSES["prod"].name, key_type=KeyType.COSIGNATURE_V1)
    text = cosign_checkpoint(
        logs.world.dev.signed_checkpoint(), logs.log_keys["dev"].verifier, other, timestamp=NOW
    )
    note = parse_note(text)
    forged = dataclasses.replace(note.signatures[1], key_id=mine.verifier.key_id)
    logs.anchor("dev", text=str(dataclasses.replace(note, signatures=(note.signatures[0], forged))))
    assert only(logs.audit()).verdict is Verdict.TAMPERED


def test_without_a_pinned_witness_key_an_environments_anchors_cannot_be_verified_said_once(logs, only):
    logs.anchor("dev", size=2)
    logs.anchor("dev", size=3)
    finding = only(logs.audit(prod={"witness_key": None}))
    assert finding.verdict is Verdict.CANNOT_VERIFY
    assert "no witness key of prod is pinned" in finding.message


@pytest.mark.parametrize(
    "told",
    [
        {"new": "example.com/dev 4"},
        {"new": "example.com/dev"},
        {"new": "example.com/dev ⁵"},
        {"old": "example.com/prod 0"},
    ],
)
def test_an_anchor_that_says_something_else_than_its_checkpoint_breaks_the_rules(logs, only, told):
    logs.anchor("dev", **told)
    assert only(logs.audit()).verdict in {Verdict.POLICY_VIOLATED, Verdict.CANNOT_VERIFY}


@pytest.mark.parametrize(("size", "old"), [(3, 3), (2, 0), (4, 2), (4, 4)])
def test_anchors_that_do_not_grow_break_the_rules(logs, only, size, old):
    logs.anchor("dev", size=3)
    logs.anchor("dev", size=size, old=old)
    assert only(logs.audit()).verdict is Verdict.POLICY_VIOLATED


def test_an_anchor_may_come_after_sizes_that_were_cosigned_and_not_recorded(logs):
    logs.anchor("dev", size=2)
    logs.anchor("dev", size=4, old=3)
    assert logs.audit().ok


def test_an_anchor_of_a_later_size_than_the_copy_is_incomplete_until_that_goes_on(logs, only):
    logs.anchor("dev")
    lost = logs.world.dev.entries.pop()
    assert lost
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment) == (Verdict.INCOMPLETE, "dev")
    assert "export again" in finding.message
    del logs.world.dev.entries[-1]
    logs.world.now += timedelta(minutes=2)
    logs.world.dev.add(EntryType.ALIAS_REMOVED, {"alias": "x"}, old="1")
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment) == (Verdict.TAMPERED, "dev")
    assert "the log was cut" in finding.message


def test_an_anchor_without_its_checkpoint_is_incomplete(logs):
    logs.anchor("dev")
    logs.world.prod.documents.pop()
    assert {each.verdict for each in logs.audit().findings} == {Verdict.INCOMPLETE}


def test_anchors_of_a_log_that_is_not_in_the_export_are_compared_with_each_other(logs, world, log_keys):
    """Two environments were shown two histories of a third."""
    logs.anchor("dev")
    first = logs.audit("prod")
    assert first.ok
    origin = log_keys["dev"].name
    size = len(world.dev.entries)
    text = cosign_checkpoint(
        forked(log_keys, "dev", size), log_keys["dev"].verifier, WITNESSES["sync"], timestamp=NOW
    )
    # A third environment, as prod's log under another name would be too much of a story: prod's own log
    # cannot hold two, so the judge is asked directly.
    from carnet.audit.anchors import AnchorJudge
    from carnet.audit.statements import Record
    from carnet.translog.entry import parse_entry

    judge = AnchorJudge(logs.directory, logs.pins())
    for index, data in enumerate(world.prod.entries):
        judge.step("prod", Record(index, parse_entry(data)))
    world.dev.entries.clear()
    world.dev.add(EntryType.ANCHOR_RECORDED, {}, text.encode(), old=f"{origin} 0", new=f"{origin} {size}")
    world.export(logs.directory, "dev")
    judge.step("dev", Record(0, parse_entry(world.dev.entries[0])))
    found = [each for each in judge.finish({}) if "equivocation" in each.message]
    assert [(each.verdict, each.environment) for each in found] == [(Verdict.TAMPERED, "dev")]


def test_a_tile_that_lies_is_not_believed_about_an_anchor(logs):
    for _ in range(600):
        logs.world.dev.add(EntryType.ALIAS_REMOVED, {"alias": "x"}, old="1")
    logs.anchor("dev", size=300)
    logs.export()
    tile = logs.directory / "dev/tile/0/001"
    tile.write_bytes(b"\1" + tile.read_bytes()[1:])
    findings = verify_export(logs.directory, logs.pins()).findings
    assert not any("rewritten" in each.message for each in findings)
    assert {each.verdict for each in findings} == {Verdict.TAMPERED, Verdict.INCOMPLETE}


# --- alarms -------------------------------------------------------------------------------------------------


def test_an_alarm_with_its_proof_is_a_finding_about_the_log_that_equivocated(logs, only, log_keys):
    size = len(logs.world.dev.entries)
    shown = forked(log_keys, "dev", size)
    index = logs.alarm(logs.world.dev.signed_checkpoint(), shown)
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment) == (Verdict.TAMPERED, "dev")
    assert f"entry {index} of prod's log" in finding.message
    assert logs.world.dev.checkpoint().root.hex() in finding.message


def test_an_alarm_that_its_proof_does_not_bear_out_accuses_the_accuser(logs, only):
    held = logs.world.dev.signed_checkpoint()
    logs.alarm(held, logs.world.dev.signed_checkpoint(2))
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment) == (Verdict.POLICY_VIOLATED, "prod")


def test_an_alarm_about_something_else_than_its_proof_breaks_the_rules(logs, only, log_keys):
    held = logs.world.dev.signed_checkpoint()
    logs.alarm(held, forked(log_keys, "dev", 5), new="equivocation example.com/prod")
    assert only(logs.audit()).verdict is Verdict.POLICY_VIOLATED


def test_an_alarm_whose_checkpoints_were_forged_is_tampered(logs, only):
    held = logs.world.dev.signed_checkpoint()
    logs.alarm(held, held.replace("\n5\n", "\n4\n", 1))
    finding = only(logs.audit())
    assert (finding.verdict, finding.environment) == (Verdict.TAMPERED, "prod")


@pytest.mark.parametrize("document", [b"[]", b"{}", b'"x"', b"not json", b"\xff"])
def test_an_alarm_without_a_proof_is_a_finding(logs, only, document):
    logs.world.prod.add(EntryType.ALARM_RAISED, {}, document, new="equivocation example.com/dev")
    assert only(logs.audit()).verdict in {Verdict.POLICY_VIOLATED, Verdict.TAMPERED}


# --- pins ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pins", "told"),
    [
        ({"witness_key": "nonsense"}, "'nonsense' is not"),
        ({"witness_key": LogKey.generate("example.com/a").verifier.vkey}, "a log's, not a cosigner's"),
        ({"witnesses": "quorum"}, "line 1"),
        ({"witnesses": f"log {LogKey.generate('example.com/dev').verifier.vkey}\nquorum none\n"}, "not for"),
        ({"witnesses": 5}, "witnesses"),
    ],
)
def test_pins_of_witnesses_that_are_none_are_refused(logs, pins, told):
    with pytest.raises(CarnetError, match="pins: environments.dev") as caught:
        logs.pins(dev=pins)
    assert told in caught.value.message


def test_an_audit_that_goes_on_judges_anchors_and_finality_of_what_came_since(logs):
    def audit(kept, states):
        logs.export()
        found = {}
        report = verify_export(
            logs.directory, logs.pins(), earlier=kept, resume=states, keep=found.__setitem__
        )
        return report, {name: log.checkpoint() for name, log in logs.logs.items()}, found

    logs.anchor("dev")
    report, kept, states = audit({}, {})
    assert report.ok, report.findings
    logs.world.promote()
    logs.anchor("dev")
    logs.anchor("prod")
    report, newer, _ = audit(kept, states)
    assert report.ok, report.findings
    assert {name: each.final_size for name, each in report.environments.items()} == {
        name: checkpoint.size for name, checkpoint in newer.items()
    }
    assert {name: each.verified_from for name, each in report.environments.items()} == {
        name: checkpoint.size for name, checkpoint in kept.items()
    }
    logs.rewrite("dev", kept["dev"].size)
    report, _, _ = audit(kept, states)
    rewritten = [each for each in report.findings if each.code is Code.HISTORY_REWRITTEN]
    assert {each.environment for each in rewritten} == {"dev"}
    assert Verdict.TAMPERED in {each.verdict for each in rewritten}
