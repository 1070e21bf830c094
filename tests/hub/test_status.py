"""`Status`: the words that are stored and shown."""

from __future__ import annotations

import json
import pickle

import pytest
from IPython.lib.pretty import pretty

from mountsea_magic.hub.status import CLOSED, Status

STORED = {
    *("submitting", "refused", "unsent", "uncertain", "submitted", "resumed", "forgotten"),
    *("pending", "queued", "processing", "unknown", "completed", "succeeded"),
    *("failed", "error", "timeout", "cancelled", "canceled"),
}
"""The words in the journals of all versions."""


def test_the_words_in_old_journals_are_unchanged() -> None:
    """A word that changed would open or close the tasks of an older version."""
    assert set(Status) >= STORED
    assert CLOSED == ("canceled", "cancelled", "error", "failed", "timeout", "forgotten")


@pytest.mark.parametrize("status", Status)
def test_a_status_is_shown_as_its_text(status: Status) -> None:
    """In a notebook, in a message and as JSON, like the Hub's own statuses, which are texts."""
    text = status.value
    assert status == text == f"{status}"
    assert repr(status) == repr(text)
    assert pretty(status) == repr(text)  # type: ignore[no-untyped-call]  # IPython's
    assert json.dumps(status) == json.dumps(text)
    assert pickle.loads(pickle.dumps(status)) is status
