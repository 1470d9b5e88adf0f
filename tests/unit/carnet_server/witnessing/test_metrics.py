"""What a registry tells of its log, its witnesses and its alarms to whoever measures."""

from __future__ import annotations

import pytest

from carnet.errors import UnavailableError
from carnet.translog.witness_policy import parse_witness_policy
from carnet_server.metrics import RegistryMetrics
from carnet_server.witnessing.asking import Asking


@pytest.fixture
def asking(registry, witnesses):
    lines = [f"witness {name} {each.key.verifier.vkey}" for name, each in witnesses.items()]
    text = "\n".join([*lines, f"group most 2 {' '.join(witnesses)}", "quorum most"])
    policy = parse_witness_policy(text.encode(), name="witnesses.policy")
    made = Asking(
        registry.state, registry.database, registry.writer, registry.log, policy=policy, links=witnesses
    )
    registry.log.demands_witnesses = policy.demands_witnesses
    return made


@pytest.fixture
def measured(registry, asking):
    """Gathers the metrics: the value of each sample, by its name and labels."""
    metrics = RegistryMetrics(registry.state, registry.database, registry.log, asking)

    async def gather():
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in await metrics.gather()
            for sample in family.samples
        }

    return gather


def alarm(registry, kind):
    return ("carnet_alarms", ("kind", kind), ("origin", registry.log.origin))


async def test_the_log_and_what_is_final_of_it(registry, asking, measured):
    await registry.add_version(1)
    before = await measured()
    assert before["carnet_log_entries",] == registry.log.size > 0
    assert (before["carnet_log_final_entries",], before["carnet_log_awaits_quorum",]) == (0, 1)
    await asking.tick()
    after = await measured()
    assert after["carnet_log_final_entries",] == registry.log.size
    assert after["carnet_log_awaits_quorum",] == 0
    assert after["carnet_database_up",] == 1
    assert after["carnet_refused_documents",] == 0


async def test_each_witness(registry, asking, witnesses, measured):
    witnesses["two"].away = True
    await asking.tick()
    told = await measured()
    up = {name: told["carnet_witness_up", ("witness", name)] for name in witnesses}
    assert up == {"one": 1, "two": 0, "three": 1}
    cosigned = {name: told["carnet_witness_cosigned_entries", ("witness", name)] for name in witnesses}
    assert cosigned == {"one": registry.log.size, "two": 0, "three": registry.log.size}


async def test_an_alarm_of_every_kind_is_there_from_the_start_and_rises(
    registry, asking, witnesses, forked, measured
):
    await asking.tick()
    kinds = ("equivocation", "restored-backup")
    told = await measured()
    assert [told[alarm(registry, kind)] for kind in kinds] == [0, 0]
    await registry.add_version(1)
    witnesses["one"].held = forked(registry.log.size - 1)
    await asking.tick()
    told = await measured()
    assert told[alarm(registry, "equivocation")] == 1


async def test_without_its_database_it_says_so_and_tells_what_is_in_memory(registry, measured, monkeypatch):
    async def away(_):
        raise UnavailableError("the metadata database is away")

    monkeypatch.setattr(registry.database, "read", away)
    told = await measured()
    assert told["carnet_database_up",] == 0
    assert told["carnet_log_entries",] == registry.log.size
    assert alarm(registry, "equivocation") not in told
