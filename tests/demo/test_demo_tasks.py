"""The demo Hub's task store: files, a clock, and nothing in the background."""

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
    """A manual clock; it starts at the real time, which file timestamps are compared with."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        """Return the current time, in seconds since 1970."""
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
def test_status_depends_on_the_age(age_s: float, status: str) -> None:
    """A task is pending, then processing, then completed for good."""
    assert DOG.status(100.0 + age_s) == status


@pytest.mark.parametrize(
    ("prompt", "status"),
    [
        ("a dog", "completed"),
        ("a dog [fail]", "failed"),
        ("[Timeout] a dog", "timeout"),
        ("a [CANCEL] dog [fail]", "cancelled"),
        ("a dog that will fail, timeout, cancel", "completed"),
    ],
)
def test_tag_in_the_prompt_selects_a_failure(prompt: str, status: str) -> None:
    """Each failure can be shown in a lesson, but the words without brackets have no effect."""
    task = replace(DOG, input={"prompt": prompt})
    assert (task.status(105.0), task.status(110.0)) == ("processing", status)
    assert task.final_status == status


def test_image_count_defaults_to_one() -> None:
    """Otherwise it is `num_images`; tasks are immutable."""
    assert DOG.image_count == 1
    assert replace(DOG, input={"prompt": "x", "num_images": 3}).image_count == 3
    with pytest.raises(FrozenInstanceError):
        DOG.model = "other"  # type: ignore[misc]


def test_task_outlives_its_store(tmp_path: Path) -> None:
    """Another kernel with the same folder finds the same task, so that resuming works."""
    clock = Clock()
    task = TaskStore(tmp_path / "new" / "demo", clock=clock).add("nano-banana", {"prompt": "ä 🐕"})
    assert TaskStore(tmp_path / "new" / "demo").get(task.task_id) == task
    assert task.created_at == clock.now
    assert [path.name for path in (tmp_path / "new" / "demo").iterdir()] == [f"{task.task_id}.json"]


def test_nothing_is_written_before_the_first_task(tmp_path: Path) -> None:
    """Reading does not create the folder."""
    store = TaskStore(tmp_path / "demo")
    assert store.get(f"hub-{'0' * 36}") is None
    assert store.credits() == INITIAL_CREDITS
    assert not (tmp_path / "demo").exists()


def test_task_duration_varies_by_a_quarter(tmp_path: Path) -> None:
    """The base duration is read for each task, so that it can be changed at any time."""
    seconds = 8.0
    store = TaskStore(tmp_path, seconds=lambda: seconds)
    long = [store.add("m", {"prompt": "x"}).duration_s for _ in range(20)]
    seconds = 0.5
    short = [store.add("m", {"prompt": "x"}).duration_s for _ in range(20)]
    assert all(6.0 <= duration <= 10.0 for duration in long)
    assert all(0.375 <= duration <= 0.625 for duration in short)
    assert len(set(long)) > 1


def test_seed_is_the_requested_one_or_random(tmp_path: Path) -> None:
    """A given seed is kept, also 0; without one each task gets its own."""
    store = TaskStore(tmp_path)
    assert [store.add("m", {"prompt": "x", "seed": seed}).seed for seed in (0, 7)] == [0, 7]
    seeds = {store.add("m", {"prompt": "x", "seed": None}).seed for _ in range(5)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    "task_id",
    ["", "hub-", "hub-1", "../secret", "hub-../../../../../../../../../../etc", "hub-%2e%2e", "\n"],
)
def test_task_id_cannot_leave_the_folder(task_id: str, tmp_path: Path) -> None:
    """Only files of tasks are read, whatever the id is."""
    (tmp_path / "secret.json").write_text(json.dumps({"task_id": "x"}))
    assert TaskStore(tmp_path / "demo").get(task_id) is None


VALID = asdict(DemoTask("hub-1", "m", {"prompt": "x"}, 7, 0.0, 1.0))


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", '{"task_id": 1, "more": 2}', "null", "[" * 100_000),
        json.dumps(VALID | {"created_at": "x"}),
        json.dumps(VALID | {"input": None}),
        json.dumps(VALID | {"seed": "7"}),
        json.dumps(VALID | {"input_size": [1]}),
    ],
)
def test_damaged_file_is_an_unknown_task(content: str, tmp_path: Path) -> None:
    """Left by a kernel that was killed while writing, or edited by hand; the store still works."""
    store = TaskStore(tmp_path)
    task = store.add("m", {"prompt": "x"})
    (tmp_path / f"{task.task_id}.json").write_text(content)
    assert store.get(task.task_id) is None
    assert store.credits() == INITIAL_CREDITS
    assert store.get(store.add("m", {"prompt": "y"}).task_id) is not None


def test_only_completed_tasks_are_charged(tmp_path: Path) -> None:
    """As documented: per image, on completion; failed, timed-out and cancelled tasks are free."""
    clock = Clock()
    store = TaskStore(tmp_path, seconds=10, clock=clock)
    store.add("m", {"prompt": "a dog", "num_images": 3})
    for tag in ("fail", "timeout", "cancel"):
        store.add("m", {"prompt": f"a dog [{tag}]"})
    assert store.credits() == INITIAL_CREDITS
    clock.now += 100
    assert store.credits() == INITIAL_CREDITS - 3 * CREDITS_PER_IMAGE


def test_credits_never_fall_below_zero(tmp_path: Path) -> None:
    """Even if the last task cost more than was left."""
    clock = Clock()
    store = TaskStore(tmp_path, seconds=1, clock=clock)
    store.add("m", {"prompt": "x", "num_images": INITIAL_CREDITS})
    clock.now += 10
    assert store.credits() == 0


def test_old_tasks_are_deleted(tmp_path: Path) -> None:
    """A new task deletes tasks older than a week; newer ones and other files stay."""
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


def test_stores_with_the_same_folder_share_the_account(tmp_path: Path) -> None:
    """Two stores see the same account."""
    clock = Clock()
    first, second = (TaskStore(tmp_path, seconds=1, clock=clock) for _ in range(2))
    tasks = [store.add("m", {"prompt": "x"}) for store in (first, second, first)]
    clock.now += 10
    assert [second.get(task.task_id) for task in tasks] == tasks
    assert first.credits() == second.credits() == INITIAL_CREDITS - 3 * CREDITS_PER_IMAGE


def test_random_state_of_the_notebook_is_not_touched(tmp_path: Path) -> None:
    """A notebook that seeds `random` keeps its numbers, and gets other images each time."""
    store = TaskStore(tmp_path)
    seeds = set()
    for _ in range(2):
        random.seed(5)
        before = random.getstate()
        seeds.add(store.add("m", {"prompt": "x"}).seed)
        assert random.getstate() == before
    assert len(seeds) == 2


def test_input_images_are_stored_as_files(tmp_path: Path) -> None:
    """Another kernel finds them, and the task's JSON file does not contain them."""
    store = TaskStore(tmp_path)
    task = store.add("m", EDIT, INPUTS)
    other = TaskStore(tmp_path)
    assert other.get(task.task_id) == task
    assert other.inputs(task) == INPUTS
    assert task.input == {"prompt": "winter"}
    assert (task.input_count, task.input_size, task.masked) == (2, [30, 20], True)
    assert len(list(tmp_path.iterdir())) == 4
    assert EDIT["image_urls"]


