"""The page of ``carnet identity uses``: what rests on a key, and whether any of it is live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.cli.output import print_table, printable, short, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from carnet.client.results import KeyUse


def summary(uses: Sequence[KeyUse]) -> dict[str, object]:
    """Return the figures of a list of uses.

    Args:
        uses: What was signed with a key.
    """
    versions = {str(each.reference): each for each in uses}
    live = {name for name, each in versions.items() if each.live}
    return {
        "versions": len(versions),
        "live_versions": len(live),
        "compromised_live_versions": sorted(compromised(uses)),
        "aliases": sorted(
            f"{each.reference.namespace}/{each.reference.model}@{alias}"
            for each in versions.values()
            for alias in each.aliases
        ),
    }


def compromised(uses: Sequence[KeyUse]) -> set[str]:
    """Return the versions that are live and rest on something signed since the key was compromised."""
    return {str(each.reference) for each in uses if each.live and each.since_compromise}


def print_uses(page: Console, uses: Sequence[KeyUse], *, environment: str) -> None:
    """Print the summary, and a row for each use.

    Args:
        page: Where to print.
        uses: What was signed with a key, the newest first.
        environment: Where.
    """
    if not uses:
        page.print(f"nothing in {environment} rests on it")
        return
    figures = summary(uses)
    aliases = figures["aliases"]
    assert isinstance(aliases, list)
    behind = f", behind the aliases {', '.join(map(printable, aliases))}" if aliases else ", behind no alias"
    count = "1 version" if figures["versions"] == 1 else f"{figures['versions']} versions"
    page.print(f"{count}, {figures['live_versions']} of them live{behind}")
    wrong = compromised(uses)
    if wrong:
        page.print(f"LIVE and signed since the compromise: {', '.join(sorted(map(printable, wrong)))}")
    print_table(
        page,
        ("what", "version", "key", "subject", "arrived", "since compromise", "live", "aliases", "entry"),
        (
            (
                each.kind,
                str(each.reference),
                short(each.key_id),
                each.subject or "unknown",
                when(each.created_at),
                "yes" if each.since_compromise else "",
                "yes" if each.live else "",
                ", ".join(each.aliases),
                each.log_index or "",
            )
            for each in uses
        ),
    )
