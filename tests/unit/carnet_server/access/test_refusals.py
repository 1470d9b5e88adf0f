from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta

import pytest

from carnet.client.status import every_error_class
from carnet.errors import (
    AlreadyExistsError,
    BlobsMissingError,
    ConflictError,
    DigestMismatchError,
    DocumentInvalidError,
    GateAwaitingError,
    IllegalTransitionError,
    InternalError,
    InvalidInputError,
    KeyUntrustedError,
    LogTamperedError,
    NotFoundError,
    PathRefusedError,
    PermissionDeniedError,
    PreconditionFailedError,
    ProofInvalidError,
    ReferenceInvalidError,
    SignatureInvalidError,
    StaleEpochError,
    StatementInvalidError,
    UnauthenticatedError,
    UnavailableError,
)
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.refused_calls import NAMESPACES_MAX, parse_refused_calls
from carnet_server.access import refusals
from carnet_server.access.permissions import PERMISSIONS
from carnet_server.access.refusals import GATES, RefusalLog, is_known, is_refusal
from tests.support.registry import CI, DOMAIN, EVALUATOR, OPERATOR, READER, STAGING, SYNC

REGISTRY = "/carnet.registry.v1."
ADMIT = f"{REGISTRY}AdmissionService/Admit"
PUBLISH = f"{REGISTRY}ModelService/PublishVersion"
LIST = f"{REGISTRY}ModelService/ListModels"
READ = f"{REGISTRY}BlobService/ReadBlob"
CARRIER = (SYNC, DOMAIN, "mtls")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


# --- what a refusal is ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", PERMISSIONS)
@pytest.mark.parametrize("error", [PermissionDeniedError, UnauthenticatedError])
def test_who_may_not_is_refused_anywhere(method, error):
    assert is_refusal(method, error("no"))


@pytest.mark.parametrize(
    "error",
    [
        DigestMismatchError,
        SignatureInvalidError,
        KeyUntrustedError,
        StatementInvalidError,
        ProofInvalidError,
        InvalidInputError,
        DocumentInvalidError,
        PathRefusedError,
        PreconditionFailedError,
        IllegalTransitionError,
        BlobsMissingError,
        GateAwaitingError,
        StaleEpochError,
        AlreadyExistsError,
    ],
)
def test_what_tries_to_pass_a_gate_is_refused_there_and_nowhere_else(error):
    assert all(is_refusal(method, error("no")) for method in GATES)
    assert not is_refusal(LIST, error("no"))


@pytest.mark.parametrize(
    "error", [ConflictError, UnavailableError, LogTamperedError, ReferenceInvalidError, InternalError]
)
def test_what_a_client_repeats_or_mends_is_no_refusal(error):
    assert not any(is_refusal(method, error("no")) for method in PERMISSIONS)


def test_a_step_that_was_skipped_is_a_refusal():
    assert is_refusal(ADMIT, NotFoundError("no such promotion"))
    assert not is_refusal(PUBLISH, NotFoundError("no such model"))


def test_a_forged_capability_is_refused_where_it_is_shown():
    assert is_refusal(READ, SignatureInvalidError("no"))
    assert not is_refusal(READ, InvalidInputError("no"))


def test_gates_are_the_calls_that_change_something():
    assert {method for method, permission in PERMISSIONS.items() if permission.acts} <= GATES
    short = {method.removeprefix(REGISTRY) for method in GATES}
    assert {"AdmissionService/SubmitApproval", "AdmissionService/PullBlobs", "BlobService/WriteBlob"} <= short
    assert not short & {"ModelService/GetVersion", "LogService/ListEntries", "AliasService/WatchAlias"}


def test_every_reason_can_be_written():
    for family in every_error_class():
        assert refusals.RefusedCalls(ADMIT[1:], family.reason, 1, NOON, NOON).summary


# --- who is known -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [CI, EVALUATOR, OPERATOR, SYNC, READER, STAGING])
async def test_whom_the_trust_document_names_is_known(registry, subject):
    assert is_known(subject, registry.state.trust.current)


async def test_whom_it_does_not_name_is_not_known(registry):
    assert not is_known(f"{DOMAIN}/service/stranger", registry.state.trust.current)


async def test_one_fact_is_enough_to_be_known(registry):
    stranger = f"{DOMAIN}/service/stranger"
    revoked = {"subject": stranger, "since": "2026-01-02T00:00:00Z", "reason": "lost"}
    key = {"subject": stranger, "pem": registry.stranger.verification_key.pem, "purposes": ["request"]}
    for fact in (
        {"revoked": [revoked]},
        {"people": [{"name": "eve", "subjects": [stranger]}]},
        {"keys": [key]},
        {"roles": [{"subject": stranger, "roles": ["reader"], "namespaces": ["elsewhere"]}]},
    ):
        registry.trust_anew(**fact)
        assert is_known(stranger, registry.state.trust.current), fact


# --- counting and writing -----------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
async def log(registry):
    return RefusalLog("dev", "carnet.test/dev", registry.writer, clock=Clock())


async def written(registry):
    """Every entry of refused calls, with what it says."""
    found = []
    for _, data, _ in await registry.log.entries(0, 10_000):
        entry = parse_entry(data)
        if entry.type is EntryType.ACCESS_REFUSED:
            found.append((entry, parse_refused_calls(await registry.log.document(entry.envelope_digest))))
    return found


