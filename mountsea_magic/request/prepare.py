"""Preparation: input images become URLs, in the parameter that takes them."""

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
    """Return the parameters of a request with URLs or data URIs in place of images.

    Args:
        model: The model.
        parameters: The model's parameters; input images may be anything that `to_urls` takes,
            or ``@`` and a path, as typed on the line.
        images: Input images as typed on the line.
        shrink: Scale down input images that are too large.
        variables: The user's variables, which ``images`` may name.
        spell: How the user wrote a parameter's name, for the error messages.

    Raises:
        InvalidRequest: If an image can't be read; nothing was sent.
    """
    given: dict[str, Any] = {}
    for name, value in parameters.items():
        urls = _image_urls_of(model, name, value, variables or {}, shrink, spell)
        given[name] = value if urls is None else _fitting(model, name, urls, spell)
    if images and model.image_parameter is None:
        given["image_urls"] = list(images)  # the check of the request knows the model for them
    elif images:
        place = str(model.image_parameter)
        if place in given:
            raise InvalidRequest(f"{spell(place)} is given twice.")
        read = (read_source(word, variables or {}, shrink=shrink) for word in images)
        given[place] = _fitting(model, place, [url for urls in read for url in urls], spell)
    return given


def _image_urls_of(
    model: Model,
    name: str,
    value: Any,
    variables: Mapping[str, Any],
    shrink: bool,
    spell: Callable[[str], str],
) -> list[str] | None:
    """A parameter that takes addresses takes images too; None if this is no such one."""
    if not name.endswith(("_url", "_urls")) and name != model.image_parameter:
        return None
    if isinstance(value, str) and value.startswith("@"):
        return read_source(value[1:], variables, shrink=shrink, spelled=spell(name))
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return to_urls(value, shrink=shrink, said=spell(name))


def _fitting(
    model: Model, name: str, urls: list[str], spell: Callable[[str], str]
) -> list[str] | str:
    """One model wants a list, another a single address."""
    if model.parameters.get(name, {}).get("type") != "string":
        return urls
    if len(urls) != 1:
        raise InvalidRequest(f"{spell(name)}: {model.id} takes one image, not {len(urls)}.")
    return urls[0]
