"""One ``%%mountsea`` cell: build and validate a request for each prompt, then run them."""

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
    """The values of ``%config MountseaMagics``, for options that the line does not set.

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
    """Submit the requests of a cell, wait for them, and show the images.

    Args:
        shell: The user's shell, for names and output.
        options: The cell's parsed line.
        cell: The cell's body.
        defaults: The values of options that the line does not set.

    Raises:
        MountseaError: If a request is not valid or fails; images completed until then are shown.
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
    run_options = RunOptions(
        timeout_s=defaults.timeout if options.timeout is None else options.timeout,
        runner=defaults.runner,
        quiet=options.quiet,
        fresh=options.fresh,
        cache=options.cache,
        copies=copies,
        background=options.background,
    )
    run(shell, generations, settings, run_options)


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
    names: CallerNames,
    options: CellOptions,
    cell: str,
    defaults: Defaults,
    settings: Settings,
) -> list[ImageRequest]:
    """Validate every prompt before submitting any, so that a typo never leaves a half-paid cell."""
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
