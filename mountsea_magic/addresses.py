"""Addresses: which hosts a picture may be fetched from, so that no answer leads us astray.

A Hub's answer names the URLs. It must not make a notebook ask a cloud's metadata service, a printer
of the campus network or the user's own machine.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


async def addresses_of(host: str, port: int) -> tuple[Address, ...]:
    """Resolve a host's name as a connection would.

    Args:
        host: A name or an address, in any of the spellings that the system's resolver takes.
        port: The port.

    Raises:
        OSError: If it can't be resolved.
        UnicodeError: If it can be no host's name.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(real_address(text) for text in dict.fromkeys(str(entry[4][0]) for entry in found))


def is_near(address: Address) -> bool:
    """Whether an address is of this machine or of its private network.

    Example:
        >>> is_near(ipaddress.ip_address("127.0.0.1")), is_near(ipaddress.ip_address("8.8.8.8"))
        (True, False)
    """
    return not address.is_global


def is_forbidden(address: Address, *, near_allowed: bool) -> bool:
    """Whether no picture may be fetched from an address.

    Args:
        address: Where the picture's host is.
        near_allowed: Whether the Hub itself is on this machine or its private network.

    Example:
        >>> is_forbidden(ipaddress.ip_address("169.254.169.254"), near_allowed=True)
        True
    """
    if address.is_link_local or address.is_multicast:
        return True
    return is_near(address) and not near_allowed


def real_address(text: str) -> Address:
    """Read an address; an IPv4 address in an IPv6 one's clothes is judged as what it is.

    Args:
        text: The address, with or without a zone.

    Example:
        >>> real_address("::ffff:127.0.0.1")
        IPv4Address('127.0.0.1')
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return inner or address
    return address


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
