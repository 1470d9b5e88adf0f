"""Making the files of a federation: authority, keys, certificates, configuration, policies and trust."""

from __future__ import annotations

import contextlib
import shutil
import socket
from typing import TYPE_CHECKING, Any

from carnet.errors import AlreadyExistsError, InvalidInputError, UnavailableError
from carnet.signing.keys import SigningKey
from carnet.translog.keys import KeyType, LogKey
from carnet_policies.shipped import shipped_policy
from carnet_server.local.authority import (
    SIGNING_AUTHORITY_FILE,
    SIGNING_AUTHORITY_KEY_FILE,
    Authority,
)
from carnet_server.local.document_signing import sign_documents
from carnet_server.local.files import write_new_file, write_yaml
from carnet_server.local.plan import (
    DEFAULT_PLAN,
    EVIDENCE_TYPES,
    PROMOTION_SERVICE,
    REPORTS,
    TRUST_DOMAIN,
    Identity,
    Plan,
)
from carnet_server.local.stores import POSTGRES, S3, SYNC, Stores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEFAULT_BASE_PORT = 7400
_PORT_BLOCKS = 50
_HOST = "127.0.0.1"
MARKER = "federation.yaml"
WITNESS_KEY_FILE = "witness-key.pem"
WITNESS_POLICY_FILE = "witnesses.policy"


def free_ports(count: int, base: int = DEFAULT_BASE_PORT) -> list[int]:
    """Return consecutive ports of this machine that nobody listens on.

    Args:
        count: How many.
        base: Where to begin looking; 0 for any that are free, consecutive or not.

    Raises:
        InvalidInputError: The base is not a port.
        UnavailableError: None were found.
    """
    if base == 0:
        with contextlib.ExitStack() as stack:
            listeners = [stack.enter_context(socket.create_server((_HOST, 0))) for _ in range(count)]
            return [listener.getsockname()[1] for listener in listeners]
    if not 1024 <= base <= 65535 - count * _PORT_BLOCKS:
        raise InvalidInputError(f"port {base}: choose one from 1024 to {65535 - count * _PORT_BLOCKS}, or 0")
    for block in range(_PORT_BLOCKS):
        ports = list(range(base + 10 * block, base + 10 * block + count))
        with contextlib.ExitStack() as stack:
            try:
                for port in ports:
                    stack.enter_context(socket.create_server((_HOST, port)))
            except OSError:
                continue
            return ports
    raise UnavailableError(f"no {count} free ports in a row from {base} on: choose others with --base-port")


