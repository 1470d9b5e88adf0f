"""A store's description says again what was written, and what is wrong with one that was edited."""

from __future__ import annotations

import pytest

from carnet.errors import AlreadyExistsError, DocumentInvalidError, FileUnreadableError
from carnet_server.local.backends.configuration import BackendConfig, configured, load_backend


@pytest.mark.parametrize("durable", [True, False])
def test_it_is_read_as_it_was_written_wherever_it_is_moved(tmp_path, durable):
    made = tmp_path / "made"
    config = BackendConfig(5432, made / "postgres", durable)
    config.save(made / "postgres.yaml", comment="A server.")
    made.rename(tmp_path / "moved")
    found = load_backend(tmp_path / "moved" / "postgres.yaml")
    assert found == BackendConfig(5432, tmp_path / "moved" / "postgres", durable)
    assert found.endpoint == "127.0.0.1:5432"
    assert configured(["--config", str(tmp_path / "moved" / "postgres.yaml")]) == found


def test_it_is_not_written_over(tmp_path):
    config = BackendConfig(5432, tmp_path / "postgres")
    config.save(tmp_path / "postgres.yaml", comment="A server.")
    with pytest.raises(AlreadyExistsError):
        config.save(tmp_path / "postgres.yaml", comment="Another.")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ("{}", "schema"),
        ("schema: carnet.backend/v2\nport: 1\nfolder: a", "schema"),
        ("schema: carnet.backend/v1\nport: 0\nfolder: a", "port"),
        ("schema: carnet.backend/v1\nport: 65536\nfolder: a", "port"),
        ("schema: carnet.backend/v1\nport: '1'\nfolder: a", "port"),
        ("schema: carnet.backend/v1\nport: 1\nfolder: ''", "folder"),
        ("schema: carnet.backend/v1\nport: 1\nfolder: a\nhost: b", "host"),
        ("schema: carnet.backend/v1\nport: 1\nfolder: a\ndurable: 1", "durable"),
        ("[", "line|expected"),
    ],
)
def test_what_breaks_the_schema_is_refused_by_its_field(tmp_path, document, field):
    (tmp_path / "postgres.yaml").write_text(document)
    with pytest.raises(DocumentInvalidError, match=field):
        load_backend(tmp_path / "postgres.yaml")


def test_one_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileUnreadableError, match="postgres.yaml"):
        load_backend(tmp_path / "postgres.yaml")
