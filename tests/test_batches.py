"""`generate_many` and `agenerate_many`: what is submitted, in which order, and what is not."""

from __future__ import annotations

import _thread
import asyncio
import copy
import gc
import json
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import KEY, Reply, StandInHub, json_reply
from own_session import begin_session, reach

import mountsea_magic as mm
from mountsea_magic.errors import (
    AuthenticationError,
    BatchFailed,
    BudgetExceeded,
    ConfigurationError,
    Interrupted,
    InvalidRequest,
    RateLimited,
    SubmissionUncertain,
    TaskFailed,
)
from mountsea_magic.generation.batch import Batch
from mountsea_magic.journal.entry import Entry
from mountsea_magic.runtime.loop_thread import Job
from mountsea_magic.session import current_session

pytestmark = pytest.mark.usefixtures("here")

PROMPTS = [f"a dog, number {number}" for number in range(6)]
REFUSED = json_reply({"message": "no dogs"}, 422)
LOST = Reply(reset=True)


def journaled() -> list[Entry]:
    """Return the entries of the journal."""
    here = current_session()
    return here.journal(here.settings()).search(limit=100)


def prompts_of(hub: StandInHub) -> list[str]:
    """Return the prompts submitted, in order."""
    return [post.json["input"]["prompt"] for post in hub.posts]


def test_the_batch_has_the_order_of_the_requests(hub: StandInHub) -> None:
    """Whatever ends first; each request is submitted once."""
    batch = mm.generate_many(PROMPTS, concurrency=3)
    assert [each.prompt for each in batch] == PROMPTS
    assert [each.status for each in batch] == ["completed"] * 6
    assert sorted(prompts_of(hub)) == PROMPTS
    assert (len(batch), len(batch.completed), len(batch.images)) == (6, 6, 6)
    assert (batch.failed, batch.pending, batch.uncertain, batch.done()) == ([], [], [], True)


def test_requests_of_all_kinds_are_taken(hub: StandInHub) -> None:
    """Prompts, mappings, requests, items of a grid; parameters of all are merged."""
    request = mm.ImageRequest("nano-banana", {"prompt": "a cow", "seed": 4})
    grid = mm.grid("a {{ animal }}", animal=["cat", "hen"], seed=[1])
    batch = mm.generate_many(
        ["a dog", {"prompt": "a pig", "num_images": 3}, request, *grid], seed=9
    )
    assert [each.request.input for each in batch if each.request] == [
        {"prompt": "a dog", "seed": 9},
        {"prompt": "a pig", "seed": 9, "num_images": 3},
        {"prompt": "a cow", "seed": 4},
        {"prompt": "a cat", "seed": 1},
        {"prompt": "a hen", "seed": 1},
    ]
    assert [len(each) for each in batch] == [1, 3, 1, 1, 1]
    assert [each.prompt for each in batch.where(animal="hen")] == ["a hen"]
    assert [each.prompt for each in batch.where(seed=1, animal="cat")] == ["a cat"]
    with pytest.raises(KeyError, match=r"'colour'.*animal"):
        batch.where(colour="red")


