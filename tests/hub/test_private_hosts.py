"""IP addresses: which ones are private or forbidden, in any spelling and behind any name."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import pytest

from mountsea_magic.hub.private_hosts import (
    addresses_of,
    allowed_addresses,
    is_forbidden,
    is_private,
    private_networks,
    real_address,
)

FORBIDDEN = ["169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "224.0.0.1", "ff02::1"]
PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.254"),
    *("192.168.1.1", "100.64.0.1", "198.18.0.1", "240.0.0.1", "255.255.255.255"),
    *("::1", "::", "fc00::1", "fd12:3456::1", "2001:db8::1"),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2606:4700::1111"]


def resolved(host: str, port: int = 443) -> list[str]:
    """Resolve a host."""
    return [str(address) for address in asyncio.run(addresses_of(host, port))]


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_allowed_for_private_hubs_only(text: str) -> None:
    """This machine and its network are forbidden unless the Hub is there."""
    address = ipaddress.ip_address(text)
    assert is_private(address)
    assert is_forbidden(address, private_allowed=False)
    assert not is_forbidden(address, private_allowed=True)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed_for_every_hub(text: str) -> None:
    """Also for a private one."""
    address = ipaddress.ip_address(text)
    assert not is_private(address)
    assert not is_forbidden(address, private_allowed=False)
    assert not is_forbidden(address, private_allowed=True)


@pytest.mark.parametrize("private_allowed", [False, True])
@pytest.mark.parametrize("text", FORBIDDEN)
def test_link_local_and_multicast_addresses_are_always_forbidden(
    text: str, private_allowed: bool
) -> None:
    """Clouds have their metadata services on link-local ones."""
    assert is_forbidden(ipaddress.ip_address(text), private_allowed=private_allowed)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("2852039166", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("169.254.43518", "169.254.169.254"),
        ("127.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1", "fe80::1"),
        ("::ffff:169.254.169.254", "169.254.169.254"),
        ("::ffff:7f00:1", "127.0.0.1"),
        ("64:ff9b::169.254.169.254", "169.254.169.254"),
        ("64:ff9b::8.8.8.8", "8.8.8.8"),
        ("2002:a9fe:a9fe::1", "169.254.169.254"),
        ("2002:7f00:1::", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("::127.0.0.1", "127.0.0.1"),
        ("::ffff:0:127.0.0.1", "127.0.0.1"),
        ("2001:0:808:808::80ff:fffe", "127.0.0.1"),
        ("2001:0:808:808::5601:5601", "169.254.169.254"),
        ("::", "::"),
    ],
)
def test_every_spelling_is_the_same_address(host: str, address: str) -> None:
    """As the system parses it, and embedded in IPv6."""
    assert resolved(host) == [address]


def test_a_name_resolves_to_all_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without duplicates and zones, since a connection may use any of them."""
    calls: list[tuple[Any, ...]] = []

    def getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        calls.append((host, port))
        v4, v6 = [(ip, port) for ip in ("8.8.8.8", "10.0.0.1")], ("fe80::1%2", port, 0, 2)
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (*v4, v4[0])]
        return [*entries, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", v6)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert resolved("images.example", 8443) == ["8.8.8.8", "10.0.0.1", "fe80::1"]
    assert calls == [("images.example", 8443)]


def test_an_unknown_name_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller handles it."""

    def unknown(*given: Any, **named: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError, match="not known"):
        resolved("images.example")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", ".example", "a..example"])
def test_an_invalid_name_is_a_unicode_error(host: str) -> None:
    """It is not looked up."""
    with pytest.raises(UnicodeError):
        resolved(host)


METADATA = ["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]


@pytest.mark.parametrize("text", METADATA)
def test_metadata_services_are_always_forbidden(text: str) -> None:
    """Some clouds have theirs in private or public ranges, where a Hub may be, too."""
    assert is_forbidden(ipaddress.ip_address(text), private_allowed=True)


@pytest.mark.parametrize(
    ("hub", "allowed", "refused"),
    [
        ("8.8.8.8", ["9.9.9.9"], ["10.0.0.1", "127.0.0.1", "::1", "0.0.0.0", "fd00::1"]),
        ("10.0.0.1", ["10.9.9.9", "9.9.9.9"], ["127.0.0.1", "0.0.0.0", "::1", "192.168.1.1"]),
        ("192.168.1.2", ["192.168.9.9"], ["10.0.0.1", "::ffff:127.0.0.1", "169.254.169.254"]),
        ("172.17.0.2", ["172.31.0.1"], ["127.1.1.1", "::", "fe80::1"]),
        ("100.64.0.1", ["100.99.0.1"], ["100.100.100.200", "127.0.0.1"]),
        ("198.18.0.1", ["198.19.9.9"], ["127.0.0.1", "10.0.0.1"]),
        ("192.0.2.2", ["192.0.2.2", "192.0.2.9"], ["192.168.0.1", "127.0.0.1", "::1"]),
        ("fd00::1", ["fd12::1"], ["::1", "fd00:ec2::254", "fec0::1", "127.0.0.1", "fe80::1%eth0"]),
        ("127.0.0.1", ["127.0.0.2", "::1", "10.0.0.1", "172.17.0.2"], ["169.254.169.254"]),
        ("0.0.0.0", ["127.0.0.1", "::1"], ["169.254.169.254"]),
        ("::1", ["127.0.0.1", "::1", "192.168.0.9"], ["fe80::1", "ff02::1"]),
    ],
)
def test_a_private_hub_allows_only_its_own_network(
    hub: str, allowed: list[str], refused: list[str]
) -> None:
    """No other private network, and not this machine, unless the Hub is there."""
    networks = private_networks([real_address(hub)])
    for text in allowed:
        assert allowed_addresses([text], networks) == [text]
    for text in refused:
        assert allowed_addresses([text], networks) == []


@pytest.mark.parametrize(
    ("hub", "found", "allowed"),
    [
        (["10.0.0.1"], ["fd00::9", "10.0.0.9", "192.168.0.9"], ["10.0.0.9"]),
        (["10.0.0.1", "fd00::1"], ["fd00::9", "10.0.0.9"], ["fd00::9", "10.0.0.9"]),
        (["10.0.0.1"], ["10.0.0.9", "127.0.0.1"], []),
        (["10.0.0.1"], ["10.0.0.9", "169.254.169.254"], []),
        (["8.8.8.8"], ["9.9.9.9", "10.0.0.9"], []),
        ([], ["9.9.9.9", "2606:4700::1111"], ["9.9.9.9", "2606:4700::1111"]),
        ([], ["9.9.9.9", "::ffff:127.0.0.1"], []),
    ],
)
def test_all_addresses_of_a_name_are_checked(
    hub: list[str], found: list[str], allowed: list[str]
) -> None:
    """Hosts in a private network are often in others, too; elsewhere that is an attack."""
    assert allowed_addresses(found, private_networks(map(real_address, hub))) == allowed
