from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import sha256_hex
from carnet.errors import BlobsMissingError, InternalError, PermissionDeniedError, StaleEpochError
from carnet.registry.v1 import admission_pb2
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.steps import answers, presenting, transferring
from carnet_sync.promotions.steps.step import Work
from carnet_sync.promotions.steps.tally import Tally
from tests.support.bundles import make_manifest
from tests.support.simulator import SimulatedFederation, make_promotion
from tests.unit.carnet_sync.conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_sync.config import SyncConfig


async def test_another_bundle_than_the_request_names_is_not_carried(
    bench: Bench, federation: SimulatedFederation
) -> None:
    promotion = await bench.begin(federation.request(digest="f" * 64))
    assert (promotion.state, promotion.error_reason) == (State.FAILED, "DIGEST_MISMATCH")
    assert federation.bundle_digest in promotion.message
    assert "f" * 64 in promotion.message
    assert federation.staging.calls == []


async def test_a_source_that_gives_no_manifest_is_not_believed(
    bench: Bench, federation: SimulatedFederation
) -> None:
    garbage = b'{"schema":"carnet.manifest/v1"}'
    federation.dev.versions[federation.version_name] = (garbage, b"signature")
    promotion = await bench.begin(federation.request(digest=sha256_hex(garbage)))
    assert (promotion.state, promotion.error_reason) == (State.FAILED, "DOCUMENT_INVALID")


async def test_all_evidence_comes_along(bench: Bench, federation: SimulatedFederation) -> None:
    evidence = [federation.envelope_about() for _ in range(230)]
    federation.dev.evidence[federation.bundle_digest] = evidence
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.SUCCEEDED
    assert federation.staging.evidence[federation.bundle_digest] == evidence
    assert federation.dev.calls.count("ListEvidence") == 6


async def test_evidence_that_outgrows_a_message_comes_along_too(
    bench: Bench, federation: SimulatedFederation
) -> None:
    evidence = [federation.envelope_about(size_bytes=900_000) for _ in range(6)]
    evidence.append(federation.envelope_about())
    federation.dev.evidence[federation.bundle_digest] = list(evidence)
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.SUCCEEDED
    assert sorted(federation.staging.evidence[federation.bundle_digest]) == sorted(evidence)
    assert federation.staging.calls.count("AddEvidence") == 5


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(min_value=0, max_value=1000))
def test_evidence_is_split_without_loss_and_within_the_limit(evidence: list[bytes], most: int) -> None:
    fitting, excess = presenting.split(evidence, most)
    assert sorted(fitting + excess) == sorted(evidence)
    assert sum(map(len, fitting)) <= most
    assert all(sum(map(len, fitting)) + len(each) > most for each in excess)


async def test_only_what_is_missing_is_carried(bench: Bench, federation: SimulatedFederation) -> None:
    there, missing = federation.files
    federation.staging.blobs[sha256_hex(there)] = there
    promotion = await bench.begin(federation.request())
    assert federation.staging.pulled == [sha256_hex(missing)]
    assert promotion.total_bytes == len(missing)


