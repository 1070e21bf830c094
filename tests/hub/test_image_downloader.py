"""Downloads from real hosts: which hosts are allowed, redirects, limits and errors."""

from __future__ import annotations

import asyncio
import base64
import socket
import textwrap
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_server import KEY, RESET, Reply, StandInHub, all_text_of, data_uri, image

from mountsea_magic.errors import HubUnavailable
from mountsea_magic.hub import image_downloader
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.connector import UnusableUrl
from mountsea_magic.hub.image_downloader import MAX_REDIRECTS, ImageDownloader
from mountsea_magic.hub.proxies import read_network
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.hub.transport import EnvironmentTransport, Peers
from mountsea_magic.images.files import BadImage, TooLarge
from mountsea_magic.request.request import build_request
from mountsea_magic.settings import Secret

BASE64 = base64.b64encode(image("webp")).decode()

PUBLIC = "https://8.8.8.8"
"""A public Hub, so that private addresses are forbidden; it gets no requests."""

LINK_LOCAL = [
    "http://169.254.169.254/latest/meta-data/?s3cret-query",
    "http://2852039166/?s3cret-query",
    "http://0xa9fea9fe/?s3cret-query",
    "http://169.254.43518/?s3cret-query",
    "http://[::ffff:169.254.169.254]/?s3cret-query",
    "http://[64:ff9b::a9fe:a9fe]/?s3cret-query",
    "http://[2002:a9fe:a9fe::]/?s3cret-query",
    "https://[fe80::1]/?s3cret-query",
]
PRIVATE = ["127.0.0.1", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "[fd00::1]"]
NOT_HTTP = ["ftp://127.0.0.1/a?s3cret-query", "file:///etc/passwd", "gopher://127.0.0.1/a"]


class RedirectedTransport(httpx.AsyncHTTPTransport):
    """Sends the requests for every host to a stand-in's image host."""

    def __init__(self, hub: StandInHub) -> None:
        super().__init__()
        self._host = httpx.URL(hub.image_origin)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request there, whatever its host."""
        request.url = request.url.copy_with(
            scheme=self._host.scheme, host=self._host.host, port=self._host.port
        )
        response = await super().handle_async_request(request)
        del response.extensions["network_stream"]  # it has the stand-in's real address
        return response


def downloaded(hub: StandInHub, source: ImageSource, folder: Path) -> bytes:
    """Download an image with a client of that Hub, which has a key."""

    async def work() -> None:
        client = HubClient(hub.url, Secret(KEY))
        try:
            await client.download(source, folder / "part")
        finally:
            await client.aclose()

    asyncio.run(work())
    return (folder / "part").read_bytes()


def downloaded_for(
    url: str,
    folder: Path,
    *,
    base_url: str | None = PUBLIC,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """Download an image for a Hub at another URL."""

    async def work() -> None:
        network = read_network()
        carrier = transport or EnvironmentTransport(network)
        async with httpx.AsyncClient(transport=carrier) as http:
            with (folder / "part").open("wb") as file:
                downloader = ImageDownloader(http, base_url, network=network)
                await downloader.fetch(ImageSource(url), file)

    asyncio.run(work())
    return (folder / "part").read_bytes()


async def failure_of(
    respond: Callable[[asyncio.StreamWriter], Awaitable[None]], folder: Path
) -> HubUnavailable:
    """Download from a host with a custom response; return the error."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # the client may hang up
            await reader.readuntil(b"\r\n\r\n")
            await respond(writer)
            await reader.read()
        writer.transport.abort()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a?s3cret-query"
    try:
        async with httpx.AsyncClient() as http:
            with (folder / "part").open("wb") as file, pytest.raises(HubUnavailable) as caught:
                await ImageDownloader(http, url).fetch(ImageSource(url), file)
    finally:
        await ended.wait()
        server.close()
        await server.wait_closed()
    return caught.value


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_download_is_byte_for_byte(kind: str, tmp_path: Path) -> None:
    """The file has exactly what the host sent; the request accepts no compression."""
    content = image(kind)
    with StandInHub(downloads=[Reply(200, content, {"Content-Type": "text/html"})]) as hub:
        source = ImageSource(hub.image_url("a.png"))
        assert downloaded(hub, source, tmp_path) == content
        (seen,) = hub.downloads_seen
    assert seen.path == "/a.png?signature=s3cret-query"
    assert seen.headers["accept-encoding"] == "identity"


