"""One ``%%mountsea`` cell: its prompts become requests, which are all checked, and then run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidRequest
from ..generation.handle import Generation
from ..hub.responses import SUBMIT_PATH
from ..images.user_paths import output_folder
from ..request.prepare import prepare
from ..request.request import ImageRequest, build_request
from ..runtime.printing import echo
from ..runtime.text import json_text
from ..session import current_session
from ..settings import DEFAULT_BASE_URL, Settings
from .batch_view import RunOptions
from .caller import CallerNames, bind
from .options import CellOptions, spell_option
from .runner import run
from .templates import render, split_prompts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(frozen=True, slots=True)
class Defaults:
    """What ``%config MountseaMagics`` says, for what the line leaves open.

    Attributes:
        model: The model's id.
        preview: The longest side of the previews, in pixels.
        timeout: How long to wait, in seconds.
        runner: ``thread`` or ``nested``.
    """

    model: str
    preview: int
    timeout: float
    runner: str


def run_cell(shell: InteractiveShell, options: CellOptions, cell: str, defaults: Defaults) -> None:
    """Order what a cell asks for, wait, and show it.

    Args:
        shell: The user's shell, for names and output.
        options: The cell's line.
        cell: The cell's body.
        defaults: What holds where the line says nothing.

    Raises:
        MountseaError: What went wrong; the images that were had before are shown.
        Interrupted: If the cell was interrupted.
    """
    settings = current_session().settings()
    names = CallerNames.of_caller(shell.user_ns)
    requests = _requests(names, options, cell, defaults, settings)
    for request in requests:
        settings.refuse_key_in(request.canonical())
    if options.dry_run:
        echo("\n\n".join(describe(request, settings) for request in requests))
        return
    settings.require_key()
    copies = None if options.save is None else output_folder(options.save, label="--save")
    generations = [Generation(request, is_demo=settings.is_demo) for request in requests]
    for generation in generations:
        generation.preview_px = defaults.preview if options.preview is None else options.preview
    if options.out is not None:
        result = generations if len(generations) > 1 else generations[0]
        bind(shell.user_ns, options.out, result)
    how = RunOptions(
        timeout_s=defaults.timeout if options.timeout is None else options.timeout,
        runner=defaults.runner,
        quiet=options.quiet,
        fresh=options.fresh,
        cache=options.cache,
        copies=copies,
        background=options.background,
    )
    run(shell, generations, settings, how)


def describe(request: ImageRequest, settings: Settings) -> str:
    """Write a request down as it would be sent, and as a curl command; the key is a variable.

    Input images are but named: ten megabytes of base64 are nothing to read.

    Args:
        request: The request.
        settings: Which Hub; for the demo Hub the command names the real one.
    """
    base_url = DEFAULT_BASE_URL if settings.is_demo else settings.base_url
    sent = request.body() | {"input": request.for_the_screen()}
    body = json_text(sent, indent=2)
    count = request.image_count
    return "\n".join(
        [
            f"POST {base_url}{SUBMIT_PATH}",
            body,
            "",
            f"curl --request POST --url {shlex.quote(base_url + SUBMIT_PATH)} \\",
            '  --header "Authorization: Bearer $MOUNTSEA_API_KEY" \\',
            "  --header 'Content-Type: application/json' \\",
            f"  --data-raw {shlex.quote(json_text(sent))}",
            "",
            f"{count} image{'s' if count != 1 else ''}; nothing was sent.",
        ]
    )


def _requests(
    names: CallerNames,
    options: CellOptions,
    cell: str,
    defaults: Defaults,
    settings: Settings,
) -> list[ImageRequest]:
    """All prompts are checked before the first is sent: half a cell is the dearest kind."""
    model = defaults.model if options.model is None else options.model
    catalog = current_session().catalog_for(settings, model, options.parameters)
    parameters = prepare(
        catalog.model(model),
        options.parameters,
        images=options.images,
        shrink=options.shrink,
        variables=names,
        spell=spell_option,
    )
    requests = []
    prompts = [cell] if options.raw else split_prompts(cell)
    for number, prompt in enumerate(prompts, start=1):
        try:
            requests.append(
                build_request(
                    prompt if options.raw else render(prompt, names),
                    model=model,
                    parameters=parameters,
                    catalog=catalog,
                    spell=spell_option,
                )
            )
        except InvalidRequest as error:
            if len(prompts) == 1:
                raise
            raise InvalidRequest(f"Prompt {number}: {error}") from error.__cause__
    return requests