async def test_a_target_that_has_everything_pulls_nothing(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.blobs.update(federation.dev.blobs)
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.SUCCEEDED
    assert "PullBlobs" not in federation.staging.calls
    assert "CreateReadCapability" not in federation.dev.calls


async def test_a_target_that_claims_what_it_has_not_fails(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.broken_pull = True
    promotion = await bench.begin(federation.request())
    assert (promotion.state, promotion.error_reason) == (State.FAILED, BlobsMissingError.reason)
    assert "see its log, then retry" in promotion.message


async def test_many_blobs_go_in_rounds(
    bench: Bench, federation: SimulatedFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transferring, "BLOBS_PER_ROUND", 1)
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.SUCCEEDED
    assert federation.staging.calls.count("PullBlobs") == 2
    assert promotion.transferred_bytes == promotion.total_bytes == sum(map(len, federation.files))


async def test_a_right_that_ran_out_under_way_is_asked_for_again(
    bench: Bench, federation: SimulatedFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.dev.script.capability_seconds = -1
    registry = bench.links.registry("dev")
    granted = registry.read_capability

    async def once(*arguments: Any) -> Any:
        answer = await granted(*arguments)
        federation.dev.script.capability_seconds = 900
        return answer

    monkeypatch.setattr(registry, "read_capability", once)
    promotion = await bench.begin(federation.request())
    assert federation.dev.calls.count("CreateReadCapability") == 2
    assert promotion.state is State.SUCCEEDED


async def test_rights_that_always_run_out_are_not_asked_for_for_ever(
    bench: Bench, federation: SimulatedFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.dev.script.capability_seconds = -1
    monkeypatch.setattr(transferring, "MOST_RENEWALS", 3)
    promotion = await bench.begin(federation.request())
    assert (promotion.state, promotion.error_reason) == (State.FAILED, BlobsMissingError.reason)
    assert federation.dev.calls.count("CreateReadCapability") == 4


async def test_a_right_that_is_refused_before_it_ran_out_is_a_failure(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.before["PullBlobs"].append(PermissionDeniedError("not the promoter"))
    promotion = await bench.begin(federation.request())
    assert (promotion.state, promotion.error_reason) == (State.FAILED, "PERMISSION_DENIED")


async def test_a_relay_carries_small_and_large_blobs_through(
    make_config: Callable[..., SyncConfig], federation: SimulatedFederation
) -> None:
    bench = Bench(make_config(transfer="relay"))
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.SUCCEEDED
    assert federation.staging.blobs == federation.dev.blobs
    assert "PullBlobs" not in federation.staging.calls
    assert (
        federation.staging.calls.count("BatchWriteBlobs") == federation.staging.calls.count("WriteBlob") == 1
    )
    assert promotion.transferred_bytes == promotion.total_bytes == sum(map(len, federation.files))
    await bench.close()


async def test_a_relay_goes_on_where_the_upload_stands(
    make_config: Callable[..., SyncConfig], federation: SimulatedFederation
) -> None:
    large = federation.files[1]
    federation.staging.uploads[sha256_hex(large)] = bytearray(large[:150_000])
    bench = Bench(make_config(transfer="relay"))
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.SUCCEEDED, promotion.message
    assert federation.staging.blobs[sha256_hex(large)] == large
    await bench.close()


def test_an_answer_that_is_unknown_here_is_no_success() -> None:
    with pytest.raises(InternalError, match="unknown here"):
        answers.outcome_of(make_promotion(state=State.CHECKING), admission_pb2.Admission())


async def test_a_transfer_stops_when_its_count_can_no_longer_be_told() -> None:
    async def lost(done: int, total: int) -> None:
        raise StaleEpochError("another worker has it")

    async def forever() -> None:
        raise AssertionError("it should never begin")

    tally = Tally(10, lost)
    with pytest.raises(StaleEpochError):
        await tally.follow(forever())


async def test_a_transfer_that_is_taken_up_again_keeps_its_total(
    bench: Bench, federation: SimulatedFederation
) -> None:
    told: list[tuple[int, int]] = []

    async def tell(done: int, total: int) -> None:
        told.append((done, total))

    there, missing = federation.files
    federation.staging.blobs[sha256_hex(there)] = there
    await bench.begin(federation.request("a" * 32))
    federation.staging.blobs.pop(sha256_hex(missing))
    total = len(there) + len(missing)
    promotion = make_promotion(
        id="a" * 32,
        state=State.TRANSFERRING,
        manifest=federation.manifest,
        bundle_digest=federation.bundle_digest,
        total_bytes=total,
        epoch=9,
    )
    outcome = await transferring.run(promotion, Work(bench.links, tell))
    assert told[0] == (len(there), total)
    assert outcome.learned["transferred_bytes"] == outcome.learned["total_bytes"] == total


def test_files_with_the_same_bytes_are_one_blob() -> None:
    file = make_manifest().files[0]
    twice = make_manifest(files=(file, file.model_copy(update={"path": "zwilling.bin"})))
    found = transferring._blobs_of(make_promotion(manifest=twice.to_bytes()))
    assert [(each.digest, each.size_bytes) for each in found] == [(file.digest, file.size_bytes)]
