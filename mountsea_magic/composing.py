"""Composing: input pictures are read, and the catalogue that a request is checked by."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .catalog import Catalog, Model
from .errors import InvalidRequest
from .notices import tell
from .session import CURRENT
from .settings import Settings
from .uploads import read_source, to_urls


def prepare(
    *,
    model: str,
    parameters: Mapping[str, Any],
    settings: Settings,
    images: Sequence[str] = (),
    shrink: bool = False,
    variables: Mapping[str, Any] | None = None,
    spell: Callable[[str], str] = str,
) -> tuple[Catalog, dict[str, Any]]:
    """Read the input pictures, and the catalogue by which a request is checked.

    The Hub is asked about its models only where a name is unknown here.

    Args:
        model: The model's id.
        parameters: The model's parameters; input pictures may be anything that `to_urls` takes,
            or ``@`` and a path, as typed on the line.
        settings: Which Hub.
        images: Input pictures as typed on the line.
        shrink: Scale down input pictures that are too large.
        variables: The user's variables, which ``images`` may name.
        spell: How the user wrote a parameter's name, for the error messages.

    Returns:
        The catalogue, and the parameters with addresses or data URIs in place of pictures.

    Raises:
        InvalidRequest: If there is no such model, or a picture can't be had; nothing was sent.
    """
    settings.refuse_key_in(model)  # an unknown model is asked for, by an address with its name
    catalog = _catalog(settings, model, parameters)
    known = catalog.model(model)
    given: dict[str, Any] = {}
    for name, value in parameters.items():
        urls = _pictures_in(known, name, value, variables or {}, shrink, spell)
        given[name] = value if urls is None else _fitting(known, name, urls, spell)
    if images and known.picture_parameter is None:
        given["image_urls"] = list(images)  # the check of the request knows the model for them
    elif images:
        place = str(known.picture_parameter)
        if place in given:
            raise InvalidRequest(f"{spell(place)} is given twice.")
        read = (read_source(word, variables or {}, shrink=shrink) for word in images)
        given[place] = _fitting(known, place, [url for urls in read for url in urls], spell)
    return catalog, given


def _catalog(settings: Settings, model: str, parameters: Mapping[str, Any]) -> Catalog:
    """What the bundled catalogue does not know, the Hub may have had since."""
    if CURRENT.catalogs.lacks(settings, model, parameters):

        async def learn() -> None:
            client = CURRENT.connections.client(settings)
            await CURRENT.catalogs.learn(settings, client, model)

        CURRENT.worker.run(learn())
        tell(CURRENT.catalogs.notices(), None)
    return CURRENT.catalogs.current(settings)


def _pictures_in(
    model: Model,
    name: str,
    value: Any,
    variables: Mapping[str, Any],
    shrink: bool,
    spell: Callable[[str], str],
) -> list[str] | None:
    """A parameter that takes addresses takes pictures too; None if this is no such one."""
    if not name.endswith(("_url", "_urls")) and name != model.picture_parameter:
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
        raise InvalidRequest(f"{spell(name)}: {model.id} takes one picture, not {len(urls)}.")
    return urls[0]
