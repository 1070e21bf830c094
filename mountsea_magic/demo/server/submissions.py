"""The orders of the demo Hub: what the body of a submission holds, or why it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...errors import InvalidRequest
from ...request.catalog import bundled_catalog
from ...request.request import build_request


class Refusal(Exception):
    """An order that is not taken.

    Attributes:
        status: The HTTP status of the answer; the message is its text.
        retry_after_s: When to come back, in seconds, or None.
    """

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def read_submission(
    content: bytes, check: Callable[[dict[str, Any]], None] = lambda given: None
) -> tuple[str, dict[str, Any]]:
    """Read the body of a submission, as strictly as a real Hub would: types are not bent.

    Args:
        content: The body, as it came.
        check: Raises for an input that is too large to be read closely.

    Returns:
        The model's id, and its input.

    Raises:
        Refusal: If it is no order: 400 for its form, 422 for what it asks for.

    Example:
        >>> read_submission(b'{"model": "nano-banana", "input": {"prompt": "a dog"}}')
        ('nano-banana', {'prompt': 'a dog'})
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The body is not JSON.") from error
    if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
        raise Refusal(400, "The body must be an object with model and input.")
    given = dict(body["input"])
    check(given)
    prompt, model = given.pop("prompt", None), body.get("model")
    if not isinstance(model, str) or model not in bundled_catalog().models:
        raise Refusal(422, f"There is no model {str(model)[:60]!r}.")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refusal(422, "input.prompt must be a text that is not empty.")
    try:
        checked = build_request(prompt, model=model, parameters=given)
    except InvalidRequest as error:
        raise Refusal(422, str(error)) from error
    if {"prompt": prompt, **given} != {**checked.input, "prompt": prompt}:
        raise Refusal(422, "A parameter is not of the type that the schema wants.")
    return checked.model, dict(checked.input)