class _Maker:
    """Makes one federation below a folder that is not there yet."""

    def __init__(self, folder: Path, plan: Plan, stores: Stores, ports: Sequence[int]) -> None:
        self._folder = folder
        self._plan = plan
        self._stores = stores
        self._authority = Authority.create(TRUST_DOMAIN)
        self._ports = dict(zip((SYNC, *plan.environments, *stores.names), ports, strict=True))
        self._endpoints = {name: f"{_HOST}:{self._ports[name]}" for name in (SYNC, *plan.environments)}
        self._signing_keys = {name: SigningKey.generate() for name in plan.environments}
        self._log_keys = {name: LogKey.generate(f"{TRUST_DOMAIN}/{name}") for name in plan.environments}
        self._witness_keys = {
            name: LogKey.generate(f"{TRUST_DOMAIN}/witness/{name}", key_type=KeyType.COSIGNATURE_V1)
            for name in (SYNC, *plan.environments)
        }
        self._report_key = SigningKey.generate()
        self._signing_authorities = {name: Authority.create_for_signing(name) for name in plan.environments}
        self._identity_keys = {
            identity.name: SigningKey.generate() for identity in plan.identities if identity.signs
        }

    def make(self) -> None:
        self._authority.save(self._folder / "ca")
        for identity in self._plan.identities:
            self._make_identity(identity)
        for environment in self._plan.environments:
            self._make_environment(environment)
        self._make_sync()
        self._make_federation()
        self._stores.make(self._folder, self._plan.environments, self._ports)

    def _make_identity(self, identity: Identity) -> None:
        folder = self._folder / "identities" / identity.name
        self._authority.issue(folder, spiffe_id=identity.subject)
        if identity.signs:
            self._identity_keys[identity.name].save(folder / "signing-key.pem")

    def _make_environment(self, name: str) -> None:
        folder = self._folder / "environments" / name
        self._authority.issue(folder, spiffe_id=_registry(name), server_name=_server_name(name))
        self._signing_keys[name].save(folder / "signing-key.pem")
        self._log_keys[name].save(folder / "log-key.pem")
        self._witness_keys[name].save(folder / WITNESS_KEY_FILE)
        write_new_file(folder / WITNESS_POLICY_FILE, self._witness_policy(name, with_addresses=True).encode())
        self._signing_authorities[name].save_for_signing(folder)
        write_new_file(folder / "policy.yaml", shipped_policy(name))
        write_yaml(
            folder / "trust.yaml",
            self._trust(name),
            comment=f"Whom {name} believes, and for what. Its own file: no peer changes it.",
        )
        write_yaml(
            folder / "environment.yaml",
            {
                "schema": "carnet.environment/v1",
                "name": name,
                "listen": self._endpoints[name],
                "database": self._stores.database_url(name, self._ports),
                "blobs": self._stores.blobs_url(name, self._ports),
                "tls": {"certificate": "tls.pem", "key": "tls-key.pem", "ca": "../../ca/ca.pem"},
                "log": {"origin": f"{TRUST_DOMAIN}/{name}", "key": "log-key.pem"},
                "signing_key": "signing-key.pem",
                "signing_authority": {
                    "certificate": SIGNING_AUTHORITY_FILE,
                    "key": SIGNING_AUTHORITY_KEY_FILE,
                },
                "policy": "policy.yaml",
                "trust": "trust.yaml",
                "witness": {"name": self._witness_keys[name].name, "key": WITNESS_KEY_FILE},
                "witnesses": WITNESS_POLICY_FILE,
                **self._document_signers(name),
            },
            comment=f"The registry of {name}. Paths are relative to this file.",
        )
        sign_documents(self._folder, name)

    def _witness_policy(self, name: str, *, with_addresses: bool) -> str:
        """Return the policy file of who witnesses an environment's log: most of all others.

        Args:
            name: The environment.
            with_addresses: Whether to say where each is asked, as only the environment itself must know.
        """
        others = [each for each in (SYNC, *self._plan.environments) if each != name]
        addresses = {
            each: f" carnet://{self._endpoints[each]}/{_server_name(each)}" if with_addresses else ""
            for each in others
        }
        lines = [
            f"# Who cosigns the checkpoints of {name}, and how many make them final (C2SP tlog-policy).",
            f"log {self._log_keys[name].verifier.vkey}",
            *(f"witness {each} {self._witness_keys[each].verifier.vkey}{addresses[each]}" for each in others),
            f"group others {len(others) // 2 + 1} {' '.join(others)}",
            "quorum others",
        ]
        return "\n".join(lines) + "\n"

    def _document_signers(self, name: str) -> dict[str, Any]:
        demanded = self._plan.documents.get(name)
        if demanded is None:
            return {}
        signers = [
            {"person": person, "pem": self._identity_keys[person].verification_key.pem}
            for person in demanded.signers
        ]
        return {"documents": {"signatures": demanded.signatures, "signers": signers}}

    def _trust(self, name: str) -> dict[str, Any]:
        identities = self._plan.identities
        people: dict[str, list[str]] = {}
        for identity in identities:
            if identity.person:
                people.setdefault(identity.person, []).append(identity.subject)
        bindings = [
            {
                "subject": identity.subject,
                "roles": sorted({*identity.roles.get("*", ()), *identity.roles.get(name, ())}),
            }
            for identity in identities
        ]
        bindings.append({"subject": PROMOTION_SERVICE, "roles": ["promoter"]})
        bindings.append({"subject": REPORTS, "roles": ["archivist"]})
        return {
            "schema": "carnet.trust/v1",
            "environment": name,
            "version": 1,
            "people": [{"name": person, "subjects": subjects} for person, subjects in people.items()],
            "keys": [self._trusted_key(identity) for identity in identities if identity.signs],
            "peers": [
                {
                    "environment": peer,
                    "subject": _registry(peer),
                    "endpoint": self._endpoints[peer],
                    "server_name": _server_name(peer),
                    "signing_keys": [self._signing_keys[peer].verification_key.pem],
                    "log_key": self._log_keys[peer].verifier.vkey,
                }
                for peer in self._plan.environments
                if peer != name
            ],
            "roles": [binding for binding in bindings if binding["roles"]],
        }

    def _trusted_key(self, identity: Identity) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "subject": identity.subject,
            "pem": self._identity_keys[identity.name].verification_key.pem,
        }
        if identity.purposes:
            entry["purposes"] = list(identity.purposes)
        if identity.evidence:
            entry["evidence"] = [
                {"role": role, "type": each} for role in identity.evidence for each in EVIDENCE_TYPES
            ]
        return entry

    def _make_sync(self) -> None:
        folder = self._folder / "sync"
        self._authority.issue(folder, spiffe_id=PROMOTION_SERVICE, server_name=_server_name("sync"))
        self._witness_keys[SYNC].save(folder / WITNESS_KEY_FILE)
        self._authority.issue(folder / "reports", spiffe_id=REPORTS)
        self._report_key.save(folder / "reports" / "signing-key.pem")
        write_yaml(
            folder / "sync.yaml",
            {
                "schema": "carnet.sync/v1",
                "listen": self._endpoints["sync"],
                "database": self._stores.database_url(SYNC, self._ports),
                "tls": {"certificate": "tls.pem", "key": "tls-key.pem", "ca": "../ca/ca.pem"},
                "environments": {
                    name: {
                        "endpoint": self._endpoints[name],
                        "server_name": _server_name(name),
                        "subject": _registry(name),
                        "log_key": self._log_keys[name].verifier.vkey,
                    }
                    for name in self._plan.environments
                },
                "witness": {"name": self._witness_keys[SYNC].name, "key": WITNESS_KEY_FILE},
                "compliance": {
                    "tls": {
                        "certificate": "reports/tls.pem",
                        "key": "reports/tls-key.pem",
                        "ca": "../ca/ca.pem",
                    },
                    "trust": f"../{MARKER}",
                    "key": "reports/signing-key.pem",
                },
                "routes": [
                    {"source": source, "target": target, "transfer": transfer}
                    for source, target, transfer in self._plan.routes
                ],
                "callers": [
                    {"subject": identity.subject, "roles": _sync_roles(identity)}
                    for identity in self._plan.identities
                ]
                + [{"subject": _registry(name), "roles": ["log"]} for name in self._plan.environments],
            },
            comment="The promotion service. It carries, retries and waits; nobody trusts what it says.",
        )

    def _make_federation(self) -> None:
        people = {
            identity.person: identity for identity in self._plan.identities if identity.kind == "person"
        }
        write_yaml(
            self._folder / MARKER,
            {
                "schema": "carnet.federation/v1",
                "ca": "ca/ca.pem",
                "environments": {
                    name: {
                        "endpoint": self._endpoints[name],
                        "server_name": _server_name(name),
                        "log_key": self._log_keys[name].verifier.vkey,
                        "signing_key": self._signing_keys[name].verification_key.pem,
                        "signing_authority": self._signing_authorities[name].pem,
                        "witness_key": self._witness_keys[name].verifier.vkey,
                        "witnesses": self._witness_policy(name, with_addresses=False),
                    }
                    for name in self._plan.environments
                },
                "sync": {"endpoint": self._endpoints["sync"], "server_name": _server_name("sync")},
                "identity": self._plan.identities[0].name,
                "identities": {
                    identity.name: f"identities/{identity.name}" for identity in self._plan.identities
                },
                "people": {
                    name: {
                        "subjects": [each.subject for each in self._plan.identities if each.person == name],
                        "keys": [
                            self._identity_keys[each.name].verification_key.pem
                            for each in self._plan.identities
                            if each.person == name and each.signs
                        ],
                    }
                    for name in people
                },
                "signers": {
                    identity.subject: self._identity_keys[identity.name].verification_key.pem
                    for identity in self._plan.identities
                    if identity.signs
                }
                | {REPORTS: self._report_key.verification_key.pem},
            },
            comment="What a client needs: where the registries are, and the keys that they are pinned to.",
        )


