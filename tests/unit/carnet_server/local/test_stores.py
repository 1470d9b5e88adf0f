"""A federation with stores of its own: what `carnet init` writes for them, and what it refuses."""

from __future__ import annotations

import stat
from dataclasses import replace

import pytest
import yaml

from carnet.errors import FileUnreadableError, InvalidInputError
from carnet_server.config import load_config
from carnet_server.local.backends.configuration import load_backend
from carnet_server.local.files import read_variables, write_variables
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import DEFAULT_PLAN
from carnet_server.local.processes import processes_of
from carnet_server.local.stores import Stores, administrator_variables, variables_file
from carnet_sync.config import load_config as load_sync_config

ENVIRONMENTS = DEFAULT_PLAN.environments
BOTH = Stores("postgres", "s3", durable=False)


def plan_of(*environments):
    return replace(DEFAULT_PLAN, environments=environments, routes=())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("stores") / "carnet"
    initialise(made, base_port=0, stores=BOTH)
    return made


def test_the_stores_are_started_first(folder):
    names = [process.name for process in processes_of(folder)]
    assert names == ["postgres", "s3", *sorted(ENVIRONMENTS), "sync"]
    assert [process.name for process in processes_of(folder) if process.is_store] == ["postgres", "s3"]


def test_every_process_has_a_database_of_its_own_at_the_one_server(folder):
    port = load_backend(folder / "backends" / "postgres.yaml").port
    urls = {"sync": load_sync_config(folder / "sync" / "sync.yaml").database}
    for name in ENVIRONMENTS:
        urls[name] = load_config(folder / "environments" / name / "environment.yaml").database_url
    for name, url in urls.items():
        assert url == f"postgresql+psycopg://carnet_{name}@127.0.0.1:{port}/carnet_{name}"


def test_every_registry_has_a_bucket_of_its_own_at_the_one_endpoint(folder):
    backend = load_backend(folder / "backends" / "s3.yaml")
    for name in ENVIRONMENTS:
        document = yaml.safe_load((folder / "environments" / name / "environment.yaml").read_text())
        assert document["blobs"].startswith(f"s3://carnet-{name}?endpoint=http://127.0.0.1:{backend.port}&")
        assert load_config(folder / "environments" / name / "environment.yaml").blobs_url
        assert (backend.folder / f"carnet-{name}").is_dir()


def test_no_two_of_them_listen_at_one_port(folder):
    ports = [load_backend(folder / "backends" / f"{name}.yaml").port for name in ("postgres", "s3")]
    for name in ENVIRONMENTS:
        config = load_config(folder / "environments" / name / "environment.yaml")
        ports.append(int(config.listen.rpartition(":")[2]))
    ports.append(int(load_sync_config(folder / "sync" / "sync.yaml").listen.rpartition(":")[2]))
    assert len(set(ports)) == len(ports) == 6


def test_secrets_are_in_files_for_their_owner_only_and_nowhere_else(folder):
    files = {name: variables_file(folder, name) for name in (*ENVIRONMENTS, "sync", "s3", "admin")}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    found = {name: read_variables(path) for name, path in files.items()}
    for name in ENVIRONMENTS:
        assert set(found[name]) == {"PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert set(found["sync"]) == {"PGPASSWORD"}
    passwords = [found[name]["PGPASSWORD"] for name in (*ENVIRONMENTS, "sync", "admin")]
    assert len(set(passwords)) == len(passwords)
    assert found["admin"] == administrator_variables(folder)
    secrets = [*passwords, found["dev"]["AWS_SECRET_ACCESS_KEY"]]
    readable = [path for path in folder.rglob("*.yaml") if "data" not in path.parts]
    assert len(readable) > 8
    for path in readable:
        assert not [secret for secret in secrets if secret in path.read_text()], path


def test_one_kind_of_store_does_without_the_other(tmp_path):
    initialise(tmp_path / "carnet", base_port=0, stores=Stores(blobs="s3"))
    found = load_config(tmp_path / "carnet" / "environments" / "dev" / "environment.yaml")
    assert found.database_url.startswith("sqlite:")
    assert sorted(path.name for path in (tmp_path / "carnet" / "backends").iterdir()) == [
        "dev.env",
        "prod.env",
        "s3",
        "s3.env",
        "s3.yaml",
        "staging.env",
    ]
    assert "PGPASSWORD" not in read_variables(variables_file(tmp_path / "carnet", "dev"))


@pytest.mark.parametrize("name", ["sync", "postgres", "s3"])
def test_an_environment_that_is_called_as_another_process_is_refused(tmp_path, name):
    with pytest.raises(InvalidInputError, match=f"cannot be called '{name}'"):
        initialise(tmp_path / "carnet", base_port=0, plan=plan_of("dev", name))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [("prod_eu", "prod-eu"), ("dev", "a" * 57)])
def test_environments_that_cannot_each_have_a_bucket_are_refused(tmp_path, names):
    with pytest.raises(InvalidInputError, match="bucket"):
        initialise(tmp_path / "carnet", base_port=0, plan=plan_of(*names), stores=BOTH)
    assert not list(tmp_path.iterdir())


def test_variables_are_read_as_they_were_written(tmp_path):
    values = {"A": "plain", "B": 'with = and "quotes" and # ', "C": ""}
    write_variables(tmp_path / "x.env", values)
    assert read_variables(tmp_path / "x.env") == values
    with (tmp_path / "x.env").open("a") as file:
        file.write("# A comment=no\n\nnothing\nD=added by hand\n")
    assert read_variables(tmp_path / "x.env") == values | {"D": "added by hand"}


def test_variables_that_are_not_there_are_none_and_unreadable_ones_are_named(tmp_path):
    assert read_variables(tmp_path / "none.env") == {}
    with pytest.raises(FileUnreadableError, match="cannot be read"):
        read_variables(tmp_path)
    (tmp_path / "x.env").write_bytes(b"\xff=1\n")
    with pytest.raises(FileUnreadableError, match=r"x\.env cannot be read"):
        read_variables(tmp_path / "x.env")
