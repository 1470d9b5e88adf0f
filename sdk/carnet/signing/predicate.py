"""What every kind of signed statement has in common.

Responsible for the way from a predicate to a signed envelope and back, with errors that name the field. A
predicate of ours refuses unknown fields; one that others define too (``ForeignPredicate``) keeps them. What a
predicate means is said in its own module, and whether its signer is trusted, nowhere in this package.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from carnet.errors import InvalidInputError, StatementInvalidError
from carnet.references import parse_reference
from carnet.signing.fields import Digest, FrozenModel
from carnet.signing.problems import describe, field_of
from carnet.signing.statement import Statement, sign_statement

if TYPE_CHECKING:
    from carnet.references import Reference
    from carnet.signing.dsse import Envelope, OneTimeSigner
    from carnet.signing.keys import SigningKey


@lru_cache(1024)
def _version_named(name: str) -> Reference:
    """Parse the name of a version; many statements are about the same one."""
    return parse_reference(name, want="version")


class Predicate(FrozenModel):
    """What is said about a bundle, ready to be signed.

    Raises:
        InvalidInputError: On construction, if a field breaks its rule; ``metadata["field"]`` names it.
    """

    PREDICATE_TYPE: ClassVar[str]

    @model_validator(mode="wrap")
    @classmethod
    def _typed_errors(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            predicate = handler(value)
        except ValidationError as error:
            raise InvalidInputError(
                describe(error, what=cls.PREDICATE_TYPE), metadata={"field": field_of(error)}
            ) from error
        predicate.check_consistency()
        return predicate

    def check_consistency(self) -> None:
        """Insist on what holds between fields; a kind of statement that has such rules says which.

        Raises:
            InvalidInputError: Two fields contradict each other.
        """

    def inconsistent(self, field: str, problem: str) -> InvalidInputError:
        """Return the error for a field that contradicts another."""
        return InvalidInputError(f"{self.PREDICATE_TYPE}: {field} {problem}", metadata={"field": field})

    @classmethod
    def parse(cls, statement: Statement) -> Self:
        """Read the predicate of a statement.

        Args:
            statement: A statement out of an envelope that is verified.

        Returns:
            The predicate.

        Raises:
            StatementInvalidError: The statement is of another type, or a field breaks its rule;
                ``metadata["field"]`` names it.
        """
        if statement.predicate_type != cls.PREDICATE_TYPE:
            raise StatementInvalidError(
                f"the statement's predicateType is {statement.predicate_type[:120]!r}, "
                f"not {cls.PREDICATE_TYPE!r}",
                metadata={"field": "predicateType"},
            )
        try:
            predicate = cls.model_validate(statement.predicate, by_alias=True, by_name=False)
        except InvalidInputError as error:
            raise StatementInvalidError(error.message, metadata=error.metadata) from error
        predicate.check_subject(statement)
        return predicate

    def check_subject(self, statement: Statement) -> None:
        """Insist that the subject is a version, and the one that the predicate names.

        Raises:
            StatementInvalidError: The subject's name is not ``HOME/NAMESPACE/MODEL@VERSION``, or names
                another model or version than the predicate.
        """
        name = statement.subject_name
        try:
            subject = _version_named(name)
        except InvalidInputError as error:
            raise StatementInvalidError(
                f"the statement's subject {name[:160]!r} is not HOME/NAMESPACE/MODEL@VERSION",
                metadata={"field": "subject[0].name"},
            ) from error
        fields = type(self).model_fields
        named = {
            name: getattr(self, name) if name in fields else getattr(subject, name)
            for name in ("model", "version")
        }
        if named != {"model": subject.model, "version": subject.version} or not subject.version:
            raise StatementInvalidError(
                f"the statement's subject is {name!r}, and its predicate is about "
                f"{named['model']}@{named['version']}",
                metadata={"field": "subject[0].name"},
            )

    def to_predicate(self) -> dict[str, Any]:
        """Return the predicate as a JSON object; optional fields at their default are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def sign(self, subject_name: str, subject_digest: str, key: SigningKey | OneTimeSigner) -> Envelope:
        """Sign the predicate about a bundle.

        Args:
            subject_name: The bundle's name, ``HOME/NAMESPACE/MODEL@VERSION``.
            subject_digest: Its digest.
            key: The key of whoever says it, or whoever makes one for just this.

        Returns:
            The signed envelope.

        Raises:
            StatementInvalidError: The subject is not the version that the predicate names.
            InvalidInputError: The predicate has no canonical form.
        """
        statement = Statement(subject_name, subject_digest, self.PREDICATE_TYPE, self.to_predicate())
        self.check_subject(statement)
        return sign_statement(statement, key)


class ForeignModel(FrozenModel):
    """A part of a predicate that others define too: unknown fields are kept."""

    model_config = ConfigDict(extra="allow")


class ForeignPredicate(Predicate):
    """A predicate that others define and write too: unknown fields and any subject's name are taken."""

    model_config = ConfigDict(extra="allow")

    def check_subject(self, statement: Statement) -> None:
        """Take the subject as it is: foreign tools name it in their own way, and the digest is what binds."""


class DigestSet(ForeignModel):
    """An in-toto DigestSet that has a SHA-256; digests of other algorithms are kept."""

    sha256: Digest


class ResourceDescriptor(ForeignModel):
    """An in-toto ResourceDescriptor: a thing, by its URI, its digests or both."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = Field(default_factory=dict)
