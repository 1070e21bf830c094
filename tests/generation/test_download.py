"""Fetching against real HTTP servers: a completed task's images come whole, or it is said why."""

from __future__ import annotations

import asyncio
import errno
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_server import RESET, Reply, StandInHub, data_uri, image
from runs import (
    Often,
    assert_helpful,
    begun,
    collect,
    completed,
    names,
    newest,
    ordered,
    resumed,
    with_client,
)

from mountsea_magic.errors import DownloadFailed
from mountsea_magic.generation import download as fetching
from mountsea_magic.generation.download import PAUSES_S
from mountsea_magic.generation.events import Notice
from mountsea_magic.hub import downloads
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.request.request import build_request

AT_ONCE = (0.0, 0.0, 0.0)
"""The pauses of these tests; as many as there are."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again as often as ever, but at once."""
    assert len(AT_ONCE) == len(PAUSES_S)
    monkeypatch.setattr(fetching, "PAUSES_S", AT_ONCE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name a folder for the originals, which is not there yet; the journal is beside it."""
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
        lambda hub, url: {"status": "a-new-word", "ready": True, "data": {"images": [url]}},
    ],
)
def test_images_are_found_in_every_shape(
    shape: Callable[[StandInHub, str], dict[str, Any]], folder: Path
) -> None:
    """Whatever the output looks like within the contract's tolerance, its image is kept."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        hub.polls.append(shape(hub, hub.image_url("a")))
        (got,) = completed(resumed(hub, folder)).images
        assert got.url == (hub.image_url("a") if hub.downloads_seen else None)
    assert got.bytes == image()
    assert names(folder) == [got.path.name]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "nothing more"),
        ({}, "nothing more"),
        ({"images": []}, "nothing more"),
        ({"images": [], "description": "I would\x1b[31m rather\nnot."}, "I would[31m rather not."),
        ({"images": [{"url": None}], "description": None}, "nothing more"),
        ("no address", "no address"),
        ({"text": "Blocked: see https://hub.example/a?key=s3cret."}, "Blocked: see"),
    ],
)
def test_a_completed_task_without_an_image_says_what_the_hub_said(
    data: Any, said: str, folder: Path
) -> None:
    """It may have been charged, so the error shows all there is and how to ask again."""
    with StandInHub() as hub:
        hub.polls.append(hub.done(data))
        with pytest.raises(DownloadFailed, match=r"may have been\s+charged") as caught:
            ordered(hub, folder)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    assert said in str(caught.value)
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
        *("403", "404", "410", "500", "reset", "circle", "nowhere"),
    ],
)
def test_an_image_that_cannot_be_had_leaves_no_file(
    reply: Reply, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did not arrive whole is not kept, not paid again, and can be asked for later."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[reply] * 20, images=[image("jpeg")]) as hub:
        with pytest.raises(DownloadFailed) as caught:
            ordered(hub, folder)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    assert names(folder) == []


def test_what_could_not_be_had_is_had_by_resuming(folder: Path) -> None:
    """After a broken download the same task gives the same image, with no second order."""
    with StandInHub(downloads=[RESET] * 4, images=[image("jpeg")]) as hub:
        with pytest.raises(DownloadFailed) as caught:
            ordered(hub, folder)
        assert (newest(folder).state, newest(folder).is_open) == ("completed", True)
        assert caught.value.task_id is not None
        (got,) = completed(resumed(hub, folder, caught.value.task_id)).images
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 5)
    assert (newest(folder).is_open, newest(folder).error) == (False, "")
    assert got.bytes == image("jpeg")
    assert names(folder) == [got.path.name]


def test_one_bad_image_of_several_leaves_no_part(folder: Path) -> None:
    """The others are let go of cleanly: what is in the folder is whole."""
    images = [image("png", number) for number in range(3)] + [b"no image"]
    with StandInHub(images=images) as hub:
        with pytest.raises(DownloadFailed) as caught:
            ordered(hub, folder)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    for path in folder.iterdir():
        assert path.suffix == ".png"
        assert path.read_bytes() in images[:3]


@pytest.mark.parametrize(
    "url", ["http://xn--/a", "https://h.example:65536/", "http://169.254.169.254/", "ftp://h/a"]
)
def test_one_unusable_url_of_four_loses_none_of_the_others(url: str, folder: Path) -> None:
    """They are on disk, the error says where, and a resume has all once the Hub mends the URL."""
    images = [image("png", number) for number in range(4)]
    with StandInHub(images=images) as hub:
        mended = [hub.image_url(f"hub-0001/{number}") for number in range(4)]
        broken = [mended[0], url, *mended[2:]]
        hub.polls += [hub.done(hub.data(broken)), hub.done(hub.data(mended))]
        with pytest.raises(DownloadFailed, match=r"3 of its 4 images") as caught:
            ordered(hub, folder)
        assert_helpful(caught.value)
        assert len(str(caught.value)) < 450 and str(folder) in str(caught.value)
        assert sorted(path.read_bytes() for path in folder.iterdir()) == sorted(
            image for number, image in enumerate(images) if number != 1
        )
        got = completed(resumed(hub, folder, "hub-0001")).images
        assert [one.bytes for one in got] == images


def test_a_folder_that_cannot_be_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is kept in a temporary folder, and the notice names both folders."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocked = tmp_path / "a file"
    blocked.write_text("mine")
    with StandInHub() as hub:
        events = ordered(hub, blocked)
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 1)
    (notice,) = (event.text for event in events if isinstance(event, Notice))
    (kept,) = completed(events).images
    assert kept.bytes == image()
    assert kept.path.is_relative_to(tmp_path)
    assert str(blocked) in notice and str(kept.path.parent) in notice
    assert [got.path for got in newest(blocked).files] == [kept.path]
    assert blocked.read_text() == "mine"


