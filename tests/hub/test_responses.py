"""Parsing responses: every shape that the contract page documents or tolerates, and bad ones."""

from __future__ import annotations

from typing import Any

import pytest
from wire import HTML, NOT_JSON, hub_response

from mountsea_magic.errors import HubUnavailable, SubmissionUncertain
from mountsea_magic.hub.error_mapping import error_from_response
from mountsea_magic.hub.http_response import HubResponse
from mountsea_magic.hub.responses import (
    HubTask,
    ImageSource,
    read_credits,
    read_submission,
    read_task,
)

URL = "https://cdn.example/dog.png"
DATA = "data:image/png;base64,iVBORw0KGgo="
ECHO = "iVBORw0KGgoAAAANSUhEUgAAASECRETIMAGE"


def task(**body: Any) -> HubTask:
    """Read the response to a poll."""
    return read_task(hub_response(body))


def test_a_response_is_decoded_and_its_header_names_are_lower_case() -> None:
    """Proxies change the case of header names."""
    read = HubResponse.read(200, {"Retry-After": "3", "X-Y": "Z"}, b'{"a": [1]}')
    assert (read.status, dict(read.headers)) == (200, {"retry-after": "3", "x-y": "Z"})
    assert read.body == {"a": [1]}


@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
def test_a_body_that_is_not_json_is_none(content: bytes) -> None:
    """A proxy's page, a truncated body, or one with malicious nesting."""
    assert HubResponse.read(200, {}, content).body is None


@pytest.mark.parametrize("status", [200, 201, 202, 206])
@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        ({"task_id": "hub-1"}, "hub-1"),
        (
            {"taskId": "6f0c2f1e-0000-4000-8000-000000000000"},
            "6f0c2f1e-0000-4000-8000-000000000000",
        ),
        ({"id": "x"}, "x"),
        ({"id": 17}, "17"),
        ({"task_id": "a", "taskId": "b", "id": "c"}, "a"),
        ({"task_id": None, "taskId": "b"}, "b"),
        ({"task_id": "", "id": "c"}, "c"),
        ({"task_id": {"x": 1}, "id": "c"}, "c"),
        (
            {"task_id": "hub-1", "capability": "video", "model": "veo-3.1-fast", "vendor": None},
            "hub-1",
        ),
        ({"task_id": "hub-1", "status": "failed", "new": [{}]}, "hub-1"),
    ],
)
def test_the_task_id_is_found_under_every_name(
    status: int, body: dict[str, Any], task_id: str
) -> None:
    """It needs no prefix, and the echoed model is not checked."""
    assert read_submission(hub_response(body, status)) == task_id


@pytest.mark.parametrize(
    "body", [{}, {"task_id": None}, {"id": True}, {"id": ["a"]}, {"task_id": ""}, [], "hub-1", None]
)
def test_a_submission_response_without_an_id_is_uncertain(body: Any) -> None:
    """The Hub may have accepted it, so it is not retried automatically."""
    with pytest.raises(SubmissionUncertain, match="never pay twice") as caught:
        read_submission(hub_response(body))
    assert caught.value.status_code == 200


def test_an_html_page_with_status_200_makes_a_submission_uncertain() -> None:
    """It does not mean that nothing was submitted."""
    with pytest.raises(SubmissionUncertain):
        read_submission(HubResponse.read(200, {}, HTML))


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_a_server_error_makes_a_submission_uncertain(status: int) -> None:
    """A 5xx or 408 may come after the Hub accepted it."""
    with pytest.raises(SubmissionUncertain) as caught:
        read_submission(HubResponse.read(status, {}, HTML))
    assert str(status) in str(caught.value)
    assert caught.value.status_code == status
    assert "<h1>" not in str(caught.value)


@pytest.mark.parametrize(
    "status", ["pending", "processing", "queued", "ready", "Ready", "starting"]
)
@pytest.mark.parametrize("ready", [False, None, "true", "yes", 1, 0])
def test_any_other_status_means_still_running(status: str, ready: object) -> None:
    """Known or not, and also the string "ready" that a similar API uses for "ready to start"."""
    read = task(status=status, ready=ready)
    assert (read.ended, read.succeeded) == (False, False)
    assert read.status == status.lower()