def test_redirects_are_followed_without_the_key(tmp_path: Path) -> None:
    """Even if an image host redirects to the API's origin."""
    with StandInHub(polls=[Reply(200, image())]) as hub:
        hub.downloads += [
            Reply(302, headers={"Location": "/b.png?signature=other"}),
            Reply(307, headers={"Location": f"{hub.url}/hub/v1/tasks/x"}),
        ]
        assert downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path) == image()
        for seen in [*hub.downloads_seen, *hub.requests]:
            assert "authorization" not in seen.headers
            assert "x-api-key" not in seen.headers
        assert (len(hub.downloads_seen), len(hub.requests)) == (2, 1)


def test_endless_redirects_are_an_error(tmp_path: Path) -> None:
    """After a limited number of requests."""
    with StandInHub(downloads=[Reply(302, headers={"Location": "/b"})] * 9) as hub:
        with pytest.raises(HubUnavailable):
            downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
        assert len(hub.downloads_seen) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("status", [204, 304, 400, 403, 404, 410, 500, 503])
def test_an_error_response_to_a_download_has_its_status(status: int, tmp_path: Path) -> None:
    """The status decides whether fresh URLs are requested."""
    with StandInHub(downloads=[Reply(status)]) as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert caught.value.status_code == status
    assert "s3cret-query" not in str(caught.value)


@pytest.mark.parametrize(
    "reply", [RESET, Reply(200, image()[:40], length=4000)], ids=["reset", "cut"]
)
def test_a_broken_download_does_not_show_the_signed_url(reply: Reply, tmp_path: Path) -> None:
    """Its query is a secret, and is in no error and no cause."""
    with StandInHub(downloads=[reply]) as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    cause = caught.value.__cause__
    assert isinstance(cause, httpx.RequestError)
    assert cause.__traceback__ is None
    assert caught.value.__context__ in (None, cause)
    assert "s3cret-query" not in str(caught.value) + str(cause)


@pytest.mark.parametrize(
    "url",
    [
        *NOT_HTTP,
        "http://0251.0376.0251.0376/?s3cret-query",
        "http://",
        "http://[::1/a?s3cret-query",
        "http://127.0.0.1:x/a?s3cret-query",
        "http://a\x00b/a?s3cret-query",
    ],
)
def test_an_invalid_url_is_hub_unavailable(url: str, tmp_path: Path) -> None:
    """No local file is read for it."""
    with StandInHub() as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, ImageSource(url), tmp_path)
    assert "s3cret-query" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"\x89PNG" + b"x" * 9_996, endless=True),
        Reply(200, b"x" * 100_001),
        Reply(200, b"x" * 200_000, length=400_000),
    ],
    ids=["endless", "one too many", "cut and too large"],
)
def test_an_image_that_is_too_large_is_aborted(
    reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Received bytes are counted, whatever was declared; no byte more is written."""
    monkeypatch.setattr(image_downloader, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[reply]) as hub, pytest.raises(BadImage, match=r"larger|more than"):
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert (tmp_path / "part").stat().st_size <= 100_000


def test_an_image_of_exactly_the_limit_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is inclusive."""
    monkeypatch.setattr(image_downloader, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[Reply(200, b"x" * 100_000)]) as hub:
        assert len(downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)) == 100_000


def test_bytes_after_the_declared_length_are_ignored(tmp_path: Path) -> None:
    """As HTTP requires."""
    with StandInHub(downloads=[Reply(200, image() * 50, length=len(image()))]) as hub:
        assert downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path) == image()


