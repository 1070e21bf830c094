"""Error responses: their exception types, whether they are about credits, and their messages."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from wire import NOT_JSON, hub_response

from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
)
from mountsea_magic.hub.error_mapping import error_from_response, reason, retry_after, uncertain
from mountsea_magic.hub.http_response import HubResponse
from mountsea_magic.hub.proxies import read_proxy
from mountsea_magic.hub.responses import read_credits, read_task
from mountsea_magic.hub.retry import is_unknown_task, may_retry_poll, submit_retry_pause

NOW = datetime(2026, 5, 18, 9, 0, 0, tzinfo=UTC)


def busy(content: bytes, *, submitting: bool = True) -> RateLimited:
    """Map a 429 with that body."""
    error = error_from_response(
        HubResponse.read(429, {"Retry-After": "2"}, content), submitting=submitting
    )
    assert isinstance(error, RateLimited)
    assert (error.status_code, error.retry_after_s) == (429, 2.0)
    return error


@pytest.mark.parametrize(
    "body",
    [
        {"message": "You are out of credits"},
        {"message": ["Not enough CREDIT"]},
        {"error": "quota_exceeded"},
        {"error": {"code": "insufficient_quota", "message": None}},
        {"error": {"code": 429, "message": "slow down", "type": "insufficient_quota"}},
        {"detail": "Your balance is too low"},
        {"detail": [{"loc": ["account"], "msg": "no funds"}]},
        {"message": "Billing hard limit reached"},
        {"error": {"message": "Too many requests", "code": "InsufficientCredits"}},
        {"error_code": "PAYMENT_REQUIRED", "error_message": ""},
        {"errorMessage": "monthly quota used up"},
        {"statusCode": 429, "message": "Too Many Requests", "reason": "credits"},
        {"title": "Too many", "more": {"about": ["nothing", {"why": "no credits left"}]}},
        ["quota"],
        "insufficient credits",
    ],
)
@pytest.mark.parametrize("submitting", [False, True])
def test_429_about_credits_is_detected_in_any_field(body: Any, submitting: bool) -> None:
    """It must not be retried, and its message says to check the balance."""
    error = busy(json.dumps(body).encode(), submitting=submitting)
    assert error.of_credits
    assert "`%mountsea credits`" in str(error)
    assert "try again" not in str(error)


@pytest.mark.parametrize(
    "content", [b"Quota exceeded for today", b"{'message': 'no credits left'}"]
)
def test_429_about_credits_is_detected_in_plain_text(content: bytes) -> None:
    """The body need not be JSON."""
    assert busy(content).of_credits


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"Slow down",
        b'{"message": "Too many requests"}',
        b'{"message": null, "error": {"message": ["slow", 7, {"why": "busy"}]}}',
        b'{"detail": [{"msg": "slow", "input": {"prompt": "a bag of credits"}}]}',
        b'{"message": "slow", "prompt": "a quota of dogs"}',
        b'{"message": "The load balancer has too many connections"}',
        b"load balancer: too many requests",
        b"<html><body>All credit to nginx</body></html>",
        b"[" * 100_000,
    ],
)
def test_429_of_a_busy_hub_is_not_about_credits(content: bytes) -> None:
    """Neither an echoed prompt nor a proxy's page counts."""
    error = busy(content)
    assert not error.of_credits
    assert "Nothing was submitted; try again in 2 s." in str(error)
    assert "%mountsea credits" not in str(error)


