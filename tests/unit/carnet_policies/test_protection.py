"""Which shares of traffic need a decision of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import DocumentInvalidError
from carnet_policies.document import load_policy
from carnet_policies.protection import needs_decision

HEAD = "schema: carnet.policy/v1\nenvironment: prod\nversion: 1\nsources: [staging]\n"
PROTECTED = HEAD + "protected_aliases: [champion]\n"


@pytest.mark.parametrize(
    ("limit", "alias", "share", "needs"),
    [
        ("", "champion", 1.0, True),
        ("", "champion", 0.01, True),
        ("", "champion", 0.0, False),
        ("", "shadow", 1.0, False),
        ("0.1", "champion", 0.1, False),
        ("0.1", "champion", 0.11, True),
        ("0.1", "champion", 1.0, True),
        ("0.1", "shadow", 0.5, False),
        ("0", "champion", 0.01, True),
    ],
)
def test_a_share_above_the_limit_needs_one(limit: str, alias: str, share: float, needs: bool) -> None:
    text = PROTECTED + (f"traffic_share_above: {limit}\n" if limit else "")
    document = load_policy(text.encode()).document
    assert needs_decision(document, alias=alias, share=share) is needs


@given(st.floats(0, 1, exclude_max=True))
def test_a_move_of_a_protected_alias_always_needs_one(limit: float) -> None:
    document = load_policy(f"{PROTECTED}traffic_share_above: {limit!r}\n".encode()).document
    assert needs_decision(document, alias="champion")


@pytest.mark.parametrize("limit", ["-0.1", "1", "1.5", ".nan", ".inf", "a tenth", "true", "10%"])
def test_what_is_no_share_is_refused_with_its_place(limit: str) -> None:
    with pytest.raises(DocumentInvalidError, match=r"6:\d+: traffic_share_above"):
        load_policy(f"{PROTECTED}traffic_share_above: {limit}\n".encode())