@pytest.mark.parametrize("given", [None, "", 3, ["completed"], {"a": 1}])
def test_a_status_that_is_not_a_string_is_unknown_and_still_running(given: object) -> None:
    """Null and other types."""
    read = task(status=given)
    assert (read.status, read.ended) == ("unknown", False)
    assert read_task(hub_response({})).status == "unknown"


@pytest.mark.parametrize("status", ["completed", "succeeded", "COMPLETED", " Succeeded "])
@pytest.mark.parametrize("ready", [True, False, None])
def test_the_statuses_of_success(status: str, ready: object) -> None:
    """The Hub's and that of a similar API, whatever the value of `ready`."""
    read = task(status=status, ready=ready, data={"images": [{"url": URL}]})
    assert (read.ended, read.succeeded) == (True, True)
    assert read.sources == (ImageSource(URL),)


@pytest.mark.parametrize(
    "status", ["failed", "error", "timeout", "cancelled", "canceled", "FAILED"]
)
@pytest.mark.parametrize("ready", [True, False, None])
def test_the_statuses_of_failure(status: str, ready: object) -> None:
    """Ended and not charged, with and without `ready`."""
    read = task(status=status, ready=ready, error_message="no dogs")
    assert (read.ended, read.succeeded, read.error) == (True, False, "no dogs")


@pytest.mark.parametrize("status", ["done", "finished", "ready", None])
def test_ready_with_an_unknown_status_depends_on_images_and_error(status: str | None) -> None:
    """With images or without an error it succeeded; with only an error it failed."""
    images = {"images": [{"url": URL}]}
    assert task(status=status, ready=True, data=images).succeeded
    assert task(status=status, ready=True, data=images, error_message="a warning").succeeded
    assert task(status=status, ready=True).succeeded
    failed = task(status=status, ready=True, error_code="E1")
    assert (failed.ended, failed.succeeded, failed.error) == (True, False, "E1")


@pytest.mark.parametrize(
    ("data", "sources"),
    [
        ({"images": [{"url": URL}]}, [ImageSource(URL)]),
        ({"images": [{"url": URL, "width": None, "file_name": None}]}, [ImageSource(URL)]),
        ({"images": [{"url": URL}, {"url": DATA}]}, [ImageSource(URL), ImageSource(DATA)]),
        ({"images": [{"url": DATA}]}, [ImageSource(DATA)]),
        ({"images": [URL, DATA]}, [ImageSource(URL), ImageSource(DATA)]),
        ({"images": URL}, [ImageSource(URL)]),
        ({"images": {"url": URL}}, [ImageSource(URL)]),
        ({"images": [None, {"url": URL}, 3, {}, ""]}, [ImageSource(URL)]),
        ({"images": [{"b64_json": "iVBO"}]}, [ImageSource(None, "iVBO")]),
        ({"images": [{"b64": "iVBO"}]}, [ImageSource(None, "iVBO")]),
        ({"images": [{"url": None, "b64": "iVBO"}]}, [ImageSource(None, "iVBO")]),
        ({"images": [{"url": "", "b64_json": "iVBO"}]}, [ImageSource(None, "iVBO")]),
        ({"images": [], "image": {"url": URL}}, [ImageSource(URL)]),
        ({"images": None, "image": URL}, [ImageSource(URL)]),
        ({"image": {"url": URL}}, [ImageSource(URL)]),
        ({"image": DATA}, [ImageSource(DATA)]),
        ({"url": URL}, [ImageSource(URL)]),
        ({"b64": "iVBO"}, [ImageSource(None, "iVBO")]),
        ({"b64_json": "iVBO"}, [ImageSource(None, "iVBO")]),
        ([{"url": URL}], [ImageSource(URL)]),
        ([URL], [ImageSource(URL)]),
        (URL, [ImageSource(URL)]),
        ("HTTPS://CDN.EXAMPLE/A", [ImageSource("HTTPS://CDN.EXAMPLE/A")]),
        (DATA, [ImageSource(DATA)]),
        (None, []),
        ({}, []),
        ([], []),
        ("", []),
        ("a dog", []),
        ("ftp://cdn.example/a", []),
        (3, []),
        (True, []),
        ({"images": []}, []),
        ({"images": [{"url": None}]}, []),
        ({"images": [{"url": 7}]}, []),
        ({"images": [{"url": {"x": 1}}]}, []),
        ({"images": 3}, []),
        ({"description": "no image"}, []),
    ],
)
@pytest.mark.parametrize("place", ["data", "output"])
def test_images_are_found_in_every_shape(place: str, data: Any, sources: list[ImageSource]) -> None:
    """Lists, objects, strings, data URIs and base64, under `data` or `output`."""
    assert task(**{"status": "completed", place: data}).sources == tuple(sources)


