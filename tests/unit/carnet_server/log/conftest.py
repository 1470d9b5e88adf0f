"""Logs over either database."""

from __future__ import annotations

import pytest

from carnet.translog.entry import Actor, EntryType
from carnet.translog.keys import LogKey
from carnet_server.database.engine import Database
from carnet_server.log.transaction import EntryDraft
from tests.support.storage import DATABASES, Databases

ACTOR = Actor(subject="spiffe://carnet.test/person/alice", issuer="spiffe://carnet.test", method="mtls")


@pytest.fixture
def draft():
    """Makes what a change appends."""

    def draft(alias="champion"):
        subject = {"namespace": "risk", "model": "fraud", "alias": alias}
        return EntryDraft(EntryType.ALIAS_MOVED, ACTOR, subject, "", "1")

    return draft


@pytest.fixture
def key():
    return LogKey.generate("carnet.test/dev")


@pytest.fixture(params=DATABASES)
def databases(request, tmp_path):
    databases = Databases(request.param, tmp_path)
    yield databases
    databases.drop()


@pytest.fixture
def database(databases):
    database = Database(databases.make())
    yield database
    database.close()
