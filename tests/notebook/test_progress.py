"""The live lines: what they say, how they are drawn in a terminal, and what they leave behind."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest

from mountsea_magic.generation.duration import PRIOR_S
from mountsea_magic.generation.events import (
    Completed,
    Downloading,
    Event,
    Notice,
    Submitted,
    Submitting,
    Waiting,
)
from mountsea_magic.notebook.progress import (
    ProgressLine,
    ProgressView,
    SilentView,
    TextView,
    fraction,
)

CLEAR = "\r\x1b[2K"

EVENTS: list[tuple[Event | None, str]] = [
    (None, "waiting"),
    (Submitting(), "submitting"),
    (Submitted("hub-1"), "submitted"),
    (Waiting("processing", 3.0, 12.0), "processing"),
    (Waiting("queued", 3.0), "queued"),
    (Downloading(1, 4), "downloading 1/4"),
    (Completed((), "", 9.0), "completed"),
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the terminal a width that does not depend on where the tests run."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.parametrize("expected_s", [0.1, 12.0, 600.0])
def test_the_bar_begins_at_nothing_grows_and_is_never_full(expected_s: float) -> None:
    """No percentage is documented, so only a ready task is whole."""
    parts = [fraction(expected_s * step / 10, expected_s) for step in range(100)]
    assert parts[0] == 0.0
    assert all(first < second for first, second in pairwise(parts))
    assert fraction(1e9, expected_s) <= 0.97


def test_the_bar_is_quick_at_first() -> None:
    """Most of the bar is filled by the expected time, and it slows from there."""
    first, second = fraction(6, 12), fraction(12, 12) - fraction(6, 12)
    assert first > second > fraction(18, 12) - fraction(12, 12)
    assert 0.7 < fraction(12, 12) < 0.9


@pytest.mark.parametrize(("event", "words"), EVENTS)
def test_each_event_has_its_words(event: Event | None, words: str) -> None:
    """Label, status, seconds; the newest event counts."""
    line = ProgressLine("nano-banana")
    if event is not None:
        line.take(Waiting("older", 1.0))
        line.take(event)
    said = line.text().split(" · ")
    assert said[:2] == ["nano-banana", words]
    assert said[2].endswith(" s")


def test_the_expected_time_is_said_where_it_is_known() -> None:
    """Elapsed seconds stand against it, from the submission on."""
    line = ProgressLine("nano-banana")
    line.take(Submitted("hub-1"))
    assert "about" not in line.text()
    line.take(Submitted("hub-1", 41.7))
    assert " s of about 42 s" in line.text()
    line.take(Waiting("processing", 3.0, 41.7))
    assert " s of about 42 s" in line.text()
    line.take(Completed((), "", 9.0))
    assert "about" not in line.text()


def test_a_resumed_tasks_seconds_are_its_own() -> None:
    """They count from its submission, not from the cell that resumes it."""
    line = ProgressLine("nano-banana")
    line.take(Waiting("processing", 95.0, 100.0))
    assert "processing · 95 s of about 100 s" in line.text()
    assert line.fraction() > 0.5
    line.take(Waiting("processing", 86_400.0, 100.0))
    assert "processing · 24 h" in line.text() and "about" not in line.text()


def test_a_notice_does_not_hide_the_status() -> None:
    """What is only worth knowing is told elsewhere; the line goes on saying where things stand."""
    line = ProgressLine("nano-banana")
    line.take(Waiting("processing", 3.0))
    line.take(Notice("the journal is damaged"))
    assert line.text().startswith("nano-banana · processing · ")


def test_the_task_id_stays_once_it_is_known() -> None:
    """It is shown whole from the submission to the end."""
    line = ProgressLine("nano-banana")
    task_id = "6f0c2f1e-0000-4000-8000-000000000000"
    line.take(Submitted(task_id))
    for event in (Waiting("processing", 3.0), Downloading(0, 1), Completed((), "", 9.0)):
        line.take(event)
        assert line.text().endswith(f" · {task_id}")


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\r\x1b]0;title\x07", "\u202eevil"])
def test_what_the_hub_says_is_safe_in_a_terminal(hostile: str) -> None:
    """Status and task id may hold anything."""
    stream = Terminal()
    block = TextView(["nano-banana"], stream)
    block.lines[0].take(Submitted(hostile))
    block.lines[0].take(Waiting(hostile, 1.0))
    block.tick()
    drawn = stream.getvalue().removeprefix(CLEAR)
    assert "nano-banana" in drawn
    assert not any(sign in drawn for sign in "\x1b\n\r\x07\u202e")


@pytest.mark.parametrize("expected_s", [None, 0.0, 600.0])
def test_the_bar_needs_no_expectation(expected_s: float | None) -> None:
    """Without one, or with a senseless one, a usual time is taken."""
    line = ProgressLine("nano-banana")
    line.take(Waiting("processing", 1.0, expected_s))
    assert 0 <= line.fraction() < fraction(PRIOR_S, PRIOR_S)


@pytest.mark.parametrize("event", [Downloading(0, 2), Completed((), "", 1.0)])
def test_the_bar_is_full_when_the_task_is_ready(event: Event) -> None:
    """What is left is ours to do."""
    line = ProgressLine("nano-banana")
    line.take(event)
    assert line.fraction() == 1.0


def test_in_a_terminal_the_line_rewrites_itself() -> None:
    """Each tick clears the line and draws it anew, with a bar of twenty."""
    stream = Terminal()
    block = TextView(["nano-banana"], stream)
    block.tick()
    block.lines[0].take(Downloading(1, 2))
    block.tick()
    start, first, second = stream.getvalue().split(CLEAR)
    assert start == ""
    assert first.startswith(f"[{'.' * 20}] nano-banana · waiting · ")
    assert second.startswith(f"[{'#' * 20}] nano-banana · downloading 1/2 · ")
    assert "\n" not in stream.getvalue()


@pytest.mark.parametrize("columns", [1, 10, 40])
def test_a_narrow_terminal_keeps_it_one_line(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """A line that wraps could not be rewritten."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    block = TextView(["nano-banana"], stream)
    block.lines[0].take(Submitted("x" * 200))
    block.tick()
    assert len(stream.getvalue().removeprefix(CLEAR)) == columns - 1


