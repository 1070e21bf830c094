"""The Hub's wire rules with no I/O: what an answer says, and whether a task is ended.

Raw JSON ends here. What the contract documents is built upon; what a neighbouring API does is
tolerated: other names of a field, other words for a status, null fields, unknown fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .errors import HubUnavailable, plain
from .redaction import without_queries
from .refusals import ACCEPTED, Answer, reason, refusal, uncertain

SUBMIT_PATH = "/hub/v1/image"
TASK_PATH = "/hub/v1/tasks/"
SUCCEEDED = frozenset({"completed", "succeeded"})
UNCHARGED = frozenset({"failed", "error", "timeout", "cancelled", "canceled"})


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Where one picture of a completed task is: behind a URL, or in the answer itself.

    Attributes:
        url: An http(s) URL or a data URI, or None.
        b64: The picture's bytes as base64, or None.
    """

    url: str | None
    b64: str | None = None

    @property
    def is_inline(self) -> bool:
        """Whether the picture stands in the answer itself."""
        return self.url is None or self.url[:5].lower() == "data:"

    def __repr__(self) -> str:
        return f"PictureSource({'inline' if self.is_inline else without_queries(self.url or '')!r})"


@dataclass(frozen=True, slots=True)
class TaskState:
    """What the Hub says of a task.

    Attributes:
        status: The Hub's word for it, in lower case; ``unknown`` if it said none.
        ended: Whether it will not change any more.
        succeeded: Whether it ended with an output; only then it is charged.
        sources: Where its pictures are.
        description: What the model said beside the pictures.
        elapsed_ms: How long it ran by the Hub's own clock, in milliseconds.
        error: The Hub's reason, where it failed.
    """

    status: str
    ended: bool
    succeeded: bool
    sources: tuple[PictureSource, ...] = ()
    description: str = ""
    elapsed_ms: int | None = None
    error: str = ""


def read_submission(answer: Answer) -> str:
    """Read the answer to a submission.

    Returns:
        The task's id; a prefix is not required, and the echo of the model is not checked.

    Raises:
        SubmissionUncertain: If the Hub may have taken the order without saying under which id.
        MountseaError: If it did not take the order.

    Example:
        >>> read_submission(Answer(200, {}, {"taskId": "7"}))
        '7'
    """
    if answer.status not in ACCEPTED:
        raise refusal(answer, submitting=True)
    body = answer.body if isinstance(answer.body, dict) else {}
    for name in ("task_id", "taskId", "id"):
        task_id = body.get(name)
        if isinstance(task_id, (str, int)) and not isinstance(task_id, bool) and str(task_id):
            return str(task_id)
    raise uncertain(f"it answered {answer.status} without a task id", status_code=answer.status)


def read_task(answer: Answer) -> TaskState:
    """Read what the Hub says of a task.

    Ended means that ``ready`` is true or that the status is a final one; any other status, known
    or not (such as the string ``ready`` of a neighbour), means still running.

    Raises:
        MountseaError: If the answer is a refusal, or not the Hub's.

    Example:
        >>> read_task(Answer(200, {}, {"status": "queued", "ready": False})).ended
        False
    """
    if answer.status not in ACCEPTED:
        raise refusal(answer)
    body = answer.body
    if not isinstance(body, dict):
        raise HubUnavailable("The Hub's address answered with something that is not the Hub's.")
    said = body.get("status")
    status = plain(said, limit=40).lower() if isinstance(said, str) and said else "unknown"
    sources = _sources(body.get("data")) or _sources(body.get("output"))
    data = body.get("data") or body.get("output")
    error = reason(body)
    ready = body.get("ready") is True
    succeeded = status in SUCCEEDED or (
        ready and status not in UNCHARGED and (bool(sources) or not error)
    )
    description = data.get("description") if isinstance(data, dict) else None
    return TaskState(
        status=status,
        ended=ready or status in SUCCEEDED or status in UNCHARGED,
        succeeded=succeeded,
        sources=sources,
        description=without_queries(description) if isinstance(description, str) else "",
        elapsed_ms=_milliseconds(body.get("elapsed_ms")),
        error=error,
    )


def read_credits(answer: Answer) -> float:
    """Read the number of credits that are left.

    Raises:
        MountseaError: If the answer is a refusal, or holds no number of credits.

    Example:
        >>> read_credits(Answer(200, {}, {"credits": 10000}))
        10000
    """
    if answer.status not in ACCEPTED:
        raise refusal(answer)
    body = answer.body if isinstance(answer.body, dict) else {}
    inner = body.get("data")
    for place in (body, inner if isinstance(inner, dict) else {}):
        left = place.get("credits")
        if isinstance(left, (int, float)) and not isinstance(left, bool):
            return left
    raise HubUnavailable("The credits endpoint answered without a number of credits.")


def _milliseconds(value: Any) -> int | None:
    """JSON as Python reads it has infinities, which no int has."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)) and 0 <= value < 1e15:
        return int(value)
    return None


def _sources(data: Any, depth: int = 8) -> tuple[PictureSource, ...]:
    """Every shape of the output that the contract page says to tolerate, and no bottomless one."""
    if depth == 0:
        return ()
    if isinstance(data, dict):
        for name in ("images", "image"):
            if data.get(name):
                return _sources(data[name], depth - 1)
        for name in ("url", "b64", "b64_json"):
            text = data.get(name)
            if isinstance(text, str) and text:
                return (PictureSource(text) if name == "url" else PictureSource(None, text),)
        return ()
    if isinstance(data, list):
        return tuple(source for item in data for source in _sources(item, depth - 1))
    if isinstance(data, str) and re.match(r"(?i)(https?|data):", data):
        return (PictureSource(data),)
    return ()
