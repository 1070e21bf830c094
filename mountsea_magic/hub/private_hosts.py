"""Which IP addresses an image may be downloaded from (protection against SSRF).

The URLs come from the Hub's responses. They must not make a notebook send requests to a cloud's
metadata service, a printer on the campus network or the user's own machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from .resolver import resolve

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


async def addresses_of(host: str, port: int) -> tuple[Address, ...]:
    """Resolve a host as a connection would.

    Args:
        host: A name or an IP address, in any spelling that the system's resolver accepts.
        port: The port.

    Raises:
        OSError: If it can't be resolved.
        UnicodeError: If it is not a valid host name.
    """
    return tuple(map(real_address, await resolve(host, port)))


def allowed_addresses(found: Sequence[str], hub: Sequence[Address]) -> list[str]:
    """Return those of a host's IP addresses that an image may be downloaded from.

    Hosts in a private network often have addresses in several. If the Hub is in a private network,
    addresses in its network are allowed and those in other private ones skipped. Any other
    forbidden address forbids the host as a whole.

    Args:
        found: All IP addresses of the host.
        hub: The Hub's private networks, from `private_networks`.

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
        if not is_forbidden(address, private_allowed=shares_network(address, hub)):
            allowed.append(text)
        elif not hub or not _in_private_network(address):
            return []
    return allowed


def shares_network(address: Address, hub: Sequence[Address]) -> bool:
    """Whether an address is in a private network that the Hub is in.

    A Hub on this machine may have its images in any private network, such as a container's.

    Args:
        address: The IP address of an image host.
        hub: The Hub's private networks, from `private_networks`.

    Example:
        >>> hub = [ipaddress.ip_address("10.0.0.1")]
        >>> shares_network(ipaddress.ip_address("10.9.9.9"), hub)
        True
        >>> shares_network(ipaddress.ip_address("127.0.0.1"), hub)
        False
    """
    network = _private_network(address)
    return any(one.is_loopback or (network is not None and one in network) for one in hub)


def private_networks(hub: Iterable[Address]) -> tuple[Address, ...]:
    """Return one address for each private network that a Hub is in, the same for all in it.

    Args:
        hub: The Hub's IP addresses; public ones are ignored.

    Example:
        >>> private_networks(map(ipaddress.ip_address, ["10.0.0.7", "10.2.0.1", "8.8.8.8", "::1"]))
        (IPv4Address('10.0.0.0'), IPv4Address('127.0.0.1'))
    """
    found = set[Address]()
    for address in filter(is_private, hub):
        network = _private_network(address)
        # this machine, also if it was connected to as 0.0.0.0
        found.add(network.network_address if network else ipaddress.IPv4Address("127.0.0.1"))
    return tuple(sorted(found, key=str))


def is_private(address: Address) -> bool:
    """Whether an address is on this machine or in a private network.

    Example:
        >>> [is_private(ipaddress.ip_address(text)) for text in ("127.0.0.1", "8.8.8.8")]
        [True, False]
    """
    return not address.is_global or (address.version == 6 and address.is_site_local)


def is_forbidden(address: Address, *, private_allowed: bool) -> bool:
    """Whether images must not be downloaded from an address.

    Args:
        address: The IP address of the image host.
        private_allowed: Whether the Hub is in the same private network, or on this machine.

    Example:
        >>> is_forbidden(ipaddress.ip_address("169.254.169.254"), private_allowed=True)
        True
    """
    if address.is_link_local or address.is_multicast or _is_in(address, _METADATA):
        return True
    return is_private(address) and not private_allowed


def real_address(text: str) -> Address:
    """Parse an IP address; unwrap IPv4-mapped, 6to4, Teredo and NAT64 addresses.

    Args:
        text: The IP address, with or without a zone.

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


def _private_network(address: Address) -> _Network | None:
    """The private network of an address; None for this machine and public addresses."""
    if address.is_loopback or address.is_unspecified or not is_private(address):
        return None
    bits = 24 if address.version == 4 else 64
    around = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    return next((one for one in _PRIVATE if address in one), around)


def _in_private_network(address: Address) -> bool:
    return not is_forbidden(address, private_allowed=True) and _private_network(address) is not None


def _is_in(address: Address, networks: Sequence[_Network]) -> bool:
    return any(address in network for network in networks)


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


_PRIVATE = _networks(
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "100.64.0.0/10",  # carriers and Tailscale
    "198.18.0.0/15",  # used by VPNs that give fake addresses to all names
    "240.0.0.0/4",  # private in some clouds
)

_METADATA = _networks(
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure
    "192.0.0.192/32",  # Oracle Cloud
    *("fd00:ec2::/32", "fd20:ce::254/128"),  # Amazon and Google; all others are link-local
)
"""Metadata services of clouds, which hold credentials: forbidden wherever the Hub is."""

_EMBEDDING = _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
"""IPv6 networks whose addresses end with an IPv4 address: compatible, mapped, SIIT and NAT64."""
