"""`generate` and `agenerate` end to end: with the demo Hub, and with a stand-in over HTTP."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import KEY, RESET, Reply, StandInHub, all_text_of, image, json_reply
from own_session import SMALL, demo_tasks, reach
from PIL import Image

import mountsea_magic
from mountsea_magic import agenerate, generate
from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    DownloadFailed,
    InvalidRequest,
    MountseaError,
    SubmissionUncertain,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.generation.handle import Generation
from mountsea_magic.session import Session


def test_generate_returns_images_of_the_requested_size(
    demo: None, here: Session, home: Path
) -> None:
    """One call, from a prompt to files under MOUNTSEA_HOME, without key and socket."""
    dogs = generate("a dog on a beach", num_images=2, output_format="jpeg", **SMALL)
    assert (dogs.status, len(dogs), dogs.is_demo, dogs.error) == ("completed", 2, True, None)
    assert dogs.task_id is not None
    assert dogs.elapsed_s is not None
    assert dogs.description
    for got in dogs:
        assert (got.width, got.height, got.format) == (96, 64, "jpeg")
        assert got.pil.size == (96, 64)
        assert got.path.parent == home / "originals"
        assert "a-dog-on-a-beach" in got.path.name
    assert dogs[0].bytes != dogs[1].bytes
    assert [task["task_id"] for task in demo_tasks(home)] == [dogs.task_id]
    assert here.open == []


def test_the_default_model_has_its_native_size(demo: None, here: Session) -> None:
    """Without any parameter: nano-banana and one square PNG."""
    dog = mountsea_magic.generate("a dog")
    assert dog.request is not None
    assert dog.request.body() == {"model": "nano-banana", "input": {"prompt": "a dog"}}
    assert [(got.width, got.height, got.format) for got in dog] == [(1024, 1024, "png")]


def test_save_overwrites_nothing(demo: None, here: Session, tmp_path: Path) -> None:
    """Saving twice into one folder makes two identical copies of the original."""
    dog = generate("a dog", **SMALL)
    first, second = dog.save(tmp_path / "out"), dog.save(tmp_path / "out")
    assert first != second
    assert {path.read_bytes() for path in first + second} == {dog[0].bytes}
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_sync_mode_images_have_no_url(demo: None, here: Session) -> None:
    """They are inline in the response."""
    dog = generate(
        "a dog", aspect_ratio="1:1", resolution="0.5K", model="nano-banana-2", sync_mode=True
    )
    assert [(got.url, got.width) for got in dog] == [(None, 512)]


def test_gather_runs_several_at_once(demo: None, here: Session, home: Path) -> None:
    """Each has its own task and images, in the order of the calls."""

    async def work() -> list[Generation]:
        return await asyncio.gather(*(agenerate(f"dog {n}", **SMALL) for n in range(4)))

    dogs = asyncio.run(work())
    assert [dog.prompt for dog in dogs] == [f"dog {n}" for n in range(4)]
    assert all(f"-dog-{n}-" in dog[0].path.name for n, dog in enumerate(dogs))
    assert len({dog.task_id for dog in dogs}) == len(demo_tasks(home)) == 4
    assert len({dog[0].bytes for dog in dogs}) == 4
    assert here.open == []


def test_one_failure_does_not_affect_the_others(demo: None, here: Session) -> None:
    """`gather` with return_exceptions returns two results and one error with its task id."""

    async def work() -> list[Generation | BaseException]:
        prompts = ("a dog", "a dog [fail]", "a cat")
        return await asyncio.gather(
            *(agenerate(prompt, **SMALL) for prompt in prompts), return_exceptions=True
        )

    dog, failed, cat = asyncio.run(work())
    assert isinstance(dog, Generation)
    assert isinstance(cat, Generation)
    assert isinstance(failed, TaskFailed)
    assert failed.task_id is not None


def test_agenerate_runs_from_any_loop(demo: None, here: Session) -> None:
    """Several calls of `asyncio.run` reuse the loop thread and its connections."""
    ids = {asyncio.run(agenerate("a dog", **SMALL)).task_id for _ in range(2)}
    assert len(ids) == 2
    assert len(here.clients._clients) == 1


def test_agenerate_does_not_block_the_callers_loop(here: Session, hub: StandInHub) -> None:
    """Other tasks of the caller's loop run while it waits."""

    async def work() -> int:
        turns = 0
        running = asyncio.ensure_future(agenerate("a dog"))
        while not running.done() and turns < 11:
            await asyncio.sleep(0)
            turns += 1
        hub.ready_after_polls = 0
        await running
        return turns

    hub.ready_after_polls = 10**6
    assert asyncio.run(work()) > 10


