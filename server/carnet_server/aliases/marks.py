"""What the mark of an alias is: the one version that people have blessed as known-good.

Pure. A mark is of an alias and not of a version: each alias has one at most, and a version may be the mark of
several. It moves nothing and opens no gate; a rollback can be asked to lead to it, hosts keep it on disk, and
it outlives a removal of its alias. Every change of it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.references import ResourceName
    from carnet.translog.entry import Actor
    from carnet.translog.receipt import Receipt
    from carnet_server.aliases.domain import Alias
    from carnet_server.models.notes import Note


@dataclass(frozen=True, slots=True)
class Mark:
    """One change of an alias's mark, as it is stored; the last one is the mark.

    Attributes:
        namespace: Where.
        model: Of which model.
        alias: Which alias.
        revision: How often its mark was changed: 1 after the first time.
        old_marked_version: The version that was marked before; 0 for none.
        marked_version: The version that is marked after it; 0 for none.
        bundle_digest: The digest of that version; empty for none.
        actor: The subject that changed it.
        note_digest: The document with the note; None where none was given.
        request_id: The caller's id of the request; None where none was given.
        request_digest: What was asked for, to know a repeated request by.
        created_at: When.
        log_index: The entry.
        note: The note.
    """

    namespace: str
    model: str
    alias: str
    revision: int
    old_marked_version: int
    marked_version: int
    bundle_digest: str
    actor: str
    note_digest: str | None
    request_id: str | None
    request_digest: str | None
    created_at: datetime
    log_index: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Marking:
    """A change of an alias's mark that is asked for.

    Attributes:
        name: The alias.
        version: The version to mark; 0 to take the mark away.
        actor: Who asks.
        expected: The marked version that was seen, 0 for none; None for any.
        note: Why, for people.
        request_id: The caller's id of the request; empty for none.
        request_digest: What was asked for, where there is an id.
    """

    name: ResourceName
    version: int
    actor: Actor
    expected: int | None = None
    note: Note | None = None
    request_id: str = ""
    request_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """What became of a change of a mark.

    Attributes:
        alias: The alias; with version 0 where it points nowhere now.
        mark: The change.
        receipt: The receipt of its entry.
    """

    alias: Alias
    mark: Mark
    receipt: Receipt


def check_expected_mark(value: int | None) -> int | None:
    """Return an expected marked version if it can be one.

    Raises:
        InvalidInputError: It is negative.
    """
    if value is not None and value < 0:
        raise InvalidInputError(
            f"expected_marked_version: {value} is negative; 0 stands for no mark",
            metadata={"field": "expected_marked_version"},
        )
    return value


def check_marked(name: ResourceName, expected: int | None, marked: int) -> None:
    """Compare an alias's mark with what a caller saw, before something is done by it.

    Args:
        name: The alias.
        expected: The marked version that was seen, 0 for none; None for any.
        marked: The version that is marked; 0 for none.

    Raises:
        ConflictError: Another one is marked; ``metadata`` tells which, as ``marked_version``.
    """
    if expected is None or expected == marked:
        return
    now, was = (f"version {each}" if each else "no version" for each in (marked, expected))
    raise ConflictError(
        f"alias {name.alias!r} of {name.namespace}/{name.model} has {now} marked, and {was} was expected: "
        "read it again and decide anew",
        metadata={"marked_version": str(marked)},
    )
