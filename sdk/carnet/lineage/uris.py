"""Text as a URI, for forms that take nothing else."""

from __future__ import annotations

from urllib.parse import quote


def as_uri(text: str) -> str:
    """Return text as a URI: what has no scheme, or signs that no URI has, is quoted."""
    quoted = quote(text, safe=":/?#[]@!$&'()*+,;=%~")
    scheme = quoted.partition(":")[0]
    is_uri = (
        ":" in quoted
        and scheme[:1].isalpha()
        and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()
    )
    return quoted if is_uri else f"urn:carnet:{quote(text, safe='')}"
