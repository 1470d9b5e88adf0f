"""What registries answer, beside what their logs say.

Responsible for the rows in which the two differ. Unlike every other row, these rest on no log: they were seen
when the registries were asked, and nobody can see them again. So their tables are named ``observed-…``, and
are left out where a report's rows are derived again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from carnet.audit.reports import columns
from carnet.audit.reports.model import Table
from carnet.audit.reports.wording import name_alias, name_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from carnet.audit.fold import AliasName, LogState, VersionName
    from carnet.audit.reports.model import Cell

OBSERVED: Final = "observed-"
"""How the names of tables begin that no log tells."""
OBSERVED_CAVEAT: Final = (
    "Tables whose names begin with 'observed' were seen when the report was made, and are in no log: they "
    "are left out where its rows are derived again, and rest on the signature alone."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answers about an alias or a version.

    Attributes:
        says: Where it points, or at which stage it stands.
        bundle_digest: The digest.
        log_index: The entry that made it so, as the registry says.
    """

    says: str
    bundle_digest: str
    log_index: int


@dataclass(frozen=True, slots=True)
class RegistryAnswers:
    """Everything that one registry answers.

    Attributes:
        asked_at: When it was asked.
        aliases: Every alias that is set, and the version that it points at.
        versions: Every version, and its stage.
    """

    asked_at: datetime
    aliases: Mapping[AliasName, Answer] = field(default_factory=dict)
    versions: Mapping[VersionName, Answer] = field(default_factory=dict)


def observed_tables(
    states: Mapping[str, LogState], answers: Mapping[str, RegistryAnswers]
) -> tuple[Table, ...]:
    """Return the differences between logs and registries.

    Args:
        states: What each log's entries come to, by environment.
        answers: What each registry answers; those of other environments are passed over.
    """
    asked = {name: answers[name] for name in states if name in answers}
    differences = [row for name, each in asked.items() for row in _differences(name, states[name], each)]
    return (
        Table(
            f"{OBSERVED}registries",
            "Registries that were asked",
            "When each registry was asked, how much was compared with its log, and how much differs.",
            (
                columns.text("environment"),
                columns.moment("asked_at"),
                columns.number("aliases"),
                columns.number("versions"),
                columns.number("differences"),
            ),
            tuple(
                (
                    name,
                    each.asked_at,
                    len(each.aliases),
                    len(each.versions),
                    sum(1 for row in differences if row[0] == name),
                )
                for name, each in asked.items()
            ),
        ),
        Table(
            f"{OBSERVED}differences",
            "Between log and registry",
            "What a registry answers otherwise than its log says. What changed after the checkpoint is no "
            "contradiction, and is marked.",
            (
                columns.text("environment"),
                columns.text("what"),
                columns.text("log_says"),
                columns.text("registry_says"),
                columns.flag("after_checkpoint", "Changed after the checkpoint"),
            ),
            tuple(differences),
        ),
    )


def _differences(environment: str, state: LogState, answers: RegistryAnswers) -> Iterator[tuple[Cell, ...]]:
    aliases = {
        name: Answer(str(each.version), each.bundle_digest, each.since.index)
        for name, each in state.aliases.items()
        if each.version
    }
    versions = {
        name: Answer(str(each.stage), each.bundle_digest, each.staged.index)
        for name, each in state.versions.items()
    }
    logged = {
        **{f"alias {name_alias(name)}": each for name, each in aliases.items()},
        **{f"version {name_version(name)}": each for name, each in versions.items()},
    }
    answered = {
        **{f"alias {name_alias(name)}": each for name, each in answers.aliases.items()},
        **{f"version {name_version(name)}": each for name, each in answers.versions.items()},
    }
    for what in sorted(logged.keys() | answered.keys()):
        log, registry = logged.get(what), answered.get(what)
        if log and registry and (log.says, log.bundle_digest) == (registry.says, registry.bundle_digest):
            continue
        yield (
            environment,
            what,
            _shown(log),
            _shown(registry),
            registry is not None and registry.log_index >= state.size,
        )


def _shown(answer: Answer | None) -> str | None:
    return f"{answer.says}, {answer.bundle_digest}" if answer else None
