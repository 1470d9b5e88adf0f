"""The URL of an object store, taken apart and checked.

Responsible for refusing what cannot be one when the configuration is read, without ever repeating a secret
that somebody put into it. Pure: nothing is connected to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

_PARAMETERS = {
    "s3": frozenset({"ca", "endpoint", "path_style", "profile", "region"}),
    "gs": frozenset({"ca", "endpoint"}),
    "az": frozenset({"account", "ca", "endpoint"}),
}
SCHEMES = frozenset(_PARAMETERS)
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the role of this machine, or ?profile=)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS (or the service account of this machine)",
    "az": "AZURE_STORAGE_ACCOUNT_KEY (or AZURE_CLIENT_ID and its like, or the identity of this machine)",
}
_KINDS = {"s3": "bucket", "gs": "bucket", "az": "container"}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,221}")
_SEGMENT = re.compile(r"[A-Za-z0-9!_.*'()=-]+")
_WORDS = {
    "account": re.compile(r"[a-z0-9]{3,24}"),
    "profile": re.compile(r"[A-Za-z0-9 ._@+-]{1,128}"),
    "region": re.compile(r"[a-z0-9-]{1,64}"),
}
_ENDPOINT = re.compile(
    r"https?://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?/?(?P<path>[A-Za-z0-9._/-]*)"
)
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class ObjectLocation:
    """Where blobs are in an object store; what is not set is empty, or None.

    Attributes:
        scheme: ``s3``, ``gs`` or ``az``.
        bucket: The bucket or container.
        prefix: What every object's path begins with.
        endpoint: ``http://HOST[:PORT]`` or ``https://…`` of the service.
        region: The region (S3).
        path_style: Whether the bucket is in the path of a request and not in its host's name (S3).
        profile: The name of a shared profile that has the credentials (S3).
        account: The storage account (Azure).
        ca: The path of a PEM file with the authorities that certify the endpoint.
    """

    scheme: str
    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    path_style: bool | None = None
    profile: str = ""
    account: str = ""
    ca: str = ""

    @property
    def name(self) -> str:
        """What a person knows the place by."""
        place = f"{self.scheme}://{self.bucket}{'/' if self.prefix else ''}{self.prefix}"
        return f"{place} at {self.endpoint}" if self.endpoint else place

    @property
    def credentials(self) -> str:
        """What a person checks when the credentials are refused."""
        if self.profile:
            return f"the shared profile {self.profile!r}"
        return _CREDENTIALS[self.scheme]

    @property
    def url(self) -> str:
        """The URL in its one form."""
        values = {
            "account": self.account,
            "ca": self.ca,
            "endpoint": self.endpoint,
            "path_style": "" if self.path_style is None else str(self.path_style).lower(),
            "profile": self.profile,
            "region": self.region,
        }
        query = urlencode(
            {name: value for name, value in values.items() if value}, safe=":/", quote_via=quote
        )
        place = f"{self.scheme}://{self.bucket}{'/' if self.prefix else ''}{self.prefix}"
        return f"{place}?{query}" if query else place


def refuse(problem: str) -> InvalidInputError:
    """Return the error of a ``blobs:`` that cannot be used."""
    return InvalidInputError(f"blobs: {problem}", metadata={"field": "blobs"})


def parse_location(url: str, folder: Path | None = None) -> ObjectLocation:
    """Take the URL of an object store apart.

    Args:
        url: The URL; its scheme is one of `SCHEMES`.
        folder: What a relative path of a certificate file is relative to; None to insist on an absolute one.

    Returns:
        The parts.

    Raises:
        InvalidInputError: It is not such a URL; says what is wrong, with secrets left out.
    """
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise refuse("the URL cannot be read: write it like s3://BUCKET/PREFIX?region=REGION") from None
    scheme, kind = parts.scheme, _KINDS[parts.scheme]
    if "@" in parts.netloc:
        raise refuse(
            f"the URL has a user or a password in it: leave them out, and set {_CREDENTIALS[scheme]}"
        )
    if not parts.netloc:
        raise refuse(f"{scheme}:// names no {kind}: write {scheme}://{kind.upper()}")
    if not _BUCKET.fullmatch(parts.netloc):
        raise refuse(f"{parts.netloc[:80]!r} is not the name of a {kind}: letters, digits, '.', '-' and '_'")
    if parts.fragment or "#" in url:
        raise refuse("the URL has a '#' in it, which means nothing here")
    values = _read_parameters(scheme, pairs)
    location = ObjectLocation(
        scheme,
        parts.netloc,
        prefix=_read_prefix(parts),
        endpoint=_read_endpoint(values.get("endpoint", "")),
        region=_read_word(values, "region"),
        path_style=_read_boolean(values.get("path_style")),
        profile=_read_word(values, "profile"),
        account=_read_word(values, "account"),
        ca=_read_ca(values.get("ca", ""), folder),
    )
    host = urlsplit(location.endpoint).hostname
    if location.path_style is False and host and is_address(host):
        raise refuse("path_style=false puts the bucket before the endpoint's host, which is an address")
    return location


def _read_parameters(scheme: str, pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Insist on known parameters, each once; values are not repeated, since they may be secrets."""
    known = _PARAMETERS[scheme]
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise refuse(
                f"{scheme}:// has no parameter {_shown(name)} (its value is not shown); it has "
                f"{', '.join(sorted(known))}, and credentials are set as {_CREDENTIALS[scheme]}"
            )
        if name in values:
            raise refuse(f"the parameter {name} is there twice")
        if not value:
            raise refuse(f"the parameter {name} has no value")
        values[name] = value
    return values


def _shown(name: str) -> str:
    return repr(name) if re.fullmatch(r"[A-Za-z_-]{1,40}", name) else "of that name"


def _read_prefix(parts: SplitResult) -> str:
    prefix = parts.path.strip("/")
    for segment in prefix.split("/") if prefix else ():
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise refuse(
                f"{segment[:80]!r} cannot be in a prefix: write letters, digits, '.', '-', '_' and single '/'"
            )
    return prefix


def _read_endpoint(value: str) -> str:
    if not value:
        return ""
    if "@" in value:
        raise refuse("the endpoint has a user or a password in it: leave them out")
    match = _ENDPOINT.fullmatch(value)
    if not match or int(match["port"] or 1) not in range(1, 1 << 16) or not _is_host(match["host"]):
        raise refuse("the endpoint is not http://HOST:PORT or https://HOST:PORT")
    return value.rstrip("/")


def _is_host(host: str) -> bool:
    """Tell whether a host can be one; obstore's parser does not survive what only looks like an address."""
    if host.startswith("[") or host.rpartition(".")[2].isdecimal():
        return is_address(host)
    return all(_LABEL.fullmatch(label) for label in host.split("."))


def is_address(host: str) -> bool:
    """Tell whether a host is an address and not a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _read_word(values: dict[str, str], name: str) -> str:
    value = values.get(name, "")
    if value and not _WORDS[name].fullmatch(value):
        raise refuse(f"the parameter {name} is not the name of a {name}")
    return value


def _read_boolean(value: str | None) -> bool | None:
    if value is None:
        return None
    if value not in _BOOLEANS:
        raise refuse(f"path_style is true or false, not {value[:20]!r}")
    return _BOOLEANS[value]


def _read_ca(value: str, folder: Path | None) -> str:
    if not value or value.startswith("/"):
        return value
    if folder is None:
        raise refuse("the parameter ca is not an absolute path")
    return str((folder / value).absolute())
