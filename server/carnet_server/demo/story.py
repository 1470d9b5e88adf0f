"""The story of the demo: what the people and jobs of a team do, one after another.

Every act is one that a team would do with the same calls; a step that does not end as it should stops the
story with an error that says so.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.audit.report import Verdict
from carnet.client.client import connect
from carnet.client.results import PromotionState
from carnet.errors import CarnetError, PermissionDeniedError, PreconditionFailedError
from carnet_server.demo.evaluation import evaluate, integration_test, smoke_test
from carnet_server.demo.tampering import verify_edited_copy
from carnet_server.demo.training import boosting, forest, small_boosting, train_bundle

if TYPE_CHECKING:
    from carnet.client.client import Client
    from carnet.client.results import Promotion
    from carnet_server.demo.telling import Teller
    from carnet_server.demo.training import Recipe

MODEL = "risk/tumour"
TIMEOUT_SECONDS = 120.0


class StoryBrokenError(CarnetError):
    """A step of the demo did not end as it should."""

    reason = "STORY_BROKEN"


class Story:
    """Tells the demo.

    Args:
        folder: The federation, running.
        teller: Prints what happens.
    """

    def __init__(self, folder: Path, teller: Teller) -> None:
        self._folder = folder
        self._teller = teller

    def _as(self, identity: str) -> Client:
        return connect(self._folder, identity=identity)

    def tell(self) -> None:
        """Tell the whole story.

        Raises:
            CarnetError: A step did not end as it should.
        """
        teller = self._teller
        with tempfile.TemporaryDirectory(prefix="carnet-demo-") as scratch:
            work = Path(scratch)
            first = self._publish(forest(), work, "the first model")
            self._to_staging(first, work)
            self._to_prod(first, work, tries_itself=True)
            teller.outcome("version 1", "champion in prod, after two approvals")
            self._refuse(self._publish(small_boosting(), work, "a cheaper, weaker model"), work)
            second = self._publish(boosting(), work, "a second good model")
            self._to_staging(second, work)
            self._to_prod(second, work, tries_itself=False)
            teller.outcome(f"version {second}", "champion in prod")
            self._roll_back(second)
            self._audit()
            self._edit_history(work)

    def _publish(self, recipe: Recipe, work: Path, title: str) -> int:
        teller = self._teller
        teller.step(f"Train {title} and publish it in dev")
        bundle = train_bundle(recipe, work / f"bundle-{recipe.title.replace(' ', '-')}")
        with self._as("ci") as ci:
            pushed = ci.push(f"dev/{MODEL}", bundle)
        teller.say(f"Trained a {recipe.title}.")
        teller.say(f"Published {pushed.reference}, {pushed.size_bytes:,} bytes, signed by ci.")
        teller.say(f"Bundle digest {pushed.bundle_digest}")
        return pushed.reference.version

    def _evaluate(self, version: int, work: Path) -> None:
        with self._as("evaluator") as evaluator:
            pulled = evaluator.pull(f"dev/{MODEL}@{version}", work / f"evaluated-{version}")
            document = evaluate(pulled.path)
            evaluator.attest(f"dev/{MODEL}@{version}", document)
        shown = {metric["name"]: metric["value"] for metric in document["metrics"] if "slice" not in metric}
        figures = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
        self._teller.say(
            f"The evaluator pulled and verified it, measured {figures} on held-out rows, and attested it."
        )

    def _to_staging(self, version: int, work: Path) -> None:
        teller = self._teller
        teller.step(f"Evaluate version {version}, and promote it from dev to staging")
        self._evaluate(version, work)
        with self._as("ci") as ci:
            promotion = ci.promote(f"dev/{MODEL}@{version}", "staging", alias="champion")
            self._finish(ci, promotion)

    def _to_prod(self, version: int, work: Path, *, tries_itself: bool) -> None:
        teller = self._teller
        teller.step(f"Test version {version} in staging, and promote it from staging to prod")
        with self._as("integration-tester") as tester:
            pulled = tester.pull(f"staging/{MODEL}@{version}", work / f"tested-{version}")
            document = integration_test(pulled.path)
            for each in (document, smoke_test(pulled.path)):
                tester.attest(f"staging/{MODEL}@{version}", each)
        passed = ", ".join(document["passed_tests"])
        teller.say(f"The integration tester pulled, verified, loaded and called it: {passed}.")
        teller.say("Its smoke test goes along: prod goes back to no version that was not seen to load.")
        with self._as("ci") as ci:
            promotion = ci.promote(f"staging/{MODEL}@{version}", "prod", alias="champion")
            waiting = self._until_dossier(ci, promotion.id)
            teller.say(f"prod's policy passes but for people: {waiting.message}")
            if tries_itself:
                self._approve_own(promotion.id)
            for name in ("bob", "carol"):
                with self._as(name) as approver:
                    approver.approve(promotion.id, "Figures and tests are in order.", target="prod")
                teller.say(f"{name} read the dossier that prod signed, and approved it.")
            self._finish(ci, promotion)

    def _until_dossier(self, client: Client, promotion: str) -> Promotion:
        for update in client.watch_promotion(promotion):
            if update.promotion.state is PromotionState.AWAITING and update.promotion.awaits_dossier:
                return update.promotion
            if update.promotion.state.ended:
                break
        ended = client.promotion(promotion)
        raise StoryBrokenError(f"{ended.id} should wait for approvals; it is {ended.state}: {ended.message}")

    def _approve_own(self, promotion: str) -> None:
        with self._as("alice") as alice:
            try:
                alice.approve(promotion, "It is mine, and it is good.", target="prod")
            except (PermissionDeniedError, PreconditionFailedError) as error:
                self._teller.say(f"alice, whose model it is, tried to approve it: {error.message}")
                return
        raise StoryBrokenError("alice could approve her own model")

    def _finish(self, client: Client, promotion: Promotion) -> None:
        ended = client.wait(promotion.id, timeout=TIMEOUT_SECONDS)
        if ended.state is not PromotionState.SUCCEEDED:
            raise StoryBrokenError(f"promotion {ended.id} is {ended.state}: {ended.message}")
        self._teller.rules(ended.rules)
        where = f"{ended.target}/{MODEL}@{ended.reference.version}"
        self._teller.say(f"{ended.target} admitted it: {where}, and {ended.alias} points at it.")

    def _refuse(self, version: int, work: Path) -> None:
        teller = self._teller
        teller.step(f"Try to promote version {version}, which is worse than staging's champion")
        self._evaluate(version, work)
        with self._as("ci") as ci:
            promotion = ci.promote(f"dev/{MODEL}@{version}", "staging", alias="champion")
            ended = ci.wait(promotion.id, timeout=TIMEOUT_SECONDS)
        failed = [rule for rule in ended.rules if rule.status.lower() == "failed"]
        if ended.state is not PromotionState.REJECTED or not failed:
            raise StoryBrokenError(
                f"version {version} should be refused; it is {ended.state}: {ended.message}"
            )
        teller.rules(ended.rules)
        for rule in failed:
            teller.say(f"What to do: {rule.remedy}")
        names = ", ".join(rule.rule for rule in failed)
        teller.outcome(f"version {version}", f"refused by staging's rule {names}")

    def _roll_back(self, version: int) -> None:
        teller = self._teller
        teller.step(f"Roll prod back from version {version}")
        with self._as("dave") as operator:
            change = operator.rollback(
                f"prod/{MODEL}@champion", "metric-degradation", note="Recall fell on this morning's cases."
            )
            moves = operator.alias_history(f"prod/{MODEL}@champion")
        if change.alias.version != 1:
            raise StoryBrokenError(f"champion should be version 1 again; it is {change.alias.version}")
        teller.say(
            f"dave moved champion back to version {change.alias.version}; its history, the newest first:"
        )
        for move in moves:
            why = f" ({move.reason_code})" if move.reason_code else ""
            teller.say(
                f"  {move.old_version or 'nothing'} → {move.new_version}  {move.kind}{why} by {move.actor}"
            )
        teller.outcome(
            "rollback", f"champion in prod is version {change.alias.version} again (metric-degradation)"
        )

    def _audit(self) -> None:
        teller = self._teller
        teller.step("Verify the audit trail of all three environments")
        with self._as("dave") as auditor:
            report = auditor.audit_verify()
        if not report.ok:
            raise StoryBrokenError("; ".join(finding.message for finding in report.findings))
        for name, summary in report.environments.items():
            teller.say(
                f"{name}: {summary.size} entries, root {summary.root[:16]}…, every signature and proof holds"
            )
        teller.outcome(
            "audit trail", f"verified: {sum(s.size for s in report.environments.values())} entries"
        )

    def _edit_history(self, work: Path) -> None:
        teller = self._teller
        teller.step("Edit one byte of history in a copy of dev's database, and verify the copy")
        report = verify_edited_copy(self._folder, "dev", work / "edited", identity="dave")
        if report.ok:
            raise StoryBrokenError("the edit was not found")
        finding = next((each for each in report.findings if each.verdict is Verdict.TAMPERED), None)
        if finding is None:
            raise StoryBrokenError("the copy does not verify, but not for the edit")
        teller.say(f"{finding.verdict}: {finding.message}")
        place = "" if finding.index is None else f" at entry {finding.index}"
        teller.outcome("edited history", f"detected{place}: {finding.verdict}")
