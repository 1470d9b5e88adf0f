"""The codes of findings are told, each once, where auditors look them up."""

from __future__ import annotations

import re
from pathlib import Path

from carnet.audit.codes import Code

PAGE = Path(__file__).parents[4] / "docs" / "log.md"


def test_every_code_is_in_the_table_and_no_other() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("| code | what is wrong |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == [str(each) for each in Code]


def test_codes_are_words_with_hyphens() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", each) for each in Code)
