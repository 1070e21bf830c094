"""Downloads from real HTTP servers: images arrive complete, or the error says why not."""

from __future__ import annotations

import asyncio
import errno
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import RESET, Reply, StandInHub, data_uri, image
from runs import (
    FrequentPolls,
    assert_helpful,
    completed,
    generate,
    names,
    newest_entry,
    resume,
    submit_and_wait,
    with_client,
)

from mountsea_magic.errors import DownloadFailed
from mountsea_magic.generation import download as download_module
from mountsea_magic.generation.download import PAUSES_S
from mountsea_magic.generation.events import Downloading, Event, Notice
from mountsea_magic.hub import image_downloader
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.request.request import build_request

NO_PAUSES = (0.0, 0.0, 0.0)
"""As many pauses as in `PAUSES_S`, but without waiting."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry as often as in production, but at once."""
    assert len(NO_PAUSES) == len(PAUSES_S)
    monkeypatch.setattr(download_module, "PAUSES_S", NO_PAUSES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for the originals, which does not exist yet; the journal is beside it."""
    return tmp_path / "originals"


@pytest.mark.parametrize(
    "shape",
    [
        lambda hub, url: hub.done(hub.data([url])),
        lambda hub, url: hub.done({"images": [{"url": url, "width": None, "file_size": None}]}),
        lambda hub, url: hub.done({"images": [url]}),
        lambda hub, url: hub.done({"images": None, "image": {"url": url}}),
        lambda hub, url: hub.done({"url": url}),
        lambda hub, url: hub.done([{"url": url}]),
        lambda hub, url: hub.done(url),
        lambda hub, url: hub.done(None, output={"images": [{"url": url}]}),
        lambda hub, url: hub.done({"images": [{"url": None}, {"url": url}, None, 7]}),
        lambda hub, url: hub.done({"images": [data_uri(image())]}),
        lambda hub, url: hub.done({"b64_json": data_uri(image()).partition(",")[2]}),
        lambda hub, url: hub.done({"image": {"b64": data_uri(image()).partition(",")[2]}}),
        lambda hub, url: {"status": "succeeded", "output": {"image": url}},
        lambda hub, url: {"status": "a-new-status", "ready": True, "data": {"images": [url]}},
    ],
)
def test_images_are_found_in_every_response_shape(
    shape: Callable[[StandInHub, str], dict[str, Any]], folder: Path
) -> None:
    """Every form of output that the contract tolerates leads to a saved image."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        hub.polls.append(shape(hub, hub.image_url("a")))
        (got,) = completed(resume(hub, folder)).images
        assert got.url == (hub.image_url("a") if hub.downloads_seen else None)
    assert got.bytes == image()
    assert names(folder) == [got.path.name]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "Message from the Hub: none"),
        ({}, "Message from the Hub: none"),
        ({"images": []}, "Message from the Hub: none"),
        ({"images": [], "description": "I would\x1b[31m rather\nnot."}, "I would[31m rather not."),
        ({"images": [{"url": None}], "description": None}, "Message from the Hub: none"),
        ("no URL", "no URL"),
        ({"text": "Blocked: see https://hub.example/a?key=s3cret."}, "Blocked: see"),
    ],
)
def test_a_completed_task_without_images_shows_the_hubs_message(
    data: Any, message: str, folder: Path
) -> None:
    """It may have been charged, so the error has the Hub's message and the command to retry."""
    with StandInHub() as hub:
        hub.polls.append(hub.done(data))
        with pytest.raises(DownloadFailed, match=r"may have been\s+charged") as caught:
            generate(hub, folder)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    assert message in str(caught.value)
    assert names(folder) == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, image("jpeg")[:-200], {"Content-Type": "image/jpeg"}),
        Reply(200, image("png")[: len(image("png")) // 2]),
        Reply(200, image("webp")[:-20]),
        Reply(200, image("png")[:30], length=len(image("png"))),
        Reply(200, b"\x89PNG\r\n\x1a\n" + b"\0" * 20_000, endless=True),
        Reply(200, b"<html>sign in</html>", {"Content-Type": "image/png"}),
        Reply(200, b""),
        Reply(403, b"Request has expired"),
        Reply(404, b""),
        Reply(410, b""),
        Reply(500, b""),
        RESET,
        Reply(302, headers={"Location": "/again?signature=s3cret-query"}),
        Reply(302, headers={"Location": "http://[::1/?signature=s3cret-query"}),
    ],
    ids=[
        *("half a jpeg", "half a png", "half a webp", "cut", "endless", "html", "empty"),
        *("403", "404", "410", "500", "reset", "redirect loop", "invalid redirect"),
    ],
)
def test_a_failed_download_leaves_no_file(
    reply: Reply, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incomplete file is deleted; nothing is submitted again, and the task can be resumed."""
    monkeypatch.setattr(image_downloader, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[reply] * 20, images=[image("jpeg")]) as hub:
        with pytest.raises(DownloadFailed) as caught:
            generate(hub, folder)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    assert names(folder) == []


def test_a_resume_repeats_a_failed_download(folder: Path) -> None:
    """It downloads the image of the same task, without a second submission."""
    with StandInHub(downloads=[RESET] * 4, images=[image("jpeg")]) as hub:
        with pytest.raises(DownloadFailed) as caught:
            generate(hub, folder)
        assert (newest_entry(folder).status, newest_entry(folder).is_open) == ("completed", True)
        assert caught.value.task_id is not None
        (got,) = completed(resume(hub, folder, caught.value.task_id)).images
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 5)
    assert (newest_entry(folder).is_open, newest_entry(folder).error) == (False, "")
    assert got.bytes == image("jpeg")
    assert names(folder) == [got.path.name]


def test_one_bad_image_of_several_leaves_no_partial_file(folder: Path) -> None:
    """The other downloads are cancelled cleanly: every file in the folder is complete."""
    images = [image("png", number) for number in range(3)] + [b"no image"]
    with StandInHub(images=images) as hub:
        with pytest.raises(DownloadFailed) as caught:
            generate(hub, folder)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    for path in folder.iterdir():
        assert path.suffix == ".png"
        assert path.read_bytes() in images[:3]


@pytest.mark.parametrize(
    "url", ["http://xn--/a", "https://h.example:65536/", "http://169.254.169.254/", "ftp://h/a"]
)
def test_one_unusable_url_of_four_loses_none_of_the_others(url: str, folder: Path) -> None:
    """They are on disk, the error says where, and a resume gets all once the URL is fixed."""
    images = [image("png", number) for number in range(4)]
    with StandInHub(images=images) as hub:
        fixed = [hub.image_url(f"hub-0001/{number}") for number in range(4)]
        broken = [fixed[0], url, *fixed[2:]]
        hub.polls += [hub.done(hub.data(broken)), hub.done(hub.data(fixed))]
        with pytest.raises(DownloadFailed, match=r"3 of its 4 images") as caught:
            generate(hub, folder)
        assert_helpful(caught.value)
        assert len(str(caught.value)) < 450 and str(folder) in str(caught.value)
        assert sorted(path.read_bytes() for path in folder.iterdir()) == sorted(
            image for number, image in enumerate(images) if number != 1
        )
        got = completed(resume(hub, folder, "hub-0001")).images
        assert [one.bytes for one in got] == images


def test_an_unwritable_folder_is_replaced_by_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is saved there, and the notice names both folders."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocked = tmp_path / "a file"
    blocked.write_text("mine")
    with StandInHub() as hub:
        events = generate(hub, blocked)
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 1)
    (notice,) = (event.text for event in events if isinstance(event, Notice))
    (saved,) = completed(events).images
    assert saved.bytes == image()
    assert saved.path.is_relative_to(tmp_path)
    assert str(blocked) in notice and str(saved.path.parent) in notice
    assert [got.path for got in newest_entry(blocked).files] == [saved.path]
    assert blocked.read_text() == "mine"


def test_a_disk_that_fills_up_moves_all_images_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concurrent downloads go to one temporary folder, with one notice."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    download, met = HubClient.download, threading.Barrier(3, timeout=HANG_S)

    async def full(client: HubClient, source: ImageSource, part: Path) -> None:
        if part.parent == folder:
            await asyncio.to_thread(met.wait)
            raise OSError(errno.ENOSPC, "No space left on device")
        await download(client, source, part)

    monkeypatch.setattr(HubClient, "download", full)
    request = build_request("a dog", parameters={"num_images": 3})
    with StandInHub() as hub:
        events = generate(hub, folder, request)
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 3)
    (notice,) = (event.text for event in events if isinstance(event, Notice))
    images = completed(events).images
    assert [got.bytes for got in images] == [image(number=n) for n in range(3)]
    assert {str(got.path.parent) in notice for got in images} == {True}
    assert "No space left on device" in notice
    assert names(folder) == []


def test_without_any_writable_folder_the_task_can_still_be_resumed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the folder nor a temporary one: the error has the task id, and a resume works."""
    folder.write_text("mine")

    def full(*given: Any, **more: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with StandInHub() as hub:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "mkdtemp", full)
            with pytest.raises(DownloadFailed, match="could not be written") as caught:
                generate(hub, folder)
        assert_helpful(caught.value)
        assert newest_entry(folder).is_open
        folder.unlink()
        assert completed(resume(hub, folder, "hub-0001")).images[0].bytes == image()
        assert len(hub.posts) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
def test_expired_urls_are_refreshed(folder: Path, status: int) -> None:
    """An expired URL leads to one more poll of the task, and to the image."""
    with StandInHub(downloads=[Reply(status, b"expired")]) as hub:
        assert completed(generate(hub, folder)).images[0].bytes == image()
        assert (len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)) == (1, 2, 2)


