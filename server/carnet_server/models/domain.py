"""What a model and a version are, as plain values; no I/O.

The fields of ``Version`` are the columns of its table. A version never changes, but for its stage, by the
rules of ``carnet.stages``: once revoked, it stays so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from carnet.canonical import sha256_hex
from carnet.errors import ConflictError, InvalidInputError, PurgedError
from carnet.references import ResourceName
from carnet.stages import Stage as Stage  # noqa: PLC0414  a part of what a version is

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.bundle.manifest import Manifest
    from carnet.translog.receipt import Receipt
    from carnet_server.aliases.domain import Alias

REASON_MAX_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable release of a model, as it is stored.

    Attributes:
        namespace: Where.
        model: Of what.
        version: The number.
        home: The environment that gave the number.
        bundle_digest: The SHA-256 of the canonical manifest.
        content_digest: The same without the number.
        stage: Where it stands here.
        size_bytes: The sum of its files' sizes.
        file_count: How many files it has.
        publisher: The subject whose key signed the bundle.
        publisher_key_id: That key.
        source: The environment that it was admitted from; empty where it was published.
        promotion: The promotion that brought it; empty where it was published.
        created_at: When it arrived here.
        log_index: The entry of its arrival.
        description: The description in its manifest.
        owner: The owner in its manifest.
        staged_at: Since when it stands there.
        stage_log_index: The entry that put it there; of a version that never moved, the one of its arrival.
        revoked_log_index: The entry of its revocation; None where there is none.
        semantic_version: The number by its contract, as its manifest states it; None where it states none.
        purged_at: When its files were purged; None while they are kept.
        purge_log_index: The entry of that; None while they are kept.
        manifest: The bytes of the canonical manifest; empty in lists.
        signature: The model signature; empty in lists.
    """

    namespace: str
    model: str
    version: int
    home: str
    bundle_digest: str
    content_digest: str
    stage: Stage
    size_bytes: int
    file_count: int
    publisher: str
    publisher_key_id: str
    source: str
    promotion: str
    created_at: datetime
    log_index: int
    description: str
    owner: str
    staged_at: datetime
    stage_log_index: int
    revoked_log_index: int | None = None
    semantic_version: str | None = None
    purged_at: datetime | None = None
    purge_log_index: int | None = None
    manifest: bytes = b""
    signature: bytes = b""

    @property
    def name(self) -> str:
        """The resource name."""
        return str(ResourceName(self.namespace, self.model, self.version))

    @property
    def revoked(self) -> bool:
        """Whether it was withdrawn for good."""
        return self.stage is Stage.REVOKED

    @property
    def purged(self) -> bool:
        """Whether its files were purged; its number and its digest are never used again."""
        return self.purged_at is not None

    @property
    def subject(self) -> dict[str, str | int]:
        """What log entries about it are about."""
        return version_subject(self.namespace, self.model, self.version, self.bundle_digest)


