"""`Status`: a task's condition, the same words on the wire, in the journal and in the handle."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """A task's condition, from before its submission to its end.

    The Hub may report other statuses. They stay plain text, and mean that the task is still
    running; so a status is a `str`, which may be one of these.

    Example:
        >>> Status("completed") is Status.COMPLETED, Status.COMPLETED == "completed"
        (True, True)
        >>> Status.COMPLETED
        'completed'
    """

    # not submitted yet, or never
    NEW = "new"
    SUBMITTING = "submitting"
    POSTPONED = "postponed"
    """The Hub is busy or can't be reached; the submission is retried."""
    REFUSED = "refused"
    UNSENT = "unsent"
    UNCERTAIN = "uncertain"
    """The Hub may have accepted the submission, but no response confirms it."""
    SKIPPED = "skipped"
    """An earlier prompt of the cell failed."""

    # a task at the Hub
    SUBMITTED = "submitted"
    RESUMED = "resumed"
    """It was submitted elsewhere: only its id is known."""
    PENDING = "pending"
    QUEUED = "queued"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    """The Hub reported no status."""
    DOWNLOADING = "downloading"

    # ended
    COMPLETED = "completed"
    SUCCEEDED = "succeeded"
    NOT_DOWNLOADED = "not downloaded"
    FAILED = "failed"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    CANCELED = "canceled"
    FORGOTTEN = "forgotten"
    """The Hub no longer has the task."""

    def __repr__(self) -> str:
        """Show the text: a handle's status may be one of these or the Hub's own."""
        return repr(self.value)


SUCCEEDED = frozenset({Status.COMPLETED, Status.SUCCEEDED})
"""The Hub's statuses of a task with an output; only these are charged."""

UNCHARGED = frozenset(
    {Status.FAILED, Status.ERROR, Status.TIMEOUT, Status.CANCELLED, Status.CANCELED}
)
"""The Hub's statuses of a task that ended without one."""

CLOSED = (*sorted(UNCHARGED), Status.FORGOTTEN)
"""The statuses in which a task will not produce images any more."""
