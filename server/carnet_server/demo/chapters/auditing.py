"""Verifying the whole audit trail, and finding an edit of history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.report import Verdict
from carnet_server.demo.scene import StoryBrokenError
from carnet_server.demo.tampering import verify_edited_copy

if TYPE_CHECKING:
    from carnet_server.demo.scene import Scene


def audit(scene: Scene) -> None:
    """Verify the audit trail of all three environments."""
    teller = scene.teller
    teller.step("Verify the audit trail of all three environments")
    with scene.acting_as("dave") as auditor:
        report = auditor.audit_verify()
    if not report.ok:
        raise StoryBrokenError("; ".join(finding.message for finding in report.findings))
    for name, summary in report.environments.items():
        teller.say(
            f"{name}: {summary.size} entries, root {summary.root[:16]}…, every signature and proof holds"
        )
    teller.outcome("audit trail", f"verified: {sum(s.size for s in report.environments.values())} entries")


def edit_history(scene: Scene) -> None:
    """Edit one byte of history in a copy of dev's database, and verify the copy."""
    teller = scene.teller
    teller.step("Edit one byte of history in a copy of dev's database, and verify the copy")
    report = verify_edited_copy(scene.folder, "dev", scene.work / "edited", identity="dave")
    if report.ok:
        raise StoryBrokenError("the edit was not found")
    finding = next((each for each in report.findings if each.verdict is Verdict.TAMPERED), None)
    if finding is None:
        raise StoryBrokenError("the copy does not verify, but not for the edit")
    teller.say(f"{finding.verdict}: {finding.message}")
    place = "" if finding.index is None else f" at entry {finding.index}"
    teller.outcome("edited history", f"detected{place}: {finding.verdict}")
