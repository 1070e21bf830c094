"""How a request is answered: from the journal where that is right, without a byte on the wire."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_server import Reply, StandInHub, data_uri, image, json_reply
from own_session import begin_session, reach

from mountsea_magic import generate
from mountsea_magic.errors import AuthenticationError, DownloadFailed, MountseaError, WaitTimeout
from mountsea_magic.generation import run
from mountsea_magic.generation.handle import Generation
from mountsea_magic.journal.journal import Journal
from mountsea_magic.notebook.outputs import final_line
from mountsea_magic.session import Session

SMALL: dict[str, Any] = {"model": "gpt-image-2", "image_size": {"width": 64, "height": 64}}
GONE = json_reply({"message": "no such task"}, 404)

pytestmark = pytest.mark.usefixtures("here")


def traffic(hub: StandInHub) -> tuple[int, int, int]:
    """Count the POSTs, the looks and the downloads so far."""
    return len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)


@pytest.mark.parametrize("seed", [7, 0])
def test_an_equal_request_with_a_seed_sends_nothing_at_all(
    hub: StandInHub, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this kernel and in another: the same images, task and words, and it is said so."""
    first = generate("a dog", seed=seed, num_images=2)
    before = traffic(hub)
    assert before == (1, 1, 2)
    for _ in range(2):
        again = generate("a dog", num_images=2, seed=seed)
        assert (again.from_journal, again.status, again.task_id) == (True, "completed", "hub-0001")
        assert [got.bytes for got in again] == [image(number=0), image(number=1)]
        assert [got.path for got in again] == [got.path for got in first]
        assert (again.description, again.elapsed_s) == (first.description, first.elapsed_s)
        assert "from the journal, nothing charged" in final_line(again).text
        begin_session(monkeypatch)
    assert traffic(hub) == before
    assert not first.from_journal
    assert "from the journal" not in final_line(first).text


