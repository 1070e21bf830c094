"""Serve the demo Hub over HTTP: ``python -m mountsea_magic.demo --port 8787``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..settings import read_settings
from .server.hosts import read_host_name

LONGEST_S = 24 * 3600.0
"""How long a task may take at most, in seconds."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted.

    Args:
        arguments: The command line; the process's own if left out.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mountsea_magic.demo",
        description="Serve the demo Hub over HTTP. Point MOUNTSEA_BASE_URL at it.",
        epilog="Requests from web pages of other origins are refused, and so are names in a URL "
        "that it was not started for. On 0.0.0.0 it can be asked by this machine's name, with "
        ".local too, and by any IP address.",
    )
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", help="the address to listen on; 0.0.0.0: all"
    )
    parser.add_argument("--port", type=_port, default=8787, help="the port; 0 takes a free one")
    parser.add_argument("--seconds", type=_seconds, default=6.0, help="how long a task takes")
    parser.add_argument(
        "--key", type=_key, help="the only key that is accepted; any and none if left out"
    )
    parser.add_argument("--folder", type=Path, help="where its tasks are kept")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=_allowed,
        metavar="NAME",
        help="another name by which it may be asked, as behind a proxy; can be repeated",
    )
    options = parser.parse_args(arguments)
    try:
        import uvicorn  # noqa: F401  # only to say what is missing
    except ImportError:
        parser.exit(1, "Serving over HTTP needs uvicorn: pip install 'mountsea-magic[lab]'\n")
    from .server.serve import serve

    folder = options.folder or read_settings(demo="on").home / "demo"
    if folder.exists() and not folder.is_dir():
        parser.error(f"argument --folder: {folder} is a file.")
    try:
        serve(
            folder,
            host=options.host,
            port=options.port,
            seconds=options.seconds,
            key=options.key,
            allow_hosts=options.allow_host,
        )
    except OSError as error:
        why = error.strerror or str(error)
        parser.exit(1, f"Can't listen on {options.host}, port {options.port}: {why}.\n")


def _host(text: str) -> str:
    try:
        return read_host_name(text.strip("[]"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address or name.") from None


def _allowed(text: str) -> str:
    try:
        return read_host_name(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no host name: give it alone, without http://, port or path."
        ) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 65535.")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {LONGEST_S:.0f}.")
    return seconds


def _key(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text.strip() == text != ""):
        raise argparse.ArgumentTypeError("a key is ASCII text without blanks around it.")
    return text


if __name__ == "__main__":
    main()
