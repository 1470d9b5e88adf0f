"""Trying a version on prod's requests: first as a shadow, then with a share, which a fault on a host ends."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.rollouts import RolloutState
from carnet_server.demo.scene import CHAMPION, StoryBrokenError
from carnet_server.demo.serving import ServingHost

if TYPE_CHECKING:
    from carnet.client.client import Client
    from carnet.client.results import Rollout
    from carnet_server.demo.scene import Scene

_AT_ONCE = 300
_MOST_REQUESTS = 6000
_FOLLOW_SECONDS = 30.0
SHARE = 0.5


def shadow(scene: Scene, version: int) -> None:
    """Mirror prod's requests to a version, and throw its answers away."""
    teller = scene.teller
    teller.step(f"Try version {version} again in prod, as a shadow of the champion")
    with scene.acting_as("dave") as operator, scene.acting_as("monitor") as monitor:
        started = operator.start_rollout(
            CHAMPION, challenger=version, kind="shadow", note="Was it the model, or was it the morning?"
        )
        guardrails = ", ".join(each.rule for each in started.rollout.guardrails)
        teller.say(f"dave began it: every request is mirrored, under prod's guardrails {guardrails}.")
        with ServingHost(monitor, CHAMPION, scene.work) as host:
            _await_traffic(operator, host)
            ended, answered = _serve_until(operator, host, RolloutState.SUCCEEDED)
    _tell_figures(scene, ended)
    champion = started.rollout.champion_version
    if set(answered) != {champion}:
        raise StoryBrokenError(f"a shadow answered: {answered}")
    teller.say(f"Version {champion} answered every request; the guardrails hold, and the shadow is over.")
    teller.outcome("shadow", f"version {version} holds prod's guardrails on mirrored requests")


def roll_out_and_break(scene: Scene, version: int) -> None:
    """Give a version a share of prod's requests, break what it is fed, and see it sent back by itself."""
    teller = scene.teller
    teller.step(f"Give version {version} half of prod's requests, and break it")
    with scene.acting_as("dave") as operator, scene.acting_as("monitor") as monitor:
        before = operator.alias(CHAMPION)
        operator.start_rollout(
            CHAMPION, challenger=version, share=SHARE, min_duration=timedelta(hours=1), on_success="move"
        )
        with ServingHost(monitor, CHAMPION, scene.work) as host:
            _await_traffic(operator, host)
            answered = host.serve(4 * _AT_ONCE)
            teller.say(f"Requests answered by version: {dict(sorted(answered.items()))}.")
            _tell_guardrails(scene, operator.rollout(CHAMPION))
            host.reversed_columns.add(version)
            teller.say(f"A mistake on the host: version {version} gets its columns in the wrong order.")
            ended, _ = _serve_until(operator, host, RolloutState.ROLLED_BACK)
            _tell_guardrails(scene, ended)
            _await_traffic(operator, host)
            afterwards = host.serve(_AT_ONCE)
        after = operator.alias(CHAMPION)
    champion = ended.champion_version
    if set(afterwards) != {champion} or (after.version, after.revision) != (champion, before.revision):
        raise StoryBrokenError(f"version {champion} should have all traffic; it is {dict(afterwards)}")
    teller.say(f"Nobody did anything: {ended.message}.")
    teller.outcome("rollout", f"version {version} was sent back by itself ({ended.reason_code})")


def _serve_until(operator: Client, host: ServingHost, state: RolloutState) -> tuple[Rollout, set[int]]:
    """Serve until a rollout has ended, and return it with the versions that answered meanwhile."""
    answered: set[int] = set()
    for _ in range(_MOST_REQUESTS // _AT_ONCE):
        answered |= set(host.serve(_AT_ONCE))
        rollout = operator.rollout(CHAMPION)
        if rollout.state is state:
            return rollout, answered
        if rollout.ended:
            break
    raise StoryBrokenError(f"the rollout should be {state}; it is {rollout.state}: {rollout.message}")


def _await_traffic(operator: Client, host: ServingHost) -> None:
    """Wait until a host knows who gets which traffic now."""
    wanted = operator.traffic(CHAMPION).revision
    end = time.monotonic() + _FOLLOW_SECONDS
    while host.router.traffic.revision < wanted:
        if time.monotonic() > end:
            raise StoryBrokenError("the host was not told who gets which traffic")
        time.sleep(0.01)


def _tell_guardrails(scene: Scene, rollout: Rollout) -> None:
    for each in rollout.guardrails:
        scene.teller.say(f"  {each.status:<10} {each.rule}: {each.message}")


def _tell_figures(scene: Scene, rollout: Rollout) -> None:
    for each in rollout.metrics:
        scene.teller.say(
            f"  {each.metric}: champion {each.champion.mean:.4g}, challenger {each.challenger.mean:.4g} "
            f"over {each.challenger.count:,} requests"
        )
