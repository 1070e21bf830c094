"""What is filled in in the form: its problems, by field, and the cell that does the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import InvalidRequest
from ...request.axes import ImageWord
from ...request.catalog import Model
from ...request.coercion import read_value
from ...request.prepare import InputImages, is_image_parameter, prepare
from ...request.request import problems_by_parameter, read_parameters
from ...request.schema import find_errors
from ...runtime.text import quoted
from ...settings import Settings
from ..cell_text import cell_text
from .fields import UNSET, Field
from .schema import label_of

PROMPT = "prompt"
"""The name of the prompt among the problems."""

_URL = re.compile(r"(?i)\s*(https?://|data:)")
_PLACEHOLDER = "https://example.com/image.png"

Problems = dict[str, list[str]]
"""The messages of each parameter that has a problem."""


@dataclass(frozen=True, slots=True)
class FormValues:
    """What the user has filled in.

    Attributes:
        model: The model.
        prompt: The prompt, literally.
        typed: The parameters that are set, as they would be typed on a cell's line.
        images: The input images, as ``-i`` takes them.
        image_count: How many images these are: a variable can have several.
    """

    model: Model
    prompt: str
    typed: Mapping[str, Any]
    images: tuple[str, ...] = ()
    image_count: int = 0

    def cell(self, settings: Settings) -> str:
        """Return the cell that submits the same, or why it can't be written as one.

        Args:
            settings: The key, which the cell must not contain.
        """
        try:
            text = cell_text(self.model, self.prompt, self.typed, self.images)
            settings.refuse_key_in(text)
        except InvalidRequest as error:
            return f"This can't be written as a cell. {error}"
        return text


def typed_values(fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the value of each field that is set.

    Args:
        fields: The fields by the name of their parameter.
    """
    values = {name: field.typed() for name, field in fields.items()}
    return {name: value for name, value in values.items() if value is not UNSET}


def problems_of(filled: FormValues, fields: Mapping[str, Field], *, urls_only: bool) -> Problems:
    """Return what is wrong, without reading any image: cheap enough for every change.

    Args:
        filled: What the user has filled in.
        fields: The fields.
        urls_only: Whether a parameter for images takes only URLs: in an app, which does not
            read files of the server for its visitors.
    """
    model = filled.model
    body: dict[str, Any] = {PROMPT: filled.prompt.strip() or "blank"}
    body |= read_parameters(model, filled.typed)
    for name in filled.typed:
        if _takes_images(model, name):
            body[name] = _placeholders(model, name, 1)
    if filled.images and model.image_parameter is not None:
        body[model.image_parameter] = _placeholders(
            model, model.image_parameter, filled.image_count
        )
    problems = problems_by_parameter(model, body, partial(_label, model))
    for name, field in fields.items():
        own_problems = field.own_problems(model)
        if own_problems:
            problems[name] = own_problems
    if not filled.prompt.strip():
        problems[PROMPT] = ["The prompt is empty: describe the image."]
    for name, value in filled.typed.items():
        if urls_only and _takes_images(model, name) and not _URL.match(str(value)):
            problems[name] = [f"{label_of(name)} must be a URL."]
    return problems


def image_problems(filled: FormValues, images: InputImages) -> Problems:
    """Return what is wrong with the input images, which are read and checked.

    Args:
        filled: What the user has filled in.
        images: Converts them; a request that is built with it reads none of them again.
    """
    model = filled.model
    problems: Problems = {}
    for name, value in filled.typed.items():
        if _takes_images(model, name):
            try:
                prepare(model, {name: value}, images=images, spell=label_of)
            except InvalidRequest as error:
                problems[name] = [str(error)]
    for word in filled.images if model.image_parameter is not None else ():
        try:
            images.urls(ImageWord(word), label="--image")
        except InvalidRequest as error:
            problems.setdefault(str(model.image_parameter), []).append(str(error))
    return problems


def fits(typed: Any, schema: Any) -> bool:
    """Return whether a value that was typed is valid by the schema of another model.

    Args:
        typed: The value as it was typed.
        schema: The parameter's schema.

    Example:
        >>> fits("7", {"type": "integer"}), fits("a dog", {"type": "integer"})
        (True, False)
    """
    try:
        rule = schema if isinstance(schema, dict) else {}
        return not find_errors(rule, read_value(typed, rule))
    except (ArithmeticError, ValueError, RecursionError):
        return False


def summary_of(problems: Problems) -> str:
    """Return the message next to Generate: what is wrong with the first field.

    Args:
        problems: The problems, in the order of the fields.
    """
    first = next(text for texts in problems.values() for text in texts)
    more = len(problems) - 1
    rest = f" {more} more field{'s' if more > 1 else ''} marked above." if more else ""
    return f"Nothing was sent: {first}{rest}"


def edit_model(model: Model, models: Mapping[str, Model]) -> Model:
    """Return the model that edits images: the model itself, its sibling, or another.

    Args:
        model: The chosen model.
        models: The known models by id.

    Raises:
        InvalidRequest: If none does.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> models = bundled_catalog().models
        >>> edit_model(models["nano-banana"], models).id
        'nano-banana-edit'
    """
    others = sorted(models.values(), key=lambda each: each.mode != "image-to-image")
    for each in (model, models.get(f"{model.id}-edit"), *others):
        if each is not None and each.image_parameter is not None:
            return each
    raise InvalidRequest(
        f"No known model of this Hub edits images (chosen: {quoted(model.id)}). To find new ones: "
        "`%mountsea models --refresh`."
    )


def _label(model: Model, name: str) -> str:
    """Return how the form calls a parameter."""
    return "input images" if name == model.image_parameter else label_of(name)


def _takes_images(model: Model, name: str) -> bool:
    """Return whether a parameter other than that of the input images takes images."""
    return is_image_parameter(model, name) and name != model.image_parameter


def _placeholders(model: Model, name: str, count: int) -> Any:
    """Return as many URLs as there are images, in the form that a parameter takes."""
    urls = [_PLACEHOLDER] * count
    is_text = model.parameters.get(name, {}).get("type") == "string"
    return urls[0] if is_text and count == 1 else urls
