"""The fonts of the PDF document.

Responsible for which font draws a character. Bitstream Vera comes with the library and has the Latin letters
of Western Europe. Where the machine has one of a few others, it is embedded for what Vera lacks: Greek,
Cyrillic and more with DejaVu; Chinese, Japanese and Korean with Droid or Arial Unicode.

Invariants: nothing is drawn as an empty box. A character that no font has is written as its code point, such
as ``[U+5C71]``. Text is neither shaped nor turned, so that Arabic, Hebrew and Indic letters are too.
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

if TYPE_CHECKING:
    from collections.abc import Iterator

REGULAR: Final = "Vera"
BOLD: Final = "VeraBd"
_FOLDERS: Final = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")
_FURTHER: Final = ("DejaVuSans.ttf", "DroidSansFallbackFull.ttf", "Arial Unicode.ttf")
# Written from right to left, or of parts that change with their neighbours: drawn as they are, they mislead.
_NEEDS_SHAPING: Final = (
    range(0x0590, 0x0900),
    range(0x0900, 0x0E80),
    range(0xFB1D, 0xFE00),
    range(0xFE70, 0xFEFF),
)


def markup(text: str) -> str:
    """Return a text as the library's paragraphs take it: escaped, each part in a font that has its letters.

    Args:
        text: The text, in which every control character was made visible; line breaks are kept.
    """
    return "".join(_runs(text)).replace("\n", "<br/>")


def plain(text: str) -> bool:
    """Tell whether the first font has every character of a text of one line."""
    return all(ord(each) in _coverage(REGULAR) for each in text)


def width(text: str, *, size: float, font: str = REGULAR) -> float:
    """Return how wide a text is in points; characters of other fonts are taken for this one's."""
    _coverage(REGULAR)
    return float(pdfmetrics.stringWidth(text, font, size))


def _runs(text: str) -> Iterator[str]:
    for font, characters in itertools.groupby(text, _font_of):
        run = "".join(characters)
        if font == REGULAR:
            yield escape(run)
        elif font:
            yield f'<font name="{font}">{escape(run)}</font>'
        else:
            yield "".join(f"[U+{ord(each):04X}]" for each in run)


@functools.lru_cache(maxsize=4096)
def _font_of(character: str) -> str:
    """Return the first font that has a character; empty for none."""
    code = ord(character)
    if character == "\n":
        return REGULAR
    if any(code in script for script in _NEEDS_SHAPING):
        return ""
    return next((font for font in _fonts() if code in _coverage(font)), "")


@functools.cache
def _fonts() -> tuple[str, ...]:
    """Register the fonts that are here, and return their names in the order in which they are asked."""
    found = []
    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
    for file in _FURTHER:
        path = _find(file)
        name = Path(file).stem.replace(" ", "")
        try:
            if path is not None:
                pdfmetrics.registerFont(TTFont(name, str(path)))
                found.append(name)
        except (TTFError, OSError):
            continue  # The machine's own file is damaged: the next one, or the code point.
    return (REGULAR, *found)


@functools.cache
def _coverage(font: str) -> frozenset[int]:
    _fonts()
    return frozenset(pdfmetrics.getFont(font).face.charToGlyph)


def _find(file: str) -> Path | None:
    found = (path for folder in _FOLDERS for path in sorted(Path(folder).rglob(file)))
    return next(found, None)
