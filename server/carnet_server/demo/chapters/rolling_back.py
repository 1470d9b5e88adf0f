"""Moving prod's champion back, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_server.demo.scene import CHAMPION, StoryBrokenError

if TYPE_CHECKING:
    from carnet_server.demo.scene import Scene


def roll_back(scene: Scene, version: int, *, to: int) -> None:
    """Roll prod back from a version, to the one before it."""
    teller = scene.teller
    teller.step(f"Roll prod back from version {version}")
    with scene.acting_as("dave") as operator:
        change = operator.rollback(
            CHAMPION, "metric-degradation", note="Recall fell on this morning's cases."
        )
        moves = operator.alias_history(CHAMPION)
    if change.alias.version != to:
        raise StoryBrokenError(f"champion should be version {to} again; it is {change.alias.version}")
    teller.say(f"dave moved champion back to version {to}; its history, the newest first:")
    for move in moves:
        why = f" ({move.reason_code})" if move.reason_code else ""
        teller.say(
            f"  {move.old_version or 'nothing'} → {move.new_version}  {move.kind}{why} by {move.actor}"
        )
    teller.outcome("rollback", f"champion in prod is version {to} again (metric-degradation)")