@pytest.mark.parametrize(
    "source",
    [
        ImageSource(data_uri(image("webp"), "webp")),
        ImageSource(data_uri(image("webp"), "webp").replace("data:", "DATA:")),
        ImageSource("data:image/webp," + "".join(f"%{byte:02x}" for byte in image("webp"))),
        ImageSource(None, data_uri(image("webp")).partition(",")[2]),
        ImageSource(None, "\n ".join(data_uri(image("webp")).partition(",")[2])),
        *(
            ImageSource(None, text)
            for text in (
                BASE64.replace("+", "-").replace("/", "_"),
                BASE64.rstrip("="),
                BASE64.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
                "%0D%0A".join(textwrap.wrap(BASE64, 76)),
                f"  {BASE64}\n",
                f"data:image/webp;base64,{BASE64}",
            )
        ),
        *(
            ImageSource(text)
            for text in (
                f"DATA:IMAGE/WEBP;BASE64,{BASE64}\n",
                f"data:;base64,{BASE64}",
                f"data:image/webp;charset=utf-8;base64,{BASE64.rstrip('=')}",
                f"data:image/webp; base64 ,{BASE64}",
                f"data:image/webp;base64;name=dog.webp, {BASE64}",
                f"data:application/octet-stream;base64,{BASE64.replace('+', '-')}",
                f"data:image/webp,{BASE64}",
                f"data:image/webp%3Bbase64,{BASE64}",
            )
        ),
    ],
)
def test_an_inline_image_needs_no_request(source: ImageSource, tmp_path: Path) -> None:
    """Data URIs and base64 are decoded byte for byte."""
    with StandInHub() as hub:
        assert downloaded(hub, source, tmp_path) == image("webp")
        assert hub.downloads_seen == hub.requests == []


@pytest.mark.parametrize("text", ["data:image/png;base64,a*b", "data:image/png;base64,abcde"])
def test_damaged_base64_is_a_bad_image(text: str, tmp_path: Path) -> None:
    """Invalid characters are not skipped silently."""
    with StandInHub() as hub, pytest.raises(BadImage, match="base64"):
        downloaded(hub, ImageSource(text), tmp_path)


def test_a_data_uri_that_is_too_large_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit also applies to inline images, before they are decoded."""
    monkeypatch.setattr(image_downloader, "MAX_BYTES", 1000)
    with StandInHub() as hub, pytest.raises(BadImage, match=r"larger|more than"):
        downloaded(hub, ImageSource(data_uri(b"x" * 2000)), tmp_path)


@pytest.mark.parametrize("url", LINK_LOCAL)
def test_link_local_addresses_are_always_forbidden(url: str, tmp_path: Path) -> None:
    """In any spelling, and even for a Hub on this machine: metadata services are there."""
    with StandInHub() as hub, pytest.raises(HubUnavailable, match="private network") as caught:
        downloaded(hub, ImageSource(url), tmp_path)
    assert "s3cret-query" not in all_text_of(caught.value)
    assert (tmp_path / "part").read_bytes() == b""


@pytest.mark.parametrize("url", [*LINK_LOCAL, *NOT_HTTP, "http://[::1/a?s3cret-query"])
def test_redirects_to_forbidden_urls_are_not_followed(url: str, tmp_path: Path) -> None:
    """There is one request, and none after the redirect."""
    with StandInHub(downloads=[Reply(302, headers={"Location": url})]) as hub:
        with pytest.raises(HubUnavailable) as caught:
            downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
        assert (len(hub.downloads_seen), len(hub.requests)) == (1, 0)
    assert "s3cret-query" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_forbidden_for_a_public_hub(host: str, tmp_path: Path) -> None:
    """Neither this machine nor its network gets a request."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        port = hub.image_origin.rpartition(":")[2]
        with pytest.raises(HubUnavailable, match="private network"):
            downloaded_for(f"http://{host}:{port}/a.png", tmp_path)
        assert hub.downloads_seen == []


@pytest.mark.parametrize("host", PRIVATE)
def test_redirects_to_private_addresses_are_not_followed(host: str, tmp_path: Path) -> None:
    """Only the first, public host gets a request."""
    with StandInHub(downloads=[Reply(307, headers={"Location": f"http://{host}/b"})]) as hub:
        with pytest.raises(HubUnavailable, match="private network"):
            downloaded_for("https://9.9.9.9/a", tmp_path, transport=RedirectedTransport(hub))
        assert [seen.path for seen in hub.downloads_seen] == ["/a"]


