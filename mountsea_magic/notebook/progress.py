"""The progress lines of a cell, and the views for terminals and quiet cells."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from ..generation.duration import PRIOR_S
from ..generation.events import (
    Completed,
    Downloading,
    Event,
    Notice,
    RetryScheduled,
    Submitted,
    Waiting,
)
from ..hub.status import Status
from ..runtime.printing import echo, is_terminal
from ..runtime.text import quoted, sanitize

if TYPE_CHECKING:
    from ..generation.handle import Generation

TEXT_ONLY = "tex2jax_ignore mathjax_ignore"
"""CSS classes that keep MathJax from typesetting dollar signs in text from outside."""

MAX_OVERRUN = 5
"""After this multiple of the expected duration the estimate is not shown any more."""


def fraction(elapsed_s: float, expected_s: float) -> float:
    """Return the progress bar's value: fast at first, slower past the expected time, never full.

    Args:
        elapsed_s: Seconds since the submission.
        expected_s: The expected duration of the task, in seconds.

    Returns:
        From 0 to 0.97. The Hub reports no percentage, so only a completed task reaches 1.

    Example:
        >>> fraction(0, 12), fraction(12, 12) < fraction(24, 12) < 1
        (0.0, True)
    """
    return 0.97 * (1 - math.exp(-1.7 * elapsed_s / expected_s))


@dataclass(frozen=True, slots=True)
class FinalLine:
    """The line that stays when a generation has ended.

    Attributes:
        html: For notebooks; text from outside is escaped.
        text: For terminals, and for front ends that show no HTML.
    """

    html: str
    text: str


NO_FINAL_LINE = FinalLine("", "")
"""In place of the line of a generation that has not ended."""


class ProgressLine:
    """The progress of one generation, from its events; seconds count from the first event.

    Attributes:
        label: The label of the line, such as the model.
        task_id: The task's id, or an empty string before the submission.
        final: The line that stays, or None until the generation has ended.

    Args:
        label: The label of the line.

    Example:
        >>> line = ProgressLine("nano-banana")
        >>> line.take(Submitted("hub-1"))
        >>> line.text().startswith("nano-banana · submitted · 0 s")
        True
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.task_id = ""
        self.final: FinalLine | None = None
        self._started: float | None = None
        self._expected_s: float | None = None
        self._event: Event | None = None

    def take(self, event: Event) -> None:
        """Record an event; can be called from any thread, since each assignment is atomic."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        if isinstance(event, Submitted):
            self.task_id = event.task_id
        if isinstance(event, Waiting):
            # a resumed task was submitted long before this line was made
            self._started = min(self._started, now - event.elapsed_s)
        if isinstance(event, Submitted | Waiting) and event.expected_s is not None:
            self._expected_s = event.expected_s
        if not isinstance(event, Notice):
            self._event = event

    def fraction(self) -> float:
        """Return the progress bar's value, from 0 to 1."""
        event = self._event
        if isinstance(event, Completed | Downloading):
            return 1.0
        return fraction(self._elapsed_s(), self._expected_s or PRIOR_S)

    def text(self) -> str:
        """Return label, status, elapsed and expected seconds and task id, as plain text."""
        event = self._event
        elapsed_s = self._elapsed_s()
        status: str = Status.SUBMITTING
        seconds = seconds_text(elapsed_s)
        if event is None:
            status = "waiting"
        if isinstance(event, Submitted):
            status = Status.SUBMITTED
        elif isinstance(event, Waiting):
            status = event.status
        elif isinstance(event, RetryScheduled):
            status = event.reason
        expected_s = self._expected_s if isinstance(event, Submitted | Waiting) else None
        if expected_s is not None and elapsed_s < MAX_OVERRUN * expected_s:
            seconds += f" of about {seconds_text(expected_s)}"
        if isinstance(event, Downloading):
            status = f"downloading {event.done}/{event.total}"
        elif isinstance(event, Completed):
            status = Status.COMPLETED
        parts = (self.label, sanitize(status), seconds, self.task_id and quoted(self.task_id))
        return " · ".join(filter(None, parts))

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started if self._started is not None else 0.0


def progress_line(generation: Generation) -> ProgressLine:
    """Return the line of a generation, labeled by its model.

    Args:
        generation: The generation.
    """
    model = quoted(generation.request.model) if generation.request is not None else "resumed"
    line = ProgressLine(model + (" (demo Hub)" if generation.is_demo else ""))
    line.task_id = generation.task_id or ""
    return line


def seconds_text(seconds: float) -> str:
    """Format seconds; a resumed task can be hours old.

    Args:
        seconds: The seconds.

    Example:
        >>> seconds_text(41.7), seconds_text(3600)
        ('42 s', '60 min')
    """
    for unit_s, unit in ((3600, "h"), (60, "min")):
        if seconds >= 10 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


class Line(Protocol):
    """What a view shows: the progress of one generation, or of many."""

    label: str
    final: FinalLine | None

    def fraction(self) -> float:
        """Return the progress bar's value, from 0 to 1."""

    def text(self) -> str:
        """Return the line as plain text."""


class ProgressView:
    """Shows the progress lines of one cell; a view overrides what its front end can do.

    Attributes:
        lines: One for each generation, or one for all.

    Args:
        lines: The lines.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """Offer a way to cancel, where the front end can deliver a click.

        Args:
            cancel: Called on a click, on a thread of the kernel.
        """

    def finish(self, index: int) -> None:
        """Show the final line of one generation, in order, before its images are shown."""

    def tick(self) -> None:
        """Update the display."""

    def close(self) -> None:
        """Remove everything but the final lines."""

    def republish(self) -> None:
        """Send the final lines again, while another cell runs."""


class SilentView(ProgressView):
    """Shows nothing, for quiet cells."""


class TextView(ProgressView):
    """Text lines: one line that is rewritten in a terminal; elsewhere only final lines.

    Args:
        lines: The lines.
        stream: Where to write; default: standard output.
        background: Whether the user can type meanwhile, so that no line may be rewritten.
    """

    def __init__(
        self, lines: Sequence[Line], stream: TextIO | None = None, *, background: bool = False
    ) -> None:
        super().__init__(lines)
        self._explicit_stream = stream
        self._live = is_terminal(self._stream) and not background
        self._finished = 0
        if background:
            self._write("".join(f"{line.label} · in the background\n" for line in lines))

    def finish(self, index: int) -> None:
        """Print a final line; in order, since a terminal can't insert lines above."""
        final = self.lines[index].final or NO_FINAL_LINE
        self._finished = index + 1
        self._write(final.text + "\n")

    def tick(self) -> None:
        """Rewrite the line of the first unfinished generation, cut to the terminal's width."""
        if not self._live or self._finished == len(self.lines):
            return
        line = self.lines[self._finished]
        blocks = round(line.fraction() * 20)
        count = f" · {self._finished + 1} of {len(self.lines)}" if len(self.lines) > 1 else ""
        text = f"[{'#' * blocks}{'.' * (20 - blocks)}] {line.text()}{count}"
        self._write(text[: shutil.get_terminal_size().columns - 1])

    def close(self) -> None:
        """Clear an unfinished line."""
        if self._finished < len(self.lines):
            self._write("")

    @property
    def _stream(self) -> TextIO | None:
        """Look up `sys.stdout` each time: IPython replaces it while it shows a prompt."""
        return self._explicit_stream or sys.stdout

    def _write(self, text: str) -> None:
        """Write text in place of the live line."""
        if text or self._live:
            clear_line = "\r\x1b[2K" if self._live else ""
            echo(text, stream=self._stream, end="", control=clear_line)
