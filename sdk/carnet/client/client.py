"""The client for code without an event loop.

Responsible for having every operation of ``AsyncClient`` under the same name and with the same arguments, run
on a loop in a background thread. There is one implementation, the asynchronous one: an operation here is
``_forwarded`` with its signature and its documentation, which a test compares for completeness.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from carnet.client.async_client import AsyncClient, connect_async
from carnet.client.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    from carnet.client.federation import Federation, Identity

P = ParamSpec("P")
T = TypeVar("T")


def _forwarded(
    operation: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(operation)
    def forward(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.run(operation(self._client, *args, **kwargs))

    return forward


def _forwarded_stream(
    operation: Callable[Concatenate[AsyncClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[Client, P], Iterator[T]]:
    @functools.wraps(operation)
    def forward(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._loop.iterate(operation(self._client, *args, **kwargs))

    return forward


class Client:
    """A client of one federation, as one identity; made by ``carnet.connect``.

    It may be used from several threads. Close it, or use it with ``with``.

    Example:
        >>> client.resolve("dev/risk/fraud@1").signer.split("/")[2]
        'carnet.internal'
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._loop = LoopThread(name="carnet-client")

    @property
    def federation(self) -> Federation:
        """The environments and the keys that are pinned."""
        return self._client.federation

    @property
    def identity(self) -> Identity:
        """Who is asking."""
        return self._client.identity

    push = _forwarded(AsyncClient.push)
    import_folder = _forwarded(AsyncClient.import_folder)
    pull = _forwarded(AsyncClient.pull)
    verify = _forwarded(AsyncClient.verify)

    models = _forwarded(AsyncClient.models)
    model = _forwarded(AsyncClient.model)
    versions = _forwarded(AsyncClient.versions)
    search = _forwarded_stream(AsyncClient.search)
    resolve = _forwarded(AsyncClient.resolve)
    compare = _forwarded(AsyncClient.compare)
    lineage = _forwarded(AsyncClient.lineage)
    reach = _forwarded(AsyncClient.reach)
    compatibility = _forwarded(AsyncClient.compatibility)
    set_stage = _forwarded(AsyncClient.set_stage)
    archive_unused = _forwarded(AsyncClient.archive_unused)
    revoke = _forwarded(AsyncClient.revoke)

    purge = _forwarded(AsyncClient.purge)
    place_hold = _forwarded(AsyncClient.place_hold)
    release_hold = _forwarded(AsyncClient.release_hold)
    entry_note = _forwarded(AsyncClient.entry_note)
    erase_document = _forwarded(AsyncClient.erase_document)
    holds = _forwarded(AsyncClient.holds)
    hygiene = _forwarded(AsyncClient.hygiene)

    attest = _forwarded(AsyncClient.attest)
    attest_signed = _forwarded(AsyncClient.attest_signed)
    draft_statement = _forwarded(AsyncClient.draft_statement)
    evidence = _forwarded(AsyncClient.evidence)

    promote = _forwarded(AsyncClient.promote)
    promotion = _forwarded(AsyncClient.promotion)
    promotions = _forwarded(AsyncClient.promotions)
    watch_promotion = _forwarded_stream(AsyncClient.watch_promotion)
    wait = _forwarded(AsyncClient.wait)
    cancel = _forwarded(AsyncClient.cancel)
    retry = _forwarded(AsyncClient.retry)

    admission = _forwarded(AsyncClient.admission)
    approve = _forwarded(AsyncClient.approve)
    reject = _forwarded(AsyncClient.reject)
    withdraw = _forwarded(AsyncClient.withdraw)
    break_glass = _forwarded(AsyncClient.break_glass)
    review_break_glass = _forwarded(AsyncClient.review_break_glass)

    aliases = _forwarded(AsyncClient.aliases)
    alias = _forwarded(AsyncClient.alias)
    alias_history = _forwarded(AsyncClient.alias_history)
    set_alias = _forwarded(AsyncClient.set_alias)
    delete_alias = _forwarded(AsyncClient.delete_alias)
    mark_champion = _forwarded(AsyncClient.mark_champion)
    unmark_champion = _forwarded(AsyncClient.unmark_champion)
    rollback = _forwarded(AsyncClient.rollback)
    drill_rollback = _forwarded(AsyncClient.drill_rollback)
    report_serving = _forwarded(AsyncClient.report_serving)
    wait_until_served = _forwarded(AsyncClient.wait_until_served)
    warm_versions = _forwarded(AsyncClient.warm_versions)
    stale_aliases = _forwarded(AsyncClient.stale_aliases)
    watch_alias = _forwarded_stream(AsyncClient.watch_alias)

    start_rollout = _forwarded(AsyncClient.start_rollout)
    rollout = _forwarded(AsyncClient.rollout)
    rollouts = _forwarded(AsyncClient.rollouts)
    wait_for_rollout = _forwarded(AsyncClient.wait_for_rollout)
    stop_rollout = _forwarded(AsyncClient.stop_rollout)
    complete_rollout = _forwarded(AsyncClient.complete_rollout)
    report_metrics = _forwarded(AsyncClient.report_metrics)
    traffic = _forwarded(AsyncClient.traffic)
    watch_traffic = _forwarded_stream(AsyncClient.watch_traffic)

    audit_export = _forwarded(AsyncClient.audit_export)
    audit_verify = _forwarded(AsyncClient.audit_verify)
    audit_report = _forwarded(AsyncClient.audit_report)
    audit_verify_report = _forwarded(AsyncClient.audit_verify_report)

    replay_policy = _forwarded(AsyncClient.replay_policy)

    environments = _forwarded(AsyncClient.environments)

    key_uses = _forwarded(AsyncClient.key_uses)

    feature_schema = _forwarded(AsyncClient.feature_schema)

    def close(self) -> None:
        """Close all connections and stop the background thread; calls under way are cancelled."""
        if not self._loop.closed:
            self._loop.run(self._client.close())
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(directory: str | Path | None = None, *, identity: str | None = None) -> Client:
    """Make a client; nothing is dialled before its first call.

    Args:
        directory: The federation's folder; None for ``CARNET_DIR``, and where that is not set ``.carnet``.
        identity: Who is asking; None for ``CARNET_IDENTITY``, and where that is not set the federation's
            choice.

    Returns:
        The client; close it, or use it with ``with``.

    Raises:
        FileUnreadableError: There is no federation there.
        DocumentInvalidError: ``federation.yaml`` breaks its schema.
        NotFoundError: There is no such identity.

    Example:
        >>> import carnet
        >>> with carnet.connect(client.federation.directory) as registries:
        ...     registries.resolve("dev/risk/fraud@1").reference.version
        1
    """
    return Client(connect_async(directory, identity=identity))
