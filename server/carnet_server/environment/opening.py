"""Which documents a registry starts with.

Responsible for beginning where the log stands: what it says is in force stays so until a newer, sound and
signed document comes, whatever the files say. The files count at once only where an environment never had a
document, or where the one in the log is none that this version of Carnet can read. Whether the files are
newer is looked at afterwards, as while running (``carnet_server.environment.reload``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from carnet.errors import CarnetError, DocumentInvalidError, PreconditionFailedError
from carnet.signing.document import read_header
from carnet_server.database.engine import Database
from carnet_server.environment.documents import policy_reader, trust_reader
from carnet_server.environment.queries import read_recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust
    from carnet_server.config import RegistryConfig
    from carnet_server.environment.documents import Document, DocumentReader
    from carnet_server.environment.queries import Recorded

Content = TypeVar("Content")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedDocuments:
    """What a registry starts with.

    Attributes:
        policy: The policy.
        trust: The trust document.
        recorded: The digests that the log said were in force, by kind.
    """

    policy: Document[Policy]
    trust: Document[Trust]
    recorded: Mapping[str, str]


def open_documents(config: RegistryConfig) -> OpenedDocuments:
    """Find the documents to start with; the database must have its schema. Blocks.

    Args:
        config: The environment's configuration.

    Raises:
        FileUnreadableError: The environment never had a document, and a file cannot be read.
        DocumentInvalidError: It never had one, and the file is not sound.
        GateAwaitingError: It never had one, and the file is not signed by enough people.
        PreconditionFailedError: Neither the document in the log nor the file can be read.
        LogTamperedError: What is in force was edited in the database.
        DataLossError: A document in force is not stored as it was.
        UnavailableError: The database cannot be reached.
    """
    database = Database(config.database_url)
    try:
        recorded = database.read_now(read_recorded)
    finally:
        database.close()
    return OpenedDocuments(
        policy=_open(policy_reader(config), recorded.get("policy")),
        trust=_open(trust_reader(config), recorded.get("trust")),
        recorded={kind: each.digest for kind, each in recorded.items()},
    )


def _open(reader: DocumentReader[Content], recorded: Recorded | None) -> Document[Content]:
    if recorded is None:
        return reader.judge(reader.read_files(), newer_than=None)
    try:
        document = reader.load(recorded.data)
    except DocumentInvalidError as error:
        return _replace_unreadable(reader, recorded, error)
    _warn_of_missing_signatures(reader, document, recorded)
    return replace(document, signatures=recorded.signatures)


def _replace_unreadable(
    reader: DocumentReader[Content], recorded: Recorded, error: DocumentInvalidError
) -> Document[Content]:
    """Take a newer file for a document that an earlier version of Carnet put in force."""
    name = reader.path.name
    try:
        version = read_header(recorded.data, name=name).version
        document = reader.judge(reader.read_files(), newer_than=version)
    except CarnetError as problem:
        raise PreconditionFailedError(
            f"the {name} in force, out of the log, is none that this version of Carnet takes "
            f"({error.message}), and {reader.path} cannot replace it: {problem.message}"
        ) from problem
    logger.warning("the %s in force is none that this version of Carnet takes: the file replaces it", name)
    return document


def _warn_of_missing_signatures(
    reader: DocumentReader[Content], document: Document[Content], recorded: Recorded
) -> None:
    beside = b""
    try:
        files = reader.read_files()
        beside = files.signatures if files.data == recorded.data else b""
        signed = reader.is_signed(document.header, recorded.signatures, beside)
    except CarnetError:
        signed = False
    if not signed:
        logger.warning(
            "%s is in force WITHOUT the signatures that environment.yaml demands, since it was so before; "
            "it stays until a newer one is signed: raise the version, and use `carnet document sign`",
            document.header,
        )
