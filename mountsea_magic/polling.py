"""When to look next: the polling schedule, with no clock and no I/O of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Decides how long to wait until the next look at a task."""

    def interval_s(self, waited_s: float, *, chance: float) -> float:
        """Return the pause before the next look.

        Args:
            waited_s: Seconds since the task was submitted.
            chance: A random number from 0 up to 1, for the jitter.

        Returns:
            Seconds, more than 0.
        """


@dataclass(frozen=True, slots=True)
class ProportionalSchedule:
    """Waits a fixed part of the time already waited.

    The delay after the task is ready then stays a small part of the whole wait, and the number of
    looks grows only with the wait's logarithm, until the cap is reached.

    Attributes:
        part: The interval as a part of the time waited.
        shortest_s: The shortest interval, in seconds, before jitter.
        longest_s: The longest interval, in seconds, before jitter; the vendor advises 3 to 5.
        jitter: The part by which an interval is at most longer or shorter, so that a class of
            thirty does not ask in step.

    Example:
        >>> ProportionalSchedule().interval_s(10.0, chance=0.5)
        1.5
        >>> ProportionalSchedule().interval_s(0.0, chance=0.5)
        0.3
    """

    part: float = 0.15
    shortest_s: float = 0.3
    longest_s: float = 4.0
    jitter: float = 0.15

    def interval_s(self, waited_s: float, *, chance: float) -> float:
        """Return the pause before the next look, in seconds."""
        plain = min(max(self.part * waited_s, self.shortest_s), self.longest_s)
        return plain * (1 + self.jitter * (2 * chance - 1))
