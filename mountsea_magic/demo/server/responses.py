"""Response bodies of the demo Hub that need no task: errors and model descriptions."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...request.catalog import Model
from .submissions import RequestRejected


def error_response(rejection: RequestRejected) -> JSONResponse:
    """Return the JSON response for a rejected request, in the shape that the vendor's APIs use.

    Example:
        >>> error = RequestRejected(429, "Too many requests.", retry_after_s=2)
        >>> error_response(error).headers["retry-after"]
        '2'
    """
    retry_after_s = rejection.retry_after_s
    return JSONResponse(
        {"statusCode": rejection.status, "message": str(rejection)},
        status_code=rejection.status,
        headers=None if retry_after_s is None else {"Retry-After": str(retry_after_s)},
    )


async def internal_error(request: Request, error: Exception) -> Response:
    """Return a 500 response for an unhandled exception, so that no traceback reaches a cell."""
    return error_response(
        RequestRejected(500, f"Internal error in the demo Hub ({type(error).__name__}).")
    )


def model_summary(model: Model) -> dict[str, Any]:
    """Return the entry of a model in the list of models."""
    return {
        "model": model.id,
        "name": model.name,
        "vendor": model.vendor,
        "mode": model.mode,
        "capability": "image",
    }
