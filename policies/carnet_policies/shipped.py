"""The policies that are shipped with Carnet.

Responsible for finding them as package data, wherever the package is installed. They are a start: an
environment's own policy is a file of its operators.
"""

from __future__ import annotations

from importlib import resources

from carnet.errors import NotFoundError

SHIPPED = ("dev", "staging", "prod")


def shipped_policy(environment: str) -> bytes:
    """Return the bytes of the policy that is shipped for an environment.

    Args:
        environment: ``dev``, ``staging`` or ``prod``.

    Raises:
        NotFoundError: None is shipped under that name.
    """
    return _read(environment, ".yaml")


def shipped_cases(environment: str) -> bytes:
    """Return the bytes of the test cases that are shipped beside a policy; raises as ``shipped_policy``."""
    return _read(environment, ".cases.yaml")


def _read(environment: str, ending: str) -> bytes:
    if environment not in SHIPPED:
        raise NotFoundError(f"no policy is shipped for {environment!r}: there are {', '.join(SHIPPED)}")
    return resources.files("carnet_policies").joinpath("environments", environment + ending).read_bytes()
