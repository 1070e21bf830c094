"""What comes over the wire: answers through JSON and back, and what is none."""

from __future__ import annotations

import json
from typing import Any

from mountsea_magic.hub.error_mapping import HubResponse

HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
NOT_JSON = [HTML, b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"{'status': 'completed'}"]


def answer(body: Any, status: int = 200, **headers: str) -> HubResponse:
    """Make an answer as it comes over the wire."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HubResponse.read(status, names, json.dumps(body).encode())
