"""``carnet environments``."""

from __future__ import annotations

import click

from carnet.cli.output import emit, print_table, short
from carnet.cli.settings import Command, Settings, pass_settings


@click.command(cls=Command)
@pass_settings
def environments(settings: Settings) -> None:
    """Show every environment, whether it answers, and your roles in it.

    What each says of its keys is compared with what is pinned.

    Example:
      carnet environments --as bob
    """
    with settings.client() as client:
        found = client.environments()
    emit(
        settings,
        {"environments": found},
        lambda page: print_table(
            page,
            ("environment", "address", "state", "carries to", "policy", "entries", "your roles"),
            (
                (
                    each.name,
                    each.endpoint,
                    each.problem or "answers",
                    ", ".join(each.targets),
                    short(each.policy_digest),
                    each.log_size if each.reachable else "",
                    ", ".join(each.roles),
                )
                for each in found
            ),
        ),
    )
