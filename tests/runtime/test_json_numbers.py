"""Numbers from outside: what JSON can bear and no code of ours expects hurts nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from wire import answer

from mountsea_magic.errors import HubUnavailable, InvalidRequest, SubmissionUncertain
from mountsea_magic.hub.error_mapping import HubResponse, reason, retry_after
from mountsea_magic.hub.responses import read_credits, read_submission, read_task
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.request.request import ImageRequest, build_request
from mountsea_magic.runtime.json_numbers import finite_number, parse_integer, read_milliseconds

HUGE = 10**400
ENDLESS = "9" * 6_000
"""More digits than Python reads."""


def raw(text: str, status: int = 200) -> HubResponse:
    """Make an answer of JSON text."""
    return HubResponse.read(status, {}, text.encode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), HUGE, -HUGE, True, "7", None, [7]])
def test_what_is_no_number_is_none(value: Any) -> None:
    """Nothing that arithmetic or formatting raises for."""
    assert finite_number(value) is None
    assert read_milliseconds(value) is None
    with pytest.raises(HubUnavailable, match="without a number of credits"):
        read_credits(answer({"credits": value}))


def test_a_number_stays_what_it_is() -> None:
    """Whole or not, negative or not; but no time is negative."""
    assert [finite_number(value) for value in (0, -3, 0.5, 2**64)] == [0, -3, 0.5, 2**64]
    assert [read_milliseconds(value) for value in (0, 2.9, -1, 1e300)] == [0, 2, None, None]
    assert parse_integer("-12") == -12


@pytest.mark.parametrize("place", ["seed", "elapsed_ms", "code", "credits"])
def test_an_endless_number_beside_a_task_id_does_not_hide_it(place: str) -> None:
    """The task is paid for: a number that Python refuses to read is read as none."""
    assert read_submission(raw(f'{{"task_id": "hub-1", "{place}": {ENDLESS}}}')) == "hub-1"
    state = read_task(raw(f'{{"status": "completed", "data": "x", "{place}": -{ENDLESS}}}'))
    assert (state.succeeded, state.elapsed_ms) == (True, None)


@pytest.mark.parametrize(
    "task_id", [True, False, 1.5, float("nan"), None, "", " ", [], ["hub-1"], {"id": 1}, "x" * 9999]
)
def test_what_is_no_task_id_is_not_taken_for_one(task_id: Any) -> None:
    """The next name is looked at, and without any the submission is uncertain."""
    assert read_submission(answer({"task_id": task_id, "taskId": 7})) == "7"
    with pytest.raises(SubmissionUncertain):
        read_submission(answer({"task_id": task_id}))


@pytest.mark.parametrize("word", [True, 7, HUGE, [], {"completed": 1}, float("nan")])
def test_a_status_that_is_no_text_means_still_running(word: Any) -> None:
    """Also beside a `ready` that is no boolean, and times and progress that are none."""
    odd = {"ready": "true", "progress": 1e400, "elapsed_ms": -5, "eta": word}
    state = read_task(answer({"task_id": "hub-1", "status": word} | odd))
    assert (state.status, state.ended, state.elapsed_ms) == ("unknown", False, None)


def test_a_reason_with_a_place_that_is_none_is_still_told() -> None:
    """Steps that are no names are left out."""
    deep: Any = []
    for _ in range(150):
        deep = [deep]
    detail = [{"loc": ["body", deep, None, 0, 1], "msg": "no dogs"}]
    assert reason({"detail": detail}) == "body.0.1: no dogs"
    assert reason({"code": deep, "message": "no"}) == "no"
    assert read_submission(answer({"code": deep, "task_id": "hub-1"})) == "hub-1"


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
def test_a_pause_that_is_none_is_no_pause(value: str, least_s: float | None) -> None:
    """A date that lies far ahead is one, and a long one."""
    pause_s = retry_after(value, now=datetime.now(UTC))
    assert pause_s is None if least_s is None else pause_s is not None and pause_s >= least_s


@pytest.mark.parametrize("value", [HUGE, "NaN", "1e999", "-Infinity", float("nan"), ENDLESS])
@pytest.mark.parametrize("name", ["num_images", "image_size"])
def test_no_number_of_the_users_is_a_traceback(name: str, value: Any) -> None:
    """It is refused in words, before anything is sent."""
    with pytest.raises(InvalidRequest, match=name.replace("_", ".")):
        build_request("x", model="gpt-image-2", parameters={name: value})
    assert bundled_catalog().model("gpt-image-2").takes(name)


@pytest.mark.parametrize("count", [True, False, None, "2", 2.5])
def test_a_count_that_is_no_whole_number_counts_as_one(count: Any) -> None:
    """True is none."""
    request = ImageRequest("live", json.loads(json.dumps({"prompt": "x", "num_images": count})))
    assert (request.image_count, type(request.image_count)) == (1, int)
