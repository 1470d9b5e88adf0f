"""The story of the demo: what the people and jobs of a team do, one after another.

Every act is one that a team would do with the same calls; a step that does not end as it should stops the
story with an error that says so. What happens is in the chapters; here is their order.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from carnet_server.demo.chapters.auditing import audit, edit_history
from carnet_server.demo.chapters.boundary import refuse_bad_rows
from carnet_server.demo.chapters.lineage import show_lineage
from carnet_server.demo.chapters.promoting import bring_to_prod, bring_to_staging, have_refused
from carnet_server.demo.chapters.publishing import publish
from carnet_server.demo.chapters.retention import keep_and_purge
from carnet_server.demo.chapters.rolling_back import roll_back
from carnet_server.demo.chapters.rollouts import roll_out_and_break, shadow
from carnet_server.demo.scene import Scene
from carnet_server.demo.training import boosting, forest, small_boosting

if TYPE_CHECKING:
    from carnet_server.demo.telling import Teller


def tell(folder: Path, teller: Teller) -> None:
    """Tell the whole story.

    Args:
        folder: The federation, running.
        teller: Prints what happens.

    Raises:
        CarnetError: A step did not end as it should.
    """
    with tempfile.TemporaryDirectory(prefix="carnet-demo-") as work:
        scene = Scene(folder, teller, Path(work))
        first = publish(scene, forest(), "the first model")
        bring_to_staging(scene, first)
        bring_to_prod(scene, first, tries_itself=True)
        teller.outcome("version 1", "champion in prod, after two approvals")
        refused = publish(scene, small_boosting(), "a cheaper, weaker model")
        have_refused(scene, refused)
        second = publish(scene, boosting(), "a second good model")
        bring_to_staging(scene, second)
        bring_to_prod(scene, second, tries_itself=False)
        teller.outcome(f"version {second}", "champion in prod")
        roll_back(scene, second, to=first)
        shadow(scene, second)
        roll_out_and_break(scene, second)
        refuse_bad_rows(scene)
        show_lineage(scene)
        keep_and_purge(scene, refused, live=first)
        audit(scene)
        edit_history(scene)
