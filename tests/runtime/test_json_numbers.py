"""Numbers from JSON: NaN, infinities, huge integers and booleans cause no errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from wire import hub_response

from mountsea_magic.errors import HubUnavailable, InvalidRequest, SubmissionUncertain
from mountsea_magic.hub.error_mapping import reason, retry_after
from mountsea_magic.hub.http_response import HubResponse
from mountsea_magic.hub.responses import read_credits, read_submission, read_task
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.request.request import ImageRequest, build_request
from mountsea_magic.runtime.json_numbers import finite_number, parse_integer, read_milliseconds

HUGE = 10**400
TOO_LONG = "9" * 6_000
"""More digits than Python parses."""


def raw(text: str, status: int = 200) -> HubResponse:
    """Return a response with a JSON text."""
    return HubResponse.read(status, {}, text.encode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), HUGE, -HUGE, True, "7", None, [7]])
def test_an_invalid_number_is_read_as_none(value: Any) -> None:
    """None of these values reaches arithmetic or formatting."""
    assert finite_number(value) is None
    assert read_milliseconds(value) is None
    with pytest.raises(HubUnavailable, match="without a number of credits"):
        read_credits(hub_response({"credits": value}))


def test_a_valid_number_is_unchanged() -> None:
    """Durations are cut to whole milliseconds, and can't be negative."""
    assert [finite_number(value) for value in (0, -3, 0.5, 2**64)] == [0, -3, 0.5, 2**64]
    assert [read_milliseconds(value) for value in (0, 2.9, -1, 1e300)] == [0, 2, None, None]
    assert parse_integer("-12") == -12


@pytest.mark.parametrize("field", ["seed", "elapsed_ms", "code", "credits"])
def test_an_overlong_number_next_to_a_task_id_does_not_lose_it(field: str) -> None:
    """The task is paid: a number that Python can't parse is ignored."""
    assert read_submission(raw(f'{{"task_id": "hub-1", "{field}": {TOO_LONG}}}')) == "hub-1"
    state = read_task(raw(f'{{"status": "completed", "data": "x", "{field}": -{TOO_LONG}}}'))
    assert (state.succeeded, state.elapsed_ms) == (True, None)


@pytest.mark.parametrize(
    "task_id", [True, False, 1.5, float("nan"), None, "", " ", [], ["hub-1"], {"id": 1}, "x" * 9999]
)
def test_an_invalid_task_id_is_ignored(task_id: Any) -> None:
    """The next field name is tried; without a valid id the submission is uncertain."""
    assert read_submission(hub_response({"task_id": task_id, "taskId": 7})) == "7"
    with pytest.raises(SubmissionUncertain):
        read_submission(hub_response({"task_id": task_id}))


@pytest.mark.parametrize("status", [True, 7, HUGE, [], {"completed": 1}, float("nan")])
def test_a_status_that_is_not_text_means_still_running(status: Any) -> None:
    """Also with an invalid `ready`, `progress`, `elapsed_ms` and `eta`."""
    invalid = {"ready": "true", "progress": 1e400, "elapsed_ms": -5, "eta": status}
    state = read_task(hub_response({"task_id": "hub-1", "status": status} | invalid))
    assert (state.status, state.ended, state.elapsed_ms) == ("unknown", False, None)


def test_a_reason_with_an_invalid_location_is_still_reported() -> None:
    """Parts of the location that are neither names nor indices are left out."""
    deep: Any = []
    for _ in range(150):
        deep = [deep]
    detail = [{"loc": ["body", deep, None, 0, 1], "msg": "no dogs"}]
    assert reason({"detail": detail}) == "body.0.1: no dogs"
    assert reason({"code": deep, "message": "no"}) == "no"
    assert read_submission(hub_response({"code": deep, "task_id": "hub-1"})) == "hub-1"


@pytest.mark.parametrize(
    ("value", "least_s"),
    [
        ("Wed, 21 Oct 2122 07:28:00 GMT", 1e9),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 1e9),
        ("2122-10-21T07:28:00Z", None),
        ("1e400", None),
        ("-1", None),
        ("NaN", None),
        ("Infinity", None),
        ("9" * 5000, None),
        ("Mon, 18 May 2026 09:01:00 " + "+" * 5000, 0),
        ("(" * 5000, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_invalid_retry_after_is_ignored(value: str, least_s: float | None) -> None:
    """A date in the far future is valid, and a long pause."""
    pause_s = retry_after(value, now=datetime.now(UTC))
    assert pause_s is None if least_s is None else pause_s is not None and pause_s >= least_s


@pytest.mark.parametrize("value", [HUGE, "NaN", "1e999", "-Infinity", float("nan"), TOO_LONG])
@pytest.mark.parametrize("name", ["num_images", "image_size"])
def test_an_invalid_number_of_the_user_is_an_invalid_request(name: str, value: Any) -> None:
    """It is rejected with a message before anything is sent."""
    with pytest.raises(InvalidRequest, match=name.replace("_", ".")):
        build_request("x", model="gpt-image-2", parameters={name: value})
    assert bundled_catalog().model("gpt-image-2").takes(name)


@pytest.mark.parametrize("count", [True, False, None, "2", 2.5])
def test_an_image_count_that_is_not_an_integer_counts_as_one(count: Any) -> None:
    """A boolean is not an integer here."""
    request = ImageRequest("live", json.loads(json.dumps({"prompt": "x", "num_images": count})))
    assert (request.image_count, type(request.image_count)) == (1, int)
