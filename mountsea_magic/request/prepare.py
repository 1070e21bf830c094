"""Prepare a request's parameters: convert input images to URLs or data URIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InvalidRequest
from ..images.inputs import read_source, to_urls
from .catalog import Model


def prepare(
    model: Model,
    parameters: Mapping[str, Any],
    *,
    images: Sequence[str] = (),
    shrink: bool = False,
    variables: Mapping[str, Any] | None = None,
    spell: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Return the parameters of a request, with images replaced by URLs or data URIs.

    Args:
        model: The model.
        parameters: The model's parameters; input images may be anything that `to_urls` accepts,
            or ``@`` and a path or variable, as typed on the magic line.
        images: Input images as typed on the magic line.
        shrink: Scale down input images that are too large.
        variables: The user's variables, which ``images`` may refer to.
        spell: Returns a parameter's name as the user writes it, for error messages.

    Returns:
        The parameters, with the images in the model's parameter for input images.

    Raises:
        InvalidRequest: If an image can't be read; nothing was sent.
    """
    prepared: dict[str, Any] = {}
    for name, value in parameters.items():
        urls = _image_urls_of(model, name, value, variables or {}, shrink, spell)
        prepared[name] = value if urls is None else _fitting(model, name, urls, spell)
    if images and model.image_parameter is None:
        prepared["image_urls"] = list(
            images
        )  # `build_request` reports it, and suggests an edit model
    elif images:
        parameter = str(model.image_parameter)
        if parameter in prepared:
            raise InvalidRequest(f"{spell(parameter)} is given twice.")
        read = (read_source(source, variables or {}, shrink=shrink) for source in images)
        prepared[parameter] = _fitting(
            model, parameter, [url for urls in read for url in urls], spell
        )
    return prepared


def _image_urls_of(
    model: Model,
    name: str,
    value: Any,
    variables: Mapping[str, Any],
    shrink: bool,
    spell: Callable[[str], str],
) -> list[str] | None:
    """Convert the value of a parameter for image URLs; None for other parameters."""
    if not name.endswith(("_url", "_urls")) and name != model.image_parameter:
        return None
    if isinstance(value, str) and value.startswith("@"):
        return read_source(value[1:], variables, shrink=shrink, option=spell(name))
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return to_urls(value, shrink=shrink, label=spell(name))


def _fitting(
    model: Model, name: str, urls: list[str], spell: Callable[[str], str]
) -> list[str] | str:
    """Return the list, or its only URL for a model that accepts a single string."""
    if model.parameters.get(name, {}).get("type") != "string":
        return urls
    if len(urls) != 1:
        raise InvalidRequest(f"{spell(name)}: {model.id} accepts only one image (got {len(urls)}).")
    return urls[0]