def test_task_without_input_images_has_none(tmp_path: Path) -> None:
    """Neither files nor an input size."""
    store = TaskStore(tmp_path)
    task = store.add("m", {"prompt": "x"})
    assert store.inputs(task) == Inputs()
    assert (task.input_count, task.input_size, task.masked) == (0, [], False)
    assert len(list(tmp_path.iterdir())) == 1


def test_task_files_of_an_older_version_are_read(tmp_path: Path) -> None:
    """Those files have no fields for input images."""
    store = TaskStore(tmp_path)
    task = store.add("m", {"prompt": "x"})
    path = tmp_path / f"{task.task_id}.json"
    written = json.loads(path.read_text())
    older = {name: written[name] for name in written if name[:5] not in ("input", "maske")}
    path.write_text(json.dumps(older | {"input": written["input"]}))
    assert store.get(task.task_id) == task


def test_input_images_are_deleted_with_their_task(tmp_path: Path) -> None:
    """Not earlier, and together with files that a killed kernel left behind."""
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


def test_task_without_its_input_files_is_unknown(tmp_path: Path) -> None:
    """As if the task had been deleted."""
    store = TaskStore(tmp_path)
    task = store.add("m", EDIT, INPUTS)
    (tmp_path / f"{task.task_id}.1.input").unlink()
    assert store.get(task.task_id) is None


def test_counting_credits_reads_no_input_image(tmp_path: Path) -> None:
    """Edits are charged per image, even if their input files are gone."""
    clock = Clock()
    store = TaskStore(tmp_path, seconds=1, clock=clock)
    task = store.add("m", EDIT, INPUTS)
    for path in tmp_path.glob("*.input"):
        path.unlink()
    clock.now += 10
    assert store.credits() == INITIAL_CREDITS - CREDITS_PER_IMAGE
    assert store.get(task.task_id) is None
