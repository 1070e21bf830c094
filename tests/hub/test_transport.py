"""Requests through real proxies and TLS: their route, and the errors when they fail."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from hub_server import BAD_GATEWAY, KEY, Reply, StandInHub, all_text_of
from proxies import HttpProxy, Relay, SocksProxy

import mountsea_magic.hub.exchange
from mountsea_magic.errors import ConfigurationError, HubUnavailable, MountseaError
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.request.request import build_request
from mountsea_magic.settings import Secret

DOG = build_request("a dog")
HUB = "https://hub.example"
DEAD = "127.0.0.1:9"
LATE, EARLY = datetime(2090, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)

AUTHORITY = trustme.CA(organization_name="The company", organization_unit_name="Its certificates")
HASHED_NAME = "11a397f1.0"
"""OpenSSL's file name for that authority's certificate in a folder."""


@dataclass
class Company:
    """A network with proxies and a Hub that has a certificate of the company's CA."""

    hub: StandInHub
    tls: Relay
    http: HttpProxy
    socks: SocksProxy


def tls_context(
    name: str, *, not_before: datetime | None = None, not_after: datetime | None = None
) -> ssl.SSLContext:
    """Make a server's SSL context with a new certificate of the company's CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name, not_before=not_before, not_after=not_after).configure_cert(context)
    return context


@pytest.fixture
def company() -> Iterator[Company]:
    """Start all of it; only the proxies know the name `hub.example`."""
    context = tls_context("hub.example")
    with StandInHub() as hub, Relay({"*": hub.url.removeprefix("http://")}, tls=context) as tls:
        routes = {"hub.example:443": f"127.0.0.1:{tls.port}"}
        with HttpProxy(routes) as http, SocksProxy(routes) as socks:
            yield Company(hub, tls, http, socks)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Write the company's CA certificate to a file."""
    path = tmp_path / "company.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return path


def submitted(url: str) -> str:
    """Submit a request with a client of its own."""

    async def run() -> str:
        client = HubClient(url, Secret(KEY))
        try:
            return await client.submit(DOG)
        finally:
            await client.aclose()

    return asyncio.run(run())


def failure_of(url: str, kind: type[MountseaError] = HubUnavailable) -> str:
    """Return the error message of a submission; check that no traceback shows key or password."""
    with pytest.raises(kind) as caught:
        submitted(url)
    shown = all_text_of(caught.value)
    assert KEY not in shown and "s3cret" not in shown
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "socks", "socks5", "socks5h"])
@pytest.mark.parametrize("login", ["", "ann:s3cret@#/@"])
def test_a_hub_is_reached_through_a_proxy(
    company: Company, bundle: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, login: str
) -> None:
    """The proxy resolves the Hub's name, and the Hub gets one POST."""
    proxy = company.http if scheme == "http" else company.socks
    proxy.users = login[:-1]
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://{login}127.0.0.1:{proxy.port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert submitted(HUB) == "hub-0001"
    assert proxy.seen == [f"{'CONNECT ' if scheme == 'http' else ''}hub.example:443"]
    assert len(company.hub.posts) == 1


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_no_log_contains_a_proxy_password(
    company: Company,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
) -> None:
    """At DEBUG httpcore logs its calls with their arguments."""
    caplog.set_level(logging.DEBUG)
    proxy = company.http if scheme == "http" else company.socks
    proxy.users = "ann:s3cret'\"pass"
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://{proxy.users}@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert submitted(HUB) == "hub-0001"
    assert "send_request_headers" in caplog.text
    for secret in ("s3cret", base64.b64encode(b"ann:s3cret").decode()[:10], KEY):
        assert secret not in caplog.text


def test_plain_http_uses_the_proxy_too(
    company: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Submission, poll and download; an exempt host is reached directly."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{company.http.port}")

    async def run() -> None:
        client = HubClient(company.hub.url, Secret(KEY))
        task = await client.task(await client.submit(DOG))
        await client.download(ImageSource(task.sources[0].url), tmp_path / "part")
        await client.aclose()

    asyncio.run(run())
    assert [one.split()[0] for one in company.http.seen] == ["POST", "GET", "GET"]
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    asyncio.run(run())
    assert len(company.http.seen) == 3 and len(company.hub.posts) == 2


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks4://127.0.0.1:9"),
        ("HTTP_PROXY", "http://127.0.0.1:99999"),
        ("all_proxy", "nonsense://"),
    ],
)
def test_an_invalid_proxy_affects_only_the_hosts_that_need_it(
    company: Company, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """The error comes before anything is sent; an exempt Hub is reached."""
    monkeypatch.setenv(variable, value)
    assert failure_of(company.hub.url, ConfigurationError).startswith(f"{variable} can't be used: ")
    assert company.hub.posts == []
    monkeypatch.setenv("NO_PROXY", "::1,127.0.0.0/8")
    assert submitted(company.hub.url) == "hub-0001"


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
@pytest.mark.parametrize("hub", [HUB, "http://hub.example"])
def test_an_unreachable_proxy_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str, hub: str
) -> None:
    """With its variable, but without its password."""
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://ann:s3cret@{DEAD}")
    message = failure_of(hub)
    assert (
        f"The proxy {scheme}://{DEAD} (ALL_PROXY) can't be reached (Connection refused)" in message
    )
    assert "NO_PROXY=hub.example" in message


