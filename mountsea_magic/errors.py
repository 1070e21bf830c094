"""The error tree, and how an error reads in a notebook: one or two lines, never a traceback.

MountseaError
 + ConfigurationError     a setting is missing or makes no sense; nothing was ordered
 + InvalidRequest         refused here, or by the Hub (400, 404, 409, 422 and their like)
 + AuthenticationError    the Hub does not accept the key
 + InsufficientCredits    the account has no credits left
 + RateLimited            the Hub asks for patience (429)
 + HubUnavailable         network trouble, a 5xx, or an answer that is not the Hub's
 + SubmissionUncertain    the order may or may not have arrived
 + TaskFailed             the task ended without an image; nothing was charged
 + WaitTimeout            this side stopped waiting; the task goes on
 + DownloadFailed         the task is complete, its image could not be had
Interrupted               a KeyboardInterrupt that knows its task
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Self, TypeVar

from .runtime.printing import encodable, stdout_encoding
from .runtime.text import is_pasteable, printable, quoted
from .runtime.text import sanitize as sanitize

E = TypeVar("E", bound=BaseException)


def resume_hint(task_id: str) -> str:
    """Return the command that fetches a task's images.

    An id that is not made of harmless characters stands in no command, since IPython would run
    parts of it: then the command is the one that fetches all open tasks.

    Example:
        >>> resume_hint("hub-1"), resume_hint("{quit()}")
        ('`%mountsea resume hub-1`', '`%mountsea resume`')
    """
    return f"`%mountsea resume {task_id}`" if is_pasteable(task_id) else "`%mountsea resume`"


def in_words(error: BaseException) -> str:
    """Return the kind of an error in plain words, for the line above it.

    Example:
        >>> in_words(KeyboardInterrupt())
        'keyboard interrupt'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


class _ShortInNotebook:
    """IPython asks an exception for its rendering; ours is its name and its message."""

    def _render_traceback_(self) -> list[str]:
        said = printable(f"{type(self).__name__}: {self}")
        return [encodable(said, stdout_encoding())]


class MountseaError(_ShortInNotebook, Exception):
    """The base of all errors of this package.

    Attributes:
        task_id: The task the error concerns, or None.
        status_code: The HTTP status of the Hub's answer, where there was one.

    Example:
        >>> MountseaError("no images today", task_id="hub-1").task_id
        'hub-1'
    """

    def __init__(
        self, message: str, *, task_id: str | None = None, status_code: int | None = None
    ) -> None:
        """Keep the message, which names the cure, and the task it concerns."""
        super().__init__(printable(message))
        self.task_id = task_id
        self.status_code = status_code

    def with_task(self, task_id: str) -> Self:
        """Name the task, and how to get at it, in an error that did not know of one.

        Example:
            >>> print(MountseaError("The network is down.").with_task("hub-1"))
            The network is down. Task hub-1 is kept: `%mountsea resume hub-1`.
        """
        if self.task_id is None:
            self.task_id = task_id
            self.args = (f"{self} Task {quoted(task_id)} is kept: {resume_hint(task_id)}.",)
        return self


class ConfigurationError(MountseaError):
    """A setting is missing or makes no sense; nothing was ordered."""


class InvalidRequest(MountseaError):
    """Refused, here before it was sent, or by the Hub: 400, 404, 409, 422, and other 4xx."""


class AuthenticationError(MountseaError):
    """The Hub does not accept the key (401, and 403 that does not speak of credits)."""


class InsufficientCredits(MountseaError):
    """The account has not enough credits (402, and 403 that speaks of credits)."""


class RateLimited(MountseaError):
    """The Hub asks for patience (429); nothing was ordered.

    Attributes:
        retry_after_s: The pause that the Hub asked for, in seconds, or None.
        of_credits: Whether the Hub speaks of credits or a quota, which no pause brings back.
    """

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, of_credits: bool = False
    ) -> None:
        """Keep the pause beside the message."""
        super().__init__(message, status_code=429)
        self.retry_after_s = retry_after_s
        self.of_credits = of_credits


class HubUnavailable(MountseaError):
    """The network failed, the Hub answered 5xx, or something else answered in its place."""


class SubmissionUncertain(MountseaError):
    """The order may or may not have arrived; it is not sent again, so nothing is paid twice."""


class TaskFailed(MountseaError):
    """The task ended as failed, timeout or cancelled at the Hub; nothing was charged."""


class WaitTimeout(MountseaError):
    """This side stopped waiting; the task goes on at the Hub and can be resumed."""


class DownloadFailed(MountseaError):
    """The task is complete, but its image could not be had; it may have been charged.

    Attributes:
        gone: Whether the Hub has no such image any more, so that a resume is in vain.
    """

    def __init__(self, message: str, *, task_id: str | None = None, gone: bool = False) -> None:
        """Keep whether it is gone beside the message."""
        super().__init__(message, task_id=task_id)
        self.gone = gone


class Interrupted(_ShortInNotebook, KeyboardInterrupt):
    """The wait was interrupted; the task, if there is one, goes on at the Hub.

    Attributes:
        task_id: The task that goes on, or None if there was none yet.

    Example:
        >>> isinstance(Interrupted("stopped waiting", task_id="hub-1"), KeyboardInterrupt)
        True
    """

    def __init__(self, message: str, *, task_id: str | None = None) -> None:
        """Keep the task beside the message."""
        super().__init__(printable(message))
        self.task_id = task_id


def without_frames(error: E) -> E:
    """Take the frames and the causes from an error: a verbose traceback prints their variables.

    Args:
        error: The error, changed in place.

    Returns:
        The error, to be raised anew ``from None``.

    Example:
        >>> without_frames(ValueError("no")).__traceback__ is None
        True
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def merge_errors(errors: Sequence[BaseException | None]) -> BaseException | None:
    """Let the first error of several prompts stand for all, with its type; it tells of the others.

    Args:
        errors: What became of each prompt, in their order; None where all went well.

    Example:
        >>> print(merge_errors([None, TaskFailed("no dogs"), TaskFailed("no cats")]))
        Prompt 2: no dogs
        Prompt 3: no cats
    """
    told = [(number, error) for number, error in enumerate(errors, start=1) if error is not None]
    if not told:
        return None
    first = told[0][1]
    if len(errors) == 1:
        return first
    both = copy.copy(first)  # each handle keeps its own
    both.args = ("\n".join(f"Prompt {number}: {error}" for number, error in told),)
    both.__cause__ = first.__cause__
    return both
