"""``kill -9`` while everything runs on, at every step of a promotion, again and again; see the integration tests."""

from __future__ import annotations

import pytest

from tests.support.federation import LocalFederation
from tests.support.interruption import VICTIMS, go_on_where_it_stood, outlive_a_kill

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
HUGE_BYTES = 256 << 20
ROUNDS = 5


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation whose processes die."""
    federation = LocalFederation(tmp_path_factory.mktemp("kills") / "carnet")
    federation.start()
    yield federation
    federation.stop()


@pytest.fixture(autouse=True)
def whole_again(federation):
    """Whatever a test did, all processes run after it, and every log goes on from what was verified."""
    yield
    federation.start()
    with federation.client("dave") as auditor:
        report = auditor.audit_verify()
    assert report.ok, report.findings
    assert set(report.environments) == {"dev", "staging", "prod"}


@pytest.mark.parametrize("again", range(ROUNDS))
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("moment", ["PENDING", "CHECKING", "ADMITTING", "ADMITTED"])
def test_a_promotion_outlives_a_kill_while_everything_runs_on_at(moment, victim, again, federation, tmp_path):
    outlive_a_kill(federation, tmp_path, moment, victim, held=False)


@pytest.mark.parametrize("again", range(ROUNDS))
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_huge_transfer_that_a_kill_interrupts_goes_on_where_it_stood(victim, again, federation, tmp_path):
    go_on_where_it_stood(federation, tmp_path, victim, large_bytes=HUGE_BYTES, held=False)