@pytest.mark.parametrize(("login", "verb"), [("", "requires"), ("ann:s3cret@", "rejected")])
@pytest.mark.parametrize("hub", [HUB, ""])
def test_407_names_the_proxy_and_where_its_password_goes(
    company: Company, monkeypatch: pytest.MonkeyPatch, login: str, verb: str, hub: str
) -> None:
    """Also if the proxy responds instead of the Hub, for plain http."""
    company.http.users = "ann:right"
    monkeypatch.setenv("ALL_PROXY", f"http://{login}127.0.0.1:{company.http.port}")
    message = failure_of(hub or company.hub.url)
    assert f"The proxy http://127.0.0.1:{company.http.port} (ALL_PROXY) {verb}" in message
    assert ("http://USER:PASSWORD@127.0.0.1" in message) is not bool(login)
    assert (len(company.http.seen), company.hub.posts) == (1, [])


@pytest.mark.parametrize(("login", "verb"), [("", "requires"), ("ann:s3cret@", "rejected")])
def test_a_socks_proxy_that_requires_a_password_is_named(
    company: Company, monkeypatch: pytest.MonkeyPatch, login: str, verb: str
) -> None:
    """SOCKS has no 407, but an equivalent."""
    company.socks.users = "ann:right"
    monkeypatch.setenv("ALL_PROXY", f"socks5://{login}127.0.0.1:{company.socks.port}")
    assert f"(ALL_PROXY) {verb}" in failure_of(HUB)


