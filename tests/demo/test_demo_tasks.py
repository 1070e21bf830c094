"""The demo Hub's tasks: files, a clock of one's own, and nothing in the background."""

from __future__ import annotations

import json
import random
import time
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path

import pytest

from mountsea_magic.demo.server.inputs import Inputs
from mountsea_magic.demo.server.tasks import (
    CREDITS_PER_IMAGE,
    INITIAL_CREDITS,
    RETENTION_S,
    DemoTask,
    TaskStore,
)

EDIT = {"prompt": "winter", "image_urls": ["data:image/png;base64,AAAA"], "mask_url": "data:,"}
INPUTS = Inputs((b"one", b"two"), b"mask", (30, 20))
DOG = DemoTask("hub-1", "nano-banana", {"prompt": "a dog"}, 1, 100.0, 10.0)


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        """Start now: the store compares with the times of files."""
        self.now = time.time()

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.mark.parametrize(
    ("age_s", "status"),
    [
        (0.0, "pending"),
        (1.4, "pending"),
        (1.6, "processing"),
        (9.9, "processing"),
        (10.0, "completed"),
        (1e9, "completed"),
    ],
)
def test_the_status_is_a_function_of_the_age(age_s: float, status: str) -> None:
    """A task is pending, then processing, then completed, and stays so."""
    assert DOG.status(100.0 + age_s) == status


@pytest.mark.parametrize(
    ("prompt", "ending"),
    [
        ("a dog", "completed"),
        ("a dog [fail]", "failed"),
        ("[Timeout] a dog", "timeout"),
        ("a [CANCEL] dog [fail]", "cancelled"),
        ("a dog that will fail, timeout, cancel", "completed"),
    ],
)
def test_a_word_in_brackets_asks_for_a_bad_ending(prompt: str, ending: str) -> None:
    """Lessons can see each bad ending, but no plain word brings one about."""
    task = replace(DOG, input={"prompt": prompt})
    assert (task.final_status, task.status(105.0), task.status(110.0)) == (
        ending,
        "processing",
        ending,
    )


def test_a_task_counts_its_images() -> None:
    """As many as were asked for, one if none were; and nobody changes an order."""
    assert DOG.image_count == 1
    assert replace(DOG, input={"prompt": "x", "num_images": 3}).image_count == 3
    with pytest.raises(FrozenInstanceError):
        DOG.model = "other"  # type: ignore[misc]


def test_a_task_outlives_its_store(tmp_path: Path) -> None:
    """Another kernel with the same folder finds the same task: that is how resuming is taught."""
    clock = Clock()
    task = TaskStore(tmp_path / "new" / "demo", clock=clock).add("nano-banana", {"prompt": "ä 🐕"})
    assert TaskStore(tmp_path / "new" / "demo").get(task.task_id) == task
    assert task.created_at == clock.now
    assert [path.name for path in (tmp_path / "new" / "demo").iterdir()] == [f"{task.task_id}.json"]


def test_nothing_is_written_before_the_first_task(tmp_path: Path) -> None:
    """Asking a store makes no folder."""
    store = TaskStore(tmp_path / "demo")
    assert store.get(f"hub-{'0' * 36}") is None
    assert store.credits() == INITIAL_CREDITS
    assert not (tmp_path / "demo").exists()


def test_each_task_takes_about_as_long_as_it_was_told(tmp_path: Path) -> None:
    """A quarter more or less, asked for anew at each order, so that a lesson can change it."""
    seconds = 8.0
    store = TaskStore(tmp_path, seconds=lambda: seconds)
    long = [store.add("m", {"prompt": "x"}).duration_s for _ in range(20)]
    seconds = 0.5
    short = [store.add("m", {"prompt": "x"}).duration_s for _ in range(20)]
    assert all(6.0 <= duration <= 10.0 for duration in long)
    assert all(0.375 <= duration <= 0.625 for duration in short)
    assert len(set(long)) > 1


def test_the_seed_is_the_requests_or_drawn_by_lot(tmp_path: Path) -> None:
    """The same seed is kept, 0 too; without one each task gets one of its own."""
    store = TaskStore(tmp_path)
    assert [store.add("m", {"prompt": "x", "seed": seed}).seed for seed in (0, 7)] == [0, 7]
    drawn = {store.add("m", {"prompt": "x", "seed": None}).seed for _ in range(5)}
    assert len(drawn) > 1
    assert all(0 <= seed < 2**31 for seed in drawn)


@pytest.mark.parametrize(
    "task_id",
    ["", "hub-", "hub-1", "../secret", "hub-../../../../../../../../../../etc", "hub-%2e%2e", "\n"],
)
def test_an_id_never_leads_out_of_the_folder(task_id: str, tmp_path: Path) -> None:
    """Whatever is asked for, only files of tasks are read."""
    (tmp_path / "secret.json").write_text(json.dumps({"task_id": "x"}))
    assert TaskStore(tmp_path / "demo").get(task_id) is None


WHOLE = asdict(DemoTask("hub-1", "m", {"prompt": "x"}, 7, 0.0, 1.0))


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", '{"task_id": 1, "more": 2}', "null", "[" * 100_000),
        json.dumps(WHOLE | {"created_at": "x"}),
        json.dumps(WHOLE | {"input": None}),
        json.dumps(WHOLE | {"seed": "7"}),
        json.dumps(WHOLE | {"input_size": [1]}),
    ],
)
def test_a_damaged_file_is_an_unknown_task(content: str, tmp_path: Path) -> None:
    """A kernel that was killed while writing, or a curious student, breaks nothing."""
    store = TaskStore(tmp_path)
    task = store.add("m", {"prompt": "x"})
    (tmp_path / f"{task.task_id}.json").write_text(content)
    assert store.get(task.task_id) is None
    assert store.credits() == INITIAL_CREDITS
    assert store.get(store.add("m", {"prompt": "y"}).task_id) is not None


