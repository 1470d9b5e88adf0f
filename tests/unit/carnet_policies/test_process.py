from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from carnet.registry.v1 import policy_pb2
from carnet_policies import process as process_module
from carnet_policies.process import WorkerProcess
from carnet_policies.protocol import READY, Question, frame, read_frame
from carnet_policies.source_limits import limit_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = policy_pb2.PolicyFacts(source="dev", metrics={"a": 0.5}).SerializeToString()
TRUE = Question("true", {})
MIB = 1 << 20
CHAIN_OF_26 = "[[1]]" + ".map(a, a + a)" * 26 + ".size() == 1"
WITHIN_CAPS = "[[1]]" + (".map(a, " + "+".join("a" * 20) + ")") * 8 + ".size() == 1"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs an enforced RLIMIT_AS, and reads /proc")


def make_worker(
    *, deadline_seconds: float = 30, address_space_bytes: int = 256 * MIB, resident_bytes: int = 256 * MIB
) -> WorkerProcess:
    return WorkerProcess(
        deadline_seconds=deadline_seconds,
        address_space_bytes=address_space_bytes,
        resident_bytes=resident_bytes,
    )


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with make_worker() as worker:
        yield worker


def test_no_process_runs_before_the_first_question(worker: WorkerProcess) -> None:
    assert worker.pid is None


def test_questions_are_answered_in_order_with_their_values(worker: WorkerProcess) -> None:
    questions = [
        Question('metrics["a"] > 0.4', {"a": 'metrics["a"]', "b": 'metrics["b"]'}),
        Question("false", {}),
    ]
    first, second = worker.ask(questions, FACTS)
    assert first.holds
    assert first.values == {"a": "0.5", "b": '(Key not found in map : "b")'}
    assert (second.kind, second.value) == ("boolean", False)


def test_one_process_serves_every_request(worker: WorkerProcess) -> None:
    worker.ask([TRUE], FACTS)
    pid = worker.pid
    worker.ask([TRUE], FACTS)
    assert worker.pid == pid


def test_facts_larger_than_any_pipe_arrive(worker: WorkerProcess) -> None:
    facts = policy_pb2.PolicyFacts(metrics={f"m{index}": 1.0 for index in range(50_000)}).SerializeToString()
    (answer,) = worker.ask([Question('metrics["m49999"] == 1.0 && metrics.size() == 50000', {})], facts)
    assert answer.holds


@on_linux
@pytest.mark.parametrize("source", [CHAIN_OF_26, WITHIN_CAPS])
def test_an_expression_that_eats_memory_fails_and_the_worker_is_replaced(
    worker: WorkerProcess, source: str
) -> None:
    worker.ask([TRUE], FACTS)
    pid = worker.pid
    before, bomb, after = worker.ask([TRUE, Question(source, {}), TRUE], FACTS)
    assert before.holds
    assert (bomb.kind, bomb.value) == ("memory", False)
    assert (after.kind, after.value) == ("error", False)
    assert "another rule was stopped" in after.text
    assert worker.ask([TRUE], FACTS)[0].holds
    assert worker.pid not in (None, pid)


def test_the_caps_on_the_source_stop_only_the_first_of_the_bombs() -> None:
    assert limit_problems(CHAIN_OF_26)
    assert not limit_problems(WITHIN_CAPS)


def test_a_value_that_eats_memory_is_no_answer_either(worker: WorkerProcess) -> None:
    hungry = WITHIN_CAPS.removesuffix(" == 1")
    assert not worker.ask([Question("true", {"size": hungry})], FACTS)[0].holds
    assert worker.ask([TRUE], FACTS)[0].holds


def test_the_worker_is_killed_over_its_resident_memory_where_no_address_space_is_enforced() -> None:
    with make_worker(address_space_bytes=8192 * MIB, resident_bytes=96 * MIB) as worker:
        bomb, after = worker.ask([Question(WITHIN_CAPS, {}), TRUE], FACTS)
        assert not bomb.holds
        assert "MiB of memory; 96 are allowed" in bomb.text
        assert not after.holds
        assert worker.ask([TRUE], FACTS)[0].holds


