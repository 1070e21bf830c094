"""Network settings in the environment: which proxy is for which host, and invalid values."""

from __future__ import annotations

import sys

import pytest
from rich.pretty import pretty_repr

from mountsea_magic.errors import ConfigurationError
from mountsea_magic.hub.proxies import Network, Proxy, read_network, read_proxy


@pytest.mark.parametrize(
    ("value", "url", "auth"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("proxy.example:3128", "http://proxy.example:3128", None),
        ("proxy.example", "http://proxy.example:80", None),
        ("HTTP://Proxy.Example:3128/", "http://proxy.example:3128", None),
        ("https://proxy.example", "https://proxy.example:443", None),
        ("http://[::1]:8080", "http://[::1]:8080", None),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", None),
        ("socks5://127.0.0.1", "socks5://127.0.0.1:1080", None),
        ("socks5h://127.0.0.1:9050", "socks5://127.0.0.1:9050", None),
        ("socks://127.0.0.1:9050/", "socks5://127.0.0.1:9050", None),
        ("http://ann:pass@a.example:1", "http://a.example:1", ("ann", "pass")),
        ("ann:pass@a.example:1", "http://a.example:1", ("ann", "pass")),
        ("http://ann:p@ss#w/rd?@a.example:1", "http://a.example:1", ("ann", "p@ss#w/rd?")),
        ("http://ann:p%40ss%25@a.example:1", "http://a.example:1", ("ann", "p@ss%")),
        ("http://DOMAIN\\ann:p:w@a.example:1", "http://a.example:1", ("DOMAIN\\ann", "p:w")),
        ("socks5://ann@a.example", "socks5://a.example:1080", ("ann", "")),
    ],
)
def test_a_proxy_url_is_parsed_leniently(
    value: str, url: str, auth: tuple[str, str] | None
) -> None:
    """Without a scheme or port, or with a password that is not percent-encoded."""
    proxy = read_proxy("ALL_PROXY", value)
    assert (str(proxy), proxy.auth, proxy.problem) == (f"{url} (ALL_PROXY)", auth, "")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("socks4://a.example", "socks4:// proxies are not supported, only http://"),
        ("ftp://a.example:21", "ftp:// proxies are not supported"),
        ("http://a.example:0", "its port must be a number from 1 to 65535"),
        ("http://a.example:65536", "its port must be a number from 1 to 65535"),
        ("http://a.example:web", "its port must be a number from 1 to 65535"),
        ("http://", "has no valid host"),
        ("http://:8080", "has no valid host"),
        ("http://two words:1", "has no valid host"),
        ("http://[::1:8080", "has no valid host"),
        ("http://a..example", "has no valid host"),
        (f"http://{'a' * 64}.example", "has no valid host"),
        ("http://a.example/path", "has no valid host"),
        ("//a.example:1", "has no valid host"),
        ("s3cret:s3cret://a", "it is not a URL"),
    ],
)
def test_an_invalid_proxy_is_an_error_only_for_hosts_that_need_it(
    value: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variable and the problem; an exempt host and another scheme are not affected."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.setenv("NO_PROXY", "exempt.example")
    network = read_network()
    with pytest.raises(ConfigurationError, match=r"^HTTPS_PROXY can't be used: ") as caught:
        network.require_proxy_for("https", "hub.example", None)
    assert problem in str(caught.value) and "NO_PROXY=hub.example" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert network.require_proxy_for("https", "exempt.example", None) is None
    assert network.require_proxy_for("http", "hub.example", None) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "exempt"),
    [
        ("*", "hub.example", 443, True),
        ("hub.example", "hub.example", 443, True),
        ("hub.example", "api.hub.example", 443, True),
        ("hub.example", "nohub.example", 443, False),
        (".hub.example", "hub.example", 443, True),
        (".hub.example", "api.hub.example", 443, True),
        ("*.hub.example", "api.hub.example", 443, True),
        ("*.hub.example", "nohub.example", 443, False),
        ("HUB.Example.", "hub.example", 443, True),
        ("hub.example", "HUB.example.", 443, True),
        ("hub.example:443", "hub.example", 443, True),
        ("hub.example:443", "hub.example", None, True),
        ("hub.example:8443", "hub.example", 443, False),
        ("https://hub.example", "hub.example", 443, True),
        ("http://hub.example", "hub.example", 443, False),
        ("127.0.0.1", "127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("127.0.0.1:8001", "127.0.0.1", 8000, False),
        ("127.*", "127.0.0.1", 8000, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.1.2.3/8", "10.9.9.9", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "hub.example", 443, False),
        ("::1", "::1", 443, True),
        ("[::1]", "::1", 443, True),
        ("[::1]:443", "::1", 443, True),
        ("[::1]:80", "::1", 443, False),
        ("0:0:0:0:0:0:0:1", "::1", 443, True),
        ("fe80::/10", "fe80::1", 443, True),
        ("[fe80::]/10", "fe80::1%eth0", 443, True),
        ("fd00::/8", "fe80::1", 443, False),
        ("fd00::/8", "10.0.0.1", 443, False),
        ("localhost", "127.0.0.1", 443, False),
        ("10.0.0.0/99", "10.0.0.1", 443, False),
        ("[nonsense", "hub.example", 443, False),
        ("[z-a]*", "hub.example", 443, False),
        (".", "hub.example", 443, False),
        ("a.example:99999999", "hub.example", 443, False),
    ],
)
def test_a_no_proxy_entry_is_a_name_an_address_a_network_or_a_pattern(
    entry: str, host: str, port: int | None, exempt: bool
) -> None:
    """With a port or a scheme it applies only to these; an invalid entry exempts nothing."""
    proxy = read_proxy("ALL_PROXY", "127.0.0.1:9")
    network = Network((("all", proxy),), ("other.example", entry))
    assert network.proxy_for("https", host, port) is (None if exempt else proxy)


@pytest.mark.parametrize("separator", [",", ", ", " ", " ,\t"])
def test_no_proxy_entries_are_separated_by_commas_or_spaces(
    separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in curl."""
    monkeypatch.setenv("ALL_PROXY", "127.0.0.1:9")
    monkeypatch.setenv("no_proxy", f" a.example{separator}::1{separator}10.0.0.0/8 ")
    network = read_network()
    hosts = ("a.example", "::1", "10.0.0.1", "b.example")
    assert [network.proxy_for("http", host, 80) is None for host in hosts] == [True] * 3 + [False]


def test_lower_case_wins_over_upper_case_and_a_scheme_over_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in urllib, curl and httpx; an empty lower-case variable disables the other one."""
    for name, port in (("ALL_PROXY", 1), ("HTTPS_PROXY", 2), ("https_proxy", 3), ("HTTP_PROXY", 4)):
        monkeypatch.setenv(name, f"127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", "")

    def chosen(scheme: str) -> str:
        return str(read_network().proxy_for(scheme, "hub.example", None))

    assert chosen("https") == "http://127.0.0.1:3 (https_proxy)"
    assert chosen("http") == "http://127.0.0.1:1 (ALL_PROXY)"
    monkeypatch.delenv("http_proxy")
    assert chosen("http") == "http://127.0.0.1:4 (HTTP_PROXY)"
    monkeypatch.setenv("REQUEST_METHOD", "GET")  # a CGI script
    assert chosen("http") == "http://127.0.0.1:1 (ALL_PROXY)"


def test_the_first_certificate_variable_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL's before those of requests and curl; an empty one is ignored."""
    assert read_network() == Network()
    for name, value in (
        ("CURL_CA_BUNDLE", "c"),
        ("REQUESTS_CA_BUNDLE", "r"),
        ("SSL_CERT_DIR", "d"),
    ):
        monkeypatch.setenv(name, value)
        network = read_network()
        assert (network.certificates_variable, network.certificates_path) == (name, value)
    monkeypatch.setenv("SSL_CERT_FILE", " ")
    assert read_network().certificates_variable == "SSL_CERT_DIR"


def test_without_variables_the_system_settings_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and macOS have proxies and exemptions, which urllib reads."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://127.0.0.1:9"})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: host == "exempt.example")
    network = read_network()
    assert "the system's proxy settings" in str(network.proxy_for("https", "hub.example", None))
    assert network.proxy_for("https", "exempt.example", None) is None
    assert network.proxy_for("http", "hub.example", None) is None


def test_no_text_of_a_proxy_shows_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its message text nor the representations in verbose tracebacks."""
    monkeypatch.setenv("ALL_PROXY", "http://ann:s3cret@proxy.example:3128")
    network = read_network()
    proxy = network.proxy_for("http", "hub.example", None)
    assert isinstance(proxy, Proxy) and proxy.auth == ("ann", "s3cret")
    assert "s3cret" not in f"{proxy} {proxy!r} {network!r} {pretty_repr(network)}"


@pytest.mark.parametrize(
    "value", ["localhost;127.0.0.1", '"localhost,127.0.0.1"', "' 127.0.0.1 '", "a ; 127.0.0.1 ;"]
)
def test_no_proxy_may_have_semicolons_and_quotes(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Windows separates entries by semicolons, and `%env` leaves quotes."""
    monkeypatch.setenv("HTTP_PROXY", '"http://proxy.example:3128"')
    monkeypatch.setenv("NO_PROXY", value)
    network = read_network()
    assert network.proxy_for("http", "127.0.0.1", 80) is None
    proxy = network.proxy_for("http", "hub.example", 80)
    assert str(proxy) == "http://proxy.example:3128 (HTTP_PROXY)"
