"""Publishing a folder as the next version of a model.

Responsible for the order of a push: hash, ask for the number, sign, send what is missing, publish. Nothing is
visible in the registry before the last step, and every step may be repeated.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.bundle.build import build_manifest
from carnet.bundle.document import read_document
from carnet.bundle.paths import MANIFEST_NAME
from carnet.client.models import arrival_receipt, reference_to
from carnet.client.progress import staged
from carnet.client.results import PushResult
from carnet.client.session import Session
from carnet.client.transfer import LocalBlob, upload_files
from carnet.errors import BlobsMissingError, ConflictError, DigestMismatchError, FileUnreadableError
from carnet.references import Reference, ResourceName, check_version_number
from carnet.registry.v1 import models_pb2
from carnet.signing.model_signature import sign_model

if TYPE_CHECKING:
    from carnet.bundle.document import BundleDocument
    from carnet.bundle.manifest import Manifest
    from carnet.client.connection import RegistryConnection
    from carnet.client.progress import Progress
    from carnet.signing.dsse import OneTimeSigner
    from carnet.signing.keys import SigningKey

DOCUMENT_NAME = "carnet.yaml"
_ATTEMPTS = 5
_PUBLISH_SECONDS = 120.0


class Publishing(Session):
    """Operations that publish."""

    async def push(
        self,
        reference: str | Reference,
        path: str | Path,
        *,
        manifest_file: str | Path | None = None,
        version: int | None = None,
        progress: Progress | None = None,
    ) -> PushResult:
        """Publish a folder as a version of a model, signed with this identity's key.

        A second push of the same content changes nothing, says so, and succeeds.

        Args:
            reference: The model, ``ENV/NAMESPACE/MODEL``; the environment becomes the version's home.
            path: The folder with the bundle's files.
            manifest_file: The document that describes them; None for ``carnet.yaml`` in the folder.
            version: The number that the version is to have; None for the document's, or else the next.
            progress: Told of the stages ``hashing`` and ``sending``, in bytes.

        Returns:
            The version, with the verified receipt of its entry.

        Raises:
            FileUnreadableError: The document, a file or this identity's signing key cannot be read.
            DocumentInvalidError: The document breaks its schema; the message names file, line and field.
            PathRefusedError: A path may not be in a bundle.
            GateRefusedError: The environment's policy refuses the version; the message names the rules.
            AlreadyExistsError: The number that was asked for has another content.
            ConflictError: The number was taken meanwhile, five times.
            CarnetError: The call failed; the class says how.
        """
        target = reference_to(reference, want="model")
        folder = Path(path)
        if not await asyncio.to_thread(folder.is_dir):
            raise FileUnreadableError(f"{folder} is not a folder: name the one with the model's files")
        document = await asyncio.to_thread(read_document, Path(manifest_file or folder / DOCUMENT_NAME))
        key = await self._signer(target.environment)
        registry = self._registry(target.environment)
        wanted = version if version is not None else document.version
        draft = await _draft(document, folder, target, wanted, progress)
        uploaded = False
        for attempt in range(1, _ATTEMPTS + 1):
            manifest = draft
            published = False
            if wanted is None:
                number, published = await _proposed_number(registry, target, draft)
                manifest = draft.with_version(number)
            if not uploaded and not published:
                await upload_files(
                    registry, target.namespace, _blobs(manifest, folder), progress=staged(progress, "sending")
                )
                uploaded = True
            try:
                return await self._publish(registry, target, manifest, key)
            except ConflictError:
                if wanted is not None or attempt == _ATTEMPTS:
                    raise
            except BlobsMissingError:
                # What was there when it was looked for may have been collected since, after a purge.
                if attempt == _ATTEMPTS:
                    raise
                uploaded = False
        raise AssertionError("unreachable")

    async def _publish(
        self,
        registry: RegistryConnection,
        target: Reference,
        manifest: Manifest,
        key: SigningKey | OneTimeSigner,
    ) -> PushResult:
        files = [(file.path, file.digest) for file in manifest.files]
        signature = await asyncio.to_thread(
            sign_model, target.model, [*files, (MANIFEST_NAME, manifest.digest)], key
        )
        answer: models_pb2.PublishVersionResponse = await registry.call(
            registry.models.PublishVersion,
            models_pb2.PublishVersionRequest(
                parent=target.model_name, canonical_manifest=manifest.to_bytes(), signature=signature
            ),
            deadline_seconds=_PUBLISH_SECONDS,
        )
        if answer.version.bundle_digest != manifest.digest:
            raise DigestMismatchError(
                f"{registry.peer} was sent the bundle {manifest.digest} and says that it published "
                f"{answer.version.bundle_digest}"
            )
        reference = Reference(target.environment, target.namespace, target.model, version=manifest.version)
        return PushResult(
            reference=reference,
            bundle_digest=manifest.digest,
            already_published=answer.already_published,
            size_bytes=sum(file.size_bytes for file in manifest.files),
            receipt=arrival_receipt(answer, self.federation.environment(target.environment), reference),
        )


async def _draft(
    document: BundleDocument, folder: Path, target: Reference, wanted: int | None, progress: Progress | None
) -> Manifest:
    """Hash the files; where no number is wanted, the draft has 1 until one is proposed."""
    return await asyncio.to_thread(
        build_manifest,
        document,
        folder,
        home=target.environment,
        namespace=target.namespace,
        model=target.model,
        version=check_version_number(wanted) if wanted is not None else 1,
        progress=staged(progress, "hashing"),
    )


async def _proposed_number(
    registry: RegistryConnection, target: Reference, draft: Manifest
) -> tuple[int, bool]:
    answer = await registry.call(
        registry.models.ProposeVersion,
        models_pb2.ProposeVersionRequest(
            parent=str(ResourceName(target.namespace, target.model)), content_digest=draft.content_digest
        ),
    )
    return check_version_number(answer.version), answer.published


def _blobs(manifest: Manifest, folder: Path) -> list[LocalBlob]:
    unique = {
        file.digest: LocalBlob(folder / file.path, file.digest, file.size_bytes) for file in manifest.files
    }
    return list(unique.values())
