"""The demo Hub over real sockets: what it says, whom it refuses, and thirty students at once."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mountsea_magic.demo.server import serve
from mountsea_magic.demo.server.limits import Limits
from mountsea_magic.demo.server.serve import BackgroundLogHandler, listen, server_config

COMMAND = [sys.executable, "-m", "mountsea_magic.demo", "--port", "0", "--seconds", "0"]
SMALL = {"prompt": "red", "image_size": {"width": 64, "height": 64}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Serve on all addresses of this machine; give the URL of the loopback, and what is said."""
    home = tmp_path_factory.mktemp("served")
    command = [*COMMAND, "--host", "0.0.0.0", "--allow-host", "hub.example"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "MOUNTSEA_HOME": str(home)},
    ) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline() + process.stderr.readline()
            match = re.search(r"http://0\.0\.0\.0:(\d+)", said)
            assert match is not None
            yield f"http://127.0.0.1:{match[1]}", said
        finally:
            process.terminate()


def submit(client: httpx.Client, **headers: str) -> httpx.Response:
    """Submit a small image."""
    body = {"model": "gpt-image-2", "input": SMALL}
    return client.post("/hub/v1/image", json=body, headers=headers)


def test_it_says_where_and_for_whom_it_serves(served: tuple[str, str]) -> None:
    """Two lines, before anything else: address, key, hosts, limits."""
    _, said = served
    lines = said.splitlines()
    assert "no key needed" in lines[0]
    assert "hub.example" in lines[0]
    assert "any IP address" in lines[0]
    assert "56 MB" in lines[1]
    assert "400 open tasks" in lines[1]
    assert max(map(len, lines)) < 260


def test_pages_of_other_origins_and_other_hosts_reach_nothing(served: tuple[str, str]) -> None:
    """Over a real socket, with what a browser sends."""
    url, _ = served
    port = urlsplit(url).port
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert submit(client, Origin="http://evil.example").status_code == 403
        assert submit(client, Host=f"evil.example:{port}").status_code == 421
        assert submit(client, Host="hub.example").status_code == 200
        assert submit(client, Host=f"192.168.1.20:{port}", Origin=url).status_code == 403
        assert submit(client, Host=f"{socket.gethostname()}.local:{port}").status_code == 200
        assert submit(client, Origin=url).status_code == 200
        form = client.post("/hub/v1/image", data={"model": "gpt-image-2"})
        assert form.status_code == 415


def test_thirty_students_at_once_get_their_images(served: tuple[str, str]) -> None:
    """Each submits, polls and downloads; nobody is refused, and each gets an image of its own."""
    url, _ = served

    def learn(number: int) -> bytes:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            body = {"model": "gpt-image-2", "input": SMALL}
            submitted = client.post("/hub/v1/image", json=body)
            assert submitted.status_code == 200, submitted.text
            while True:
                state = client.get(f"/hub/v1/tasks/{submitted.json()['task_id']}").json()
                if state["ready"]:
                    break
                time.sleep(0.1)
            response = client.get(state["data"]["images"][0]["url"])
            assert response.status_code == 200, response.text
            return response.content

    with ThreadPoolExecutor(30) as students:
        images = list(students.map(learn, range(30)))
    assert len(set(images)) == 30
    assert all(image.startswith(b"\x89PNG") for image in images)


def test_inline_images_are_sent_within_the_json(served: tuple[str, str]) -> None:
    """`sync_mode` gives as many data URIs as were asked for, and nothing else changes."""
    url, _ = served
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        given = {"prompt": "red", "sync_mode": True, "num_images": 2, "resolution": "0.5K"}
        body = {"model": "nano-banana-2", "input": given}
        task_id = client.post("/hub/v1/image", json=body).json()["task_id"]
        data = client.get(f"/hub/v1/tasks/{task_id}").json()["data"]
        uris = [image["url"] for image in data["images"]]
        assert len(set(uris)) == 2
        for uri in uris:
            edit = {"prompt": "winter", "image_urls": [uri]}
            sent = client.post("/hub/v1/image", json={"model": "nano-banana-edit", "input": edit})
            assert sent.status_code == 200, sent.text


