"""What is kept, for how long, and why: an archived version, a hold, and a purge that is only told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import PreconditionFailedError
from carnet_server.demo.scene import MODEL, StoryBrokenError

if TYPE_CHECKING:
    from carnet_server.demo.scene import Scene


def keep_and_purge(scene: Scene, refused: int, live: int) -> None:
    """Archive a version in dev, hold it, ask what a purge would take away, and try to purge what is live.

    Args:
        scene: Where the story is told.
        refused: A version in dev that nobody uses.
        live: The version that is champion in prod.
    """
    teller = scene.teller
    teller.step(f"Archive version {refused} in dev, hold it, and ask what a purge would take away")
    reference = f"dev/{MODEL}@{refused}"
    with scene.acting_as("dave") as operator:
        operator.set_stage(reference, "archived", "Refused by staging; a better one is live.")
        held = operator.place_hold(reference, "The auditors look into how it was trained.").hold
        looked_at = operator.purge(f"dev/{MODEL}", dry_run=True)
        teller.say(f"dave archived {reference} and placed hold {held.hold} on it: {held.reason}")
        for each in looked_at:
            teller.say(f"  {each.reference}: {'would go' if each.purged else 'stays'}, {each.why}")
        if not any(each.reference.version == refused and not each.purged for each in looked_at):
            raise StoryBrokenError(f"{reference} is held, and a purge would take it away")
        _purge_live(scene, live)
        storage = next(each for each in operator.hygiene("dev").storage if each.namespace == "risk")
    teller.say(f"dev stores {storage.size_bytes:,} bytes for risk, in {storage.version_count} versions.")
    teller.outcome("retention", f"version {refused} is archived and held; nothing live can be purged")


def _purge_live(scene: Scene, live: int) -> None:
    reference = f"prod/{MODEL}@{live}"
    with scene.acting_as("dave") as operator:
        try:
            operator.purge(reference, reason="To see whether one can.")
        except PreconditionFailedError as error:
            scene.teller.say(f"dave tried to purge prod's champion: {error.message}")
            return
    raise StoryBrokenError(f"{reference} is live, and was purged")
