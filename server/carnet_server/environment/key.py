"""The environment's own signing key, as the registry uses it.

Responsible for opening it at start, and for what a caller is told when the KMS or HSM that keeps it does not
sign: that the registry cannot answer now. Why is the operator's affair, and in the registry's log; a refusal
by the KMS is the registry's, and not one of the caller's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, UnavailableError
from carnet.signing.service_key import ServiceKey

if TYPE_CHECKING:
    from carnet.signing.key_reference import KeyReference
    from carnet.signing.keys import SigningKey

_RETRY_AFTER_SECONDS = 5.0
_log = logging.getLogger(__name__)


class EnvironmentServiceKey(ServiceKey):
    """The environment's key at a service."""

    __slots__ = ()

    def sign(self, data: bytes) -> bytes:
        """Have bytes signed; see ``ServiceKey.sign``.

        Raises:
            UnavailableError: The service did not sign, for whatever reason.
        """
        try:
            return super().sign(data)
        except CarnetError as error:
            _log.error("the environment's key does not sign: %s: %s", error.reason, error.message)
            raise UnavailableError(
                "the registry cannot sign now: the service that keeps its key does not",
                metadata={"cause": error.reason},
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            ) from error


def open_environment_key(reference: KeyReference) -> SigningKey:
    """Open the environment's key; a passphrase is taken from ``CARNET_KEY_PASSPHRASE_FILE``.

    Args:
        reference: Where it is.

    Raises:
        CarnetError: It cannot be opened; see ``KeyReference.open``.
    """
    key = reference.open()
    if isinstance(key, ServiceKey):
        return EnvironmentServiceKey(key.uri, key.verification_key, key.signer)
    return key
