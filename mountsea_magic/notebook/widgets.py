"""The live lines in a notebook: widgets where someone may look on, and in the end plain HTML."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..runtime.text import escape_html
from .progress import TEXT_ONLY, ProgressLine

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

UPDATES_S = 3.0
"""How many changes a second are sent at most, for all lines: each takes 2 to 3 ms of processor."""

PLAIN_UPDATE_S = 1.0
"""How long a line without widgets stays as it is at least, in seconds: it is sent as a whole."""

SMALLEST_STEP = 0.006
"""By how much a bar moves at least: less is not seen."""

CANCEL_TIP = (
    "Stops waiting. The Hub documents no cancel: the task goes on there, is charged if it "
    "completes, and can be fetched with %mountsea resume."
)

UNHEARD = (
    "in the background; what comes after the last cell of such a run is not kept here, and "
    "`%mountsea resume` fetches it"
)
"""Stays below a background cell of nbclient's if nothing else is heard of it."""


class WidgetView:
    """A progress bar and a line of words for each generation, and one Cancel button.

    Attributes:
        lines: One for each generation.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        """Show the lines in the cell that runs."""
        import ipywidgets
        from IPython.display import display

        self.lines = [ProgressLine(label) for label in labels]
        self._rows = [_Row(line) for line in self.lines]
        self._next_tick = 0.0
        self._closed = False
        self._button: Any = None
        self._box = ipywidgets.VBox([row.box for row in self._rows])
        # ipywidgets 7 displays itself, and takes no display id: this does what ipywidgets 8 does
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        bundle = {
            "application/vnd.jupyter.widget-view+json": view,
            "text/plain": "\n".join(line.words() for line in self.lines),
        }
        self._handle: DisplayHandle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython's display bears no types

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """Add the Cancel button.

        Args:
            cancel: Called on a click, on a thread of the kernel's.
        """
        import ipywidgets

        button = ipywidgets.Button(
            description="Cancel", tooltip=CANCEL_TIP, layout=ipywidgets.Layout(flex="0 0 80px")
        )
        # ipykernel 7.4 would answer on the main shell, which the cell blocks
        if hasattr(button.comm, "_reply_subshell_for"):
            button.comm._reply_subshell_for = lambda data, default: default

        def clicked(_: Any) -> None:
            button.disabled = True
            cancel()

        button.on_click(clicked)
        self._button = button
        last = self._rows[-1].box
        last.children = (*last.children, button)

    def finish(self, number: int) -> None:
        """All lines are in one output: `close` leaves them there."""

    def tick(self) -> None:
        """Move the bars, no more often than the eye and the network like."""
        now = time.monotonic()
        if now >= self._next_tick:
            sent = sum(row.tick() for row in self._rows)
            self._next_tick = now + sent / UPDATES_S

    def close(self) -> None:
        """Replace the widgets, then close all their parts, once, so that none is saved."""
        if self._closed:
            return
        self._closed = True
        self.republish()
        widgets = [widget for row in self._rows for widget in (*row.box.children, row.box)]
        for widget in dict.fromkeys([*widgets, self._button, self._box]):
            for part in (getattr(widget, "style", None), getattr(widget, "layout", None), widget):
                if part is not None:
                    part.close()

    def republish(self) -> None:
        """Show the final lines once more, from another cell; see `ImageOutputs.republish`."""
        self._handle.update(_finals(self.lines), raw=True)  # type: ignore[no-untyped-call]  # as above


class PlainTextView:
    """Lines of HTML, replaced as they change, for notebooks that are run with nobody there.

    nbclient and papermill keep the state of widgets that were closed long ago, and hear nothing
    of a cell that is over: a widget below it would stay.

    Attributes:
        lines: One for each generation.
    """

    def __init__(self, labels: Sequence[str], *, background: bool) -> None:
        """Show the lines in the cell that runs.

        Args:
            labels: What the generations are called.
            background: Whether the cell is over before they are: then say what that means.
        """
        from IPython.display import display

        self.lines = [ProgressLine(label) for label in labels]
        self._next_tick = 0.0
        said = [f"{label} · {UNHEARD}" if background else label for label in labels]
        self._handle: DisplayHandle = display(_plain(said), raw=True, display_id=True)  # type: ignore[no-untyped-call]  # as above

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """Nobody is there to click."""

    def finish(self, number: int) -> None:
        """All lines are in one output: `close` leaves them there."""

    def tick(self) -> None:
        """Say what is known by now: if somebody does look on, the line lives."""
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + PLAIN_UPDATE_S
            bundle = _plain([line.words() for line in self.lines])
            self._handle.update(bundle, raw=True)  # type: ignore[no-untyped-call]  # as above

    def close(self) -> None:
        """Leave nothing but the final lines."""
        self.republish()

    def republish(self) -> None:
        """Show the final lines once more, from another cell; see `ImageOutputs.republish`."""
        self._handle.update(_finals(self.lines), raw=True)  # type: ignore[no-untyped-call]  # as above


class StaticView:
    """Only the final lines, each an output of its own, where no output can be replaced.

    Attributes:
        lines: One for each generation.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        """Show nothing yet.

        Args:
            labels: What the generations are called.
        """
        self.lines = [ProgressLine(label) for label in labels]
        self._shown = 0

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """A button would stay."""

    def finish(self, number: int) -> None:
        """Show a final line, above its images."""
        from IPython.display import display

        self._shown = number + 1
        display(_finals(self.lines[number : number + 1]), raw=True)  # type: ignore[no-untyped-call]  # as above

    def tick(self) -> None:
        """What is shown stays."""

    def close(self) -> None:
        """Show the lines that have ended and were not shown, after an error of ours."""
        while self._shown < len(self.lines) and self.lines[self._shown].final is not None:
            self.finish(self._shown)

    def republish(self) -> None:
        """What is shown stays."""


def _finals(lines: Sequence[ProgressLine]) -> dict[str, str]:
    """The mimebundle of what stays."""
    finals = [line.final or ("", "") for line in lines]
    return {
        "text/html": "<br>".join(final[0] for final in finals),
        "text/plain": "\n".join(final[1] for final in finals),
    }


def _plain(said: Sequence[str]) -> dict[str, str]:
    """The Hub's status and task id are text, whatever they hold."""
    lines = "<br>".join(escape_html(line) for line in said)
    return {
        "text/html": f'<small class="{TEXT_ONLY}">{lines}</small>',
        "text/plain": "\n".join(said),
    }


class _Row:
    """The widgets of one line."""

    def __init__(self, line: ProgressLine) -> None:
        import ipywidgets

        self._line = line
        self._bar = ipywidgets.FloatProgress(
            value=0.0, min=0.0, max=1.0, layout=ipywidgets.Layout(flex="0 0 180px")
        )
        self._words = ipywidgets.HTML(self._html())
        self.box = ipywidgets.HBox([self._bar, self._words])

    def tick(self) -> int:
        """Return how many changes were sent."""
        sent, done = 0, self._line.final is not None
        fraction = 1.0 if done else max(self._bar.value, self._line.fraction())
        if fraction != self._bar.value and (
            fraction == 1.0 or abs(fraction - self._bar.value) >= SMALLEST_STEP
        ):
            self._bar.value = fraction
            sent += 1
        words = self._line.final[0] if self._line.final is not None else self._html()
        if words != self._words.value:
            self._words.value = words
            sent += 1
        return sent

    def _html(self) -> str:
        """The Hub's status and task id are text, whatever they hold."""
        return f'<span class="{TEXT_ONLY}">{escape_html(self._line.words())}</span>'
