"""The client's view of a federation: where its environments are, and whom this person pins.

Responsible for reading ``federation.yaml`` and the identities beside it. What stands there was put there by
the person or their platform team, and is the only thing that the client trusts: a registry's answer is
compared with these keys, and never taken for them. Opens no connection.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from carnet.documents import read_document, read_file
from carnet.errors import CarnetError, DocumentInvalidError, FileUnreadableError, NotFoundError
from carnet.references import check_name
from carnet.signing.certificate import SigningAuthority
from carnet.signing.fields import FrozenModel, Many
from carnet.signing.key_reference import KeyDocument, KeyReference
from carnet.signing.keys import VerificationKey
from carnet.translog.keys import LogVerifier
from carnet.translog.witness_policy import WitnessPolicy, parse_pinned_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.signing.certificate import SigningCertificate
    from carnet.signing.keys import SigningKey
    from carnet.signing.passphrase import AskPassphrase

FILE_NAME = "federation.yaml"
DEFAULT_DIRECTORY = ".carnet"
DIRECTORY_VARIABLE = "CARNET_DIR"
IDENTITY_VARIABLE = "CARNET_IDENTITY"
TOKEN_VARIABLE = "CARNET_TOKEN"  # noqa: S105  a variable's name
TOKEN_FILE_VARIABLE = "CARNET_TOKEN_FILE"  # noqa: S105  a variable's name

PROMOTIONS_PEER = "promotions"
"""What the promotion service is called where a token is given for one peer only."""
TOKEN_IDENTITY = "token"  # noqa: S105  a name
TOKEN_FILE_MAX_BYTES = 64 << 10

_Endpoint = Annotated[str, Field(pattern=r"^[^\s/]+:[0-9]{1,5}$", max_length=300)]
_HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$", max_length=253)]


class _EnvironmentDocument(FrozenModel):
    endpoint: _Endpoint
    server_name: _HostName
    log_key: str
    signing_key: str
    other_signing_keys: Many[str] = ()
    bearer_endpoint: _Endpoint | None = None
    signing_authority: str | None = None
    witness_key: str | None = None
    witnesses: str = ""


class _SyncDocument(FrozenModel):
    endpoint: _Endpoint
    server_name: _HostName
    bearer_endpoint: _Endpoint | None = None


class _PersonDocument(FrozenModel):
    keys: Many[str] = ()
    subjects: Many[str] = ()


def _folder_alone(value: Any) -> Any:
    return {"folder": value} if isinstance(value, str) else value


class _IdentityForm(FrozenModel):
    folder: str
    signing_key: KeyDocument | None = None


class FederationDocument(FrozenModel):
    """The schema of ``federation.yaml``; paths are relative to the file."""

    document_schema: Literal["carnet.federation/v1"] = Field(alias="schema")
    ca: str
    environments: dict[str, _EnvironmentDocument] = Field(min_length=1)
    sync: _SyncDocument | None = None
    identity: str = ""
    identities: dict[str, Annotated[_IdentityForm, BeforeValidator(_folder_alone)]] = Field(
        default_factory=dict
    )
    people: dict[str, _PersonDocument] = Field(default_factory=dict)
    signers: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PinnedEnvironment:
    """An environment, with the keys that it is known by.

    Attributes:
        name: Its name.
        endpoint: Its registry's address, ``host:port``.
        server_name: The DNS name that its certificate must have.
        log: The key of its log's checkpoints.
        signing_key: The key of its dossiers, decisions and releases.
        other_signing_keys: Keys that it signed them with before, or will after, while one takes over.
        bearer_endpoint: Where its registry serves callers with OIDC tokens; empty for nowhere.
        authority: Who certifies the keys of its jobs, each for one signature; None for nobody.
        witness_key: The key by which it cosigns the logs of others; None for none.
        witnesses: Who must have cosigned a checkpoint of its log for that to be final.
    """

    name: str
    endpoint: str
    server_name: str
    log: LogVerifier
    signing_key: VerificationKey
    bearer_endpoint: str = ""
    authority: SigningAuthority | None = None
    other_signing_keys: tuple[VerificationKey, ...] = ()
    witness_key: LogVerifier | None = None
    witnesses: WitnessPolicy = field(default_factory=WitnessPolicy, repr=False)

    @property
    def signing_keys(self) -> dict[str, VerificationKey]:
        """The keys of its statements, by key id: the one of today first."""
        return {key.key_id: key for key in (self.signing_key, *self.other_signing_keys)}


@dataclass(frozen=True, slots=True)
class SyncAddress:
    """Where the promotion service is; it is trusted with nothing, so no key of it is pinned.

    Attributes:
        endpoint: Its address, ``host:port``.
        server_name: The DNS name that its certificate must have.
        bearer_endpoint: Where it serves callers with OIDC tokens; empty for nowhere.
    """

    endpoint: str
    server_name: str
    bearer_endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whom a pinned key belongs to.

    Attributes:
        subject: The SPIFFE id, or ``person:NAME`` where a person has none.
        person: The person whom it stands for; empty for a service of its own.
    """

    subject: str
    person: str

    def __str__(self) -> str:
        """Return the subject, and the person behind it where its last part does not say so already."""
        if not self.person or self.subject.rsplit("/", 1)[-1] == self.person:
            return self.subject
        return f"{self.subject} ({self.person})"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the client is: a folder with ``tls.pem``, ``tls-key.pem`` and, if it signs, ``signing-key.pem``.

    Attributes:
        name: Its name.
        folder: Its files.
        named_key: Where its signing key is, if the federation's document says so.
        held_key: Its signing key where that was opened before; it is used as it is.
    """

    name: str
    folder: Path
    named_key: KeyReference | None = None
    held_key: SigningKey | None = field(default=None, repr=False, compare=False)

    @property
    def certificate(self) -> Path:
        """The TLS certificate's file."""
        return self.folder / "tls.pem"

    @property
    def private_key(self) -> Path:
        """The TLS key's file."""
        return self.folder / "tls-key.pem"

    @property
    def key_reference(self) -> KeyReference:
        """Where the key is that it signs with; there need not be one."""
        return self.named_key or KeyReference(file=self.folder / "signing-key.pem")

    @property
    def can_sign(self) -> bool:
        """Whether it has a signing key of its own."""
        return self.held_key is not None or self.key_reference.exists

    def signing_key(self, ask: AskPassphrase | None = None) -> SigningKey:
        """Open the key that this identity signs with.

        Args:
            ask: Asks a person for a passphrase; None to take what ``CARNET_KEY_PASSPHRASE_FILE`` says.

        Raises:
            FileUnreadableError: It has none, or the file cannot be read.
            InvalidInputError: The file is not a key that can sign.
            UnauthenticatedError: The key has a passphrase, which was not given, or not rightly.
            CarnetError: The KMS or HSM that has the key cannot be used; the class says how.
        """
        if self.held_key is not None:
            return self.held_key
        reference = self.key_reference
        if not reference.exists:
            raise FileUnreadableError(
                f"the identity {self.name!r} has no signing key ({reference} is missing): "
                "act as one that has, with --as or CARNET_IDENTITY"
            )
        return reference.open(ask)

    def holding(self, key: SigningKey) -> Identity:
        """Return the identity with its signing key opened, so that nobody is asked for it again."""
        return replace(self, held_key=key)


