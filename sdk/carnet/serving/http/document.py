"""Where a service listens for HTTP: the part of its configuration that is about it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from carnet.serving.callers.issuers import LOOPBACK


class HttpDocument(BaseModel):
    """The ``http`` part of a configuration.

    Attributes:
        listen: ``host:port``; port 0 for any that is free.
        tls: Whether the service's certificate is shown; without it only this machine itself is listened to.
        metrics: Whether the service tells of itself to whoever asks there, in Prometheus' form.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    listen: Annotated[str, StringConstraints(pattern=r"^.+:[0-9]{1,5}$")]
    tls: bool = True
    metrics: bool = False

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        host = self.listen.rpartition(":")[0].strip("[]")
        if not self.tls and host not in LOOPBACK:
            raise ValueError(
                f"without TLS only this machine itself is listened to, and {host} is not: use 127.0.0.1 with "
                "a proxy before it, or leave `tls` out"
            )
        return self
