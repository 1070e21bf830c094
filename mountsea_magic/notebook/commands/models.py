"""The command ``models``: lists the models, or the parameters of one."""

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
"""The maximum number of models or parameters in a table; the last row counts the rest."""

_CELL = 'style="text-align:left; vertical-align:top"'


def show_models(shell: InteractiveShell, model_id: str | None, *, refresh: bool) -> None:
    """Show all models as a table, or one with its parameters and an example cell.

    Args:
        shell: The user's shell: a notebook gets HTML.
        model_id: The model, or None for all.
        refresh: Update the models from the Hub first.

    Raises:
        MountseaError: If the model is unknown, or the request to the Hub fails.
    """
    session = current_session()
    settings = session.settings()
    if refresh:

        async def refresh_models() -> None:
            await session.registry.refresh(settings, session.clients.client(settings))

        session.worker.run(refresh_models())
        for text in session.registry.notices():
            echo(f"Note: {text}.")
    rows: Sequence[Sequence[str]]
    headers: tuple[str, ...]
    if model_id is not None:
        model = session.registry.current(settings).model(model_id)
        rows, text, note = _parameter_rows(model), _describe(model), _headline(model)
        cell, left_out = example_cell(model)
        after = "".join(f"<p>{escape_html(line)}</p>" for line in left_out)
        after += f"<pre>{escape_html(cell)}</pre>" if cell else ""
        headers = ("parameter", "type", "default", "description")
    else:
        rows, text, after = _model_rows(), models_text(), ""
        note = _origin()
        headers = ("model", "name", "vendor", "mode", "strengths", "parameters")
    if not front_end(shell).notebook:
        echo(text)
        return
    from IPython.display import display

    table = _table(headers, rows)
    page = f'<div class="{TEXT_ONLY}"><p>{escape_html(note)}</p>{table}{after}</div>'
    display({"text/html": page, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]  # IPython's display is untyped


def models_text() -> str:
    """Return the models as text, one paragraph each."""
    lines = [_origin()]
    for model_id, name, vendor, mode, summary, parameters in _model_rows():
        names = ", ".join(filter(None, (name, vendor, mode)))
        lines += [f"{model_id}  ({names})" if names else model_id]
        lines += [f"    {summary}"] if summary else []
        lines += [f"    {parameters}"]
    return "\n".join(lines)


def model_text(model_id: str) -> str:
    """Return a model's parameters as text, and an example cell.

    Raises:
        InvalidRequest: If the model is unknown; the message names the closest.
    """
    session = current_session()
    return _describe(session.registry.current(session.settings()).model(model_id))


def _describe(model: Model) -> str:
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
    """Return where the list comes from, and its date."""
    live = current_session().registry.live(current_session().settings())
    if not live.date:
        return "Bundled with this package. `%mountsea models --refresh` updates it from the Hub."
    return f"As reported by the Hub on {datetime.fromtimestamp(live.date):%Y-%m-%d %H:%M}."


def _model_rows() -> list[tuple[str, ...]]:
    settings = current_session().settings()
    reported = frozenset(current_session().registry.live(settings).listed)
    models = list(current_session().registry.current(settings))
    rows: list[tuple[str, ...]] = [
        (
            quoted(model.id),
            sanitize(model.name, limit=100),
            sanitize(model.vendor, limit=100),
            sanitize(model.mode, limit=100),
            sanitize(model.summary)
            if not reported or model.id in reported
            else f"{sanitize(model.summary)} (not listed by the Hub)",
            listed(model.parameters) or "any",
        )
        for model in models[:MAX_ROWS]
    ]
    if len(models) > MAX_ROWS:
        rows.append(("…", "", "", "", f"and {len(models) - MAX_ROWS:,} more models", ""))
    return rows


def _parameter_rows(model: Model) -> list[tuple[str, str, str, str]]:
    """Return option, type and range, default and description of each parameter."""
    required = model.input_schema.get("required", [])
    parameters = model.parameters
    rows = [
        (
            spell_option(name) if is_pasteable(name) else quoted(name, limit=60),
            sanitize(_type_text(model, name), limit=1000)
            + (", required" if name in required else ""),
            "" if "default" not in schema else sanitize(json.dumps(schema["default"])),
            sanitize_inline(schema.get("description", "")),
        )
        for name, schema in islice(parameters.items(), MAX_ROWS)
    ]
    if len(parameters) > MAX_ROWS:
        rows.append(("…", f"and {len(parameters) - MAX_ROWS:,} more parameters", "", ""))
    return rows


def _type_text(model: Model, name: str) -> str:
    """Return a parameter's values if they are listed, else its type and range."""
    schema = model.parameters[name]
    options, values = schema.get("anyOf") or schema.get("oneOf"), model.values(name)
    if isinstance(options, list):
        return sanitize(alternatives(options), limit=1000)
    if values and schema.get("type") != "boolean":
        return sanitize(f"one of {listed(values)}", limit=1000)
    kind = schema.get("type", "any")
    name_of_type = " or ".join(kind) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return sanitize(f"{name_of_type} {low} to {high}")
    bounds = [
        f"at least {low}" if low is not None else "",
        f"at most {high}" if high is not None else "",
    ]
    return sanitize(" ".join(filter(None, [name_of_type, *bounds])))


def _headline(model: Model) -> str:
    """Return a model's id, name, vendor, mode, summary and source in one line."""
    sources = {"documented": "documented by the vendor", "live": "reported by this Hub"}
    source = sources.get(model.mark, "taken from a similar API")
    parts = [quoted(model.id), model.name, model.vendor, model.mode, model.summary, f"({source})"]
    return " · ".join(filter(None, map(sanitize, parts)))


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table; all cells are escaped."""
    head = "".join(f'<th scope="col" {_CELL}>{escape_html(header)}</th>' for header in headers)
    body = "".join(
        "<tr>"
        + f'<th scope="row" {_CELL}><code>{escape_html(row[0])}</code></th>'
        + "".join(f"<td {_CELL}>{escape_html(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
