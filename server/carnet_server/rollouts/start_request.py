"""What is asked for when a rollout is to begin, and what of it can be checked without looking anything up.

Pure: what depends on aliases, versions and the policy is checked by ``starting``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from carnet.errors import InvalidInputError
from carnet.references import check_name, check_version_number
from carnet.rollouts import RolloutKind
from carnet_server.aliases.domain import check_request_id, request_digest
from carnet_server.models.notes import make_note
from carnet_server.rollouts.plan import RolloutSuccess, Step, check_duration, check_steps

if TYPE_CHECKING:
    from datetime import timedelta

    from carnet.references import ResourceName
    from carnet_server.models.notes import Note

DEFAULT_ALIASES = {RolloutKind.SPLIT: "challenger", RolloutKind.SHADOW: "shadow"}


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A rollout that is asked for; make one with ``of``, which checks what can be checked without state.

    Attributes:
        alias: The alias.
        kind: How the challenger is tried.
        challenger_version: The version to try; 0 for the one that ``challenger_alias`` points at.
        challenger_alias: The alias that points at it meanwhile.
        steps: The plan's steps.
        on_success: What happens once they are passed.
        bake_duration: For how long a breach still moves the alias back.
        note: Why, for people.
        request_id: The caller's id of the request; empty for none.
        digest: What is asked for, where there is an id.
    """

    alias: ResourceName
    kind: RolloutKind
    challenger_version: int
    challenger_alias: ResourceName
    steps: tuple[Step, ...]
    on_success: RolloutSuccess
    bake_duration: timedelta
    note: Note | None
    request_id: str
    digest: str | None

    @classmethod
    def of(
        cls,
        alias: ResourceName,
        *,
        kind: RolloutKind | None,
        challenger_version: int,
        challenger_alias: str,
        steps: tuple[Step, ...],
        on_success: RolloutSuccess | None,
        bake_duration: timedelta,
        note: str,
        request_id: str,
    ) -> Self:
        """Return what is asked for; see the class for the arguments.

        Raises:
            InvalidInputError: An argument is malformed; ``metadata["field"]`` names it.
        """
        if kind is None:
            raise _invalid("kind", "say how the challenger is tried: SHADOW or SPLIT")
        if on_success is None:
            raise _invalid("on_success", "say what happens once the plan is passed: HOLD or MOVE")
        if challenger_version:
            check_version_number(challenger_version, field="challenger_version")
        if challenger_alias:
            check_name(challenger_alias, field="challenger_alias")
        named = challenger_alias or DEFAULT_ALIASES[kind]
        if named == alias.alias:
            raise _invalid("challenger_alias", f"{named!r} is the alias itself: name another")
        check_steps(kind, steps)
        check_duration(bake_duration, field="bake_duration")
        asked = request_digest(
            "start-rollout",
            kind=str(kind),
            version=challenger_version,
            alias=named,
            steps=" ".join(f"{step.share!r}/{step.min_duration.total_seconds()!r}" for step in steps),
            on_success=str(on_success),
            bake=repr(bake_duration.total_seconds()),
            note=note,
        )
        return cls(
            alias,
            kind,
            challenger_version,
            replace(alias, alias=named),
            steps,
            on_success,
            bake_duration,
            make_note(note),
            check_request_id(request_id),
            asked if request_id else None,
        )


def _invalid(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {problem}", metadata={"field": field})
