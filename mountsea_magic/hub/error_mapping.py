"""What a refusal of the Hub means: an HTTP answer becomes an error that names the cure."""

from __future__ import annotations

import email.utils
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from ..runtime.key_redaction import redact_key
from ..runtime.redaction import without_queries
from ..runtime.text import printable, sanitize_inline
from .bounded_json import BEGINNING_BYTES, JsonBody
from .network_errors import describe_proxy_login
from .proxies import Proxy

ACCEPTED = range(200, 300)
"""The statuses of an answer that is no refusal (documented: 200; neighbours: 201 and 202)."""

_NOT_FROM_THE_HUB = frozenset(range(400, 500)) - {408, 413, 429}
"""Statuses that mean nothing about key, credits or request if no JSON comes with them."""

_MONEY = re.compile(r"(credits?|balance|quotas?|payment|billing|funds?)(?![a-z])", re.IGNORECASE)

MAX_WORDS = 4000
"""How much of a text is looked at, in characters, where a line of it is shown."""


@dataclass(frozen=True, slots=True)
class HubResponse:
    """What came back over HTTP, before anything is believed of it.

    Attributes:
        status: The HTTP status code.
        headers: The headers, by lower-case names.
        body: The decoded JSON, or None where the body is none.
        text: The beginning of a body that is no JSON.
        proxy: The proxy that it came by, if any.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str = ""
    proxy: Proxy | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether it is a page of something between here and the Hub, which itself speaks JSON."""
        return self.body is None and bool(self.text.strip())

    def __repr__(self) -> str:
        return f"Answer({self.status})"  # a traceback may show it, and bodies hold signed addresses

    @classmethod
    def read(
        cls, status: int, headers: Mapping[str, str], content: bytes | JsonBody
    ) -> HubResponse:
        """Decode an answer; a body that is no JSON, or one over a limit, is a body of None."""
        lower = {name.lower(): value for name, value in headers.items()}
        if isinstance(content, bytes):
            body = JsonBody()
            body.feed(content)
            body.finish()
        else:
            body = content
        if body.is_json:
            return cls(status, lower, body.value)
        text = redact_key(body.beginning, is_cut=body.text_bytes > BEGINNING_BYTES)[:2000]
        return cls(status, lower, None, text or body.problem)


def error_from_response(
    answer: HubResponse, *, submitting: bool = False, variable: str = "MOUNTSEA_BASE_URL"
) -> MountseaError:
    """Say what a refusal means, as an error that names the cure.

    Args:
        answer: An answer whose status is not `ACCEPTED`.
        submitting: Whether it answers an order; then a 5xx leaves open if the order was taken.
        variable: What named the URL.

    Example:
        >>> type(error_from_response(HubResponse(402, {}, {"message": "no credits"}))).__name__
        'InsufficientCredits'
    """
    status, said = answer.status, reason(answer.body)
    tail = f": {said.rstrip('.')}." if said else "."
    of_credits = _speaks_of_money(answer.body)
    if status in (407, 511) or (answer.is_foreign and status in _NOT_FROM_THE_HUB):
        return HubUnavailable(_elsewhere(answer, submitting, variable), status_code=status)
    if status == 401 or (status == 403 and not of_credits):
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
        return _rate_limited(answer, tail, submitting)
    if 300 <= status < 400:
        target = sanitize_inline(
            without_queries(printable(answer.headers.get("location", ""))), limit=120
        )
        to = f" to {target}" if target else ""
        said = (
            f"The Hub's address answered with a redirect ({status}{to}): check MOUNTSEA_BASE_URL."
        )
        return ConfigurationError(
            said.replace("MOUNTSEA_BASE_URL", variable)
            + " A login page of this network redirects, too.",
            status_code=status,
        )
    if status >= 500 or status == 408:
        if submitting:
            return uncertain(f"it answered {status}{tail}", status_code=status)
        return HubUnavailable(f"The Hub answered {status}{tail}", status_code=status)
    if status == 413:
        cure = " Send smaller input images: `--shrink`."
    elif submitting and status in (404, 405):
        cure = " Check MOUNTSEA_BASE_URL: /hub/v1/image is added to it."
    else:
        cure = ""
    return InvalidRequest(f"The Hub refused the request ({status}){tail}{cure}", status_code=status)


