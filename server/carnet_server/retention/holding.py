"""What a hold is, as a plain value, and its rules; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.references import ResourceName

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.translog.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold on a version, or on a model and all of its versions, those to come too.

    Attributes:
        hold: Its number, unique in the environment.
        namespace: Where.
        model: The model.
        version: The version; 0 for the model.
        actor: Who placed it.
        note_digest: The document with the reason.
        created_at: When it was placed.
        expires_at: When it ends by itself; None for never.
        released_at: When it was released; None until then.
        releaser: Who released it; empty until then.
        request_id: The request that placed it; None where that had no id.
        request_digest: What was asked for, where there is an id.
        log_index: The entry that placed it.
        release_log_index: The entry that released it; None until then.
        note: The reason; empty where its document is gone.
    """

    hold: int
    namespace: str
    model: str
    version: int
    actor: str
    note_digest: str
    created_at: datetime
    expires_at: datetime | None
    released_at: datetime | None
    releaser: str
    request_id: str | None
    request_digest: str | None
    log_index: int
    release_log_index: int | None
    note: str = ""

    @property
    def name(self) -> str:
        """The resource name of what is held."""
        return str(ResourceName(self.namespace, self.model, self.version))


@dataclass(frozen=True, slots=True)
class HoldChange:
    """A hold after it was placed or released, and the receipt of the entry."""

    hold: Hold
    receipt: Receipt


def check_expiry(value: datetime | None, now: datetime) -> datetime | None:
    """Return when a hold ends by itself, if that is yet to come.

    Raises:
        InvalidInputError: It is not.
    """
    if value is not None and value <= now:
        raise InvalidInputError(
            f"expire_time: {value:%Y-%m-%d %H:%M:%S} UTC is over: name a time to come, or none for a hold "
            "that only a release ends",
            metadata={"field": "expire_time"},
        )
    return value