def test_deeply_nested_bodies_are_searched_to_a_limited_depth() -> None:
    """A malicious body causes no recursion error."""
    for depth in (10, 300, 100_000):
        content = b'{"error": [' * depth + b'"quota"' + b"]}" * depth
        assert not busy(content).of_credits


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {}, InvalidRequest),
        (404, {"message": "no such task"}, InvalidRequest),
        (409, {}, InvalidRequest),
        (413, {}, InvalidRequest),
        (422, {}, InvalidRequest),
        (401, {}, AuthenticationError),
        (401, {"message": "no credits for this key"}, AuthenticationError),
        (403, {}, AuthenticationError),
        (403, {"message": "forbidden"}, AuthenticationError),
        (403, {"message": "Not enough CREDITS"}, InsufficientCredits),
        (403, {"error": {"message": "account balance is too low"}}, InsufficientCredits),
        (403, {"detail": "quota exceeded"}, InsufficientCredits),
        (403, {"message": "Billing hard limit reached"}, InsufficientCredits),
        (403, {"error": {"code": "insufficient_quota"}}, InsufficientCredits),
        (403, {"error": "InsufficientCredits"}, InsufficientCredits),
        (403, {"message": "Refused by the load balancer"}, AuthenticationError),
        (402, {}, InsufficientCredits),
        (402, {"message": "pay"}, InsufficientCredits),
        (429, {}, RateLimited),
        (301, {}, ConfigurationError),
        (302, {}, ConfigurationError),
        (307, {}, ConfigurationError),
        (408, {}, HubUnavailable),
        (500, {}, HubUnavailable),
        (502, {}, HubUnavailable),
        (503, {}, HubUnavailable),
        (504, {}, HubUnavailable),
        (520, {}, HubUnavailable),
    ],
)
def test_each_status_maps_to_its_error(
    status: int, body: dict[str, Any], kind: type[MountseaError]
) -> None:
    """The error has the status code; every reader raises it."""
    error = error_from_response(hub_response(body, status))
    assert type(error) is kind
    assert error.status_code == status
    for read in (read_task, read_credits):
        with pytest.raises(kind):
            read(hub_response(body, status))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429, 500, 503])
@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
def test_an_error_response_without_json_does_not_show_its_page(status: int, content: bytes) -> None:
    """The message has the status, but no HTML."""
    error = error_from_response(HubResponse.read(status, {}, content))
    assert str(status) in str(error)
    assert "<" not in str(error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422, 429, 301])
def test_a_rejected_submission_is_not_uncertain(status: int) -> None:
    """A 3xx or 4xx means that nothing was submitted."""
    assert not isinstance(
        error_from_response(hub_response({}, status), submitting=True), SubmissionUncertain
    )


@pytest.mark.parametrize("submitting", [False, True])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 407, 410, 451, 511])
@pytest.mark.parametrize(
    "page",
    [
        b"<html><head><title> Access\n denied &lt;b&gt; </title></head>No credits here.</html>",
        b"Access denied by policy",
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    ],
)
def test_a_proxy_page_is_not_an_error_about_key_credits_or_request(
    status: int, page: bytes, submitting: bool
) -> None:
    """The message has the page's title; nothing was submitted, and there is no retry."""
    error = error_from_response(HubResponse.read(status, {}, page), submitting=submitting)
    assert type(error) is HubUnavailable and error.status_code == status
    message = str(error)
    assert ("Nothing was submitted." in message) is submitting
    assert not re.search("the key|login`|credits", message)
    assert ("MOUNTSEA_BASE_URL" in message) is (status in (404, 405))
    assert ("“Access denied b”" in message) is (b"title" in page)
    assert submit_retry_pause(error, tries=1, paused_s=0.0, jitter=0.0) is None


def test_the_proxy_of_a_page_is_named() -> None:
    """Without its password."""
    proxy = read_proxy("https_proxy", "http://ann:s3cret@proxy.example:3128")
    for status in (403, 407):
        message = str(error_from_response(HubResponse(status, {}, None, "<html>", proxy)))
        assert "http://proxy.example:3128 (https_proxy)" in message and "s3cret" not in message


def test_404_of_a_gateway_does_not_mean_an_unknown_task() -> None:
    """Only the Hub itself knows its tasks; otherwise an image would be paid for twice."""
    page = error_from_response(HubResponse.read(404, {}, b"default backend - 404"))
    assert not is_unknown_task(page) and may_retry_poll(page, age_s=None)
    assert is_unknown_task(error_from_response(hub_response({"message": "no such task"}, 404)))


def test_a_redirect_names_its_target_without_the_query() -> None:
    """The target may be a hotel's login page, and its URL may contain a token."""
    message = str(
        error_from_response(
            hub_response({}, 302, location="https://login.example/start?token=s3cret")
        )
    )
    assert "redirects (HTTP 302 to https://login.example/start?…)" in message
    assert "MOUNTSEA_BASE_URL" in message and "s3cret" not in message


def test_errors_of_the_credits_endpoint_name_its_variable() -> None:
    """Its URL is set separately."""
    for status in (302, 404):
        with pytest.raises(MountseaError, match="MOUNTSEA_CREDITS_URL"):
            read_credits(HubResponse.read(status, {}, b"<html>"))


