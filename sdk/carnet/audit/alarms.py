"""Alarms: two checkpoints by a log's own key that cannot both be true.

Responsible for every ``alarm.raised``: where its proof holds, it is a finding about the log that equivocated,
and where it does not, about the log that accuses. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.report import Finding, Verdict
from carnet.canonical import parse_canonical_json
from carnet.errors import CarnetError, KeyUntrustedError
from carnet.translog.checkpoint import parse_checkpoint

if TYPE_CHECKING:
    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record


def judge_alarm(name: str, record: Record, document: bytes, pins: Pins) -> list[Finding]:
    """Judge an alarm.

    Args:
        name: The environment that raised it.
        record: Its entry.
        document: The proof that it rests on.
        pins: What the auditor trusts.

    Returns:
        What it shows, or what is wrong with it.
    """
    entry = record.entry

    def finding(verdict: Verdict, message: str) -> list[Finding]:
        return [
            Finding(
                verdict,
                Code.ALARM_UNFOUNDED,
                name,
                record.index,
                f"{entry.type}: {message}",
                (f"alarm {entry.new}",),
            )
        ]

    try:
        proof = parse_canonical_json(document, what="the proof of an alarm")
        told = f"{proof['kind']} {proof['origin']}"
        about = pins.of_log(str(proof["origin"]))
        first, second = (parse_checkpoint(str(proof[key]), about.log_verifier) for key in ("held", "shown"))
    except KeyUntrustedError as error:
        return finding(Verdict.CANNOT_VERIFY, error.message)
    except CarnetError as error:
        return finding(Verdict.TAMPERED, error.message)
    except (KeyError, TypeError):
        return finding(Verdict.POLICY_VIOLATED, "its document is not the proof of an alarm")
    if told != entry.new:
        return finding(Verdict.POLICY_VIOLATED, f"it says {entry.new!r}, its proof is of {told!r}")
    if first.size != second.size or first.root == second.root:
        message = (
            f"it accuses {about.name}, and its checkpoints of {first.size} and {second.size} entries do not "
            "contradict each other"
        )
        return finding(Verdict.POLICY_VIOLATED, message)
    where = f"the alarm in entry {record.index} of {name}'s log"
    return [equivocation(about.name, first.size, (where, first.root), (where, second.root))]


def equivocation(environment: str, size: int, first: tuple[str, bytes], second: tuple[str, bytes]) -> Finding:
    """Return the finding about a log whose key signed two histories of a size.

    Args:
        environment: Whose log it is.
        size: The size.
        first: Where one is shown, and its root.
        second: Where the other is shown, and its root.
    """
    places = " and ".join(dict.fromkeys((first[0], second[0])))
    message = (
        f"equivocation: the log's own key signed two histories of {size} entries, with the roots "
        f"{first[1].hex()} and {second[1].hex()}, as is shown by {places}"
    )
    return Finding(
        Verdict.TAMPERED, Code.EQUIVOCATION, environment, None, message, (f"the first {size} entries",)
    )