async def test_calls_of_a_kind_are_one_entry_with_their_count_and_times(registry, log):
    for namespace in ("risk", "", "risk"):
        log.count(CARRIER, ADMIT, "STALE_EPOCH", namespace)
    await log.flush()
    ((entry, said),) = await written(registry)
    assert (entry.actor.subject, entry.actor.issuer, entry.actor.method) == CARRIER
    assert (entry.new, entry.old) == ("AdmissionService/Admit STALE_EPOCH x3", None)
    assert entry.subject == {"namespace": "risk"}
    assert (said.method, said.reason, said.count) == (ADMIT[1:], "STALE_EPOCH", 3)
    assert (said.first_at, said.last_at) == (NOON + timedelta(seconds=1), NOON + timedelta(seconds=3))


async def test_subjects_methods_and_reasons_are_told_apart(registry, log):
    for actor in (CARRIER, (CI, DOMAIN, "mtls")):
        for method in (ADMIT, PUBLISH):
            for reason in ("STALE_EPOCH", "KEY_UNTRUSTED"):
                log.count(actor, method, reason)
    await log.flush()
    kinds = {(entry.actor.subject, said.method, said.reason) for entry, said in await written(registry)}
    assert len(kinds) == 8


async def test_nothing_is_written_twice_and_nothing_where_nothing_was_refused(registry, log):
    log.count(CARRIER, ADMIT, "STALE_EPOCH")
    await log.flush()
    size = registry.log.size
    await log.flush()
    assert registry.log.size == size
    log.count(CARRIER, ADMIT, "STALE_EPOCH")
    await log.flush()
    assert [said.count for _, said in await written(registry)] == [1, 1]


async def test_whoever_varies_the_namespace_makes_one_entry(registry, log):
    for index in range(50):
        log.count(CARRIER, PUBLISH, "PERMISSION_DENIED", f"n{index:02}")
    await log.flush()
    ((entry, said),) = await written(registry)
    assert (said.count, len(said.namespaces), entry.subject) == (50, NAMESPACES_MAX, {})


async def test_what_is_too_much_to_be_told_apart_is_counted_in_one_entry(registry, log, monkeypatch):
    monkeypatch.setattr(refusals, "KINDS_MAX", 120)
    for index in range(200):
        log.count((f"{DOMAIN}/service/s{index}", DOMAIN, "mtls"), PUBLISH, "PERMISSION_DENIED", "risk")
    log.count((f"{DOMAIN}/service/s0", DOMAIN, "mtls"), PUBLISH, "PERMISSION_DENIED", "risk")
    assert len(log._tallies) == 121
    await log.flush()
    found = await written(registry)
    assert len(found) == 121
    assert sum(said.count for _, said in found) == 201
    entry, said = next(each for each in found if each[1].method == "*")
    assert (said.reason, said.count, entry.actor.subject) == ("*", 80, "urn:carnet:environment:dev")


async def test_a_subject_that_is_too_long_for_an_entry_is_counted_all_the_same(registry, log):
    log.count((f"{DOMAIN}/{'x' * 1100}", DOMAIN, "mtls"), PUBLISH, "PERMISSION_DENIED")
    await log.flush()
    ((entry, said),) = await written(registry)
    assert (entry.actor.subject, said.count) == ("urn:carnet:environment:dev", 1)


async def test_strangers_are_a_number_in_the_log_of_the_process_only(registry, log, caplog):
    size = registry.log.size
    with caplog.at_level(logging.WARNING):
        for _ in range(7):
            log.count_stranger()
        await log.flush()
        await log.flush()
    assert [record.getMessage() for record in caplog.records] == [
        "7 calls of callers that are not known here were refused"
    ]
    assert registry.log.size == size


@pytest.mark.parametrize("failure", [UnavailableError("the database is away"), OSError("gone")], ids=repr)
async def test_what_could_not_be_written_is_written_the_next_time(
    registry, log, monkeypatch, failure, caplog
):
    async def fails(_):
        log.count(CARRIER, ADMIT, "STALE_EPOCH")  # one more, while the writing is under way
        raise failure

    log.count(CARRIER, ADMIT, "STALE_EPOCH")
    log.count(CARRIER, PUBLISH, "KEY_UNTRUSTED")
    with monkeypatch.context() as patched:
        patched.setattr(registry.writer, "commit", fails)
        await log.flush()
    assert "not in the log yet" in caplog.text
    assert await written(registry) == []
    await log.flush()
    assert sorted((said.reason, said.count) for _, said in await written(registry)) == [
        ("KEY_UNTRUSTED", 1),
        ("STALE_EPOCH", 2),
    ]


async def test_a_writing_that_nobody_waits_for_any_more_is_made_once(registry, log):
    log.count(CARRIER, ADMIT, "STALE_EPOCH")
    waiting = asyncio.create_task(log.flush())
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await log.flush()
    assert [said.count for _, said in await written(registry)] == [1]


def test_no_error_that_a_caller_makes_is_overlooked_by_its_class():
    """A new class of error is a decision: either it is a refusal at a gate, or it stands here."""
    passed_over = {family.reason for family in every_error_class() if not is_refusal(PUBLISH, family("no"))}
    assert passed_over == {
        "CARNET_ERROR",
        "MESSAGE_TOO_LARGE",
        "REFERENCE_INVALID",
        "OFFSET_OUT_OF_RANGE",
        "LOG_TAMPERED",
        "DATA_LOSS",
        "NOT_FOUND",
        "CONFLICT",
        "RESOURCE_EXHAUSTED",
        "STORAGE_FULL",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "CANCELLED",
        "UNIMPLEMENTED",
        "INTERNAL",
    }
