"""Pins: the keys that an auditor trusts, obtained by another way than the logs that are verified.

Responsible for reading them out of plain data and for answering whose a key or a subject is.

Invariants: a key has one holder, and a subject belongs to one person; otherwise independence of approvers
could not be judged. Reads no files, and verifies nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from carnet.errors import CarnetError, InvalidInputError, KeyUntrustedError
from carnet.references import check_name
from carnet.signing.certificate import SigningAuthority
from carnet.signing.keys import VerificationKey
from carnet.translog.keys import KeyType, LogVerifier
from carnet.translog.witness_policy import WitnessPolicy, parse_pinned_policy


@dataclass(frozen=True, slots=True)
class EnvironmentPins:
    """What is trusted of one environment.

    Attributes:
        name: The environment.
        log_key: The verification key of its log.
        signing_keys: The public keys of its statements, in PEM.
        signing_authority: The certificate of the authority of its jobs' keys, in PEM; empty for none.
        witness_key: The verification key by which it cosigns the logs of others; empty for none.
        witnesses: Who must have cosigned its own log, as a C2SP policy file; empty for nobody.
        log_verifier: The log's key, parsed.
        keys: The signing keys, parsed, by key id.
        authority: The authority, parsed; None for none.
        cosigner: The key of its cosignatures, parsed; None for none.
        policy: Who must have cosigned its log, parsed.

    Raises:
        InvalidInputError: A key is not one.
    """

    name: str
    log_key: str
    signing_keys: tuple[str, ...]
    signing_authority: str = ""
    witness_key: str = ""
    witnesses: str = ""
    log_verifier: LogVerifier = field(init=False, repr=False)
    keys: Mapping[str, VerificationKey] = field(init=False, repr=False)
    authority: SigningAuthority | None = field(init=False, repr=False)
    cosigner: LogVerifier | None = field(init=False, repr=False)
    policy: WitnessPolicy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Parse the keys."""
        named = self.signing_authority
        object.__setattr__(self, "authority", SigningAuthority.from_pem(named) if named else None)
        object.__setattr__(self, "log_verifier", LogVerifier.parse(self.log_key))
        object.__setattr__(self, "keys", _parse_keys(self.signing_keys))
        if self.log_verifier.key_type is not KeyType.ED25519:
            raise InvalidInputError(f"the log key of {self.name} is a cosigner's, not a log's")
        cosigner = LogVerifier.parse(self.witness_key) if self.witness_key else None
        if cosigner is not None and cosigner.key_type is not KeyType.COSIGNATURE_V1:
            raise InvalidInputError(f"the witness key of {self.name} is a log's, not a cosigner's")
        object.__setattr__(self, "cosigner", cosigner)
        policy = parse_pinned_policy(self.witnesses, self.log_verifier, name="witnesses")
        object.__setattr__(self, "policy", policy)


