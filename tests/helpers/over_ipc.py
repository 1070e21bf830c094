"""Run a program's entry point with kernels that use IPC sockets.

TCP ports are chosen before a kernel binds them; if another process gets one of them meanwhile,
the kernel dies. ``python over_ipc.py papermill.cli:papermill in.ipynb out.ipynb``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from jupyter_client.manager import KernelManager

from mountsea_magic.request.schema import validator

_init = KernelManager.__init__


def _over_ipc(self: KernelManager, *args: Any, **named: Any) -> None:
    _init(self, *args, **({"transport": "ipc"} | named))


if __name__ == "__main__":
    # import jsonschema first: JupyterLab and nbformat would import it with its slow checker
    validator({})
    KernelManager.__init__ = _over_ipc  # type: ignore[method-assign]  # there is no setting for this
    module, _, function = sys.argv.pop(1).partition(":")
    getattr(import_module(module), function)()
