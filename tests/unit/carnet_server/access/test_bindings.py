"""Roles hold where they are bound, limits to aliases hold for acting, and a denial wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from carnet.errors import PermissionDeniedError
from carnet_server.access.authorize import require, require_acting, require_everywhere
from carnet_server.access.bindings import Bindings, Denial, RoleBinding, matches
from carnet_server.access.identity import Caller

DAVE = "spiffe://carnet.test/person/dave"
ERIN = "spiffe://carnet.test/person/erin"


def bound(*bindings, denied=()):
    return Bindings.of(
        [RoleBinding.model_validate({"subject": DAVE} | each) for each in bindings],
        [Denial.model_validate({"subject": DAVE} | each) for each in denied],
    )


OPERATOR = {"roles": ("operator",)}


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "risk", True),
        ("risk", "risk", True),
        ("risk", "risk-eu", False),
        ("risk-*", "risk-eu", True),
        ("risk-*", "risk", False),
        ("risk*", "risk", True),
        ("risk*", "growth", False),
    ],
)
def test_a_pattern_is_a_name_or_the_beginning_of_names(pattern, name, expected):
    assert matches([pattern], name) is expected


@pytest.mark.parametrize("pattern", ["", "*risk", "ri*sk", "Risk", "risk/*", "**", "-*"])
def test_another_pattern_is_refused(pattern):
    with pytest.raises(ValidationError):
        RoleBinding.model_validate({"subject": DAVE, **OPERATOR, "namespaces": (pattern,)})


def test_an_empty_list_of_places_is_refused_since_it_could_be_meant_as_all():
    for field in ("namespaces", "aliases"):
        with pytest.raises(ValidationError):
            RoleBinding.model_validate({"subject": DAVE, **OPERATOR, field: ()})


def test_a_binding_that_is_limited_to_aliases_lets_nobody_act_on_anything_else():
    access = bound(OPERATOR | {"aliases": ("canary", "shadow-*")})
    assert access.acting_roles(DAVE, "risk", "canary") == {"operator"}
    assert access.acting_roles(DAVE, "risk", "shadow-2") == {"operator"}
    assert access.acting_roles(DAVE, "risk", "champion") == set()
    assert access.acting_roles(DAVE, "risk") == set()
    assert access.reading_roles(DAVE, "risk") == {"operator"}


def test_may_move_aliases_in_a_namespace_but_never_champion():
    access = bound(
        OPERATOR | {"namespaces": ("risk",)},
        denied=[OPERATOR | {"aliases": ("champion",), "reason": "by promotion"}],
    )
    assert access.acting_roles(DAVE, "risk", "canary") == {"operator"}
    assert access.acting_roles(DAVE, "risk", "champion") == set()
    assert access.acting_roles(DAVE, "growth", "canary") == set()
    assert access.acting_roles(DAVE, "risk") == {"operator"}
    assert access.reading_roles(DAVE, "risk") == {"operator"}


def test_a_denial_for_everybody_is_everybodys():
    access = bound(
        OPERATOR, {"roles": ("reader",)}, denied=[OPERATOR | {"subject": "*", "namespaces": ("risk",)}]
    )
    assert access.acting_roles(DAVE, "risk", "canary") == access.acting_roles(DAVE, "risk") == {"reader"}
    assert access.reading_roles(DAVE, "risk") == {"reader"}
    assert access.reading_roles(DAVE, None) == {"operator", "reader"}
    assert access.roles_everywhere(DAVE) == {"reader"}


names = st.sampled_from(["risk", "risk-eu", "growth", "champion", "canary"])
patterns = st.lists(st.sampled_from(["*", "risk", "risk-*", "growth", "champion", "can*"]), min_size=1).map(
    tuple
)
roles = st.lists(st.sampled_from(["reader", "operator", "approver", "publisher"]), min_size=1).map(tuple)
places = st.fixed_dictionaries({"roles": roles, "namespaces": patterns, "aliases": patterns})


@given(st.lists(places), st.lists(places), names, st.one_of(st.just(""), names))
def test_no_denial_ever_gives_a_role_and_no_binding_ever_takes_one(allowed, denied, namespace, alias):
    free, limited = bound(*allowed), bound(*allowed, denied=denied)
    assert limited.acting_roles(DAVE, namespace, alias) <= free.acting_roles(DAVE, namespace, alias)
    assert limited.reading_roles(DAVE, namespace) <= free.reading_roles(DAVE, namespace)
    fewer = bound(*allowed[1:], denied=denied)
    assert fewer.acting_roles(DAVE, namespace, alias) <= limited.acting_roles(DAVE, namespace, alias)
    assert limited.acting_roles(DAVE, namespace, alias) <= free.reading_roles(DAVE, namespace)
    assert limited.acting_roles(ERIN, namespace, alias) == frozenset()
    for denial in denied:
        if matches(denial["namespaces"], namespace) and (
            matches(denial["aliases"], alias) if alias else "*" in denial["aliases"]
        ):
            assert not limited.acting_roles(DAVE, namespace, alias) & set(denial["roles"])


class Trust:
    """What `require` and its kind ask of a trust document."""

    def __init__(self, access):
        self._access = access
        self.roles = access.reading_roles
        self.acting_roles = access.acting_roles
        self.roles_everywhere = access.roles_everywhere
        self.denial_of = access.denial_of


def caller(access, subject=DAVE):
    return Caller(subject, None, "spiffe://carnet.test", "mtls", Trust(access))


def test_a_denial_says_that_it_is_one_and_why_to_those_who_have_a_role():
    access = bound(
        OPERATOR,
        denied=[OPERATOR | {"subject": "*", "aliases": ("champion",), "reason": "moved by promotion only"}],
    )
    require_acting(caller(access), "operator", namespace="risk", alias="canary")
    with pytest.raises(
        PermissionDeniedError, match=r"trust.yaml denies it the role operator there: moved by promotion only"
    ):
        require_acting(caller(access), "operator", namespace="risk", alias="champion")
    with pytest.raises(PermissionDeniedError, match="needs the role operator"):
        require_acting(caller(access, ERIN), "operator", namespace="risk", alias="champion")


def test_what_is_of_all_namespaces_needs_a_role_in_all():
    with pytest.raises(PermissionDeniedError, match="in all namespaces"):
        require_everywhere(caller(bound({"roles": ("auditor",), "namespaces": ("risk",)})), "auditor")
    require_everywhere(caller(bound({"roles": ("auditor",)})), "auditor")
    require(caller(bound({"roles": ("auditor",), "namespaces": ("risk",)})), "auditor", namespace="risk")
