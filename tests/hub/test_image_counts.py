"""Image counts: at limit the requested number is downloaded, and extra images are reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import Reply, StandInHub, image
from runs import completed, generate, names, newest_entry, resume

from mountsea_magic.errors import DownloadFailed
from mountsea_magic.generation import download
from mountsea_magic.generation.handle import Generation
from mountsea_magic.hub.http_response import HubResponse
from mountsea_magic.hub.image_counts import count_left_out, max_images, select_images
from mountsea_magic.hub.responses import MAX_SOURCES, ImageSource, read_task
from mountsea_magic.notebook.outputs import final_line
from mountsea_magic.request.request import ImageRequest, build_request

DOCUMENTED_MAX = 4
"""The documented maximum."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry as often as usual, but without pauses."""
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for the originals that does not exist yet; the journal is next to it."""
    return tmp_path / "originals"


@pytest.mark.parametrize(
    ("count", "limit"),
    [
        (None, DOCUMENTED_MAX),
        (1, 1),
        (3, 3),
        (9, 9),
        (0, DOCUMENTED_MAX),
        (-1, DOCUMENTED_MAX),
        (True, DOCUMENTED_MAX),
        ("x", DOCUMENTED_MAX),
    ],
)
def test_the_requested_number_is_the_limit(count: object, limit: int) -> None:
    """Without a number it is the model's maximum: the Hub's default may be more than one."""
    given = {"prompt": "x"} if count is None else {"prompt": "x", "num_images": count}
    assert max_images(ImageRequest("nano-banana", given)) == limit
    assert max_images(ImageRequest("unknown", given)) == limit
    assert max_images(None) == DOCUMENTED_MAX


@pytest.mark.parametrize("name", ["n", "image_count", "num_outputs", "batch_size"])
def test_the_number_may_have_another_name(name: str) -> None:
    """In a live model, whose images are charged as well."""
    assert max_images(ImageRequest("live", {"prompt": "x", name: 8})) == 8


@pytest.mark.parametrize(("requested", "limit"), [(1, 1), (2, 2), (None, DOCUMENTED_MAX)])
def test_extra_images_are_not_downloaded(folder: Path, requested: int | None, limit: int) -> None:
    """Only the first ones are; the others are counted."""
    request = build_request("a dog", parameters={"num_images": requested} if requested else {})
    with StandInHub(images=[image()] * 3000) as hub:
        done = completed(generate(hub, folder, request))
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, limit)
        first = [hub.image_url(f"hub-0001/{n}") for n in range(limit)]
    assert [got.url for got in done.images] == first
    assert done.left_out == 3000 - limit
    assert len(names(folder)) == len(newest_entry(folder).files) == limit


def test_a_resumed_task_has_the_number_in_the_journal_as_its_limit(folder: Path) -> None:
    """For a task that is not in the journal, it is the documented maximum."""
    request = build_request("a dog", parameters={"num_images": 2})
    with StandInHub(downloads=[Reply(500)] * 8, images=[image()] * 6) as hub:
        with pytest.raises(DownloadFailed):
            generate(hub, folder, request)
        known = completed(resume(hub, folder, "hub-0001"))
        assert (len(hub.downloads_seen), len(known.images), known.left_out) == (8 + 2, 2, 4)
        hub.polls.append(hub.done(hub.data([hub.image_url(f"hub-0001/{n}") for n in range(6)])))
        unknown = completed(resume(hub, folder, "hub-x"))
        assert (len(unknown.images), unknown.left_out) == (DOCUMENTED_MAX, 2)


def test_fresh_urls_of_too_many_images_are_limited_too(folder: Path) -> None:
    """Like the expired ones."""
    request = build_request("a dog", parameters={"num_images": 2})
    with StandInHub(downloads=[Reply(410), Reply(410)], images=[image()] * 5) as hub:
        done = completed(generate(hub, folder, request))
        assert (len(hub.polls_seen), len(hub.downloads_seen)) == (2, 4)
    assert (len(done.images), done.left_out) == (2, 3)


@pytest.mark.parametrize("made", [1, 2])
def test_fewer_images_than_requested_are_downloaded_without_a_notice(
    folder: Path, made: int
) -> None:
    """Nothing was left out."""
    request = build_request("a dog", parameters={"num_images": 2})
    with StandInHub(images=[image(number=n) for n in range(made)]) as hub:
        done = completed(generate(hub, folder, request))
    assert (len(done.images), done.left_out) == (made, 0)


def test_duplicates_are_dropped_only_if_there_are_too_many_images() -> None:
    """A duplicate must not replace another image."""
    a, b, c = (ImageSource(f"https://cdn.example/{name}") for name in "abc")
    assert select_images((a, a, b, c), 2) == (a, b)
    assert (count_left_out((a, a, b, c), 2), count_left_out((a, a), 2)) == (1, 0)
    assert (select_images((a, a), 2), select_images((a, a), 1)) == ((a, a), (a,))
    assert count_left_out((a, a), 1) == 0


def test_the_final_line_reports_extra_images(folder: Path) -> None:
    """With their number, which is also the handle's `left_out`."""
    request = build_request("a dog", parameters={"num_images": 1})
    handle = Generation(request)
    with StandInHub(images=[image(number=n) for n in range(3)]) as hub:
        for event in generate(hub, folder, request):
            handle.take(event)
    line = final_line(handle)
    assert handle.left_out == 2
    assert "2 extra images were not downloaded" in line.text
    assert "2 extra images were not downloaded" in line.html
    handle.left_out = 0
    assert "not downloaded" not in final_line(handle).text


def test_the_count_of_images_is_limited() -> None:
    """Also in nested lists."""
    many = [f"https://cdn.example/{n}" for n in range(MAX_SOURCES)]
    for data in ({"images": many * 3}, [{"images": many}, many, [many]]):
        task = read_task(HubResponse(200, {}, {"status": "completed", "data": data}))
        assert len(task.sources) == MAX_SOURCES
