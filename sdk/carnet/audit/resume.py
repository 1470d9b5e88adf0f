"""Going on where an earlier audit ended: what it left, and whether that is good for now.

Responsible for the state that an auditor keeps of a log that was found in order: the right edge of its tree,
the documents that were named, and what each judge knows. Nothing authenticates it but the auditor's own disk;
so it counts only together with the signed checkpoint that was kept beside it, of the same size and root.

Invariants: a state that is damaged, or another log's, is refused with an error; one that was made under other
pins or by another version of the verifier is not used, and why is said: what was judged by other rules, or
about other people, was not verified. Reads and writes no files.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from carnet.audit.state_codec import from_plain, to_plain
from carnet.canonical import DIGEST_PATTERN, sha256_hex
from carnet.errors import CarnetError, DocumentInvalidError, InvalidInputError
from carnet.translog.tile_builder import TileBuilder
from carnet.version import __version__

if TYPE_CHECKING:
    from carnet.audit.chain import Chain
    from carnet.audit.pins import Pins
    from carnet.audit.walk import LogWalk
    from carnet.translog.checkpoint import Checkpoint

SCHEMA: Final = "carnet.audit-state/v1"
_RULES: Final = 4
"""To be raised with each new check of what was logged before: what no judge saw was not verified."""
_VERIFIER: Final = f"{__version__}/{_RULES}"
_DIGEST_BYTES: Final = 32
_FIELDS: Final = {
    "schema": str,
    "verifier": str,
    "pins": str,
    "environment": str,
    "origin": str,
    "size": int,
    "root": str,
    "right_edge": list,
    "documents": str,
    "signatures": str,
    "judges": dict,
}


@dataclass(frozen=True, slots=True)
class KeptState:
    """What an earlier audit left of one log.

    Attributes:
        made_with: The verifier's version and the digest of the pins.
        environment: Whose log it is.
        origin: The log's name.
        tree: Its tree, to go on from.
        root: The tree's root.
        documents: The digests of the documents that entries rest on.
        signatures: The digests of the signatures of changed documents.
        judges: What each judge knows, by its name.
    """

    made_with: tuple[str, str]
    environment: str
    origin: str
    tree: TileBuilder
    root: bytes
    documents: set[bytes]
    signatures: set[bytes]
    judges: dict[str, Any]

    def unfit(self, pins: Pins, kept: Checkpoint | None) -> str:
        """Say why an audit cannot go on from here; empty if it can.

        Args:
            pins: What is trusted now.
            kept: The checkpoint that was kept; None for none.
        """
        if kept is None:
            return "no verified checkpoint is kept beside it"
        if (kept.size, kept.root) != (self.tree.size, self.root):
            return (
                f"it is of {self.tree.size} entries, and the kept checkpoint of another tree, of {kept.size}"
            )
        if self.made_with[1] != pins_digest(pins):
            return "other keys, people or subjects were pinned then"
        if self.made_with[0] != _VERIFIER:
            return "it is by another version of the verifier"
        return ""

    def restore(self, walk: LogWalk) -> None:
        """Give a walk's judges what they knew.

        Raises:
            DocumentInvalidError: What they knew is damaged.
        """
        walk.documents.named |= self.documents
        walk.documents.signatures |= self.signatures
        for judge in walk.judges:
            try:
                judge.state = from_plain(judge.STATE, self.judges.get(judge.NAME))
            except InvalidInputError as error:
                raise _damaged(self.environment, f"judges.{judge.NAME}: {error.message}") from error


def states_of(walk: LogWalk) -> dict[str, Any]:
    """Return what the judges of a walk know, before they are asked what the end leaves open."""
    return {judge.NAME: to_plain(judge.STATE, judge.state) for judge in walk.judges}


def write_state(
    walk: LogWalk, chain: Chain, checkpoint: Checkpoint, judges: dict[str, Any], pins: Pins
) -> bytes:
    """Write what an audit leaves of a log in which nothing was wrong.

    Args:
        walk: The log's walk, which is over.
        chain: Its chain.
        checkpoint: Its tree head.
        judges: What ``states_of`` gave.
        pins: What is trusted.

    Returns:
        JSON; ``read_state`` takes it.
    """
    value = {
        "schema": SCHEMA,
        "verifier": _VERIFIER,
        "pins": pins_digest(pins),
        "environment": chain.environment,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "right_edge": [_pack(hashes) for hashes in chain.right_edge],
        "documents": _pack(sorted(walk.documents.named)),
        "signatures": _pack(sorted(walk.documents.signatures)),
        "judges": judges,
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_state(data: bytes, environment: str, pins: Pins) -> KeptState:
    """Read what an earlier audit left.

    Args:
        data: What ``write_state`` gave.
        environment: Whose log it must be of.
        pins: What is trusted.

    Raises:
        DocumentInvalidError: It is damaged, or of another log.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(environment, f"it is not JSON: {error}") from error
    if not isinstance(value, dict) or value.keys() != _FIELDS.keys():
        raise _damaged(environment, f"it has other fields than {', '.join(_FIELDS)}")
    wrong = [name for name, kind in _FIELDS.items() if type(value[name]) is not kind]
    if wrong or value["schema"] != SCHEMA or not DIGEST_PATTERN.fullmatch(value["root"]):
        raise _damaged(environment, f"{', '.join(wrong) or 'schema or root'}: it is not of the form {SCHEMA}")
    origin = pins.environments[environment].log_verifier.name
    if (value["environment"], value["origin"]) != (environment, origin):
        raise _damaged(environment, f"it is of {value['environment']!r}, the log {value['origin']!r}")
    try:
        state = KeptState(
            made_with=(value["verifier"], value["pins"]),
            environment=environment,
            origin=origin,
            tree=TileBuilder(value["size"], [_unpack(each) for each in value["right_edge"]]),
            root=bytes.fromhex(value["root"]),
            documents=set(_unpack(value["documents"])),
            signatures=set(_unpack(value["signatures"])),
            judges=value["judges"],
        )
    except (ValueError, TypeError, AttributeError, CarnetError) as error:
        raise _damaged(environment, str(error)) from error
    if state.tree.root() != state.root:
        raise _damaged(environment, "its right edge does not lead to its root")
    return state


def pins_digest(pins: Pins) -> str:
    """Return the digest of all that is pinned: judgements depend on who is who."""
    told = {
        "environments": sorted(
            [each.name, each.log_key, sorted(each.keys), each.signing_authority]
            for each in pins.environments.values()
        ),
        "people": sorted(
            [each.name, sorted(each.keys), sorted(each.subjects)] for each in pins.people.values()
        ),
    }
    return sha256_hex(json.dumps(told).encode())


def _damaged(environment: str, problem: str) -> DocumentInvalidError:
    return DocumentInvalidError(
        f"the kept state of {environment} is damaged, or another log's: {problem}; remove it, and audit in "
        "full",
        metadata={"field": environment},
    )


def _pack(digests: list[bytes]) -> str:
    return base64.b64encode(b"".join(digests)).decode()


def _unpack(text: str) -> list[bytes]:
    data = base64.b64decode(text, validate=True)
    if len(data) % _DIGEST_BYTES:
        raise ValueError(f"digests have {_DIGEST_BYTES} bytes each")
    return [data[at : at + _DIGEST_BYTES] for at in range(0, len(data), _DIGEST_BYTES)]
