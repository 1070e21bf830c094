"""The catalog: the Hub's image models, each with the JSON Schema of its input.

The bundled `catalog.json` is transcribed from the documentation. Each model and parameter has a
mark for its source: `documented` for the Hub itself, or `neighbour` for the provider behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

from ..errors import InvalidRequest
from ..runtime.text import MAX_ID, is_pasteable, listed, sanitize

IMAGES = ("image_urls", "image_url", "images", "image")
"""The parameter names that models use for input images, the most likely first."""

MAX_COMPARED = 2000
"""The limit of names that an unknown word is compared with."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the Hub.

    Attributes:
        id: The model's id in requests, such as ``nano-banana``.
        name: The display name.
        vendor: The company that made the model.
        mode: ``text-to-image`` or ``image-to-image``.
        summary: Its strengths, in one sentence.
        mark: The source of this description: ``documented``, ``neighbour`` or ``live`` (the Hub).
        input_schema: The JSON Schema (draft 2020-12) of a request's ``input``.
        example: A valid ``input``.
    """

    id: str
    name: str
    vendor: str
    mode: str
    summary: str
    mark: str
    input_schema: Mapping[str, Any]
    example: Mapping[str, Any]

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each parameter except the prompt, by name."""
        properties: Mapping[str, Mapping[str, Any]] = self.input_schema.get("properties", {})
        return {name: schema for name, schema in properties.items() if name != "prompt"}

    @property
    def image_parameter(self) -> str | None:
        """The parameter for input images, or None for a text-to-image model."""
        return next((name for name in IMAGES if name in self.parameters), None)

    def values(self, name: str) -> list[str]:
        """Return the allowed values of a parameter; an empty list if they are not enumerated.

        Args:
            name: The parameter's name.

        Example:
            >>> bundled_catalog().model("gpt-image-2").values("quality")
            ['auto', 'low', 'medium', 'high']
        """
        schema = self.parameters.get(name, {})
        schemas = [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]
        enums = [option.get("enum", []) for option in schemas if isinstance(option, dict)]
        values = [value for enum in enums for value in enum]
        if not values and schema.get("type") == "boolean":
            values = [True, False]
        return [value if isinstance(value, str) else json.dumps(value) for value in values]

    def takes(self, name: str) -> bool:
        """Return whether the model has a parameter; a model without a schema accepts any."""
        return name in self.parameters or self.input_schema.get("additionalProperties", True)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The known models by id.

    Example:
        >>> "nano-banana" in bundled_catalog().models
        True
    """

    models: Mapping[str, Model]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models.values())

    def model(self, model_id: str) -> Model:
        """Return the model with this id.

        Raises:
            InvalidRequest: If it is unknown; the message suggests similar ids.
        """
        found = self.models.get(model_id)
        if found is None:
            raise InvalidRequest(
                f"Unknown model '{sanitize(model_id, limit=60)}'. {nearest(model_id, self.models)} "
                "`%mountsea models --refresh` updates the list from the Hub."
            )
        return found


@cache
def bundled_catalog() -> Catalog:
    """Return the catalog that is bundled with the package.

    Example:
        >>> bundled_catalog().model("nano-banana").vendor
        'Google'
    """
    text = files(__package__).joinpath("catalog.json").read_text(encoding="utf-8")
    models = (Model(**entry) for entry in json.loads(text)["models"])
    return Catalog({model.id: model for model in models})


def nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    """Return a hint for an unknown word: similar known words, or a shortened list of all.

    Example:
        >>> nearest("nano-bananna", ["nano-banana", "gpt-image-2"])
        'Did you mean nano-banana?'
        >>> nearest("x", ["a", "b"])
        'Available: a, b.'
    """
    # a Hub's names may be very many, or unsafe to suggest as input
    candidates = [name for name in islice(known, MAX_COMPARED) if is_pasteable(name)]
    close = get_close_matches(word[:MAX_ID], candidates, n=2, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Available: {listed(known)}."
