"""Parse the Hub's responses, without I/O: task ids, statuses, image sources, credits.

Raw JSON ends here. Beside the documented contract, variants of similar APIs are tolerated: other
names of a field, other statuses, null fields, unknown fields.
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
from .error_mapping import MAX_TEXT, error_from_response, reason, uncertain
from .http_response import ACCEPTED, HubResponse
from .status import SUCCEEDED, UNCHARGED, Status

SUBMIT_PATH = "/hub/v1/image"
TASK_PATH = "/hub/v1/tasks/"
MAX_SOURCES = 10_000
"""The most images of one response that are counted: no Hub makes that many for a task."""

MAX_TASK_ID = 8000
"""The longest task id, in characters: servers reject longer URLs."""

_STATUSES = SUCCEEDED | UNCHARGED | {Status.PENDING, Status.PROCESSING, Status.QUEUED}
_TASK_IDS = frozenset({"task_id", "taskId"})

_PLAIN_NAMES = frozenset(
    {
        *("description", "text", "message", "msg", "content", "detail", "details", "reason"),
        *("error", "error_message", "errorMessage", "data", "output", "images", "parts"),
    }
)
"""Member names that are left out of an explanation: they add nothing to their value."""

_SKIPPED_NAMES = frozenset(
    {
        *("task_id", "taskId", "id", "request_id", "status", "ready", "model", "vendor", "mode"),
        *("capability", "input", "url", "b64", "b64_json", "content_type", "mime_type"),
        *("file_name", "created_at", "updated_at", "completed_at", "role", "type", "object"),
    }
)
"""Member names whose values are not part of an explanation."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """The source of one image of a completed task: a URL, or the image in the response itself.

    Attributes:
        url: An http(s) URL or a data URI, or None.
        b64: The image's bytes as base64, or None.
    """

    url: str | None
    b64: str | None = None
    _shown: str = field(default="inline", init=False, compare=False)

    def __post_init__(self) -> None:
        """Redact the URL now, while the key is known; a traceback may show it later."""
        if not self.is_inline:
            object.__setattr__(self, "_shown", without_queries(redact_key(self.url or "")))

    @property
    def is_inline(self) -> bool:
        """Whether the image is in the response itself."""
        return self.url is None or self.url[:5].lower() == "data:"

    def __repr__(self) -> str:
        return f"ImageSource({self._shown!r})"


@dataclass(frozen=True, slots=True)
class HubTask:
    """A task, as the Hub reported it.

    Attributes:
        status: The Hub's status, in lower case; ``unknown`` if there was none.
        ended: Whether the status is final.
        succeeded: Whether it ended with an output; only then is it charged.
        sources: The sources of its images.
        description: The model's text beside the images.
        elapsed_ms: How long it ran by the Hub's clock, in milliseconds.
        error: The Hub's error message, if it failed.
        explanation: All texts in the response, if it ended without images.
    """

    status: str
    ended: bool
    succeeded: bool
    sources: tuple[ImageSource, ...] = ()
    description: str = ""
    elapsed_ms: int | None = None
    error: str = ""
    explanation: str = ""


def read_submission(response: HubResponse) -> str:
    """Read the response to a submission.

    Returns:
        The task id; it needs no prefix, and the echoed model is not checked.

    Raises:
        SubmissionUncertain: If the Hub may have accepted the submission without returning an id.
        MountseaError: If it rejected the submission.

    Example:
        >>> read_submission(HubResponse(200, {}, {"taskId": "7"}))
        '7'
    """
    if response.status not in ACCEPTED:
        raise error_from_response(response, submitting=True)
    body = response.body if isinstance(response.body, dict) else {}
    inner = _enveloped(body)
    candidates = [
        (container, name) for container in (body, inner) for name in ("task_id", "taskId")
    ]
    if not _is_error(body):  # an `id` beside an error need not be a task's
        candidates += [(container, "id") for container in (inner, body)]
    for container, name in candidates:
        task_id = container.get(name)
        if isinstance(task_id, (str, int)) and not isinstance(task_id, bool):
            text = str(task_id)
            if text.strip() and len(text) <= MAX_TASK_ID:
                return text
    message = reason(body) or reason(inner)
    why = f"it returned HTTP {response.status} without a task id{message and ': '}{message}"
    raise uncertain(why, status_code=response.status)


def _is_error(body: dict[str, Any]) -> bool:
    """Whether an envelope reports an error; 0 and 2xx are codes of success."""
    code = body.get("code") or 0
    text = str(code).lower() if isinstance(code, str | int) else "no code"
    succeeded = re.fullmatch(r"0+|2\d\d|ok|success", text) is not None
    return not succeeded or body.get("success") is False or bool(body.get("error"))


def _enveloped(body: dict[str, Any]) -> dict[str, Any]:
    """Return the object in an envelope, alone or as the only item of a list; else an empty one."""
    inner = body.get("data")
    if isinstance(inner, list) and len(inner) == 1:
        inner = inner[0]
    return inner if isinstance(inner, dict) else {}


def _unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """Unwrap a task from `{"code": 0, "data": {…}}`, but do not mistake a task's output for one."""
    inner = _enveloped(body)
    status = body.get("status")
    is_task = (
        isinstance(body.get("ready"), bool)
        or bool(_TASK_IDS & body.keys())
        or (isinstance(status, str) and status.strip().lower() in _STATUSES)
    )
    has_task = isinstance(inner.get("status"), str) or isinstance(inner.get("ready"), bool)
    return inner if not is_task and (has_task or _TASK_IDS & inner.keys()) else body


