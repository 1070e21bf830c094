"""Addresses: which hosts an image may be fetched from, so that no answer leads us astray.

A Hub's answer names the URLs. It must not make a notebook ask a cloud's metadata service, a printer
of the campus network or the user's own machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from .resolver import resolve

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


async def addresses_of(host: str, port: int) -> tuple[Address, ...]:
    """Resolve a host's name as a connection would.

    Args:
        host: A name or an address, in any of the spellings that the system's resolver takes.
        port: The port.

    Raises:
        OSError: If it can't be resolved.
        UnicodeError: If it can be no host's name.
    """
    return tuple(map(real_address, await resolve(host, port)))


def allowed_addresses(found: Sequence[str], hub: Sequence[Address]) -> list[str]:
    """Return those of a host's IP addresses that may be connected to for an image.

    Where the Hub is in a private network, hosts there often have addresses of several: those of the
    Hub's own are taken. Any other name with a forbidden address is forbidden as a whole.

    Args:
        found: All IP addresses of the host.
        hub: Where the Hub itself is, from `places_of`.

    Example:
        >>> hub = [ipaddress.ip_address("10.0.0.1")]
        >>> allowed_addresses(["10.2.3.4", "192.168.1.1"], hub)
        ['10.2.3.4']
        >>> allowed_addresses(["8.8.8.8", "127.0.0.1"], hub)
        []
    """
    allowed = []
    for text in found:
        address = real_address(text)
        if not is_forbidden(address, near_allowed=shares_network(address, hub)):
            allowed.append(text)
        elif not hub or not _is_private(address):
            return []
    return allowed


def shares_network(address: Address, hub: Sequence[Address]) -> bool:
    """Whether an address is in a network that the Hub is in.

    A Hub on this machine itself may have its images anywhere near, such as in a container.

    Args:
        address: Where an image's host is.
        hub: Where the Hub is, from `places_of`.

    Example:
        >>> hub = [ipaddress.ip_address("10.0.0.1")]
        >>> shares_network(ipaddress.ip_address("10.9.9.9"), hub)
        True
        >>> shares_network(ipaddress.ip_address("127.0.0.1"), hub)
        False
    """
    network = _private_network(address)
    return any(one.is_loopback or (network is not None and one in network) for one in hub)


def places_of(hub: Iterable[Address]) -> tuple[Address, ...]:
    """Return one address for each network near here that a Hub is in, the same for all in it.

    Args:
        hub: Where the Hub is; those of the internet count for nothing.

    Example:
        >>> places_of(map(ipaddress.ip_address, ["10.0.0.7", "10.2.0.1", "8.8.8.8", "::1"]))
        (IPv4Address('10.0.0.0'), IPv4Address('127.0.0.1'))
    """
    places = set[Address]()
    for address in filter(is_near, hub):
        network = _private_network(address)
        # the latter is this machine, also where it is connected to as 0.0.0.0
        places.add(network.network_address if network else ipaddress.IPv4Address("127.0.0.1"))
    return tuple(sorted(places, key=str))


def is_near(address: Address) -> bool:
    """Whether an address is of this machine or of its private network.

    Example:
        >>> is_near(ipaddress.ip_address("127.0.0.1")), is_near(ipaddress.ip_address("8.8.8.8"))
        (True, False)
    """
    return not address.is_global or (address.version == 6 and address.is_site_local)


def is_forbidden(address: Address, *, near_allowed: bool) -> bool:
    """Whether no image may be fetched from an address.

    Args:
        address: Where the image's host is.
        near_allowed: Whether the Hub itself is on this machine or its private network.

    Example:
        >>> is_forbidden(ipaddress.ip_address("169.254.169.254"), near_allowed=True)
        True
    """
    if address.is_link_local or address.is_multicast or _is_in(address, _METADATA):
        return True
    return is_near(address) and not near_allowed


def real_address(text: str) -> Address:
    """Read an address; an IPv4 address within an IPv6 one is judged as what it is.

    Args:
        text: The address, with or without a zone.

    Example:
        >>> real_address("::ffff:127.0.0.1")
        IPv4Address('127.0.0.1')
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address) or int(address) < 2:  # :: and ::1
        return address
    if address.teredo is not None:
        return address.teredo[1]
    if _is_in(address, _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address


def _private_network(address: Address) -> Network | None:
    """The private network that an address is in; None for this machine and for the internet."""
    if address.is_loopback or address.is_unspecified or not is_near(address):
        return None
    bits = 24 if address.version == 4 else 64
    around = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    return next((one for one in _PRIVATE if address in one), around)


def _is_private(address: Address) -> bool:
    return not is_forbidden(address, near_allowed=True) and _private_network(address) is not None


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


_PRIVATE = _networks(
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "100.64.0.0/10",  # carriers and Tailscale
    "198.18.0.0/15",  # what a VPN that gives out fake addresses has for every name
    "240.0.0.0/4",  # private in some clouds
)

_METADATA = _networks(
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure
    "192.0.0.192/32",  # Oracle Cloud
    *("fd00:ec2::/32", "fd20:ce::254/128"),  # Amazon's and Google's, all others are link-local
)
"""Where clouds keep a machine's secrets; no image is there, wherever the Hub is."""

_EMBEDDING = _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
"""IPv6 networks whose addresses end with an IPv4 address: compatible, mapped, SIIT and NAT64."""