def test_a_disk_that_fills_up_moves_all_images_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that find it full at the same moment go to one temporary folder, told of once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    download, met = HubClient.download, threading.Barrier(3, timeout=20)

    async def full(client: HubClient, source: ImageSource, part: Path) -> None:
        if part.parent == folder:
            await asyncio.to_thread(met.wait)
            raise OSError(errno.ENOSPC, "No space left on device")
        await download(client, source, part)

    monkeypatch.setattr(HubClient, "download", full)
    request = build_request("a dog", parameters={"num_images": 3})
    with StandInHub() as hub:
        events = ordered(hub, folder, request)
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 3)
    (notice,) = (event.text for event in events if isinstance(event, Notice))
    images = completed(events).images
    assert [got.bytes for got in images] == [image(number=n) for n in range(3)]
    assert {str(got.path.parent) in notice for got in images} == {True}
    assert "No space left on device" in notice
    assert names(folder) == []


def test_a_machine_without_any_room_fails_the_download_and_keeps_the_task(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the folder nor a temporary one: the error has the task, and a resume brings it."""
    folder.write_text("mine")

    def full(*given: Any, **more: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with StandInHub() as hub:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "mkdtemp", full)
            with pytest.raises(DownloadFailed, match="could not be written") as caught:
                ordered(hub, folder)
        assert_helpful(caught.value)
        assert newest(folder).is_open
        folder.unlink()
        assert completed(resumed(hub, folder, "hub-0001")).images[0].bytes == image()
        assert len(hub.posts) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
def test_expired_addresses_are_asked_for_anew(folder: Path, status: int) -> None:
    """A URL that is too old leads to one more look at the task, and to the image."""
    with StandInHub(downloads=[Reply(status, b"expired")]) as hub:
        assert completed(ordered(hub, folder)).images[0].bytes == image()
        assert (len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)) == (1, 2, 2)


def test_fresh_addresses_take_the_place_of_expired_ones(folder: Path) -> None:
    """What the task tells the second time is what is fetched, and kept as the image's origin."""
    with StandInHub(downloads=[Reply(410), Reply(200, image())]) as hub:
        old, new = hub.image_url("old"), hub.image_url("new")
        hub.polls += [hub.done(hub.data([old])), hub.done(hub.data([new]))]
        (got,) = completed(resumed(hub, folder)).images
        paths = [seen.path.partition("?")[0] for seen in hub.downloads_seen]
    assert paths == ["/old", "/new"]
    assert (got.bytes, got.url) == (image(), new)


def test_all_expired_addresses_of_a_task_need_one_look(folder: Path) -> None:
    """Four images that expired together are asked for anew together."""
    request = build_request("a dog", parameters={"num_images": 4})
    with StandInHub() as hub:
        hub.polls.append(hub.done(hub.data([hub.image_url(f"old/{n}") for n in range(4)])))
        done = completed(ordered(hub, folder, request))
        assert (len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)) == (1, 2, 8)
    assert [got.bytes for got in done.images] == [image("png", n) for n in range(4)]


@pytest.mark.parametrize("reply", [RESET, Reply(500), Reply(200, b"<html>"), Reply(404)])
def test_a_download_is_given_up_after_a_few_tries(reply: Reply, folder: Path) -> None:
    """An image that never comes is `DownloadFailed` after four tries, not a wait."""
    with StandInHub(downloads=[reply] * 9) as hub:
        with pytest.raises(DownloadFailed):
            ordered(hub, folder)
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 1 + len(AT_ONCE))


def test_the_pauses_between_the_tries_are_seconds() -> None:
    """A few tries within seconds, as real pauses are."""
    assert 2 <= len(PAUSES_S) <= 5
    assert 0 < sum(PAUSES_S) < 10


def test_a_download_that_breaks_is_tried_again(folder: Path) -> None:
    """A reset and a cut body cost a second, not the image."""
    cut = Reply(200, image()[:100], {"Content-Type": "image/png"})
    with StandInHub(downloads=[RESET, cut]) as hub:
        assert completed(ordered(hub, folder)).images[0].bytes == image()
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 3)


def test_a_download_declared_over_the_cap_is_not_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too large stays too large."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 10)
    with StandInHub() as hub, pytest.raises(DownloadFailed, match="more than 10"):
        ordered(hub, folder)
    assert len(hub.downloads_seen) == 1


def test_the_same_task_twice_overwrites_nothing(folder: Path) -> None:
    """Even within one second, each fetch gets files of its own."""
    with StandInHub() as hub:
        ordered(hub, folder)
        for _ in range(3):
            resumed(hub, folder, "hub-0001")
        assert len(hub.posts) == 1
    assert len(names(folder)) == 4
    assert {path.read_bytes() for path in folder.iterdir()} == {image()}


def test_a_cancel_during_the_downloads_leaves_no_part(folder: Path) -> None:
    """Half-received files go, and no download goes on unseen."""
    never = Reply(hold=threading.Event())
    request = build_request("a dog", parameters={"num_images": 3})
    with StandInHub(downloads=[never] * 3) as hub:

        async def work(client: HubClient) -> None:
            running = asyncio.ensure_future(
                collect(begun(client, request, folder, schedule=Often()))
            )
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.downloads_seen) == 3)
            assert [name.endswith(".part") for name in names(folder)] == [True] * 3
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert names(folder) == []
            assert newest(folder).is_open

        with_client(hub, work)