def test_a_data_frame_is_a_batch(hub: StandInHub) -> None:
    """Columns that are no parameters are kept, and sent nowhere."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"prompt": ["a", "b"], "seed": [1, None], "sku": ["x1", "x2"]})
    batch = mm.generate_many(table)
    assert [post.json["input"] for post in sorted(hub.posts, key=lambda post: post.body)] == [
        {"prompt": "a", "seed": 1},
        {"prompt": "b"},
    ]
    found = batch.to_pandas()
    assert list(found.columns) == [
        *("prompt", "model", "seed", "sku", "status", "task_id", "elapsed_s", "from_journal"),
        *("files", "error"),
    ]
    assert found["sku"].to_list() == ["x1", "x2"]


def test_a_sequence_is_validated_whole_before_the_first_is_sent(hub: StandInHub) -> None:
    """All problems are in one error."""
    with pytest.raises(InvalidRequest) as caught:
        mm.generate_many(["a dog", {"prompt": "b", "seed": "q"}, {"prompt": "c", "sead": 1}, 7])
    assert "Request 2: seed must be a whole number" in str(caught.value)
    assert "Request 3: sead is not a parameter" in str(caught.value)
    assert "Request 4: expected a prompt" in str(caught.value)
    assert hub.posts == []


def test_a_bad_item_of_an_iterator_is_a_failed_request(hub: StandInHub) -> None:
    """The others are submitted."""
    batch = mm.generate_many(iter(["a dog", {"prompt": "b", "seed": "q"}, "a cat"]))
    assert [each.status for each in batch] == ["completed", "failed", "completed"]
    assert isinstance(batch[1].error, InvalidRequest)
    assert sorted(prompts_of(hub)) == ["a cat", "a dog"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"concurrency": 0}, "concurrency must be"),
        ({"concurrency": True}, "concurrency must be"),
        ({"batch": " "}, "batch is empty"),
        ({"batch": "a\nb"}, "batch must not contain control characters"),
        ({"batch": f"farm {KEY}"}, "contains your API key"),
        ({"on_error": "stop"}, "on_error must be"),
        ({"timeout": 0}, "timeout must be"),
        ({"model": "no-such"}, "Unknown model"),
        ({"sead": 3}, "sead is not a parameter"),
    ],
)
def test_wrong_arguments_send_nothing(
    hub: StandInHub, arguments: dict[str, Any], message: str
) -> None:
    """Each names what is possible."""
    with pytest.raises(InvalidRequest, match=message):
        mm.generate_many(PROMPTS, **arguments)
    assert hub.posts == []


@pytest.mark.parametrize("requests", ["a dog", {"prompt": "a dog"}, 7, None])
def test_what_is_no_list_of_requests_is_refused(hub: StandInHub, requests: Any) -> None:
    """A single prompt is not taken for a list of letters."""
    with pytest.raises(InvalidRequest, match="requests must be"):
        mm.generate_many(requests)
    assert hub.requests == []


def test_one_failure_does_not_stop_the_others(hub: StandInHub) -> None:
    """The error counts, names each reason once, and how to retry."""
    hub.submits += [None, REFUSED, None, REFUSED]
    batch = mm.generate_many(PROMPTS, concurrency=1)
    assert [each.status for each in batch].count("failed") == 2
    error = batch.error()
    assert isinstance(error, BatchFailed)
    assert (error.batch, len(error.errors)) == (batch, 2)
    assert "2 of 6 requests failed, 4 completed" in str(error)
    assert str(error).count("no dogs") == 1
    assert "batch.retry_failed()" in str(error)


def test_retry_failed_submits_only_those_that_failed(hub: StandInHub) -> None:
    """In place; it returns the batch."""
    hub.submits += [None, REFUSED]
    batch = mm.generate_many(PROMPTS[:3], concurrency=1)
    kept = [each.task_id for each in batch]
    assert batch.retry_failed() is batch
    assert [each.status for each in batch] == ["completed"] * 3
    assert len(hub.posts) == 4
    assert [batch[0].task_id, batch[2].task_id] == [kept[0], kept[2]]


def test_retry_failed_leaves_uncertain_ones_alone_unless_asked(hub: StandInHub) -> None:
    """They may have been charged."""
    hub.submits += [None, LOST]
    batch = mm.generate_many(PROMPTS[:3], concurrency=1)
    assert [each.status for each in batch] == ["completed", "uncertain", "completed"]
    with pytest.raises(BatchFailed):
        batch.retry_failed()
    assert len(hub.posts) == 3
    batch.retry_failed(uncertain=True)
    assert ([each.status for each in batch], len(hub.posts)) == (["completed"] * 3, 4)


def test_retry_failed_follows_a_task_that_is_open(hub: StandInHub) -> None:
    """It was paid for already."""
    hub.ready_after_polls = 1000
    batch = mm.generate_many(PROMPTS[:2], background=True)
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == 2)
    batch.cancel()
    batch.wait()
    hub.ready_after_polls = 0
    batch.retry_failed()
    assert ([each.status for each in batch], len(hub.posts)) == (["completed"] * 2, 2)


def test_two_retries_at_once_submit_each_request_once(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is first takes them; the other waits for them."""
    hub.submits += [REFUSED] * 6
    batch = mm.generate_many(PROMPTS, progress=False)
    totals: list[int | None] = []
    both = threading.Event()
    second = threading.Thread(target=batch.retry_failed)

    @contextmanager
    def progress(total: int | None) -> Iterator[None]:
        totals.append(total)
        if len(totals) == 1:
            second.start()
        else:
            both.set()
        assert both.wait(HANG_S)
        yield

    run: Any = batch.rerun
    monkeypatch.setattr(run.__self__, "progress", progress)
    batch.retry_failed()
    second.join()
    assert (totals, len(hub.posts), len(batch.completed)) == ([6, 0], 12, 6)


