"""Reading models and versions, resolving names, publishing, staging and revoking.

Publishing is in ``publisher``, the ways between stages in ``stages``. A revocation is for good: the version
stays readable and says so, nothing admits it any more, and no alias may be moved to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import NotFoundError
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet_server.access.permissions import READERS
from carnet_server.aliases.queries import read_alias, read_aliases_of
from carnet_server.models import queries
from carnet_server.models.archival import Archival
from carnet_server.models.basis import find_same_content
from carnet_server.models.domain import Proposal, Resolution, Revocation, Staging, check_reason
from carnet_server.models.notes import make_note
from carnet_server.models.publisher import Publisher
from carnet_server.models.stages import require_version, revoke_version, set_stage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_policies.engine import PolicyEngine
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer
    from carnet_server.models.domain import Model, Publication, Stage, Version


class ModelsService:
    """Reads, publishes, stages and revokes versions.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its keys, policy and trust document.
        engine: Evaluates the policy.

    Attributes:
        archival: Archives what is old and out of use.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        engine: PolicyEngine,
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._publisher = Publisher(database, writer, log, state, engine)
        self.archival = Archival(database, writer, log)

    async def get_model(self, name: ResourceName) -> Model:
        """Read a model with its aliases.

        Raises:
            NotFoundError: There is none of that name.
        """

        def read(connection: Connection) -> Model | None:
            model = queries.read_model(connection, name.namespace, name.model)
            return model and _with_aliases(connection, [model])[0]

        model = await self._database.read(read)
        if model is None:
            raise _no_model(name)
        return model

    async def list_models(
        self, caller: Caller, namespace: str, *, page_size: int, page_token: str
    ) -> tuple[list[Model], str]:
        """List models by name, with their aliases.

        Args:
            caller: Who asks.
            namespace: Where; empty for every namespace that the caller may read.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The models, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The size or the token is malformed.
        """
        query = f"models {namespace or '-'}"
        position = decode_page_token(page_token, query, str, str)
        after = (position[0], position[1]) if position else ("", "")
        limit = page_limit(page_size)

        def read(connection: Connection) -> tuple[list[Model], bool]:
            there = [namespace] if namespace else queries.list_namespaces(connection)
            wanted = [each for each in there if caller.roles_in(each) & READERS]
            found = queries.list_models(connection, wanted, after=after, limit=limit + 1)
            return _with_aliases(connection, found[:limit]), len(found) > limit

        page, more = await self._database.read(read)
        return page, encode_page_token(query, (page[-1].namespace, page[-1].model)) if more else ""

    async def get_version(self, name: ResourceName) -> Version:
        """Read a version with its manifest and signature.

        Raises:
            NotFoundError: There is none of that name.
        """
        return await self._database.read(lambda connection: require_version(connection, name))

    async def list_versions(
        self, parent: ResourceName, *, page_size: int, page_token: str, stage: Stage | None = None
    ) -> tuple[list[Version], str]:
        """List a model's versions, the newest first, without manifests and signatures.

        Args:
            parent: The model.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.
            stage: Only those that stand there; None for all.

        Returns:
            The versions, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The size or the token is malformed.
            NotFoundError: There is no such model.
        """
        query = f"versions {parent} {stage or '-'}"
        position = decode_page_token(page_token, query, int)
        before = position[0] if position else None
        limit = page_limit(page_size)
        found = await self._database.read(
            lambda connection: queries.list_versions(
                connection, parent.namespace, parent.model, before=before, limit=limit + 1, stage=stage
            )
        )
        if not found and position is None:
            await self.get_model(parent)
        if len(found) <= limit:
            return found, ""
        return found[:limit], encode_page_token(query, (found[limit - 1].version,))

    async def resolve(self, name: ResourceName) -> Resolution:
        """Answer what the name of an alias or a version points at.

        Args:
            name: The name.

        Returns:
            The version, revoked or not; and the receipt of the alias's last move, or of the version's
            arrival.

        Raises:
            NotFoundError: There is no such alias or version.
        """

        def read(connection: Connection) -> tuple[Version, Alias | None]:
            if not name.alias:
                return require_version(connection, name), None
            alias = read_alias(connection, name)
            if alias is None:
                raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set here")
            return require_version(connection, replace(name, alias="", version=alias.version)), alias

        version, alias = await self._database.read(read)
        receipt = await self._log.signed_receipt(alias.log_index if alias else version.log_index)
        return Resolution(version, alias, receipt)

    async def propose_version(self, parent: ResourceName, content_digest: str) -> Proposal:
        """Answer which number a publication of a content has, or would get; reserves nothing.

        Args:
            parent: The model.
            content_digest: The SHA-256 of the canonical manifest without its number.

        Raises:
            InvalidInputError: The digest is malformed.
            PreconditionFailedError: The content was published and is revoked.
        """
        check_digest(content_digest, field="content_digest")

        def read(connection: Connection) -> Proposal:
            same = find_same_content(connection, parent, content_digest)
            if same is not None:
                return Proposal(same.version, published=True)
            latest = queries.read_latest_number(connection, parent.namespace, parent.model)
            return Proposal(latest + 1, published=False)

        return await self._database.read(read)

    async def publish(
        self, caller: Caller, parent: ResourceName, data: bytes, signature: bytes, *, validate_only: bool
    ) -> Publication:
        """Publish a signed bundle whose blobs are here.

        Args:
            caller: Who publishes.
            parent: The model.
            data: The bytes of the canonical manifest.
            signature: The model signature over its files and the manifest.
            validate_only: Checks all and stores nothing.

        Returns:
            The version, whether it was published before, and the receipt of its entry.

        Raises:
            DocumentInvalidError: The manifest is malformed or not canonical.
            InvalidInputError: It names another place.
            SignatureInvalidError: The signature is malformed or does not verify.
            KeyUntrustedError: Its key is not trusted here for bundles in that namespace.
            StatementInvalidError: It covers other files than the manifest's.
            DigestMismatchError: It covers other contents.
            AlreadyExistsError: The number, or the semantic version, is another bundle's.
            ContractBrokenError: It breaks what its semantic version promises.
            ConflictError: Another number is the next, or the facts keep changing.
            BlobsMissingError: The namespace has not been given some of the blobs.
            PreconditionFailedError: The content is revoked, or the model has another home.
            PurgedError: This very version was published before, and purged.
            GateRefusedError: The policy refused it; unless only validated, the refusal is logged.
            GateAwaitingError: The policy awaits something.
        """
        return await self._publisher.publish(caller, parent, data, signature, validate_only=validate_only)

    async def revoke(self, caller: Caller, name: ResourceName, reason: str) -> Revocation:
        """Withdraw a version for good; one that is withdrawn already stays as it is.

        Args:
            caller: Who withdraws it.
            name: The version.
            reason: Why, for people.

        Returns:
            The version, and the receipt of the entry.

        Raises:
            InvalidInputError: The reason is empty or too long.
            NotFoundError: There is no such version.
        """
        note = make_note(check_reason(reason, field="reason"))
        assert note is not None
        version = await self._writer.commit(lambda tx: revoke_version(tx, caller.actor, name, note))
        assert version.revoked_log_index is not None
        return Revocation(version, await self._log.receipt_of_change(version.revoked_log_index))

    async def set_stage(
        self, caller: Caller, name: ResourceName, wanted: Stage, reason: str, *, expected: Stage | None = None
    ) -> Staging:
        """Move a version by hand; one that stands there already stays as it is.

        Args:
            caller: Who moves it.
            name: The version.
            wanted: Where to: registered, candidate, approved or archived.
            reason: Why, for people.
            expected: Where the caller saw it; None for anywhere.

        Returns:
            The version, and the receipt of the entry that put it where it stands.

        Raises:
            InvalidInputError: The reason is empty or too long.
            NotFoundError: There is no such version.
            ConflictError: It does not stand where it was seen.
            IllegalTransitionError: It cannot go there; the message names where it can go.
            PurgedError: Its files were purged.
        """
        note = make_note(check_reason(reason, field="reason"))
        assert note is not None
        version = await self._writer.commit(
            lambda tx: set_stage(tx, caller.actor, name, wanted, note, expected=expected)
        )
        return Staging(version, await self._log.receipt_of_change(version.stage_log_index))


def _with_aliases(connection: Connection, models: list[Model]) -> list[Model]:
    found: dict[tuple[str, str], list[Alias]] = {}
    for alias in read_aliases_of(connection, [(model.namespace, model.model) for model in models]):
        found.setdefault((alias.namespace, alias.model), []).append(alias)
    return [replace(model, aliases=tuple(found.get((model.namespace, model.model), ()))) for model in models]


def _no_model(name: ResourceName) -> NotFoundError:
    return NotFoundError(f"there is no model {name.namespace}/{name.model} here")
