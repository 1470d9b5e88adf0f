"""Reading models and versions, and revoking one.

Responsible for the client's side of the model service. What a reference resolves to is checked against the
pinned keys before anybody sees it; lists are what a registry states.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.bundle.contract import contract_changes
from carnet.client.messages import alias_of, model_of, stage_number, version_of
from carnet.client.paging import all_pages
from carnet.client.results import CompatibleVersion, ResolvedVersion, RevokeResult
from carnet.client.session import Session
from carnet.client.verification import checked_manifest, checked_receipt, checked_signature
from carnet.errors import InternalError, ReferenceInvalidError
from carnet.references import Reference, ResourceName, check_name, parse_reference
from carnet.registry.v1 import models_pb2
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.client.federation import PinnedEnvironment
    from carnet.client.results import Model, VerifiedReceipt, Version

ARRIVALS = (EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED)


class Models(Session):
    """Operations on models and versions."""

    async def models(self, environment: str, *, namespace: str = "") -> tuple[Model, ...]:
        """List an environment's models.

        Args:
            environment: The environment.
            namespace: One namespace; empty for all that this identity may read.

        Returns:
            The models, by name.

        Raises:
            CarnetError: The call failed; the class says how.

        Example:
            >>> [str(model.reference) for model in client.models("dev")]
            ['dev/risk/fraud']
        """
        registry = self._registry(environment)
        parent = f"namespaces/{check_name(namespace, field='namespace') if namespace else '-'}"
        request = models_pb2.ListModelsRequest(parent=parent)
        found = await all_pages(registry, registry.models.ListModels, request, "models")
        return tuple(model_of(each, environment) for each in found)

    async def model(self, reference: str | Reference) -> Model:
        """Read one model.

        Args:
            reference: ``ENV/NAMESPACE/MODEL``.

        Raises:
            NotFoundError: The environment has no such model.
            CarnetError: The call failed; the class says how.
        """
        wanted = reference_to(reference, want="model")
        registry = self._registry(wanted.environment)
        answer = await registry.call(
            registry.models.GetModel, models_pb2.GetModelRequest(name=wanted.model_name)
        )
        return model_of(answer.model, wanted.environment)

    async def versions(self, reference: str | Reference, *, stage: str = "") -> tuple[Version, ...]:
        """List a model's versions, the newest first.

        Args:
            reference: ``ENV/NAMESPACE/MODEL``.
            stage: Only those that stand there; empty for all.

        Raises:
            NotFoundError: The environment has no such model.
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.versions("dev/risk/fraud")[-1].reference.version
            1
        """
        wanted = reference_to(reference, want="model")
        registry = self._registry(wanted.environment)
        request = models_pb2.ListVersionsRequest(
            parent=wanted.model_name, stage=stage_number(stage, field="stage")
        )
        found = await all_pages(registry, registry.models.ListVersions, request, "versions")
        return tuple(version_of(each, wanted.environment) for each in found)

    async def resolve(self, reference: str | Reference) -> ResolvedVersion:
        """Answer what a reference points at now.

        The manifest, the signature over it and the receipt of the pointer's last move are verified against
        what this federation pins, so that an edited row of a database is noticed here.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``.

        Returns:
            The version, verified.

        Raises:
            NotFoundError: There is no such version or alias.
            IntegrityError: What the registry answers is not what was signed or logged.
            CarnetError: The call failed; the class says how.

        Example:
            >>> version = client.resolve("dev/risk/fraud@1")
            >>> version.manifest.subject_name, version.version.stage
            ('dev/risk/fraud@1', 'registered')
        """
        wanted = reference_to(reference, want="version")
        registry = self._registry(wanted.environment)
        answer: models_pb2.ResolveVersionResponse = await registry.call(
            registry.models.ResolveVersion,
            models_pb2.ResolveVersionRequest(name=wanted.resource_name),
        )
        return self._checked(wanted, answer)

    async def compatibility(
        self, reference: str | Reference, *, limit: int = 20
    ) -> tuple[CompatibleVersion, ...]:
        """Tell which earlier versions a version is compatible with, each verified first.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``.
            limit: How many earlier versions at most, from the newest on; revoked ones are left out.

        Returns:
            The earlier versions, the newest first; compatible are those whose users may go on with this one
            unchanged: what their manifests claim still holds, or holds for more.

        Raises:
            NotFoundError: There is no such version or alias.
            IntegrityError: What a registry answers is not what was signed or logged.
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.compatibility("dev/risk/fraud@1")
            ()
        """
        later = await self.resolve(reference)
        model = Reference(later.reference.environment, later.reference.namespace, later.reference.model)
        earlier = [
            each.reference
            for each in await self.versions(model)
            if each.reference.version < later.reference.version and each.stage != "revoked"
        ]
        found = await asyncio.gather(*(self.resolve(each) for each in earlier[: max(limit, 0)]))
        return tuple(_compatible(each, later) for each in found)

    async def revoke(self, reference: str | Reference, reason: str) -> RevokeResult:
        """Withdraw a version for good: nothing admits it any more, and no alias may be moved to it.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION``; an alias is refused, since it may move meanwhile.
            reason: Why, for people.

        Raises:
            NotFoundError: There is no such version.
            CarnetError: The call failed; the class says how.
        """
        wanted = reference_to(reference, want="version")
        if not wanted.version:
            raise ReferenceInvalidError(f"{wanted}: revoking needs a version's number, not an alias")
        registry = self._registry(wanted.environment)
        answer: models_pb2.RevokeVersionResponse = await registry.call(
            registry.models.RevokeVersion,
            models_pb2.RevokeVersionRequest(name=wanted.resource_name, reason=reason),
        )
        receipt = checked_receipt(
            answer.receipt,
            self.federation.environment(wanted.environment),
            types=(EntryType.VERSION_REVOKED,),
            subject=_model_subject(wanted) | {"version": wanted.version},
        )
        return RevokeResult(version=version_of(answer.version, wanted.environment), receipt=receipt)

    def _checked(self, wanted: Reference, answer: models_pb2.ResolveVersionResponse) -> ResolvedVersion:
        version = version_of(answer.version, wanted.environment)
        asked_for = (wanted.namespace, wanted.model, wanted.version or version.reference.version)
        reference = version.reference
        if (reference.namespace, reference.model, reference.version) != asked_for:
            raise InternalError(f"{wanted.environment} was asked for {wanted} and answered with {reference}")
        manifest = checked_manifest(answer.version, reference)
        signer = checked_signature(answer.version.signature, manifest, self.federation)
        receipt = self._pointer_receipt(wanted, version, answer)
        alias = alias_of(answer.alias, wanted.environment) if wanted.alias else None
        return ResolvedVersion(
            reference=reference,
            version=version,
            manifest=manifest,
            signature=answer.version.signature,
            signer=signer,
            alias=replace(alias, finality=receipt.finality) if alias else None,
            receipt=receipt,
        )

    def _pointer_receipt(
        self, wanted: Reference, version: Version, answer: models_pb2.ResolveVersionResponse
    ) -> VerifiedReceipt:
        environment = self.federation.environment(wanted.environment)
        if wanted.alias:
            return checked_receipt(
                answer.receipt,
                environment,
                types=(EntryType.ALIAS_MOVED,),
                subject=_model_subject(wanted) | {"alias": wanted.alias},
                if_named={
                    "version": version.reference.version,
                    "bundle_digest": version.bundle_digest,
                },
                new=str(version.reference.version),
            )
        return arrival_receipt(answer, environment, version.reference)


def _compatible(earlier: ResolvedVersion, later: ResolvedVersion) -> CompatibleVersion:
    breaks = tuple(
        change.message
        for change in contract_changes(earlier.manifest, later.manifest)
        if change.level == "major"
    )
    return CompatibleVersion(
        reference=earlier.reference,
        semantic_version=earlier.manifest.semantic_version,
        compatible=not breaks,
        changes=breaks,
    )


def arrival_receipt(
    answer: models_pb2.ResolveVersionResponse | models_pb2.PublishVersionResponse,
    environment: PinnedEnvironment,
    reference: Reference,
) -> VerifiedReceipt:
    """Verify the receipt of a version's publication or admission."""
    return checked_receipt(
        answer.receipt,
        environment,
        types=ARRIVALS,
        subject=_model_subject(reference)
        | {"version": reference.version, "bundle_digest": answer.version.bundle_digest},
    )


def reference_to(reference: str | Reference, *, want: str) -> Reference:
    """Return a reference, parsed if it is text, that reaches what is wanted.

    Raises:
        ReferenceInvalidError: It is malformed or points at something else.
    """
    return parse_reference(str(reference), want=want)


def version_resource(reference: Reference) -> str:
    """Return the resource name of the version that a reference pins by its number."""
    return str(ResourceName(reference.namespace, reference.model, reference.version))


def _model_subject(reference: Reference) -> dict[str, str | int]:
    return {"namespace": reference.namespace, "model": reference.model}
