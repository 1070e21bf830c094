"""Echoed keys: wherever a host repeats the key, none of our texts shows it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from echoes import FORMS, KEY, EchoHub, in_json, leaks, response
from hub_server import all_text_of
from runs import DOG, FrequentPolls, newest_entry, submit_and_wait

from mountsea_magic.errors import MountseaError
from mountsea_magic.generation import download
from mountsea_magic.hub.client import HubClient
from mountsea_magic.runtime.redaction import guard_logs
from mountsea_magic.runtime.text import sanitize
from mountsea_magic.settings import Secret

ON_ONE_LINE = {
    name: form
    for name, form in FORMS.items()
    if "\n" not in form and "\x01" not in form and "\x1b" not in form
}


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture all logs, as in a debugging session."""
    for name in ("httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not retry failed downloads."""
    monkeypatch.setattr(download, "PAUSES_S", ())


def failed(hub: EchoHub, folder: Path) -> MountseaError:
    """Submit to a Hub that echoes; return the error."""

    async def run() -> None:
        client = HubClient(hub.url, Secret(KEY), credits_url=f"{hub.url}/credits")
        try:
            await submit_and_wait(client, DOG, folder, timeout_s=0.1, schedule=FrequentPolls(0.03))
        finally:
            await client.aclose()

    with pytest.raises(MountseaError) as caught:
        asyncio.run(run())
    return caught.value


def assert_no_leak(error: MountseaError, folder: Path, logs: pytest.LogCaptureFixture) -> None:
    """Search for the key in the error, the journal and the logs."""
    journal = b"".join(path.read_bytes() for path in folder.parent.glob("journal*"))
    places = {
        "error": all_text_of(error),
        "journal": journal.decode("utf-8", "replace"),
        "logs": logs.text,
    }
    places["records"] = "\n".join(
        f"{record.getMessage()} {record.args} {record.exc_info}" for record in logs.records
    )
    assert {place: leaks(text) for place, text in places.items()} == {place: [] for place in places}
    assert journal


@pytest.mark.parametrize("name", FORMS)
def test_the_detector_finds_each_form(name: str) -> None:
    """Otherwise the other tests would prove nothing."""
    assert leaks(f"before {FORMS[name]} behind") and not leaks("nothing of it")


@pytest.mark.parametrize("name", FORMS)
def test_an_echo_in_a_json_body_is_redacted(
    name: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """In an error message or a member name; the text beside it stays."""
    submit = in_json(**{"message": f"no credits for {FORMS[name]}", KEY: KEY}).replace(
        b"200 OK", b"402 No"
    )
    with EchoHub(submit=submit) as hub:
        error = failed(hub, tmp_path / "originals")
    assert "no credits for " in str(error) and "[key]" in str(error)
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize("name", ["as it is", "percent-encoded", "between spaces", "in base64"])
@pytest.mark.parametrize("first", ["{}", "HTTP/1.1 {}", "HTTP/1.1 200 {}", "HTTP/9 {} no"])
def test_an_echo_in_a_status_line_is_redacted(
    name: str, first: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """h11's error quotes a malformed one, and httpx logs the reason phrase."""
    reply = response(b"", first.format(ON_ONE_LINE[name]))
    with EchoHub(submit=reply) as hub:
        error = failed(hub, tmp_path / "originals")
        assert [line.partition(" ")[0] for line in hub.lines] == ["POST"]
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize("header", ["{}: 1", "X-Echo: {}", "Location: /{}", "bad {}", "X: \x01{}"])
@pytest.mark.parametrize("part", ["submit", "poll", "image"])
def test_an_echo_in_a_header_is_redacted(
    part: str, header: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """In a name, a value, a redirect's target or an invalid line, from any host."""
    reply = response(b"", "HTTP/1.1 302 Found", header.format(KEY))
    with EchoHub(**{part: reply}) as hub:
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize(
    "reply",
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
def test_an_echo_at_a_limit_is_redacted(
    reply: bytes, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """Texts are searched before they are truncated."""
    with EchoHub(submit=reply) as hub:
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)


@pytest.mark.parametrize("name", FORMS)
def test_an_echo_in_a_task_is_redacted(
    name: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """In the model's text, the error and the status."""
    body = {FORMS[name]: True, "description": f"a dog {FORMS[name]}", "images": []}
    poll = in_json(status="completed", ready=True, data=body, error_message=FORMS[name])
    with EchoHub(poll=poll) as hub:
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)
    entry = newest_entry(tmp_path / "originals")
    assert (entry.task_id, leaks(f"{entry}")) == ("hub-1", [])


@pytest.mark.parametrize("name", ["as it is", "percent-encoded", "in base64", "in hexadecimal"])
@pytest.mark.parametrize("place", ["{hub}/{form}.png", "http://{form}.invalid/", "http://[{form}/"])
def test_an_echo_in_an_image_url_is_redacted(
    name: str, place: str, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """In the error of the download and in the logs."""
    with EchoHub() as hub:
        url = place.format(hub=hub.url, form=FORMS[name])
        hub._poll = in_json(status="completed", ready=True, data={"images": [{"url": url}]})
        error = failed(hub, tmp_path / "originals")
    assert_no_leak(error, tmp_path / "originals", logs)


def test_asyncios_logs_of_exceptions_do_not_contain_the_key(
    logs: pytest.LogCaptureFixture,
) -> None:
    """It logs exceptions that were never retrieved, in whatever task runs then."""

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


def test_a_long_echo_is_truncated_before_it_is_searched() -> None:
    """One line of megabytes that repeat the key remains; it does not end with half a key."""
    seen: list[int] = []

    async def run() -> list[str]:
        secret = Secret(KEY)

        def redact(text: str) -> str:
            seen.append(len(text))
            return secret.redact_in(text)

        guard_logs(redact)
        texts = ["\x00".join(KEY) * 40_000, f"{KEY[:20]}\x00" * 100_000, f"{KEY} " * 40_000]
        return [sanitize(text, limit=4000) for text in texts]

    lines = asyncio.run(run())
    assert [leaks(text) for text in lines] == [[], [], []]
    assert lines[2].startswith("[key] [key] [key]")
    assert max(seen) <= 40_000 and len(seen) <= 6
