"""What a generation says of itself while it runs: the only way in which it speaks upwards."""

from __future__ import annotations

from dataclasses import dataclass

from ..images.files import GeneratedImage


@dataclass(frozen=True, slots=True)
class Submitting:
    """The order is on its way: from here on it may be taken."""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The order was surely not taken, and goes out again after a pause.

    Attributes:
        reason: Why, in words.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """The Hub has taken the order.

    Attributes:
        task_id: The task's id.
        expected_s: Seconds that such a task is expected to take, or None if unknown.
    """

    task_id: str
    expected_s: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The task is not ended yet.

    Attributes:
        status: The Hub's word for it.
        elapsed_s: Seconds since the task was submitted.
        expected_s: Seconds that such a task is expected to take, or None if unknown.
    """

    status: str
    elapsed_s: float
    expected_s: float | None = None


@dataclass(frozen=True, slots=True)
class Downloading:
    """The task is complete; its images are on their way.

    Attributes:
        done: How many are on disk and checked.
        total: How many there are.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The images are on disk.

    Attributes:
        images: The originals, in the Hub's order.
        description: What the model said beside them.
        elapsed_s: Seconds from the submission, or by the Hub's clock for a resumed task; None if
            the journal does not know.
        task_id: The task that made them.
        from_journal: Whether they were paid for before: nothing was ordered.
        left_out: How many images the Hub named beside those that were asked for.
    """

    images: tuple[GeneratedImage, ...]
    description: str
    elapsed_s: float | None
    task_id: str | None = None
    from_journal: bool = False
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know, and that stops nothing.

    Attributes:
        text: One sentence.
    """

    text: str


Event = Submitting | RetryScheduled | Submitted | Waiting | Downloading | Completed | Notice
