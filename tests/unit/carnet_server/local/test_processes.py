"""Processes are found by id and start time together, so nobody else's is ever signalled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from carnet.errors import NotFoundError
from carnet_server.local.files import write_variables
from carnet_server.local.processes import Process, processes_of, reap, stop_all
from carnet_server.local.stores import variables_file

SLEEPER = "import sys, time\nprint('up', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
TERMINABLE = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit())\n" + SLEEPER
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER


@pytest.fixture
def process(tmp_path, monkeypatch):
    def make(code: str) -> Process:
        (tmp_path / "sleeper.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        made.append(Process("dev", tmp_path, "sleeper", tmp_path / "environment.yaml"))
        return made[-1]

    made: list[Process] = []
    yield make
    for each in made:
        each.stop(0.0)


@pytest.fixture
def bystander():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        yield other
        other.kill()


def wait_for(condition, timeout=10.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def record(process: Process, text: str) -> None:
    process.pid_file.parent.mkdir(parents=True, exist_ok=True)
    process.pid_file.write_text(text)


def test_a_process_is_started_once_and_stopped(process):
    dev = process(SLEEPER)
    assert dev.pid() is None
    pid = dev.start()
    assert dev.start() == dev.pid() == pid
    wait_for(lambda: "up" in dev.log_tail())
    assert dev.stop()
    assert dev.pid() is None
    assert not psutil.pid_exists(pid)
    assert not dev.pid_file.exists()
    assert not dev.stop()


def test_it_outlives_its_starters_session(process):
    dev = process(SLEEPER)
    pid = dev.start()
    wait_for(lambda: "up" in dev.log_tail())
    assert psutil.Process(pid).cwd()
    done = subprocess.run(["ps", "-o", "sid=", "-p", str(pid)], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        assert int(done.stdout) == pid


def test_a_number_that_was_given_to_somebody_else_is_not_signalled(process, bystander):
    dev = process(SLEEPER)
    started = psutil.Process(bystander.pid).create_time()
    record(dev, json.dumps({"pid": bystander.pid, "started": started - 100}))
    assert dev.pid() is None
    assert not dev.signal(signal.SIGKILL)
    assert not dev.stop()
    assert bystander.poll() is None
    record(dev, json.dumps({"pid": bystander.pid, "started": started}))
    assert dev.pid() == bystander.pid


@pytest.mark.parametrize(
    "text", ["", "12", "{}", "[]", "null", '{"pid": "x", "started": 1}', '{"pid": -1, "started": 0}', "\x00"]
)
def test_a_damaged_pid_file_stands_for_nothing_that_runs(process, text):
    dev = process(SLEEPER)
    record(dev, text)
    assert dev.pid() is None
    assert not dev.stop()
    assert dev.start() == dev.pid()


def test_one_that_does_not_stop_is_ended(process):
    dev = process(STUBBORN)
    pid = dev.start()
    wait_for(lambda: "up" in dev.log_tail())
    assert dev.stop(0.2)
    assert dev.pid() is None
    assert not psutil.pid_exists(pid)


def test_one_that_died_is_not_running_and_its_log_is_kept(process):
    dev = process("raise SystemExit('the reason')")
    dev.start()
    wait_for(lambda: dev.pid() is None)
    reap()
    assert "the reason" in dev.log_tail()
    (dev.folder / "sleeper.py").write_text(SLEEPER)
    dev.start()
    wait_for(lambda: "up" in dev.log_tail())
    assert "the reason" in dev.log_tail()


def test_one_that_died_is_started_again_and_one_that_was_stopped_is_not(process):
    dev = process(SLEEPER)
    assert not dev.revive(), "it was never started"
    first = dev.start()
    assert not dev.revive(), "it runs"
    psutil.Process(first).kill()
    wait_for(lambda: dev.pid() is None)
    assert dev.revive()
    assert dev.pid() not in (None, first)
    dev.stop()
    assert dev.stopped
    assert not dev.revive()
    assert dev.pid() is None


def test_it_is_asked_to_stop_in_its_own_way(process):
    code = "import signal\nsignal.signal(signal.SIGINT, lambda *_: (print('in order', flush=True), exit()))\n"
    made = process(code + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER)
    store = Process("postgres", made.folder, made.module, made.config, signal.SIGINT)
    store.start()
    wait_for(lambda: "up" in store.log_tail())
    assert store.stop()
    assert "in order" in store.log_tail()


def test_they_are_stopped_in_the_reverse_order_of_their_starting(process):
    dev = process("import atexit, time\natexit.register(lambda: print(time.monotonic_ns()))\n" + TERMINABLE)
    sync = Process("sync", dev.folder, dev.module, dev.config)
    idle = Process("prod", dev.folder, dev.module, dev.config)
    for each in (dev, sync):
        each.start()
        wait_for(lambda each=each: "up" in each.log_tail())
    assert stop_all([dev, idle, sync]) == ["sync", "dev"]
    assert int(sync.log_tail().split()[-1]) < int(dev.log_tail().split()[-1])


def test_its_environment_has_its_own_variables_and_no_others_of_their_kind(process, monkeypatch):
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("OTHERS", "kept")
    dev = process(f"import json, os\nprint(json.dumps(dict(os.environ)), flush=True)\n{SLEEPER}")

    def environment() -> dict[str, str]:
        dev.log_file.unlink(missing_ok=True)
        dev.start()
        wait_for(lambda: "up" in dev.log_tail())
        dev.stop()
        return {
            name: value
            for name, value in json.loads(dev.log_file.read_text().splitlines()[0]).items()
            if name.startswith(("PG", "AWS_", "OTHERS"))
        }

    inherited = environment()
    assert inherited == {name: os.environ[name] for name in inherited}
    assert {"PGHOST", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "OTHERS"} <= set(inherited)
    own = {"PGPASSWORD": "a=b", "AWS_ACCESS_KEY_ID": "its own"}
    write_variables(variables_file(dev.folder, "dev"), own)
    assert environment() == own | {"OTHERS": "kept"}


def test_several_who_start_it_at_once_start_one(process):
    dev = process(SLEEPER)
    code = (
        "import sys; from pathlib import Path; from carnet_server.local.processes import Process\n"
        f"print(Process('dev', Path({str(dev.folder)!r}), 'sleeper', Path('x')).start())"
    )
    starters = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(4)]
    started = {int(starter.communicate()[0]) for starter in starters}
    assert started == {dev.pid()}


def test_the_tail_of_a_log_is_short(process):
    dev = process(SLEEPER)
    assert dev.log_tail() == ""
    dev.log_file.parent.mkdir(parents=True)
    dev.log_file.write_bytes(b"\xff\n" + b"line\n" * 1000)
    assert len(dev.log_tail().splitlines()) < 30


def test_where_there_is_no_federation_there_are_no_processes(tmp_path):
    with pytest.raises(NotFoundError, match="carnet init"):
        processes_of(tmp_path)