@pytest.mark.parametrize("status", ["403 Forbidden", "502 Bad Gateway", "503 Busy"])
def test_a_proxy_that_does_not_connect_is_named(
    company: Company, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """Nothing was sent, so the submission is not uncertain."""
    company.http.refusal = status
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{company.http.port}")
    assert f"(HTTPS_PROXY) could not connect to hub.example ({status})" in failure_of(HUB)


def test_a_socks_proxy_that_does_not_connect_is_named(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason."""
    company.socks.reply = 4
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{company.socks.port}")
    message = failure_of(HUB)
    assert (
        "(ALL_PROXY) could not connect to hub.example" in message and "Host unreachable" in message
    )


def test_if_a_proxy_hangs_up_before_it_connects_nothing_was_sent(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever error httpx raises, the submission is not uncertain."""
    company.http.hang_up = True
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{company.http.port}")
    assert "(HTTPS_PROXY) could not connect to hub.example" in failure_of(HUB)


def test_a_proxy_page_is_not_an_error_of_the_hub(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has its title and the proxy; there is no retry."""
    company.http.refusal = "403 Forbidden"
    company.http.page = b"<html><title>Blocked by ACME &amp; Co</title><body>No.</body></html>"
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{company.http.port}")
    message = failure_of(company.hub.url)
    assert (
        "instead of the Hub (HTTP 403, “Blocked by ACME & Co”)" in message
        and "(HTTP_PROXY)" in message
    )
    assert "key" not in message


def test_an_https_url_of_an_http_proxy_is_named(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A common mistake: the scheme in HTTPS_PROXY is that of the proxy, not of the requests."""
    monkeypatch.setattr(mountsea_magic.hub.exchange, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setenv("HTTPS_PROXY", f"https://{company.hub.url.removeprefix('http://')}")
    message = failure_of(HUB)
    assert "The TLS connection to the proxy" in message and "correct HTTPS_PROXY" in message


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_company_certificate_is_trusted_through_its_variable(
    company: Company, bundle: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Any variable of common tools; without one the error names the host and SSL_CERT_FILE."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{company.http.port}")
    message = failure_of(HUB)
    assert "The certificate of hub.example is not trusted" in message and "SSL_CERT_FILE" in message
    assert company.hub.requests == []
    monkeypatch.setenv(variable, str(bundle))
    assert submitted(HUB) == "hub-0001"


def test_a_folder_of_certificates_needs_hashed_names(
    company: Company, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As OpenSSL requires; missing folders are skipped."""
    folder = tmp_path / "certs"
    folder.mkdir()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{company.http.port}")
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(tmp_path / "none"), str(folder)]))
    assert "hashed names" in failure_of(HUB, ConfigurationError)
    shutil.copy(bundle, folder / HASHED_NAME)
    assert submitted(HUB) == "hub-0001"


def test_a_bundle_that_lacks_the_certificate_is_named(
    company: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With its variable; a corrected file is read again."""
    path = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{company.http.port}")
    assert f"It was checked with REQUESTS_CA_BUNDLE={path}: add" in failure_of(HUB)
    AUTHORITY.cert_pem.write_to_path(str(path), append=True)
    assert submitted(HUB) == "hub-0001"


@pytest.mark.parametrize(
    ("name", "dates", "text"),
    [
        ("hub.example", {"not_after": EARLY}, "has expired"),
        ("hub.example", {"not_before": LATE, "not_after": LATE}, "is not valid yet"),
        ("other.example", {}, "is for another host"),
    ],
)
def test_the_error_says_what_is_wrong_with_a_certificate(
    company: Company,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    dates: dict[str, datetime],
    text: str,
) -> None:
    """Trusting its issuer does not help if it has expired."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with Relay(tls=tls_context(name, **dates)) as tls:
        company.http.routes["hub.example:443"] = f"127.0.0.1:{tls.port}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{company.http.port}")
        message = failure_of(HUB)
    assert "hub.example" in message and text in message


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "No such file"), (b"", "no certificate"), (b"\x00\xffnone", "no certificate")],
)
def test_invalid_certificate_files_are_named_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, content: bytes | None, text: str
) -> None:
    """Even for a Hub without TLS: its images nearly always use https, and are paid for by then."""
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(variable, str(path))
    with StandInHub() as hub:
        message = failure_of(hub.url, ConfigurationError)
        assert hub.requests == []
    assert message.startswith(f"{variable}={path} can't be used: ") and text in message


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_without_certificates_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """Otherwise no host would be trusted."""
    monkeypatch.setenv(variable, str(tmp_path))
    message = failure_of("http://127.0.0.1:9", ConfigurationError)
    assert message.startswith(f"{variable}={tmp_path} can't be used: ")


@pytest.mark.parametrize("path", ["/none/keys.log", "{folder}", "a\nb/c"])
def test_a_key_log_that_cant_be_written_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    """Some virus scanners leave the variable behind."""
    monkeypatch.setenv("SSLKEYLOGFILE", path.format(folder=tmp_path))
    with StandInHub() as hub:
        assert submitted(hub.url) == "hub-0001"


def test_the_key_log_is_written(
    company: Company, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in Python's default context."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{company.http.port}")
    submitted(HUB)
    assert "TRAFFIC_SECRET" in (tmp_path / "keys.log").read_text()


@pytest.mark.parametrize("host", ["hub", "proxy"])
def test_a_response_that_is_lost_behind_a_proxy_is_uncertain(
    company: Company, bundle: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Once the POST was sent, a proxy's error proves nothing."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{company.http.port}")
    company.hub.submits.append(BAD_GATEWAY if host == "proxy" else Reply(reset=True))
    with pytest.raises(MountseaError, match="may have accepted the submission") as caught:
        submitted(HUB)
    assert KEY not in all_text_of(caught.value)
    assert len(company.hub.posts) == 1


def test_certificates_of_the_system_and_of_certifi_are_trusted() -> None:
    """Without any variable."""
    from mountsea_magic.hub.certificates import ssl_context
    from mountsea_magic.hub.proxies import Network

    context = ssl_context(Network())
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 50
    assert ssl_context(Network()) is context


def test_an_https_url_of_an_http_hub_is_named() -> None:
    """Nothing was submitted, and the message names the scheme."""
    with StandInHub() as hub:
        message = failure_of(hub.url.replace("http:", "https:"))
        assert "should begin with http:// instead of https://" in message
        assert hub.posts == []


def test_an_invalid_proxy_for_the_credits_url_is_named(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub itself needs no proxy, so its client can be created."""
    monkeypatch.setenv("HTTPS_PROXY", "socks4://ann:s3cret@127.0.0.1:9")

    async def run() -> None:
        client = HubClient(company.hub.url, Secret(KEY), credits_url="https://credits.example/c")
        try:
            await client.credits()
        finally:
            await client.aclose()

    with pytest.raises(ConfigurationError, match="HTTPS_PROXY can't be used") as caught:
        asyncio.run(run())
    assert KEY not in all_text_of(caught.value) and "s3cret" not in all_text_of(caught.value)


def test_certificates_that_are_loaded_early_are_loaded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever needs them meanwhile waits for them; an error is raised where they are needed."""
    from mountsea_magic.hub import certificates
    from mountsea_magic.hub.proxies import Network

    loaded: list[ssl.SSLContext] = []

    def load() -> ssl.SSLContext:
        loaded.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return loaded[-1]

    monkeypatch.setattr(certificates, "_default_context", load)
    network = Network(certificates_changed_at=7)  # not cached by another test
    certificates.load_early(network)
    assert certificates.ssl_context(network) is certificates.ssl_context(network)
    assert len(loaded) == 1
    wrong = Network(certificates_variable="SSL_CERT_FILE", certificates_path="/dev/null")
    certificates.load_early(wrong)
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE=/dev/null can't be used"):
        certificates.ssl_context(wrong)
