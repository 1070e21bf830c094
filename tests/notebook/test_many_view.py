"""Many generations in a cell: one line for all, a contact sheet, interrupts, and `resume`."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pexpect
import pytest
from cells import FAILED, handles, prompts, run_cell
from hang import HANG_S
from hub_server import StandInHub, json_reply
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import CellRun, Kernel, Message
from PIL import Image
from terminals import end_terminal

from mountsea_magic import generate_many, grid
from mountsea_magic.errors import BatchFailed, Interrupted, TaskFailed
from mountsea_magic.generation.batch_sheet import plan_sheet
from mountsea_magic.generation.events import (
    Completed,
    Downloading,
    RetryScheduled,
    Submitted,
    Submitting,
    Waiting,
)
from mountsea_magic.generation.handle import Generation
from mountsea_magic.notebook import batch_line
from mountsea_magic.notebook.batch_line import BatchLine, time_left

EIGHT = "\n---\n".join(f"a dog {number}" for number in range(8))
ONE_LINE = re.compile(r"\d+ of 8( · \d+ (running|downloading))?( · about \d+ s left)?")
SHEET_BYTES = 400_000


def _grid(seeds: int = 2, line: str = "") -> str:
    """Return the cell of a grid of two rows."""
    axes = f"-g aspect_ratio=1:1,16:9 -g seed=1..{seeds}"
    return f"%%mountsea -y -o sheet {axes} {line}\na dog"


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def monotonic(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of the line."""
    clock = Clock()
    monkeypatch.setattr(batch_line, "time", clock)
    return clock


def _line(total: int | None = 24, pause_s: float = 0.0) -> BatchLine:
    return BatchLine("24 requests", total=total, pause_s=lambda: pause_s)


def _run(line: BatchLine, clock: Clock, seconds: float, count: int) -> None:
    """Let tasks run at the same time, for so many seconds."""
    made = [Generation(None) for _ in range(count)]
    for each in made:
        line.take(each, Submitting())
        line.take(each, Submitted("hub-1"))
    clock.now += seconds
    for each in made:
        line.take(each, Downloading(0, 1))
        line.take(each, Completed((), "", seconds))
        line.end(each)


@pytest.mark.parametrize(
    ("unsubmitted", "running_s", "left_s"),
    [
        (0, [], None),
        (16, [2, 2, 2, 2], 48.0),
        (0, [2, 7], 8.0),
        (0, [30], 1.5),
        (3, [30], 31.5),
        (0, [51, 60], None),
    ],
)
def test_the_time_left_follows_from_what_has_ended(
    unsubmitted: int, running_s: list[float], left_s: float | None
) -> None:
    """As many at a time as run now; a task that is late is never thought to need nothing."""
    assert time_left(unsubmitted, running_s, 10.0) == left_s


def test_no_time_is_left_before_two_have_ended(clock: Clock) -> None:
    """One alone says too little."""
    line, waiting = _line(), Generation(None)
    assert line.text() == "0 of 24"
    _run(line, clock, 10, 1)
    line.take(waiting, Submitted("hub-2"))
    assert line.text() == "1 of 24 · 1 running"
    _run(line, clock, 10, 1)
    assert line.text() == "2 of 24 · 1 running · about 210 s left"


def test_the_line_counts_what_runs_and_what_has_ended(clock: Clock) -> None:
    """Each only if there is one."""
    line = _line(24)
    _run(line, clock, 10, 10)
    failed, skipped = Generation(None), Generation(None)
    failed.error, skipped.error, skipped.status = TaskFailed("no"), TaskFailed("no"), "skipped"
    for each in (failed, skipped):
        line.end(each)
    running = [Generation(None) for _ in range(4)]
    for each in running:
        line.take(each, Waiting("processing", 1.0))
    assert line.text() == "12 of 24 · 4 running · 1 failed · 1 skipped · about 30 s left"
    for each in running:
        line.take(each, Downloading(0, 1))
    assert line.text() == "12 of 24 · 4 downloading · 1 failed · 1 skipped"


