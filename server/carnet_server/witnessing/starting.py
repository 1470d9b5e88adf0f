"""What a registry makes of its configuration of witnesses, and what it asks them before it serves.

Responsible for reading the policy file and the cosigner's key, for opening the ways to the witnesses, and for
one question to each that can be reached: is there a checkpoint that this log's own key signed, and that the
database does not continue? A witness that cannot be reached keeps nothing from starting.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from carnet.documents import read_file
from carnet.errors import CarnetError, DocumentInvalidError, LogTamperedError
from carnet.translog.checkpoint import parse_checkpoint
from carnet.translog.keys import KeyType, LogKey
from carnet.translog.witness_policy import WitnessPolicy, parse_witness_policy
from carnet_server.witnessing.history import contradiction, require_no_contradiction
from carnet_server.witnessing.links import open_link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.client.channel import TlsIdentity
    from carnet.translog.keys import LogVerifier
    from carnet_server.config import RegistryConfig
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService
    from carnet_server.witnessing.links import WitnessLink

START_SECONDS = 3.0

logger = logging.getLogger(__name__)


def read_cosigner_key(config: RegistryConfig) -> LogKey | None:
    """Read the key by which an environment cosigns the logs of others; None where it has none.

    Raises:
        FileUnreadableError: It cannot be read.
        InvalidInputError: It is none.
    """
    if config.witness_key is None:
        return None
    return LogKey.load(config.witness_name, config.witness_key, key_type=KeyType.COSIGNATURE_V1)


def read_policy(config: RegistryConfig, origin: str) -> WitnessPolicy:
    """Read who witnesses an environment's log.

    Args:
        config: The environment's configuration.
        origin: Its log.

    Returns:
        The policy; one that demands nobody where no file is named.

    Raises:
        FileUnreadableError: The file cannot be read.
        DocumentInvalidError: It is not what it must be, or is for other logs.
    """
    if config.witnesses is None:
        return WitnessPolicy()
    data = read_file(config.witnesses, what="the policy file of witnesses")
    policy = parse_witness_policy(data, name=config.witnesses.name)
    if policy.logs and origin not in policy.logs:
        raise DocumentInvalidError(f"{config.witnesses.name}: it is not for the log {origin!r}")
    return policy


def open_links(policy: WitnessPolicy, identity: TlsIdentity) -> dict[str, WitnessLink]:
    """Open the ways to the witnesses that the policy file gives a URL of, by their names.

    Raises:
        InvalidInputError: A URL is none that can be asked.
    """
    opened = {name: open_link(witness, identity) for name, witness in policy.witnesses.items()}
    return {name: link for name, link in opened.items() if link is not None}


async def require_whole_history(
    database: Database, log: LogService, verifier: LogVerifier, links: Mapping[str, WitnessLink]
) -> None:
    """Ask every witness that can be reached for the newest checkpoint of this log, and compare.

    Args:
        database: The environment's database.
        log: Its log.
        verifier: The log's own key.
        links: The ways to the witnesses.

    Raises:
        LogTamperedError: One shows a checkpoint that the log's own key signed, and that the database does not
            continue.
        UnavailableError: The database cannot be asked.
    """

    async def ask(name: str, link: WitnessLink) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                shown = await link.newest(verifier.name)
            if not shown:
                return
            theirs = parse_checkpoint(shown, verifier)
        except (CarnetError, TimeoutError) as error:
            logger.info("the witness %s was not asked at the start: %s", name, error)
            return
        require_no_contradiction(await contradiction(database, log, theirs), name)

    outcomes = await asyncio.gather(
        *(ask(name, link) for name, link in links.items()), return_exceptions=True
    )
    for outcome in sorted(
        (each for each in outcomes if isinstance(each, BaseException)),
        key=lambda each: not isinstance(each, LogTamperedError),
    ):
        raise outcome
