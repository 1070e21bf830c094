"""The magics ``%%mountsea`` and ``%mountsea``: their traits, loading and unloading."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from traitlets import Enum, Float, Integer, Unicode, observe

from ..defaults import (
    DEFAULT_CONCURRENCY,
    DEFAULT_CONFIRM_ABOVE,
    DEFAULT_POLLS_PER_S,
    DEFAULT_PREVIEW_PX,
    DEFAULT_TIMEOUT_S,
    MAX_BUDGET,
)
from ..errors import ConfigurationError, Interrupted, MountseaError
from ..runtime.environment import variable
from ..runtime.printing import echo
from .completer import install, remove
from .preload import Preload

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .options import CellOptions


@contextmanager
def _short_errors() -> Iterator[None]:
    """Turn an interrupt outside of the wait into a short error, and redact the key in errors.

    An error can quote the line, into which IPython may have expanded a variable with the key.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted("Stopped. `%mountsea` shows the tasks that are still open.") from None
    except MountseaError as error:
        from ..session import current_session

        with suppress(ConfigurationError):
            current_session().settings().redact_key_in(error)
        raise


@magics_class
class MountseaMagics(Magics):
    """Images from the Mountsea Hub.

    Example:
        >>> from IPython.core.interactiveshell import InteractiveShell  # doctest: +SKIP
        >>> load(InteractiveShell.instance())  # doctest: +SKIP
    """

    model = Unicode("nano-banana", help="The default model.").tag(config=True)
    preview = Integer(
        DEFAULT_PREVIEW_PX, min=0, help="The longest side of previews, in pixels."
    ).tag(config=True)
    timeout = Float(DEFAULT_TIMEOUT_S, min=0.1, help="How long a cell waits, in seconds.").tag(
        config=True
    )
    runner = Enum(
        ["thread", "nested"],
        default_value="thread",
        help="Wait on a thread, or nested in the kernel's event loop, so that asyncio tasks go on.",
    ).tag(config=True)
    concurrency = Integer(
        DEFAULT_CONCURRENCY, min=1, help="How many tasks of a cell run at once."
    ).tag(config=True)
    confirm_above = Integer(
        DEFAULT_CONFIRM_ABOVE, min=0, help="A cell asks before it orders more images than this."
    ).tag(config=True)
    polls_per_second = Float(
        DEFAULT_POLLS_PER_S, min=0.1, help="How many polls a second the tasks of a cell make."
    ).tag(config=True)
    budget = Integer(
        None, allow_none=True, min=0, max=MAX_BUDGET, help="The limit of images in 24 hours."
    ).tag(config=True)
    base_url = Unicode("", help="The Hub's URL; overrides MOUNTSEA_BASE_URL.").tag(config=True)
    demo_seconds = Float(
        6.0, min=0.0, help="How long a task of the demo Hub takes, in seconds."
    ).tag(config=True)

    shell: InteractiveShell
    matcher: Any = None
    preload: Preload | None = None

    @cell_magic("mountsea")  # type: ignore[arg-type]  # not typed for methods
    def cell(self, line: str, cell: str) -> None:
        """Generate images; `%%mountsea?` shows the parser's help in place of this docstring."""
        with _short_errors():
            from .options import parse_cell_line

            options = parse_cell_line(line, self._defaults())
            if options.help:
                echo(_cell_help())
                if "model" in options.given:
                    from .commands.models import model_text

                    echo(model_text(options.model))
                return
            from .cell import run_cell

            run_cell(self.shell, options, cell)

    @line_magic("mountsea")  # type: ignore[arg-type]  # as above
    def line(self, line: str) -> None:
        """Show the status, or run a command; `%mountsea help` lists them."""
        with _short_errors():
            from ..session import current_session
            from ..settings import DEMO_URL
            from .commands.dispatch import run_command

            run_command(self.shell, line, self._defaults())
            if self.base_url == DEMO_URL and not current_session().settings().is_demo:
                self.base_url = ""  # overridden by `demo off`; setting it again takes effect

    def _defaults(self) -> CellOptions:
        """Return the options of a cell whose line is empty."""
        from .options import CellOptions

        return CellOptions(
            model=self.model,
            preview=self.preview,
            timeout=self.timeout,
            runner=self.runner,
            concurrency=self.concurrency,
            confirm_above=self.confirm_above,
            polls_per_second=self.polls_per_second,
        )

    @observe("base_url", "demo_seconds", "budget")
    def _update_session(self, change: object) -> None:
        """Apply a changed trait at once; it also holds for `mountsea_magic.generate`."""
        from ..session import current_session

        current_session().use_base_url(self.base_url or None)
        current_session().clients.demo_seconds = self.demo_seconds
        current_session().budget.config = self.budget


def _cell_help() -> str:
    """Return what `%%mountsea?` shows."""
    from .options import cell_parser

    return cell_parser().format_help()


# IPython asks getdoc() before the docstring; building the help would be a third of %load_ext
MountseaMagics.__dict__["cell"].getdoc = _cell_help


def load(shell: InteractiveShell) -> None:
    """Register the magics; loading twice is harmless.

    Args:
        shell: The user's shell.
    """
    if not os.path.isabs(variable("MOUNTSEA_HOME") or "/"):
        from ..settings.home import make_home_absolute

        make_home_absolute()
    if MountseaMagics.__name__ not in shell.magics_manager.registry:
        shell.register_magics(MountseaMagics)
        magics = shell.magics_manager.registry[MountseaMagics.__name__]
        magics.matcher = install(shell, lambda: magics._defaults().model)
        magics.preload = Preload(shell)


def unload(shell: InteractiveShell) -> None:
    """Unregister the magics, the completer and the entry in ``%config``.

    Args:
        shell: The user's shell.
    """
    forms = sys.modules.get(f"{__package__}.form.open_forms")
    if forms is not None:
        forms.OPEN_FORMS.close_all()
    magics = shell.magics_manager.registry.pop(MountseaMagics.__name__, None)
    remove(shell, getattr(magics, "matcher", None))
    if magics is not None:
        magics.preload.stop()
        for trait in ("base_url", "demo_seconds", "budget"):
            setattr(magics, trait, magics.traits()[trait].default())
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("mountsea", None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
