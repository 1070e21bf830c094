"""The request: a model and its input, checked against its schema before anything is sent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.redaction import without_queries
from ..runtime.text import is_pasteable, json_text, listed, quoted, sanitize
from .catalog import IMAGES, Catalog, Model, bundled_catalog, nearest
from .coercion import TYPE_IN_WORDS, alternatives, read_value
from .schema import find_errors

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

DEFAULT_MODEL = "nano-banana"

MAX_PROBLEMS = 20
"""How many mistakes are named at once."""

_SHAPES = frozenset({"aspect_ratio", "image_size", "resolution", "size", "ratio"})


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One order: what is sent as the body of ``POST /hub/v1/image``.

    Attributes:
        model: The model's id.
        input: The prompt and the parameters that were set, of JSON types; nothing else is sent.

    Example:
        >>> request = build_request("a dog", parameters={"num_images": 2})
        >>> request.body()
        {'model': 'nano-banana', 'input': {'prompt': 'a dog', 'num_images': 2}}
    """

    model: str
    input: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """The prompt, as it is sent."""
        return str(self.input.get("prompt", ""))

    @property
    def image_count(self) -> int:
        """How many images are asked for; one, where that is no number."""
        count = self.input.get("num_images", 1)
        return count if isinstance(count, int) and not isinstance(count, bool) else 1

    def body(self) -> dict[str, Any]:
        """Return the body of the submission (documented: exactly these two members)."""
        return {"model": self.model, "input": dict(self.input)}

    def canonical(self) -> str:
        """Return the body as canonical JSON: equal requests give equal text."""
        return json.dumps(
            self.body(), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
        )

    def fingerprint(self) -> str:
        """Return what two equal requests share: input images count by their content.

        Example:
            >>> build_request("a dog").fingerprint() == build_request("a dog").fingerprint()
            True
        """
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def for_the_screen(self) -> dict[str, Any]:
        """Return the input as it may be shown: the bytes of images are counted, not written."""
        return {
            name: value if name == "prompt" else _shortened(value)
            for name, value in self.input.items()
        }

    def for_the_record(self) -> dict[str, Any]:
        """Return the input as it may be written down: no image's bytes, no signed address."""
        return {
            name: value if name == "prompt" else _recorded(value)
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
    """Check a prompt and its parameters against the model's schema, and make a request of them.

    Args:
        prompt: What the image shows; leading and trailing blank lines go.
        model: The model's id.
        parameters: The model's parameters by name; text is taken as typed on a command line
            where the schema wants another type.
        catalog: The models to choose from; the bundled ones if left out.
        spell: How the user wrote a parameter's name, for the error messages.

    Raises:
        InvalidRequest: With all problems at once, in the user's words.
    """
    models = catalog or bundled_catalog()
    known = models.model(model)
    values = {
        name: read_value(value, known.parameters.get(name))
        for name, value in (parameters or {}).items()
    }
    unknown = [name for name in values if name == "prompt" or not known.takes(name)]
    problems = [_unknown_parameter(known, name, spell, models) for name in unknown]
    body = {name: value for name, value in values.items() if name not in unknown}
    body = {"prompt": _checked_prompt(prompt)} | body
    problems += _problems(known, body, spell)
    if problems:
        raise InvalidRequest("\n".join(problems))
    request = ImageRequest(known.id, body)
    try:
        request.canonical().encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(
            "The request holds half a character (a lone surrogate), which no JSON text can bear."
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        said = sanitize(error, limit=120)
        raise InvalidRequest(f"The request can't be written as JSON: {said}.") from None
    return request


def _recorded(value: Any) -> Any:
    """A data URI becomes its digest, and an address loses the query that may open it."""
    if isinstance(value, list):
        return [_recorded(item) for item in value]
    if isinstance(value, dict):
        return {name: _recorded(item) for name, item in value.items()}
    if isinstance(value, str) and value.lstrip()[:5].lower() == "data:":
        digest = hashlib.sha256(value.encode()).hexdigest()
        return f"{value.partition(',')[0][:60]},sha256={digest}"
    if isinstance(value, str) and re.match(r"(?i)\s*https?://", value):
        return without_queries(re.sub(r"[?#].*", "?…", value, flags=re.DOTALL))
    return value


def _shortened(value: Any) -> Any:
    """The head of a data URI tells what it is."""
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, str) and value[:5].lower() == "data:" and len(value) > 120:
        return f"{value[:60]}… ({len(value)} characters)"
    return value


def _checked_prompt(prompt: str) -> str:
    """An empty prompt would be paid for."""
    lines = prompt.split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    if not lines:
        raise InvalidRequest("There is no prompt: write it in the cell's body, below the magic.")
    return "\n".join(lines).removesuffix("\r")


def _unknown_parameter(
    model: Model, name: str, spell: Callable[[str], str], models: Catalog
) -> str:
    """A parameter of another model is the usual slip: say what this one has."""
    if name == "prompt":
        return f"{spell(name)}: the prompt is the cell's body."
    if name in IMAGES and model.image_parameter is None:
        sibling = f"{model.id}-edit"
        known = sibling in models.models and is_pasteable(sibling)
        cure = f" Use --model {sibling}." if known else ""
        return f"{spell(name)}: {quoted(model.id)} takes no images.{cure}"
    said = f"{spell(sanitize(name, limit=60))} is not a parameter of {quoted(model.id)}"
    kin = [other for other in model.parameters if name in _SHAPES and other in _SHAPES]
    if kin:
        return f"{said}; it has {'; '.join(_with_values(model, other) for other in kin)}."
    return f"{said}. {nearest(name, model.parameters)}"


def _with_values(model: Model, name: str) -> str:
    """A parameter with what it takes, where that is a closed list."""
    values = model.values(name)
    return f"{quoted(name)}: {listed(values)}" if values else quoted(name)


def _problems(model: Model, body: dict[str, Any], spell: Callable[[str], str]) -> list[str]:
    """All at once: a user who fixes one at a time grows tired of us."""
    try:
        errors = find_errors(model.input_schema, body)
        return list(dict.fromkeys(_in_words(error, model, spell) for error in errors))[
            :MAX_PROBLEMS
        ]
    except (ArithmeticError, ValueError, RecursionError) as error:
        # numbers such as 10**400 or NaN, which no JSON can bear, and values without an end
        reason = sanitize(error, limit=80)
        return [f"A value is too large, too deep or no number for {quoted(model.id)} ({reason})."]


def _spelled(name: Any, spell: Callable[[str], str]) -> str:
    """A schema may name a parameter as nobody can type it."""
    return spell(str(name)) if is_pasteable(name) else quoted(name, limit=60)


def _in_words(error: ValidationError, model: Model, spell: Callable[[str], str]) -> str:
    """The validator speaks of schemas and instances; the user typed options and values."""
    rule: str = str(error.validator)
    limit: Any = error.validator_value
    given: Any = error.instance
    model_id = quoted(model.id)
    if rule == "required":
        missing = listed((_spelled(name, spell) for name in limit if name not in given), limit=80)
        return f"{model_id} needs {missing}: it is missing."
    name = _spelled(error.path[0] if error.path else "input", spell)
    given = _head(given)
    text = given if isinstance(given, str) else json_text(given)
    said = sanitize(text, limit=60)
    if rule == "enum":
        known = [str(value) for value in limit]
        close = nearest(said, known)
        hint = f" {close}" if close.startswith("Did") else ""
        return f"{name} {said}: {model_id} takes one of {listed(known)}.{hint}"
    if rule in ("anyOf", "oneOf"):
        return f"{name} {said}: {model_id} takes {alternatives(limit)}."
    reason = {"minimum": "at least ", "maximum": "at most "}.get(rule)
    if reason is not None:
        reason += sanitize(limit, limit=40)
    if rule == "type":
        reason = TYPE_IN_WORDS.get(str(limit), sanitize(limit, limit=120))
    return f"{name} {said}: {reason or sanitize(error.message, limit=120)} for {model_id}."


def _head(value: Any) -> Any:
    """Enough of a value to be recognized: what is shown of it is short, and it may be megabytes."""
    if isinstance(value, str):
        return value[:2000]
    if isinstance(value, list):
        return [_head(item) for item in value[:20]]
    return (
        {name: _head(value[name]) for name in [*value][:20]} if isinstance(value, dict) else value
    )
