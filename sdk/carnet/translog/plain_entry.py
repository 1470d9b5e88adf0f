"""The quick way to read an entry: one pattern over bytes that need no escapes.

An audit reads millions of entries, and nearly all of them are plain: no text in them has a quotation mark, a
backslash or a control character. Of such an entry the canonical form (RFC 8785) is one fixed sequence of keys
with the texts verbatim between them, so that a match of the whole shows the form, and nothing is parsed and
written again to be compared. Whatever does not match is for the careful reader to take or to refuse.

Responsible for the form only: the pattern is never wider than what ``carnet.translog.entry`` accepts, but for
what that checks of the parts by itself (names, digests, numbers, the type and the time).
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

_TEXT = r'[^"\\\x00-\x1f]{1,1024}'
_EMPTY_TOO = r'[^"\\\x00-\x1f]{0,1024}'
_DIGEST = r"[0-9a-f]{64}"
_PAIR = rf'"[a-z_]{{1,20}}":(?:"{_TEXT}"|[1-9][0-9]{{0,9}})'
_ENTRY: Final = re.compile(
    rf'\{{"actor":\{{"issuer":"({_EMPTY_TOO})","method":"({_EMPTY_TOO})","subject":"({_TEXT})"\}},'
    rf'(?:"change":\{{(?:"new":"({_EMPTY_TOO})"(?:,"old":"({_EMPTY_TOO})")?'
    rf'|"old":"({_EMPTY_TOO})")\}},)?'
    rf'(?:"envelope_digest":"({_DIGEST})",)?'
    rf'"environment":"([a-z0-9_-]{{1,63}})","event_id":"({_TEXT})",'
    rf'(?:"request_digest":"({_DIGEST})",)?'
    rf'"schema_version":1,"subject":\{{((?:{_PAIR}(?:,{_PAIR})*)?)\}},'
    r'"time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.(?!000000)[0-9]{6})?Z)",'
    r'"type":"([a-z.-]{1,40})"\}'
)
_PAIRS: Final = re.compile(r'"([a-z_]+)":(?:"([^"]*)"|([0-9]+))')


PlainEntry: TypeAlias = tuple[
    str, str, str, str | None, str | None, str | None, str, str, str | None, str, str, str
]
"""An entry's parts as they are written: its actor's issuer, method and subject, what is new, what was old,
the envelope's digest, the environment, the event's id, the request's digest, the subject, time and type."""


def match_plain_entry(data: bytes) -> PlainEntry | None:
    """Read an entry that needs no escapes.

    Args:
        data: The entry's bytes.

    Returns:
        Its parts, None for each that is absent; the subject is for ``read_pairs``. The time is in its one
        form, but for the number of days that a month has. None for what is not of that form.
    """
    try:
        found = _ENTRY.fullmatch(data.decode())
    except UnicodeDecodeError:
        return None
    if found is None:
        return None
    (issuer, method, actor, new, old, old_alone, envelope, environment, event, request, pairs, time, kind) = (
        found.groups()
    )
    if old is None:
        old = old_alone
    return issuer, method, actor, new, old, envelope, environment, event, request, pairs, time, kind


def read_pairs(pairs: str) -> dict[str, str | int] | None:
    """Read the subject of a plain entry; None where its keys are not in order, each once."""
    subject: dict[str, str | int] = {}
    last = ""
    for key, text, number in _PAIRS.findall(pairs):
        if key <= last:
            return None
        last = key
        subject[key] = text or int(number)
    return subject