def test_new_urls_replace_expired_ones(folder: Path) -> None:
    """The URL of the second poll is downloaded, and becomes the image's `url`."""
    with StandInHub(downloads=[Reply(410), Reply(200, image())]) as hub:
        old, new = hub.image_url("old"), hub.image_url("new")
        hub.polls += [hub.done(hub.data([old])), hub.done(hub.data([new]))]
        (got,) = completed(resume(hub, folder)).images
        paths = [seen.path.partition("?")[0] for seen in hub.downloads_seen]
    assert paths == ["/old", "/new"]
    assert (got.bytes, got.url) == (image(), new)


def test_a_poll_with_another_number_of_images_does_not_refresh_urls(folder: Path) -> None:
    """Images could be mixed up, so the download fails, and a resume can try again."""
    with StandInHub(downloads=[Reply(410)] * 99) as hub:
        urls = [hub.image_url("a"), hub.image_url("b")]
        hub.polls += [hub.done(hub.data(urls)), *[hub.done(hub.data(urls[:1]))] * 9]
        with pytest.raises(DownloadFailed):
            generate(hub, folder, build_request("a dog", parameters={"num_images": 2}))
        assert len(hub.posts) == 1
        assert {seen.path.partition("?")[0] for seen in hub.downloads_seen} == {"/a", "/b"}
    assert not any(folder.glob("*.png"))


