"""The command ``models``: what the Hub offers, and what each model takes."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from .catalog import Model
from .errors import plain
from .front_end import front_end
from .options import SWITCHES, spell_option
from .printing import echo
from .progress import TEXT_ONLY
from .reading import alternatives
from .session import CURRENT

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_CELL = 'style="text-align:left; vertical-align:top"'


def show_models(shell: InteractiveShell, model_id: str | None, *, refresh: bool) -> None:
    """Show all models as a table, or one with its parameters and a cell to paste.

    Args:
        shell: The user's shell: a notebook gets HTML.
        model_id: The model, or None for all.
        refresh: Ask the Hub first.

    Raises:
        MountseaError: If there is no such model, or the Hub could not be asked.
    """
    settings = CURRENT.settings()
    if refresh:

        async def ask() -> None:
            await CURRENT.catalogs.refresh(settings, CURRENT.connections.client(settings))

        CURRENT.worker.run(ask())
        for text in CURRENT.catalogs.notices():
            echo(f"Note: {text}.")
    rows: Sequence[Sequence[str]]
    heads: tuple[str, ...]
    if model_id is not None:
        model = CURRENT.catalogs.current(settings).model(model_id)
        rows, text, note = _parameter_rows(model), _described(model), _headline(model)
        after = f"<pre>{html.escape(_example(model))}</pre>"
        heads = ("parameter", "type", "default", "what it does")
    else:
        rows, text, after = _model_rows(), models_text(), ""
        note, heads = _origin(), ("model", "name", "vendor", "mode", "good at", "parameters")
    if not front_end(shell).notebook:
        echo(text)
        return
    from IPython.display import display

    table = _table(heads, rows)
    page = f'<div class="{TEXT_ONLY}"><p>{html.escape(note)}</p>{table}{after}</div>'
    display({"text/html": page, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]  # IPython's display bears no types


def models_text() -> str:
    """Write the table of models as text, a paragraph each."""
    lines = [_origin()]
    for model_id, name, vendor, mode, summary, parameters in _model_rows():
        lines += [f"{model_id}  ({', '.join(filter(None, (name, vendor, mode)))})"]
        lines += [f"    {summary}"] if summary else []
        lines += [f"    {parameters}"]
    return "\n".join(lines)


def model_text(model_id: str) -> str:
    """Write down what a model takes, and a cell to paste.

    Raises:
        InvalidRequest: If there is no such model; names the nearest.
    """
    return _described(CURRENT.catalogs.current(CURRENT.settings()).model(model_id))


def _described(model: Model) -> str:
    """A paragraph a parameter, and the example below them."""
    rows = _parameter_rows(model)
    width = max((len(row[0]) for row in rows), default=0)
    lines = [
        f"  {name:<{width}}  {'; '.join(filter(None, (kind, default and f'default {default}')))}"
        + (f"\n  {'':<{width}}  {text}" if text else "")
        for name, kind, default, text in rows
    ]
    return "\n".join([_headline(model), *lines, "", _example(model)])


def _origin() -> str:
    """Whoever sees a list of models should know how old it is."""
    live = CURRENT.catalogs.live(CURRENT.settings())
    if not live.date:
        return "As bundled with this package; `%mountsea models --refresh` asks the Hub."
    return f"As the Hub said on {datetime.fromtimestamp(live.date):%Y-%m-%d %H:%M}."


def _model_rows() -> list[tuple[str, ...]]:
    """What the Hub does not list any more is said to be so."""
    settings = CURRENT.settings()
    listed = CURRENT.catalogs.live(settings).listed
    return [
        (
            model.id,
            model.name,
            model.vendor,
            model.mode,
            model.summary
            if not listed or model.id in listed
            else f"{model.summary} (not listed by the Hub)",
            plain(", ".join(model.parameters), limit=1000) or "any",
        )
        for model in CURRENT.catalogs.current(settings)
    ]


def _parameter_rows(model: Model) -> list[tuple[str, str, str, str]]:
    """Name as typed, type and range, default, description."""
    required = model.input_schema.get("required", [])
    return [
        (
            spell_option(plain(name)),
            plain(_type_in_words(model, name), limit=1000)
            + (", required" if name in required else ""),
            "" if "default" not in schema else plain(json.dumps(schema["default"])),
            plain(schema.get("description", "")),
        )
        for name, schema in model.parameters.items()
    ]


def _type_in_words(model: Model, name: str) -> str:
    """A closed list says more than a type."""
    schema = model.parameters[name]
    options, values = schema.get("anyOf") or schema.get("oneOf"), model.values(name)
    if isinstance(options, list):
        return plain(alternatives(options), limit=1000)
    if values and schema.get("type") != "boolean":
        return plain(f"one of {', '.join(values)}", limit=1000)
    kind = schema.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return plain(f"{words} {low} to {high}")
    bounds = [
        f"at least {low}" if low is not None else "",
        f"at most {high}" if high is not None else "",
    ]
    return plain(" ".join(filter(None, [words, *bounds])))


def _headline(model: Model) -> str:
    """The facts of a model in one line."""
    known = {"documented": "documented by the vendor", "live": "as this Hub says"}
    source = known.get(model.mark, "known of a neighbouring API")
    facts = [model.id, model.name, model.vendor, model.mode, model.summary, f"({source})"]
    return " · ".join(filter(None, map(plain, facts)))


def _example(model: Model) -> str:
    """The example as a cell to paste."""
    words = ["%%mountsea", "--model", shlex.quote(plain(model.id))]
    for name, value in model.example.items():
        if name == "prompt":
            continue
        option = spell_option(plain(name))
        for item in value if isinstance(value, list) and option == "--image" else [value]:
            text = plain(item if isinstance(item, str) else json.dumps(item), limit=2000)
            if value is True and name in SWITCHES:
                words.append(option)
            elif option.startswith("--") and name not in SWITCHES:
                words += [option, shlex.quote(text)]
            else:
                words += ["-p", shlex.quote(f"{plain(name)}={text}")]
    prompt = plain(model.example.get("prompt") or "A black lab swimming in a pool.", limit=2000)
    return f"{' '.join(words)}\n{prompt}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Everything in it is text, whatever the Hub says."""
    head = "".join(f'<th scope="col" {_CELL}>{html.escape(word)}</th>' for word in heads)
    body = "".join(
        "<tr>"
        + f'<th scope="row" {_CELL}><code>{html.escape(row[0])}</code></th>'
        + "".join(f"<td {_CELL}>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