def test_a_durable_batch_with_a_budget_can_retry(hub: StandInHub) -> None:
    """The journal is asked for its keys first; what would exceed the budget is refused whole."""
    budget = current_session().budget
    budget.command = 3
    hub.submits += [REFUSED, REFUSED]
    batch = mm.generate_many(PROMPTS[:3], batch="kennel", concurrency=1)
    mm.generate("a cat")
    with pytest.raises(BudgetExceeded):
        batch.retry_failed()
    assert (len(hub.posts), len(batch.failed)) == (4, 2)
    budget.command = 4
    batch.retry_failed()
    assert (len(hub.posts), len(batch.completed)) == (6, 3)


def test_a_copy_of_a_batch_can_retry(hub: StandInHub) -> None:
    """It has the same handles."""
    hub.submits += [REFUSED]
    batch = mm.generate_many(PROMPTS[:2])
    copied = copy.copy(batch).retry_failed()
    assert list(copied) == list(batch)
    assert (len(hub.posts), len(batch.completed)) == (3, 2)


def test_on_error_raise_stops_further_submissions(hub: StandInHub) -> None:
    """What was submitted until then ends, and its images are there."""
    hub.submits += [None, REFUSED]
    with pytest.raises(BatchFailed) as caught:
        mm.generate_many(PROMPTS, concurrency=1, on_error="raise")
    assert len(hub.posts) == 2
    batch = caught.value.batch
    assert [each.status for each in batch] == ["completed", "failed", *["skipped"] * 4]
    assert "4 skipped" in str(caught.value)


def test_a_refused_key_stops_everything(hub: StandInHub) -> None:
    """It is the cause in its own type; nothing more is sent."""
    hub.submits += [None, json_reply({"message": "bad key"}, 401)]
    batch = mm.generate_many(PROMPTS, concurrency=1)
    assert len(hub.posts) == 2
    error = batch.error()
    assert type(error) is AuthenticationError
    assert "1 of 6 requests failed, 4 skipped, 1 completed" in str(error)


def test_three_lost_responses_in_a_row_stop_further_submissions(hub: StandInHub) -> None:
    """Each of these requests is uncertain, and sent once."""
    hub.submits += [LOST] * 6
    batch = mm.generate_many(PROMPTS, concurrency=1)
    assert [each.status for each in batch] == [*["uncertain"] * 3, *["skipped"] * 3]
    assert (len(hub.posts), type(batch.error())) == (3, SubmissionUncertain)


def test_uncertain_requests_of_an_earlier_run_stop_nothing(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are reported, and the others are submitted, also with `on_error="raise"`."""
    hub.submits += [LOST] * 3
    mm.generate_many(PROMPTS[:3], batch="kennel", concurrency=1)
    begin_session(monkeypatch)
    with pytest.raises(BatchFailed) as caught:
        mm.generate_many(PROMPTS, batch="kennel", concurrency=1, on_error="raise")
    batch = caught.value.batch
    assert [each.status for each in batch] == [*["uncertain"] * 3, *["completed"] * 3]
    assert len(hub.posts) == 6


def test_a_busy_hub_slows_the_batch_down(hub: StandInHub) -> None:
    """A 429 fails no request."""
    busy = json_reply({"message": "busy"}, 429)
    hub.submits += [None, busy, busy]
    batch = mm.generate_many(PROMPTS, concurrency=3)
    assert ([each.status for each in batch], len(hub.posts)) == (["completed"] * 6, 8)


def test_a_task_that_failed_is_one_failed_request(hub: StandInHub) -> None:
    """Nothing was charged for it, and a retry submits it anew."""
    hub.polls.append({"status": "failed", "error": "too dark"})
    batch = mm.generate_many(PROMPTS[:2], concurrency=1)
    assert isinstance(batch[0].error, TaskFailed)
    batch.retry_failed()
    assert (len(hub.posts), len(batch.images)) == (3, 2)


def test_without_a_key_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the first item of an iterator."""
    drawn: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            drawn.append(1)
            yield "a dog"

    with pytest.raises(ConfigurationError, match="No API key"):
        mm.generate_many(endless())
    assert drawn == []


def test_at_most_twice_the_concurrency_is_drawn_ahead(hub: StandInHub) -> None:
    """An iterator may be endless."""
    open_now: list[int] = []
    batches: list[Batch] = []

    def prompts() -> Iterator[str]:
        for number in range(40):
            batch = batches[0] if batches else ()
            open_now.append(sum(not each.done() for each in batch))
            yield f"a dog, number {number}"

    original = Batch.add

    def add(self: Batch, generation: Any) -> None:
        if not batches:
            batches.append(self)
        original(self, generation)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "add", add)
        batch = mm.generate_many(prompts(), concurrency=3)
    assert (len(batch), max(open_now)) == (40, 5)


