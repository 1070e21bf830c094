"""The Hub's wire rules with no I/O: what an answer says, and whether a task is ended.

Raw JSON ends here. What the contract documents is built upon; what a neighbouring API does is
tolerated: other names of a field, other words for a status, null fields, unknown fields.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import HubUnavailable
from ..images.data_uris import clean_url, is_base64_image
from ..runtime.json_numbers import finite_number, read_milliseconds
from ..runtime.key_redaction import redact_key
from ..runtime.redaction import without_queries
from ..runtime.text import printable, sanitize_inline
from .error_mapping import ACCEPTED, MAX_WORDS, HubResponse, error_from_response, reason, uncertain

SUBMIT_PATH = "/hub/v1/image"
TASK_PATH = "/hub/v1/tasks/"
SUCCEEDED = frozenset({"completed", "succeeded"})
UNCHARGED = frozenset({"failed", "error", "timeout", "cancelled", "canceled"})
MAX_SOURCES = 10_000
"""How many images of one response are counted: no Hub makes so many for one task."""

MAX_TASK_ID = 8000
"""The longest task id, in characters: no URL that holds a longer one arrives."""

_STATUSES = SUCCEEDED | UNCHARGED | {"pending", "processing", "queued"}
_TASK_IDS = frozenset({"task_id", "taskId"})

_PROSE = frozenset(
    {
        *("description", "text", "message", "msg", "content", "detail", "details", "reason"),
        *("error", "error_message", "errorMessage", "data", "output", "images", "parts"),
    }
)
"""The names that add nothing to what stands under them."""

_NOT_WORDS = frozenset(
    {
        *("task_id", "taskId", "id", "request_id", "status", "ready", "model", "vendor", "mode"),
        *("capability", "input", "url", "b64", "b64_json", "content_type", "mime_type"),
        *("file_name", "created_at", "updated_at", "completed_at", "role", "type", "object"),
    }
)
"""The names of what explains nothing."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Where one image of a completed task is: behind a URL, or in the answer itself.

    Attributes:
        url: An http(s) URL or a data URI, or None.
        b64: The image's bytes as base64, or None.
    """

    url: str | None
    b64: str | None = None
    _shown: str = field(default="inline", init=False, compare=False)

    def __post_init__(self) -> None:
        """What a traceback may show is made where the key is known that the URL may hold."""
        if not self.is_inline:
            object.__setattr__(self, "_shown", without_queries(redact_key(self.url or "")))

    @property
    def is_inline(self) -> bool:
        """Whether the image stands in the answer itself."""
        return self.url is None or self.url[:5].lower() == "data:"

    def __repr__(self) -> str:
        return f"PictureSource({self._shown!r})"


@dataclass(frozen=True, slots=True)
class TaskState:
    """What the Hub says of a task.

    Attributes:
        status: The Hub's word for it, in lower case; ``unknown`` if it said none.
        ended: Whether it will not change any more.
        succeeded: Whether it ended with an output; only then it is charged.
        sources: Where its images are.
        description: What the model said beside the images.
        elapsed_ms: How long it ran by the Hub's own clock, in milliseconds.
        error: The Hub's reason, where it failed.
        explanation: All that the response says in words, where it ended without images.
    """

    status: str
    ended: bool
    succeeded: bool
    sources: tuple[ImageSource, ...] = ()
    description: str = ""
    elapsed_ms: int | None = None
    error: str = ""
    explanation: str = ""


def read_submission(answer: HubResponse) -> str:
    """Read the answer to a submission.

    Returns:
        The task's id; a prefix is not required, and the echo of the model is not checked.

    Raises:
        SubmissionUncertain: If the Hub may have taken the order without saying under which id.
        MountseaError: If it did not take the order.

    Example:
        >>> read_submission(HubResponse(200, {}, {"taskId": "7"}))
        '7'
    """
    if answer.status not in ACCEPTED:
        raise error_from_response(answer, submitting=True)
    body = answer.body if isinstance(answer.body, dict) else {}
    inner = _enveloped(body)
    places = [(place, name) for place in (body, inner) for name in ("task_id", "taskId")]
    if not _is_error(body):  # an `id` beside an error may be anything's
        places += [(place, "id") for place in (inner, body)]
    for place, name in places:
        task_id = place.get(name)
        if isinstance(task_id, (str, int)) and not isinstance(task_id, bool):
            text = str(task_id)
            if text.strip() and len(text) <= MAX_TASK_ID:
                return text
    message = reason(body) or reason(inner)
    why = f"it answered {answer.status} without a task id{message and ': '}{message}"
    raise uncertain(why, status_code=answer.status)


def _is_error(body: dict[str, Any]) -> bool:
    """Whether an envelope says that it holds an error; 0 and HTTP's 2xx are codes of success."""
    code = body.get("code") or 0
    text = str(code).lower() if isinstance(code, str | int) else "no code"
    succeeded = re.fullmatch(r"0+|2\d\d|ok|success", text) is not None
    return not succeeded or body.get("success") is False or bool(body.get("error"))


def _enveloped(body: dict[str, Any]) -> dict[str, Any]:
    """What may be in an envelope: an object, alone or as the only one of a list; else nothing."""
    inner = body.get("data")
    if isinstance(inner, list) and len(inner) == 1:
        inner = inner[0]
    return inner if isinstance(inner, dict) else {}


def _unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """Take a task out of an envelope, `{"code": 0, "data": {…}}`; a task's own output is none."""
    inner = _enveloped(body)
    own = body.get("status")
    is_task = (
        isinstance(body.get("ready"), bool)
        or bool(_TASK_IDS & body.keys())
        or (isinstance(own, str) and own.strip().lower() in _STATUSES)
    )
    says_task = isinstance(inner.get("status"), str) or isinstance(inner.get("ready"), bool)
    return inner if not is_task and (says_task or _TASK_IDS & inner.keys()) else body


