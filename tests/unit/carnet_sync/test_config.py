from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from carnet.errors import DocumentInvalidError, FileUnreadableError
from carnet_sync.config import load_config

if TYPE_CHECKING:
    from pathlib import Path


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
        ({"callers": [{"subject": "spiffe://x/y", "roles": ["reader"]}] * 2}, "stands twice"),
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


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match="cannot be read"):
        load_config(tmp_path / "sync.yaml")
