"""The request: a model and its input, validated by its schema before submitting."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.redaction import without_queries
from ..runtime.text import counted, is_pasteable, json_text, listed, quoted, sanitize
from .catalog import IMAGES, Catalog, Model, bundled_catalog, nearest
from .coercion import alternatives, read_value
from .schema import find_errors

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

DEFAULT_MODEL = "nano-banana"

MAX_PROBLEMS = 20
"""The limit of problems reported at once."""

_SIZE_PARAMETERS = frozenset({"aspect_ratio", "image_size", "resolution", "size", "ratio"})


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One request for images: the body of ``POST /hub/v1/image``.

    Attributes:
        model: The model's id.
        input: The prompt and the parameters that the user set, as JSON values.

    Example:
        >>> request = build_request("a dog", parameters={"num_images": 2})
        >>> request.body()
        {'model': 'nano-banana', 'input': {'prompt': 'a dog', 'num_images': 2}}
    """

    model: str
    input: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """The prompt as it is sent."""
        return str(self.input.get("prompt", ""))

    @property
    def image_count(self) -> int:
        """The number of images requested; 1 if it is not set or not an integer."""
        count = self.input.get("num_images", 1)
        return count if isinstance(count, int) and not isinstance(count, bool) else 1

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the submission: ``model`` and ``input``."""
        return {"model": self.model, "input": dict(self.input)}

    def canonical(self) -> str:
        """Return the body as canonical JSON, the same text for equal requests."""
        return json.dumps(
            self.body(), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of the canonical JSON, the same for equal requests.

        Input images in data URIs are compared by their content.

        Example:
            >>> build_request("a dog").fingerprint() == build_request("a dog").fingerprint()
            True
        """
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def for_the_screen(self) -> dict[str, Any]:
        """Return the input for display, with data URIs shortened."""
        return {
            name: value if name == "prompt" else _shortened(value)
            for name, value in self.input.items()
        }

    def for_the_record(self) -> dict[str, Any]:
        """Return the input for the journal, without image bytes and signed URLs."""
        return {
            name: value if name == "prompt" else recorded(value)
            for name, value in self.input.items()
        }


