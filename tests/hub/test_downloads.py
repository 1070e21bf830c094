"""Delivery against real hosts: which ones are asked, how far, and what is taken from them."""

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
from mountsea_magic.hub import downloads
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.connector import UnusableUrl
from mountsea_magic.hub.downloads import MAX_REDIRECTS, ImageDownloader
from mountsea_magic.hub.proxies import read_network
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.hub.transport import EnvironmentTransport, Peers
from mountsea_magic.images.files import BadImage, TooLarge
from mountsea_magic.request.request import build_request
from mountsea_magic.settings import Secret

BASE64 = base64.b64encode(image("webp")).decode()

PUBLIC = "https://8.8.8.8"
"""A Hub of the internet, so that nothing near it is a place for images; it is never asked."""

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
NEAR = ["127.0.0.1", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "[fd00::1]"]
NO_WEB = ["ftp://127.0.0.1/a?s3cret-query", "file:///etc/passwd", "gopher://127.0.0.1/a"]


class Rerouted(httpx.AsyncHTTPTransport):
    """An internet in which a stand-in's image host answers for every host."""

    def __init__(self, hub: StandInHub) -> None:
        """Lead to that stand-in."""
        super().__init__()
        self._host = httpx.URL(hub.image_origin)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request there, whatever host it names."""
        request.url = request.url.copy_with(
            scheme=self._host.scheme, host=self._host.host, port=self._host.port
        )
        response = await super().handle_async_request(request)
        del response.extensions["network_stream"]  # it would tell where the stand-in really is
        return response


def downloaded(hub: StandInHub, source: ImageSource, folder: Path) -> bytes:
    """Download one image with a client of that Hub, which has a key."""

    async def work() -> None:
        client = HubClient(hub.url, Secret(KEY))
        try:
            await client.download(source, folder / "part")
        finally:
            await client.aclose()

    asyncio.run(work())
    return (folder / "part").read_bytes()


def delivered(
    url: str,
    folder: Path,
    *,
    base_url: str | None = PUBLIC,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """Download one image for a Hub at another address."""

    async def work() -> None:
        network = read_network()
        carrier = transport or EnvironmentTransport(network)
        async with httpx.AsyncClient(transport=carrier) as http:
            with (folder / "part").open("wb") as file:
                downloads = ImageDownloader(http, base_url, network=network)
                await downloads.fetch(ImageSource(url), file)

    asyncio.run(work())
    return (folder / "part").read_bytes()


async def served(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]], folder: Path
) -> HubUnavailable:
    """Download from a host that answers at a pace of its own; return how that failed."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # the client may have had enough
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
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
    """What is written is what the host has sent; it is asked not to compress it."""
    content = image(kind)
    with StandInHub(downloads=[Reply(200, content, {"Content-Type": "text/html"})]) as hub:
        source = ImageSource(hub.image_url("a.png"))
        assert downloaded(hub, source, tmp_path) == content
        (seen,) = hub.downloads_seen
    assert seen.path == "/a.png?signature=s3cret-query"
    assert seen.headers["accept-encoding"] == "identity"


def test_an_image_is_followed_through_redirects_without_the_key(tmp_path: Path) -> None:
    """Image hosts may redirect, even back to the API's origin: the key is not sent along."""
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


def test_redirects_without_end_are_given_up(tmp_path: Path) -> None:
    """An image that is always elsewhere is not there."""
    with StandInHub(downloads=[Reply(302, headers={"Location": "/b"})] * 9) as hub:
        with pytest.raises(HubUnavailable):
            downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
        assert len(hub.downloads_seen) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("status", [204, 304, 400, 403, 404, 410, 500, 503])
def test_a_refused_download_bears_its_status(status: int, tmp_path: Path) -> None:
    """Whoever asks again for fresh addresses needs to know what the host has said."""
    with StandInHub(downloads=[Reply(status)]) as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert caught.value.status_code == status
    assert "s3cret-query" not in str(caught.value)


