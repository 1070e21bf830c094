"""The live lines: what is known of each generation, in words; and their face in a terminal."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

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
from ..runtime.printing import echo, is_terminal
from ..runtime.text import quoted, sanitize

TEXT_ONLY = "tex2jax_ignore mathjax_ignore"
"""The classes that keep notebooks from typesetting dollar signs in what others say."""


_LONG_PAST = 5
"""After so many times the expected seconds, nobody is helped by what was expected."""


def fraction(elapsed_s: float, expected_s: float) -> float:
    """Return how far the bar is: quick at first, slower past the expected time, never full.

    Args:
        elapsed_s: Seconds since the submission.
        expected_s: Seconds that such a task is expected to take.

    Returns:
        From 0 up to 0.97; the Hub documents no percentage, so only a ready task is 1.

    Example:
        >>> fraction(0, 12), fraction(12, 12) < fraction(24, 12) < 1
        (0.0, True)
    """
    return 0.97 * (1 - math.exp(-1.7 * elapsed_s / expected_s))


class ProgressLine:
    """What is known of one generation while it runs, from its events.

    Attributes:
        label: What it is called.
        task_id: The task's id, or an empty text before there is one.
        final: The one line that stays, as HTML and as text, once it has ended.

    Example:
        >>> line = ProgressLine("nano-banana")
        >>> line.take(Submitted("hub-1"))
        >>> line.words().startswith("nano-banana · submitted · 0 s")
        True
    """

    def __init__(self, label: str) -> None:
        """Wait for the first event: then the seconds begin to count."""
        self.label = label
        self.task_id = ""
        self.final: tuple[str, str] | None = None
        self._started: float | None = None
        self._expected_s: float | None = None
        self._event: Event | None = None

    def take(self, event: Event) -> None:
        """Keep the newest event, from any thread: each assignment is safe by itself."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        if isinstance(event, Submitted):
            self.task_id = event.task_id
        if isinstance(event, Waiting):
            # a resumed task began long before its line
            self._started = min(self._started, now - event.elapsed_s)
        if isinstance(event, Submitted | Waiting) and event.expected_s is not None:
            self._expected_s = event.expected_s
        if not isinstance(event, Notice):
            self._event = event

    def finish(self, html_line: str, text_line: str) -> None:
        """Keep the one line that stays."""
        self.final = (html_line, text_line)

    def fraction(self) -> float:
        """Return how far the bar is, from 0 to 1."""
        event = self._event
        if isinstance(event, Completed | Downloading):
            return 1.0
        return fraction(self._elapsed_s(), self._expected_s or PRIOR_S)

    def words(self) -> str:
        """Return label, status, elapsed and expected seconds and task id, as plain text."""
        event = self._event
        elapsed_s = self._elapsed_s()
        status, seconds = "submitting", _duration(elapsed_s)
        if event is None:
            status = "waiting for its turn"
        if isinstance(event, Submitted):
            status = "submitted"
        elif isinstance(event, Waiting):
            status = event.status
        elif isinstance(event, RetryScheduled):
            status = event.reason
        expected_s = self._expected_s if isinstance(event, Submitted | Waiting) else None
        if expected_s is not None and elapsed_s < _LONG_PAST * expected_s:
            seconds += f" of about {_duration(expected_s)}"
        if isinstance(event, Downloading):
            status = f"downloading {event.done}/{event.total}"
        elif isinstance(event, Completed):
            status = "completed"
        facts = (self.label, sanitize(status), seconds, self.task_id and quoted(self.task_id))
        return " · ".join(filter(None, facts))

    def _elapsed_s(self) -> float:
        """A prompt that waits for its turn has not begun."""
        return time.monotonic() - self._started if self._started is not None else 0.0


def _duration(seconds: float) -> str:
    """A task that is resumed may be of another day."""
    for unit_s, unit in ((3600, "h"), (60, "min")):
        if seconds >= 10 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


class ProgressView(Protocol):
    """What shows the lines of one cell."""

    lines: list[ProgressLine]

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """Show what stops the wait, where a click can arrive."""

    def finish(self, number: int) -> None:
        """Leave the final line of one generation, before its images are shown; in their order."""

    def tick(self) -> None:
        """Show what is known by now."""

    def close(self) -> None:
        """Leave nothing but the final lines."""

    def republish(self) -> None:
        """Show the final lines once more, from another cell."""


class TextView:
    """Lines of text: one rewrites itself in a terminal; elsewhere each is printed once.

    Attributes:
        lines: One for each generation.
    """

    def __init__(
        self, labels: Sequence[str], stream: TextIO | None = None, *, background: bool = False
    ) -> None:
        """Write to a stream.

        Args:
            labels: What the generations are called.
            stream: Standard output if left out.
            background: Whether someone types meanwhile, whose line is not to be written over.
        """
        self.lines = [ProgressLine(label) for label in labels]
        self._given = stream
        self._live = is_terminal(self._stream) and not background
        self._settled = 0
        if background:
            self._write("".join(f"{label} · in the background\n" for label in labels))

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """Ctrl+C does it."""

    def finish(self, number: int) -> None:
        """Print a final line: a terminal can't go back, so they come in their order."""
        final = self.lines[number].final or ("", "")
        self._settled = number + 1
        self._write(final[1] + "\n")

    def tick(self) -> None:
        """Rewrite the line of what runs, cut so that it is one."""
        if not self._live or self._settled == len(self.lines):
            return
        line = self.lines[self._settled]
        blocks = round(line.fraction() * 20)
        count = f" · {self._settled + 1} of {len(self.lines)}" if len(self.lines) > 1 else ""
        text = f"[{'#' * blocks}{'.' * (20 - blocks)}] {line.words()}{count}"
        self._write(text[: shutil.get_terminal_size().columns - 1])

    def close(self) -> None:
        """Leave no line that is only half told."""
        if self._settled < len(self.lines):
            self._write("")

    def republish(self) -> None:
        """What is printed stays."""

    @property
    def _stream(self) -> TextIO | None:
        """While IPython asks for a cell, it has another standard output, which spares its line."""
        return self._given or sys.stdout

    def _cleared(self) -> str:
        """What is live gives way."""
        return "\r\x1b[2K" if self._live else ""

    def _write(self, text: str) -> None:
        """At once, in place of the live line."""
        if text or self._live:
            echo(text, stream=self._stream, end="", control=self._cleared())


class SilentView:
    """Shows nothing: for quiet cells.

    Attributes:
        lines: One for each generation.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        """Keep the lines to oneself."""
        self.lines = [ProgressLine(label) for label in labels]

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """Show nothing."""

    def finish(self, number: int) -> None:
        """Show nothing."""

    def tick(self) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""

    def republish(self) -> None:
        """Show nothing."""
