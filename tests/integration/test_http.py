"""What a registry and the promotion service serve over HTTP: a C2SP witness, the log as C2SP tiles, metrics."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import ssl
from dataclasses import replace

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from carnet.client import audit_memory
from carnet.client.federation import Federation
from carnet.client.results import PromotionState
from carnet.errors import ConflictError, NotFoundError
from carnet.registry.v1 import aliases_pb2, retention_pb2
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from carnet.translog.cosignature import verify_cosignature
from carnet.translog.entry import parse_entry
from carnet.translog.keys import LogKey
from carnet.translog.tiles import Tile, entry_bundles, hash_tiles, parse_bundle, parse_tile
from carnet.translog.tree import Frontier, consistency_proof, leaf_hash, root_of
from carnet.translog.witness_policy import parse_witness_policy
from carnet.translog.witness_request import REQUEST_MAX_BYTES, WitnessRequest
from carnet.version import __version__
from carnet_server.config import load_config
from carnet_server.local.initialise import free_ports
from carnet_server.local.plan import DEFAULT_PLAN
from carnet_server.witnessing.links import HttpWitness
from tests.support.federation import LocalFederation

WITNESSES = ("staging", "sync")
LEAVES = [leaf_hash(bytes([number])) for number in range(12)]


class Served:
    """A federation whose dev and promotion service listen for HTTP, dev over TLS, with its log."""

    def __init__(self, folder):
        plan = replace(DEFAULT_PLAN, environments=("dev", "staging"), routes=(("dev", "staging", "pull"),))
        self.federation = LocalFederation(folder, plan=plan)
        self.ports = dict(zip(("dev", "staging", "sync"), free_ports(3, 29_400), strict=True))
        self._change("environments/dev/environment.yaml", "dev", tls=True, tiles=True)
        self._change("environments/staging/environment.yaml", "staging", tls=False, metrics=True)
        self._change("sync/sync.yaml", "sync", tls=False, metrics=True)
        self.federation.start()

    def _change(self, name, process, **http):
        path = self.federation.folder / name
        document = yaml.safe_load(path.read_text())
        document.pop("witnesses", None)  # nobody but the tests asks these witnesses
        listen = f"127.0.0.1:{self.ports[process]}"
        path.write_text(yaml.safe_dump(document | {"http": {"listen": listen} | http}))

    def ask(self, process, method, path, body=None):
        """One request; returns the status, the headers and the body."""
        port = self.ports[process]
        if process == "dev":
            context = ssl.create_default_context(cafile=str(Federation.load(self.federation.folder).ca))
            context.check_hostname = False
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path):
        status, headers, body = self.ask("dev", "GET", path)
        assert status == 200, (path, status, body)
        return headers, body


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("http") / "carnet")
    yield served
    served.federation.stop()


# --- a witness ------------------------------------------------------------------------------------------------


class Log:
    """A log of dev's own key, as nobody else sees it."""

    def __init__(self, federation, *, key=None, leaves=LEAVES):
        config = load_config(federation.folder / "environments" / "dev" / "environment.yaml")
        self.key = key or LogKey.load(config.log_origin, config.log_key)
        self._leaves = leaves
        self._nodes = {}
        frontier = Frontier()
        for index, leaf in enumerate(leaves):
            self._nodes[0, index] = leaf
            self._nodes |= {(level, at): value for level, at, value in frontier.append(leaf)}

    def checkpoint(self, size):
        return sign_checkpoint(Checkpoint(self.key.name, size, root_of(self._leaves[:size])), self.key)

    def request(self, old, size):
        proof = consistency_proof(old, size, lambda *place: self._nodes[place]) if old else []
        return WitnessRequest(old, tuple(proof), self.checkpoint(size))


def cosigner(federation, witness):
    """The key of a witness, as the policy file pins it."""
    policy = parse_witness_policy(
        (federation.folder / "environments" / "dev" / "witnesses.policy").read_bytes(), name="policy"
    )
    return next(
        each.verifier for each in policy.witnesses.values() if each.verifier.name.endswith(f"/{witness}")
    )


