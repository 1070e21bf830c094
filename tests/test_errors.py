"""The error tree: what an error says, what it knows, and how it reads in a notebook."""

from __future__ import annotations

import inspect
import pickle

import pytest

from mountsea_magic import errors
from mountsea_magic.errors import (
    Interrupted,
    MountseaError,
    RateLimited,
    TaskFailed,
    resume_hint,
    sanitize,
)

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MountseaError) and kind is not MountseaError
]


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_plain_is_one_safe_line(text: object, said: str) -> None:
    """Text from outside loses its line breaks, terminal escapes and direction overrides."""
    assert sanitize(text) == said


@pytest.mark.parametrize(("length", "limit"), [(400, 400), (401, 400), (10_000, 60), (2, 1)])
def test_plain_is_bounded(length: int, limit: int) -> None:
    """A text is never longer than its limit, and says that something was cut."""
    said = sanitize("x" * length, limit=limit)
    assert len(said) == min(length, limit)
    assert said.endswith("…") is (length > limit)


def test_the_tree_is_the_one_of_the_interface_page() -> None:
    """All the named errors are there, and no other."""
    assert {kind.__name__ for kind in TREE} == {
        "ConfigurationError",
        "InvalidRequest",
        "AuthenticationError",
        "InsufficientCredits",
        "RateLimited",
        "HubUnavailable",
        "SubmissionUncertain",
        "TaskFailed",
        "WaitTimeout",
        "DownloadFailed",
    }


@pytest.mark.parametrize("kind", TREE)
def test_every_error_reads_in_one_line(kind: type[MountseaError]) -> None:
    """IPython is given the type's name and the message, and no traceback."""
    assert kind("no dogs")._render_traceback_() == [f"{kind.__name__}: no dogs"]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_survives_a_process_boundary(kind: type[MountseaError]) -> None:
    """An error that a process pool hands back still knows its task and its message."""
    error = pickle.loads(pickle.dumps(kind("no dogs").with_task("hub-1")))
    assert type(error) is kind
    assert error.task_id == "hub-1"
    assert str(error).startswith("no dogs Task hub-1")


def test_an_error_knows_its_task_and_status() -> None:
    """The task id and the HTTP status are attributes; both may be missing."""
    error = MountseaError("no", task_id="hub-1", status_code=500)
    assert (error.task_id, error.status_code) == ("hub-1", 500)
    assert (MountseaError("no").task_id, MountseaError("no").status_code) == (None, None)


def test_concerning_names_the_task_and_the_way_to_it() -> None:
    """An error without a task learns of it, keeps its type, and says how to resume."""
    error = TaskFailed("The model refused.")
    assert error.with_task("hub-1") is error
    assert str(error) == (
        "The model refused. Task hub-1 is saved; resume it: `%mountsea resume hub-1`."
    )


def test_concerning_says_it_once() -> None:
    """An error that already names a task is left as it is."""
    error = MountseaError("The network is down.").with_task("hub-1")
    said = str(error)
    assert str(error.with_task("hub-2")) == said
    assert error.task_id == "hub-1"


def test_concerning_makes_a_task_id_safe_to_print() -> None:
    """A task id comes from outside: its message holds no escapes, its attribute is the whole."""
    error = MountseaError("No.").with_task("a\x1b[31m")
    assert "\x1b" not in str(error)
    assert error.task_id == "a\x1b[31m"
    assert "\x1b" not in resume_hint("a\x1b[31m")


@pytest.mark.parametrize("pause", [None, 0.0, 2.5])
def test_rate_limited_knows_the_pause(pause: float | None) -> None:
    """The pause that the Hub asked for stands beside the message, with the status 429."""
    error = RateLimited("slow", retry_after_s=pause)
    assert (error.retry_after_s, error.status_code) == (pause, 429)
    assert error.of_credits is False


def test_interrupted_is_a_keyboard_interrupt() -> None:
    """Run All stops at it, and `except Exception` or `except MountseaError` does not hide it."""
    error = Interrupted("stopped waiting", task_id="hub-1")
    assert isinstance(error, KeyboardInterrupt)
    assert not isinstance(error, Exception | MountseaError)
    assert error.task_id == "hub-1"
    assert error._render_traceback_() == ["Interrupted: stopped waiting"]
    assert Interrupted("stopped before there was a task").task_id is None