@dataclass(frozen=True, slots=True)
class PersonPins:
    """What is trusted of one person, or of one service that signs evidence.

    Attributes:
        name: Who it is.
        signing_keys: Their public keys, in PEM.
        subjects: The identities that are theirs, as logs and dossiers name them.
        keys: The signing keys, parsed, by key id.

    Raises:
        InvalidInputError: A key is not one.
    """

    name: str
    signing_keys: tuple[str, ...]
    subjects: tuple[str, ...]
    keys: Mapping[str, VerificationKey] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Parse the keys."""
        object.__setattr__(self, "keys", _parse_keys(self.signing_keys))


class Pins:
    """Everything that an auditor trusts.

    Args:
        environments: The environments.
        people: The people, and the services that sign evidence.

    Raises:
        InvalidInputError: A key or a subject has two holders.
    """

    def __init__(self, environments: Sequence[EnvironmentPins], people: Sequence[PersonPins] = ()) -> None:
        self.environments: dict[str, EnvironmentPins] = {each.name: each for each in environments}
        self.people: dict[str, PersonPins] = {each.name: each for each in people}
        self.people_keys: dict[str, VerificationKey] = {}
        self.environment_keys: dict[str, VerificationKey] = {}
        self._holders: dict[str, str] = {}
        self._persons: dict[str, str] = {}
        self._persons_by_subject: dict[str, str] = {}
        self._logs = {each.log_verifier.name: each for each in environments}
        for environment in environments:
            self._hold(environment.keys, f"environment {environment.name}")
            self.environment_keys |= environment.keys
        for person in people:
            self._hold(person.keys, person.name)
            self.people_keys |= person.keys
            self._persons |= dict.fromkeys(person.keys, person.name)
            for subject in person.subjects:
                if self._persons_by_subject.setdefault(subject, person.name) != person.name:
                    raise InvalidInputError(f"pins: the subject {subject!r} belongs to two people")

    @classmethod
    def from_mapping(cls, data: Any) -> Self:
        """Read pins from parsed JSON or YAML.

        Args:
            data: ``{"environments": {NAME: {"log_key": VKEY, "signing_key": PEM}}, "people": {NAME: {"keys":
                [PEM, …], "subjects": [SUBJECT, …]}}}``. An environment whose signing key was replaced lists
                the old and the new one as ``signing_keys``; one that certifies jobs has a
                ``signing_authority``, PEM; one that witnesses others has a ``witness_key``, and one whose log
                others must have witnessed a C2SP policy as ``witnesses``. Other keys of these mappings are
                passed over.

        Raises:
            InvalidInputError: The data is not of that form; ``metadata["field"]`` names the place.
        """
        environments = [
            _parse_environment(name, value)
            for name, value in _mapping(data, "environments", required=True).items()
        ]
        people = [_parse_person(name, value) for name, value in _mapping(data, "people").items()]
        return cls(environments, people)

    def of_log(self, origin: str) -> EnvironmentPins:
        """Return the environment whose log has an origin.

        Raises:
            KeyUntrustedError: None is pinned.
        """
        found = self._logs.get(origin)
        if found is None:
            raise KeyUntrustedError(f"no environment is pinned whose log is {origin[:200]!r}")
        return found

    @property
    def authorities(self) -> tuple[SigningAuthority, ...]:
        """The pinned authorities of jobs' keys."""
        return tuple(each.authority for each in self.environments.values() if each.authority is not None)

    @property
    def all_keys(self) -> dict[str, VerificationKey]:
        """Every pinned signing key, by key id."""
        return self.environment_keys | self.people_keys

    def holder_of(self, key_id: str) -> str:
        """Return who holds a pinned key, for a message."""
        return self._holders.get(key_id, f"the unknown key {key_id[:16]}")

    def person_of_key(self, key_id: str) -> str | None:
        """Return the person whose key it is; None for environments and unknown keys."""
        return self._persons.get(key_id)

    def person_of_subject(self, subject: str) -> str | None:
        """Return the person whose identity it is; None if no one's."""
        return self._persons_by_subject.get(subject)

    def _hold(self, keys: Mapping[str, VerificationKey], holder: str) -> None:
        for key_id in keys:
            if self._holders.setdefault(key_id, holder) != holder:
                raise InvalidInputError(
                    f"pins: the key {key_id[:16]} is held by {self._holders[key_id]} and by {holder}: "
                    "a key has one holder"
                )


def _parse_environment(name: Any, value: Any) -> EnvironmentPins:
    field = f"environments.{name}"
    try:
        check_name(name if isinstance(name, str) else "", field="environments")
        keys = [*_texts(value, "signing_keys", field), *_texts(value, "other_signing_keys", field)]
        if "signing_key" in _as_mapping(value, field):
            keys.append(_text(value["signing_key"], f"{field}.signing_key"))
        if not keys:
            raise InvalidInputError("signing_key is missing")
        named = {
            key: _text(value[key], f"{field}.{key}")
            for key in ("signing_authority", "witness_key", "witnesses")
            if value.get(key) is not None
        }
        return EnvironmentPins(name, _text(value.get("log_key"), f"{field}.log_key"), tuple(keys), **named)
    except CarnetError as error:
        raise InvalidInputError(f"pins: {field}: {error.message}", metadata={"field": field}) from error


def _parse_person(name: Any, value: Any) -> PersonPins:
    field = f"people.{name}"
    try:
        keys, subjects = _texts(value, "keys", field), _texts(value, "subjects", field)
        return PersonPins(_text(name, field), keys, subjects)
    except CarnetError as error:
        raise InvalidInputError(f"pins: {field}: {error.message}", metadata={"field": field}) from error


def _mapping(data: Any, key: str, *, required: bool = False) -> Mapping[Any, Any]:
    value = _as_mapping(data, "pins").get(key)
    if value is None and not required:
        return {}
    return _as_mapping(value, key)


def _as_mapping(value: Any, field: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"pins: {field}: a mapping is wanted", metadata={"field": field})
    return value


def _texts(value: Any, key: str, field: str) -> tuple[str, ...]:
    items = _as_mapping(value, field).get(key)
    if items is None:
        return ()
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise InvalidInputError(f"{key}: a list is wanted")
    return tuple(_text(item, f"{field}.{key}") for item in items)


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{field}: a text is wanted", metadata={"field": field})
    return value


def _parse_keys(pems: Sequence[str]) -> dict[str, VerificationKey]:
    keys = [VerificationKey.from_pem(pem) for pem in pems]
    return {key.key_id: key for key in keys}