def test_null_data_falls_back_to_output() -> None:
    """Like a missing `data`."""
    assert task(status="completed", data=None, output={"url": URL}).sources[0].url == URL


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"description": "Here is your dog."}, "Here is your dog."),
        ({"description": None}, ""),
        ({"description": 3}, ""),
        ({}, ""),
        ([URL], ""),
    ],
)
def test_the_description_is_the_text_beside_the_images(data: Any, text: str) -> None:
    """Or an empty string."""
    assert task(status="completed", data=data).description == text


@pytest.mark.parametrize(
    ("given", "read"),
    [(1234, 1234), (1234.9, 1234), (0, 0), (-1, None), (None, None), ("12", None), ([], None)],
)
def test_the_elapsed_time_is_read_in_milliseconds(given: object, read: int | None) -> None:
    """Invalid values are None."""
    assert task(status="completed", elapsed_ms=given).elapsed_ms == read


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1e300", "9" * 400])
def test_non_finite_and_huge_numbers_are_not_an_elapsed_time(number: str) -> None:
    """Some encoders write NaN and infinities into JSON."""
    body = b'{"status": "completed", "elapsed_ms": %s}' % number.encode()
    read = read_task(HubResponse.read(200, {}, body))
    assert (read.succeeded, read.elapsed_ms) == (True, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error_message": "no dogs", "error_code": "E1"}, "no dogs"),
        ({"error_code": "E1"}, "E1"),
        ({"errorMessage": "no dogs"}, "no dogs"),
        ({"error": {"code": "E1", "message": "no dogs"}}, "no dogs"),
        ({"error": {"code": "E1", "message": None}}, "E1"),
        ({"error": {"code": 17}}, ""),
        ({"error": "no dogs"}, "no dogs"),
        ({"statusCode": 400, "message": "no dogs", "error": "Bad Request"}, "no dogs"),
        ({"message": ["no dogs", "no cats"], "error": "Bad Request"}, "no dogs; no cats"),
        ({"message": [], "error": "Bad Request"}, "Bad Request"),
        ({"detail": "no dogs"}, "no dogs"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "not an int"}]}, "body.seed: not an int"),
        ({"detail": [{"loc": ["body", 0], "msg": "bad"}]}, "body.0: bad"),
        ({"detail": [{"loc": None, "msg": "bad"}]}, "bad"),
        ({"detail": [{"loc": ["body"]}, {"msg": "bad"}]}, "bad"),
        ({"detail": {"msg": "bad"}}, "bad"),
        ({"error_message": "", "message": "no dogs"}, "no dogs"),
        ({"error_message": None, "error": None, "detail": None}, ""),
        ({"error_message": "a\x1b[31m\nb"}, "a[31m b"),
        ({"message": {"x": 1}}, ""),
        ({"message": 17}, ""),
        ({}, ""),
    ],
)
def test_the_error_message_is_found_under_every_name(body: dict[str, Any], message: str) -> None:
    """In a task and in an error response alike, as one safe line."""
    assert task(status="failed", **body).error == message
    text = str(error_from_response(hub_response(body, 400)))
    assert text == f"The Hub rejected the request (HTTP 400){': ' + message if message else ''}."


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"loc": ["body", "image_urls"], "msg": "too large", "input": ECHO}]},
        {"detail": [{"loc": ["body"], "msg": "too large", "input": {"image_urls": [ECHO]}}]},
        {"detail": [{"loc": ["body"], "type": "missing", "input": ECHO}]},
        {"detail": {"msg": "too large", "input": ECHO}},
        {"detail": {"input": ECHO}},
        {"message": [{"msg": "too large", "input": ECHO}]},
        {"error": {"message": [{"msg": "too large", "input": ECHO}]}},
        {"error": {"input": ECHO}},
        {"input": ECHO},
    ],
)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 413, 422, 429, 500])
@pytest.mark.parametrize("submitting", [False, True])
def test_an_echoed_input_is_never_shown(
    body: dict[str, Any], status: int, submitting: bool
) -> None:
    """The `input` of a validation error may hold a whole image."""
    assert ECHO not in str(error_from_response(hub_response(body, status), submitting=submitting))
    assert ECHO not in task(status="failed", **body).error


