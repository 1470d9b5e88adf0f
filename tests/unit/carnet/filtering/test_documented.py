"""The page on searching has every field, with what it is."""

from __future__ import annotations

import re
from pathlib import Path

from carnet.filtering.fields import FIELDS

PAGE = Path(__file__).parents[4] / "docs" / "search.md"
ROW = re.compile(r"^\| (?P<names>`[^|]*`) \| (?P<kind>[a-z ]+), (?P<shape>one|many|map) \| (?P<text>.*) \|$")


def test_the_page_has_every_field_with_its_kind_and_shape():
    listed = {}
    words = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        row = ROW.match(line)
        for name in re.findall(r"`([^`]+)`", row["names"]) if row else ():
            listed[name] = (row["kind"], row["shape"])
            words[name] = re.findall(r"`([A-Za-z]+)`", row["text"])
    assert listed == {name: (str(field.kind), str(field.shape)) for name, field in FIELDS.items()}
    for name, field in FIELDS.items():
        assert words[name] == list(field.words) or not field.words, name
