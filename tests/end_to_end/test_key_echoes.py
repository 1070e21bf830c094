"""The key echoed: a host that knows it, and repeats it anywhere, brings it to no text of ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from echoes import FORMS, KEY, EchoHub, in_json, leaks, response
from hub_server import all_text_of
from runs import DOG, Often, begun, collect, newest

from mountsea_magic.errors import MountseaError, sanitize
from mountsea_magic.generation import download
from mountsea_magic.hub.client import HubClient
from mountsea_magic.runtime.redaction import guard_logs
from mountsea_magic.settings import Secret

ON_ONE_LINE = {
    name: form
    for name, form in FORMS.items()
    if "\n" not in form and "\x01" not in form and "\x1b" not in form
}


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Listen to all that is logged, as a debugging session does."""
    for name in ("httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield caplog


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that fails is not tried again."""
    monkeypatch.setattr(download, "PAUSES_S", ())


def failed(hub: EchoHub, folder: Path) -> MountseaError:
    """Order at a Hub that echoes; return how it fails."""

    async def run() -> None:
        client = HubClient(hub.url, Secret(KEY), credits_url=f"{hub.url}/credits")
        try:
            await collect(begun(client, DOG, folder, timeout_s=0.1, schedule=Often(0.03)))
        finally:
            await client.aclose()

    with pytest.raises(MountseaError) as caught:
        asyncio.run(run())
    return caught.value


def assert_no_leak(error: MountseaError, folder: Path, logs: pytest.LogCaptureFixture) -> None:
    """Look wherever the key could have come to."""
    kept = b"".join(path.read_bytes() for path in folder.parent.glob("journal*"))
    places = {
        "error": all_text_of(error),
        "journal": kept.decode("utf-8", "replace"),
        "logs": logs.text,
    }
    places["records"] = "\n".join(
        f"{record.getMessage()} {record.args} {record.exc_info}" for record in logs.records
    )
    assert {place: leaks(text) for place, text in places.items() if leaks(text)} == {}
    assert kept


@pytest.mark.parametrize("name", FORMS)
def test_the_detector_finds_each_form(name: str) -> None:
    """Its silence means something."""
    assert leaks(f"before {FORMS[name]} behind") and not leaks("nothing of it")


@pytest.mark.parametrize("name", FORMS)
def test_an_echo_in_a_json_body_goes(
    name: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """In the Hub's reason, by whatever name, beside a good word that stays."""
    submit = in_json(**{"message": f"no credits for {FORMS[name]}", KEY: KEY}).replace(
        b"200 OK", b"402 No"
    )
    with EchoHub(submit=submit) as hub:
        error = failed(hub, tmp_path / "originals")
    assert "no credits for " in str(error) and "[key]" in str(error)
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize("name", ["as it is", "percent-encoded", "between spaces", "in base64"])
@pytest.mark.parametrize("first", ["{}", "HTTP/1.1 {}", "HTTP/1.1 200 {}", "HTTP/9 {} no"])
def test_an_echo_in_a_status_line_goes(
    name: str, first: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """A malformed one is quoted by h11's error; the reason phrase is in httpx's log."""
    said = response(b"", first.format(ON_ONE_LINE[name]))
    with EchoHub(submit=said) as hub:
        error = failed(hub, tmp_path / "originals")
        assert [line.partition(" ")[0] for line in hub.lines] == ["POST"]
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize("header", ["{}: 1", "X-Echo: {}", "Location: /{}", "bad {}", "X: \x01{}"])
@pytest.mark.parametrize("part", ["submit", "poll", "image"])
def test_an_echo_in_a_header_goes(
    part: str, header: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """In a name, a value, a redirect's target, and in a line that is no header, by any host."""
    said = response(b"", "HTTP/1.1 302 Found", header.format(KEY))
    with EchoHub(**{part: said}) as hub:
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize(
    "said",
    [
        response(f"<title>{'x' * 70} {KEY}</title>".encode(), "HTTP/1.1 403 No"),
        response("<title>{}</title>".format("\u200b".join(KEY)).encode(), "HTTP/1.1 403 No"),
        response(f"<title>{'z' * 1980}{KEY}</title>".encode(), "HTTP/1.1 403 No"),
        response(f'{{"message": "{"a" * 390} {KEY}"}}'.encode(), "HTTP/1.1 500 No"),
        response(f'{{"message": ["{KEY[:15]}", "{KEY[15:]}"]}}'.encode(), "HTTP/1.1 422 No"),
        response(KEY.encode("utf-16"), "HTTP/1.1 500 No"),
        response(b"", "HTTP/1.1 200 OK", f"Content-Encoding: {KEY}", "Transfer-Encoding: x"),
    ],
    ids=["title", "in pieces", "cut page", "cut", "two pieces", "utf-16", "encodings"],
)
def test_an_echo_at_a_limit_goes(
    said: bytes, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """What is shortened is searched before."""
    with EchoHub(submit=said) as hub:
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize("name", FORMS)
def test_an_echo_in_a_tasks_response_goes(
    name: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """What the model says, what failed, and a status are as safe as a refusal."""
    body = {FORMS[name]: True, "description": f"a dog {FORMS[name]}", "images": []}
    poll = in_json(status="completed", ready=True, data=body, error_message=FORMS[name])
    with EchoHub(poll=poll) as hub:
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)
    entry = newest(tmp_path / "originals")
    assert (entry.task_id, leaks(f"{entry}")) == ("hub-1", [])


@pytest.mark.parametrize("name", ["as it is", "percent-encoded", "in base64", "in hexadecimal"])
@pytest.mark.parametrize("place", ["{hub}/{form}.png", "http://{form}.invalid/", "http://[{form}/"])
def test_an_echo_in_an_images_url_goes(
    name: str, place: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """Neither the error that it can't be had nor a log shows it."""
    with EchoHub() as hub:
        url = place.format(hub=hub.url, form=FORMS[name])
        hub._poll = in_json(status="completed", ready=True, data={"images": [{"url": url}]})
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)


def test_what_asyncio_logs_of_a_failure_has_no_key(logs: pytest.LogCaptureFixture) -> None:
    """It logs what nobody awaited when it comes to it, in whatever task runs then."""

    async def run() -> None:
        async def ours() -> None:
            guard_logs(Secret(KEY).redact_in)
            raise RuntimeError(f"unforeseen: {KEY}")

        task = asyncio.create_task(ours())
        await asyncio.wait([task])
        del task

    asyncio.run(run())
    assert "never retrieved" in logs.text and "unforeseen" in logs.text
    assert leaks(logs.text) == []


def test_a_long_echo_is_cut_before_it_is_searched() -> None:
    """Of megabytes that repeat the key, in pieces, a line stays; its end holds no half key."""
    seen: list[int] = []

    async def run() -> list[str]:
        secret = Secret(KEY)

        def hide(text: str) -> str:
            seen.append(len(text))
            return secret.redact_in(text)

        guard_logs(hide)
        texts = ["\x00".join(KEY) * 40_000, f"{KEY[:20]}\x00" * 100_000, f"{KEY} " * 40_000]
        return [sanitize(text, limit=4000) for text in texts]

    said = asyncio.run(run())
    assert [leaks(text) for text in said] == [[], [], []]
    assert said[2].startswith("[key] [key] [key]")
    assert max(seen) <= 40_000 and len(seen) <= 6
