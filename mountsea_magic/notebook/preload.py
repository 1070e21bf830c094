"""Import the HTTP libraries between two cells, so that the first cell need not.

They take more than half of the time from a kernel's first cell to its submission.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module
from time import sleep
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MODULES = (
    *("http.cookiejar", "urllib.request", "idna", "h11", "socksio", "sqlite3"),
    *("anyio", "anyio._backends._asyncio", "httpcore", "mountsea_magic.runtime.httpx_import"),
)
"""In small steps: a cell that starts meanwhile shares the interpreter with one step at most."""

PAUSE_S = 0.1
"""How long no cell must have run, in seconds: Run All sends the next one at once."""


class Preload:
    """Imports `MODULES` on a thread while no cell runs.

    Args:
        shell: The user's shell; nothing happens before the current cell has ended.

    Example:
        >>> from IPython.core.interactiveshell import InteractiveShell
        >>> Preload(InteractiveShell.instance()).stop()
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._events = shell.events
        self._idle = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._events.register("pre_execute", self._idle.clear)
        self._events.register("post_execute", self._on_idle)

    def stop(self) -> None:
        """Import nothing more."""
        self._stopped = True
        self._idle.set()
        for event, callback in (("pre_execute", self._idle.clear), ("post_execute", self._on_idle)):
            with suppress(ValueError):  # it has stopped by itself, or all callbacks were removed
                self._events.unregister(event, callback)

    def _on_idle(self) -> None:
        self._idle.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mountsea-preload", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Import one module after the other; a broken one is reported by the cell that needs it."""
        sleep(PAUSE_S)
        for name in MODULES:
            while not self._idle.is_set():
                self._idle.wait()
                sleep(PAUSE_S)
            if self._stopped:
                return
            try:
                import_module(name)
            except Exception:
                break
        self.stop()