@dataclass(frozen=True, slots=True)
class Federation:
    """What ``federation.yaml`` says.

    Attributes:
        directory: The folder that the file stands in.
        ca: The certificate of the authority that all peers' certificates are from.
        environments: The environments, by name, in the file's order.
        sync: The promotion service; None where there is none.
        default_identity: The identity that is used where no other is named; may be empty.
        identities: The identities, by name.
        keys: All pinned signers' keys, by key id (people and services, not environments).
        signers: Whom these keys belong to, by key id.
        people: The subjects of each person, by name.
    """

    directory: Path
    ca: Path
    environments: Mapping[str, PinnedEnvironment]
    sync: SyncAddress | None
    default_identity: str
    identities: Mapping[str, Identity]
    keys: Mapping[str, VerificationKey]
    signers: Mapping[str, Signer]
    people: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, directory: str | Path | None = None) -> Federation:
        """Read a federation's folder.

        Args:
            directory: The folder; None for ``CARNET_DIR``, and where that is not set ``.carnet``.

        Raises:
            FileUnreadableError: There is no ``federation.yaml``, or it cannot be read.
            DocumentInvalidError: It breaks its schema, or a key in it is none.
        """
        folder = Path(directory or os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY)
        path = folder / FILE_NAME
        if not path.exists():
            raise FileUnreadableError(
                f"{path} is missing: name the federation's folder with --dir or {DIRECTORY_VARIABLE}, "
                f"or make one with `carnet init {folder}`"
            )
        document = read_document(path, FederationDocument, what="federation")
        keys, signers = _pinned_signers(document, name=path.name)
        return cls(
            directory=folder,
            ca=folder / document.ca,
            environments={
                name: _pinned_environment(name, part, name_of_file=path.name)
                for name, part in document.environments.items()
            },
            sync=_sync_address(document.sync) if document.sync else None,
            default_identity=document.identity,
            identities={
                name: Identity(
                    name, folder / part.folder, part.signing_key.below(folder) if part.signing_key else None
                )
                for name, part in document.identities.items()
            },
            keys=keys,
            signers=signers,
            people={name: part.subjects for name, part in document.people.items()},
        )

    def environment(self, name: str) -> PinnedEnvironment:
        """Return an environment by name.

        Raises:
            NotFoundError: The federation has none of that name.
        """
        found = self.environments.get(name)
        if found is None:
            raise NotFoundError(
                f"this federation has no environment {name!r}; it has {', '.join(self.environments)}",
                metadata={"environment": name[:80]},
            )
        return found

    def identity(self, name: str | None = None) -> Identity:
        """Return an identity by name.

        Args:
            name: The name; None for ``CARNET_IDENTITY``, and where that is not set the federation's choice.

        Returns:
            The identity; one without files where only a token is given.

        Raises:
            NotFoundError: There is none of that name, or none is chosen.
        """
        chosen = name or os.environ.get(IDENTITY_VARIABLE) or self.default_identity
        known = ", ".join(self.identities) or "none"
        if not chosen and any(map(token_is_given, (*self.environments, PROMOTIONS_PEER))):
            return Identity(TOKEN_IDENTITY, self.directory / "identities" / TOKEN_IDENTITY)
        if not chosen:
            raise NotFoundError(
                f"no identity is chosen: use --as or {IDENTITY_VARIABLE}; this federation has {known}"
            )
        if chosen not in self.identities:
            raise NotFoundError(f"this federation has no identity {chosen!r}; it has {known}")
        return self.identities[chosen]

    @property
    def authorities(self) -> tuple[SigningAuthority, ...]:
        """The pinned signing authorities of the environments."""
        return tuple(each.authority for each in self.environments.values() if each.authority is not None)

    def signer(self, key_id: str) -> Signer | None:
        """Return whom a pinned key belongs to; None where it is not pinned."""
        return self.signers.get(key_id)

    def statement_keys(self) -> dict[str, VerificationKey]:
        """Return every pinned key that signs statements, environments' included, by key id."""
        found = dict(self.keys)
        for environment in self.environments.values():
            found |= environment.signing_keys
        return found

    def statement_signer(self, key_id: str, certificate: SigningCertificate | None = None) -> str:
        """Return who statements signed with a key are by, for people; empty where it is not trusted.

        Args:
            key_id: The key.
            certificate: Its one-time certificate by a pinned authority; None for a pinned key.
        """
        if certificate is not None:
            return certificate.subject
        for environment in self.environments.values():
            if key_id in environment.signing_keys:
                return f"environment {environment.name}"
        signer = self.signers.get(key_id)
        return str(signer) if signer else ""


