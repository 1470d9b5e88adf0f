"""Erasing people's signed words: when they may go, what is shown of them then, and what an audit still tells.

Two registries as service objects over real storage, no transport.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.errors import MustBeKeptError, NotFoundError
from carnet.translog.entry import EntryType
from carnet_policies.engine import PolicyEngine
from carnet_server.admission.dossier import read_dossier
from carnet_server.models.notes import ERASED
from carnet_server.retention.erasing import Erasing
from tests.unit.carnet_server.admission.audits import audited
from tests.unit.carnet_server.admission.registries import POLICIES, World

MONTHS = timedelta(days=60)
REASON = "looks good to Jane Doe of branch 12"
TERMS = b"""retention:
  erase: {notes_after: 1d, statements_after: 30d}
break_glass:
  skips: [evaluation, no-regression, approvals]
  count: 2
  max_validity: 2h
  review_within: 3d
"""


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine, storage):
    world = await World(tmp_path, engine, {"staging": POLICIES["staging"] + TERMS}, storage).start()
    yield world
    world.stop()


async def erase(world, digest):
    staging = world.staging
    erasing = Erasing(staging.database, staging.writer, staging.log, staging.state)
    return await erasing.erase(staging.caller("dave"), digest, reason_code="person-request")


async def refused(world, digest, because):
    size = world.staging.log.size
    with pytest.raises(MustBeKeptError) as caught:
        await erase(world, digest)
    assert (caught.value.metadata["because"], world.staging.log.size) == (because, size), caught.value
    assert await world.staging.log.document(digest) is not None
    return caught.value.message


async def asked(world, **wished):
    """A promotion that waits for people."""
    manifest = await world.publish()
    await world.attest(manifest)
    request = world.parties.request(manifest, alias="champion", **wished)
    return manifest, await world.evaluate(await world.bring(manifest, request))


async def approved(world):
    """A promotion that bob approved and that was admitted."""
    manifest, admission = await asked(world)
    await world.submit(admission, by="bob", reason=REASON)
    await world.transfer(manifest)
    return (await world.admit(admission.promotion, manifest))[0]


async def broken(world):
    """A promotion for which bob and dave broke the glass, and that was admitted."""
    manifest, admission = await asked(world)
    now = world.clock()
    said = {"signed_at": now, "expires_at": now + timedelta(hours=1), "reason": REASON}
    for by in ("bob", "dave"):
        envelope = world.parties.break_glass(admission, read_dossier(admission.dossier), by=by, **said)
        await world.submit(admission, by=by, envelope=envelope)
    await world.transfer(manifest)
    return (await world.admit(admission.promotion, manifest))[0]


async def review(world, admission, by="erin"):
    given = world.parties.review(admission, by=by, signed_at=world.clock(), reason=REASON)
    return await world.staging.admission.submit_approval(world.staging.caller(by), admission.promotion, given)


async def named_by(world, *types):
    return [entry.envelope_digest for entry in await world.staging.entries() if entry.type in types]


async def test_an_approval_is_kept_while_its_promotion_goes_on_and_for_its_window(world):
    manifest, admission = await asked(world)
    await world.submit(admission, by="bob", reason=REASON)
    (digest,) = await named_by(world, EntryType.APPROVAL_RECORDED)
    world.clock.ahead = MONTHS
    assert f"promotion {admission.promotion} has not ended" in await refused(world, digest, "promotion")
    world.clock.ahead = timedelta()
    await world.transfer(manifest)
    await world.admit(admission.promotion, manifest)
    assert "keeps people's signed words for 30d" in await refused(world, digest, "window")
    world.clock.ahead = MONTHS
    await erase(world, digest)


async def test_an_erased_approval_is_shown_as_erased(world):
    view = await approved(world)
    (held,) = view.approvals
    world.clock.ahead = MONTHS
    await erase(world, held.digest)
    shown = await world.staging.admission.get(world.staging.caller("bob"), view.admission.promotion)
    (said,) = shown.approvals
    assert (said.is_erased, said.reason, said.envelope) == (True, ERASED, b"")
    assert (said.digest, said.approver, said.meaning, said.created_at) == (
        held.digest,
        held.approver,
        "approved",
        held.created_at,
    )
    with pytest.raises(NotFoundError, match="was erased"):
        said.signed()
    # The same word once more is the one that is held: it brings nothing back.
    again = await world.submit(view.admission, by="bob", envelope=held.envelope)
    assert again.approval.is_erased
    assert await world.staging.log.document(held.digest) is None


async def test_a_replay_says_that_an_approval_was_erased(world):
    view = await approved(world)
    world.clock.ahead = MONTHS
    await erase(world, view.approvals[0].digest)
    replayed, _ = await world.staging.admission.replay(
        POLICIES["staging"] + TERMS, page_size=10, page_token=""
    )
    (one,) = [each for each in replayed if each.past.text("promotion") == view.admission.promotion]
    assert one.evaluation is None
    assert "was erased" in one.problem


async def test_what_others_judge_by_is_never_erased(world):
    view = await approved(world)
    world.clock.ahead = MONTHS
    for kind in (
        EntryType.POLICY_CHANGED,
        EntryType.TRUST_CHANGED,
        EntryType.PROMOTION_REQUESTED,
        EntryType.DOSSIER_ISSUED,
        EntryType.EVIDENCE_ADDED,
        EntryType.DECISION_MADE,
    ):
        for digest in await named_by(world, kind):
            assert str(kind) in await refused(world, digest, "kind")
    # The alias moved by the decision too: an entry that may rest on a note does not let a decision go.
    moved = await named_by(world, EntryType.ALIAS_MOVED)
    assert view.admission.decision_digest in moved


async def test_what_broke_the_glass_is_kept_until_that_was_reviewed(world):
    view = await broken(world)
    world.clock.ahead = MONTHS
    digests = await named_by(world, EntryType.BREAK_GLASS_RECORDED)
    assert len(digests) == 2
    for digest in digests:
        assert "nobody has reviewed that" in await refused(world, digest, "review")
    world.clock.ahead = timedelta()
    await review(world, view.admission)
    world.clock.ahead = MONTHS
    for digest in digests:
        await erase(world, digest)


async def test_an_audit_of_erased_approvals_passes_and_tells_what_it_could_not_judge(world, tmp_path):
    view = await approved(world)
    before = await audited(world, tmp_path / "before")
    assert (before.ok, before.erasures) == (True, ()), before.findings
    world.clock.ahead = MONTHS
    gone = await erase(world, view.approvals[0].digest)
    report = await audited(world, tmp_path / "after")
    assert report.ok, report.findings
    (told,) = report.erasures
    assert (told.index, told.digest) == (gone.receipt.index, view.approvals[0].digest)
    assert (told.reason_code, told.types) == ("person-request", ("approval.recorded",))
    assert any("its signature" in each for each in told.unjudged)
    assert f"promotion {view.admission.promotion}" in told.affects
    summaries = {name: each.erased for name, each in report.environments.items()}
    assert summaries == {"dev": 0, "staging": 1}
    assert report.to_json()["environments"]["staging"]["erased"] == 1


async def test_an_audit_of_an_erased_broken_glass_says_who_by_the_entries(world, tmp_path):
    view = await broken(world)
    await review(world, view.admission)
    (before,) = (await audited(world, tmp_path / "before")).broken_glass
    world.clock.ahead = MONTHS
    for digest in await named_by(world, EntryType.BREAK_GLASS_RECORDED, EntryType.BREAK_GLASS_REVIEWED):
        await erase(world, digest)
    report = await audited(world, tmp_path / "after")
    assert [finding.message for finding in report.findings] == []
    (use,) = report.broken_glass
    assert [(each.person, each.reason, each.erased) for each in use.statements] == [
        ("bob", "", True),
        ("dave", "", True),
    ]
    assert (use.review, use.reviewed_by, use.skipped) == (before.review, before.reviewed_by, before.skipped)
    assert len(report.erasures) == 3
