"""Cells in a shell without a kernel: run them, and see what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.generation.handle import Generation
from mountsea_magic.notebook.options import parse_cell_line, spell_option
from mountsea_magic.request.prepare import prepare
from mountsea_magic.request.request import DEFAULT_MODEL, ImageRequest, build_request
from mountsea_magic.session import current_session
from mountsea_magic.settings import Settings

FAILED = {"status": "failed", "ready": True, "error_message": "no dogs"}
"""What the Hub says of a task that failed."""


def run_cell(shell: InteractiveShell, body: str = "a dog", line: str = "") -> list[Generation]:
    """Run a cell that binds ``dogs``, and return its handles."""
    shell.run_cell_magic("mountsea", f"-o dogs {line}", body)  # type: ignore[no-untyped-call]  # IPython's is so
    return handles(shell)


def handles(shell: InteractiveShell) -> list[Generation]:
    """Return what the cell bound, be it one or a list."""
    bound: Any = shell.user_ns["dogs"]
    return bound if isinstance(bound, list) else [bound]


def prompts(hub: StandInHub) -> list[str]:
    """Return the prompts that were ordered, in the order in which they came."""
    return [seen.json["input"]["prompt"] for seen in hub.posts]


def composed(
    line: str, body: str, settings: Settings, variables: Mapping[str, Any] | None = None
) -> ImageRequest:
    """Go a cell's way as far as its request: what would be sent."""
    options = parse_cell_line(line)
    model = DEFAULT_MODEL if options.model is None else options.model
    catalog = current_session().catalog_for(settings, model, options.parameters)
    given = prepare(
        catalog.model(model),
        options.parameters,
        images=options.images,
        shrink=options.shrink,
        variables=variables,
        spell=spell_option,
    )
    return build_request(body, model=model, parameters=given, catalog=catalog, spell=spell_option)
