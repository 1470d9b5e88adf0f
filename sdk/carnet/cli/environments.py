"""``carnet environments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, print_table, printable, short, when
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from carnet.client.results import Environment


@click.command(cls=Command)
@pass_settings
def environments(settings: Settings) -> None:
    """Show every environment, whether it answers, and your roles in it.

    What each says of its keys is compared with what is pinned. Final is what a quorum of the pinned witnesses
    cosigned. Alarms about a log that was changed or has two histories, and a policy or trust document that
    stands in an environment's files and was refused, are told of in lines of their own.

    Example:
      carnet environments --as bob
    """
    with settings.client() as client:
        found = client.environments()
    emit(settings, {"environments": found}, lambda page: _print(page, found))


def _print(page: Console, found: Sequence[Environment]) -> None:
    print_table(
        page,
        ("environment", "address", "state", "carries to", "policy", "entries", "final#", "your roles"),
        (
            (
                each.name,
                each.endpoint,
                each.problem or "answers",
                ", ".join(each.targets),
                short(each.policy_digest),
                each.log_size if each.reachable else "",
                "" if each.final_size is None else each.final_size,
                ", ".join(each.roles),
            )
            for each in found
        ),
    )
    for each in found:
        for refused in each.refused_documents:
            page.print(
                printable(
                    f"{each.name}: {refused.name} is NOT in force since {when(refused.refused_at)}, "
                    f"the last good one is: {refused.reason}"
                ),
                soft_wrap=True,
            )
        for alarm in each.alarms:
            what = f"{alarm.kind} of {alarm.origin}: {alarm.message}"
            told = f"ALARM in {each.name}, {when(alarm.raised_at)}: {what}"
            page.print(printable(told), style="bold red", soft_wrap=True)