@pytest.mark.parametrize(
    "reply", [RESET, Reply(200, image()[:40], length=4000)], ids=["reset", "cut"]
)
def test_a_broken_download_tells_no_signed_address(reply: Reply, tmp_path: Path) -> None:
    """The query of a signed address is a secret too: it is in no error and in no cause."""
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
        *NO_WEB,
        "http://0251.0376.0251.0376/?s3cret-query",
        "http://",
        "http://[::1/a?s3cret-query",
        "http://127.0.0.1:x/a?s3cret-query",
        "http://a\x00b/a?s3cret-query",
    ],
)
def test_an_address_that_is_none_is_the_hosts_fault(url: str, tmp_path: Path) -> None:
    """Whatever the Hub calls an address: no file is read, and the error is one of ours."""
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
def test_an_image_that_is_too_large_is_given_up(
    reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are counted as they come, whatever was declared; not one more is written."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[reply]) as hub, pytest.raises(BadImage, match=r"larger|more than"):
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert (tmp_path / "part").stat().st_size <= 100_000


def test_an_image_of_exactly_the_limit_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit itself is allowed."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[Reply(200, b"x" * 100_000)]) as hub:
        assert len(downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)) == 100_000


def test_more_than_was_declared_is_not_taken(tmp_path: Path) -> None:
    """A body that goes on after its declared length is cut there, as HTTP says."""
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
            ImageSource(None, written)
            for written in (
                BASE64.replace("+", "-").replace("/", "_"),
                BASE64.rstrip("="),
                BASE64.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
                "%0D%0A".join(textwrap.wrap(BASE64, 76)),
                f"  {BASE64}\n",
                f"data:image/webp;base64,{BASE64}",
            )
        ),
        *(
            ImageSource(written)
            for written in (
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
def test_an_image_within_the_answer_needs_no_request(source: ImageSource, tmp_path: Path) -> None:
    """Data URIs and base64 are decoded here, byte for byte."""
    with StandInHub() as hub:
        assert downloaded(hub, source, tmp_path) == image("webp")
        assert hub.downloads_seen == hub.requests == []


@pytest.mark.parametrize("text", ["data:image/png;base64,a*b", "data:image/png;base64,abcde"])
def test_damaged_base64_is_a_bad_image(text: str, tmp_path: Path) -> None:
    """Letters that are no base64 are not skipped silently."""
    with StandInHub() as hub, pytest.raises(BadImage, match="base64"):
        downloaded(hub, ImageSource(text), tmp_path)


def test_a_data_uri_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds for images within the answer too, before they are decoded."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)
    with StandInHub() as hub, pytest.raises(BadImage, match=r"larger|more than"):
        downloaded(hub, ImageSource(data_uri(b"x" * 2000)), tmp_path)


@pytest.mark.parametrize("url", LINK_LOCAL)
def test_a_link_local_address_is_never_asked(url: str, tmp_path: Path) -> None:
    """However it is spelled, and even for a Hub on this machine: metadata is no image."""
    with StandInHub() as hub, pytest.raises(HubUnavailable, match="private network") as caught:
        downloaded(hub, ImageSource(url), tmp_path)
    assert "s3cret-query" not in all_text_of(caught.value)
    assert (tmp_path / "part").read_bytes() == b""


@pytest.mark.parametrize("url", [*LINK_LOCAL, *NO_WEB, "http://[::1/a?s3cret-query"])
def test_no_redirect_leads_astray(url: str, tmp_path: Path) -> None:
    """Each hop is judged as the first: one request, and none after the redirect."""
    with StandInHub(downloads=[Reply(302, headers={"Location": url})]) as hub:
        with pytest.raises(HubUnavailable) as caught:
            downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
        assert (len(hub.downloads_seen), len(hub.requests)) == (1, 0)
    assert "s3cret-query" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("host", NEAR)
def test_a_hub_of_the_internet_leads_to_nothing_near(host: str, tmp_path: Path) -> None:
    """Neither this machine nor its network is asked, though an image is waiting there."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        port = hub.image_origin.rpartition(":")[2]
        with pytest.raises(HubUnavailable, match="private network"):
            delivered(f"http://{host}:{port}/a.png", tmp_path)
        assert hub.downloads_seen == []


@pytest.mark.parametrize("host", NEAR)
def test_a_redirect_of_the_internet_leads_to_nothing_near(host: str, tmp_path: Path) -> None:
    """The first hop is public and is asked, the second is not."""
    with StandInHub(downloads=[Reply(307, headers={"Location": f"http://{host}/b"})]) as hub:
        with pytest.raises(HubUnavailable, match="private network"):
            delivered("https://9.9.9.9/a", tmp_path, transport=Rerouted(hub))
        assert [seen.path for seen in hub.downloads_seen] == ["/a"]


def test_a_public_image_of_a_public_hub_is_fetched(tmp_path: Path) -> None:
    """From public host to public host, through as many redirects as are allowed."""
    hops = [Reply(302, headers={"Location": f"http://1.1.1.{n}/"}) for n in range(MAX_REDIRECTS)]
    with StandInHub(downloads=[*hops, Reply(200, image())]) as hub:
        assert delivered("https://9.9.9.9/a", tmp_path, transport=Rerouted(hub)) == image()
        assert len(hub.downloads_seen) == MAX_REDIRECTS + 1


def test_a_hub_in_this_process_has_no_addresses(tmp_path: Path) -> None:
    """The demo's network carries any host's name; what is no web address is still refused."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        network = Rerouted(hub)
        url = "http://demo-hub.invalid/pictures/1"
        assert delivered(url, tmp_path, base_url=None, transport=network) == image()
        with pytest.raises(HubUnavailable, match="http or https"):
            delivered("ftp://demo-hub.invalid/1", tmp_path, base_url=None, transport=network)
        assert len(hub.downloads_seen) == 1


def no_such_name(*given: Any, **more: Any) -> Any:
    """Resolve nothing, as a network behind a proxy does."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_that_is_unknown_is_told_without_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that can't be found is the image host's trouble."""
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(HubUnavailable, match="could not be found") as caught:
        delivered("http://images.example/a?s3cret-query", tmp_path)
    assert "s3cret-query" not in all_text_of(caught.value)


def test_a_proxy_resolves_what_is_unknown_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy that knows the name the image is had, but a link-local one never."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        monkeypatch.setenv("HTTP_PROXY", hub.image_origin)
        with pytest.raises(HubUnavailable, match="private network"):
            delivered("http://169.254.169.254/a", tmp_path)
        with monkeypatch.context() as patch:
            port = int(hub.image_origin.rpartition(":")[2])
            here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))

            def known_to_the_proxy(host: Any, *given: Any, **more: Any) -> Any:
                return [here] if host in ("127.0.0.1", b"127.0.0.1") else no_such_name()

            patch.setattr(socket, "getaddrinfo", known_to_the_proxy)
            assert delivered("http://images.example/a.png", tmp_path) == image()
        assert [seen.path for seen in hub.downloads_seen] == ["http://images.example/a.png"]


