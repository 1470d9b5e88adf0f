"""Checking rows at the boundary of a model, by the feature schema that its bundle is signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet_server.demo.scene import CHAMPION, StoryBrokenError
from carnet_server.demo.training import load_rows

if TYPE_CHECKING:
    from carnet_server.demo.scene import Scene


def refuse_bad_rows(scene: Scene) -> None:
    """Let a good row in, and turn away one in the wrong unit that lacks a column."""
    teller = scene.teller
    teller.step("Check rows at the model's boundary, by the champion's feature schema")
    with scene.acting_as("monitor") as host:
        schema = host.feature_schema(CHAMPION)
    rows = load_rows(held_out=False)
    row = dict(zip(rows.names, rows.features[0].tolist(), strict=True))
    schema.require_valid(row)
    teller.say(f"A row of {len(row)} features is what the model was trained for.")
    row["mean_radius"] *= 1000
    del row["worst_texture"]
    try:
        schema.require_valid(row)
    except InvalidInputError as error:
        teller.say("The same one with the radius in micrometres, and without a column, is refused:")
        for line in error.message.splitlines():
            teller.say(f"  {line}")
        teller.outcome("bad row", f"refused before the model saw it, for {error.metadata['field']}")
        return
    raise StoryBrokenError("a row that breaks the feature schema was let in")
