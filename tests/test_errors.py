"""The error tree: messages, attributes, and how an error is shown in a notebook."""

from __future__ import annotations

import inspect
import pickle

import pytest

from mountsea_magic import errors
from mountsea_magic.errors import Interrupted, MountseaError, RateLimited, TaskFailed, resume_hint
from mountsea_magic.runtime.text import sanitize

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MountseaError) and kind is not MountseaError
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog", "a dog"),
        ("", ""),
        (" \t a \n\n dog \r\n", "a dog"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("a\x00b\x07c\x7fd\x9be", "abcde"),
        ("left\u202eright\u2066x\u2069", "leftrightx"),
        ("one\u2028two\u2029three", "onetwothree"),
        ("köpek 🐕 犬", "köpek 🐕 犬"),
        (42, "42"),
        (None, "None"),
        (["a"], "['a']"),
    ],
)
def test_sanitize_returns_one_safe_line(text: object, expected: str) -> None:
    """Line breaks, terminal escapes and bidirectional overrides are removed."""
    assert sanitize(text) == expected


@pytest.mark.parametrize(("length", "limit"), [(400, 400), (401, 400), (10_000, 60), (2, 1)])
def test_sanitize_truncates_to_its_limit(length: int, limit: int) -> None:
    """A truncated text ends with an ellipsis."""
    line = sanitize("x" * length, limit=limit)
    assert len(line) == min(length, limit)
    assert line.endswith("…") is (length > limit)


def test_the_error_tree_has_the_documented_classes() -> None:
    """All documented errors exist, and no others."""
    assert {kind.__name__ for kind in TREE} == {
        "ConfigurationError",
        "InvalidRequest",
        "BudgetExceeded",
        "AuthenticationError",
        "InsufficientCredits",
        "RateLimited",
        "HubUnavailable",
        "SubmissionUncertain",
        "TaskFailed",
        "WaitTimeout",
        "DownloadFailed",
        "BatchFailed",
    }


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_shown_in_one_line(kind: type[MountseaError]) -> None:
    """IPython shows the type's name and the message, without a traceback."""
    assert kind("no dogs")._render_traceback_() == [f"{kind.__name__}: no dogs"]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_can_be_pickled(kind: type[MountseaError]) -> None:
    """An error from a process pool keeps its type, task id and message."""
    error = pickle.loads(pickle.dumps(kind("no dogs").with_task("hub-1")))
    assert type(error) is kind
    assert error.task_id == "hub-1"
    assert str(error).startswith("no dogs Task hub-1")


def test_an_error_has_task_id_and_status_code() -> None:
    """Both attributes are None by default."""
    error = MountseaError("no", task_id="hub-1", status_code=500)
    assert (error.task_id, error.status_code) == ("hub-1", 500)
    assert (MountseaError("no").task_id, MountseaError("no").status_code) == (None, None)


def test_with_task_adds_the_id_and_the_command_that_resumes_it() -> None:
    """The error keeps its type."""
    error = TaskFailed("The model refused.")
    assert error.with_task("hub-1") is error
    assert str(error) == (
        "The model refused. Task hub-1 is saved; resume it: `%mountsea resume hub-1`."
    )


def test_with_task_does_not_change_an_error_with_a_task() -> None:
    """Neither its message nor its task id changes."""
    error = MountseaError("The network is down.").with_task("hub-1")
    message = str(error)
    assert str(error.with_task("hub-2")) == message
    assert error.task_id == "hub-1"


def test_with_task_sanitizes_the_task_id() -> None:
    """The message has no terminal escapes; the attribute is the unchanged id."""
    error = MountseaError("No.").with_task("a\x1b[31m")
    assert "\x1b" not in str(error)
    assert error.task_id == "a\x1b[31m"
    assert "\x1b" not in resume_hint("a\x1b[31m")


@pytest.mark.parametrize("pause", [None, 0.0, 2.5])
def test_rate_limited_has_retry_after(pause: float | None) -> None:
    """It has the Hub's `Retry-After` in seconds, and the status 429."""
    error = RateLimited("slow", retry_after_s=pause)
    assert (error.retry_after_s, error.status_code) == (pause, 429)
    assert error.of_credits is False


def test_interrupted_is_a_keyboard_interrupt() -> None:
    """Run All stops at it; neither `except Exception` nor `except MountseaError` catches it."""
    error = Interrupted("stopped waiting", task_id="hub-1")
    assert isinstance(error, KeyboardInterrupt)
    assert not isinstance(error, Exception | MountseaError)
    assert error.task_id == "hub-1"
    assert error._render_traceback_() == ["Interrupted: stopped waiting"]
    assert Interrupted("stopped before there was a task").task_id is None
