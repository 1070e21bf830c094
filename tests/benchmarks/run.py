"""Run the benchmarks: ``python tests/benchmarks/run.py [--out FOLDER] [NAME...]``.

Writes ``benchmarks.md``, one table of all figures, and ``benchmarks.svg``, the plot of the wait,
into the folder. A benchmark that fails is reported, and the figures of the others are written.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from plot import wait_plot
from report import Figure, markdown_table

BENCHMARKS = ("wait", "loading", "cell_cost", "batches", "images", "journal")
"""The modules, in the order of the table; each has `measure`."""

RESULT = Path("benchmarks-result")
"""Where the results go by default; git ignores this folder."""

PACKAGES = (
    "mountsea-magic",
    "fal-client",
    "replicate",
    "openai",
    "httpx",
    "bigquery-magics",
    "jupysql",
    "jupyter-ai-magic-commands",
    "ipython",
)

ABOUT_THE_WAIT = """\
**Wait**: polls are all requests but the submission and the download of the image. Peers poll at
their own intervals: fal every 0.1 s, replicate every 0.5 s, openai every 1 s (the helper of its
vector stores, since its image endpoints have no tasks), plain httpx as in vendors' samples. Ours
also checks the image, saves it and journals it. Limits are what no client that polls can reach: one
round trip after the task is ready, and a server that holds the request until then, as Replicate's
does for `Prefer: wait`, the default of `replicate.run`; the Hub documents no such request. If one
round trip takes more than some 20 ms, the machine was busy.

![The wait: delay over polls](benchmarks.svg)
"""


def run(names: Sequence[str]) -> tuple[list[Figure], dict[str, str]]:
    """Run benchmarks one after the other.

    Args:
        names: The names of their modules.

    Returns:
        All figures, and of each benchmark that failed why.
    """
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    for name in names:
        started = time.monotonic()
        print(f"{name} ...", flush=True)
        try:
            figures += importlib.import_module(name).measure()
        except (Exception, SystemExit) as error:  # whatever fails, the others have their figures
            traceback.print_exc()
            failures[name] = f"{type(error).__name__}: {error}"
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return figures, failures


def document(figures: Sequence[Figure], failures: dict[str, str], names: Sequence[str]) -> str:
    """Return the Markdown document with the table.

    Args:
        figures: All figures.
        failures: Why a benchmark failed, by its name.
        names: The benchmarks that were run.
    """
    lines = [
        "# Benchmarks",
        "",
        f"`python tests/benchmarks/run.py{''.join(f' {name}' for name in names)}`, "
        f"{date.today():%Y-%m-%d}, {_machine()}.",
        "",
        f"Versions: {', '.join(_versions())}.",
        "",
        "Each figure is the median of several interleaved runs, with the quartiles in brackets; "
        "less is better.",
        "",
        markdown_table(figures),
    ]
    lines += [f"**{name} failed**: {reason}" for name, reason in failures.items()]
    if any(figure.section == "Wait" for figure in figures):
        lines.append(ABOUT_THE_WAIT)
    return "\n".join(lines).rstrip() + "\n"


def _machine() -> str:
    """Describe the machine, without its name."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} (not installed)")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for, and write the results.

    Args:
        arguments: The command line, without the program's name; that of the process by default.

    Returns:
        The exit code: 1 if a benchmark failed.
    """
    parser = argparse.ArgumentParser(description="Run the benchmarks and write their table.")
    parser.add_argument("--out", type=Path, default=RESULT, help="folder of the results")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}.")
    names = options.names or BENCHMARKS
    figures, failures = run(names)
    options.out.mkdir(parents=True, exist_ok=True)
    text = document(figures, failures, options.names)
    (options.out / "benchmarks.md").write_text(text, encoding="utf-8")
    if any(figure.section == "Wait" for figure in figures):
        (options.out / "benchmarks.svg").write_text(wait_plot(figures), encoding="utf-8")
    print(f"written to {options.out}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