def test_a_task_that_is_followed_has_run_before(clock: Clock) -> None:
    """Its age is known from the journal; counted from now, it would seem to be fast."""
    line = _line(4)
    followed = [Generation(None, task_id="hub-1") for _ in range(2)]
    for each in followed:
        line.take(each, Waiting("processing", 9.0))
    clock.now += 1
    for each in followed:
        line.take(each, Completed((), "", 10.0))
        line.end(each)
    line.take(Generation(None), Submitted("hub-2"))
    assert line.text() == "2 of 4 · 1 running · about 20 s left"


def test_answers_from_the_journal_do_not_distort_the_time_left(clock: Clock) -> None:
    """They take no time, and say nothing about tasks."""
    line = _line(24)
    for _ in range(10):
        answered = Generation(None)
        line.take(answered, Completed((), "", 9.0, from_journal=True))
        line.end(answered)
    running = [Generation(None) for _ in range(4)]
    for each in running:
        line.take(each, Submitted("hub-1"))
    assert line.text() == "10 of 24 · 4 running"
    _run(line, clock, 10, 2)
    assert line.text() == "12 of 24 · 4 running · about 20 s left"
    clock.now += 5_000
    assert line.text() == "12 of 24 · 4 running"


def test_a_pause_of_the_hub_is_shown(clock: Clock) -> None:
    """With its seconds; else why nothing is submitted."""
    line, postponed = _line(24, pause_s=11.2), Generation(None)
    line.take(postponed, Submitting())
    line.take(postponed, RetryScheduled("the Hub is busy; retrying"))
    assert line.text() == "0 of 24 · waiting 12 s: the Hub is busy"
    line = _line(24)
    line.take(postponed, RetryScheduled("the Hub can't be reached; retrying"))
    assert line.text() == "0 of 24 · the Hub can't be reached; retrying"
    line.take(postponed, Submitting())
    assert line.text() == "0 of 24 · 1 running"


def test_the_bar_grows_to_its_end(clock: Clock) -> None:
    """Tasks that run count in part."""
    line, dog = _line(4), Generation(None)
    values = [line.fraction()]
    line.take(dog, Submitted("hub-1"))
    for _ in range(5):
        clock.now += 1
        values.append(line.fraction())
    _run(line, clock, 5, 3)
    values.append(line.fraction())
    line.end(dog)
    values.append(line.fraction())
    assert values == sorted(values) and len(set(values)) == len(values)
    assert (values[0], values[-1]) == (0.0, 1.0)


def test_an_unknown_number_is_not_guessed(clock: Clock) -> None:
    """As for an iterator: no total, no bar and no time left."""
    line = _line(None)
    _run(line, clock, 10, 3)
    line.take(Generation(None), Submitted("hub-1"))
    assert (line.text(), line.fraction()) == ("3 ended · 1 running", 0.0)


def test_the_line_of_a_large_batch_is_as_fast(clock: Clock) -> None:
    """Whatever the number of requests, only those that run cost time."""
    line = _line(100_000)
    _run(line, clock, 10, 5_000)
    started = time.process_time()
    for _ in range(100):
        line.text(), line.fraction()
    assert time.process_time() - started < 0.2


