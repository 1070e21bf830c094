"""Import httpx without its command line, which takes 40 % of the time of the import.

The command line imports click, pygments and rich where they are installed, as they often are beside
JupyterLab; here it is imported when it is called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_COMMAND_LINE = "httpx._main"


def _main(*args: Any, **kwargs: Any) -> Any:
    """Run the command line of httpx, which is imported only now."""
    return import_module(_COMMAND_LINE).main(*args, **kwargs)


if "httpx" in sys.modules:
    import httpx as httpx
else:
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]  # importing it then fails
    try:
        import httpx as httpx
    finally:
        del sys.modules[_COMMAND_LINE]
    vars(httpx)["main"] = _main