def token_file_variable(peer: str) -> str:
    """Return the variable that names a peer's own token file, such as ``CARNET_TOKEN_FILE_PROD_EU``.

    Args:
        peer: The environment's name, or ``PROMOTIONS_PEER``.
    """
    return f"{TOKEN_FILE_VARIABLE}_{peer.upper().replace('-', '_')}"


def token_is_given(peer: str) -> bool:
    """Tell whether an OIDC token is given for a peer, by its own variable or by one for all.

    Args:
        peer: The environment's name, or ``PROMOTIONS_PEER``.
    """
    names = (token_file_variable(peer), TOKEN_FILE_VARIABLE, TOKEN_VARIABLE)
    return any(os.environ.get(name) for name in names)


def read_token(peer: str) -> str:
    """Return the OIDC token that is given for a peer; a file is read anew each time, as tokens are renewed.

    The peer's own file comes before ``CARNET_TOKEN_FILE``, and that before ``CARNET_TOKEN``.

    Args:
        peer: The environment's name, or ``PROMOTIONS_PEER``.

    Raises:
        FileUnreadableError: The file cannot be read, or what is given is no token.
    """
    names = (token_file_variable(peer), TOKEN_FILE_VARIABLE)
    variable = next((name for name in names if os.environ.get(name)), "")
    if variable:
        file = os.environ[variable]
        data = read_file(Path(file), what=f"the token of {variable}")[:TOKEN_FILE_MAX_BYTES]
        text, where = data.decode("ascii", errors="replace"), f"the file {file} ({variable})"
    else:
        text, where = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
    token = text.strip()
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise FileUnreadableError(f"{where} has no token in it")
    return token


