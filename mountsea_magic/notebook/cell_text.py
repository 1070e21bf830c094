"""A request as the text of a ``%%mountsea`` cell that submits it: the inverse of `options`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import InvalidRequest
from ..request.catalog import Model, bundled_catalog
from ..request.coercion import read_value
from ..request.prepare import is_image_parameter
from ..runtime.text import json_text, quoted
from .options import FLAG_OPTIONS, VALUE_OPTIONS, spell_option

_CONTROL = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]"
"""Characters that end a line, for Python or in an editor, or can't be seen in one."""

_PASTED_PROMPT = r"\s*(?:\.{3}|(?:\[\w+\] )?In \[\d)"
"""A first line from which IPython would remove what looks like its own prompt."""


def cell_text(
    model: str | Model, prompt: str, parameters: Mapping[str, Any], images: Sequence[str] = ()
) -> str:
    r"""Return the ``%%mountsea`` cell that submits a request.

    Pasted and run, the cell submits the same body as `Session.build` does with these arguments:
    the prompt is literal, and values are read by the parameter's schema.

    Args:
        model: The model, or the id of a bundled one; of another id no schema is known.
        prompt: The prompt; its line endings become ``\n``, as in any cell.
        parameters: The parameters that are set, as typed or Python values.
        images: The input images for ``--image``: each a path, a URL or the name of a variable.

    Raises:
        InvalidRequest: If a parameter can't be written on the line of a cell, such as one with an
            object that is no JSON value; the message names it.

    Example:
        >>> print(cell_text("nano-banana", "A dog", {"aspect_ratio": "16:9", "sync_mode": False}))
        %%mountsea --model nano-banana --aspect-ratio 16:9 -p sync_mode=false
        A dog
        >>> print(cell_text("nano-banana-edit", "Show {{ x }}", {"seed": 7}, ["dog"]))
        %%mountsea --model nano-banana-edit --image dog --seed 7 --raw
        Show {{ x }}
    """
    if isinstance(model, str):
        model = bundled_catalog().models.get(model) or _without_schema(model)
    words = _option("--model", model.id)
    for image in images:
        # argparse takes a lone `--` for the end of the options
        words += _option("--image", "./--" if image == "--" else image)
    pieces = list(map(shlex.quote, words))
    for name, value in parameters.items():
        pieces += _parameter(model, name, value)
    body, is_raw = _body(prompt)
    pieces += ["--raw"] if is_raw else []
    line = " ".join(pieces)
    return f"%%mountsea {line if _is_left_alone(line) else _escaped(line)}\n{body}"


def parameter_words(name: str, value: Any, text: str) -> list[str]:
    """Return the words that set a parameter on the line, not yet quoted.

    Args:
        name: The parameter.
        value: Its value.
        text: The value as it is typed.

    Example:
        >>> parameter_words("seed", -7, "-7"), parameter_words("sync_mode", True, "true")
        (['--seed=-7'], ['--sync-mode'])
        >>> parameter_words("resolution", "2K", "2K")
        ['-p', 'resolution=2K']
    """
    if value is True and name in FLAG_OPTIONS:
        return [spell_option(name)]
    if name in VALUE_OPTIONS and text != "--":
        return _option(spell_option(name), text)
    return ["-p", f"{name}={text}"]


def _option(option: str, text: str) -> list[str]:
    """Return an option with its value, in one word if that would be taken for an option."""
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _parameter(model: Model, name: str, value: Any) -> Iterator[str]:
    """Yield the quoted words that set a parameter."""
    if not name or name != name.strip().replace("-", "_") or "=" in name:
        raise InvalidRequest(
            f"The parameter {quoted(name)} can't be set on the line of a cell, because of its "
            "name: use `mountsea_magic.generate`."
        )
    value, text = _typed(model, name, value)
    words = parameter_words(name, value, text)
    is_json = isinstance(value, dict | list) and words[0] == "-p" and shlex.quote(name) == name
    # `split_line` takes JSON without quotes
    yield from words if is_json else map(shlex.quote, words)


def _typed(model: Model, name: str, value: Any) -> tuple[Any, str]:
    """Return a parameter's value as it is sent, and the text that is read as it."""
    schema = model.parameters.get(name)
    try:
        if is_image_parameter(model, name):
            # text is a path or a URL, whatever the schema says, and a list is JSON
            if isinstance(value, str):
                return value, value
            json.dumps(value)
            if isinstance(value, list):
                return value, json_text(value)
        else:
            sent = read_value(value, schema)
            expected = json.dumps(sent)
            for text in [*([sent] if isinstance(sent, str) else []), json_text(sent)]:
                if json.dumps(read_value(text, schema)) == expected:
                    return sent, text
        reason = "no text is read as its value: use `mountsea_magic.generate`"
    except (TypeError, ValueError, RecursionError):
        reason = "its value is not JSON"
    raise InvalidRequest(
        f"{spell_option(name)} can't be written on the line of a cell, because {reason}."
    )


def _is_left_alone(line: str) -> bool:
    """Whether IPython, which expands ``{expr}`` and ``$name``, passes a line on as it is.

    It takes the inside of the first braces for an expression, and leaves the line alone if that
    fails. The inside of a JSON object, such as `"width": 64`, always fails.
    """
    if re.search(_CONTROL, line):
        return False
    first = re.search(r"[{}$]", line)
    if first is None:
        return True
    try:
        json.JSONDecoder().raw_decode(line, first.start())
    except (ValueError, RecursionError):
        return False
    return True


def _escaped(line: str) -> str:
    r"""Escape a line so that IPython's expansion gives it back.

    Braces are doubled. A dollar is doubled before a name, unless it is within single quotes, which
    IPython counts between two braces. A line break becomes an expression: ``{"\n"}``.
    """
    pieces = re.split(rf"([{{}}]|{_CONTROL})", line)
    pieces[::2] = (
        re.sub(
            r"\$(?=[\w.])",
            lambda found: "$" if found.string.count("'", found.end()) % 2 else "$$",
            text,
        )
        for text in pieces[::2]
    )
    pieces[1::2] = (
        char * 2 if char in "{}" else f"{{{json.dumps(char)}}}" for char in pieces[1::2]
    )
    return "".join(pieces)


def _body(prompt: str) -> tuple[str, bool]:
    """Return a prompt as the body of a cell, and whether the cell needs ``--raw``."""
    lines = re.split(r"\r\n?|\n", prompt)
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    text = "\n".join(lines)
    is_raw = "{{" in text or any(line.strip() == "---" for line in lines)
    # IPython empties lines of blanks, and removes what looks like Python's prompts
    is_changed = any(line and line.isspace() for line in lines)
    if is_changed or any(line.lstrip().startswith(">>>") for line in text.splitlines()):
        text, is_raw = "\n".join(map(_as_template, lines)), False
    if re.match(_PASTED_PROMPT, text):
        text = f"\n{text}"  # a first line that is blank is dropped
    return text, is_raw


def _as_template(line: str) -> str:
    """Return a template that gives a line back, with text in ``{{ }}`` where it is needed."""
    if line.strip() in ("", "---"):
        return _in_template(line) if line else ""
    return re.sub(r"\{{2,}|\{*>>>", lambda found: _in_template(found[0]), line)


def _in_template(text: str) -> str:
    return f"{{{{ {json.dumps(text)} }}}}"


def _without_schema(model_id: str) -> Model:
    """Return a model of which only the id is known."""
    return Model(model_id, model_id, "", "", "", "", {}, {})
