"""A writer that lets nothing rest on documents which are in force no more.

Responsible for one comparison, in the transaction itself: a request that began under one policy and trust
document does not write under another. It is refused as UNAVAILABLE, which clients answer by trying again,
and then it is judged anew from its beginning. What no request began (collection, the documents themselves)
passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from carnet.errors import UnavailableError
from carnet_server.access.scope import documents_at_entry
from carnet_server.log.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_server.log.transaction import Transaction

Result = TypeVar("Result")
RETRY_AFTER_SECONDS = 0.05


class SteadyWriter(Writer):
    """The environment's writer, as requests use it.

    Args:
        documents: Names the documents in force.
        arguments: As ``Writer`` takes them.
        options: As ``Writer`` takes them.
    """

    def __init__(self, *arguments: Any, documents: Callable[[], object], **options: Any) -> None:
        self._documents = documents
        super().__init__(*arguments, **options)

    async def commit(self, change: Callable[[Transaction], Result]) -> Result:
        """Run a change and commit it; see ``Writer.commit``.

        Raises:
            UnavailableError: Policy or trust changed since the request began; see ``Writer.commit`` for more.
        """
        began = documents_at_entry()
        if began is None:
            return await super().commit(change)

        def steady(tx: Transaction) -> Result:
            if self._documents() != began:
                raise UnavailableError(
                    "this environment's policy or trust document changed meanwhile: try again",
                    retry_after_seconds=RETRY_AFTER_SECONDS,
                )
            return change(tx)

        return await super().commit(steady)
