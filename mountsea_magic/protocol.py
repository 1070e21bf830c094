"""The Hub's wire rules with no I/O: read an answer, is the task ended, what does a refusal mean.

Raw JSON ends here. What the contract documents is built upon; what a neighbouring API does is
tolerated: other names of a field, other words for a status, null fields, unknown fields.
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    plain,
)

SUBMIT_PATH = "/hub/v1/image"
TASK_PATH = "/hub/v1/tasks/"
ACCEPTED = frozenset({200, 201, 202})
SUCCEEDED = frozenset({"completed", "succeeded"})
UNCHARGED = frozenset({"failed", "error", "timeout", "cancelled", "canceled"})

_MONEY = re.compile(r"credit|balance|quota|insufficient|payment", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP, before anything is believed of it.

    Attributes:
        status: The HTTP status code.
        headers: The headers, by lower-case names.
        body: The decoded JSON, or None where the body is none.
    """

    status: int
    headers: Mapping[str, str]
    body: Any

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], content: bytes) -> Answer:
        """Decode an answer; a body that is no JSON is a body of None."""
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        return cls(status, {name.lower(): value for name, value in headers.items()}, body)


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Where one picture of a completed task is: behind a URL, or in the answer itself.

    Attributes:
        url: An http(s) URL or a data URI, or None.
        b64: The picture's bytes as base64, or None.
    """

    url: str | None
    b64: str | None = None


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
    data = body.get("data") if body.get("data") is not None else body.get("output")
    sources = _sources(data)
    error = _reason(body)
    ready = body.get("ready") is True
    succeeded = status in SUCCEEDED or (
        ready and status not in UNCHARGED and (bool(sources) or not error)
    )
    elapsed = body.get("elapsed_ms")
    description = data.get("description") if isinstance(data, dict) else None
    return TaskState(
        status=status,
        ended=ready or status in SUCCEEDED or status in UNCHARGED,
        succeeded=succeeded,
        sources=sources,
        description=description if isinstance(description, str) else "",
        elapsed_ms=int(elapsed) if isinstance(elapsed, (int, float)) and elapsed >= 0 else None,
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


def refusal(answer: Answer, *, submitting: bool = False) -> MountseaError:
    """Say what a refusal means, as an error that names the cure.

    Args:
        answer: An answer whose status is none of 200, 201, 202.
        submitting: Whether it answers an order; then a 5xx leaves open if the order was taken.

    Example:
        >>> type(refusal(Answer(402, {}, {"message": "no credits"}))).__name__
        'InsufficientCredits'
    """
    status, said = answer.status, _reason(answer.body)
    tail = f": {said}" if said else "."
    if status == 401 or (status == 403 and not _MONEY.search(said)):
        return AuthenticationError(
            f"The Hub does not accept the key ({status}){tail} Give another: `%mountsea login`.",
            status_code=status,
        )
    if status in (402, 403):
        return InsufficientCredits(
            f"The Hub says that credits are short ({status}){tail} See `%mountsea credits`.",
            status_code=status,
        )
    if status == 429:
        return RateLimited(
            f"The Hub asks for patience (429){tail} Nothing was ordered; run the cell again later."
            if submitting
            else f"The Hub asks for patience (429){tail}",
            retry_after_s=retry_after(answer.headers.get("retry-after"), now=datetime.now(UTC)),
        )
    if 300 <= status < 400:
        return ConfigurationError(
            f"The Hub's address answered with a redirect ({status}): check MOUNTSEA_BASE_URL.",
            status_code=status,
        )
    if status >= 500 or status == 408:
        if submitting:
            return uncertain(f"it answered {status}{tail}", status_code=status)
        return HubUnavailable(f"The Hub answered {status}{tail}", status_code=status)
    return InvalidRequest(f"The Hub refused the request ({status}){tail}", status_code=status)


def retry_after(value: str | None, *, now: datetime) -> float | None:
    """Read a ``Retry-After`` header: seconds or an HTTP date.

    Returns:
        The pause in seconds, at least 0, or None if there is none that can be read.

    Example:
        >>> retry_after("120", now=datetime.now(UTC))
        120.0
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())


def uncertain(why: str, *, status_code: int | None = None) -> SubmissionUncertain:
    """Say that money may be gone without a trace, and where to look.

    Example:
        >>> "twice" in str(uncertain("the connection was cut"))
        True
    """
    return SubmissionUncertain(
        f"The Hub may or may not have taken the order: {why.rstrip('.')}. It is not sent again by "
        "itself, so that you never pay twice: look at your task list or `%mountsea credits` first.",
        status_code=status_code,
    )


def _reason(body: Any) -> str:
    """Neighbours tell their reason under many names; pictures that they echo are left out."""
    if not isinstance(body, dict):
        return ""
    inner = body.get("error")
    places: list[Any] = [body.get("error_message"), body.get("errorMessage")]
    if isinstance(inner, dict):
        places += [inner.get("message"), inner.get("code")]
    places += [body.get("message"), body.get("detail"), inner, body.get("error_code")]
    for place in places:
        said = _words(place)
        if said:
            return said
    return ""


def _words(place: Any) -> str:
    """A reason may be text, a list of texts, or a list of {loc, msg} (never its `input`)."""
    if isinstance(place, str):
        return plain(place)
    if isinstance(place, dict):
        where = place.get("loc")
        message = place.get("msg") or place.get("message")
        if not isinstance(message, str):
            return ""
        at = ".".join(map(str, where)) + ": " if isinstance(where, list) and where else ""
        return plain(at + message)
    if isinstance(place, list):
        return plain("; ".join(filter(None, map(_words, place[:5]))))
    return ""


def _sources(data: Any) -> tuple[PictureSource, ...]:
    """Every shape of the output that the contract page says to tolerate."""
    if isinstance(data, dict):
        for name in ("images", "image"):
            if data.get(name):
                return _sources(data[name])
        for name in ("url", "b64", "b64_json"):
            text = data.get(name)
            if isinstance(text, str) and text:
                return (PictureSource(text) if name == "url" else PictureSource(None, text),)
        return ()
    if isinstance(data, list):
        return tuple(source for item in data for source in _sources(item))
    if isinstance(data, str) and re.match(r"(?i)(https?|data):", data):
        return (PictureSource(data),)
    return ()
