"""One ``%%mountsea`` cell: build and validate a request for each prompt, then run them."""

from __future__ import annotations

import shlex
from dataclasses import replace
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
from .caller import CallerNames, bind
from .options import CellOptions, spell_option
from .runner import run
from .templates import render, split_prompts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def run_cell(shell: InteractiveShell, options: CellOptions, cell: str) -> None:
    """Submit the requests of a cell, wait for them, and show the images.

    Args:
        shell: The user's shell, for names and output.
        options: The options of the cell's line.
        cell: The cell's body.

    Raises:
        MountseaError: If a request is not valid or fails; images completed until then are shown.
        Interrupted: If the cell was interrupted.
    """
    settings = current_session().settings()
    names = CallerNames.of_caller(shell.user_ns)
    requests = _requests(names, options, cell, settings)
    for request in requests:
        settings.refuse_key_in(request.canonical())
    if options.dry_run:
        echo("\n\n".join(describe(request, settings) for request in requests))
        return
    settings.require_key()
    if options.save is not None:
        options = replace(options, save=str(output_folder(options.save, label="--save")))
    generations = [Generation(request, is_demo=settings.is_demo) for request in requests]
    for generation in generations:
        generation.preview_px = options.preview
    if options.out is not None:
        result = generations if len(generations) > 1 else generations[0]
        bind(shell.user_ns, options.out, result)
    run(shell, generations, settings, options)


def describe(request: ImageRequest, settings: Settings) -> str:
    """Return a request as it would be sent, and as a curl command with the key as a variable.

    Input images are shortened: nobody reads ten megabytes of base64.

    Args:
        request: The request.
        settings: The settings; for the demo Hub the command contains the real Hub's URL.
    """
    base_url = DEFAULT_BASE_URL if settings.is_demo else settings.base_url
    payload = request.body() | {"input": request.for_the_screen()}
    body = json_text(payload, indent=2)
    count = request.image_count
    return "\n".join(
        [
            f"POST {base_url}{SUBMIT_PATH}",
            body,
            "",
            f"curl --request POST --url {shlex.quote(base_url + SUBMIT_PATH)} \\",
            '  --header "Authorization: Bearer $MOUNTSEA_API_KEY" \\',
            "  --header 'Content-Type: application/json' \\",
            f"  --data-raw {shlex.quote(json_text(payload))}",
            "",
            f"{count} image{'s' if count != 1 else ''}; nothing was sent.",
        ]
    )


def _requests(
    names: CallerNames, options: CellOptions, cell: str, settings: Settings
) -> list[ImageRequest]:
    """Validate every prompt before submitting any, so that a typo never leaves a half-paid cell."""
    catalog = current_session().catalog_for(settings, options.model, options.parameters)
    parameters = prepare(
        catalog.model(options.model),
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
                    model=options.model,
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
