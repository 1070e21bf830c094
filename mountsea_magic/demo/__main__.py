"""Serve the demo Hub over HTTP: ``python -m mountsea_magic.demo --port 8787``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..runtime.text import os_error_reason
from ..settings import read_settings
from .server.hosts import read_host_name

MAX_SECONDS = 24 * 3600.0
"""The longest task duration that `--seconds` accepts, in seconds."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted.

    Args:
        arguments: Command-line arguments; those of the process if None.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mountsea_magic.demo",
        description="Serve the demo Hub over HTTP. Point MOUNTSEA_BASE_URL at it.",
        epilog="Requests from web pages of other origins are rejected, and so are requests for "
        "hosts that are not allowed. With --host 0.0.0.0, this machine's host name (also with "
        ".local) and any IP address are allowed.",
    )
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", help="address to listen on; 0.0.0.0 for all"
    )
    parser.add_argument("--port", type=_port, default=8787, help="port; 0 picks a free one")
    parser.add_argument(
        "--seconds", type=_seconds, default=6.0, help="duration of a task in seconds"
    )
    parser.add_argument(
        "--key", type=_key, help="the only API key to accept; without it no key is needed"
    )
    parser.add_argument("--folder", type=Path, help="where tasks are stored")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=_allowed,
        metavar="NAME",
        help="another host name to accept, for example behind a proxy; repeatable",
    )
    options = parser.parse_args(arguments)
    try:
        import uvicorn  # noqa: F401  # to report a missing extra
    except ImportError:
        parser.exit(1, "Serving over HTTP needs uvicorn: pip install 'mountsea-magic[lab]'\n")
    from .server.serve import serve

    folder = options.folder or read_settings(demo="on").home / "demo"
    if folder.exists() and not folder.is_dir():
        parser.error(f"argument --folder: {folder} is a file, not a folder.")
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
        where = f"{options.host}, port {options.port}"
        parser.exit(1, f"Can't listen on {where}: {os_error_reason(error)}.\n")


def _host(text: str) -> str:
    try:
        return read_host_name(text.strip("[]"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address or host name.") from None


def _allowed(text: str) -> str:
    try:
        return read_host_name(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a host name: give it without http://, port and path."
        ) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to 65535.")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_SECONDS:.0f}.")
    return seconds


def _key(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text.strip() == text != ""):
        raise argparse.ArgumentTypeError(
            "an API key is ASCII text without leading or trailing whitespace."
        )
    return text


if __name__ == "__main__":
    main()