@pytest.mark.parametrize("witness", WITNESSES)
async def test_a_witness_answers_as_c2sp_tlog_witness_says(witness, served):
    log = Log(served.federation)
    outside = HttpWitness(witness, f"http://127.0.0.1:{served.ports[witness]}")
    for old, size in ((0, 3), (3, 3), (3, 8)):
        request = log.request(old, size)
        (line,) = await outside.add_checkpoint(request, anchor=False)
        assert verify_cosignature(request.checkpoint + line + "\n", cosigner(served.federation, witness))
    with pytest.raises(ConflictError) as conflict:
        await outside.add_checkpoint(log.request(3, 9), anchor=False)
    assert conflict.value.metadata == {"size": "8"}

    def refused(request):
        return served.ask(witness, "POST", "/add-checkpoint", str(request).encode())

    status, headers, body = refused(log.request(3, 9))
    assert (status, headers["Content-Type"], body) == (409, "text/x.tlog.size", b"8\n")
    right = log.request(8, 11)
    # Two histories of the size that is held: the size would say nothing.
    forked = Log(served.federation, leaves=[*LEAVES[:7], LEAVES[0]])
    status, headers, body = refused(replace(forked.request(0, 8), old_size=8))
    assert status == 409
    assert headers.get_content_type() == "text/plain"
    assert b"two histories" in body
    assert refused(replace(right, proof=right.proof[:-1]))[0] == 422
    assert refused(replace(right, proof=(*right.proof, LEAVES[0])))[0] == 422
    assert refused(replace(log.request(0, 11), old_size=8))[0] == 422
    assert refused(replace(right, old_size=12))[0] == 400
    assert refused(Log(served.federation, key=LogKey.generate("example.com/nobody")).request(8, 11))[0] == 404
    assert refused(Log(served.federation, key=LogKey.generate(log.key.name)).request(8, 11))[0] == 403
    text = right.checkpoint
    forged = text.replace("\n11\n", "\n10\n")
    assert refused(replace(right, checkpoint=forged))[0] == 403
    whole = str(right).encode()
    for body in (
        b"",
        b"\xff" + whole,
        whole.replace(b"old 8", b"old 08"),
        whole.replace(b"old 8", b"new 8"),
        whole.replace(b"\n\n", b"\n", 1),
        whole[:-20],
        whole.replace(b"old 8\n", b"old 8\n!!\n"),
        whole.replace(b"old 8\n", b"old 8\n" + b"AAAA\n" * 64),
        b"old 8\n\nno checkpoint\n",
    ):
        status, _, answer = served.ask(witness, "POST", "/add-checkpoint", body)
        assert (status, answer != b"") == (400, True), body
    assert served.ask(witness, "POST", "/add-checkpoint", b"x" * (REQUEST_MAX_BYTES + 1))[0] == 400
    assert served.ask(witness, "POST", "/add-checkpoint", b"x" * (1 << 20))[0] == 413
    assert served.ask(witness, "GET", "/add-checkpoint")[0] == 405
    # None of it moved what is held.
    assert await outside.add_checkpoint(right, anchor=False)


# --- metrics --------------------------------------------------------------------------------------------------