def test_a_public_image_of_a_public_hub_is_downloaded(tmp_path: Path) -> None:
    """Through as many redirects as are allowed."""
    hops = [Reply(302, headers={"Location": f"http://1.1.1.{n}/"}) for n in range(MAX_REDIRECTS)]
    with StandInHub(downloads=[*hops, Reply(200, image())]) as hub:
        assert (
            downloaded_for("https://9.9.9.9/a", tmp_path, transport=RedirectedTransport(hub))
            == image()
        )
        assert len(hub.downloads_seen) == MAX_REDIRECTS + 1


def test_a_hub_in_this_process_has_no_ip_addresses(tmp_path: Path) -> None:
    """The demo's transport accepts any host name; URLs other than http are still rejected."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        network = RedirectedTransport(hub)
        url = "http://demo-hub.invalid/pictures/1"
        assert downloaded_for(url, tmp_path, base_url=None, transport=network) == image()
        with pytest.raises(HubUnavailable, match="http or https"):
            downloaded_for("ftp://demo-hub.invalid/1", tmp_path, base_url=None, transport=network)
        assert len(hub.downloads_seen) == 1


def no_such_name(*given: Any, **more: Any) -> Any:
    """Resolve nothing, as in a network behind a proxy."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_the_error_for_an_unknown_host_does_not_show_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its query may be a signature."""
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(HubUnavailable, match="could not be resolved") as caught:
        downloaded_for("http://images.example/a?s3cret-query", tmp_path)
    assert "s3cret-query" not in all_text_of(caught.value)


def test_a_proxy_resolves_names_that_are_unknown_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is downloaded through it, but never from a link-local address."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        monkeypatch.setenv("HTTP_PROXY", hub.image_origin)
        with pytest.raises(HubUnavailable, match="private network"):
            downloaded_for("http://169.254.169.254/a", tmp_path)
        with monkeypatch.context() as patch:
            port = int(hub.image_origin.rpartition(":")[2])
            here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))

            def known_to_the_proxy(host: Any, *given: Any, **more: Any) -> Any:
                return [here] if host in ("127.0.0.1", b"127.0.0.1") else no_such_name()

            patch.setattr(socket, "getaddrinfo", known_to_the_proxy)
            assert downloaded_for("http://images.example/a.png", tmp_path) == image()
        assert [seen.path for seen in hub.downloads_seen] == ["http://images.example/a.png"]


