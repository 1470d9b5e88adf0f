"""The form in which a service tells its metrics: the one that is asked for."""

from __future__ import annotations

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from carnet.serving.http.metrics import Metrics, gauge, gauge_by

OPENMETRICS = "application/openmetrics-text"


async def gather():
    values = [(("one",), 1), (("two",), 0)]
    return [gauge("carnet_size", "A size", 7), gauge_by("carnet_up", "Who is up", ("witness",), values)]


@pytest.mark.parametrize(
    ("accepts", "told"),
    [(f"{OPENMETRICS}; version=1.0.0", OPENMETRICS), ("text/plain", "text/plain"), ("*/*", "text/plain")],
)
async def test_it_is_told_in_the_form_that_is_asked_for(accepts, told):
    metrics = Metrics({"environment": "dev"}, gather)
    application = web.Application()
    application.add_routes([metrics.route([])])
    metrics.answered("unary", "/carnet.test.v1.Service/Call", grpc.StatusCode.NOT_FOUND, 0.03)
    metrics.answered("unary", "/carnet.test.v1.Service/Call", grpc.StatusCode.OK, 0.03)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/metrics", headers={"Accept": accepts})
        lines = (await answer.text()).splitlines()
    assert (answer.status, answer.content_type) == (200, told)
    assert (lines[-1] == "# EOF") is (told == OPENMETRICS)
    assert {"carnet_size 7.0", 'carnet_up{witness="one"} 1.0', 'carnet_up{witness="two"} 0.0'} <= set(lines)
    counted = [line for line in lines if line.startswith("grpc_server_handled_total{")]
    assert all('grpc_service="carnet.test.v1.Service"' in line and line.endswith(" 1.0") for line in counted)
    assert ['grpc_code="NotFound"' in line for line in counted].count(True) == 1
    assert ['grpc_code="OK"' in line for line in counted].count(True) == 1
    (timed,) = (line for line in lines if line.startswith("grpc_server_handling_seconds_count{"))
    assert timed.endswith(" 2.0")