def measured(served, process):
    """What a process tells at ``/metrics``: the value of each sample, by its name and labels."""
    status, headers, body = served.ask(process, "GET", "/metrics")
    assert (status, headers.get_content_type()) == (200, "text/plain")
    families = text_string_to_metric_families(body.decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_calls_are_counted_by_their_status_and_the_log_by_its_entries(served):
    method = ("grpc_method", "ResolveVersion"), ("grpc_service", "carnet.registry.v1.ModelService")
    kind = ("grpc_type", "unary")
    handled = "grpc_server_handled_total"
    missed = (handled, ("grpc_code", "NotFound"), *method, kind)
    before = measured(served, "staging")
    with served.federation.client("dave") as dave:
        for _ in range(3):
            with pytest.raises(NotFoundError):
                dave.resolve("staging/risk/nothing@1")
    ((size,),) = served.federation.query("staging", "SELECT size FROM log_head")
    after = measured(served, "staging")
    assert after[missed] - before.get(missed, 0) == 3
    took = ("grpc_server_handling_seconds_count", *method, kind)
    assert after[took] - before.get(took, 0) == 3
    assert after["carnet_log_entries",] >= size > 0
    assert after["carnet_database_up",] == 1
    build = next(key for key in after if key[0] == "carnet_build_info")
    assert dict(build[1:]) == {"environment": "staging", "version": __version__}
    assert after["process_resident_memory_bytes",] > 0


def test_promotions_are_counted_by_where_they_stand(served, tmp_path):
    succeeded = ("carnet_promotions", ("state", "SUCCEEDED"))
    before = measured(served, "sync")
    reference = served.federation.publish(tmp_path, model="risk/counted")
    served.federation.evaluate(reference)
    with served.federation.client("ci") as ci:
        asked = ci.promote(str(reference), "staging").id
        assert ci.wait(asked, timeout=60).state is PromotionState.SUCCEEDED
    after = measured(served, "sync")
    assert after[succeeded] - before[succeeded] == 1
    assert after["carnet_promotions", ("state", "FAILED")] == before["carnet_promotions", ("state", "FAILED")]


@pytest.mark.parametrize("witness", WITNESSES)
def test_two_histories_that_a_witness_is_shown_are_alarmed_in_its_metrics(witness, served):
    log = Log(served.federation)
    alarms = ("carnet_alarms", ("kind", "equivocation"), ("origin", log.key.name))
    before = measured(served, witness)
    status, _, body = served.ask(witness, "POST", "/add-checkpoint", str(log.request(0, 12)).encode())
    size = 12 if status == 200 else int(body)
    forked = Log(served.federation, leaves=[*LEAVES[: size - 1], LEAVES[size % 3]])
    request = replace(forked.request(0, size), old_size=size)
    status, _, body = served.ask(witness, "POST", "/add-checkpoint", str(request).encode())
    assert (status, b"two histories" in body) == (409, True)
    assert measured(served, witness)[alarms] - before.get(alarms, 0) == 1


def test_metrics_are_for_nobody_where_they_are_not_wanted(served):
    assert served.ask("dev", "GET", "/metrics")[0] == 404


# --- the log as tiles -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_log(served, tmp_path_factory):
    """dev's log with more than one full bundle; the last commit has several entries."""
    federation = served.federation
    for number in range(2):
        federation.publish(tmp_path_factory.mktemp("bundle"), model="risk/tiles", seed=number)

    async def grow():
        async with federation.connection("dev", "identities/dave") as registry:
            hold = retention_pb2.PlaceHoldRequest(name="namespaces/risk/models/tiles", reason="to be read")
            await asyncio.gather(*(registry.call(registry.retention.PlaceHold, hold) for _ in range(280)))
        async with federation.connection("dev", "identities/ci") as registry:
            for version in (1, 2):
                request = aliases_pb2.SetAliasRequest(
                    name="namespaces/risk/models/tiles/aliases/latest", version=version
                )
                await registry.call(registry.aliases.SetAlias, request)

    asyncio.run(grow())
    return served


def read_all(served):
    """Read the whole log as a client of tiles does."""
    _, text = served.get("/checkpoint")
    head = parse_checkpoint(text, Federation.load(served.federation.folder).environment("dev").log)
    files = {"checkpoint": text}
    for tile in (*entry_bundles(head.size), *hash_tiles(head.size)):
        files[tile.path] = served.get(f"/{tile.path}")[1]
    return head, files


def test_a_client_of_tiles_reads_the_log_and_its_copy_verifies(long_log, tmp_path):
    head, files = read_all(long_log)
    assert head.size > 256
    entries = []
    for tile in entry_bundles(head.size):
        bundle = parse_bundle(files[tile.path], width=tile.width)
        hashes = parse_tile(files[Tile(0, tile.index, tile.width).path], width=tile.width)
        assert [leaf_hash(entry) for entry in bundle] == hashes
        entries += bundle
    assert root_of(map(leaf_hash, entries)) == head.root
    export = tmp_path / "export"
    with long_log.federation.client("dave") as auditor:
        auditor.audit_export(export, environments=("dev",))
    shutil.rmtree(export / "dev" / "tile")
    for path, data in files.items():
        (export / "dev" / path).parent.mkdir(parents=True, exist_ok=True)
        (export / "dev" / path).write_bytes(data)
    pins = yaml.safe_load((long_log.federation.folder / "federation.yaml").read_text())
    pins["environments"]["dev"].pop("witnesses", None)  # nobody is there who could be one
    (tmp_path / "pins.yaml").write_text(yaml.safe_dump(pins))
    report = audit_memory.verify_offline(export, audit_memory.read_pins(tmp_path / "pins.yaml"))
    assert report.ok, report.findings
    assert report.environments["dev"].size == head.size


def test_full_tiles_are_kept_for_ever_and_a_checkpoint_is_not(long_log):
    head, files = read_all(long_log)
    for path in files:
        headers, _ = long_log.get(f"/{path}")
        immutable = "immutable" in headers["Cache-Control"]
        assert immutable == (path.startswith("tile/") and ".p/" not in path)
    headers, _ = long_log.get("/checkpoint")
    assert headers["Cache-Control"] == "no-cache"
    assert headers.get_content_type() == "text/plain"
    assert long_log.get("/tile/0/000")[0].get_content_type() == "application/octet-stream"


def test_partial_tiles_are_only_of_trees_that_were_signed(long_log):
    head, files = read_all(long_log)
    last = list(entry_bundles(head.size))[-1]
    bundle = parse_bundle(files[last.path], width=last.width)
    times = [parse_entry(entry).time for entry in bundle]
    ends = [width for width in range(1, last.width) if times[width - 1] != times[width]]
    within = [width for width in range(1, last.width) if times[width - 1] == times[width]]
    assert ends
    assert within
    for level in ("entries", "0"):
        for width in (ends[0], ends[-1]):
            long_log.get(f"/tile/{level}/{last.path.split('/')[2].partition('.')[0]}.p/{width}")
        for width in (within[0], last.width + 1, 256, 0):
            path = f"/tile/{level}/{last.path.split('/')[2].partition('.')[0]}.p/{width}"
            assert long_log.ask("dev", "GET", path)[0] == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/999",
        "/tile/1/000",
        "/tile/9/000",
        "/tile/64/000",
        "/tile/00/000",
        "/tile/0/0",
        "/tile/0/x000/000",
        "/tile/entries/x999/999",
        "/tile/0/000.p/",
        "/tile/../checkpoint",
        "/tile/0/..%2f..%2fcheckpoint",
        "/tile/",
        "/entries",
        "/",
        "/tile/0/" + "x001/" * 60 + "000",
    ],
)
def test_what_is_no_tile_is_not_found(path, long_log):
    assert long_log.ask("dev", "GET", path)[0] == 404


def test_nothing_is_written_by_http(long_log):
    for method in ("POST", "PUT", "DELETE"):
        assert long_log.ask("dev", method, "/tile/0/000", b"x")[0] == 405
        assert long_log.ask("dev", method, "/checkpoint", b"x")[0] == 405


@pytest.mark.parametrize("process", WITNESSES)
def test_the_log_is_served_only_where_the_operator_says_so(process, served):
    for path in ("/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1"):
        assert served.ask(process, "GET", path)[0] == 404
