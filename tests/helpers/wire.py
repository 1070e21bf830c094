"""Responses of the Hub, and bodies that are not valid JSON."""

from __future__ import annotations

import json
from typing import Any

from mountsea_magic.hub.http_response import HubResponse

HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
NOT_JSON = [HTML, b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"{'status': 'completed'}"]


def hub_response(body: Any, status: int = 200, **headers: str) -> HubResponse:
    """Create a response as it is read from the network."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HubResponse.read(status, names, json.dumps(body).encode())
