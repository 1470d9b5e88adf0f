from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.pins import EnvironmentPins
from carnet.audit.report import Verdict
from carnet.canonical import sha256_hex
from carnet.signing.keys import SigningKey
from carnet.translog.entry import Actor, EntryType
from tests.support.job_certificates import GITHUB, JOB, JobAuthority

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = sha256_hex(b"signed")


@pytest.fixture
def authority(world: Any) -> JobAuthority:
    return JobAuthority(world.now)


def issue(
    world: Any,
    authority: JobAuthority,
    *,
    later: timedelta = timedelta(0),
    document: Any = b"",
    **changes: Any,
) -> int:
    certificate = authority.issue(SigningKey.generate().verification_key, PAYLOAD, now=world.now + later)
    values = {
        "subject": {"key": certificate.key.key_id},
        "actor": Actor(JOB.subject, GITHUB, "oidc"),
    } | changes
    subject = values.pop("subject")
    told = certificate.pem if document == b"" else document
    return world.prod.add(EntryType.CERTIFICATE_ISSUED, subject, told, **values)


def audit(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: JobAuthority | None) -> Any:
    pem = authority.pem if authority is not None else ""
    make = EnvironmentPins.__post_init__

    def with_authority(self: EnvironmentPins) -> None:
        object.__setattr__(self, "signing_authority", pem)
        make(self)

    with monkeypatch.context() as patch:
        patch.setattr(EnvironmentPins, "__post_init__", with_authority)
        return world.audit(tmp_path)


def test_an_issued_certificate_is_nothing_to_object_to(
    tmp_path: Path, world: Any, monkeypatch: pytest.MonkeyPatch, authority: JobAuthority
) -> None:
    issue(world, authority)
    world.promote()
    assert audit(world, tmp_path, monkeypatch, authority).findings == ()


@pytest.mark.parametrize(
    ("wrong", "verdict", "said"),
    [
        ({"document": None}, Verdict.INCOMPLETE, "rests on no document"),
        ({"document": b"{}"}, Verdict.POLICY_VIOLATED, "something else"),
        ({"subject": {"key": "0" * 64}}, Verdict.POLICY_VIOLATED, "another key"),
        ({"actor": Actor("oidc:x:y", GITHUB, "oidc")}, Verdict.POLICY_VIOLATED, "was given it"),
        ({"later": timedelta(hours=1)}, Verdict.POLICY_VIOLATED, "another time"),
        ({"later": -timedelta(hours=1)}, Verdict.POLICY_VIOLATED, "another time"),
    ],
    ids=str,
)
def test_an_entry_that_its_certificate_does_not_bear_out_is_found(
    tmp_path: Path,
    world: Any,
    monkeypatch: pytest.MonkeyPatch,
    authority: JobAuthority,
    wrong: dict[str, Any],
    verdict: Verdict,
    said: str,
) -> None:
    index = issue(world, authority, **wrong)
    (finding,) = audit(world, tmp_path, monkeypatch, authority).findings
    assert (finding.verdict, finding.environment, finding.index) == (verdict, "prod", index)
    assert finding.message.startswith("certificate.issued: ")
    assert said in finding.message


@pytest.mark.parametrize("is_pinned", [False, True])
def test_a_certificate_by_an_authority_that_is_not_pinned_cannot_be_verified(
    tmp_path: Path, world: Any, monkeypatch: pytest.MonkeyPatch, authority: JobAuthority, is_pinned: bool
) -> None:
    issue(world, authority)
    other = JobAuthority(world.now) if is_pinned else None
    (finding,) = audit(world, tmp_path, monkeypatch, other).findings
    assert finding.verdict is Verdict.CANNOT_VERIFY
