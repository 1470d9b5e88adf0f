"""Changes of documents that people signed: what the offline verifier says of their signatures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carnet.audit.report import Verdict
from carnet.canonical import sha256_hex
from carnet.signing.document import read_header, sign_document
from carnet.signing.keys import SigningKey
from carnet.translog.entry import EntryType

KINDS = {"policy": EntryType.POLICY_CHANGED, "trust": EntryType.TRUST_CHANGED}


def document(kind: str, version: int, environment: str = "dev") -> bytes:
    return f"schema: carnet.{kind}/v1\nenvironment: {environment}\nversion: {version}\n".encode()


def change(world: Any, kind: str, data: bytes, /, *keys: SigningKey, keep: bool = True, **said: Any) -> None:
    """Add a change of one of dev's documents, signed with keys; ``said`` is put into what is signed."""
    header = replace(read_header(data, name=kind), **said)
    lines = b"".join(sign_document(header, key, world.now).to_bytes() + b"\n" for key in keys)
    if lines and keep:
        world.dev.documents.append(lines)
    world.dev.add(
        KINDS[kind],
        None,
        data,
        new=sha256_hex(data),
        request_digest=sha256_hex(lines) if lines else None,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_by_pinned_people_over_the_document_are_in_order(
    tmp_path: Path, world: Any, keys: Any, kind: str
) -> None:
    change(world, kind, document(kind, 2), keys["bob"], keys["carol"])
    change(world, kind, document(kind, 3), keys["carol"])
    assert world.audit(tmp_path).findings == ()


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_that_are_not_in_the_export_are_missing(
    tmp_path: Path, world: Any, keys: Any, only: Callable[..., Any], kind: str
) -> None:
    change(world, kind, document(kind, 2), keys["bob"], keep=False)
    assert only(world.audit(tmp_path)).verdict is Verdict.INCOMPLETE


def test_a_signature_by_somebody_who_is_not_pinned_is_no_pass(
    tmp_path: Path, world: Any, keys: Any, stranger: SigningKey, only: Callable[..., Any]
) -> None:
    change(world, "trust", document("trust", 2), keys["bob"], stranger)
    finding = only(world.audit(tmp_path))
    assert finding.verdict is Verdict.CANNOT_VERIFY
    assert stranger.key_id in finding.message


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"version": 1}, "it is for version 1"),
        ({"environment": "prod"}, "of prod's trust.yaml"),
        ({"kind": "policy"}, "policy.yaml"),
        ({"digest": "ab" * 32}, "over other bytes"),
    ],
)
def test_signatures_of_another_document_are_a_broken_rule(
    tmp_path: Path, world: Any, keys: Any, only: Callable[..., Any], said: dict[str, Any], words: str
) -> None:
    change(world, "trust", document("trust", 2), keys["bob"], **said)
    finding = only(world.audit(tmp_path))
    assert finding.verdict is Verdict.POLICY_VIOLATED
    assert words in finding.message


def test_a_signed_document_of_another_environment_is_a_broken_rule(
    tmp_path: Path, world: Any, keys: Any, only: Callable[..., Any]
) -> None:
    change(world, "trust", document("trust", 2, "prod"), keys["bob"])
    assert "prod's trust.yaml" in only(world.audit(tmp_path)).message


def test_signatures_that_are_none_are_a_broken_rule(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    data, lines = document("trust", 2), b"{]\n"
    world.dev.documents.append(lines)
    world.dev.add(EntryType.TRUST_CHANGED, None, data, new=sha256_hex(data), request_digest=sha256_hex(lines))
    assert "cannot be read" in only(world.audit(tmp_path)).message


def test_a_change_without_signatures_after_one_with_is_told_of(
    tmp_path: Path, world: Any, keys: Any, only: Callable[..., Any]
) -> None:
    change(world, "policy", document("policy", 2), keys["bob"])
    change(world, "policy", document("policy", 3))
    finding = only(world.audit(tmp_path))
    assert finding.verdict is Verdict.POLICY_VIOLATED
    assert "not signed" in finding.message
