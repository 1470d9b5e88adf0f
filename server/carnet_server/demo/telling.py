"""How the demo tells what it does: numbered steps in plain words, and a table at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from carnet.client.results import RuleResult

MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "awaiting": "[yellow]…[/]"}


@dataclass
class Teller:
    """Prints the story.

    Attributes:
        console: Where to.
    """

    console: Console
    _step: int = field(default=0, init=False)
    _outcomes: list[tuple[str, str]] = field(default_factory=list, init=False)

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._step += 1
        self.console.print(f"\n[bold]{self._step}. {escape(title)}[/]")

    def say(self, text: str) -> None:
        """Say what happened."""
        self.console.print(f"   {escape(text)}", soft_wrap=True)

    def show(self, page: RenderableType) -> None:
        """Show something that is laid out by itself, such as a tree."""
        self.console.print(Padding(page, (0, 0, 0, 3)))

    def rules(self, rules: Sequence[RuleResult]) -> None:
        """Show every rule's result."""
        for rule in rules:
            mark = MARKS.get(rule.status.lower(), " ")
            self.console.print(f"   {mark} {escape(rule.rule)}: {escape(rule.message)}", soft_wrap=True)

    def outcome(self, what: str, how: str) -> None:
        """Keep a line for the table at the end."""
        self._outcomes.append((what, how))

    def summary(self, title: str) -> None:
        """Print the table at the end."""
        table = Table(title=title, title_justify="left", show_header=False, min_width=60)
        for what, how in self._outcomes:
            table.add_row(escape(what), escape(how))
        self.console.print()
        self.console.print(table)
