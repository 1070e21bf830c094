"""Notices are reported once and never stop a generation."""

from __future__ import annotations

import warnings

import pytest

from mountsea_magic.generation.events import Event, Notice
from mountsea_magic.generation.notices import notify


def test_notices_become_one_event() -> None:
    """With a callback there is no warning; without notices there is no event."""
    events: list[Event] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notify(["one", "two"], events.append)
        notify([], events.append)
    assert events == [Notice("one; two")]


def test_without_a_callback_notices_become_one_warning() -> None:
    """All notices are joined in one `RuntimeWarning`."""
    with pytest.warns(RuntimeWarning, match=r"^one; two$") as caught:
        notify(["one", "two"], None)
    assert len(caught) == 1


def test_if_warnings_are_errors_notices_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception here would lose an image that was paid for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notify(["one"], None)
    assert capsys.readouterr().err == "one\n"
