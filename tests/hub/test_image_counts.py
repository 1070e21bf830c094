"""Image counts: no more images are fetched than were asked for, and the rest is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import Reply, StandInHub, image
from runs import completed, names, newest, ordered, resumed

from mountsea_magic.errors import DownloadFailed
from mountsea_magic.generation import download
from mountsea_magic.generation.handle import Generation
from mountsea_magic.hub.error_mapping import HubResponse
from mountsea_magic.hub.image_counts import asked_for, count_left_out, max_images
from mountsea_magic.hub.responses import MAX_SOURCES, ImageSource, read_task
from mountsea_magic.notebook.outputs import final_line
from mountsea_magic.request.request import ImageRequest, build_request

MOST = 4
"""The documented maximum."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again as often as ever, but at once."""
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name a folder for the originals, which is not there yet; the journal is beside it."""
    return tmp_path / "originals"


@pytest.mark.parametrize(
    ("count", "most"),
    [(None, MOST), (1, 1), (3, 3), (9, 9), (0, MOST), (-1, MOST), (True, MOST), ("x", MOST)],
)
def test_as_many_as_were_asked_for_are_fetched(count: object, most: int) -> None:
    """Without a number, as many as the model makes at most: by default a Hub may make several."""
    given = {"prompt": "x"} if count is None else {"prompt": "x", "num_images": count}
    assert max_images(ImageRequest("nano-banana", given)) == most
    assert max_images(ImageRequest("unknown", given)) == most
    assert max_images(None) == MOST


@pytest.mark.parametrize("name", ["n", "image_count", "num_outputs", "batch_size"])
def test_a_number_by_another_name_is_one(name: str) -> None:
    """A live model may call it as it likes, and what it makes is paid for."""
    assert max_images(ImageRequest("live", {"prompt": "x", name: 8})) == 8


@pytest.mark.parametrize(("asked", "most"), [(1, 1), (2, 2), (None, MOST)])
def test_what_a_hub_adds_is_left_there(folder: Path, asked: int | None, most: int) -> None:
    """One request an image that was asked for; the first ones, and the others are counted."""
    request = build_request("a dog", parameters={"num_images": asked} if asked else {})
    with StandInHub(images=[image()] * 3000) as hub:
        done = completed(ordered(hub, folder, request))
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, most)
        first = [hub.image_url(f"hub-0001/{n}") for n in range(most)]
    assert [got.url for got in done.images] == first
    assert done.left_out == 3000 - most
    assert len(names(folder)) == len(newest(folder).files) == most


def test_a_resumed_task_brings_what_its_journal_says_was_asked_for(folder: Path) -> None:
    """Of a task that nobody here has submitted, the documented maximum is fetched."""
    request = build_request("a dog", parameters={"num_images": 2})
    with StandInHub(downloads=[Reply(500)] * 8, images=[image()] * 6) as hub:
        with pytest.raises(DownloadFailed):
            ordered(hub, folder, request)
        known = completed(resumed(hub, folder, "hub-0001"))
        assert (len(hub.downloads_seen), len(known.images), known.left_out) == (8 + 2, 2, 4)
        hub.polls.append(hub.done(hub.data([hub.image_url(f"hub-0001/{n}") for n in range(6)])))
        unknown = completed(resumed(hub, folder, "hub-x"))
        assert (len(unknown.images), unknown.left_out) == (MOST, 2)


def test_expired_urls_of_too_many_images_are_asked_for_anew(folder: Path) -> None:
    """The fresh ones are counted as the old ones were."""
    request = build_request("a dog", parameters={"num_images": 2})
    with StandInHub(downloads=[Reply(410), Reply(410)], images=[image()] * 5) as hub:
        done = completed(ordered(hub, folder, request))
        assert (len(hub.polls_seen), len(hub.downloads_seen)) == (2, 4)
    assert (len(done.images), done.left_out) == (2, 3)


@pytest.mark.parametrize("made", [1, 2])
def test_a_hub_that_makes_fewer_is_fine(folder: Path, made: int) -> None:
    """What there is is fetched, and nothing is said of others."""
    request = build_request("a dog", parameters={"num_images": 2})
    with StandInHub(images=[image(number=n) for n in range(made)]) as hub:
        done = completed(ordered(hub, folder, request))
    assert (len(done.images), done.left_out) == (made, 0)


def test_an_image_that_is_named_twice_takes_no_place_of_another() -> None:
    """Where the places suffice, both are fetched, as ever."""
    a, b, c = (ImageSource(f"https://cdn.example/{name}") for name in "abc")
    assert asked_for((a, a, b, c), 2) == (a, b)
    assert (count_left_out((a, a, b, c), 2), count_left_out((a, a), 2)) == (1, 0)
    assert (asked_for((a, a), 2), asked_for((a, a), 1)) == ((a, a), (a,))
    assert count_left_out((a, a), 1) == 0


def test_the_final_line_names_what_was_left_out(folder: Path) -> None:
    """In words, with its number; it is the handle's `left_out`, too."""
    request = build_request("a dog", parameters={"num_images": 1})
    handle = Generation(request)
    with StandInHub(images=[image(number=n) for n in range(3)]) as hub:
        for event in ordered(hub, folder, request):
            handle.take(event)
    line = final_line(handle)
    assert handle.left_out == 2
    assert "2 more at the Hub were not asked for" in line.text
    assert "2 more at the Hub were not asked for" in line.html
    handle.left_out = 0
    assert "asked for" not in final_line(handle).text


def test_endless_images_are_not_counted_to_their_end() -> None:
    """No Hub makes so many: what is counted is bounded, within lists, too."""
    many = [f"https://cdn.example/{n}" for n in range(MAX_SOURCES)]
    for data in ({"images": many * 3}, [{"images": many}, many, [many]]):
        state = read_task(HubResponse(200, {}, {"status": "completed", "data": data}))
        assert len(state.sources) == MAX_SOURCES
