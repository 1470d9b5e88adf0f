"""What `carnet migrate` was given."""

from __future__ import annotations

import pytest

from carnet.errors import InvalidInputError
from carnet_server.moving.pairs import Kind, parse_pairs

POSTGRES = "postgresql://carnet:geheim@db.internal/dev"


def test_the_scheme_says_what_is_moved_and_relative_paths_are_relative_to_the_folder(tmp_path):
    database, blobs = parse_pairs(
        ["sqlite:///data/registry.db", "file:data/blobs"], [POSTGRES, "s3://models/dev?region=eu-1"], tmp_path
    )
    assert database.source.kind is database.target.kind is Kind.DATABASE
    assert database.source.url == f"sqlite:///{tmp_path}/data/registry.db"
    assert database.target.url == POSTGRES.replace("postgresql", "postgresql+psycopg")
    assert blobs.source.kind is blobs.target.kind is Kind.BLOBS
    assert blobs.source.url == f"file:{tmp_path}/data/blobs"
    assert blobs.target.url == "s3://models/dev?region=eu-1"


def test_a_password_is_not_shown(tmp_path):
    (pair,) = parse_pairs(["sqlite:///a.db"], [POSTGRES], tmp_path)
    assert pair.target.shown == "postgresql://carnet:***@db.internal/dev"
    assert "geheim" not in pair.target.label
    assert pair.target.label.startswith("--to ")


@pytest.mark.parametrize("url", ["gs://bucket", "az://container/a", "s3://bucket", "file:/somewhere"])
def test_every_store_of_blobs_can_be_moved(tmp_path, url):
    (pair,) = parse_pairs([url], ["s3://another"], tmp_path)
    assert pair.source.kind is Kind.BLOBS


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ([], [], "--from, --to: 0 and 0 were given: they come in pairs"),
        (["file:a", "file:b"], ["file:c"], "--from, --to: 2 and 1 were given"),
        (
            ["file:a"],
            ["sqlite:///b.db"],
            "--to sqlite:.*: this takes a database, and --from file:.* is blobs",
        ),
        (
            ["sqlite:///b.db"],
            ["file:a"],
            "--to file:.*: this takes blobs, and --from sqlite:.* is a database",
        ),
        (["data"], ["file:a"], "--from: a scheme is wanting: write sqlite:///PATH"),
        (["file:a"], ["mysql://b"], "--to: the scheme 'mysql' is not supported: write sqlite:///PATH"),
        (["sqlite://a"], ["sqlite:///b"], "--from: of SQLite only a path is given"),
        (["sqlite:///a"], ["postgresql://h"], "--to: its name is wanting"),
        (["file:"], ["file:b"], "--from: no folder is named"),
        (["file:a"], ["s3://bucket?key=geheim"], "--to: s3:// has no parameter 'key'"),
        (["file:a"], ["s3://id:geheim@b"], "--to: the URL has a user or a password in it"),
        (["file:a"], ["file:a/../a"], "--to file:.*: it is what is to be moved"),
        (["s3://models?region=x"], ["s3://models?region=y"], "--to s3:.*: it is what is to be moved"),
        (["sqlite:///a"], ["sqlite:///a"], "--to sqlite:.*: it is what is to be moved"),
        (["file:a", "file:b"], ["file:c", "file:c"], "--to file:.*: it was given before"),
        (["file:a", "file:a"], ["file:c", "file:d"], "--from file:.*: it was given before"),
        (["file:a", "file:b"], ["file:b", "file:c"], "--from file:.*: it was given before"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_name_of_its_option(tmp_path, sources, targets, message):
    with pytest.raises(InvalidInputError, match=f"^{message}") as caught:
        parse_pairs(sources, targets, tmp_path)
    assert "geheim" not in str(caught.value)