def test_expired_urls_of_one_task_need_one_poll(folder: Path) -> None:
    """Four URLs that have expired are refreshed together."""
    request = build_request("a dog", parameters={"num_images": 4})
    with StandInHub() as hub:
        hub.polls.append(hub.done(hub.data([hub.image_url(f"old/{n}") for n in range(4)])))
        done = completed(generate(hub, folder, request))
        assert (len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)) == (1, 2, 8)
    assert [got.bytes for got in done.images] == [image("png", n) for n in range(4)]


@pytest.mark.parametrize("reply", [RESET, Reply(500), Reply(200, b"<html>"), Reply(404)])
def test_a_download_fails_after_four_attempts(reply: Reply, folder: Path) -> None:
    """An image that never arrives is `DownloadFailed` after three retries."""
    with StandInHub(downloads=[reply] * 9) as hub:
        with pytest.raises(DownloadFailed):
            generate(hub, folder)
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 1 + len(NO_PAUSES))


def test_the_pauses_between_retries_are_a_few_seconds() -> None:
    """There are two to five of them, less than 10 s in total."""
    assert 2 <= len(PAUSES_S) <= 5
    assert 0 < sum(PAUSES_S) < 10


def test_a_broken_download_is_retried(folder: Path) -> None:
    """A connection reset and a truncated body are retried."""
    cut = Reply(200, image()[:100], {"Content-Type": "image/png"})
    with StandInHub(downloads=[RESET, cut]) as hub:
        assert completed(generate(hub, folder)).images[0].bytes == image()
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 3)


def test_a_download_over_the_size_limit_is_not_retried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `Content-Length` is too large, and will be again."""
    monkeypatch.setattr(image_downloader, "MAX_BYTES", 10)
    with StandInHub() as hub, pytest.raises(DownloadFailed, match="more than 10"):
        generate(hub, folder)
    assert len(hub.downloads_seen) == 1


def test_downloading_a_task_twice_overwrites_nothing(folder: Path) -> None:
    """Even within one second each download gets its own files."""
    with StandInHub() as hub:
        generate(hub, folder)
        for _ in range(3):
            resume(hub, folder, "hub-0001")
        assert len(hub.posts) == 1
    assert len(names(folder)) == 4
    assert {path.read_bytes() for path in folder.iterdir()} == {image()}


def test_cancelling_downloads_leaves_no_partial_file(folder: Path) -> None:
    """Partial files are deleted, and no download continues in the background."""
    never = Reply(hold=threading.Event())
    request = build_request("a dog", parameters={"num_images": 3})
    with StandInHub(downloads=[never] * 3) as hub:

        async def work(client: HubClient) -> None:
            running = asyncio.ensure_future(
                submit_and_wait(client, request, folder, schedule=FrequentPolls())
            )
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.downloads_seen) == 3)
            assert [name.endswith(".part") for name in names(folder)] == [True] * 3
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert names(folder) == []
            assert newest_entry(folder).is_open

        with_client(hub, work)


def test_a_callback_that_raises_stops_the_downloads(folder: Path) -> None:
    """No image, partial file or download is left; the task stays open."""
    held = Reply(hold=threading.Event())
    request = build_request("a dog", parameters={"num_images": 3})

    def stop(event: Event) -> None:
        if event == Downloading(1, 3):
            raise LookupError("stop")

    with StandInHub(downloads=[None, held, held]) as hub:

        async def work(client: HubClient) -> None:
            with pytest.raises(LookupError, match="stop"):
                await submit_and_wait(
                    client, request, folder, schedule=FrequentPolls(), on_event=stop
                )
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert names(folder) == []
            assert newest_entry(folder).is_open

        with_client(hub, work)