def test_the_hub_need_not_be_there(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a plane, what was paid for is still there."""
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        first = generate("a dog", seed=7)
    begin_session(monkeypatch)
    assert generate("a dog", seed=7)[0].path == first[0].path


def test_without_a_seed_each_call_is_an_order(hub: StandInHub) -> None:
    """Who sets no seed wants a new image each time."""
    tasks = [generate("a dog").task_id for _ in range(2)]
    assert tasks == ["hub-0001", "hub-0002"]
    assert len(hub.posts) == 2


def test_fresh_orders_in_spite_of_a_seed(hub: StandInHub) -> None:
    """And what was ordered last is what answers the next one."""
    generate("a dog", seed=7)
    fresh = generate("a dog", seed=7, fresh=True)
    assert (fresh.task_id, fresh.from_journal, len(hub.posts)) == ("hub-0002", False, 2)
    assert generate("a dog", seed=7).task_id == "hub-0002"
    assert len(hub.posts) == 2


def test_cache_answers_without_a_seed(hub: StandInHub) -> None:
    """An order where there is nothing to answer from, else the newest equal one."""
    first = generate("a dog", cache=True)
    assert (first.from_journal, len(hub.posts)) == (False, 1)
    generate("a dog")
    again = generate("a dog", cache=True)
    assert (again.task_id, again.from_journal, len(hub.posts)) == ("hub-0002", True, 2)


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
def test_another_input_is_another_order(
    hub: StandInHub, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Model, prompt and every parameter count, as they are sent."""
    for parameters in (first, second):
        assert not generate(**({"prompt": "a dog"} | parameters)).from_journal
    assert len(hub.posts) == 2


def test_input_images_count_by_content(hub: StandInHub) -> None:
    """The same bytes are the same request, other bytes are another."""

    def hat(number: int) -> Generation:
        urls = [data_uri(image(number=number))]
        return generate("a hat", model="nano-banana-edit", seed=7, image_urls=urls)

    assert [hat(number).from_journal for number in (1, 2, 1, 2)] == [False, False, True, True]
    assert len(hub.posts) == 2


def test_another_hub_is_another_order(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one Hub drew never answers for another, in either direction."""
    generate("a dog", seed=7)
    with StandInHub() as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        assert not generate("a dog", seed=7).from_journal
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        assert generate("a dog", seed=7).from_journal
        assert (len(hub.posts), len(other.posts)) == (1, 1)


def test_a_demo_drawing_never_answers_for_a_real_hub(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a real image for the demo; each answers for itself."""
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
    """As an image editor would."""
    path.write_bytes(image("jpeg", 5))


def _cut(path: Path) -> None:
    """As a full disk would."""
    path.write_bytes(path.read_bytes()[:-20])


def _replace(path: Path) -> None:
    """Something else under the same name."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "harm", [Path.unlink, _alter, _cut, _replace], ids=["deleted", "altered", "cut", "replaced"]
)
@pytest.mark.parametrize("by_id", [False, True], ids=["generate", "resume"])
def test_a_harmed_file_is_fetched_again_and_not_paid_again(
    hub: StandInHub, here: Session, harm: Callable[[Path], None], by_id: bool
) -> None:
    """One look, the downloads, no POST; the next one then needs nothing again."""
    first = generate("a dog", seed=7, num_images=2)
    harm(first[1].path)
    again = Generation(None, task_id="hub-0001")
    for _ in range(2):
        if by_id:
            here.worker.run(here.generate(again, here.settings()))
        else:
            again = generate("a dog", seed=7, num_images=2)
            assert again.from_journal
        assert [got.bytes for got in again] == [image(number=0), image(number=1)]
        assert all(got.is_intact() for got in again)
        assert traffic(hub) == (1, 2, 4)


@pytest.mark.parametrize(
    "answer",
    [
        GONE,
        json_reply({"status": "failed", "ready": True, "error_message": "expired"}),
        json_reply({"status": "completed", "ready": True, "data": {"images": []}}),
        json_reply({"status": "completed", "ready": True, "data": None}),
    ],
    ids=["404", "failed", "no image", "no data"],
)
def test_what_the_hub_has_forgotten_is_ordered_anew(hub: StandInHub, answer: Reply) -> None:
    """One more POST, and from then on the new images answer."""
    generate("a dog", seed=7)[0].path.unlink()
    hub.polls.append(answer)
    again = generate("a dog", seed=7)
    assert (again.task_id, again.from_journal) == ("hub-0002", False)
    assert again[0].bytes == image()
    assert generate("a dog", seed=7).task_id == "hub-0002"
    assert len(hub.posts) == 2


def test_images_that_are_gone_from_their_host_are_ordered_anew(hub: StandInHub) -> None:
    """The task is asked for fresh addresses first."""
    generate("a dog", seed=7)[0].path.unlink()
    before = traffic(hub)
    hub.downloads.extend([Reply(410)] * 4)
    again = generate("a dog", seed=7)
    assert (again.task_id, again.from_journal) == ("hub-0002", False)
    assert traffic(hub)[2] == before[2] + 5
    assert len(hub.posts) == 2


@pytest.mark.parametrize("way", ["a proxy's 403", "no fresh address"])
def test_what_is_not_surely_gone_is_not_paid_again(hub: StandInHub, way: str) -> None:
    """Only a fresh address that leads nowhere says that the host has the image no more."""
    generate("a dog", seed=7)[0].path.unlink()
    hub.downloads.extend([Reply(403 if way == "a proxy's 403" else 410)] * 4)
    if way == "no fresh address":
        hub.polls.append(None)
        hub.polls.extend([Reply(502, b"<html>")] * 4)
    with pytest.raises(DownloadFailed, match="kept at the Hub") as caught:
        generate("a dog", seed=7)
    assert caught.value.task_id == "hub-0001" and not caught.value.gone
    hub.polls.clear()
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_the_key_gets_no_order(hub: StandInHub, status: int) -> None:
    """Whether the images are gone for good is not known then."""
    generate("a dog", seed=7)[0].path.unlink()
    hub.polls.append(json_reply({"message": "no"}, status))
    with pytest.raises(AuthenticationError) as caught:
        generate("a dog", seed=7)
    assert caught.value.task_id == "hub-0001"
    assert len(hub.posts) == 1
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 1


@pytest.mark.parametrize("trouble", ["Hub", "image host"])
def test_what_is_out_of_reach_for_now_is_not_paid_again(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Only what is gone for good is ordered anew: a Hub that is flaky has it still."""
    monkeypatch.setattr(run, "REFETCH_S", 0.1)
    generate("a dog", seed=7)[0].path.unlink()
    if trouble == "Hub":
        hub.polls.append(Reply(502, b"<html>", lasting=True))
    else:
        hub.downloads.extend([Reply(503)] * 4)
    with pytest.raises(WaitTimeout if trouble == "Hub" else DownloadFailed) as caught:
        generate("a dog", seed=7)
    assert caught.value.task_id == "hub-0001"
    hub.polls.clear()
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 1


def test_an_older_image_that_is_intact_answers_before_the_hub_is_asked(hub: StandInHub) -> None:
    """Of several equal orders any whose files are whole will do: nothing is sent at all."""
    first = generate("a dog", seed=7)
    generate("a dog", seed=7, fresh=True)[0].path.unlink()
    before = traffic(hub)
    again = generate("a dog", seed=7)
    assert (again.task_id, again[0].path, again.from_journal) == ("hub-0001", first[0].path, True)
    assert traffic(hub) == before == (2, 2, 2)


@pytest.mark.parametrize("ending", ["failed", "timeout", "cancelled"])
def test_what_brought_no_images_answers_nothing(hub: StandInHub, ending: str) -> None:
    """A request that failed is ordered when it is asked for again."""
    hub.ending = ending
    with pytest.raises(MountseaError, match="Nothing was charged"):
        generate("a dog", seed=7)
    hub.ending = "completed"
    assert generate("a dog", seed=7).task_id == "hub-0002"
    assert len(hub.posts) == 2


def test_an_answer_from_the_journal_leaves_no_trace(hub: StandInHub, home: Path) -> None:
    """No new row, no new file: the history lists what was ordered."""
    generate("a dog", seed=7)
    before = Journal(home / "journal.sqlite").search()
    files = sorted(home.rglob("*"))
    generate("a dog", seed=7)
    assert Journal(home / "journal.sqlite").search() == before
    assert sorted(home.rglob("*")) == files


def test_without_a_journal_everything_is_an_order(hub: StandInHub, home: Path) -> None:
    """One that can't be read answers nothing, and stops nothing; its trouble is told."""
    (home / "journal.sqlite").mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="can't be used"):
        generate("a dog", seed=7)
    assert generate("a dog", seed=7)[0].bytes == image()
    assert len(hub.posts) == 2


def test_a_gateways_404_is_no_reason_to_pay_again(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the Hub's own JSON says that a task is gone."""
    monkeypatch.setattr(run, "REFETCH_S", 0.2)
    generate("a dog", seed=7)[0].path.unlink()
    hub.polls.extend([Reply(404, b"<html><title>404</title></html>")] * 10_000)
    with pytest.raises(WaitTimeout, match="is not the Hub"):
        generate("a dog", seed=7)
    assert len(hub.posts) == 1