@dataclass(frozen=True, slots=True)
class Model:
    """A named series of versions; ``owner`` is the newest version's."""

    namespace: str
    model: str
    home: str
    created_at: datetime
    owner: str
    latest_version: int
    version_count: int
    aliases: tuple[Alias, ...] = ()

    @property
    def name(self) -> str:
        """The resource name."""
        return str(ResourceName(self.namespace, self.model))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A version that is about to be registered: published here, or admitted from a source.

    Make one with ``of``, outside of any transaction: digests take their time.

    Attributes:
        manifest: The parsed manifest.
        data: Its canonical bytes.
        bundle_digest: Their SHA-256.
        content_digest: The same without the number.
        signature: The model signature, verified to cover exactly the manifest and its files.
        publisher: The subject whose key signed the bundle.
        publisher_key_id: That key.
        source: The environment that it comes from; empty where it is published.
        promotion: The promotion that brings it; empty where it is published.
    """

    manifest: Manifest
    data: bytes
    bundle_digest: str
    content_digest: str
    signature: bytes
    publisher: str
    publisher_key_id: str
    source: str
    promotion: str

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        signature: bytes,
        *,
        publisher: str,
        publisher_key_id: str,
        source: str = "",
        promotion: str = "",
    ) -> Self:
        """Return the arrival of a bundle; see the class for the arguments."""
        data = manifest.to_bytes()
        return cls(
            manifest=manifest,
            data=data,
            bundle_digest=sha256_hex(data),
            content_digest=manifest.content_digest,
            signature=signature,
            publisher=publisher,
            publisher_key_id=publisher_key_id,
            source=source,
            promotion=promotion,
        )

    def as_version(self, *, created_at: datetime, log_index: int) -> Version:
        """Return the version that comes of it.

        Args:
            created_at: When it arrives.
            log_index: The entry of its arrival.
        """
        manifest = self.manifest
        return Version(
            namespace=manifest.namespace,
            model=manifest.model,
            version=manifest.version,
            home=manifest.home,
            bundle_digest=self.bundle_digest,
            content_digest=self.content_digest,
            stage=Stage.REGISTERED,
            size_bytes=sum(file.size_bytes for file in manifest.files),
            file_count=len(manifest.files),
            publisher=self.publisher,
            publisher_key_id=self.publisher_key_id,
            source=self.source,
            promotion=self.promotion,
            created_at=created_at,
            log_index=log_index,
            description=manifest.description,
            owner=manifest.owner,
            staged_at=created_at,
            stage_log_index=log_index,
            semantic_version=manifest.semantic_version or None,
            manifest=self.data,
            signature=self.signature,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """The number that a publication has, if it is published, or would get."""

    version: int
    published: bool


@dataclass(frozen=True, slots=True)
class Publication:
    """What became of a publication; no receipt where it was only validated."""

    version: Version
    already_published: bool
    receipt: Receipt | None


@dataclass(frozen=True, slots=True)
class Revocation:
    """A version that is withdrawn, and the receipt of the entry that did it."""

    version: Version
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Staging:
    """A version where it stands now, and the receipt of the entry that put it there."""

    version: Version
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a name points at: the version, the alias if one was asked for, and the receipt that shows it."""

    version: Version
    alias: Alias | None
    receipt: Receipt


def version_subject(namespace: str, model: str, version: int, bundle_digest: str) -> dict[str, str | int]:
    """Return what log entries about a version are about."""
    return {"namespace": namespace, "model": model, "version": version, "bundle_digest": bundle_digest}


def require_files(version: Version) -> Version:
    """Return a version if its files are kept.

    Raises:
        PurgedError: They were purged; the message says when.
    """
    if version.purged_at is not None:
        raise PurgedError(purged_text(version), metadata=purged_facts(version))
    return version


def purged_text(version: Version) -> str:
    """Say when a version was purged, and what to do about it."""
    assert version.purged_at is not None
    return (
        f"version {version.version} of {version.namespace}/{version.model} was purged at "
        f"{version.purged_at:%Y-%m-%d %H:%M:%S} UTC (log entry {version.purge_log_index}): its files are "
        "gone, and its manifest and history are kept; the same content can be published again, under a new "
        "number"
    )


def purged_facts(version: Version) -> dict[str, str]:
    """Return what a machine is told of a version that was purged."""
    assert version.purged_at is not None
    return {"subject": version.name, "purgeTime": version.purged_at.isoformat()}


def check_next_number(name: ResourceName, version: int, latest: int) -> None:
    """Insist that a version about to be published has the next number of its model.

    Args:
        name: The model.
        version: The number that the manifest states.
        latest: The newest version's number; 0 where there is none.

    Raises:
        ConflictError: Another number is the next; ``metadata["nextVersion"]`` says which.
    """
    if version != latest + 1:
        raise ConflictError(
            f"version {version} of {name.namespace}/{name.model} cannot be published: the next number is "
            f"{latest + 1}; propose again, sign the manifest with that number, and publish it",
            metadata={"nextVersion": str(latest + 1)},
        )


def check_reason(value: str, *, field: str) -> str:
    """Return a reason if it says something, in ``REASON_MAX_LENGTH`` characters at most.

    Raises:
        InvalidInputError: It is empty or too long.
    """
    if not value.strip() or len(value) > REASON_MAX_LENGTH:
        raise InvalidInputError(
            f"{field}: {len(value)} characters; say why, in 1 to {REASON_MAX_LENGTH}",
            metadata={"field": field},
        )
    return value