def test_more_than_six_prompts_have_one_final_line(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    """With what came of them, and where the files are."""
    hub.polls.append(FAILED)
    with pytest.raises(BatchFailed, match="1 of 8 requests failed, 7 completed"):
        run_cell(shell, EIGHT, "-s 3")
    (line,) = capsys.readouterr().out.splitlines()
    seconds = r"\d+(\.\d)? s"
    folder = re.escape(str(home / "originals"))
    assert re.fullmatch(rf"7 images · nano-banana · {seconds} · {folder}\S* · 1 failed", line)
    run_cell(shell, EIGHT, "-s 3")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("8 images · nano-banana · ")
    assert line.endswith(" · 7 from the journal, nothing charged")
    assert sorted(prompts(hub)[:8]) == sorted(f"a dog {number}" for number in range(8))
    assert len(hub.posts) == 9


def test_a_quiet_cell_of_many_prints_nothing(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the background an error is printed once."""
    run_cell(shell, EIGHT, "-q")
    assert capsys.readouterr() == ("", "")
    hub.ending = "failed"
    for dog in run_cell(shell, EIGHT, "-q -b"):
        with pytest.raises(TaskFailed):
            dog.wait(HANG_S)
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("BatchFailed: 8 of 8 requests failed") == 1


def test_background_lines_of_many_in_a_terminal(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """One at the start and one at the end."""
    for dog in run_cell(shell, EIGHT, "-b"):
        dog.wait(HANG_S)
    first, last = capsys.readouterr().out.splitlines()
    assert first == "8 requests · nano-banana · in the background"
    assert last.startswith("8 images · nano-banana · ")


def test_a_cancelled_background_batch_submits_no_more(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was submitted can be resumed."""
    hub.ready_after_polls = 10**6
    dogs = run_cell(shell, EIGHT, "-b")
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == 4)
    shell.user_ns["dogs"].cancel()
    for dog in dogs:
        with pytest.raises(Interrupted):
            dog.wait(HANG_S)
    line = capsys.readouterr().out.splitlines()[-1]
    assert "4 interrupted: `%mountsea resume` fetches them · 4 not submitted" in line
    hub.ready_after_polls = 0
    shell.run_line_magic("mountsea", "resume")
    assert sum(len(dog) for dog in handles(shell)) == 4 and len(hub.posts) == 4


def test_resume_follows_all_open_tasks_at_once(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within the concurrency, with one line for many; nothing is submitted."""
    hub.ready_after_polls = 10**6
    batch = generate_many([f"a dog {n}" for n in range(8)], concurrency=8, timeout=0.3)
    assert len(batch.failed) == 8
    before = len(hub.polls_seen)
    hub.polls += ["processing"] * 8
    hub.ready_after_polls = 0
    capsys.readouterr()
    shell.run_line_magic("mountsea", "resume")
    assert 1 < len({seen.path for seen in hub.polls_seen[before:][:8]}) <= 4
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("8 images · nano-banana · ")
    assert len(hub.posts) == 8
    shell.run_line_magic("mountsea", "resume")
    assert capsys.readouterr().out.strip() == "No open tasks."


SCRIPT = """
import sys
import mountsea_magic as mm
batch = mm.generate_many([f"a dog {n}" for n in range(8)])
print(len(batch.images), "IPython" in sys.modules)
"""


def test_generate_many_in_a_script_writes_one_line_at_the_end(hub: StandInHub) -> None:
    """To standard error; a script imports no IPython for it."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=HANG_S, check=True
    )
    assert done.stdout.split()[0] == "8"
    (line,) = done.stderr.splitlines()
    assert line.startswith("8 images · nano-banana · ")


def test_generate_many_in_a_terminal_rewrites_one_line(hub: StandInHub) -> None:
    """And an interrupt leaves no partial line."""
    hub.ready_after_polls = 10**6
    terminal = pexpect.spawn(
        sys.executable, ["-c", SCRIPT], encoding="utf-8", timeout=HANG_S, dimensions=(24, 120)
    )
    try:
        terminal.expect(r"0 of 8 · 4 running")
        hub.wait_until(lambda: len(hub.posts) == 4)
        terminal.kill(signal.SIGINT)
        terminal.expect(r"0 images · nano-banana")
        # Python 3.13 colors the type of an error
        terminal.expect(r"Stopped\. 0 of 8 completed, 4 tasks keep running")
    finally:
        end_terminal(terminal)
    assert len(hub.posts) == 4


def test_failed_requests_of_generate_many_are_run_again_with_a_line(
    hub: StandInHub, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which says what came of the whole batch."""
    hub.polls.append(FAILED)
    batch = generate_many(["a dog", "a cat"])
    first, again = capsys.readouterr().err, batch.retry_failed()
    assert first.startswith("1 image · ") and first.endswith(" · 1 failed\n")
    assert again is batch and len(hub.posts) == 3
    assert capsys.readouterr().err.startswith("2 images · ")


def test_generate_many_is_silent_without_progress(
    hub: StandInHub, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed."""
    assert len(generate_many(["a dog"], progress=False)) == 1
    assert capsys.readouterr() == ("", "")


def test_a_batch_of_a_grid_has_its_axes(hub: StandInHub) -> None:
    """So that its sheet has rows and columns."""
    batch = generate_many(grid("a {{ animal }}", animal=["cat", "dog"], seed=[1, 2]))
    assert [axis.name for axis in batch.axes] == ["animal", "seed"]
    assert len(batch.where(animal="dog").images) == 2


def _sheet(run: CellRun) -> Message:
    """Return the metadata of the only image of a cell, a contact sheet of legal size."""
    ((kind, data, metadata),) = run.images()
    content = base64.b64decode(data)
    assert kind == "image/jpeg" and len(content) <= SHEET_BYTES
    assert Image.open(io.BytesIO(content)).size == (metadata["width"], metadata["height"])
    return metadata


@pytest.mark.kernel
@pytest.mark.parametrize("attended", [True, False], ids=["JupyterLab", "nbclient"])
def test_many_prompts_have_one_line_and_a_sheet(
    hub: StandInHub, kernel: Kernel, attended: bool
) -> None:
    """In place of eight lines and eight images; no widget is left."""
    hub.ready_after_polls = 10**6
    texts, opened = [], set[str]()

    def on_message(message: Message) -> None:
        texts.append(json.dumps(message["content"], ensure_ascii=False))
        if ONE_LINE.search(texts[-1]):
            hub.ready_after_polls = 0
        if message["msg_type"] == "comm_open":
            opened.add(message["content"]["comm_id"])
        elif message["msg_type"] == "comm_close":
            opened.discard(message["content"]["comm_id"])

    run = kernel.run(f"%%mountsea -o dogs\n{EIGHT}", on_message=on_message, attended=attended)
    assert run.status == "ok" and not run.widgets() and not opened
    assert any(ONE_LINE.search(text) for text in texts)
    assert sum("FloatProgress" in text for text in texts) == attended
    assert run.html().count("<small") == 1 and "8 images · nano-banana · " in run.html()
    assert _sheet(run)["alt"].startswith("Contact sheet, 2 × 6. Images: 1: a dog 0; 2: a dog 1;")
    assert len(run.outputs) == 2


@pytest.mark.kernel
def test_a_busy_hub_is_shown(hub: StandInHub, kernel: Kernel) -> None:
    """All wait as long as it asks for."""
    hub.submits.append(json_reply({"message": "busy"}, 429, headers={"Retry-After": "2"}))
    texts = list[str]()
    run = kernel.run(f"%%mountsea\n{EIGHT}", on_message=lambda m: texts.append(str(m["content"])))
    assert run.status == "ok" and len(hub.posts) == 9
    assert any(re.search(r" of 8 · .*waiting \d s: the Hub is busy", text) for text in texts)


@pytest.mark.kernel
def test_a_grid_has_lines_and_a_sheet(hub: StandInHub, kernel: Kernel) -> None:
    """A failed request is in its place, with the reason; the cell fails."""
    hub.polls.append(FAILED)
    run = kernel.run(_grid())
    assert run.error == "BatchFailed" and "sheet.retry_failed()" in run.error_message
    alt = _sheet(run)["alt"]
    assert alt.startswith("Contact sheet, 2 × 2. Columns: 1: seed=1; 2: seed=2. Rows: 1: aspect_")
    assert re.search(r"Failed: row \d, column \d: The task ended with status failed: no dogs", alt)
    assert run.html().count("64×48") == 3
    again = kernel.run("sheet.retry_failed()")
    assert again.status == "ok" and "Failed" not in _sheet(again)["alt"]
    assert len(hub.posts) == 5


def test_prompts_and_rows_are_axes_of_a_grid(hub: StandInHub, shell: InteractiveShell) -> None:
    """In their order, before those of the grid; without a grid there is no axis."""
    shell.user_ns["rows"] = [{"animal": "dog", "note": 1}, {"animal": "cat", "note": 2}]
    line = "--table rows -q -y"
    run_cell(shell, "a {{ animal }}\n---\nthe {{ animal }}", f"{line} -g seed=1,2")
    dogs = shell.user_ns["dogs"]
    assert [axis.name for axis in dogs.axes] == ["prompt", "row", "seed"]
    plan = plan_sheet(dogs, "row", ["prompt", "seed"])
    assert plan.row_labels == ("dog, 1", "cat, 2")
    assert plan.column_labels[0] == "a {{ animal }}, seed=1"
    for (row, column), dog in zip(plan.places, dogs, strict=True):
        assert dog.prompt == f"{('a', 'the')[column // 2]} {('dog', 'cat')[row]}"
    assert run_cell(shell, "a {{ animal }}", line) and shell.user_ns["dogs"].axes == ()


@pytest.mark.kernel
def test_the_sheet_is_sent_at_most_every_two_seconds(hub: StandInHub, kernel: Kernel) -> None:
    """And in the end."""
    hub.ready_after_s = 0.5
    sent = list[float]()

    def on_message(message: Message) -> None:
        if "image/jpeg" in message["content"].get("data", {}):
            sent.append(message["header"]["date"].timestamp())

    kernel.run(_grid(8), on_message=on_message)
    assert len(sent) >= 2
    assert all(later - sooner >= 1.9 for sooner, later in pairwise(sent[:-1]))


@pytest.mark.kernel
def test_a_sheet_that_cannot_be_updated_is_shown_at_the_end(
    hub: StandInHub, kernel: Kernel
) -> None:
    """Below the final line, and nothing is updated."""
    run = kernel.run(
        "import ipywidgets\nwith ipywidgets.Output():\n"
        f"    get_ipython().run_cell(raw_cell={_grid(4)!r})"
    )
    kinds = [m["msg_type"] for m in run.messages if m["parent_header"]["msg_id"] == run.message_id]
    assert "update_display_data" not in kinds
    assert "8 images" in run.html() and "Contact sheet, 2 × 4" in _sheet(run)["alt"]


@pytest.mark.kernel
@pytest.mark.parametrize("attended", [True, False], ids=["JupyterLab", "nbclient"])
def test_the_sheet_of_a_background_cell(hub: StandInHub, kernel: Kernel, attended: bool) -> None:
    """It appears below its own cell, with the error in its line."""
    hub.polls.append(FAILED)
    run = kernel.run(_grid(4, "-b"), attended=attended)
    assert run.status == "ok"
    waiting = "try: sheet.wait()\nexcept Exception as e: print(e)"
    then = kernel.run(waiting, attended=attended, on_message=run.take)
    assert "1 of 8 requests failed" in then.text and "BatchFailed" in run.html()
    assert "7 images" in run.html() and "Failed: row" in _sheet(run)["alt"]
    assert not run.widgets() and then.images() == []


@pytest.mark.kernel
def test_generate_many_in_a_notebook_shows_one_line(hub: StandInHub, kernel: Kernel) -> None:
    """The batch shows its sheet itself."""
    run = kernel.run("import mountsea_magic as mm\nmm.generate_many(['a dog', 'a cat'])")
    assert run.status == "ok" and not run.widgets() and run.text == ""
    assert "2 images · nano-banana · " in run.html()
    assert _sheet(run)["alt"] == "Contact sheet, 1 × 2. Images: 1: a dog; 2: a cat."


@pytest.mark.kernel
@pytest.mark.own_kernel
@pytest.mark.parametrize("runner", ["thread", "nested"])
def test_an_interrupt_stops_64_within_half_a_second(
    hub: StandInHub, kernel: Kernel, runner: str
) -> None:
    """What was submitted can be resumed, what was not is not submitted."""
    hub.ready_after_polls = 10**6
    kernel.run(f"%config MountseaMagics.runner = '{runner}'")
    kernel.run("%config MountseaMagics.concurrency = 64")
    message_id = kernel.begin(_grid(60))
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == 64)
    run, took_s = kernel.stop(message_id)
    assert took_s < 0.5
    assert run.error == "Interrupted" and "64 tasks keep running" in run.error_message
    assert not run.widgets() and "56 not submitted" in run.html()
    assert len(hub.posts) == 64
    hub.ready_after_polls = 0
    resumed = kernel.run("%mountsea resume")
    assert "64 images" in resumed.html() and len(hub.posts) == 64
    assert "8 × 8" in _sheet(resumed)["alt"] or "11 × 6" in _sheet(resumed)["alt"]
