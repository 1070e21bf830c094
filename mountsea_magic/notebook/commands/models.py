"""The command ``models``: what the Hub offers, and what each model takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from ...request.catalog import Model
from ...request.coercion import alternatives
from ...runtime.printing import echo
from ...runtime.text import escape_html, is_pasteable, listed, quoted, sanitize, sanitize_inline
from ...session import current_session
from ..examples import example_cell
from ..frontend import front_end
from ..options import spell_option
from ..progress import TEXT_ONLY

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MAX_ROWS = 200
"""How many models, and how many parameters of one, are shown; the last row tells of the others."""

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
    session = current_session()
    settings = session.settings()
    if refresh:

        async def ask() -> None:
            await session.registry.refresh(settings, session.clients.client(settings))

        session.worker.run(ask())
        for text in session.registry.notices():
            echo(f"Note: {text}.")
    rows: Sequence[Sequence[str]]
    heads: tuple[str, ...]
    if model_id is not None:
        model = session.registry.current(settings).model(model_id)
        rows, text, note = _parameter_rows(model), _described(model), _headline(model)
        cell, left_out = example_cell(model)
        after = "".join(f"<p>{escape_html(line)}</p>" for line in left_out)
        after += f"<pre>{escape_html(cell)}</pre>" if cell else ""
        heads = ("parameter", "type", "default", "what it does")
    else:
        rows, text, after = _model_rows(), models_text(), ""
        note, heads = _origin(), ("model", "name", "vendor", "mode", "good at", "parameters")
    if not front_end(shell).notebook:
        echo(text)
        return
    from IPython.display import display

    table = _table(heads, rows)
    page = f'<div class="{TEXT_ONLY}"><p>{escape_html(note)}</p>{table}{after}</div>'
    display({"text/html": page, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]  # IPython's display bears no types


def models_text() -> str:
    """Write the table of models as text, a paragraph each."""
    lines = [_origin()]
    for model_id, name, vendor, mode, summary, parameters in _model_rows():
        names = ", ".join(filter(None, (name, vendor, mode)))
        lines += [f"{model_id}  ({names})" if names else model_id]
        lines += [f"    {summary}"] if summary else []
        lines += [f"    {parameters}"]
    return "\n".join(lines)


def model_text(model_id: str) -> str:
    """Write down what a model takes, and a cell to paste.

    Raises:
        InvalidRequest: If there is no such model; names the nearest.
    """
    session = current_session()
    return _described(session.registry.current(session.settings()).model(model_id))


def _described(model: Model) -> str:
    """A paragraph a parameter, and the example below them."""
    rows = _parameter_rows(model)
    width = max((len(row[0]) for row in rows), default=0)
    lines = [
        f"  {name:<{width}}  {'; '.join(filter(None, (kind, default and f'default {default}')))}"
        + (f"\n  {'':<{width}}  {text}" if text else "")
        for name, kind, default, text in rows
    ]
    cell, left_out = example_cell(model)
    return "\n".join([_headline(model), *lines, "", *left_out, cell])


def _origin() -> str:
    """Whoever sees a list of models should know how old it is."""
    live = current_session().registry.live(current_session().settings())
    if not live.date:
        return "As bundled with this package; `%mountsea models --refresh` asks the Hub."
    return f"As the Hub said on {datetime.fromtimestamp(live.date):%Y-%m-%d %H:%M}."


def _model_rows() -> list[tuple[str, ...]]:
    """What the Hub does not list any more is said to be so."""
    settings = current_session().settings()
    known = frozenset(current_session().registry.live(settings).listed)
    models = list(current_session().registry.current(settings))
    rows: list[tuple[str, ...]] = [
        (
            quoted(model.id),
            sanitize(model.name, limit=100),
            sanitize(model.vendor, limit=100),
            sanitize(model.mode, limit=100),
            sanitize(model.summary)
            if not known or model.id in known
            else f"{sanitize(model.summary)} (not listed by the Hub)",
            listed(model.parameters) or "any",
        )
        for model in models[:MAX_ROWS]
    ]
    if len(models) > MAX_ROWS:
        rows.append(("…", "", "", "", f"and {len(models) - MAX_ROWS:,} more models", ""))
    return rows


def _parameter_rows(model: Model) -> list[tuple[str, str, str, str]]:
    """Name as typed, type and range, default, description."""
    required = model.input_schema.get("required", [])
    parameters = model.parameters
    rows = [
        (
            spell_option(name) if is_pasteable(name) else quoted(name, limit=60),
            sanitize(_type_in_words(model, name), limit=1000)
            + (", required" if name in required else ""),
            "" if "default" not in schema else sanitize(json.dumps(schema["default"])),
            sanitize_inline(schema.get("description", "")),
        )
        for name, schema in islice(parameters.items(), MAX_ROWS)
    ]
    if len(parameters) > MAX_ROWS:
        rows.append(("…", f"and {len(parameters) - MAX_ROWS:,} more parameters", "", ""))
    return rows


def _type_in_words(model: Model, name: str) -> str:
    """A closed list says more than a type."""
    schema = model.parameters[name]
    options, values = schema.get("anyOf") or schema.get("oneOf"), model.values(name)
    if isinstance(options, list):
        return sanitize(alternatives(options), limit=1000)
    if values and schema.get("type") != "boolean":
        return sanitize(f"one of {listed(values)}", limit=1000)
    kind = schema.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return sanitize(f"{words} {low} to {high}")
    bounds = [
        f"at least {low}" if low is not None else "",
        f"at most {high}" if high is not None else "",
    ]
    return sanitize(" ".join(filter(None, [words, *bounds])))


def _headline(model: Model) -> str:
    """The facts of a model in one line."""
    known = {"documented": "documented by the vendor", "live": "as this Hub says"}
    source = known.get(model.mark, "known of a neighbouring API")
    facts = [quoted(model.id), model.name, model.vendor, model.mode, model.summary, f"({source})"]
    return " · ".join(filter(None, map(sanitize, facts)))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Everything in it is text, whatever the Hub says."""
    head = "".join(f'<th scope="col" {_CELL}>{escape_html(word)}</th>' for word in heads)
    body = "".join(
        "<tr>"
        + f'<th scope="row" {_CELL}><code>{escape_html(row[0])}</code></th>'
        + "".join(f"<td {_CELL}>{escape_html(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