def test_a_worker_that_does_not_answer_is_killed_at_the_deadline_and_replaced() -> None:
    with make_worker(deadline_seconds=0.3) as worker:
        worker.ask([TRUE], FACTS)
        stuck = worker.pid
        assert stuck is not None
        os.kill(stuck, signal.SIGSTOP)
        first, second = worker.ask([TRUE, TRUE], FACTS)
        assert (first.kind, first.value) == ("error", False)
        assert "deadline (0.3 s" in first.text
        assert not second.holds
        assert not psutil.pid_exists(stuck)
        assert worker.ask([TRUE], FACTS)[0].holds


def test_a_worker_that_died_while_idle_is_replaced(worker: WorkerProcess) -> None:
    worker.ask([TRUE], FACTS)
    pid = worker.pid
    assert pid is not None
    dying = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    with contextlib.suppress(psutil.NoSuchProcess):  # it may be collected already
        while dying.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.01)
    assert worker.ask([TRUE], FACTS)[0].holds
    assert worker.pid != pid


def test_facts_that_are_no_message_fail_the_question(worker: WorkerProcess) -> None:
    (answer,) = worker.ask([TRUE], b"\xff\xff\xff")
    assert (answer.kind, answer.value) == ("error", False)
    assert "process ended" in answer.text
    assert worker.ask([TRUE], FACTS)[0].holds


@pytest.mark.parametrize(
    "program",
    ["", "print('x')", "import socket; socket.socket(fileno=0).sendall(b'\\0\\0\\0\\5hello')"],
    ids=["ends at once", "says nothing", "says something else"],
)
def test_a_process_that_is_no_worker_fails_the_question(
    worker: WorkerProcess, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!{sys.executable}\n{program}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(process_module.sys, "executable", str(interpreter))
    (answer,) = worker.ask([TRUE], FACTS)
    assert (answer.kind, answer.value) == ("error", False)
    assert worker.pid is None


def test_an_interpreter_that_is_not_there_fails_the_question(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module.sys, "executable", "/does/not/exist")
    (answer,) = worker.ask([TRUE], FACTS)
    assert not answer.holds


def test_closing_ends_the_process_and_asking_again_starts_one(worker: WorkerProcess) -> None:
    worker.ask([TRUE], FACTS)
    pid = worker.pid
    assert pid is not None
    worker.close()
    assert worker.pid is None
    assert not psutil.pid_exists(pid)
    assert worker.ask([TRUE], FACTS)[0].holds


def test_many_threads_share_one_worker(worker: WorkerProcess) -> None:
    def ask(number: int) -> bool:
        facts = policy_pb2.PolicyFacts(metrics={"n": float(number)}).SerializeToString()
        return worker.ask([Question(f'metrics["n"] == {number}.0', {})], facts)[0].holds

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


def test_an_interrupted_request_leaves_no_answers_behind(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.ask([TRUE], FACTS)
    with monkeypatch.context() as patch:
        patch.setattr(process_module, "decode_answer", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            worker.ask([TRUE, TRUE], FACTS)
    (answer,) = worker.ask([Question("false", {})], FACTS)
    assert (answer.kind, answer.value) == ("boolean", False)


def _interrupt(_: bytes) -> None:
    raise KeyboardInterrupt


@on_linux
def test_the_worker_inherits_no_file_and_loads_no_grpc(worker: WorkerProcess, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    with secret.open() as held:
        os.set_inheritable(held.fileno(), True)
        worker.ask([TRUE], FACTS)
        process = psutil.Process(worker.pid)
        descriptors = sorted(str(path.readlink()) for path in Path(f"/proc/{worker.pid}/fd").iterdir())
        loaded = Path(f"/proc/{worker.pid}/maps").read_text()
    assert [name.split(":")[0] for name in descriptors] == ["/dev/null", "/dev/null", "socket"]
    assert process.num_fds() == 3
    assert "cel_expr_python" in loaded
    assert "cygrpc" not in loaded


@on_linux
def test_the_worker_has_limited_its_address_space(worker: WorkerProcess) -> None:
    worker.ask([TRUE], FACTS)
    assert psutil.Process(worker.pid).rlimit(psutil.RLIMIT_AS) == (256 * MIB, 256 * MIB)


def test_the_worker_ends_when_the_engine_hangs_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        arguments = [sys.executable, "-m", "carnet_policies.worker", str(256 * MIB)]
        with subprocess.Popen(arguments, stdin=theirs.fileno()) as running:
            ours.settimeout(20)
            assert read_frame(ours.recv) == READY
            ours.sendall(frame(b"[]")[:3])
            ours.shutdown(socket.SHUT_WR)
            assert running.wait(20) == 0
