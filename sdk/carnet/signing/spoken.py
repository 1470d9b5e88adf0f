"""A statement that a person makes at a terminal: it says how the person was authenticated.

Responsible for the one field that all such statements share. What it says is a property of the key that
signs, and put in by signing: a caller cannot state another. It is the signer's own word all the same, and a
signer who changes their software can say what they like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.signing.keys import Authentication, SigningKey
from carnet.signing.predicate import Predicate

if TYPE_CHECKING:
    from carnet.signing.dsse import Envelope, OneTimeSigner


class SpokenPredicate(Predicate):
    """What a person says.

    Attributes:
        authentication: How the person was authenticated right before signing: ``passphrase`` (typed),
            ``service`` (a KMS or HSM asked), or ``none``; left out of the statement where it is ``none``.
    """

    authentication: Authentication = "none"

    def sign(self, subject_name: str, subject_digest: str, key: SigningKey | OneTimeSigner) -> Envelope:
        """Sign the statement, which then says how the key's holder was authenticated; see ``Predicate``."""
        authentication = key.authentication if isinstance(key, SigningKey) else "none"
        said = self.model_copy(update={"authentication": authentication})
        return super(SpokenPredicate, said).sign(subject_name, subject_digest, key)
