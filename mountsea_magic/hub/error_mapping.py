"""Map HTTP error responses of the Hub to exceptions that say what to do."""

from __future__ import annotations

import email.utils
import html
import re
from datetime import UTC, datetime
from typing import Any

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
)
from ..runtime.redaction import without_queries
from ..runtime.text import printable, sanitize_inline
from .http_response import HubResponse
from .network_errors import describe_proxy_login

_NOT_FROM_THE_HUB = frozenset(range(400, 500)) - {408, 413, 429}
"""Without a JSON body these come from a proxy: they say nothing about key, credits or request."""

_CREDITS = re.compile(r"(credits?|balance|quotas?|payment|billing|funds?)(?![a-z])", re.IGNORECASE)

MAX_TEXT = 4000
"""How much of a text is sanitized for a one-line message, in characters."""


def error_from_response(
    response: HubResponse, *, submitting: bool = False, variable: str = "MOUNTSEA_BASE_URL"
) -> MountseaError:
    """Map an error response to an exception whose message says what to do.

    Args:
        response: A response whose status is not in `ACCEPTED`.
        submitting: Whether this is the response to a submission. If so, a 5xx does not tell
            whether the Hub accepted it.
        variable: The environment variable that sets the URL.

    Example:
        >>> type(error_from_response(HubResponse(402, {}, {"message": "no credits"}))).__name__
        'InsufficientCredits'
    """
    status, message = response.status, reason(response.body)
    tail = f": {message.rstrip('.')}." if message else "."
    of_credits = _mentions_credits(response.body)
    if status in (407, 511) or (response.is_foreign and status in _NOT_FROM_THE_HUB):
        return HubUnavailable(_describe_foreign(response, submitting, variable), status_code=status)
    if status == 401 or (status == 403 and not of_credits):
        return AuthenticationError(
            f"The Hub rejected the API key (HTTP {status}){tail} Set another: `%mountsea login`.",
            status_code=status,
        )
    if status in (402, 403):
        return InsufficientCredits(
            f"Not enough credits (HTTP {status}){tail} Check your balance: `%mountsea credits`.",
            status_code=status,
        )
    if status == 429:
        return _rate_limited(response, tail, submitting)
    if 300 <= status < 400:
        target = sanitize_inline(
            without_queries(printable(response.headers.get("location", ""))), limit=120
        )
        to = f" to {target}" if target else ""
        message = f"The Hub's URL redirects (HTTP {status}{to}). Check MOUNTSEA_BASE_URL."
        return ConfigurationError(
            message.replace("MOUNTSEA_BASE_URL", variable)
            + " A login page of your network may redirect, too.",
            status_code=status,
        )
    if status >= 500 or status == 408:
        if submitting:
            return uncertain(f"it returned HTTP {status}{tail}", status_code=status)
        return HubUnavailable(f"The Hub returned HTTP {status}{tail}", status_code=status)
    if status == 413:
        cure = " Send smaller input images: `--shrink`."
    elif submitting and status in (404, 405):
        cure = " Check MOUNTSEA_BASE_URL: /hub/v1/image is appended to it."
    else:
        cure = ""
    return InvalidRequest(
        f"The Hub rejected the request (HTTP {status}){tail}{cure}", status_code=status
    )


def _describe_foreign(response: HubResponse, submitting: bool, variable: str) -> str:
    """Describe a page that came in place of the Hub's JSON, by its title."""
    if response.status == 407 and response.proxy is not None:
        return describe_proxy_login(response.proxy)
    match = re.search(r"(?is)<title[^>]*>(.*?)</title>", response.text)
    title = sanitize_inline(re.sub(r"[<>]", "", html.unescape(match[1])), limit=80) if match else ""
    shown = f"HTTP {response.status}" + (f", “{without_queries(title)}”" if title else "")
    nothing = " Nothing was submitted." if submitting else ""
    if response.status in (404, 405):
        appended = ": /hub/v1/… is appended to it" if variable == "MOUNTSEA_BASE_URL" else ""
        return f"The response is not from the Hub ({shown}).{nothing} Check {variable}{appended}."
    via = f" Requests go through the proxy {response.proxy}." if response.proxy is not None else ""
    return (
        f"A proxy, firewall or login page responded instead of the Hub ({shown}).{nothing}{via} "
        "Open the Hub's URL in a browser, or ask your network administrator."
    )


