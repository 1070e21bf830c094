"""Hub URLs, normalized: journal entries and stored keys are looked up by them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError
from ..runtime.text import sanitize

DEFAULT_BASE_URL = "https://api.mountsea.ai"
"""The Hub's base URL (documented by the vendor)."""

DEFAULT_CREDITS_URL = "https://dk.mountsea.ai/api-user/credits"
"""The credits endpoint (documented by the vendor; on another host than the Hub)."""

DEMO_URL = "demo:"
"""The base URL of the embedded demo Hub."""

MAX_CHARACTERS = 2000
"""The longest URL of a Hub, in characters."""

_PORTS = {"http": 80, "https": 443}
_ENDPOINT = re.compile(r"/hub/v1(/(image|models|tasks)(/.*)?)?$")
"""Paths of the API, which users often paste as a part of the base URL."""


def read_base_url(text: str) -> str:
    """Normalize a Hub's base URL, or ``demo:``; a path of the API at its end is removed.

    Args:
        text: The URL as the user wrote it.

    Raises:
        ConfigurationError: If it is invalid; the key must not be sent to a mistyped URL.

    Example:
        >>> read_base_url("HTTPS://API.mountsea.ai.:443/hub/v1/")
        'https://api.mountsea.ai'
    """
    text = text.strip()
    if text == DEMO_URL:
        return text
    parts = _split(text)
    if parts is None:
        raise ConfigurationError(
            "MOUNTSEA_BASE_URL must be an http(s) URL without user, query or fragment, such as "
            f"{DEFAULT_BASE_URL}, or demo:."
        )
    _require_valid_name(parts.hostname or "", "MOUNTSEA_BASE_URL")
    host, path = (parts.hostname or "").rstrip("."), _ENDPOINT.sub("", parts.path.rstrip("/"))
    if f"https://{host}" == DEFAULT_BASE_URL and parts.port in (None, *_PORTS.values()):
        # the vendor's Hub: always TLS, to protect the key, and its only paths are those of the API
        return DEFAULT_BASE_URL + re.sub(r"^(/hub|/v1)$", "", path.rstrip("/"))
    netloc = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{netloc}{port}{path.rstrip('/')}"


def read_credits_url(text: str) -> str:
    """Validate the full URL of a credits endpoint.

    Args:
        text: The URL as the user wrote it.

    Raises:
        ConfigurationError: If it is invalid.

    Example:
        >>> read_credits_url(" https://bank.example/credits ")
        'https://bank.example/credits'
    """
    parts = _split(text.strip())
    if parts is None:
        raise ConfigurationError(
            "MOUNTSEA_CREDITS_URL must be an http(s) URL without user, query or fragment, such as "
            f"{DEFAULT_CREDITS_URL}."
        )
    _require_valid_name(parts.hostname or "", "MOUNTSEA_CREDITS_URL")
    return text.strip()


def is_same_hub(base_url: str, journaled: str) -> bool:
    """Return whether a journaled base URL is this Hub's; 0.1.0 stored it as it was typed.

    Args:
        base_url: The base URL of the settings.
        journaled: The base URL of the journal's entry.

    Example:
        >>> is_same_hub("https://hub.example", "https://HUB.example:443")
        True
    """
    if base_url == journaled:
        return True
    if base_url.partition(":")[0] != journaled.partition(":")[0]:
        return False  # the key must not be sent without TLS
    try:
        return read_base_url(journaled) == base_url
    except ConfigurationError:
        return False


def has_valid_host(url: str) -> bool:
    """Return whether the host and the port of a URL are valid; the rest is not checked.

    Args:
        url: The URL, of any scheme with hosts.

    Example:
        >>> has_valid_host("https://münchen.example/a b"), has_valid_host("http://xn--/a")
        (True, False)
    """
    try:
        url.encode()  # no lone surrogates
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if ":" in host:
            return ipaddress.ip_address(host).version == 6
        labels = host.encode("idna").decode("ascii").split(".")
        punycodes = [label[4:].encode() for label in labels if label.startswith("xn--")]
        is_valid = bool(host) and all(code.decode("punycode") for code in punycodes)
        return is_valid and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _split(text: str) -> SplitResult | None:
    """The parts of a valid http(s) URL, or None."""
    try:
        parts = urlsplit(text)
        text.encode()  # no lone surrogates
        fits = (
            parts.scheme in _PORTS
            and len(text) <= MAX_CHARACTERS
            and _is_host((parts.hostname or "").rstrip("."))
            and re.fullmatch(r"(\[[^\[\]]*:[^\[\]]*\]|[^:@\[\]]+)(:\d*)?", parts.netloc) is not None
            and not re.search(r"[\s?#\\\x00-\x1f\x7f]", text)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return None
    return parts if fits else None


def _require_valid_name(host: str, variable: str) -> None:
    """Check a host name by IDNA 2008, as httpx does, which is stricter than the resolver."""
    host = host.rstrip(".")
    if host.isascii() and not host.startswith("xn--"):
        return
    import idna

    try:
        (idna.decode if host.isascii() else idna.encode)(host)
    except ValueError as error:
        raise ConfigurationError(
            f"{variable} must be an http(s) URL with a valid host name: "
            f"{sanitize(error, limit=60).rstrip('.')}."
        ) from error


def _is_host(host: str) -> bool:
    """Whether the resolver accepts a host; may raise ValueError if it does not."""
    if ":" in host:  # httpx accepts brackets only around an IP address
        return ipaddress.IPv6Address(host).version == 6
    host.encode("idna")  # as the resolver: no empty labels, none over 63 characters
    if re.fullmatch(r"[\d.]+", host) and host.count(".") == 3:
        return ipaddress.IPv4Address(host).version == 4
    return re.fullmatch(r"[^\x00-,/:-@\[-^`{-\x7f]+", host) is not None
