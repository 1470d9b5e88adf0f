"""Reading models and versions, resolving names, publishing and revoking.

Publishing is in ``publisher``. A revocation is for good: the version stays readable and says so, nothing
admits it any more, and no alias may be moved to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import NotFoundError
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet.translog.entry import EntryType
from carnet_server.access.permissions import READERS
from carnet_server.aliases.queries import read_alias, read_aliases_of
from carnet_server.log.revisions import bundle_scope, model_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models import queries
from carnet_server.models.basis import find_same_content
from carnet_server.models.domain import Proposal, Resolution, Revocation, Stage, check_reason
from carnet_server.models.notes import NOTE_MEDIA_TYPE, Note, make_note
from carnet_server.models.publisher import Publisher

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_policies.engine import PolicyEngine
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.domain import Model, Publication, Version


class ModelsService:
    """Reads, publishes and revokes versions.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its keys, policy and trust document.
        engine: Evaluates the policy.
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
        return await self._database.read(lambda connection: _require_version(connection, name))

    async def list_versions(
        self, parent: ResourceName, *, page_size: int, page_token: str
    ) -> tuple[list[Version], str]:
        """List a model's versions, the newest first, without manifests and signatures.

        Args:
            parent: The model.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The versions, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The size or the token is malformed.
            NotFoundError: There is no such model.
        """
        query = f"versions {parent}"
        position = decode_page_token(page_token, query, int)
        before = position[0] if position else None
        limit = page_limit(page_size)
        found = await self._database.read(
            lambda connection: queries.list_versions(
                connection, parent.namespace, parent.model, before=before, limit=limit + 1
            )
        )
        if not found and position is None:
            raise _no_model(parent)
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
                return _require_version(connection, name), None
            alias = read_alias(connection, name)
            if alias is None:
                raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set here")
            return _require_version(connection, replace(name, alias="", version=alias.version)), alias

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
            AlreadyExistsError: The number is another bundle's.
            ConflictError: Another number is the next, or the facts keep changing.
            BlobsMissingError: The namespace has not been given some of the blobs.
            PreconditionFailedError: The content is revoked, or the model has another home.
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
        version = await self._writer.commit(lambda tx: _revoke(tx, caller, name, note))
        assert version.revoked_log_index is not None
        return Revocation(version, await self._log.signed_receipt(version.revoked_log_index))


def _revoke(tx: Transaction, caller: Caller, name: ResourceName, note: Note) -> Version:
    version = _require_version(tx.connection, name)
    if version.revoked:
        return version
    digest = tx.store_document(note.data, NOTE_MEDIA_TYPE)
    index = tx.append(
        EntryDraft(
            EntryType.VERSION_REVOKED,
            caller.actor,
            version.subject,
            old=str(version.stage),
            new=str(Stage.REVOKED),
            envelope_digest=digest,
        )
    )
    queries.mark_revoked(tx.connection, version, index)
    tx.touch(bundle_scope(version.bundle_digest), model_scope(version.namespace, version.model))
    return replace(version, stage=Stage.REVOKED, revoked_log_index=index)


def _require_version(connection: Connection, name: ResourceName) -> Version:
    version = queries.read_version(connection, name.namespace, name.model, name.version)
    if version is None:
        raise NotFoundError(f"there is no version {name.version} of {name.namespace}/{name.model} here")
    return version


def _with_aliases(connection: Connection, models: list[Model]) -> list[Model]:
    found: dict[tuple[str, str], list[Alias]] = {}
    for alias in read_aliases_of(connection, [(model.namespace, model.model) for model in models]):
        found.setdefault((alias.namespace, alias.model), []).append(alias)
    return [replace(model, aliases=tuple(found.get((model.namespace, model.model), ()))) for model in models]


def _no_model(name: ResourceName) -> NotFoundError:
    return NotFoundError(f"there is no model {name.namespace}/{name.model} here")
