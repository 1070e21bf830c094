"""The magics: ``%%mountsea`` and ``%mountsea``, their traits, and how they come and go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from traitlets import Enum, Float, Integer, Unicode, observe

from ..errors import ConfigurationError, Interrupted, MountseaError
from ..runtime.printing import echo
from ..settings import DEFAULT_PREVIEW_PX, DEFAULT_TIMEOUT_S, DEMO_URL
from ..settings.home import make_home_absolute
from .completer import install, remove
from .options import cell_parser, parse_cell_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .cell import Defaults


@contextmanager
def _short_errors() -> Iterator[None]:
    """A Stop outside of the wait, say while a preview is made, is as short as one within it.

    And an error that quotes the line must not bring a key to the screen that IPython put there.
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

    model = Unicode("nano-banana", help="The model that cells use.").tag(config=True)
    preview = Integer(DEFAULT_PREVIEW_PX, min=0, help="The previews' longest side, in pixels.").tag(
        config=True
    )
    timeout = Float(DEFAULT_TIMEOUT_S, min=0.1, help="How long a cell waits, in seconds.").tag(
        config=True
    )
    runner = Enum(
        ["thread", "nested"],
        default_value="thread",
        help="Wait on a thread, or on the kernel's own loop, so that your asyncio tasks go on.",
    ).tag(config=True)
    base_url = Unicode("", help="The Hub's address, before MOUNTSEA_BASE_URL.").tag(config=True)
    demo_seconds = Float(
        6.0, min=0.0, help="How long a task of the demo Hub takes, in seconds."
    ).tag(config=True)

    shell: InteractiveShell
    matcher: Any = None

    @cell_magic("mountsea")  # type: ignore[arg-type]  # IPython types its decorators for no method
    def cell(self, line: str, cell: str) -> None:
        """Order images; the help is the parser's."""
        with _short_errors():
            options = parse_cell_line(line)
            if options.help:
                echo(cell_parser().format_help())
                if options.model is not None:
                    from .commands.models import model_text

                    echo(model_text(options.model))
                return
            from .cell import run_cell

            run_cell(self.shell, options, cell, self._defaults())

    @line_magic("mountsea")  # type: ignore[arg-type]  # as above
    def line(self, line: str) -> None:
        """Say where things stand, or carry out a command; `%mountsea help` lists them."""
        with _short_errors():
            from ..session import current_session
            from .commands.dispatch import run_command

            run_command(self.shell, line, self._defaults())
            if self.base_url == DEMO_URL and not current_session().settings().is_demo:
                self.base_url = ""  # `demo off` has overruled it; set again, it shall count again

    def _defaults(self) -> Defaults:
        """The traits as they are now."""
        from .cell import Defaults

        return Defaults(self.model, self.preview, self.timeout, self.runner)

    @observe("base_url", "demo_seconds")
    def _tell_session(self, change: object) -> None:
        """They hold for `generate` too, which knows no traits, and from their change on."""
        from ..session import current_session

        current_session().use_base_url(self.base_url or None)
        current_session().clients.demo_seconds = self.demo_seconds


MountseaMagics.__dict__["cell"].__doc__ = cell_parser().format_help()


def load(shell: InteractiveShell) -> None:
    """Register the magics; a second time changes nothing.

    Args:
        shell: The shell that gets them.
    """
    make_home_absolute()
    if MountseaMagics.__name__ not in shell.magics_manager.registry:
        shell.register_magics(MountseaMagics)
        magics = shell.magics_manager.registry[MountseaMagics.__name__]
        magics.matcher = install(shell, lambda: magics._defaults().model)


def unload(shell: InteractiveShell) -> None:
    """Take the magics out again, with their place in ``%config``.

    Args:
        shell: The shell that loses them.
    """
    magics = shell.magics_manager.registry.pop(MountseaMagics.__name__, None)
    remove(shell, getattr(magics, "matcher", None))
    if magics is not None:
        for trait in ("base_url", "demo_seconds"):
            setattr(magics, trait, magics.traits()[trait].default())
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("mountsea", None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
