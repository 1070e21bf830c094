"""Serve the demo Hub over HTTP: ``python -m mountsea_magic.demo --port 8787``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..settings import read_settings
from .app import create_app


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted.

    Args:
        arguments: The command line; the process's own if left out.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mountsea_magic.demo",
        description="Serve the demo Hub over HTTP. Point MOUNTSEA_BASE_URL at it.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8787, help="the port; 0 takes a free one")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long a task takes")
    parser.add_argument("--key", help="the only key that is accepted; any and none if left out")
    parser.add_argument("--folder", type=Path, help="where its tasks are kept")
    options = parser.parse_args(arguments)
    try:
        import uvicorn
    except ImportError:
        parser.exit(1, "Serving over HTTP needs uvicorn: pip install 'mountsea-magic[lab]'\n")
    folder = options.folder or read_settings(demo="on").home / "demo"
    app = create_app(folder, seconds=options.seconds, key=options.key)
    uvicorn.run(app, host=options.host, port=options.port, log_level="info")


if __name__ == "__main__":
    main()