@pytest.mark.parametrize(
    "reply", [Reply(200, image()), Reply(302, headers={"Location": "/b"})], ids=["200", "302"]
)
def test_dns_rebinding_does_not_reach_private_addresses(
    reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name resolves to a public host, then to this machine; no connection is made."""
    resolve, lookups = socket.getaddrinfo, list[str]()

    def rebinding(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("images.example", b"images.example"):
            lookups.append("images.example")
            host = "9.9.9.9" if len(lookups) % 2 else "127.0.0.1"
        return resolve(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with StandInHub(downloads=[reply, Reply(200, image())]) as hub:
        url = f"http://images.example:{hub.image_origin.rpartition(':')[2]}/a.png?s3cret-query"
        with pytest.raises(HubUnavailable, match="private network") as caught:
            downloaded_for(url, tmp_path)
        assert (len(lookups), hub.peak_connections, hub.downloads_seen) == (2, (0, 0), [])
        assert (tmp_path / "part").read_bytes() == b""
        assert "s3cret-query" not in all_text_of(caught.value)
        assert downloaded_for(url, tmp_path, base_url=hub.url) == image()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("NO_PROXY", "localhost"), ("HTTPS_PROXY", "http://127.0.0.1:9"), ("both", "*")],
)
def test_a_proxy_for_other_urls_does_not_disable_the_check(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL without a proxy is checked by the IP address that it resolves to."""
    if variable == "both":
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY" if variable == "both" else variable, value)
    resolve, lookups = socket.getaddrinfo, list[str]()

    def rebinding(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("images.example", b"images.example"):
            lookups.append("images.example")
            host = "9.9.9.9" if len(lookups) == 1 else "127.0.0.1"
        return resolve(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        url = f"http://images.example:{hub.image_origin.rpartition(':')[2]}/a.png"
        with pytest.raises(HubUnavailable, match="private network"):
            downloaded_for(url, tmp_path)
        assert hub.peak_connections == (0, 0)
    assert (tmp_path / "part").read_bytes() == b""


def test_the_hubs_network_is_that_of_the_addresses_that_responded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its name resolves to this machine later, this machine stays forbidden."""

    async def fetch(hub: StandInHub, peer: str) -> bytes:
        peers: Peers = {("hub.example", None): {ip_address(peer)}}
        async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
            with (tmp_path / "part").open("wb") as file:
                downloader = ImageDownloader(
                    http, "https://hub.example", network=read_network(), peers=peers
                )
                await downloader.fetch(ImageSource(hub.image_url("a.png")), file)
        return (tmp_path / "part").read_bytes()

    resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: resolved)
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        for peer in ("8.8.8.8", "10.0.0.1", "192.0.2.2"):
            with pytest.raises(UnusableUrl, match="private network"):
                asyncio.run(fetch(hub, peer))
        assert hub.peak_connections == (0, 0)
        assert asyncio.run(fetch(hub, "127.0.0.1")) == image()


def test_a_client_records_the_address_of_its_hub(tmp_path: Path) -> None:
    """Downloads then need no second DNS lookup of the Hub."""

    async def work(hub: StandInHub, url: str) -> None:
        client = HubClient(url, Secret(KEY))
        task = await client.task(await client.submit(build_request("a dog")))
        await client.download(task.sources[0], tmp_path / "part")
        assert list(client._exchange.peers.values()) == [{ip_address("127.0.0.1")}]
        await client.aclose()

    with StandInHub() as hub:
        asyncio.run(work(hub, hub.url.replace("127.0.0.1", "localhost")))
    assert (tmp_path / "part").read_bytes() == image()


MALFORMED = [
    *("http://xn--/a", "http://xn--zzzzzz99999/a", "http://[::1/a", "http://[v1.a]/", "http:///a"),
    *("https://h.example:65536/a", "http://h.example:-1/", "http://h.example:abc/", "http://h:0/"),
    *(f"http://h:{'9' * 5000}/", f"http://{'a' * 64}.example/", "http://a..example/", "http://u@/"),
    *(
        "http://\u200d/",
        "http://a\u200db.example/",
        "http://h/\ud800",
        "http://\ud800/",
        "http://./",
    ),
    *("http://999.1.1.1/", "http://0177.0.0.1/", f"http://{'[' * 2000}/", "", "/a", "//", "http:a"),
    *("ftp://h/a", "file:///etc/passwd", "javascript:alert(1)", f"http://h/{'a' * 70000}"),
    *("http://h/\x00", "http://h/\r\nX: y", "1http://h/", "://", "http:\\\\h\\a"),
]


def test_every_malformed_url_raises_a_short_unusable_url(tmp_path: Path) -> None:
    """No error of httpx, idna or Python escapes, and nothing is requested."""

    async def work() -> None:
        async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
            downloader = ImageDownloader(http, "http://127.0.0.1:9", network=read_network())
            for url in MALFORMED:
                with (tmp_path / "part").open("wb") as file, pytest.raises(UnusableUrl) as caught:
                    await downloader.fetch(ImageSource(url), file)
                assert len(str(caught.value)) < 80

    asyncio.run(work())


@pytest.mark.parametrize(
    ("location", "requests"),
    [
        *((url, 1) for url in ("http://xn--/", "http://[::1", "http://h:65536/", "http://h:abc/")),
        *((url, 1) for url in ("ftp://h/", "data:image/png;base64,AA", "file:///etc/passwd")),
        *(
            (url, 1)
            for url in ("http://\u00e9\u00ff\u00fe/", "//:0/", "mailto:a@b", "http://u:p@/")
        ),
        *((url, MAX_REDIRECTS + 1) for url in ("", "?", "#", "a.png", "\\\\evil\\a", "%zz")),
    ],
)
def test_every_malformed_redirect_raises_a_short_error(
    location: str, requests: int, tmp_path: Path
) -> None:
    """Invalid targets are rejected, and redirect loops end."""
    redirect = Reply(302, headers={"Location": location.encode().decode("latin-1")}, repeat=True)
    with StandInHub(downloads=[redirect]) as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert len(hub.downloads_seen) == requests
    assert len(str(caught.value)) < 300 and "s3cret-query" not in str(caught.value)


def test_a_declared_size_over_the_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises `TooLarge`, which is not retried."""
    monkeypatch.setattr(image_downloader, "MAX_BYTES", 1000)
    huge = Reply(200, b"x" * 1001)
    with StandInHub(downloads=[huge]) as hub, pytest.raises(TooLarge, match="declares 1001"):
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert (tmp_path / "part").read_bytes() == b""


def test_a_silent_host_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that never responds does not block the cell."""
    monkeypatch.setattr(image_downloader, "READ_TIMEOUT_S", httpx.Timeout(None, read=0.05))
    with StandInHub(downloads=[Reply(hold=threading.Event())]) as hub:
        with pytest.raises(HubUnavailable, match="could not be downloaded"):
            downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
        hub.wait_until(lambda: len(hub.downloads_seen) == 1)


def test_a_host_that_stops_sending_times_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an image."""
    monkeypatch.setattr(image_downloader, "READ_TIMEOUT_S", httpx.Timeout(None, read=0.05))

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + image()[:40])
        await writer.drain()

    error = asyncio.run(failure_of(respond, tmp_path))
    assert "could not be downloaded" in str(error)
    assert "s3cret-query" not in all_text_of(error)


def test_headers_that_are_too_slow_time_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the host keeps sending bytes."""
    monkeypatch.setattr(image_downloader, "HEADERS_TIMEOUT_S", 0.5)

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    error = asyncio.run(asyncio.wait_for(failure_of(respond, tmp_path), 30))
    assert "no response arrived" in str(error)
    assert "s3cret-query" not in all_text_of(error)


def test_a_stalled_download_is_aborted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte no read times out, so the speed is checked."""
    monkeypatch.setattr(image_downloader, "GRACE_S", 0.05)

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        for _ in range(4000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    error = asyncio.run(failure_of(respond, tmp_path))
    assert "stalled (under 4 kB/s" in str(error)
    assert (tmp_path / "part").stat().st_size < 4000


class PeerTransport(httpx.AsyncBaseTransport):
    """Responds with an image, as if from a server with this IP address."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def get_extra_info(self, name: str) -> Any:
        """Return the server's address, as httpcore's network streams do."""
        return (self._peer, 443) if name == "server_addr" else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond without a connection."""
        return httpx.Response(200, content=image(), extensions={"network_stream": self})


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
def test_a_response_from_a_private_address_is_discarded(peer: str, tmp_path: Path) -> None:
    """Whatever the name resolved to, the address that the client is connected to counts."""
    with pytest.raises(HubUnavailable, match="private network"):
        downloaded_for("https://9.9.9.9/a", tmp_path, transport=PeerTransport(peer))
    assert (tmp_path / "part").read_bytes() == b""
    public = PeerTransport("9.9.9.9")
    assert downloaded_for("https://9.9.9.9/a", tmp_path, transport=public) == image()


def test_if_the_hubs_name_cant_be_resolved_only_public_hosts_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its network is then unknown."""
    resolve = socket.getaddrinfo

    def offline(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("hub.example", b"hub.example"):
            raise socket.gaierror("no such name")
        return resolve(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    transport, base_url = PeerTransport("9.9.9.9"), "https://hub.example"
    assert (
        downloaded_for("https://9.9.9.9/a", tmp_path, base_url=base_url, transport=transport)
        == image()
    )
    with pytest.raises(UnusableUrl, match="private network"):
        downloaded_for("http://127.0.0.1/a", tmp_path, base_url=base_url, transport=transport)