def test_only_completed_tasks_are_charged(tmp_path: Path) -> None:
    """As documented: by image, once completed; failed, timed out and cancelled are free."""
    clock = Clock()
    store = TaskStore(tmp_path, seconds=10, clock=clock)
    store.add("m", {"prompt": "a dog", "num_images": 3})
    for word in ("fail", "timeout", "cancel"):
        store.add("m", {"prompt": f"a dog [{word}]"})
    assert store.credits() == INITIAL_CREDITS
    clock.now += 100
    assert store.credits() == INITIAL_CREDITS - 3 * CREDITS_PER_IMAGE


def test_credits_never_fall_below_zero(tmp_path: Path) -> None:
    """A demo account cannot be in debt."""
    clock = Clock()
    store = TaskStore(tmp_path, seconds=1, clock=clock)
    store.add("m", {"prompt": "x", "num_images": INITIAL_CREDITS})
    clock.now += 10
    assert store.credits() == 0


def test_old_tasks_are_forgotten(tmp_path: Path) -> None:
    """With a new order the files of last week go; younger ones and other files stay."""
    clock = Clock()
    store = TaskStore(tmp_path, clock=clock)
    old = store.add("m", {"prompt": "old"})
    (tmp_path / "notes.txt").write_text("mine")
    clock.now += RETENTION_S - 60
    young = store.add("m", {"prompt": "young"})
    assert store.get(old.task_id) is not None
    clock.now += 120
    store.add("m", {"prompt": "new"})
    assert store.get(old.task_id) is None
    assert (tmp_path / "notes.txt").exists()
    assert store.get(young.task_id) == young


def test_many_kernels_share_a_folder(tmp_path: Path) -> None:
    """Two stores see one account."""
    clock = Clock()
    first, second = (TaskStore(tmp_path, seconds=1, clock=clock) for _ in range(2))
    tasks = [store.add("m", {"prompt": "x"}) for store in (first, second, first)]
    clock.now += 10
    assert [second.get(task.task_id) for task in tasks] == tasks
    assert first.credits() == second.credits() == INITIAL_CREDITS - 3 * CREDITS_PER_IMAGE


def test_a_notebooks_random_numbers_are_its_own(tmp_path: Path) -> None:
    """One that seeds `random` gets the same numbers, and other images each time."""
    store = TaskStore(tmp_path)
    seeds = set()
    for _ in range(2):
        random.seed(5)
        before = random.getstate()
        seeds.add(store.add("m", {"prompt": "x"}).seed)
        assert random.getstate() == before
    assert len(seeds) == 2


def test_input_images_are_kept_as_files(tmp_path: Path) -> None:
    """Another kernel finds them, and the task's own file bears none of their bytes."""
    store = TaskStore(tmp_path)
    task = store.add("m", EDIT, INPUTS)
    other = TaskStore(tmp_path)
    assert other.get(task.task_id) == task
    assert other.inputs(task) == INPUTS
    assert task.input == {"prompt": "winter"}
    assert (task.input_count, task.input_size, task.masked) == (2, [30, 20], True)
    assert len(list(tmp_path.iterdir())) == 4
    assert EDIT["image_urls"]


def test_a_task_without_input_images_has_none(tmp_path: Path) -> None:
    """Neither files nor a size."""
    store = TaskStore(tmp_path)
    task = store.add("m", {"prompt": "x"})
    assert store.inputs(task) == Inputs()
    assert (task.input_count, task.input_size, task.masked) == (0, [], False)
    assert len(list(tmp_path.iterdir())) == 1


def test_tasks_of_an_older_version_are_known(tmp_path: Path) -> None:
    """Their files say nothing of input images."""
    store = TaskStore(tmp_path)
    task = store.add("m", {"prompt": "x"})
    path = tmp_path / f"{task.task_id}.json"
    written = json.loads(path.read_text())
    older = {name: written[name] for name in written if name[:5] not in ("input", "maske")}
    path.write_text(json.dumps(older | {"input": written["input"]}))
    assert store.get(task.task_id) == task


def test_input_images_are_forgotten_with_their_task(tmp_path: Path) -> None:
    """No sooner, and with them what a killed kernel left behind."""
    clock = Clock()
    store = TaskStore(tmp_path, clock=clock)
    old = store.add("m", EDIT, INPUTS)
    (tmp_path / f"hub-{'0' * 36}.0.input").write_bytes(b"left behind")
    clock.now += RETENTION_S - 60
    store.add("m", {"prompt": "x"})
    assert store.get(old.task_id) == old
    assert len(list(tmp_path.glob("*.input"))) == 4
    clock.now += 120
    store.add("m", {"prompt": "y"})
    assert store.get(old.task_id) is None
    assert list(tmp_path.glob("*.input")) == []


def test_a_task_whose_images_are_gone_is_unknown(tmp_path: Path) -> None:
    """A curious student who empties half the folder breaks nothing."""
    store = TaskStore(tmp_path)
    task = store.add("m", EDIT, INPUTS)
    (tmp_path / f"{task.task_id}.1.input").unlink()
    assert store.get(task.task_id) is None


def test_counting_credits_reads_no_image(tmp_path: Path) -> None:
    """Edits are charged by image, as drawings are; their inputs may even be gone."""
    clock = Clock()
    store = TaskStore(tmp_path, seconds=1, clock=clock)
    task = store.add("m", EDIT, INPUTS)
    for path in tmp_path.glob("*.input"):
        path.unlink()
    clock.now += 10
    assert store.credits() == INITIAL_CREDITS - CREDITS_PER_IMAGE
    assert store.get(task.task_id) is None