def test_generate_works_within_a_running_loop(demo: None, here: Session) -> None:
    """As in a notebook cell, whose thread already runs a loop."""

    async def work() -> Generation:
        return generate("a dog", **SMALL)

    assert len(asyncio.run(work())) == 1


def test_generate_works_from_several_threads(demo: None, here: Session) -> None:
    """As from a thread pool of the user."""
    dogs: list[Generation] = []
    threads = [
        threading.Thread(target=lambda: dogs.append(generate("a dog", **SMALL))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({dog.task_id for dog in dogs}) == 3


@pytest.mark.parametrize(
    ("prompt", "parameters", "message"),
    [
        ("a dog", {"num_images": 5}, "at most 4"),
        ("a dog", {"num_images": 0}, "at least 1"),
        ("a dog", {"num_images": "many"}, "whole number"),
        ("a dog", {"num_images": True}, "whole number"),
        ("a dog", {"aspect_ratio": "16:8"}, "16:9"),
        ("a dog", {"aspect_ration": "16:9"}, "aspect_ratio"),
        ("a dog", {"model": "nano-bananna"}, "nano-banana"),
        ("a dog", {"model": "nano-banana-edit"}, "image_urls"),
        ("a dog", {"model": "gpt-image-2", "aspect_ratio": "1:1"}, "aspect_ratio"),
        ("a dog", {"safety_tolerance": 7}, "1, 2, 3, 4, 5, 6"),
        ("a dog \ud83d", {}, "surrogate"),
        ("", {}, "prompt is empty"),
        (" \n\t\n", {}, "prompt is empty"),
    ],
)
def test_an_invalid_request_is_refused_before_it_is_sent(
    here: Session,
    monkeypatch: pytest.MonkeyPatch,
    prompt: str,
    parameters: dict[str, Any],
    message: str,
) -> None:
    """Nothing is submitted, only model names are looked up, and the message has the fix."""
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        with pytest.raises(InvalidRequest) as caught:
            generate(prompt, **parameters)
        with pytest.raises(InvalidRequest, match=r"\S"):
            asyncio.run(agenerate(prompt, **parameters))
        assert not hub.posts
        assert all(seen.path.startswith("/hub/v1/models") for seen in hub.requests)
    assert message in str(caught.value)
    assert here.open == []


def test_without_a_key_nothing_is_sent(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo Hub is never chosen silently: the error names both commands."""
    with StandInHub() as hub:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        with pytest.raises(ConfigurationError, match=r"%mountsea login.*%mountsea demo"):
            generate("a dog")
        assert hub.requests == []


def test_one_generation_sends_one_post(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key, which is not sent to the image host."""
    with StandInHub(key=KEY) as hub:
        reach(hub, monkeypatch)
        dog = generate("a dog", seed=7)
        assert [seen.json for seen in hub.posts] == [
            {"model": "nano-banana", "input": {"prompt": "a dog", "seed": 7}}
        ]
        assert len(hub.downloads_seen) == 1
        assert "authorization" not in hub.downloads_seen[0].headers
    assert dog[0].bytes == image()
    assert (dog.task_id, dog.is_demo) == ("hub-0001", False)


@pytest.mark.parametrize(
    ("make", "kind", "stays_open"),
    [
        (lambda: StandInHub(key="another"), AuthenticationError, False),
        (lambda: StandInHub(submits=[RESET]), SubmissionUncertain, False),
        (
            lambda: StandInHub(submits=[json_reply({"message": f"no {KEY}"}, 422)]),
            InvalidRequest,
            False,
        ),
        (lambda: StandInHub(ending="failed"), TaskFailed, False),
        (lambda: StandInHub(polls=[json_reply({"message": KEY}, 401)]), AuthenticationError, True),
        (lambda: StandInHub(downloads=[Reply(500)] * 9), DownloadFailed, True),
    ],
    ids=["401", "reset", "422", "failed", "401 for a poll", "no download"],
)
def test_every_error_is_a_mountsea_error_without_the_key(
    here: Session,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], StandInHub],
    kind: type[MountseaError],
    stays_open: bool,
) -> None:
    """One POST; the task stays open only if it can still produce images."""
    with make() as hub:
        reach(hub, monkeypatch)
        with pytest.raises(kind) as caught:
            generate("a dog")
        assert len(hub.posts) == 1
    assert KEY not in all_text_of(caught.value)
    assert [dog.error for dog in here.open] == ([caught.value] if stays_open else [])
    assert (caught.value.task_id is not None) is (stays_open or kind is TaskFailed)


def test_the_folder_of_originals_has_only_complete_images(
    demo: None, here: Session, home: Path
) -> None:
    """There are no partial files, and every file can be decoded."""

    async def work() -> None:
        kinds = ("png", "jpeg", "webp")
        await asyncio.gather(*(agenerate("a dog", output_format=kind, **SMALL) for kind in kinds))

    asyncio.run(work())
    files = sorted((home / "originals").iterdir())
    assert [path.suffix for path in sorted(files, key=lambda path: path.suffix)] == [
        *(".jpg", ".png", ".webp"),
    ]
    for path in files:
        with Image.open(path) as image:
            image.load()


STRICT = """
from mountsea_magic import generate

dog = generate("a dog")
print(dog[0].path)
"""


def test_if_warnings_are_errors_the_image_is_still_returned(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `python -W error` the warning is printed instead of raised."""
    home.write_text("mine")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        # idle keep-alive connections are still open when the script ends
        strict = ["-W", "error", "-W", "ignore::ResourceWarning"]
        command = [sys.executable, *strict, "-c", STRICT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
        assert len(hub.posts) == 1
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "the journal" in done.stderr and "could not write to" in done.stderr
    assert Path(done.stdout.strip()).read_bytes() == image()


def test_an_unusable_home_leads_to_one_warning(
    here: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without journal and folder the image is still returned, with one warning."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "taken").write_text("mine")
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        monkeypatch.setenv("MOUNTSEA_HOME", str(tmp_path / "taken"))
        with pytest.warns(RuntimeWarning) as warned:
            dog = generate("a dog")
        with pytest.raises(WaitTimeout):
            generate("a cat", timeout=1e-9)
        assert len(hub.posts) == 2
    (message,) = (str(warning.message) for warning in warned)
    assert "the journal" in message and "could not write to" in message
    assert str(dog[0].path.parent) in message
    assert dog[0].bytes == image()
    assert [entry.task_id for entry in here.open_tasks()] == ["hub-0002"]


def test_a_key_in_the_prompt_is_not_sent(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be sent, journaled and shown."""
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        with pytest.raises(InvalidRequest, match="contains your API key") as caught:
            generate(f"a dog named {KEY}")
        assert hub.requests == []
    assert KEY not in str(caught.value)
    assert here.open == []
    assert here.open_tasks() == []


@pytest.mark.parametrize("timeout", [None, "60", 0, -1, float("nan"), float("inf")])
def test_an_invalid_timeout_is_refused_before_anything_is_sent(
    here: Session, hub: StandInHub, timeout: Any
) -> None:
    """After the submission it would be too late."""
    with pytest.raises(InvalidRequest, match="timeout must be greater than 0 seconds"):
        generate("a dog", timeout=timeout)
    assert hub.requests == []


@pytest.mark.parametrize(
    "url",
    ["http://😀.com", "https://xn--", "https://xn--zzzzzz99999/hub", "https://a\u200db.c"],
)
def test_an_invalid_base_url_is_a_configuration_error(
    here: Session, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Some host names are only found to be invalid when they are resolved."""
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    monkeypatch.setenv("MOUNTSEA_BASE_URL", url)
    with pytest.raises(ConfigurationError, match="with a valid host name"):
        generate("a dog")
    assert here.open == []