def _elsewhere(answer: HubResponse, submitting: bool, variable: str) -> str:
    """A page in place of the Hub's JSON: its title tells whose it is."""
    if answer.status == 407 and answer.proxy is not None:
        return describe_proxy_login(answer.proxy)
    match = re.search(r"(?is)<title[^>]*>(.*?)</title>", answer.text)
    title = sanitize_inline(re.sub(r"[<>]", "", html.unescape(match[1])), limit=80) if match else ""
    shown = f"{answer.status}, “{without_queries(title)}”" if title else f"{answer.status}"
    nothing = " Nothing was submitted." if submitting else ""
    if answer.status in (404, 405):
        added = ": /hub/v1/… is added to it" if variable == "MOUNTSEA_BASE_URL" else ""
        return f"What answers there is not the Hub ({shown}).{nothing} Check {variable}{added}."
    by = f" The URL is reached by the proxy {answer.proxy}." if answer.proxy is not None else ""
    return (
        f"Something between here and the Hub answered in its place ({shown}): a proxy, a firewall "
        f"or a login page.{nothing}{by} Open the Hub's URL in a browser, or ask whoever runs this "
        "network."
    )


def _rate_limited(answer: HubResponse, tail: str, submitting: bool) -> RateLimited:
    """The one refusal after which an order may go out again, unless it is about money."""
    pause_s = retry_after(answer.headers.get("retry-after"), now=datetime.now(UTC))
    of_credits = _speaks_of_money(answer.body) or _speaks_of_money(answer.text)
    when = f"in {pause_s:.0f} s" if pause_s else "later"
    if of_credits:
        cure = " See `%mountsea credits`."
    else:
        cure = f" Run the cell again {when}." if submitting else ""
    ordered = " Nothing was ordered." if submitting else ""
    return RateLimited(
        f"The Hub asks for patience (429){tail}{ordered}{cure}",
        retry_after_s=pause_s,
        of_credits=of_credits,
    )


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
        then = email.utils.parsedate_to_datetime(value[:100])
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, LookupError, ArithmeticError):
        # nonsense; the standard library's parser raises more kinds than it says
        return None


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


def reason(body: Any) -> str:
    """Find the Hub's reason in an answer's body, under any of the names that neighbours use.

    Args:
        body: The decoded JSON; an image that it echoes is left out.

    Returns:
        One line, or an empty text.

    Example:
        >>> reason({"error": {"code": "E1", "message": "no dogs"}})
        'no dogs'
    """
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


def _speaks_of_money(body: Any, depth: int = 4) -> bool:
    """Look at every word of a refusal but the input that it echoes, and no proxy's page."""
    if isinstance(body, str):
        return "<" not in body and _MONEY.search(body) is not None
    if depth == 0:
        return False
    if isinstance(body, dict):
        body = [value for name, value in body.items() if name not in ("input", "prompt")]
    return isinstance(body, list) and any(_speaks_of_money(item, depth - 1) for item in body)


def _words(place: Any, depth: int = 4) -> str:
    """A reason may be text, a list of texts, or a list of {loc, msg} (never its `input`)."""
    if isinstance(place, str):
        return sanitize_inline(without_queries(printable(place[:MAX_WORDS])))
    if isinstance(place, dict):
        where = place.get("loc")
        message = place.get("msg") or place.get("message")
        if not isinstance(message, str):
            return ""
        steps = where[:8] if isinstance(where, list) else []
        at = ".".join(str(step) for step in steps if isinstance(step, str | int))
        at += ": " if at else ""
        return sanitize_inline(without_queries(printable(at + message[:MAX_WORDS])))
    if isinstance(place, list) and depth > 0:
        return sanitize_inline(
            "; ".join(filter(None, (_words(item, depth - 1) for item in place[:5])))
        )
    return ""