def test_a_long_error_message_is_truncated() -> None:
    """However long the Hub's is."""
    body = {"detail": [{"loc": ["body"], "msg": "x" * 5000}] * 50}
    assert len(str(error_from_response(hub_response(body, 422)))) < 500


@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
def test_a_task_response_that_is_not_json_is_hub_unavailable(content: bytes) -> None:
    """A page with status 200 is a network problem, and says nothing about the task."""
    with pytest.raises(HubUnavailable, match="not from the Hub"):
        read_task(HubResponse.read(200, {}, content))


@pytest.mark.parametrize("body", [[], "completed", 3, True, [{"status": "completed"}]])
def test_a_task_response_that_is_not_an_object_is_hub_unavailable(body: Any) -> None:
    """Other JSON is not from the Hub either."""
    with pytest.raises(HubUnavailable):
        read_task(hub_response(body))


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"credits": 10000}, 10000),
        ({"credits": 0}, 0),
        ({"credits": 0.5}, 0.5),
        ({"credits": -3}, -3),
        ({"data": {"credits": 7}}, 7),
        ({"credits": None, "data": {"credits": 7}}, 7),
        ({"credits": 5, "currency": None}, 5),
    ],
)
def test_the_number_of_credits_is_read(body: dict[str, Any], left: float) -> None:
    """Also inside `data`."""
    assert read_credits(hub_response(body)) == left


@pytest.mark.parametrize(
    "body", [{}, {"credits": None}, {"credits": True}, {"data": []}, {"data": {}}, [], None, 3]
)
def test_credits_without_a_number_are_an_error(body: Any) -> None:
    """And not zero credits."""
    with pytest.raises(HubUnavailable, match="without a number"):
        read_credits(hub_response(body))


def test_204_makes_a_submission_uncertain() -> None:
    """The Hub may have accepted it."""
    with pytest.raises(SubmissionUncertain):
        read_submission(hub_response(None, 204))


def test_images_in_output_are_found_behind_empty_data() -> None:
    """As with null `data`."""
    assert task(status="completed", data={}, output={"images": [URL]}).sources


TASK = {"task_id": "hub-1", "status": "pending"}


@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        ({"code": 0, "data": TASK}, "hub-1"),
        ({"code": 200, "message": "success", "data": {"taskId": "7f"}}, "7f"),
        ({"code": "0", "msg": "ok", "data": {"id": 17}}, "17"),
        ({"success": True, "data": {"id": "x"}}, "x"),
        ({"data": {"task_id": "hub-1"}}, "hub-1"),
        ({"code": 200, "data": [{"status": "submitted", "task_id": "hub-1"}]}, "hub-1"),
        ({"code": 0, "id": "req-9", "data": {"task_id": "hub-1"}}, "hub-1"),
        ({"code": 0, "id": "req-9", "data": {"id": "hub-1"}}, "hub-1"),
        ({"code": 1001, "message": "slow", "data": {"task_id": "hub-1"}}, "hub-1"),
    ],
)
def test_a_submission_in_an_envelope_is_a_task(body: dict[str, Any], task_id: str) -> None:
    """Under every name of the id; an existing task is never lost, whatever the code."""
    assert read_submission(hub_response(body)) == task_id


