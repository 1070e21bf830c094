"""Which Host and Origin headers the demo Hub accepts."""

from __future__ import annotations

import socket

import pytest

from mountsea_magic.demo.server.hosts import (
    AllowedHosts,
    allowed_hosts,
    is_own_origin,
    read_host_name,
)

LOOPBACK = allowed_hosts("127.0.0.1", "127.0.0.1", ["Hub.Example", "192.0.2.7"])
ALL_INTERFACES = allowed_hosts("0.0.0.0", "0.0.0.0")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8787", "localhost.", "demo.localhost:1", "127.0.0.1:8787"),
        *("127.8.9.1", "[::1]:8787", "[::ffff:127.0.0.1]", "hub.example", "HUB.example.:443"),
        "192.0.2.7:8787",
    ],
)
def test_loopback_and_allowed_names_are_accepted(host: str) -> None:
    """In upper and lower case, and with any port, since a tunnel may use another one."""
    assert LOOPBACK.allows(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ":8787", "evil.example", "evil.example:8787", "localhost.evil.example"),
        *("127.0.0.1.evil.example", "evil-localhost", "evil.example@localhost", "localhost/x"),
        *("localhost:8787:1", "localhost:x", "localhost:99999", "localhost ", "localhost,evil"),
        *("192.168.1.20", "0.0.0.0", "[::]", "2130706433", "0x7f.1", "127.1", "[::1", "::1"),
        *("xn--lcalhost-5cb.example", "löcalhost", "sub.hub.example", "hub.example..", "[]"),
    ],
)
def test_other_hosts_are_rejected(host: str) -> None:
    """Names that DNS rebinding could point here, and malformed hosts."""
    assert not LOOPBACK.allows(host)


def test_listening_on_all_interfaces_allows_host_name_and_any_address() -> None:
    """The machine's name, also with .local, and any IP address: rebinding needs a name."""
    name = socket.gethostname().partition(".")[0]
    for host in (f"{name}:8787", f"{name}.local", name.upper(), "192.168.1.20:8787", "[fe80::1]"):
        assert ALL_INTERFACES.allows(host), host
    assert not ALL_INTERFACES.allows("evil.example")
    assert not ALL_INTERFACES.allows(f"{name}.evil.example")


def test_listening_on_one_address_allows_only_that_address() -> None:
    """And the names of this machine."""
    hosts = allowed_hosts("192.168.1.20", "192.168.1.20")
    assert hosts.allows("192.168.1.20:8787")
    assert hosts.allows(f"{socket.gethostname().partition('.')[0]}.local:8787")
    assert not hosts.allows("192.168.1.21:8787")
    assert allowed_hosts("hub.test", "127.0.0.1").allows("hub.test:8787")


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:8787", "localhost:8787", True),
        ("https://hub.example", "Hub.example", True),
        ("http://localhost:8888", "localhost:8787", False),
        ("http://localhost", "localhost:8787", False),
        ("null", "null", False),
        ("", "", False),
        ("file://localhost:8787", "localhost:8787", False),
        ("http://localhost:8787.evil.example", "localhost:8787", False),
        ("http://evil@localhost:8787", "localhost:8787", False),
    ],
)
def test_origin_is_compared_by_host_and_port(origin: str, host: str, own: bool) -> None:
    """JupyterLab on the same machine, with another port, is another origin."""
    assert is_own_origin(origin, host) == own


@pytest.mark.parametrize(
    "text", ["", " ", "*", "*.example", "http://x", "a/b", "a:80", "a..b", "ä.example", "a b"]
)
def test_invalid_host_names_are_rejected(text: str) -> None:
    """A mistyped name must not allow more hosts than intended, or be ignored."""
    with pytest.raises(ValueError):
        read_host_name(text)


def test_allowed_hosts_are_described() -> None:
    """For the startup message."""
    assert AllowedHosts().describe() == "localhost, 127.0.0.1"
    assert LOOPBACK.describe() == "localhost, hub.example, 127.0.0.1, 192.0.2.7"
    assert ALL_INTERFACES.describe().endswith("any IP address")
