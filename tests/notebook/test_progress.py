"""Progress lines: their text, and how they are drawn in a terminal."""

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
    FinalLine,
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
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def _lines(*labels: str) -> list[ProgressLine]:
    """Return a line for each label."""
    return [ProgressLine(label) for label in labels]


def _first(view: ProgressView) -> ProgressLine:
    """Return the first line of a view."""
    line = view.lines[0]
    assert isinstance(line, ProgressLine)
    return line


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a fixed terminal width."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.parametrize("expected_s", [0.1, 12.0, 600.0])
def test_the_bar_grows_from_zero_and_is_never_full(expected_s: float) -> None:
    """The Hub reports no percentage, so only a completed task is 100 %."""
    parts = [fraction(expected_s * step / 10, expected_s) for step in range(100)]
    assert parts[0] == 0.0
    assert all(first < second for first, second in pairwise(parts))
    assert fraction(1e9, expected_s) <= 0.97


def test_the_bar_slows_down() -> None:
    """Most of it is filled at the expected time."""
    first, second = fraction(6, 12), fraction(12, 12) - fraction(6, 12)
    assert first > second > fraction(18, 12) - fraction(12, 12)
    assert 0.7 < fraction(12, 12) < 0.9


@pytest.mark.parametrize(("event", "status"), EVENTS)
def test_the_line_shows_the_latest_event(event: Event | None, status: str) -> None:
    """Label, status and seconds."""
    line = ProgressLine("nano-banana")
    if event is not None:
        line.take(Waiting("older", 1.0))
        line.take(event)
    parts = line.text().split(" · ")
    assert parts[:2] == ["nano-banana", status]
    assert parts[2].endswith(" s")


def test_the_expected_time_is_shown_if_known() -> None:
    """From the submission to the end of the task."""
    line = ProgressLine("nano-banana")
    line.take(Submitted("hub-1"))
    assert "about" not in line.text()
    line.take(Submitted("hub-1", 41.7))
    assert " s of about 42 s" in line.text()
    line.take(Waiting("processing", 3.0, 41.7))
    assert " s of about 42 s" in line.text()
    line.take(Completed((), "", 9.0))
    assert "about" not in line.text()


def test_seconds_of_a_resumed_task_count_from_its_submission() -> None:
    """Not from the start of the cell that resumes it."""
    line = ProgressLine("nano-banana")
    line.take(Waiting("processing", 95.0, 100.0))
    assert "processing · 95 s of about 100 s" in line.text()
    assert line.fraction() > 0.5
    line.take(Waiting("processing", 86_400.0, 100.0))
    assert "processing · 24 h" in line.text() and "about" not in line.text()


def test_a_notice_does_not_hide_the_status() -> None:
    """Notices are shown elsewhere."""
    line = ProgressLine("nano-banana")
    line.take(Waiting("processing", 3.0))
    line.take(Notice("the journal is damaged"))
    assert line.text().startswith("nano-banana · processing · ")


def test_the_task_id_is_shown_from_the_submission_on() -> None:
    """In full."""
    line = ProgressLine("nano-banana")
    task_id = "6f0c2f1e-0000-4000-8000-000000000000"
    line.take(Submitted(task_id))
    for event in (Waiting("processing", 3.0), Downloading(0, 1), Completed((), "", 9.0)):
        line.take(event)
        assert line.text().endswith(f" · {task_id}")


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\r\x1b]0;title\x07", "\u202eevil"])
def test_text_from_the_hub_is_sanitized(hostile: str) -> None:
    """A status or task id can contain control characters."""
    stream = Terminal()
    view = TextView(_lines("nano-banana"), stream)
    _first(view).take(Submitted(hostile))
    _first(view).take(Waiting(hostile, 1.0))
    view.tick()
    drawn = stream.getvalue().removeprefix(CLEAR)
    assert "nano-banana" in drawn
    assert not any(sign in drawn for sign in "\x1b\n\r\x07\u202e")


@pytest.mark.parametrize("expected_s", [None, 0.0, 600.0])
def test_the_bar_works_without_an_estimate(expected_s: float | None) -> None:
    """Without one, or with 0 s, a default is used."""
    line = ProgressLine("nano-banana")
    line.take(Waiting("processing", 1.0, expected_s))
    assert 0 <= line.fraction() < fraction(PRIOR_S, PRIOR_S)


@pytest.mark.parametrize("event", [Downloading(0, 2), Completed((), "", 1.0)])
def test_the_bar_is_full_when_the_task_is_completed(event: Event) -> None:
    """Also while its images are downloaded."""
    line = ProgressLine("nano-banana")
    line.take(event)
    assert line.fraction() == 1.0


