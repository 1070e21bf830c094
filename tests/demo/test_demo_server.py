"""The demo Hub over real sockets: startup message, rejected requests, concurrent clients."""

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
from hang import HANG_S
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mountsea_magic.demo.server import serve
from mountsea_magic.demo.server.limits import Limits
from mountsea_magic.demo.server.serve import BackgroundLogHandler, listen, server_config

COMMAND = [sys.executable, "-m", "mountsea_magic.demo", "--port", "0", "--seconds", "0"]
SMALL = {"prompt": "red", "image_size": {"width": 64, "height": 64}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Serve on all interfaces; yield the loopback URL and the startup message."""
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
            message = process.stderr.readline() + process.stderr.readline()
            match = re.search(r"http://0\.0\.0\.0:(\d+)", message)
            assert match is not None
            yield f"http://127.0.0.1:{match[1]}", message
        finally:
            process.terminate()


def submit(client: httpx.Client, **headers: str) -> httpx.Response:
    """Submit a small image."""
    body = {"model": "gpt-image-2", "input": SMALL}
    return client.post("/hub/v1/image", json=body, headers=headers)


def test_startup_message_has_url_hosts_and_limits(served: tuple[str, str]) -> None:
    """It is two lines, before any other output."""
    _, message = served
    lines = message.splitlines()
    assert "no key needed" in lines[0]
    assert "hub.example" in lines[0]
    assert "any IP address" in lines[0]
    assert "56 MB" in lines[1]
    assert "400 open tasks" in lines[1]
    assert max(map(len, lines)) < 260


def test_other_origins_and_other_hosts_are_rejected(served: tuple[str, str]) -> None:
    """Over a real socket, with the headers that browsers send."""
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


def test_thirty_concurrent_clients_get_their_images(served: tuple[str, str]) -> None:
    """Each submits, polls and downloads; none is rejected, and each gets its own image."""
    url, _ = served

    def generate(number: int) -> bytes:
        with httpx.Client(base_url=url, trust_env=False, timeout=HANG_S) as client:
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

    with ThreadPoolExecutor(30) as clients:
        images = list(clients.map(generate, range(30)))
    assert len(set(images)) == 30
    assert all(image.startswith(b"\x89PNG") for image in images)


def test_sync_mode_images_are_streamed_within_the_json(served: tuple[str, str]) -> None:
    """`sync_mode` returns as many data URIs as requested; edits accept them."""
    url, _ = served
    with httpx.Client(base_url=url, trust_env=False, timeout=HANG_S) as client:
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
    "arguments",
    [
        *(["--port", "65536"], ["--port", "-1"], ["--port", ""]),
        *(["--seconds", "nan"], ["--seconds", "-1"], ["--seconds", "inf"]),
        *(["--host", ""], ["--host", "http://localhost"], ["--host", "a b"]),
        *(["--allow-host", "*"], ["--allow-host", "http://x"], ["--allow-host", "x:80"]),
        *(["--allow-host", ""], ["--key", ""], ["--key", "ä"], ["--key", "a\nb"]),
    ],
    ids=" ".join,
)
def test_invalid_options_are_rejected(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the option, there is no traceback, and no port is opened."""
    from mountsea_magic.demo.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err.splitlines()[-1]


def test_unusable_address_or_folder_is_reported(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port in use, an unknown host name, and a folder that is a file."""
    from mountsea_magic.demo.__main__ import main

    with listen("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
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
    """Respond to any request."""
    if scope["type"] == "http":
        await PlainTextResponse("hello")(scope, receive, send)


def with_server(work: Callable[[str, int], Awaitable[None]], **limits: float) -> None:
    """Run a coroutine while a server with the given limits runs."""

    async def inner() -> None:
        config = server_config(app, Limits(**limits))  # type: ignore[arg-type]  # int and float limits
        config.lifespan = "off"
        server = uvicorn.Server(config)
        listener = listen("127.0.0.1", 0)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        await work("127.0.0.1", listener.getsockname()[1])
        server.should_exit = True
        await serving

    asyncio.run(inner())


@pytest.fixture
def frequent_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check connections more often than once a second."""
    monkeypatch.setattr(serve, "_CHECK_S", 0.02)


@pytest.mark.parametrize(
    "head", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST"]
)
def test_connection_without_a_complete_request_is_dropped(
    frequent_checks: None, head: bytes
) -> None:
    """Even if bytes keep arriving, which restart uvicorn's own time-out."""

    async def work(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head)
        sent_bytes = 0
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            while True:
                writer.write(b"x" if head else b"")
                await writer.drain()
                sent_bytes += 1
                try:
                    async with asyncio.timeout(0.02):
                        await reader.readuntil(b"never")
                except TimeoutError:
                    assert sent_bytes < 1000
        writer.close()

    with_server(work, headers_s=0.2)


def test_idle_connections_are_dropped_for_new_ones(frequent_checks: None) -> None:
    """Their number is limited, and new clients are still served."""

    async def work(host: str, port: int) -> None:
        idle = [await asyncio.open_connection(host, port) for _ in range(20)]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{host}:{port}/")).text == "hello"
        dropped = 0
        for reader, writer in idle:
            try:
                async with asyncio.timeout(0.05):
                    dropped += await reader.read() == b""
            except ConnectionError:
                dropped += 1
            except TimeoutError:
                pass
            writer.close()
        assert dropped >= 16

    with_server(work, connections=5)


def test_blocked_log_stream_does_not_block_logging() -> None:
    """Lines are dropped once a thousand are queued; long ones are truncated."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    log = BackgroundLogHandler(logging.StreamHandler(stream))
    with os.fdopen(reading) as reader:
        for number in range(5000):
            log.emit(logging.makeLogRecord({"msg": f"{number} {'x' * 1000}"}))
        assert len(reader.readline()) == 501
    # the pipe is closed now, so the pending write fails and the thread ends
    log._thread.join()
    log.close()
    with suppress(BrokenPipeError):
        stream.close()
