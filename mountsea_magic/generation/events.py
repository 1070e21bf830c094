"""The events of a running generation: the only way in which it reports to its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import MountseaError
from ..images.files import GeneratedImage


@dataclass(frozen=True, slots=True)
class Submitting:
    """The POST is being sent: from here on the Hub may have received it."""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The Hub certainly did not accept the request; it is sent again after a pause.

    Attributes:
        reason: Why, as a short text for the progress line.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """The Hub has accepted the request.

    Attributes:
        task_id: The task's id.
        expected_s: Seconds that such a task is expected to take, or None if unknown.
    """

    task_id: str
    expected_s: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The task is still running.

    Attributes:
        status: The status that the Hub reports.
        elapsed_s: Seconds since the task was submitted.
        expected_s: Seconds that such a task is expected to take, or None if unknown.
    """

    status: str
    elapsed_s: float
    expected_s: float | None = None


@dataclass(frozen=True, slots=True)
class Downloading:
    """The task is complete; its images are being downloaded.

    Attributes:
        done: How many images are on disk and checked.
        total: How many images there are.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The images are on disk.

    Attributes:
        images: The originals, in the Hub's order.
        description: The text that the model returned with them.
        elapsed_s: Seconds from the submission, or as measured by the Hub for a resumed task; None
            if unknown.
        task_id: The task that made them.
        from_journal: Whether they come from an earlier task: nothing was submitted.
        left_out: How many images the Hub returned beyond the number requested.
        postprocessed: What the batch's ``postprocess`` returned, one for each image.
    """

    images: tuple[GeneratedImage, ...]
    description: str
    elapsed_s: float | None
    task_id: str | None = None
    from_journal: bool = False
    left_out: int = 0
    postprocessed: tuple[Any, ...] = ()


class PostprocessFailed(MountseaError):
    """The batch's ``postprocess`` raised; the images are on disk, and journaled as completed.

    Attributes:
        completed: The completed generation.

    Args:
        message: Why.
        completed: The completed generation.
    """

    def __init__(self, message: str, completed: Completed) -> None:
        super().__init__(message, task_id=completed.task_id)
        self.completed = completed


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning for the user; the generation continues.

    Attributes:
        text: One sentence.
    """

    text: str


Event = Submitting | RetryScheduled | Submitted | Waiting | Downloading | Completed | Notice
