"""The error tree; in a notebook an error is shown in one or two lines, without a traceback.

MountseaError
 + ConfigurationError     a setting is missing or invalid; nothing was submitted
 + InvalidRequest         rejected before sending, or by the Hub (400, 404, 409, 422, other 4xx)
 + BudgetExceeded         more images than the budget allows; nothing was submitted
 + AuthenticationError    the Hub rejected the API key (401, 403)
 + InsufficientCredits    not enough credits (402, 403)
 + RateLimited            rate limited by the Hub (429); nothing was submitted
 + HubUnavailable         network error, HTTP 5xx, or a response that is not the Hub's
 + SubmissionUncertain    the request may have reached the Hub; it is not sent again
 + TaskFailed             the task ended without an image; nothing was charged
 + WaitTimeout            stopped waiting; the task goes on at the Hub
 + DownloadFailed         the task completed, but its image could not be downloaded
 + BatchFailed            some requests of a batch failed
Interrupted               a KeyboardInterrupt with the id of the task that goes on
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self, TypeVar

from .runtime.printing import encodable, stdout_encoding
from .runtime.text import is_pasteable, printable, quoted

E = TypeVar("E", bound=BaseException)


def resume_hint(task_id: str) -> str:
    """Return the command that fetches a task's images.

    An id with characters that IPython would expand or run is left out: then the command is the
    one that resumes all open tasks.

    Example:
        >>> resume_hint("hub-1"), resume_hint("{quit()}")
        ('`%mountsea resume hub-1`', '`%mountsea resume`')
    """
    return f"`%mountsea resume {task_id}`" if is_pasteable(task_id) else "`%mountsea resume`"


def describe_kind(error: BaseException) -> str:
    """Return the type of an error as lower-case words, for the progress line above it.

    Example:
        >>> describe_kind(KeyboardInterrupt())
        'keyboard interrupt'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


class _ShortInNotebook:
    """IPython calls `_render_traceback_` in place of showing a traceback."""

    def _render_traceback_(self) -> list[str]:
        message = printable(f"{type(self).__name__}: {self}")
        return [encodable(message, stdout_encoding())]


class MountseaError(_ShortInNotebook, Exception):
    """The base class of all errors of this package.

    Attributes:
        task_id: The task that the error is about, or None.
        status_code: The HTTP status of the Hub's response, or None without one.

    Example:
        >>> MountseaError("no images today", task_id="hub-1").task_id
        'hub-1'
    """

    def __init__(
        self, message: str, *, task_id: str | None = None, status_code: int | None = None
    ) -> None:
        super().__init__(printable(message))
        self.task_id = task_id
        self.status_code = status_code

    def with_task(self, task_id: str) -> Self:
        """Add the task, and the command that resumes it, unless the error already has a task.

        Example:
            >>> print(MountseaError("The network is down.").with_task("hub-1"))
            The network is down. Task hub-1 is saved; resume it: `%mountsea resume hub-1`.
        """
        if self.task_id is None:
            self.task_id = task_id
            hint = f"Task {quoted(task_id)} is saved; resume it: {resume_hint(task_id)}."
            self.args = (f"{self} {hint}",)
        return self


class ConfigurationError(MountseaError):
    """A setting is missing or invalid; nothing was submitted."""


class InvalidRequest(MountseaError):
    """The request was rejected before it was sent, or by the Hub: 400, 404, 409, 422, other 4xx."""


class BudgetExceeded(MountseaError):
    """The request would exceed the budget of images; nothing was submitted."""


class AuthenticationError(MountseaError):
    """The Hub rejected the API key (401, and 403 unless its message is about credits)."""


class InsufficientCredits(MountseaError):
    """Not enough credits (402, and 403 if its message is about credits)."""


class RateLimited(MountseaError):
    """Rate limited by the Hub (429); nothing was submitted.

    Attributes:
        retry_after_s: The Hub's `Retry-After`, in seconds, or None.
        of_credits: Whether the message is about credits or a quota, so that a retry is pointless.
    """

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, of_credits: bool = False
    ) -> None:
        super().__init__(message, status_code=429)
        self.retry_after_s = retry_after_s
        self.of_credits = of_credits


class HubUnavailable(MountseaError):
    """A network error, HTTP 5xx, or a response from something other than the Hub."""


class SubmissionUncertain(MountseaError):
    """The request may have reached the Hub; it is not sent again, to avoid a second charge.

    Attributes:
        of_earlier_run: Whether it was submitted earlier, or by another process, under the same
            idempotency key; nothing was sent now.
    """

    def __init__(
        self,
        message: str,
        *,
        task_id: str | None = None,
        status_code: int | None = None,
        of_earlier_run: bool = False,
    ) -> None:
        super().__init__(message, task_id=task_id, status_code=status_code)
        self.of_earlier_run = of_earlier_run


class TaskFailed(MountseaError):
    """The task ended as failed, timeout or cancelled at the Hub; nothing was charged."""


class WaitTimeout(MountseaError):
    """Stopped waiting for the task; it goes on at the Hub and can be resumed."""


class DownloadFailed(MountseaError):
    """The task completed, but its image could not be downloaded; it may have been charged.

    Attributes:
        gone: Whether the Hub no longer has the image, so that resuming is pointless.
    """

    def __init__(self, message: str, *, task_id: str | None = None, gone: bool = False) -> None:
        super().__init__(message, task_id=task_id)
        self.gone = gone


class BatchFailed(MountseaError):
    """Some requests of a batch failed; the message counts them, with each reason once.

    Attributes:
        batch: The batch, with its images, and `retry_failed`.
        errors: The error of each request that failed, in order.
    """

    def __init__(
        self, message: str, *, batch: Any = None, errors: Sequence[Exception] = ()
    ) -> None:
        super().__init__(message)
        self.batch = batch
        self.errors = list(errors)


class Interrupted(_ShortInNotebook, KeyboardInterrupt):
    """The wait was interrupted; the task, if it was submitted, goes on at the Hub.

    Attributes:
        task_id: The task that goes on, or None if none was submitted.
        batch: The batch that was interrupted, or None.

    Example:
        >>> isinstance(Interrupted("stopped waiting", task_id="hub-1"), KeyboardInterrupt)
        True
    """

    def __init__(self, message: str, *, task_id: str | None = None, batch: Any = None) -> None:
        super().__init__(printable(message))
        self.task_id = task_id
        self.batch = batch


def without_frames(error: E) -> E:
    """Drop the traceback and the causes of an error: verbose tracebacks print local variables.

    Args:
        error: The error, changed in place.

    Returns:
        The same error, to raise again ``from None``.

    Example:
        >>> without_frames(ValueError("no")).__traceback__ is None
        True
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
