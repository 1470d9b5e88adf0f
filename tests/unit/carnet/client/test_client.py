"""The client for code without an event loop is the asynchronous one, under the same names."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import pkgutil
import threading

import pytest

import carnet
import carnet.client
from carnet import errors
from carnet.client.async_client import AsyncClient
from carnet.client.client import Client
from carnet.client.loop_thread import LoopThread


def _operations(family):
    return {
        name: value
        for name, value in inspect.getmembers(family, inspect.isroutine)
        if not name.startswith("_") and name != "close"
    }


def test_every_operation_is_there_with_its_signature_and_its_documentation():
    theirs, ours = _operations(AsyncClient), _operations(Client)
    assert ours.keys() == theirs.keys()
    for name, operation in ours.items():
        assert inspect.signature(operation) == inspect.signature(theirs[name])
        assert operation.__doc__ == theirs[name].__doc__
        assert operation.__doc__


def test_calls_and_streams_work_without_a_loop(federation, fraud):
    with carnet.connect(federation.folder) as client:
        assert client.identity.name == "ci"
        client.set_alias("dev/risk/fraud@champion", 1)
        for state in client.watch_alias("dev/risk/fraud@champion"):
            assert state.version == 1
            break
        federation.sync.plan = [("SUCCEEDED", "admitted")]
        promotion = client.promote("dev/risk/fraud@1", "staging")
        assert [each.event.message for each in client.watch_promotion(promotion.id)] == ["admitted"]
        with pytest.raises(errors.NotFoundError):
            client.resolve("dev/risk/fraud@7")


def test_several_threads_may_use_one_client(federation, fraud):
    found = []
    with carnet.connect(federation.folder) as client:
        threads = [
            threading.Thread(target=lambda: found.append(client.resolve("dev/risk/fraud@1").bundle_digest))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [fraud.digest] * 4


def test_a_closed_client_says_so_and_leaves_no_thread(federation, fraud):
    client = carnet.connect(federation.folder)
    client.resolve("dev/risk/fraud@1")
    client.close()
    client.close()
    with pytest.raises(errors.PreconditionFailedError, match="closed"):
        client.resolve("dev/risk/fraud@1")
    assert not [each for each in threading.enumerate() if each.name == "carnet-client"]


def test_a_call_from_a_progress_callback_is_refused_instead_of_hanging(federation, fraud):
    with carnet.connect(federation.folder) as client:
        promotion = client.promote("dev/risk/fraud@1", "staging")
        with pytest.raises(errors.PreconditionFailedError, match="callback"):
            client.wait(promotion.id, on_update=lambda _: client.promotions())


def test_interrupting_the_caller_cancels_what_runs_for_it(monkeypatch):
    loop = LoopThread(name="test")
    ended = threading.Event()

    async def forever():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    run = asyncio.run_coroutine_threadsafe

    def interrupted(coroutine, to):
        future = run(coroutine, to)
        result = future.result

        def result_or_interrupt(timeout=None):
            del timeout
            try:
                return result(0.1)
            except TimeoutError:
                raise KeyboardInterrupt from None

        future.result = result_or_interrupt
        return future

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.run(forever())
    assert ended.wait(5)
    loop.close()


def _modules_with_examples():
    modules = [carnet]
    for info in pkgutil.iter_modules(carnet.client.__path__, "carnet.client."):
        modules.append(importlib.import_module(info.name))
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [(module, test) for module in modules for test in finder.find(module) if test.examples]


@pytest.mark.parametrize(
    ("module", "test"), [pytest.param(*each, id=each[1].name) for each in _modules_with_examples()]
)
def test_the_examples_run(federation, fraud, module, test):
    """They run against the fake here, and against real registries elsewhere."""
    with carnet.connect(federation.folder) as client:
        test.globs["client"] = client
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        output = []
        runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)


def test_there_are_examples():
    assert len(_modules_with_examples()) >= 10