def read_task(answer: HubResponse) -> TaskState:
    """Read what the Hub says of a task.

    Ended means that ``ready`` is true or that the status is a final one; any other status, known
    or not (such as the string ``ready`` of a neighbour), means still running.

    Raises:
        MountseaError: If the answer is a refusal, or not the Hub's.

    Example:
        >>> read_task(HubResponse(200, {}, {"status": "queued", "ready": False})).ended
        False
    """
    if answer.status not in ACCEPTED:
        raise error_from_response(answer)
    body = answer.body
    if not isinstance(body, dict):
        raise HubUnavailable("The Hub's address answered with something that is not the Hub's.")
    envelope, body = body, _unwrapped(body)
    word = body.get("status")
    if not isinstance(word, str) and body.get("ready") is not True and _is_error(envelope):
        raise HubUnavailable(f"The Hub answered with an error: {reason(envelope) or 'no reason'}.")
    status = (
        sanitize_inline(word, limit=40).lower() if isinstance(word, str) and word else "unknown"
    )
    outputs = [body.get("data"), body.get("output")]
    if body is not envelope:
        outputs.append({name: body.get(name) for name in ("images", "image")})
    sources = next(filter(None, map(_sources, outputs)), ())
    data = body.get("data") or body.get("output")
    error = reason(body)
    ready = body.get("ready") is True
    succeeded = status in SUCCEEDED or (
        ready and status not in UNCHARGED and (bool(sources) or not error)
    )
    description = data.get("description") if isinstance(data, dict) else None
    ended = ready or status in SUCCEEDED or status in UNCHARGED
    return TaskState(
        status=status,
        ended=ended,
        succeeded=succeeded,
        sources=sources,
        description=without_queries(printable(description)) if isinstance(description, str) else "",
        elapsed_ms=read_milliseconds(body.get("elapsed_ms")),
        error=error,
        explanation=_explanation(body) if ended and not sources else "",
    )


def read_credits(answer: HubResponse) -> float:
    """Read the number of credits that are left.

    Raises:
        MountseaError: If the answer is a refusal, or holds no number of credits.

    Example:
        >>> read_credits(HubResponse(200, {}, {"credits": 10000}))
        10000
    """
    if answer.status not in ACCEPTED:
        raise error_from_response(answer, variable="MOUNTSEA_CREDITS_URL")
    body = answer.body if isinstance(answer.body, dict) else {}
    inner = body.get("data")
    for place in (body, inner if isinstance(inner, dict) else {}):
        left = finite_number(place.get("credits"))
        if left is not None:
            return left
    message = reason(body)
    raise HubUnavailable(
        f"The credits endpoint answered without a number of credits{message and ': '}{message}."
    )


def _explanation(body: dict[str, Any]) -> str:
    """What is said in place of images: by the model, a filter, or the Hub, wherever it stands."""
    rest = {name: value for name, value in body.items() if name not in ("data", "output")}
    texts = [*_texts(body.get("data")), *_texts(body.get("output")), *_texts(rest)]
    return sanitize_inline("; ".join(dict.fromkeys(texts)))


def _texts(value: Any, name: str = "", depth: int = 6) -> Iterator[str]:
    """Yield what is in words or a flag that is set; no URL, no image and no echo of the input."""
    if isinstance(value, dict) and depth > 0:
        for key, item in value.items():
            if key not in _NOT_WORDS and not key.endswith("prompt"):
                yield from _texts(item, key, depth - 1)
    elif isinstance(value, list) and depth > 0:
        for item in value[:10]:
            yield from _texts(item, name, depth - 1)
    elif value is True:
        yield f"{sanitize_inline(name, limit=40)}: true"
    elif isinstance(value, str):
        text = sanitize_inline(without_queries(printable(value[:MAX_WORDS])))  # an image is large
        is_image = _source(value) is not None or (len(text) > 80 and " " not in text)
        if text and not is_image:
            yield (
                text if not name or name in _PROSE else f"{sanitize_inline(name, limit=40)}: {text}"
            )


def _sources(data: Any, depth: int = 8) -> tuple[ImageSource, ...]:
    """Every shape of the output that the contract page says to tolerate, and no bottomless one."""
    if depth == 0:
        return ()
    if isinstance(data, dict):
        for name in ("images", "image"):
            if data.get(name):
                return _sources(data[name], depth - 1)
        for name in ("url", "b64", "b64_json"):
            text = data.get(name)
            if isinstance(text, str) and text.strip():
                return (_source(text) or ImageSource(*_raw(name, text)),)
        return ()
    if isinstance(data, list):
        found = (source for item in data for source in _sources(item, depth - 1))
        return tuple(itertools.islice(found, MAX_SOURCES))
    source = _source(data) if isinstance(data, str) else None
    return () if source is None else (source,)


def _source(text: str) -> ImageSource | None:
    """Tell a URL, a data URI and bare base64 by how they begin, whatever field they are in."""
    if is_base64_image(text):
        return ImageSource(None, text)
    url = clean_url(text)
    if re.match(r"(?i)(https?|data):", url):
        return ImageSource(url)
    return ImageSource(f"https:{url}") if re.match(r"//[^/]", url) else None


def _raw(name: str, text: str) -> tuple[str | None, str | None]:
    """What can't be told is what its field says; whoever fetches it says what is wrong."""
    return (clean_url(text), None) if name == "url" else (None, text)
