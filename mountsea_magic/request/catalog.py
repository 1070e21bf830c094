"""The catalogue: which image models the Hub has, and the JSON Schema of each one's input.

The bundled `catalog.json` holds what the contract page says; each model and each parameter bears
its mark there: `documented` for the Hub itself, or `neighbour` for the provider behind it.
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
"""The names under which models take input images, the likeliest first."""

MAX_COMPARED = 2000
"""How many names a word that is none of them is compared with."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the Hub.

    Attributes:
        id: The name that a request bears, such as ``nano-banana``.
        name: The name that people use.
        vendor: Who made the model.
        mode: ``text-to-image`` or ``image-to-image``.
        summary: What it is good at, in one sentence.
        mark: Where the facts come from: ``documented``, ``neighbour``, or ``live`` (this Hub).
        input_schema: The JSON Schema (draft 2020-12) of a request's ``input``.
        example: A ready ``input``.
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
        """The schema of each parameter beside the prompt, by its name."""
        properties: Mapping[str, Mapping[str, Any]] = self.input_schema.get("properties", {})
        return {name: schema for name, schema in properties.items() if name != "prompt"}

    @property
    def image_parameter(self) -> str | None:
        """The parameter that takes input images, or None for a model that draws from text."""
        return next((name for name in IMAGES if name in self.parameters), None)

    def values(self, name: str) -> list[str]:
        """Return what a parameter takes, where that is a closed list; else an empty list.

        Args:
            name: The parameter.

        Example:
            >>> bundled_catalog().model("gpt-image-2").values("quality")
            ['auto', 'low', 'medium', 'high']
        """
        schema = self.parameters.get(name, {})
        places = [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]
        lists = [place.get("enum", []) for place in places if isinstance(place, dict)]
        values = [value for options in lists for value in options]
        if not values and schema.get("type") == "boolean":
            values = [True, False]
        return [value if isinstance(value, str) else json.dumps(value) for value in values]

    def takes(self, name: str) -> bool:
        """Whether it has a parameter; one without a readable schema takes any."""
        return name in self.parameters or self.input_schema.get("additionalProperties", True)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models that are known here, by their ids.

    Example:
        >>> "nano-banana" in bundled_catalog().models
        True
    """

    models: Mapping[str, Model]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models.values())

    def model(self, model_id: str) -> Model:
        """Return the model of that id.

        Raises:
            InvalidRequest: If there is none; names the nearest ones.
        """
        found = self.models.get(model_id)
        if found is None:
            raise InvalidRequest(
                f"--model {sanitize(model_id, limit=60)}: there is no such model. "
                f"{nearest(model_id, self.models)} `%mountsea models --refresh` asks the Hub anew."
            )
        return found


@cache
def bundled_catalog() -> Catalog:
    """Read the catalogue that comes with the package.

    Example:
        >>> bundled_catalog().model("nano-banana").vendor
        'Google'
    """
    text = files(__package__).joinpath("catalog.json").read_text(encoding="utf-8")
    models = (Model(**entry) for entry in json.loads(text)["models"])
    return Catalog({model.id: model for model in models})


def nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    """Say which of the known words was probably meant, or name them, but no endless list.

    Example:
        >>> nearest("nano-bananna", ["nano-banana", "gpt-image-2"])
        'Did you mean nano-banana?'
        >>> nearest("x", ["a", "b"])
        'There are: a, b.'
    """
    # of names that a Hub has made up there may be very many, and some that no line may hold
    likely = [name for name in islice(known, MAX_COMPARED) if is_pasteable(name)]
    close = get_close_matches(word[:MAX_ID], likely, n=2, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"There are: {listed(known)}."
