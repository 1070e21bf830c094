"""Which Host and Origin headers the demo Hub accepts; protects against DNS rebinding."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

_HOST = re.compile(r"(\[[0-9a-z:.%]{2,80}\]|[a-z0-9_.-]{1,253})(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that a demo Hub accepts.

    Attributes:
        names: Host names, in lower case; the loopback's are always allowed.
        addresses: IP addresses besides the loopback's; None allows any. DNS rebinding needs a
            name, so a server that listens on all interfaces can safely allow every address.

    Example:
        >>> hosts = AllowedHosts(frozenset({"teacher-laptop.local"}), None)
        >>> hosts.allows("Teacher-Laptop.local:8787"), hosts.allows("evil.example")
        (True, False)
    """

    names: frozenset[str] = frozenset()
    addresses: frozenset[str] | None = frozenset()

    def allows(self, host: str) -> bool:
        """Return whether a `Host` header is allowed; any port is, as it may be a tunnel's.

        Args:
            host: The header's value.
        """
        match = _HOST.fullmatch(host.lower())
        if match is None or int(match[2] or 0) > 65535:
            return False
        name = match[1].removesuffix(".")
        address = _parse_address(name)
        if address is not None:
            listed = self.addresses is None or str(address) in self.addresses
            return listed or address.is_loopback
        return name == "localhost" or name.endswith(".localhost") or name in self.names

    def describe(self) -> str:
        """List the allowed hosts for the startup message."""
        names = ["localhost", *sorted(self.names)]
        if self.addresses is None:
            names.append("any IP address")
        else:
            names += ["127.0.0.1", *sorted(self.addresses)]
        return ", ".join(names)


def allowed_hosts(host: str, bound: str, extra: Iterable[str] = ()) -> AllowedHosts:
    """Return the hosts that a server should accept.

    Args:
        host: The value of ``--host``.
        bound: The IP address that the server is listening on.
        extra: More names or addresses.

    Example:
        >>> allowed_hosts("127.0.0.1", "127.0.0.1", ["hub.example"]).describe()
        'localhost, hub.example, 127.0.0.1'
    """
    names = {name.lower().removesuffix(".") for name in extra}
    addresses: set[str] | None = {str(parsed) for name in names if (parsed := _parse_address(name))}
    names -= {name for name in names if _parse_address(name)}
    if _parse_address(host) is None:
        names.add(host.lower().removesuffix("."))
    address = _parse_address(bound)
    if address is not None and not address.is_loopback:
        own = socket.gethostname().lower()
        names |= {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
        if address.is_unspecified:
            addresses = None
        elif addresses is not None:
            addresses.add(str(address))
    return AllowedHosts(
        frozenset(names) - {"localhost"}, None if addresses is None else frozenset(addresses)
    )


def read_host_name(text: str) -> str:
    """Validate and normalize a value of ``--allow-host``.

    Args:
        text: A name or an IP address, without scheme, port, path or ``*``.

    Raises:
        ValueError: If it is not one.

    Example:
        >>> read_host_name("Hub.example")
        'hub.example'
    """
    name = text.strip().lower()
    if _parse_address(name) is None and _NAME.fullmatch(name) is None:
        raise ValueError(text)
    return name


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether an `Origin` header has the same host and port as `Host`.

    The scheme is not compared: a proxy in front of the server may add TLS.

    Args:
        origin: The value of `Origin`.
        host: The value of `Host`.

    Example:
        >>> is_own_origin("http://localhost:8787", "localhost:8787")
        True
    """
    scheme, separator, authority = origin.lower().partition("://")
    return scheme in ("http", "https") and bool(separator) and authority == host.lower()


def _parse_address(name: str) -> _Address | None:
    """Parse an IP address as it is written in URLs; None for a name."""
    try:
        address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
