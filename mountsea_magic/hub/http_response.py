"""`HubResponse`: an HTTP response of the Hub, with its JSON decoded but not validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..runtime.key_redaction import redact_key
from .bounded_json import BEGINNING_BYTES, JsonBody
from .proxies import Proxy

ACCEPTED = range(200, 300)
"""HTTP statuses of success (documented: 200; similar APIs also send 201 and 202)."""


@dataclass(frozen=True, slots=True)
class HubResponse:
    """An HTTP response of the Hub; its content is not validated yet.

    Attributes:
        status: The HTTP status code.
        headers: The headers, with lower-case names.
        body: The decoded JSON, or None if the body is not JSON.
        text: The beginning of a body that is not JSON.
        proxy: The proxy that the request went through, if any.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str = ""
    proxy: Proxy | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether something other than the Hub responded: the Hub always sends JSON."""
        return self.body is None and bool(self.text.strip())

    def __repr__(self) -> str:
        # tracebacks may show it, and bodies contain signed URLs
        return f"HubResponse({self.status})"

    @classmethod
    def read(
        cls, status: int, headers: Mapping[str, str], content: bytes | JsonBody
    ) -> HubResponse:
        """Decode a response; a body that is not JSON or exceeds a limit becomes None."""
        lower = {name.lower(): value for name, value in headers.items()}
        if isinstance(content, bytes):
            body = JsonBody()
            body.feed(content)
            body.finish()
        else:
            body = content
        if body.is_json:
            return cls(status, lower, body.value)
        text = redact_key(body.beginning, is_cut=body.text_bytes > BEGINNING_BYTES)[:2000]
        return cls(status, lower, None, text or body.problem)