def _sync_address(part: _SyncDocument) -> SyncAddress:
    return SyncAddress(part.endpoint, part.server_name, part.bearer_endpoint or "")


def _pinned_environment(name: str, part: _EnvironmentDocument, *, name_of_file: str) -> PinnedEnvironment:
    where = f"{name_of_file}: environments.{name}"
    try:
        check_name(name, field="environments")
        log = LogVerifier.parse(part.log_key)
        return PinnedEnvironment(
            name=name,
            endpoint=part.endpoint,
            server_name=part.server_name,
            log=log,
            signing_key=VerificationKey.from_pem(part.signing_key),
            other_signing_keys=tuple(map(VerificationKey.from_pem, part.other_signing_keys)),
            bearer_endpoint=part.bearer_endpoint or "",
            authority=SigningAuthority.from_pem(part.signing_authority) if part.signing_authority else None,
            witness_key=LogVerifier.parse(part.witness_key) if part.witness_key else None,
            witnesses=parse_pinned_policy(part.witnesses, log, name="witnesses"),
        )
    except CarnetError as error:
        raise DocumentInvalidError(f"{where}: {error.message}", metadata={"field": where}) from error


def _pinned_signers(
    document: FederationDocument, *, name: str
) -> tuple[dict[str, VerificationKey], dict[str, Signer]]:
    keys: dict[str, VerificationKey] = {}
    signers: dict[str, Signer] = {}
    person_of = {subject: person for person, part in document.people.items() for subject in part.subjects}

    def pin(pem: str, signer: Signer, *, where: str) -> None:
        try:
            key = VerificationKey.from_pem(pem)
        except CarnetError as error:
            raise DocumentInvalidError(f"{name}: {where}: {error.message}") from error
        keys[key.key_id] = key
        signers[key.key_id] = signer

    for person, part in document.people.items():
        subject = part.subjects[0] if part.subjects else f"person:{person}"
        for pem in part.keys:
            pin(pem, Signer(subject, person), where=f"people.{person}.keys")
    for subject, pem in document.signers.items():
        pin(pem, Signer(subject, person_of.get(subject, "")), where=f"signers.{subject}")
    return keys, signers
