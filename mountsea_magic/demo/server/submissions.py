"""Parse and validate the body of a submission to the demo Hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...errors import InvalidRequest
from ...request.catalog import bundled_catalog
from ...request.request import build_request


class RequestRejected(Exception):
    """A request that the demo Hub rejects.

    Args:
        status: The HTTP status of the response.
        message: The message in the response body.
        retry_after_s: The value of ``Retry-After`` in seconds, or None.

    Attributes:
        status: The HTTP status of the response.
        retry_after_s: The value of ``Retry-After`` in seconds, or None.
    """

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def read_submission(
    content: bytes, check: Callable[[dict[str, Any]], None] = lambda given: None
) -> tuple[str, dict[str, Any]]:
    """Parse the body of a submission, as strictly as a real Hub: values are not coerced.

    Args:
        content: The request body.
        check: Raises if the input is too large to be validated.

    Returns:
        The model's id and the input.

    Raises:
        RequestRejected: If the body is invalid: 400 for its form, 422 for its content.

    Example:
        >>> read_submission(b'{"model": "nano-banana", "input": {"prompt": "a dog"}}')
        ('nano-banana', {'prompt': 'a dog'})
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestRejected(400, "The request body is not valid JSON.") from error
    if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
        raise RequestRejected(400, "The request body must be a JSON object with model and input.")
    given = dict(body["input"])
    check(given)
    prompt, model = given.pop("prompt", None), body.get("model")
    if not isinstance(model, str) or model not in bundled_catalog().models:
        raise RequestRejected(422, f"Unknown model {str(model)[:60]!r}.")
    if not isinstance(prompt, str) or not prompt.strip():
        raise RequestRejected(422, "input.prompt must be a non-empty string.")
    try:
        request = build_request(prompt, model=model, parameters=given)
    except InvalidRequest as error:
        raise RequestRejected(422, str(error)) from error
    if {"prompt": prompt, **given} != {**request.input, "prompt": prompt}:
        raise RequestRejected(422, "A parameter does not have the type that the schema requires.")
    return request.model, dict(request.input)
