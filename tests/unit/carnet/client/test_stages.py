"""Moving versions by hand and archiving them, as the client believes it: with receipts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet import errors
from carnet.sync.v1 import promotions_pb2
from carnet.translog.entry import EntryType


async def test_a_receipt_that_tells_another_stage_is_refused(client, fraud, federation):
    def answer_with_the_arrival(answer):
        index = answer.version.log_index
        answer.receipt.CopyFrom(federation.dev.log.receipt(index))
        answer.version.stage_log_index = index

    federation.dev.lies["SetStage"] = answer_with_the_arrival
    with pytest.raises(errors.LogTamperedError):
        await client.set_stage("dev/risk/fraud@1", "archived", "old")

    def answer_with_another_move(answer):
        subject = {"namespace": "risk", "model": "fraud", "version": 1}
        index = federation.dev.log.append(EntryType.VERSION_STAGE_CHANGED, subject, new="approved")
        answer.receipt.CopyFrom(federation.dev.log.receipt(index))

    federation.dev.lies["SetStage"] = answer_with_another_move
    with pytest.raises(errors.LogTamperedError, match="approved"):
        await client.set_stage("dev/risk/fraud@1", "candidate", "old")


async def test_a_stage_that_is_none_is_refused_before_anything_is_asked(client, fraud, federation):
    for call in (
        client.set_stage("dev/risk/fraud@1", "live", "x"),
        client.set_stage("dev/risk/fraud@1", "archived", "x", expected="live"),
        client.versions("dev/risk/fraud", stage="live"),
    ):
        with pytest.raises(errors.InvalidInputError, match="is no stage"):
            await call
    assert "SetStage" not in federation.dev.calls


async def test_versions_of_running_promotions_are_left_alone(client, fraud, federation):
    name = "namespaces/risk/models/fraud/versions/1"
    federation.sync.promotions["promotions/p"] = promotions_pb2.Promotion(
        name="promotions/p",
        source="dev",
        target="staging",
        version=name,
        state=promotions_pb2.PROMOTION_STATE_AWAITING,
    )
    assert await client.archive_unused("dev", min_age=timedelta(0), dry_run=True) == ()
    federation.sync.promotions.clear()
    (told,) = await client.archive_unused("dev", min_age=timedelta(0), dry_run=True)
    assert (str(told.version.reference), told.receipt) == ("dev/risk/fraud@1", None)