def read_task(response: HubResponse) -> HubTask:
    """Read the response to a poll.

    A task has ended if ``ready`` is true or its status is final. Any other status, known or not
    (such as the string ``ready`` of a similar API), means that it is still running.

    Raises:
        MountseaError: If it is an error response, or not from the Hub.

    Example:
        >>> read_task(HubResponse(200, {}, {"status": "queued", "ready": False})).ended
        False
    """
    if response.status not in ACCEPTED:
        raise error_from_response(response)
    body = response.body
    if not isinstance(body, dict):
        raise HubUnavailable("The response is not from the Hub: it is not a JSON object.")
    envelope, body = body, _unwrapped(body)
    given = body.get("status")
    if not isinstance(given, str) and body.get("ready") is not True and _is_error(envelope):
        raise HubUnavailable(f"The Hub returned an error: {reason(envelope) or 'no reason given'}.")
    status: str = Status.UNKNOWN
    if isinstance(given, str) and given:
        status = sanitize_inline(given, limit=40).lower()
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
    return HubTask(
        status=status,
        ended=ended,
        succeeded=succeeded,
        sources=sources,
        description=without_queries(printable(description)) if isinstance(description, str) else "",
        elapsed_ms=read_milliseconds(body.get("elapsed_ms")),
        error=error,
        explanation=_explanation(body) if ended and not sources else "",
    )


def read_credits(response: HubResponse) -> float:
    """Read the number of credits that are left.

    Raises:
        MountseaError: If it is an error response, or contains no number of credits.

    Example:
        >>> read_credits(HubResponse(200, {}, {"credits": 10000}))
        10000
    """
    if response.status not in ACCEPTED:
        raise error_from_response(response, variable="MOUNTSEA_CREDITS_URL")
    body = response.body if isinstance(response.body, dict) else {}
    inner = body.get("data")
    for container in (body, inner if isinstance(inner, dict) else {}):
        left = finite_number(container.get("credits"))
        if left is not None:
            return left
    message = reason(body)
    raise HubUnavailable(
        f"The credits endpoint responded without a number of credits{message and ': '}{message}."
    )


def _explanation(body: dict[str, Any]) -> str:
    """Collect the texts that came in place of images: from the model, a filter, or the Hub."""
    rest = {name: value for name, value in body.items() if name not in ("data", "output")}
    texts = [*_texts(body.get("data")), *_texts(body.get("output")), *_texts(rest)]
    return sanitize_inline("; ".join(dict.fromkeys(texts)))


def _texts(value: Any, name: str = "", depth: int = 6) -> Iterator[str]:
    """Yield all texts and the names of true flags; no URLs, images or echoed input."""
    if isinstance(value, dict) and depth > 0:
        for key, item in value.items():
            if key not in _SKIPPED_NAMES and not key.endswith("prompt"):
                yield from _texts(item, key, depth - 1)
    elif isinstance(value, list) and depth > 0:
        for item in value[:10]:
            yield from _texts(item, name, depth - 1)
    elif value is True:
        yield f"{sanitize_inline(name, limit=40)}: true"
    elif isinstance(value, str):
        text = sanitize_inline(without_queries(printable(value[:MAX_TEXT])))  # images are large
        is_image = _source(value) is not None or (len(text) > 80 and " " not in text)
        if text and not is_image:
            yield (
                text
                if not name or name in _PLAIN_NAMES
                else f"{sanitize_inline(name, limit=40)}: {text}"
            )


def _sources(data: Any, depth: int = 8) -> tuple[ImageSource, ...]:
    """Find the images in any output shape of the contract page, down to a limited depth."""
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
    """Detect a URL, data URI or bare base64 by its beginning, whatever its field's name."""
    if is_base64_image(text):
        return ImageSource(None, text)
    url = clean_url(text)
    if re.match(r"(?i)(https?|data):", url):
        return ImageSource(url)
    return ImageSource(f"https:{url}") if re.match(r"//[^/]", url) else None


def _raw(name: str, text: str) -> tuple[str | None, str | None]:
    """Classify other text by its field's name; the download then reports what is wrong."""
    return (clean_url(text), None) if name == "url" else (None, text)