def test_413_suggests_shrink() -> None:
    """For the limit of a gateway as well as for the Hub's."""
    for content in (b'{"message": "Payload Too Large"}', b"<html><title>413</title></html>", b""):
        error = error_from_response(HubResponse.read(413, {}, content), submitting=True)
        assert type(error) is InvalidRequest and "`--shrink`" in str(error)


@pytest.mark.parametrize("status", [404, 405])
def test_an_unknown_path_points_to_the_base_url(status: int) -> None:
    """Also with the Hub's own message, if the base URL has an extra path segment."""
    error = error_from_response(
        hub_response({"message": "Cannot POST /hub/hub/v1/image"}, status), submitting=True
    )
    assert "MOUNTSEA_BASE_URL" in str(error)


def test_error_messages_say_what_to_do() -> None:
    """They name the command or variable."""
    assert "`%mountsea login`" in str(error_from_response(hub_response({}, 401)))
    assert "`%mountsea credits`" in str(error_from_response(hub_response({}, 402)))
    assert "MOUNTSEA_BASE_URL" in str(error_from_response(hub_response({}, 302)))
    assert "Nothing was submitted" in str(
        error_from_response(hub_response({}, 429), submitting=True)
    )
    assert "submitted" not in str(error_from_response(hub_response({}, 429)))


@pytest.mark.parametrize(
    ("value", "pause_s"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("999999999", 999_999_999.0),
        ("Mon, 18 May 2026 09:01:00 GMT", 60.0),
        ("Mon, 18 May 2026 09:01:00", 60.0),
        ("Mon, 18 May 2026 11:01:00 +0200", 60.0),
        ("Monday, 18-May-26 09:01:00 GMT", 60.0),
        ("Mon May 18 09:01:00 2026", 60.0),
        ("Mon, 18 May 2026 08:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("12345678901", None),
        ("Mon, 99 May 2026 09:01:00 GMT", None),
        ("Mon, 18 May 2026 99:01:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, pause_s: float | None) -> None:
    """A date in the past gives 0, an invalid value None."""
    assert retry_after(value, now=NOW) == pause_s


def test_rate_limited_has_retry_after_in_seconds() -> None:
    """The header's name is case-insensitive."""
    error = error_from_response(hub_response({}, 429, Retry_After="17"))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 17.0


def test_rate_limited_has_retry_after_from_a_date() -> None:
    """Relative to now, and 0 for a date in the past."""
    past = error_from_response(hub_response({}, 429, Retry_After="Thu, 01 Jan 1998 00:00:00 GMT"))
    assert isinstance(past, RateLimited) and past.retry_after_s == 0.0
    then = datetime.now(UTC) + timedelta(days=1)
    coming = error_from_response(
        hub_response({}, 429, Retry_After=f"{then:%a, %d %b %Y %H:%M:%S} GMT")
    )
    assert isinstance(coming, RateLimited) and coming.retry_after_s


def test_rate_limited_without_a_valid_retry_after() -> None:
    """The header may be missing or invalid."""
    for error in (
        error_from_response(hub_response({}, 429)),
        error_from_response(hub_response({}, 429, Retry_After="later")),
    ):
        assert isinstance(error, RateLimited)
        assert error.retry_after_s is None


def test_uncertain_says_why_and_where_to_check() -> None:
    """And that the submission is not retried."""
    error = uncertain("the connection was cut.", status_code=None)
    assert "the connection was cut. It is not retried automatically" in str(error)
    assert "`%mountsea credits`" in str(error)
    assert error.status_code is None


def test_403_about_permissions_is_about_the_key() -> None:
    """And not about credits."""
    assert isinstance(
        error_from_response(hub_response({"message": "Insufficient permissions"}, 403)),
        AuthenticationError,
    )
    assert isinstance(
        error_from_response(hub_response({"message": "Insufficient credits"}, 403)),
        InsufficientCredits,
    )


def test_a_reason_is_cleaned_before_it_is_redacted() -> None:
    """Invisible characters hide no signed URL; only the beginning of a huge text is read."""
    message = reason({"message": "see ht\u200btps://cdn.example/a.png?sig=s3\u200bcret"})
    assert message == "see https://cdn.example/a.png?…"
    assert reason({"message": " " * 4_000_000 + "https://cdn.example/a.png?sig=s3cret"}) == ""