def test_an_error_of_the_iterator_loses_nothing(hub: StandInHub) -> None:
    """What was submitted ends; then the error is raised."""

    def prompts() -> Iterator[str]:
        yield from PROMPTS[:2]
        raise OSError("no more prompts")

    with pytest.raises(OSError, match="no more prompts"):
        mm.generate_many(prompts())
    assert (len(hub.posts), len(hub.downloads_seen)) == (2, 2)
    assert current_session().open == []


def test_a_background_batch_is_returned_at_once(hub: StandInHub) -> None:
    """It can be waited for, also in asyncio."""
    hub.ready_after_polls = 2
    batch = mm.generate_many(PROMPTS, background=True)
    assert not batch.done()
    assert batch.wait(HANG_S) is batch
    assert len(batch.completed) == 6

    async def awaited() -> Batch:
        return await mm.generate_many(iter(PROMPTS), background=True)

    assert len(asyncio.run(awaited()).completed) == 6


def test_cancel_submits_nothing_more(hub: StandInHub) -> None:
    """What was submitted can be fetched later."""
    hub.ready_after_polls = 1000
    batch = mm.generate_many(iter(PROMPTS * 5), concurrency=2, background=True)
    hub.wait_until(lambda: len(hub.posts) == 2)
    batch.cancel()
    while not batch.done():
        threading.Event().wait(0.01)
    assert len(hub.posts) == 2
    hub.ready_after_polls = 0
    assert (batch.completed, batch.failed, len(batch.pending)) == ([], [], len(batch))
    batch.retry_failed()
    assert len(hub.posts) == len(batch.completed) == len(batch)


def test_an_interrupt_stops_the_batch(hub: StandInHub) -> None:
    """What was submitted goes on; the error has the batch."""
    hub.ready_after_polls = 1000

    def interrupt() -> None:
        hub.wait_until(lambda: len(hub.posts) == 2)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match=r"0 of 6 completed, 2 tasks keep running") as caught:
        mm.generate_many(PROMPTS, concurrency=2)
    batch = caught.value.batch
    assert (len(hub.posts), len(batch.pending)) == (2, 6)
    hub.ready_after_polls = 0
    batch.retry_failed()
    assert (len(hub.posts), len(batch.completed)) == (6, 6)