@pytest.mark.parametrize(
    "reply", [Reply(200, image()), Reply(302, headers={"Location": "/b"})], ids=["200", "302"]
)
def test_a_name_that_changes_its_mind_leads_to_nothing_near(
    reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First it is a public host, then this machine: not even a connection is made to it."""
    resolve, asked = socket.getaddrinfo, list[str]()

    def fickle(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("images.example", b"images.example"):
            asked.append("images.example")
            host = "9.9.9.9" if len(asked) % 2 else "127.0.0.1"
        return resolve(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", fickle)
    with StandInHub(downloads=[reply, Reply(200, image())]) as hub:
        url = f"http://images.example:{hub.image_origin.rpartition(':')[2]}/a.png?s3cret-query"
        with pytest.raises(HubUnavailable, match="private network") as caught:
            delivered(url, tmp_path)
        assert (len(asked), hub.most_open, hub.downloads_seen) == (2, (0, 0), [])
        assert (tmp_path / "part").read_bytes() == b""
        assert "s3cret-query" not in all_text_of(caught.value)
        assert delivered(url, tmp_path, base_url=hub.url) == image()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("NO_PROXY", "localhost"), ("HTTPS_PROXY", "http://127.0.0.1:9"), ("both", "*")],
)
def test_a_proxy_for_other_addresses_opens_none(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this address is asked without a proxy, it is judged by whom it leads to."""
    if variable == "both":
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY" if variable == "both" else variable, value)
    resolve, asked = socket.getaddrinfo, list[str]()

    def fickle(host: Any, *given: Any, **more: Any) -> Any:
        if host in ("images.example", b"images.example"):
            asked.append("images.example")
            host = "9.9.9.9" if len(asked) == 1 else "127.0.0.1"
        return resolve(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", fickle)
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        url = f"http://images.example:{hub.image_origin.rpartition(':')[2]}/a.png"
        with pytest.raises(HubUnavailable, match="private network"):
            delivered(url, tmp_path)
        assert hub.most_open == (0, 0)
    assert (tmp_path / "part").read_bytes() == b""


def test_a_hub_is_where_it_has_answered_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That its name leads to this machine later opens nothing of it; a near one stays near."""

    async def fetch(hub: StandInHub, peer: str) -> bytes:
        peers: Peers = {("hub.example", None): {ip_address(peer)}}
        async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
            with (tmp_path / "part").open("wb") as file:
                fetcher = ImageDownloader(
                    http, "https://hub.example", network=read_network(), peers=peers
                )
                await fetcher.fetch(ImageSource(hub.image_url("a.png")), file)
        return (tmp_path / "part").read_bytes()

    resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: resolved)
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        for peer in ("8.8.8.8", "10.0.0.1", "192.0.2.2"):
            with pytest.raises(UnusableUrl, match="private network"):
                asyncio.run(fetch(hub, peer))
        assert hub.most_open == (0, 0)
        assert asyncio.run(fetch(hub, "127.0.0.1")) == image()


def test_a_client_knows_from_where_its_hub_has_answered(tmp_path: Path) -> None:
    """So that its images are fetched, or not, by that and no second look at its name."""

    async def work(hub: StandInHub, named: str) -> None:
        client = HubClient(named, Secret(KEY))
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


def test_every_malformed_url_is_a_short_error_of_ours(tmp_path: Path) -> None:
    """No kind of httpx's, of idna's or of Python's comes through, and nothing is asked."""

    async def work() -> None:
        async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
            fetcher = ImageDownloader(http, "http://127.0.0.1:9", network=read_network())
            for url in MALFORMED:
                with (tmp_path / "part").open("wb") as file, pytest.raises(UnusableUrl) as caught:
                    await fetcher.fetch(ImageSource(url), file)
                assert len(str(caught.value)) < 80

    asyncio.run(work())


@pytest.mark.parametrize(
    ("location", "asked"),
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
def test_every_malformed_redirect_is_a_short_error_of_ours(
    location: str, asked: int, tmp_path: Path
) -> None:
    """What leads nowhere is refused, and what leads around in circles is given up."""
    circle = Reply(302, headers={"Location": location.encode().decode("latin-1")}, lasting=True)
    with StandInHub(downloads=[circle]) as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert len(hub.downloads_seen) == asked
    assert len(str(caught.value)) < 300 and "s3cret-query" not in str(caught.value)


def test_a_declared_size_over_the_cap_is_not_even_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What says of itself that it is too large is not read, and is known to stay so."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)
    huge = Reply(200, b"x" * 1001)
    with StandInHub(downloads=[huge]) as hub, pytest.raises(TooLarge, match="declares 1001"):
        downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
    assert (tmp_path / "part").read_bytes() == b""


def test_a_silent_host_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes a request and says nothing does not hold the cell."""
    monkeypatch.setattr(downloads, "READ_S", httpx.Timeout(None, read=0.05))
    with StandInHub(downloads=[Reply(hold=threading.Event())]) as hub:
        with pytest.raises(HubUnavailable, match="did not deliver"):
            downloaded(hub, ImageSource(hub.image_url("a.png")), tmp_path)
        hub.wait_until(lambda: len(hub.downloads_seen) == 1)


def test_a_host_that_falls_silent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an image and then nothing is no image."""
    monkeypatch.setattr(downloads, "READ_S", httpx.Timeout(None, read=0.05))

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + image()[:40])
        await writer.drain()

    error = asyncio.run(served(answer, tmp_path))
    assert "did not deliver" in str(error)
    assert "s3cret-query" not in all_text_of(error)


def test_headers_that_trickle_in_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that never gets to the image is not waited for, however busy it seems."""
    monkeypatch.setattr(downloads, "HEADERS_S", 0.5)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    error = asyncio.run(asyncio.wait_for(served(answer, tmp_path), 30))
    assert "no answer came" in str(error)
    assert "s3cret-query" not in all_text_of(error)


def test_a_trickling_host_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte no read ever times out: the pace itself is looked at."""
    monkeypatch.setattr(downloads, "GRACE_S", 0.05)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        for _ in range(4000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    error = asyncio.run(served(answer, tmp_path))
    assert "trickles" in str(error)
    assert (tmp_path / "part").stat().st_size < 4000