def _registry(environment: str) -> str:
    return f"spiffe://{TRUST_DOMAIN}/registry/{environment}"


def _server_name(name: str) -> str:
    return f"{name}.{TRUST_DOMAIN}"


def _sync_roles(identity: Identity) -> list[str]:
    held = {role for roles in identity.roles.values() for role in roles}
    return ["reader", *sorted(held & {"requester", "operator", "auditor"})]


def _check_names(plan: Plan) -> None:
    for name in plan.environments:
        if name in (SYNC, POSTGRES, S3):
            raise InvalidInputError(f"an environment cannot be called {name!r}: a process is called so")


def initialise(
    folder: Path,
    *,
    base_port: int = DEFAULT_BASE_PORT,
    plan: Plan = DEFAULT_PLAN,
    stores: Stores = Stores(),  # noqa: B008  immutable
) -> None:
    """Make a federation's files in a folder that is not there yet, or is empty; all of them or none.

    Args:
        folder: The folder.
        base_port: Where to begin looking for free ports; 0 for any.
        plan: What to make.
        stores: What metadata and blobs are kept in.

    Raises:
        AlreadyExistsError: The folder has something in it.
        UnavailableError: No free ports were found, or a store cannot be set up.
        InvalidInputError: The base port is none, or what a store needs is not installed or cannot run here.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AlreadyExistsError(
            f"{folder} is there already: name another folder, or use it with `carnet up`"
        )
    _check_names(plan)
    stores.check(plan.environments)
    ports = free_ports(1 + len(plan.environments) + len(stores.names), base_port)
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    _Maker(making, plan, stores, ports).make()
    if folder.exists():
        folder.rmdir()
    making.rename(folder)