@pytest.mark.parametrize("background", [False, True])
def test_an_interrupt_while_a_batch_starts_stops_it(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    """Also a second one while it stops: nothing is submitted, and the error has the batch."""
    launch, cancel = Job.launch, Batch.cancel
    launched, cancels = list[object](), list[object]()

    def interrupted_launch(job: Job[Any]) -> None:
        launched.append(job)
        if len(launched) == 4:
            raise KeyboardInterrupt
        launch(job)

    def interrupted_cancel(batch: Batch) -> None:
        cancels.append(batch)
        if len(cancels) == 1:
            raise KeyboardInterrupt
        cancel(batch)

    monkeypatch.setattr(Job, "launch", interrupted_launch)
    monkeypatch.setattr(Batch, "cancel", interrupted_cancel)
    hub.ready_after_polls = 1000
    with pytest.raises(Interrupted) as caught:
        mm.generate_many(PROMPTS, concurrency=1, background=background)
    batch = caught.value.batch
    assert batch.done()
    current_session().worker.run(current_session().drain())
    assert len(hub.posts) <= 1  # the first may be on its way
    monkeypatch.undo()
    hub.ready_after_polls = 0
    reach(hub, monkeypatch)
    batch.retry_failed()
    assert (len(hub.posts), len(batch.completed)) == (6, 6)


def test_an_item_that_is_drawn_after_cancel_is_not_submitted(hub: StandInHub) -> None:
    """It is in the batch, and a retry submits it."""
    hub.ready_after_polls = 1000
    cancelled = threading.Event()

    def prompts() -> Iterator[str]:
        yield "a cat"
        assert cancelled.wait(HANG_S)
        yield "a dog"
        yield "a hen"

    batch = mm.generate_many(prompts(), background=True)
    hub.wait_until(lambda: len(hub.posts) == 1)
    batch.cancel()
    cancelled.set()
    assert batch.wait(HANG_S) is batch
    assert (prompts_of(hub), [each.prompt for each in batch]) == (["a cat"], ["a cat", "a dog"])
    hub.ready_after_polls = 0
    batch.retry_failed()
    assert (prompts_of(hub), len(batch.completed)) == (["a cat", "a dog"], 2)


def test_a_cancelled_await_leaves_no_thread(hub: StandInHub) -> None:
    """The event loop can be closed while the batch goes on."""
    hub.ready_after_polls = 1000
    batch = mm.generate_many(PROMPTS[:2], background=True)

    async def work() -> None:
        awaiting = asyncio.ensure_future(batch._awaited())
        await asyncio.sleep(0)
        awaiting.cancel()
        await asyncio.wait([awaiting])

    asyncio.run(work())
    assert not batch.done()
    batch.cancel()


def test_a_pause_of_years_ends_a_batch(hub: StandInHub) -> None:
    """A Hub that asks for it stops further submissions, also while tasks run."""
    busy = json_reply({"message": "busy"}, 429, headers={"Retry-After": "999999999"})
    hub.ready_after_polls = 3
    hub.submits += [None, busy]
    batch = mm.generate_many(PROMPTS, concurrency=2)
    assert isinstance(batch.error(), RateLimited)
    assert sorted(each.status for each in batch) == ["completed", "failed", *["skipped"] * 4]
    assert len(hub.posts) == 2


def test_save_copies_with_telling_names_and_a_manifest(hub: StandInHub, tmp_path: Path) -> None:
    """One line a request; a second save overwrites nothing."""
    hub.submits += [None, REFUSED]
    items = mm.grid("a {{ animal }}", animal=["cat", "dog", "hen"])
    batch = mm.generate_many(items, num_images=2, concurrency=1)
    for _ in range(2):
        copies = batch.save(tmp_path / "out")
        assert len(copies) == 4
    names = [path.name for path in copies]
    assert names[0].startswith("1-cat-a-cat") and names[-1].startswith("3-hen-a-hen")
    manifest = (tmp_path / "out" / "manifest.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in manifest.splitlines()]
    assert len(lines) == 6
    assert [line["animal"] for line in lines[:3]] == ["cat", "dog", "hen"]
    assert lines[1]["files"] == [] and "no dogs" in lines[1]["error"]
    assert lines[5]["files"] == [names[2], names[3]]
    assert len(list((tmp_path / "out").iterdir())) == 9


def test_a_batch_is_a_sequence(hub: StandInHub) -> None:
    """Of the same live handles; a part can be saved and shown like the whole."""
    batch = mm.generate_many(PROMPTS[:4])
    assert batch[0] is next(iter(batch))
    assert isinstance(batch[1:3], Batch) and list(batch[1:3]) == [batch[1], batch[2]]
    assert batch[-1].prompt == PROMPTS[3]
    assert repr(batch) == "<Batch of 4: 4 completed>"
    batch.feeding = True  # a copy of a live batch is fed by nobody
    copied = pickle.loads(pickle.dumps(batch))
    assert copied.done()
    assert [each.task_id for each in copied] == [each.task_id for each in batch]


def test_each_generation_is_yielded_as_it_ends(hub: StandInHub) -> None:
    """Of lists, generators and async generators; failed ones, too."""

    async def prompts() -> AsyncIterator[Any]:
        for prompt in PROMPTS[:3]:
            yield prompt
        yield {"prompt": "x", "seed": "q"}

    async def work(requests: Any) -> list[str]:
        return [each.status async for each in mm.agenerate_many(requests, concurrency=2)]

    assert sorted(asyncio.run(work(prompts()))) == ["completed"] * 3 + ["failed"]
    assert asyncio.run(work(PROMPTS)) == ["completed"] * 6
    assert asyncio.run(work(iter(PROMPTS))) == ["completed"] * 6
    assert len(hub.posts) == 15


def test_an_async_iterable_is_taken_everywhere(hub: StandInHub) -> None:
    """By blocking code, too; a data frame among its requests is its rows."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"prompt": ["a cat", "a dog"], "seed": [1, 2], "sku": ["x1", "x2"]})

    async def requests() -> AsyncIterator[Any]:
        yield table
        yield 7
        yield "a hen"

    async def work() -> list[Any]:
        return [each async for each in mm.agenerate_many(requests(), concurrency=2)]

    batch = mm.generate_many(requests(), concurrency=2)
    assert [each.prompt for each in batch] == ["a cat", "a dog", "", "a hen"]
    assert [each.variables for each in batch[:2]] == [{"sku": "x1"}, {"sku": "x2"}]
    assert "Request 3: expected a prompt" in str(batch[2].error)
    yielded = asyncio.run(work())
    assert sorted(each.prompt for each in yielded) == ["", "a cat", "a dog", "a hen"]
    in_background = mm.generate_many(requests(), background=True)
    with pytest.raises(BatchFailed):
        in_background.wait(HANG_S)
    assert len(in_background.completed) == 3


@pytest.mark.parametrize("how", ["break", "raise", "cancel"])
def test_leaving_the_loop_early_submits_nothing_more(hub: StandInHub, how: str) -> None:
    """And leaves nothing running; what was submitted can be resumed."""
    drawn: list[int] = []

    def prompts() -> Iterator[str]:
        for number in range(1000):
            drawn.append(number)
            yield f"a dog, number {number}"

    async def loop() -> None:
        async for _ in mm.agenerate_many(prompts(), concurrency=2):
            hub.ready_after_polls = 1000
            if how == "break":
                break
            if how == "raise":
                raise OSError("enough")
            await asyncio.sleep(HANG_S)

    async def work() -> None:
        running = asyncio.ensure_future(loop())
        if how == "cancel":
            while hub.ready_after_polls == 0:
                await asyncio.sleep(0.01)
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
    assert len(drawn) <= 5
    current_session().worker.run(current_session().drain())
    assert len(hub.posts) <= len(drawn)
    assert current_session().pending_submissions == 0
    found = {entry.task_id for entry in journaled() if entry.files}
    found |= {entry.task_id for entry in current_session().open_tasks()}
    assert found == set(hub.task_ids)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_of_the_iterator_comes_after_what_it_gave(
    hub: StandInHub, asynchronous: bool
) -> None:
    """What was submitted is yielded first."""
    hub.ready_after_polls = 3

    def prompts() -> Iterator[str]:
        yield from PROMPTS[:2]
        raise OSError("no more")

    async def slow_prompts() -> AsyncIterator[str]:
        for prompt in prompts():
            yield prompt

    async def work() -> list[str]:
        generations = mm.agenerate_many(slow_prompts() if asynchronous else prompts())
        yielded = [(await anext(generations)).status for _ in range(2)]
        with pytest.raises(OSError, match="no more"):
            await anext(generations)
        return yielded

    assert asyncio.run(work()) == ["completed"] * 2
    assert len(hub.posts) == 2


def test_leaving_the_loop_reports_no_error_of_the_iterator(hub: StandInHub) -> None:
    """It was drawn ahead, and nobody waits for it."""
    reported: list[Any] = []

    async def prompts() -> AsyncIterator[str]:
        yield "a dog"
        await yielded.wait()
        failing.set()
        raise OSError("no more")

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )
        generations: Any = mm.agenerate_many(prompts(), concurrency=1)
        await anext(generations)
        yielded.set()
        while not failing.is_set():
            await asyncio.sleep(0.01)
        await generations.aclose()
        del generations
        gc.collect()

    yielded, failing = asyncio.Event(), asyncio.Event()
    asyncio.run(work())
    assert reported == []


def test_no_more_than_twice_the_concurrency_is_drawn_and_not_yielded(hub: StandInHub) -> None:
    """A slow consumer holds the batch back."""
    ahead: list[int] = []
    yielded = [0]

    async def prompts() -> AsyncIterator[str]:
        for number in range(30):
            ahead.append(number + 1 - yielded[0])
            yield f"a dog, number {number}"

    async def work() -> None:
        async for _ in mm.agenerate_many(prompts(), concurrency=2):
            yielded[0] += 1
            await asyncio.sleep(0)

    asyncio.run(work())
    assert (yielded[0], max(ahead)) == (30, 4)


def test_a_second_run_of_a_durable_batch_submits_only_what_is_missing(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inserted and reordered requests do not change what the others are; equal ones are counted."""
    first = mm.generate_many(["a cat", "a dog", "a dog"], batch="farm")
    assert len(hub.posts) == 3
    begin_session(monkeypatch)
    again = mm.generate_many(["a dog", "a hen", "a dog", "a cat", "a dog"], batch="farm")
    assert len(hub.posts) == 5
    assert {each.task_id for each in first} < {each.task_id for each in again}
    assert [each.from_journal for each in again] == [True, False, True, True, False]
    mm.generate_many(["a cat"], batch="zoo")
    assert len(hub.posts) == 6
