"""Run cells in an IPython shell without a kernel, and inspect the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.generation.batch import Batch
from mountsea_magic.generation.handle import Generation
from mountsea_magic.notebook.options import CellOptions, parse_cell_line, spell_option
from mountsea_magic.request.prepare import InputImages, prepare
from mountsea_magic.request.request import DEFAULT_MODEL, ImageRequest, build_request
from mountsea_magic.session import current_session
from mountsea_magic.settings import DEFAULT_PREVIEW_PX, DEFAULT_TIMEOUT_S, Settings

DEFAULTS = CellOptions(
    model=DEFAULT_MODEL, preview=DEFAULT_PREVIEW_PX, timeout=DEFAULT_TIMEOUT_S, runner="thread"
)
"""The options of a cell whose line is empty."""

FAILED = {"status": "failed", "ready": True, "error_message": "no dogs"}
"""The response to a poll of a failed task."""


def run_cell(shell: InteractiveShell, body: str = "a dog", line: str = "") -> list[Generation]:
    """Run a cell with ``-o dogs``, and return its handles."""
    shell.run_cell_magic("mountsea", f"-o dogs {line}", body)  # type: ignore[no-untyped-call]  # IPython has no annotation here
    return handles(shell)


def handles(shell: InteractiveShell) -> list[Generation]:
    """Return the handles that the cell has bound, as a list."""
    bound: Any = shell.user_ns["dogs"]
    return list(bound) if isinstance(bound, Batch) else [bound]


def prompts(hub: StandInHub) -> list[str]:
    """Return the submitted prompts, in order."""
    return [seen.json["input"]["prompt"] for seen in hub.posts]


def composed(
    line: str, body: str, settings: Settings, variables: Mapping[str, Any] | None = None
) -> ImageRequest:
    """Build the request that a cell would submit."""
    options = parse_cell_line(line, DEFAULTS)
    catalog = current_session().catalog_for(settings, options.model, options.parameters)
    given = prepare(
        catalog.model(options.model),
        options.parameters,
        sources=options.images,
        images=InputImages(variables, shrink=options.shrink),
        spell=spell_option,
    )
    return build_request(
        body, model=options.model, parameters=given, catalog=catalog, spell=spell_option
    )
