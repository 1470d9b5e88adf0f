"""Fields that the configurations of both services have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from carnet.errors import InvalidInputError
from carnet.serving.engine import resolve_database_url

if TYPE_CHECKING:
    from collections.abc import Callable


def checked_by(resolve: Callable[[str, Path], str]) -> AfterValidator:
    """Return a validator of URLs that a function resolves later, when the document's folder is known.

    Args:
        resolve: Takes the URL and the folder, and raises InvalidInputError.
    """

    def check(value: str) -> str:
        try:
            resolve(value, Path("/"))
        except InvalidInputError as error:
            raise ValueError(error.message.removeprefix(f"{error.metadata.get('field')}: ")) from error
        return value

    return AfterValidator(check)


DatabaseUrl = Annotated[str, checked_by(resolve_database_url)]