def _rate_limited(response: HubResponse, tail: str, submitting: bool) -> RateLimited:
    """The one error response after which a submission is retried, unless it is about credits."""
    pause_s = retry_after(response.headers.get("retry-after"), now=datetime.now(UTC))
    of_credits = _mentions_credits(response.body) or _mentions_credits(response.text)
    when = f"in {pause_s:.0f} s" if pause_s else "later"
    if of_credits:
        cure = " Nothing was submitted." if submitting else ""
        cure += " Check your balance: `%mountsea credits`."
    else:
        cure = f" Nothing was submitted; try again {when}." if submitting else ""
    return RateLimited(
        f"Rate limited by the Hub (HTTP 429){tail}{cure}",
        retry_after_s=pause_s,
        of_credits=of_credits,
    )


def retry_after(value: str | None, *, now: datetime) -> float | None:
    """Read a ``Retry-After`` header: seconds or an HTTP date.

    Returns:
        The pause in seconds, at least 0, or None without a valid header.

    Example:
        >>> retry_after("120", now=datetime.now(UTC))
        120.0
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value[:100])
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, LookupError, ArithmeticError):
        # the standard library's parser raises more kinds of errors than it documents
        return None


def uncertain(why: str, *, status_code: int | None = None) -> SubmissionUncertain:
    """Make the error for a submission that may have been charged; it says where to check.

    Args:
        why: What happened, as a clause.
        status_code: The HTTP status, if a response came.

    Example:
        >>> "twice" in str(uncertain("the connection was cut"))
        True
    """
    return SubmissionUncertain(
        f"The Hub may have accepted the submission: {why.rstrip('.')}. It is not retried "
        "automatically, so that you never pay twice. Check your task list or `%mountsea credits` "
        "before you submit it again.",
        status_code=status_code,
    )


def reason(body: Any) -> str:
    """Find the Hub's error message in a body, under any of the names that similar APIs use.

    Args:
        body: The decoded JSON; images that it echoes are left out.

    Returns:
        One line, or an empty string.

    Example:
        >>> reason({"error": {"code": "E1", "message": "no dogs"}})
        'no dogs'
    """
    if not isinstance(body, dict):
        return ""
    inner = body.get("error")
    candidates: list[Any] = [body.get("error_message"), body.get("errorMessage")]
    if isinstance(inner, dict):
        candidates += [inner.get("message"), inner.get("code")]
    candidates += [body.get("message"), body.get("detail"), inner, body.get("error_code")]
    for value in candidates:
        message = _message_in(value)
        if message:
            return message
    return ""


def _mentions_credits(body: Any, depth: int = 4) -> bool:
    """Search all texts of an error body but the input that it echoes; skip HTML pages."""
    if isinstance(body, str):
        return "<" not in body and _CREDITS.search(body) is not None
    if depth == 0:
        return False
    if isinstance(body, dict):
        body = [value for name, value in body.items() if name not in ("input", "prompt")]
    return isinstance(body, list) and any(_mentions_credits(item, depth - 1) for item in body)


def _message_in(value: Any, depth: int = 4) -> str:
    """Read a text, a list of texts, or a list of {loc, msg}; never its `input`."""
    if isinstance(value, str):
        return sanitize_inline(without_queries(printable(value[:MAX_TEXT])))
    if isinstance(value, dict):
        location = value.get("loc")
        message = value.get("msg") or value.get("message")
        if not isinstance(message, str):
            return ""
        steps = location[:8] if isinstance(location, list) else []
        path = ".".join(str(step) for step in steps if isinstance(step, str | int))
        path += ": " if path else ""
        return sanitize_inline(without_queries(printable(path + message[:MAX_TEXT])))
    if isinstance(value, list) and depth > 0:
        texts = (_message_in(item, depth - 1) for item in value[:5])
        return sanitize_inline("; ".join(filter(None, texts)))
    return ""
