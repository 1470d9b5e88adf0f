from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from carnet.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError
from carnet.serving.callers.bearer import bearer_token_of
from carnet.serving.callers.claims import Token
from carnet_sync.access import PERMISSIONS, Caller, current_caller, permit
from carnet_sync.bearer import BearerCallScope
from carnet_sync.callers import CallerRoles, Callers, CallersStore

ISSUER = "https://issuer.example"
JOB = "oidc:issuer.example:job"
LIST = next(path for path in PERMISSIONS if path.endswith("/ListPromotions"))
CREATE = next(path for path in PERMISSIONS if path.endswith("/CreatePromotion"))


def call(*headers: tuple[str, str]) -> Any:
    return SimpleNamespace(invocation_metadata=lambda: headers, auth_context=dict)


class Verifier:
    """Takes every token for a job's that ends at a time."""

    def __init__(self) -> None:
        self.ends_at = time.time() + 60
        self.verified: list[str] = []

    async def verify(self, text: str, known: Any) -> Token:
        self.verified.append(text)
        return Token(JOB, ISSUER, {}, self.ends_at)


@pytest.mark.parametrize("value", ["Bearer a.b.c", "bearer  a.b.c ", "BEARER a.b.c"])
def test_the_token_is_taken_from_the_one_header(value: str) -> None:
    assert bearer_token_of(call(("x", "y"), ("authorization", value))) == "a.b.c"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("authorization", ""),),
        (("authorization", "a.b.c"),),
        (("authorization", "Basic a.b.c"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer a"), ("authorization", "Bearer b")),
        (("proxy-authorization", "Bearer a"),),
    ],
)
def test_a_call_with_no_token_or_several_is_refused_and_told_of_the_other_address(headers: Any) -> None:
    with pytest.raises(UnauthenticatedError, match="calls the other address"):
        bearer_token_of(call(*headers))


async def test_a_call_is_entered_as_the_tokens_subject_and_looked_at_again_when_callers_change() -> None:
    store = CallersStore(Callers.of([CallerRoles(subject=JOB, roles=("reader",))]))
    verifier = Verifier()
    scope = BearerCallScope(store, verifier)  # type: ignore[arg-type]
    job = call(("authorization", "Bearer a.b.c"))
    before = scope.edition()
    await scope.enter(LIST, None, job)
    assert current_caller() == Caller(JOB, frozenset({"reader"}), verifier.ends_at)
    with pytest.raises(PermissionDeniedError, match="needs the role requester, and has reader"):
        await scope.enter(CREATE, None, job)
    assert scope.edition() == before
    store.current = Callers.of([])
    assert scope.edition() != before
    with pytest.raises(PermissionDeniedError, match="has none"):
        await scope.enter(LIST, None, job)
    assert verifier.verified == ["a.b.c"] * 3


async def test_who_was_let_in_with_a_token_that_has_ended_since_is_told_to_begin_again() -> None:
    verifier = Verifier()
    verifier.ends_at = time.time() - 59
    store = CallersStore(Callers.of([CallerRoles(subject=JOB, roles=("reader",))]))
    scope = BearerCallScope(store, verifier)  # type: ignore[arg-type]
    job = call(("authorization", "Bearer a.b.c"))
    await scope.enter(LIST, None, job)
    await scope.enter(LIST, None, job)
    verifier.ends_at = time.time() - 61
    await scope.enter(LIST, None, job)
    with pytest.raises(UnavailableError, match="begin again with a new one"):
        await scope.enter(LIST, None, job)


def test_a_call_that_is_not_in_the_table_is_open_to_nobody() -> None:
    everything = frozenset({"reader", "requester", "operator"})
    with pytest.raises(PermissionDeniedError, match="role of nobody"):
        permit("/carnet.sync.v1.PromotionService/Forge", Caller(JOB, everything))


async def test_who_is_outside_of_a_call_is_nobody() -> None:
    with pytest.raises(UnauthenticatedError):
        current_caller()
