"""``kill -9`` at every step of a group commit and anywhere else, again and again; see the integration tests."""

from __future__ import annotations

import functools

import pytest

from tests.support.dying_registry import STEPS
from tests.support.group_commit import ANYWHERE, die_at, federation_of_two
from tests.support.second_process import connect_to, second_process

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
ROUNDS = 10


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def federation(request, tmp_path_factory):
    """dev, whose process dies, and who witnesses it."""
    federation = federation_of_two(tmp_path_factory.mktemp("commits"), request.param)
    yield federation
    federation.stop()


@pytest.fixture(scope="module")
def other(federation):
    """Connects to another process of dev over the same database; None on SQLite, which has one."""
    if federation.database_url("dev").startswith("sqlite"):
        yield None
        return
    with second_process(federation) as port:
        yield functools.partial(connect_to, federation, "identities/ci", port)


@pytest.mark.parametrize("again", range(ROUNDS))
@pytest.mark.parametrize("step", [*STEPS, ANYWHERE])
def test_a_kill_leaves_log_and_tables_equal(step, again, federation, other, tmp_path):
    die_at(federation, step, tmp_path, other=other)
