"""Running a request: when a result from the journal is reused, and when it is submitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_server import Reply, StandInHub, data_uri, image, json_reply
from own_session import begin_session, reach

from mountsea_magic import generate
from mountsea_magic.errors import AuthenticationError, DownloadFailed, MountseaError, WaitTimeout
from mountsea_magic.generation import from_journal
from mountsea_magic.generation.handle import Generation
from mountsea_magic.journal.journal import Journal
from mountsea_magic.notebook.outputs import final_line
from mountsea_magic.session import Session

SMALL: dict[str, Any] = {"model": "gpt-image-2", "image_size": {"width": 64, "height": 64}}
NOT_FOUND = json_reply({"message": "no such task"}, 404)

pytestmark = pytest.mark.usefixtures("here")


def traffic(hub: StandInHub) -> tuple[int, int, int]:
    """Return the numbers of POSTs, polls and downloads so far."""
    return len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)


@pytest.mark.parametrize("seed", [7, 0])
def test_an_identical_request_with_a_seed_sends_nothing(
    hub: StandInHub, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this kernel or another: the same images, task and description; the final line says so."""
    first = generate("a dog", seed=seed, num_images=2)
    before = traffic(hub)
    assert before == (1, 1, 2)
    for _ in range(2):
        repeated = generate("a dog", num_images=2, seed=seed)
        assert (repeated.from_journal, repeated.status, repeated.task_id) == (
            True,
            "completed",
            "hub-0001",
        )
        assert [got.bytes for got in repeated] == [image(number=0), image(number=1)]
        assert [got.path for got in repeated] == [got.path for got in first]
        assert (repeated.description, repeated.elapsed_s) == (first.description, first.elapsed_s)
        assert "from the journal, nothing charged" in final_line(repeated).text
        begin_session(monkeypatch)
    assert traffic(hub) == before
    assert not first.from_journal
    assert "from the journal" not in final_line(first).text


