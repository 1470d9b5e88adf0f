"""Replaying the policies of exports: honest decisions come out the same, and a registry that lied is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carnet.audit.export import ExportWriter
from carnet.audit.report import Verdict
from carnet.translog.entry import parse_entry
from carnet_policies.engine import PolicyEngine
from carnet_policies.evaluation import Evaluation, RuleStatus
from carnet_server.admission.states import AdmissionState
from carnet_server.replaying.judge import replay_export
from tests.contract.test_break_glass import admitted as admitted_by_breaking
from tests.contract.test_break_glass import policy as emergency_policy
from tests.contract.test_stamps import attested, pins_of
from tests.unit.carnet_server.admission.registries import NO_PEOPLE, World


@pytest.fixture(scope="module")
def engine():
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture
async def world(tmp_path, engine):
    world = await World(tmp_path, engine).start()
    yield world
    world.stop()


class LyingEngine:
    """A registry whose process was changed: it says yes to everything."""

    def __init__(self, engine) -> None:
        self._engine = engine

    def evaluate(self, policy, facts) -> Evaluation:
        found = self._engine.evaluate(policy, facts)
        said = (replace(each, status=RuleStatus.PASSED, message="in order") for each in found.results)
        return Evaluation(found.policy_digest, tuple(said))


async def export_of(world, folder, *, bundles=True):
    """Both logs with their documents and bundles, as an auditor copies them."""
    for registry in (world.dev, world.staging):
        entries = await registry.log.entries(0, 1000)
        with ExportWriter(folder).environment(registry.name) as export:
            export.write_log([data for _, data, _ in entries], registry.log.checkpoint)
            for digest in {parse_entry(data).envelope_digest for _, data, _ in entries} - {None}:
                export.add_document(await registry.log.document(digest))
            for number in range(1, 4) if bundles else ():
                version = await registry.version(number)
                if version is not None:
                    export.add_bundle(version.manifest, version.signature)
    return folder


async def replayed(world, folder, **options):
    return replay_export(await export_of(world, folder, **options), pins_of(world), world.staging.engine)


def messages(report, verdict):
    return [each.message for each in report.audit.findings if each.verdict is verdict]


async def test_honest_decisions_come_out_the_same(world, tmp_path):
    await world.promote(await attested(world))
    await world.promote(await attested(world, version=2))
    report = await replayed(world, tmp_path / "export")
    assert report.audit.findings == ()
    assert report.audit.ok
    assert report.replayed == {"dev": 2, "staging": 2}


async def test_what_counted_then_counts_although_it_would_not_today(world, tmp_path):
    view = await world.promote(await attested(world))
    assert view.admission.state is AdmissionState.ADMITTED
    await world.attest(world.manifest, where=world.staging, result="FAILED")
    await world.staging.change_policy(NO_PEOPLE.replace(b"0.9", b"0.999"))
    report = await replayed(world, tmp_path / "export")
    assert report.audit.findings == ()


async def test_a_decision_for_which_the_glass_was_broken_is_replayed_with_it(tmp_path, engine):
    world = await World(tmp_path, engine, {"staging": emergency_policy(2)}).start()
    try:
        await admitted_by_breaking(world)
        report = await replayed(world, tmp_path / "export")
        assert report.audit.findings == ()
        assert report.replayed["staging"] == 1
    finally:
        world.stop()


async def test_a_registry_that_said_yes_to_everything_is_found_out(world, tmp_path, engine):
    world.staging.engine = LyingEngine(engine)
    world.staging.wire()
    manifest = await world.publish()
    view = await world.promote(manifest)
    assert view.admission.state is AdmissionState.ADMITTED
    world.staging.engine = engine
    report = await replayed(world, tmp_path / "export")
    (found,) = messages(report, Verdict.POLICY_VIOLATED)
    assert "replayed on what was known then says AWAITING" in found
    assert "rule evaluation is AWAITING" in found
    assert not report.audit.ok


async def test_without_the_bundles_nothing_is_vouched_for(world, tmp_path):
    await world.promote(await attested(world))
    report = await replayed(world, tmp_path / "export", bundles=False)
    assert len(messages(report, Verdict.CANNOT_VERIFY)) == 2
    assert report.replayed == {"dev": 0, "staging": 0}
    assert not report.audit.ok


async def test_another_manifest_or_signature_in_the_export_is_no_pass(world, tmp_path):
    await world.promote(await attested(world))
    folder = await export_of(world, tmp_path / "export")
    for file in (folder / "staging" / "bundles").iterdir():
        data = file.read_bytes()
        middle = len(data) // 2
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        report = replay_export(folder, pins_of(world), world.staging.engine)
        assert len(messages(report, Verdict.CANNOT_VERIFY)) == 1, file.name
        assert report.replayed["dev"] == 1
        file.write_bytes(data)
