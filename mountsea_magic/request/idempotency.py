"""Idempotency keys: what a user may choose as one, and the keys of several requests."""

from __future__ import annotations

import unicodedata
from typing import Any

MAX_KEY = 200
"""The limit of characters of an idempotency key."""


def key_problem(key: Any, name: str) -> str | None:
    """Return what is wrong with an idempotency key as a sentence, or None.

    Args:
        key: The key.
        name: How the user gave it: the name of an option or argument.

    Example:
        >>> key_problem("poster-42", "--idempotency-key") is None
        True
        >>> key_problem("", "--idempotency-key")
        "--idempotency-key is empty; choose a name, such as 'poster-42'."
    """
    if not isinstance(key, str):
        return f"{name} must be text, such as 'poster-42' (got {type(key).__name__})."
    if not key.strip():
        return f"{name} is empty; choose a name, such as 'poster-42'."
    if len(key) > MAX_KEY:
        return f"{name} has {len(key):,} characters; at most {MAX_KEY} are possible."
    # control characters, lone surrogates, line and paragraph separators
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in key):
        return f"{name} must not contain control characters or line breaks."
    return None


def numbered_keys(key: str | None, count: int) -> list[str | None]:
    """Return the keys of the requests of one cell.

    Args:
        key: The user's key, or None.
        count: The number of requests.

    Example:
        >>> numbered_keys("poster", 1), numbered_keys("poster", 2), numbered_keys(None, 1)
        (['poster'], ['poster/1', 'poster/2'], [None])
    """
    if key is None or count == 1:
        return [key] * count
    return [f"{key}/{number}" for number in range(1, count + 1)]
