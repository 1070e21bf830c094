"""The demo Hub's responses that need no task: refusals, models, and its own faults."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...request.catalog import Model
from .submissions import Refusal


def refused(refusal: Refusal) -> JSONResponse:
    """Return the response that a neighbouring API gives to a refusal.

    Example:
        >>> refused(Refusal(429, "Slow down.", retry_after_s=2)).headers["retry-after"]
        '2'
    """
    pause = refusal.retry_after_s
    return JSONResponse(
        {"statusCode": refusal.status, "message": str(refusal)},
        status_code=refusal.status,
        headers=None if pause is None else {"Retry-After": str(pause)},
    )


async def broken(request: Request, error: Exception) -> Response:
    """Return what a fault of our own is: a response of the Hub's, no traceback in a cell."""
    return refused(Refusal(500, f"The demo Hub failed ({type(error).__name__})."))


def listed(model: Model) -> dict[str, Any]:
    """Return how a model stands in the list."""
    return {
        "model": model.id,
        "name": model.name,
        "vendor": model.vendor,
        "mode": model.mode,
        "capability": "image",
    }
