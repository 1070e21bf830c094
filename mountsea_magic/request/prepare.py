"""Prepare a request's parameters: convert input images to URLs or data URIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import InvalidRequest, MountseaError
from ..images.inputs import read_source, to_urls
from ..settings import Settings
from .axes import ImageWord
from .catalog import IMAGES, Catalog, Model
from .request import ImageRequest, build_request
from .sweep import Item


class InputImages:
    """Converts input images to URLs or data URIs, each once, however many requests use it.

    Args:
        variables: The user's variables, which an `ImageWord` may refer to.
        shrink: Scale down input images that are too large.
        keep: The images that are converted once only; all by default.

    Example:
        >>> InputImages().urls("https://example.com/dog.png", label="image")
        ['https://example.com/dog.png']
    """

    def __init__(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        shrink: bool = False,
        keep: Iterable[Any] | None = None,
    ) -> None:
        self._variables = variables or {}
        self._shrink = shrink
        self._kept = None if keep is None else frozenset(map(id, keep))
        self._converted: dict[tuple[type, object, str], tuple[Any, list[str]]] = {}

    def urls(self, source: Any, *, label: str) -> list[str]:
        """Convert an image or a list of images.

        Args:
            source: An `ImageWord`, or what `to_urls` accepts.
            label: How the user referred to it, for error messages.

        Raises:
            InvalidRequest: If it can't be read.
        """
        is_text = isinstance(source, str)
        key = (type(source), source if is_text else id(source), label)
        if key in self._converted:
            return self._converted[key][1]
        if isinstance(source, ImageWord):
            found = read_source(source, self._variables, shrink=self._shrink, option=label)
        else:
            found = to_urls(source, shrink=self._shrink, label=label)
        if self._kept is None or id(source) in self._kept:
            # with the source, since another object could get the id of one that is gone
            self._converted[key] = source, found
        return found


def prepare(
    model: Model,
    parameters: Mapping[str, Any],
    *,
    sources: Sequence[Any] = (),
    images: InputImages | None = None,
    spell: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Return the parameters of a request, with images replaced by URLs or data URIs.

    Args:
        model: The model.
        parameters: The model's parameters; input images may be anything that `to_urls` accepts,
            or ``@`` and a path or variable, as typed on the magic line.
        sources: Input images: each an `ImageWord`, or what `to_urls` accepts.
        images: Converts the images; shared by requests that have images in common.
        spell: Returns a parameter's name as the user writes it, for error messages.

    Returns:
        The parameters, with the images in the model's parameter for input images.

    Raises:
        InvalidRequest: If an image can't be read; nothing was sent.
    """
    images = InputImages() if images is None else images
    prepared: dict[str, Any] = {}
    for name, value in parameters.items():
        urls = _image_urls_of(model, name, value, images, spell)
        prepared[name] = value if urls is None else _fitting(model, name, urls, spell)
    parameter = model.image_parameter or IMAGES[0]
    if sources and not model.takes(parameter):
        prepared[parameter] = list(sources)  # `build_request` reports it, and suggests a model
    elif sources:
        if parameter in prepared:
            raise InvalidRequest(f"{spell(parameter)} is given twice.")
        read = (
            images.urls(source, label="--image" if isinstance(source, ImageWord) else "image")
            for source in sources
        )
        prepared[parameter] = _fitting(
            model, parameter, [url for urls in read for url in urls], spell
        )
    return prepared


def build_item(
    settings: Settings,
    item: Item,
    model: str,
    parameters: Mapping[str, Any],
    catalog_for: Callable[[str, Mapping[str, Any]], Catalog],
    images: InputImages | None = None,
    spell: Callable[[str], str] = str,
) -> ImageRequest:
    """Validate an item, and build its request.

    Args:
        settings: The key, which a request must not contain, nor an error quote.
        item: What the user asked for; an `ImageRequest` of the user's is validated, too.
        model: The model of an item that names none.
        parameters: Parameters that the item does not set itself.
        catalog_for: Returns the catalog that validates parameters of a model.
        images: Converts the input images; shared by items that have images in common.
        spell: Returns a parameter's name as the user writes it, for error messages.

    Raises:
        InvalidRequest: If it is not valid.
    """
    if item.request is not None:
        given, model = dict(item.request.input), item.request.model
    else:
        given, model = {**parameters, **item.parameters}, item.model or model
    prompt = given.pop("prompt", item.prompt)
    try:
        catalog = catalog_for(model, given)
        prepared = prepare(
            catalog.model(model), given, sources=item.images, images=images, spell=spell
        )
        request = build_request(
            prompt, model=model, parameters=prepared, catalog=catalog, spell=spell
        )
        settings.refuse_key_in(request.canonical())
    except MountseaError as error:
        settings.redact_key_in(error)
        raise
    return request


def is_image_parameter(model: Model, name: str) -> bool:
    """Return whether a parameter takes images, as URLs or data URIs.

    Args:
        model: The model.
        name: The parameter.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> is_image_parameter(bundled_catalog().model("gpt-image-2-edit"), "mask_url")
        True
    """
    return name.endswith(("_url", "_urls")) or name == model.image_parameter


def _image_urls_of(
    model: Model, name: str, value: Any, images: InputImages, spell: Callable[[str], str]
) -> list[str] | None:
    """Convert the value of a parameter for image URLs; None for other parameters."""
    if not is_image_parameter(model, name):
        return None
    if isinstance(value, str) and value.startswith("@"):
        return images.urls(ImageWord(value[1:]), label=spell(name))
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return images.urls(value, label=spell(name))


def _fitting(
    model: Model, name: str, urls: list[str], spell: Callable[[str], str]
) -> list[str] | str:
    """Return the list, or its only URL for a model that accepts a single string."""
    if model.parameters.get(name, {}).get("type") != "string":
        return urls
    if len(urls) != 1:
        raise InvalidRequest(f"{spell(name)}: {model.id} accepts only one image (got {len(urls)}).")
    return urls[0]