@pytest.mark.parametrize(
    "words",
    [
        *(["--port", "65536"], ["--port", "-1"], ["--port", ""]),
        *(["--seconds", "nan"], ["--seconds", "-1"], ["--seconds", "inf"]),
        *(["--host", ""], ["--host", "http://localhost"], ["--host", "a b"]),
        *(["--allow-host", "*"], ["--allow-host", "http://x"], ["--allow-host", "x:80"]),
        *(["--allow-host", ""], ["--key", ""], ["--key", "ä"], ["--key", "a\nb"]),
    ],
    ids=" ".join,
)
def test_bad_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the option's name and without a traceback, before anything listens."""
    from mountsea_magic.demo.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err.splitlines()[-1]


def test_an_address_that_is_not_to_be_had_is_said(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port in use, a name that nobody knows, and a folder that is a file."""
    from mountsea_magic.demo.__main__ import main

    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as caught:
            main(["--port", port])
    assert caught.value.code == 1
    assert f"Can't listen on 127.0.0.1, port {port}: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--host", "nowhere.invalid"])
    assert "nowhere.invalid" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--folder", __file__])
    assert "is a file" in capsys.readouterr().err


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    if scope["type"] == "http":
        await PlainTextResponse("hello")(scope, receive, send)


def with_server(work: Callable[[str, int], Awaitable[None]], **limits: float) -> None:
    """Run a coroutine beside a server with limits of its own."""

    async def inner() -> None:
        config = server_config(app, Limits(**limits))  # type: ignore[arg-type]  # of both kinds
        config.lifespan = "off"
        made = uvicorn.Server(config)
        listener = listen("127.0.0.1", 0)
        serving = asyncio.ensure_future(made.serve(sockets=[listener]))
        await work("127.0.0.1", listener.getsockname()[1])
        made.should_exit = True
        await serving

    asyncio.run(inner())


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check connections more often than each second."""
    monkeypatch.setattr(serve, "_CHECK_S", 0.02)


@pytest.mark.parametrize(
    "head", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST"]
)
def test_a_connection_without_a_whole_request_is_dropped(often: None, head: bytes) -> None:
    """However it trickles: each byte would begin uvicorn's own time-out anew."""

    async def work(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head)
        trickled = 0
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            while True:
                writer.write(b"x" if head else b"")
                await writer.drain()
                trickled += 1
                try:
                    async with asyncio.timeout(0.02):
                        await reader.readuntil(b"never")
                except TimeoutError:
                    assert trickled < 1000
        writer.close()

    with_server(work, headers_s=0.2)


def test_idle_connections_make_room_for_new_ones(often: None) -> None:
    """A flood of them keeps nobody out, and they are bounded in number."""

    async def work(host: str, port: int) -> None:
        idle = [await asyncio.open_connection(host, port) for _ in range(20)]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{host}:{port}/")).text == "hello"
        ended = 0
        for reader, writer in idle:
            try:
                async with asyncio.timeout(0.05):
                    ended += await reader.read() == b""
            except ConnectionError:
                ended += 1
            except TimeoutError:
                pass
            writer.close()
        assert ended >= 16

    with_server(work, connections=5)


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    """Lines are dropped once a thousand wait; long ones are cut."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    log = BackgroundLogHandler(logging.StreamHandler(stream))
    with os.fdopen(reading) as reader:
        for number in range(5000):
            log.emit(logging.makeLogRecord({"msg": f"{number} {'x' * 1000}"}))
        assert len(reader.readline()) == 501
    # the pipe is closed, so that the line which waits for a reader fails, and no other is tried
    log._thread.join()
    log.close()
    with suppress(BrokenPipeError):
        stream.close()