def build_request(
    prompt: str,
    *,
    model: str = DEFAULT_MODEL,
    parameters: Mapping[str, Any] | None = None,
    catalog: Catalog | None = None,
    spell: Callable[[str], str] = str,
) -> ImageRequest:
    """Validate a prompt and its parameters by the model's schema, and build the request.

    Args:
        prompt: The description of the image; leading and trailing blank lines are removed.
        model: The model's id.
        parameters: The model's parameters by name; text is converted, as from a command line,
            where the schema has another type.
        catalog: The known models; the bundled catalog by default.
        spell: Returns a parameter's name as the user writes it, for error messages.

    Returns:
        The validated request.

    Raises:
        InvalidRequest: With all problems, one per line.

    Example:
        >>> build_request("a dog", parameters={"seed": "7"}).input
        {'prompt': 'a dog', 'seed': 7}
    """
    models = catalog or bundled_catalog()
    known = models.model(model)
    values = read_parameters(known, parameters or {})
    unknown = [name for name in values if name == "prompt" or not known.takes(name)]
    problems = [_unknown_parameter(known, name, spell, models) for name in unknown]
    body = {name: value for name, value in values.items() if name not in unknown}
    body = {"prompt": _checked_prompt(prompt)} | body
    found = (message for _, message in _problems(known, body, spell))
    problems += list(dict.fromkeys(found))[:MAX_PROBLEMS]
    if problems:
        raise InvalidRequest("\n".join(problems))
    request = ImageRequest(known.id, body)
    try:
        request.canonical().encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(
            "The prompt or a parameter contains an invalid Unicode character (a lone surrogate)."
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        reason = sanitize(error, limit=120)
        raise InvalidRequest(f"The request can't be encoded as JSON: {reason}.") from None
    return request


def read_parameters(model: Model, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Convert parameters to the types of the model's schema, as `build_request` does.

    Args:
        model: The model.
        parameters: The parameters by name; text as from a command line, or JSON values.

    Example:
        >>> read_parameters(bundled_catalog().model("nano-banana"), {"seed": "7"})
        {'seed': 7}
    """
    schemas = model.parameters
    return {name: read_value(value, schemas.get(name)) for name, value in parameters.items()}


def problems_by_parameter(
    model: Model, body: Mapping[str, Any], spell: Callable[[str], str] = str
) -> dict[str, list[str]]:
    """Return what is wrong with a model's input, in the words of `build_request`.

    Args:
        model: The model.
        body: The prompt, and the parameters as `read_parameters` returns them.
        spell: Returns a parameter's name as the user knows it.

    Returns:
        The messages for each parameter with a problem; those that concern no single parameter have
        an empty name.

    Example:
        >>> model = bundled_catalog().model("nano-banana")
        >>> problems_by_parameter(model, {"prompt": "a dog", "num_images": 9})
        {'num_images': ['num_images must be at most 4 for nano-banana (got 9).']}
    """
    problems: dict[str, list[str]] = {}
    for name in body:
        if name != "prompt" and not model.takes(name):
            problems[name] = [_unknown_parameter(model, name, spell, bundled_catalog())]
    known = {name: value for name, value in body.items() if name not in problems}
    for names, message in _problems(model, known, spell):
        for name in names:
            messages = problems.setdefault(name, [])
            if message not in messages:
                messages.append(message)
    return problems


def recorded(value: Any) -> Any:
    """Replace data URIs by their digests, and remove queries of URLs, which may be signed.

    Args:
        value: A parameter's value, or what the user called an image.

    Example:
        >>> recorded(["dog.png", "https://example.com/dog.png?signature=1"])
        ['dog.png', 'https://example.com/dog.png?…']
    """
    if isinstance(value, list):
        return [recorded(item) for item in value]
    if isinstance(value, dict):
        return {name: recorded(item) for name, item in value.items()}
    if isinstance(value, str) and value.lstrip()[:5].lower() == "data:":
        digest = hashlib.sha256(value.encode()).hexdigest()
        return f"{value.partition(',')[0][:60]},sha256={digest}"
    if isinstance(value, str) and re.match(r"(?i)\s*https?://", value):
        return without_queries(re.sub(r"[?#].*", "?…", value, flags=re.DOTALL))
    return value


def _shortened(value: Any) -> Any:
    """Shorten long data URIs to their start and length."""
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, str) and value[:5].lower() == "data:" and len(value) > 120:
        return f"{value[:60]}… ({len(value)} characters)"
    return value


def _checked_prompt(prompt: str) -> str:
    """Strip blank lines; raises for an empty prompt, which would be charged."""
    lines = prompt.split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    if not lines:
        raise InvalidRequest("The prompt is empty: write it in the cell's body, below the magic.")
    return "\n".join(lines).removesuffix("\r")


def _unknown_parameter(
    model: Model, name: str, spell: Callable[[str], str], models: Catalog
) -> str:
    """Return the message for an unknown parameter, with this model's equivalent if any."""
    if name == "prompt":
        return f"{spell(name)}: the prompt is the cell's body, not a parameter."
    if name in IMAGES and model.image_parameter is None:
        sibling = f"{model.id}-edit"
        known = sibling in models.models and is_pasteable(sibling)
        cure = f" Use --model {sibling}." if known else ""
        return f"{spell(name)}: {quoted(model.id)} does not accept images.{cure}"
    message = f"{spell(sanitize(name, limit=60))} is not a parameter of {quoted(model.id)}"
    similar = [other for other in model.parameters if {name, other} <= _SIZE_PARAMETERS]
    if similar:
        return f"{message}; it has {'; '.join(_with_values(model, other) for other in similar)}."
    return f"{message}. {nearest(name, model.parameters)}"


def _with_values(model: Model, name: str) -> str:
    """Return a parameter's name, with its allowed values if they are enumerated."""
    values = model.values(name)
    return f"{quoted(name)}: {listed(values)}" if values else quoted(name)


def _problems(
    model: Model, body: dict[str, Any], spell: Callable[[str], str]
) -> list[tuple[list[str], str]]:
    """Return all problems at once, each with its parameters, so that they can be fixed in one go.

    A problem that concerns no single parameter has an empty name.
    """
    try:
        return [
            (_parameters_of(error), _message(error, model, spell))
            for error in find_errors(model.input_schema, body)
        ]
    except (ArithmeticError, ValueError, RecursionError) as error:
        # such as 10**400, NaN or a recursive value, which JSON can't represent
        reason = sanitize(error, limit=80)
        message = f"A value for {quoted(model.id)} is too large, too deep or not a number"
        return [([""], f"{message} ({reason}).")]


def _parameters_of(error: ValidationError) -> list[str]:
    """Return the parameters that an error is about."""
    if error.path:
        return [str(error.path[0])]
    if error.validator == "required":
        required: Any = error.validator_value
        given: Any = error.instance
        return [str(name) for name in required if name not in given]
    return [""]


def _spelled(name: Any, spell: Callable[[str], str]) -> str:
    """Spell a parameter as the user types it; quote a name that can't be typed."""
    return spell(str(name)) if is_pasteable(name) else quoted(name, limit=60)


_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
}
_LENGTHS = {
    "minLength": ("at least", "character"),
    "maxLength": ("at most", "character"),
    "minItems": ("at least", "item"),
    "maxItems": ("at most", "item"),
}
"""Limits in words, by their keyword in a schema."""


def _message(error: ValidationError, model: Model, spell: Callable[[str], str]) -> str:
    """Translate a validation error to the user's terms: options and values."""
    rule: str = str(error.validator)
    limit: Any = error.validator_value
    given: Any = error.instance
    model_id = quoted(model.id)
    if rule == "required":
        missing = listed((_spelled(name, spell) for name in limit if name not in given), limit=80)
        return f"{model_id} requires {missing}."
    name = _spelled(error.path[0] if error.path else "input", spell)
    given = _head(given)
    text = given if isinstance(given, str) else json_text(given)
    text = sanitize(text, limit=60)
    got = f"(got '{text}')" if isinstance(given, str) else f"(got {text})"
    if rule == "enum":
        known = [str(value) for value in limit]
        suggestion = nearest(text, known)
        hint = f" {suggestion}" if suggestion.startswith("Did") else ""
        return f"{name} must be one of {listed(known)} for {model_id} {got}.{hint}"
    if rule == "type":
        rule, kinds = "anyOf", limit if isinstance(limit, list) else [limit]
        limit = [{"type": kind} for kind in kinds]
    if rule in ("anyOf", "oneOf") and (expected := alternatives(limit)) != "any":
        return f"{name} must be {expected} for {model_id} {got}."
    if rule in _BOUNDS:
        bound = f"{_BOUNDS[rule]} {sanitize(limit, limit=40)}"
        return f"{name} must be {bound} for {model_id} {got}."
    if rule in _LENGTHS:
        bound, unit = _LENGTHS[rule]
        return f"{name} must have {bound} {counted(limit, unit)} for {model_id} {got}."
    return f"{name} is invalid for {model_id} {got}: {sanitize(error.message, limit=120)}."


def _head(value: Any) -> Any:
    """Return the start of a value, enough for a message; the value may be megabytes long."""
    if isinstance(value, str):
        return value[:2000]
    if isinstance(value, list):
        return [_head(item) for item in value[:20]]
    return (
        {name: _head(value[name]) for name in [*value][:20]} if isinstance(value, dict) else value
    )