@pytest.mark.parametrize(
    "body",
    [
        {"code": 1001, "message": "no dogs", "data": None},
        {"code": 1001, "message": "no dogs", "data": {}},
        {"code": "E1001", "message": "no dogs", "id": "req-9"},
        {"code": 500, "message": "no dogs", "data": {"id": "req-9"}},
        {"success": False, "message": "no dogs", "id": "req-9"},
        {"error": {"message": "no dogs"}, "id": "req-9"},
        {"code": -1, "data": {"message": "no dogs"}},
        {"code": 0, "message": "no dogs", "data": None},
        {"code": 0, "message": "no dogs", "data": [TASK, TASK]},
        {"code": 0, "message": "no dogs", "data": "hub-1"},
    ],
)
def test_an_error_in_an_envelope_is_uncertain_and_says_why(body: dict[str, Any]) -> None:
    """Its id need not be a task's, and no known code proves that there is no task."""
    with pytest.raises(
        SubmissionUncertain, match=r"without a task id: no dogs\. It is not retried"
    ):
        read_submission(hub_response(body))


IMAGES = {"images": [{"url": URL}], "description": "a dog"}
DONE = {"task_id": "hub-1", "status": "completed", "ready": True, "data": IMAGES}


@pytest.mark.parametrize(
    "body",
    [
        DONE,
        {"code": 0, "data": DONE},
        {"code": 200, "msg": "success", "data": {"status": "completed", "data": IMAGES}},
        {"code": "0", "status": "success", "data": DONE},
        {"success": True, "data": {"status": "succeeded", "output": IMAGES}},
        {"code": 0, "data": {"ready": True, "data": IMAGES}},
        {"code": 200, "data": [{"status": "completed", "data": IMAGES}]},
        {"status": "completed", "data": [{"status": "completed", "url": URL}]},
        {"ready": True, "data": [{"task_id": "x", "url": URL}]},
        {"code": 0, "data": {"id": "hub-1", "status": "completed", **IMAGES}},
        {"status": "completed", "data": {"status": "ok", **IMAGES}},
        {"status": "completed", "data": {"status": "completed", "data": "x", **IMAGES}},
        {"status": "completed", "data": {"task_id": "x", **IMAGES}},
        {"task_id": "hub-1", "ready": True, "data": {"status": "failed", **IMAGES}},
    ],
)
def test_a_task_in_an_envelope_is_unwrapped(body: dict[str, Any]) -> None:
    """But a task's own output is not an envelope, whatever it contains."""
    read = read_task(hub_response(body))
    assert (read.ended, read.succeeded) == (True, True)
    assert read.sources == (ImageSource(URL),)


def test_a_task_in_an_envelope_may_run_or_fail() -> None:
    """The task's status is used, not the envelope's."""
    running = read_task(
        hub_response({"code": 0, "status": "success", "data": {"status": "processing"}})
    )
    assert (running.status, running.ended) == ("processing", False)
    failed = {"status": "failed", "error_message": "no dogs", "elapsed_ms": 7}
    read = read_task(hub_response({"code": 0, "message": "success", "data": failed}))
    assert (read.ended, read.succeeded, read.error, read.elapsed_ms) == (True, False, "no dogs", 7)


@pytest.mark.parametrize(
    "body",
    [
        {"code": 1001, "message": "no dogs", "data": None},
        {"code": "TASK_ERROR", "message": "no dogs"},
        {"success": False, "message": "no dogs"},
        {"error": "no dogs"},
    ],
)
def test_an_error_in_place_of_a_task_is_hub_unavailable(body: dict[str, Any]) -> None:
    """The task may still complete, so polling continues; the error has the message."""
    with pytest.raises(HubUnavailable, match="no dogs"):
        read_task(hub_response(body))


def test_an_error_in_place_of_credits_says_why() -> None:
    """With the Hub's message."""
    with pytest.raises(HubUnavailable, match="without a number of credits: no dogs"):
        read_credits(hub_response({"code": 1001, "message": "no dogs", "data": None}))
    assert read_credits(hub_response({"code": 0, "data": {"credits": 7}})) == 7