def test_the_final_line_takes_the_live_ones_place() -> None:
    """The text face of the line stays, whole, and the markup is not shown."""
    stream = Terminal()
    block = TextView(["nano-banana"], stream)
    block.tick()
    block.lines[0].finish("<b>done</b>", "done · " + "x" * 300)
    block.finish(0)
    block.tick()
    block.close()
    assert stream.getvalue().endswith(CLEAR + "done · " + "x" * 300 + "\n")
    assert "<b>" not in stream.getvalue()


def test_several_lines_end_in_their_order_in_a_terminal() -> None:
    """One line lives at a time, the first that is not settled, and says which it is."""
    stream = Terminal()
    block = TextView(["a", "b", "c"], stream)
    block.lines[1].finish("", "b is done")
    block.tick()
    assert " a · waiting" in stream.getvalue() and stream.getvalue().endswith(" · 1 of 3")
    assert "b is done" not in stream.getvalue()
    block.lines[0].finish("", "a is done")
    block.finish(0)
    block.finish(1)
    block.tick()
    _, _, first, second, live = stream.getvalue().split(CLEAR)
    assert (first, second) == ("a is done\n", "b is done\n")
    assert " c · waiting" in live and live.endswith(" · 3 of 3")
    block.lines[2].finish("", "c is done")
    block.finish(2)
    block.close()
    block.close()
    assert stream.getvalue().endswith(CLEAR + "c is done\n")


def test_elsewhere_only_the_final_lines_are_printed() -> None:
    """A log file is not filled with bars or escapes."""
    stream = io.StringIO()
    block = TextView(["a", "b"], stream)
    block.lines[0].take(Submitted("hub-1"))
    for _ in range(5):
        block.tick()
    assert stream.getvalue() == ""
    for number, line in enumerate(block.lines):
        line.finish("<b>done</b>", f"{line.label} is done")
        block.finish(number)
    block.tick()
    block.close()
    assert stream.getvalue() == "a is done\nb is done\n"


def test_a_line_that_is_cut_short_is_cleared() -> None:
    """Whatever the way out, no half a line is left before the error."""
    stream = Terminal()
    block = TextView(["nano-banana"], stream)
    block.tick()
    block.close()
    assert stream.getvalue().endswith(CLEAR)


def test_in_the_background_nothing_is_rewritten() -> None:
    """Someone types there: a line at the start and one at the end, and no escapes."""
    stream = Terminal()
    block = TextView(["nano-banana"], stream, background=True)
    block.lines[0].take(Downloading(1, 2))
    block.tick()
    block.lines[0].finish("<b>done</b>", "done")
    block.finish(0)
    block.close()
    assert stream.getvalue() == "nano-banana · in the background\ndone\n"


def test_standard_output_is_the_stream_if_none_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked up each time: while IPython asks for a cell, it puts another in its place."""
    block = TextView(["a", "b"])
    block.lines[0].finish("", "a is done")
    block.finish(0)
    assert capsys.readouterr().out == "a is done\n"
    monkeypatch.setattr("sys.stdout", io.StringIO())
    block.lines[1].finish("", "b is done")
    block.finish(1)
    assert capsys.readouterr().out == ""


def test_a_quiet_block_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines take events as the others do."""
    block: ProgressView = SilentView(["nano-banana"])
    block.offer_cancel(lambda: None)
    block.lines[0].take(Submitted("hub-1"))
    block.tick()
    block.lines[0].finish("<b>done</b>", "done")
    block.finish(0)
    block.close()
    assert capsys.readouterr() == ("", "")