def test_a_terminal_line_is_rewritten() -> None:
    """Each tick clears the line and draws it again, with a bar of 20 characters."""
    stream = Terminal()
    view = TextView(_lines("nano-banana"), stream)
    view.tick()
    _first(view).take(Downloading(1, 2))
    view.tick()
    start, first, second = stream.getvalue().split(CLEAR)
    assert start == ""
    assert first.startswith(f"[{'.' * 20}] nano-banana · waiting · ")
    assert second.startswith(f"[{'#' * 20}] nano-banana · downloading 1/2 · ")
    assert "\n" not in stream.getvalue()


@pytest.mark.parametrize("columns", [1, 10, 40])
def test_the_line_is_cut_to_the_terminal_width(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """A wrapped line could not be rewritten."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    view = TextView(_lines("nano-banana"), stream)
    _first(view).take(Submitted("x" * 200))
    view.tick()
    assert len(stream.getvalue().removeprefix(CLEAR)) == columns - 1


def test_the_final_line_replaces_the_live_line() -> None:
    """As text, in full and without markup."""
    stream = Terminal()
    view = TextView(_lines("nano-banana"), stream)
    view.tick()
    view.lines[0].final = FinalLine("<b>done</b>", "done · " + "x" * 300)
    view.finish(0)
    view.tick()
    view.close()
    assert stream.getvalue().endswith(CLEAR + "done · " + "x" * 300 + "\n")
    assert "<b>" not in stream.getvalue()


def test_final_lines_are_printed_in_order() -> None:
    """The live line is that of the first unfinished generation, with its number."""
    stream = Terminal()
    view = TextView(_lines("a", "b", "c"), stream)
    view.lines[1].final = FinalLine("", "b is done")
    view.tick()
    assert " a · waiting" in stream.getvalue() and stream.getvalue().endswith(" · 1 of 3")
    assert "b is done" not in stream.getvalue()
    view.lines[0].final = FinalLine("", "a is done")
    view.finish(0)
    view.finish(1)
    view.tick()
    _, _, first, second, live = stream.getvalue().split(CLEAR)
    assert (first, second) == ("a is done\n", "b is done\n")
    assert " c · waiting" in live and live.endswith(" · 3 of 3")
    view.lines[2].final = FinalLine("", "c is done")
    view.finish(2)
    view.close()
    view.close()
    assert stream.getvalue().endswith(CLEAR + "c is done\n")


def test_only_final_lines_are_printed_outside_of_a_terminal() -> None:
    """A log file contains no bars or escape sequences."""
    stream = io.StringIO()
    view = TextView(_lines("a", "b"), stream)
    _first(view).take(Submitted("hub-1"))
    for _ in range(5):
        view.tick()
    assert stream.getvalue() == ""
    for number, line in enumerate(view.lines):
        line.final = FinalLine("<b>done</b>", f"{line.label} is done")
        view.finish(number)
    view.tick()
    view.close()
    assert stream.getvalue() == "a is done\nb is done\n"


def test_an_unfinished_line_is_cleared() -> None:
    """No partial line is left before an error message."""
    stream = Terminal()
    view = TextView(_lines("nano-banana"), stream)
    view.tick()
    view.close()
    assert stream.getvalue().endswith(CLEAR)


def test_no_line_is_rewritten_in_the_background() -> None:
    """The user types there: one line at the start and one at the end, without escape sequences."""
    stream = Terminal()
    view = TextView(_lines("nano-banana"), stream, background=True)
    _first(view).take(Downloading(1, 2))
    view.tick()
    view.lines[0].final = FinalLine("<b>done</b>", "done")
    view.finish(0)
    view.close()
    assert stream.getvalue() == "nano-banana · in the background\ndone\n"


def test_standard_output_is_the_default_stream(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked up each time, since IPython replaces it while it shows a prompt."""
    view = TextView(_lines("a", "b"))
    view.lines[0].final = FinalLine("", "a is done")
    view.finish(0)
    assert capsys.readouterr().out == "a is done\n"
    monkeypatch.setattr("sys.stdout", io.StringIO())
    view.lines[1].final = FinalLine("", "b is done")
    view.finish(1)
    assert capsys.readouterr().out == ""


def test_a_silent_view_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines record events like others."""
    view: ProgressView = SilentView(_lines("nano-banana"))
    view.offer_cancel(lambda: None)
    _first(view).take(Submitted("hub-1"))
    view.tick()
    view.lines[0].final = FinalLine("<b>done</b>", "done")
    view.finish(0)
    view.close()
    assert capsys.readouterr() == ("", "")
