"""How a benchmark tells what it found: a small table for people, and a JSON file with every figure.

Every row is a ratio of what was measured to a peer or to a limit of the same run. A row may carry a verdict;
it is printed and kept, and the command's exit code tells whether all held.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

_VERDICTS = {True: "held", False: "missed", None: "-"}


@dataclass(frozen=True)
class Row:
    """One ratio.

    Attributes:
        what: What was measured.
        measured: It, in words.
        against: What it is compared with, in words.
        ratio: The one by the other.
        held: Whether it is within what was demanded; None where nothing is demanded.
    """

    what: str
    measured: str
    against: str
    ratio: float
    held: bool | None = None


@dataclass(frozen=True)
class Report:
    """What one benchmark found.

    Attributes:
        name: The benchmark.
        question: What was measured, in one sentence.
        rows: The ratios.
        figures: Everything that was measured, for the JSON file.
        notes: What a reader must know besides.
    """

    name: str
    question: str
    rows: list[Row]
    figures: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether no row missed what was demanded."""
        return all(row.held is not False for row in self.rows)

    def show(self) -> None:
        """Print the table."""
        table = Table(title=self.question, title_justify="left", title_style="bold")
        table.add_column("what", overflow="fold")
        for name in ("measured", "against", "ratio"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("")
        for row in self.rows:
            table.add_row(row.what, row.measured, row.against, f"{row.ratio:.2f}", _VERDICTS[row.held])
        console = Console(highlight=False, width=None if os.isatty(1) else 110)
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim")
        console.print()

    def save(self, folder: Path, *, quick: bool) -> Path:
        """Write the JSON file.

        Args:
            folder: Where; it is made.
            quick: Whether small sizes were used; the file's name says so.

        Returns:
            The file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}{'-quick' if quick else ''}.json"
        body = {
            "benchmark": self.name,
            "question": self.question,
            "quick": quick,
            "machine": {
                "cores": os.cpu_count(),
                "architecture": platform.machine(),
                "system": platform.system(),
                "python": platform.python_version(),
            },
            "rows": [asdict(row) for row in self.rows],
            "figures": self.figures,
            "notes": self.notes,
        }
        path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path
