"""A federation in containers: the image, and ``deploy/compose.yaml`` as it stands, on a real engine.

Three registries, each with a PostgreSQL on a network of its own, and the promotion service between them.
"""

from __future__ import annotations

import json
import random
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from carnet.errors import UnavailableError
from carnet_server.local.initialise import free_ports
from tests.support.docker_engine import docker_engine
from tests.support.federation import LocalFederation

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
IMAGE = "carnet:test"
REGISTRIES = ("dev", "staging", "prod")
SERVICES = ("sync", *REGISTRIES)
DATABASE_PORT = 5432
SERVICE_PORT = 7400
PROJECT = "com.docker.compose.project"
REACH = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reached(target):
    try:
        socket.create_connection(target, timeout=2).close()
    except OSError:
        return False
    return True
targets = [tuple(each) for each in json.loads(sys.argv[1])]
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(list(pool.map(reached, targets))))
"""

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


class Containers:
    """The project of ``compose.yaml``, with names, ports and a folder of its own."""

    def __init__(self, engine, folder: Path) -> None:
        from testcontainers.compose import DockerCompose

        self.engine = engine
        self.project = f"carnet-test-{secrets.token_hex(4)}"
        self.folder = folder / "federation"
        self.folder.mkdir()
        # Below the ports that systems give to outgoing connections.
        ports = free_ports(len(SERVICES), random.SystemRandom().randrange(11000, 29000, 10))
        settings = {f"CARNET_{name.upper()}_PORT": port for name, port in zip(SERVICES, ports, strict=True)}
        settings |= {"COMPOSE_PROJECT_NAME": self.project, "CARNET_IMAGE": IMAGE}
        settings |= {"CARNET_FEDERATION": self.folder}
        file = folder / "compose.env"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        self.compose = DockerCompose(DEPLOY, "compose.yaml", env_file=str(file), wait=False)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a subcommand of compose."""
        done = subprocess.run(
            [*self.compose.docker_compose_command(), *arguments],
            cwd=DEPLOY,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=400,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def containers(self, *, all_of_them: bool = True) -> dict:
        """Return the project's containers by the names of their services."""
        found = self.engine.containers.list(
            all=all_of_them, filters={"label": f"{PROJECT}={self.project}"}, ignore_removed=True
        )
        return {each.labels["com.docker.compose.service"]: each for each in found}

    def container(self, service: str):
        return self.containers()[service]

    def addresses(self, service: str) -> list[str]:
        """Return a container's address on each of its networks."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        return [network["IPAddress"] for network in networks.values()]

    def reached(self, service: str, others: tuple[str, ...], port: int) -> list[str]:
        """Try to connect from inside a service's container to others, by name and by address."""
        targets = [(other, host) for other in others for host in (other, *self.addresses(other))]
        command = ["python", "-c", REACH, json.dumps([(host, port) for _, host in targets])]
        said, _, _ = self.compose.exec_in_container(command, service_name=service)
        answers = zip(targets, json.loads(said), strict=True)
        met = [other for (other, _), answered in answers if answered]
        return [other for other in others if other in met]

    def wait_until_healthy(self, *services: str, seconds: float = 120) -> None:
        """Wait for the engine's own opinion of health checks."""
        end = time.monotonic() + seconds
        for service in services:
            while (state := self.container(service).attrs)["State"]["Health"]["Status"] != "healthy":
                hopeless = time.monotonic() > end or state["RestartCount"] > 3
                assert not hopeless, f"{service}: {state['State']}\n{self.logs(service)}"
                time.sleep(0.5)

    def logs(self, service: str) -> str:
        return self.container(service).logs(tail=200).decode()

    def left(self) -> list[str]:
        """Name what the engine still has of this project."""
        filters = {"label": f"{PROJECT}={self.project}"}
        return [
            *self.containers(),
            *(network.name for network in self.engine.networks.list(filters=filters)),
            *(volume.name for volume in self.engine.volumes.list(filters=filters)),
        ]


@pytest.fixture(scope="module")
def engine():
    with (
        pytest.MonkeyPatch.context() as patch,
        docker_engine("python:3.11-slim-bookworm", "postgres:15") as client,
    ):
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
            pytest.skip("docker has no compose command")
        yield client


@pytest.fixture(scope="module")
def containers(engine, tmp_path_factory):
    """The image, built from this tree, and the federation, up and healthy; nothing is left of it afterwards."""
    made = Containers(engine, tmp_path_factory.mktemp("containers"))
    try:
        made.run("build", "init")
        made.run("run", "--rm", "init")
        made.compose.start()
        made.wait_until_healthy(*SERVICES)
        yield made
    finally:
        made.run("down", "--volumes", "--remove-orphans")
    assert made.left() == []


@pytest.fixture(autouse=True)
def said_by_services(containers):
    """What the services logged stands beside a test that failed."""
    yield
    for service in SERVICES:
        sys.stdout.write(f"--- {service}\n{containers.logs(service)}\n")


@pytest.fixture(scope="module")
def federation(containers) -> LocalFederation:
    """The same federation as its clients on the host see it."""
    return LocalFederation(containers.folder)


def wait_until_answers(client, reference: str, seconds: float = 60) -> None:
    """Wait until a registry reads its database again."""
    end = time.monotonic() + seconds
    while True:
        try:
            client.versions(reference)
        except UnavailableError:
            assert time.monotonic() < end
            time.sleep(0.2)
        else:
            return


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_neither_root_nor_rights_nor_a_place_to_write_but_its_volume(containers, service):
    host = containers.container(service).attrs["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)
    processes = containers.container(service).top(ps_args="-eo uid,pid")["Processes"]
    assert {user for user, _ in processes} == {"10001"}
    tried = "id -u; for each in /etc/carnet /opt/carnet /; do touch $each/x && echo written; done; :"
    said, _, _ = containers.compose.exec_in_container(["sh", "-c", tried], service_name=service)
    assert said == "10001\n"


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_is_in_what_the_engine_shows(containers, service):
    passwords = {
        (containers.folder / "databases" / name).read_text().strip().partition("=")[2] for name in SERVICES
    }
    assert len(passwords) == len(SERVICES)
    assert all(len(password) >= 32 for password in passwords)
    shown = f"{containers.container(service).attrs}{containers.container(f'{service}-database').attrs}"
    assert not [password for password in passwords if password in shown]


def test_the_image_has_no_tools_to_build_with_and_no_secret(containers):
    command = "command -v gcc cc make; ls /wheels /source /root/.cache/pip; python -m pip --version"
    done = containers.run(
        "run", "--rm", "--no-deps", "--entrypoint", "sh", "init", "-c", command, check=False
    )
    assert done.stdout == "", "the interpreter of Carnet has no pip, and nothing of the build is left"
    config = containers.engine.images.get(IMAGE).attrs["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reaches_its_own_database_and_no_other(containers, service):
    databases = tuple(f"{name}-database" for name in SERVICES)
    assert containers.reached(service, databases, DATABASE_PORT) == [f"{service}-database"]


@pytest.mark.parametrize(
    ("service", "others"),
    [
        ("dev", ["staging"]),
        ("staging", ["dev", "prod"]),
        ("prod", ["staging"]),
        ("sync", ["dev", "staging", "prod"]),
    ],
)
def test_registries_meet_along_the_routes_only_and_the_promotion_service_meets_all(
    containers, service, others
):
    asked = tuple(name for name in REGISTRIES if name != service)
    assert containers.reached(service, asked, SERVICE_PORT) == others


def test_a_bundle_reaches_prod_though_a_database_was_away_and_the_chain_verifies(
    containers, federation, tmp_path
):
    reference = federation.publish(tmp_path, "containers/fraud")
    assert federation.to_staging(reference, alias="champion").state.value == "SUCCEEDED"
    staged = "staging/containers/fraud@1"
    process = containers.container("staging").attrs["State"]["Pid"]

    database = containers.container("staging-database")
    with federation.client("ci") as ci:
        database.stop(timeout=20)
        with pytest.raises(UnavailableError):
            ci.versions("staging/containers/fraud")
        database.start()
        wait_until_answers(ci, "staging/containers/fraud")
        assert containers.container("staging").attrs["State"]["Pid"] == process, "it healed without a restart"
        federation.test_integration(staged)
        promotion = ci.promote(staged, "prod", alias="champion")
        federation.wait_for_dossier(ci, promotion.id)
        federation.approve(promotion.id, "bob", "carol")
        ended = ci.wait(promotion.id, timeout=120)
        assert ended.state.value == "SUCCEEDED", ended
        ci.pull("prod/containers/fraud@champion", tmp_path / "serving")
    assert (tmp_path / "serving" / "model.bin").read_bytes() == next(
        path.read_bytes() for path in tmp_path.rglob("model.bin") if "serving" not in path.parts
    )

    verified = federation.cli_json("audit", "verify", identity="dave")
    assert verified["ok"] is True
    # What a registry knows is in its PostgreSQL: another that never ran before says the same.
    containers.run("up", "--detach", "--force-recreate", "--no-deps", "prod")
    containers.wait_until_healthy("prod")
    assert federation.cli_json("audit", "verify", identity="dave")["ok"] is True


def test_a_service_without_its_files_says_so_and_is_not_healthy(containers):
    done = containers.run("run", "--rm", "--no-deps", "init", "registry", check=False)
    assert done.returncode == 2
    assert "/etc/carnet/environment.yaml" in done.stdout + done.stderr
    probed = containers.run("run", "--rm", "--no-deps", "init", "probe", check=False)
    assert probed.returncode == 1
    assert "not serving" in probed.stdout


def test_making_a_federation_again_keeps_the_one_that_is_there(containers):
    before = (containers.folder / "federation.yaml").read_bytes()
    done = containers.run("run", "--rm", "init", check=False)
    assert done.returncode == 2
    assert "has something in it" in done.stdout + done.stderr
    assert (containers.folder / "federation.yaml").read_bytes() == before
