"""URLs of Hubs: each Hub is one text however it is written, since the journal is asked by it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError, sanitize

DEFAULT_BASE_URL = "https://api.mountsea.ai"
"""The Hub's own address (documented by the vendor)."""

DEFAULT_CREDITS_URL = "https://dk.mountsea.ai/api-user/credits"
"""Where the vendor tells the credits (documented by the vendor; another host than the Hub's)."""

DEMO_URL = "demo:"
"""The base URL that stands for the embedded demo Hub."""

MAX_CHARACTERS = 2000
"""The longest URL of a Hub, in characters."""

_PORTS = {"http": 80, "https": 443}
_ENDPOINT = re.compile(r"/hub/v1(/(image|models|tasks)(/.*)?)?$")
"""What is added to a base URL, and often pasted with it."""


def read_base_url(text: str) -> str:
    """Read a Hub's base URL, or ``demo:``; a path that is added to it anyway is left out.

    Args:
        text: What the user wrote.

    Raises:
        ConfigurationError: If it can't be one; a mistyped URL must not be sent the key.

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
    _require_name(parts.hostname or "", "MOUNTSEA_BASE_URL")
    host, path = (parts.hostname or "").rstrip("."), _ENDPOINT.sub("", parts.path.rstrip("/"))
    if f"https://{host}" == DEFAULT_BASE_URL and parts.port in (None, *_PORTS.values()):
        # the vendor's Hub is known: no TLS would give the key away, and only paths that are added
        # to it can have been meant
        return DEFAULT_BASE_URL + re.sub(r"^(/hub|/v1)$", "", path.rstrip("/"))
    place = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{place}{port}{path.rstrip('/')}"


def read_credits_url(text: str) -> str:
    """Read the whole URL of a credits endpoint.

    Args:
        text: What the user wrote.

    Raises:
        ConfigurationError: If it can't be one.

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
    _require_name(parts.hostname or "", "MOUNTSEA_CREDITS_URL")
    return text.strip()


def is_same_hub(base_url: str, journaled: str) -> bool:
    """Say whether a base URL of the journal, which 0.1.0 kept as it was typed, means a Hub.

    Args:
        base_url: As the settings have it.
        journaled: As the journal has it.

    Example:
        >>> is_same_hub("https://hub.example", "https://HUB.example:443")
        True
    """
    if base_url == journaled:
        return True
    if base_url.partition(":")[0] != journaled.partition(":")[0]:
        return False  # the key is not sent without TLS
    try:
        return read_base_url(journaled) == base_url
    except ConfigurationError:
        return False


def names_host(url: str) -> bool:
    """Whether a URL names a host and a port that can exist; the rest is its host's to judge.

    Args:
        url: The URL, of any scheme that has hosts.

    Example:
        >>> names_host("https://münchen.example/a b"), names_host("http://xn--/a")
        (True, False)
    """
    try:
        url.encode()  # no lone surrogates
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if ":" in host:
            return ipaddress.ip_address(host).version == 6
        labels = host.encode("idna").decode("ascii").split(".")
        punycodes = [one[4:].encode() for one in labels if one.startswith("xn--")]
        named = bool(host) and all(code.decode("punycode") for code in punycodes)
        return named and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _split(text: str) -> SplitResult | None:
    """The parts of a URL that can be asked for, or None."""
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


def _require_name(host: str, variable: str) -> None:
    """What the resolver takes, httpx may not: it goes by IDNA 2008, which knows no emoji."""
    host = host.rstrip(".")
    if host.isascii() and not host.startswith("xn--"):
        return
    import idna

    try:
        (idna.decode if host.isascii() else idna.encode)(host)
    except ValueError as error:
        raise ConfigurationError(
            f"{variable} must be an http(s) URL whose host can be looked up "
            f"({sanitize(error, limit=60)}): check {variable}."
        ) from error


def _is_host(host: str) -> bool:
    """Whether the resolver can take it; a ValueError may say no, too."""
    if ":" in host:  # httpx wants a URL's brackets around an address alone
        return ipaddress.IPv6Address(host).version == 6
    host.encode("idna")  # as the resolver will: no empty label, none over 63 characters
    if re.fullmatch(r"[\d.]+", host) and host.count(".") == 3:
        return ipaddress.IPv4Address(host).version == 4
    return re.fullmatch(r"[^\x00-,/:-@\[-^`{-\x7f]+", host) is not None