B64 = "iVBORw0KGgoAAAANSUhEUg"


@pytest.mark.parametrize(
    ("data", "source"),
    [
        ({"images": [f" {URL}\n"]}, ImageSource(URL)),
        ({"images": [{"url": f"\t{URL} "}]}, ImageSource(URL)),
        ({"images": [{"url": "https://cdn.example/\n  dog.png"}]}, ImageSource(URL)),
        ({"images": [f"\u00a0{URL}\u200b"]}, ImageSource(URL)),
        ({"images": ["//cdn.example/dog.png"]}, ImageSource(URL)),
        ({"image": {"url": "//cdn.example/dog.png"}}, ImageSource(URL)),
        ({"images": [f" {DATA}\n"]}, ImageSource(DATA)),
        ({"b64_json": f" {DATA}"}, ImageSource(DATA)),
        ({"b64": DATA.upper()}, ImageSource(DATA.upper())),
        ({"b64": URL}, ImageSource(URL)),
        ({"images": [B64]}, ImageSource(None, B64)),
        ({"images": ["_9j_4AAQ"]}, ImageSource(None, "_9j_4AAQ")),
        ({"url": B64}, ImageSource(None, B64)),
        ({"url": "/pictures/dog.png"}, ImageSource("/pictures/dog.png")),
        ({"b64": " iVBO\nRw0K "}, ImageSource(None, " iVBO\nRw0K ")),
    ],
)
def test_urls_and_inline_images_are_found_in_every_spelling(data: Any, source: ImageSource) -> None:
    """With white space, in another field, or without their scheme."""
    assert task(status="completed", data=data).sources == (source,)
    assert source.is_inline == (source.url is None or source.url[:5].lower() == "data:")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"data": {"description": "I can't draw that."}}, "I can't draw that."),
        ({"data": {"images": [], "text": ["Sorry.", "No dogs."]}}, "Sorry.; No dogs."),
        ({"data": {"images": [], "has_nsfw_concepts": [True, False]}}, "has_nsfw_concepts: true"),
        ({"data": {"images": [None], "finish_reason": "SAFETY"}}, "finish_reason: SAFETY"),
        ({"data": {"error": {"code": "E1", "message": "no dogs"}}}, "code: E1; no dogs"),
        ({"data": {"error": "no dogs"}, "error_message": "no dogs"}, "no dogs"),
        ({"data": None, "message": "All images were filtered."}, "All images were filtered."),
        ({"data": "All images were filtered."}, "All images were filtered."),
        ({"output": ["All images", {"note": "filtered"}]}, "All images; note: filtered"),
        (
            {"data": {"candidates": [{"content": {"parts": [{"text": "No dogs."}]}}]}},
            "No dogs.",
        ),
        ({"data": {"images": [{"url": None, "filter": "nudity", "width": 3}]}}, "filter: nudity"),
        ({"data": {"prompt": "a dog", "seed": "7", "id": "x", "model": "m"}}, "seed: 7"),
        ({"data": {"text": "see https://a.example/b?key=s3cret now"}}, "see https://a.example/b?…"),
        ({"data": {"text": "a\x1b[31m\nb", "blob": "x" * 500}}, "a[31m b"),
        ({"data": {"link": URL, "thumbnail": DATA, "raw": B64}}, ""),
        ({"data": {"images": []}}, ""),
    ],
)
def test_the_explanation_has_all_texts_of_a_response_without_images(
    body: dict[str, Any], text: str
) -> None:
    """Wherever they are; no URLs, images or echoed input."""
    read = task(status="completed", **body)
    assert read.sources == () and read.explanation.startswith(text)
    assert bool(read.explanation) is bool(text)
    assert "s3cret" not in read.explanation and "x" * 200 not in read.explanation


def test_a_long_explanation_is_truncated() -> None:
    """However long and deeply nested the texts are."""
    deep: Any = "no dogs"
    for _ in range(90):
        deep = {"a": [deep]}
    read = task(status="completed", data={"text": ["many words " * 99] * 99, "deep": deep})
    assert len(read.explanation) <= 400