def test_the_journal_works_offline(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """An identical request with a seed needs no Hub."""
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        first = generate("a dog", seed=7)
    begin_session(monkeypatch)
    assert generate("a dog", seed=7)[0].path == first[0].path


def test_without_a_seed_each_call_is_submitted(hub: StandInHub) -> None:
    """Without a seed the user expects a new image each time."""
    tasks = [generate("a dog").task_id for _ in range(2)]
    assert tasks == ["hub-0001", "hub-0002"]
    assert len(hub.posts) == 2


def test_fresh_submits_despite_a_seed(hub: StandInHub) -> None:
    """The next request then reuses the newest result."""
    generate("a dog", seed=7)
    fresh = generate("a dog", seed=7, fresh=True)
    assert (fresh.task_id, fresh.from_journal, len(hub.posts)) == ("hub-0002", False, 2)
    assert generate("a dog", seed=7).task_id == "hub-0002"
    assert len(hub.posts) == 2


def test_cache_uses_the_journal_without_a_seed(hub: StandInHub) -> None:
    """It submits if there is no identical request, else it returns the newest result."""
    first = generate("a dog", cache=True)
    assert (first.from_journal, len(hub.posts)) == (False, 1)
    generate("a dog")
    repeated = generate("a dog", cache=True)
    assert (repeated.task_id, repeated.from_journal, len(hub.posts)) == ("hub-0002", True, 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"seed": 7}, {"seed": 8}),
        ({"seed": 7}, {"seed": 7, "num_images": 1}),
        ({"seed": 7}, {"seed": 7, "model": "nano-banana-2"}),
        ({"seed": 7, "aspect_ratio": "1:1"}, {"seed": 7, "aspect_ratio": "16:9"}),
        ({"seed": 7, "prompt": "a dog"}, {"seed": 7, "prompt": "a  dog"}),
        ({"seed": 7, "prompt": "a dog"}, {"seed": 7, "prompt": "A dog"}),
    ],
)
def test_a_different_request_is_submitted(
    hub: StandInHub, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Model, prompt and every parameter are compared exactly."""
    for parameters in (first, second):
        assert not generate(**({"prompt": "a dog"} | parameters)).from_journal
    assert len(hub.posts) == 2


def test_input_images_are_compared_by_content(hub: StandInHub) -> None:
    """The same bytes make an identical request, other bytes do not."""

    def hat(number: int) -> Generation:
        urls = [data_uri(image(number=number))]
        return generate("a hat", model="nano-banana-edit", seed=7, image_urls=urls)

    assert [hat(number).from_journal for number in (1, 2, 1, 2)] == [False, False, True, True]
    assert len(hub.posts) == 2


def test_results_of_one_hub_are_not_used_for_another(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Hub has its own results."""
    generate("a dog", seed=7)
    with StandInHub() as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        assert not generate("a dog", seed=7).from_journal
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        assert generate("a dog", seed=7).from_journal
        assert (len(hub.posts), len(other.posts)) == (1, 1)


def test_demo_drawings_are_not_used_for_a_real_hub(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor real images for the demo Hub."""
    for _ in range(2):
        monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")
        drawing = generate("a dog", cache=True, **SMALL)
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        real = generate("a dog", cache=True, **SMALL)
        assert (drawing.is_demo, real.is_demo) == (True, False)
        assert real[0].bytes == image() != drawing[0].bytes
    assert drawing.from_journal and real.from_journal
    assert len(hub.posts) == 1


def _alter(path: Path) -> None:
    """Overwrite a file, as an image editor would."""
    path.write_bytes(image("jpeg", 5))


def _truncate(path: Path) -> None:
    """Truncate a file, as a full disk would."""
    path.write_bytes(path.read_bytes()[:-20])


def _replace(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, _alter, _truncate, _replace],
    ids=["deleted", "altered", "truncated", "replaced"],
)
@pytest.mark.parametrize("by_id", [False, True], ids=["generate", "resume"])
def test_a_damaged_file_is_downloaded_again_and_not_submitted_again(
    hub: StandInHub, here: Session, damage: Callable[[Path], None], by_id: bool
) -> None:
    """One poll and the downloads, no POST; the next request then needs none of them."""
    first = generate("a dog", seed=7, num_images=2)
    damage(first[1].path)
    repeated = Generation(None, task_id="hub-0001")
    for _ in range(2):
        if by_id:
            here.worker.run(here.generate(repeated, here.settings()))
        else:
            repeated = generate("a dog", seed=7, num_images=2)
            assert repeated.from_journal
        assert [got.bytes for got in repeated] == [image(number=0), image(number=1)]
        assert all(got.is_intact() for got in repeated)
        assert traffic(hub) == (1, 2, 4)


@pytest.mark.parametrize(
    "response",
    [
        NOT_FOUND,
        json_reply({"status": "failed", "ready": True, "error_message": "expired"}),
        json_reply({"status": "completed", "ready": True, "data": {"images": []}}),
        json_reply({"status": "completed", "ready": True, "data": None}),
    ],
    ids=["404", "failed", "no image", "no data"],
)
def test_a_result_that_the_hub_has_deleted_is_submitted_again(
    hub: StandInHub, response: Reply
) -> None:
    """One more POST; the next request then reuses its images."""
    generate("a dog", seed=7)[0].path.unlink()
    hub.polls.append(response)
    repeated = generate("a dog", seed=7)
    assert (repeated.task_id, repeated.from_journal) == ("hub-0002", False)
    assert repeated[0].bytes == image()
    assert generate("a dog", seed=7).task_id == "hub-0002"
    assert len(hub.posts) == 2


def test_a_result_whose_images_are_deleted_is_submitted_again(hub: StandInHub) -> None:
    """The task is polled for new URLs first."""
    generate("a dog", seed=7)[0].path.unlink()
    before = traffic(hub)
    hub.downloads.extend([Reply(410)] * 4)
    repeated = generate("a dog", seed=7)
    assert (repeated.task_id, repeated.from_journal) == ("hub-0002", False)
    assert traffic(hub)[2] == before[2] + 5
    assert len(hub.posts) == 2


@pytest.mark.parametrize("way", ["a proxy's 403", "no new URL"])
def test_an_image_that_may_still_exist_is_not_submitted_again(hub: StandInHub, way: str) -> None:
    """Only a 404 or 410 for a new URL means that the image is deleted."""
    generate("a dog", seed=7)[0].path.unlink()
    hub.downloads.extend([Reply(403 if way == "a proxy's 403" else 410)] * 4)
    if way == "no new URL":
        hub.polls.append(None)
        hub.polls.extend([Reply(502, b"<html>")] * 4)
    with pytest.raises(
        DownloadFailed, match="The task is complete; download its images with"
    ) as caught:
        generate("a dog", seed=7)
    assert caught.value.task_id == "hub-0001" and not caught.value.gone
    hub.polls.clear()
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_after_a_refused_key_nothing_is_submitted(hub: StandInHub, status: int) -> None:
    """It is then unknown whether the images still exist."""
    generate("a dog", seed=7)[0].path.unlink()
    hub.polls.append(json_reply({"message": "no"}, status))
    with pytest.raises(AuthenticationError) as caught:
        generate("a dog", seed=7)
    assert caught.value.task_id == "hub-0001"
    assert len(hub.posts) == 1
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 1


@pytest.mark.parametrize("unavailable", ["Hub", "image host"])
def test_a_temporarily_unavailable_result_is_not_submitted_again(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch, unavailable: str
) -> None:
    """After an outage of the Hub or the image host, the result is still there."""
    monkeypatch.setattr(from_journal, "REFETCH_TIMEOUT_S", 0.1)
    generate("a dog", seed=7)[0].path.unlink()
    if unavailable == "Hub":
        hub.polls.append(Reply(502, b"<html>", repeat=True))
    else:
        hub.downloads.extend([Reply(503)] * 4)
    with pytest.raises(WaitTimeout if unavailable == "Hub" else DownloadFailed) as caught:
        generate("a dog", seed=7)
    assert caught.value.task_id == "hub-0001"
    hub.polls.clear()
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 1


def test_an_older_intact_result_is_used_before_the_hub_is_asked(hub: StandInHub) -> None:
    """Any identical request with intact files will do: nothing is sent."""
    first = generate("a dog", seed=7)
    generate("a dog", seed=7, fresh=True)[0].path.unlink()
    before = traffic(hub)
    repeated = generate("a dog", seed=7)
    assert (repeated.task_id, repeated[0].path, repeated.from_journal) == (
        "hub-0001",
        first[0].path,
        True,
    )
    assert traffic(hub) == before == (2, 2, 2)


@pytest.mark.parametrize("ending", ["failed", "timeout", "cancelled"])
def test_a_failed_request_is_submitted_again(hub: StandInHub, ending: str) -> None:
    """Only results of completed requests are reused."""
    hub.ending = ending
    with pytest.raises(MountseaError, match="Nothing was charged"):
        generate("a dog", seed=7)
    hub.ending = "completed"
    assert generate("a dog", seed=7).task_id == "hub-0002"
    assert len(hub.posts) == 2


def test_a_result_from_the_journal_writes_nothing(hub: StandInHub, home: Path) -> None:
    """No new row and no new file: the history lists submissions only."""
    generate("a dog", seed=7)
    before = Journal(home / "journal.sqlite").search()
    files = sorted(home.rglob("*"))
    generate("a dog", seed=7)
    assert Journal(home / "journal.sqlite").search() == before
    assert sorted(home.rglob("*")) == files


def test_without_a_journal_every_request_is_submitted(hub: StandInHub, home: Path) -> None:
    """An unreadable journal leads to a warning, and the generation continues."""
    (home / "journal.sqlite").mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="can't be used"):
        generate("a dog", seed=7)
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 2


def test_after_a_404_of_a_gateway_nothing_is_submitted(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a 404 with the Hub's JSON means that a task is deleted."""
    monkeypatch.setattr(from_journal, "REFETCH_TIMEOUT_S", 0.2)
    generate("a dog", seed=7)[0].path.unlink()
    hub.polls.extend([Reply(404, b"<html><title>404</title></html>")] * 10_000)
    with pytest.raises(WaitTimeout, match="is not from the Hub"):
        generate("a dog", seed=7)
    assert len(hub.posts) == 1
