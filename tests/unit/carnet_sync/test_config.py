from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from carnet.errors import DocumentInvalidError, FileUnreadableError
from carnet_sync.config import load_config

if TYPE_CHECKING:
    from pathlib import Path


ISSUER = "https://issuer.example"


def by_claims(**claims: str) -> dict[str, Any]:
    return {"issuer": ISSUER, "claims": claims, "roles": ["reader"]}


def document(**fields: Any) -> dict[str, Any]:
    environment = {
        "endpoint": "127.0.0.1:7401",
        "server_name": "dev.carnet.internal",
        "subject": "spiffe://carnet.internal/registry/dev",
    }
    stated: dict[str, Any] = {
        "schema": "carnet.sync/v1",
        "listen": "127.0.0.1:7400",
        "database": "sqlite:///data/sync.db",
        "tls": {"certificate": "tls.pem", "key": "tls-key.pem", "ca": "../ca/ca.pem"},
        "environments": {"dev": environment, "staging": environment, "prod": environment},
        "routes": [
            {"source": "dev", "target": "staging", "transfer": "pull"},
            {"source": "staging", "target": "prod", "transfer": "relay"},
        ],
        "callers": [{"subject": "spiffe://carnet.internal/service/ci", "roles": ["requester"]}],
    }
    return {**stated, **fields}


def write(folder: Path, value: Any) -> Path:
    path = folder / "sync.yaml"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_paths_become_absolute_from_the_files_own_folder(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, document()))
    assert config.database == f"sqlite:///{tmp_path}/data/sync.db"
    assert config.tls.certificate == f"{tmp_path}/tls.pem"
    assert config.tls.ca == f"{tmp_path}/../ca/ca.pem"
    assert config.give_up_after_seconds == 3600


def test_a_server_databases_url_stays_with_its_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg://carnet:secret@db.internal/sync"
    assert load_config(write(tmp_path, document(database=url))).database == url


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schema": "carnet.sync/v2"}, "schema"),
        ({"listen": "here"}, "listen"),
        ({"database": "sync.db"}, "not a URL such as"),
        ({"routes": [{"source": "dev", "target": "moon"}]}, "'moon', which is not among the environments"),
        ({"routes": [{"source": "dev", "target": "dev"}]}, "from 'dev' to itself"),
        ({"routes": [{"source": "dev", "target": "prod"}] * 2}, "stands twice"),
        ({"routes": [{"source": "dev", "target": "prod", "transfer": "push"}]}, "transfer"),
        ({"environments": {"Dev": document()["environments"]["dev"]}}, "is not a name"),
        ({"callers": [{"subject": "ci", "roles": ["requester"]}]}, "subject"),
        ({"callers": [{"subject": "spiffe://x/y", "roles": ["admin"]}]}, "roles"),
        ({"callers": [{"subject": "spiffe://x/y", "roles": []}]}, "roles"),
        ({"callers": [{"subject": "spiffe://x/y", "roles": ["reader"]}] * 2}, "stands twice"),
        ({"callers": [{"roles": ["reader"]}]}, "either subject, or issuer with claims"),
        ({"callers": [{"subject": "spiffe://x/y", "issuer": ISSUER, "roles": ["reader"]}]}, "either subject"),
        (
            {"callers": [{"subject": "spiffe://x/y", "claims": {"ref": "main"}, "roles": ["reader"]}]},
            "either subject",
        ),
        ({"callers": [{"issuer": ISSUER, "roles": ["reader"]}]}, "name one at least"),
        ({"callers": [by_claims(ref="*")]}, "everybody whom the issuer knows"),
        ({"callers": [by_claims(ref="re*fs")]}, r"callers\[0\].claims"),
        ({"callers": [by_claims(ref="main")]}, "not among the issuers of `oidc`; it has none"),
        ({"oidc": [{"issuer": ISSUER}]}, r"oidc\[0\].audience: required"),
        ({"oidc": [{"issuer": "http://x.example", "audience": "a"}]}, "must begin with https://"),
        ({"oidc": [{"issuer": ISSUER, "audience": "a", "algorithms": ["none"]}]}, "algorithms"),
        ({"oidc": [{"issuer": ISSUER, "audience": "a"}] * 2}, "is there already"),
        ({"bearer_listen": "here"}, "bearer_listen"),
        ({"revoked": [{"since": "2026-01-01T00:00:00Z", "reason": "lost"}]}, "exactly one of subject"),
        ({"revoked": [{"serial": "5F", "since": "2026-01-01T00:00:00Z", "reason": "lost"}]}, "serial"),
        ({"revoked": [{"serial": "5f", "since": "2026-01-01T00:00:00", "reason": "lost"}]}, "since"),
        ({"revoked": [{"serial": "5f", "since": "2026-01-01T00:00:00Z", "reason": ""}]}, "reason"),
        ({"give_up_after_seconds": 0}, "give_up_after_seconds"),
        ({"give_up": 1}, "unknown field"),
    ],
)
def test_a_malformed_configuration_is_refused_and_says_what_is_wrong(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(DocumentInvalidError, match=said) as caught:
        load_config(write(tmp_path, document(**fields)))
    assert "sync.yaml" in caught.value.message


def test_callers_with_tokens_and_revocations_are_read(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            document(
                bearer_listen="127.0.0.1:7410",
                oidc=[{"issuer": ISSUER, "audience": "carnet-promotions", "algorithms": ["ES256"]}],
                callers=[by_claims(repository="acme/*"), {"subject": "oidc:x:y", "roles": ["operator"]}],
                revoked=[{"serial": "5f", "since": "2026-01-01T00:00:00Z", "reason": "lost"}],
            ),
        )
    )
    assert config.path == tmp_path / "sync.yaml"
    assert config.bearer_listen == "127.0.0.1:7410"
    assert config.read_callers().roles("oidc:x:y") == {"operator"}
    assert config.read_callers().issuer(ISSUER) == config.oidc[0]
    assert config.revoked[0].serial == "5f"


def test_a_file_cannot_say_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(DocumentInvalidError, match="unknown field"):
        load_config(write(tmp_path, document(_path="/elsewhere")))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match="cannot be read"):
        load_config(tmp_path / "sync.yaml")
