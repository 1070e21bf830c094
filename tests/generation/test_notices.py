"""What went wrong beside a generation is told once, and stops nothing."""

from __future__ import annotations

import warnings

import pytest

from mountsea_magic.generation.events import Event, Notice
from mountsea_magic.generation.notices import notify


def test_whoever_watches_is_told_all_at_once() -> None:
    """As an event, and no warning is given beside it."""
    told: list[Event] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notify(["one", "two"], told.append)
        notify([], told.append)
    assert told == [Notice("one; two")]


def test_where_nobody_watches_it_is_a_warning() -> None:
    """One for all of it."""
    with pytest.warns(RuntimeWarning, match=r"^one; two$") as caught:
        notify(["one", "two"], None)
    assert len(caught) == 1


def test_a_warning_that_is_an_error_is_but_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """An image that is paid for is not lost to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notify(["one"], None)
    assert capsys.readouterr().err == "one\n"
