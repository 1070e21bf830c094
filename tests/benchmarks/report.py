"""What the benchmarks report: figures with their spread, and one Markdown table of all of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OURS = "mountsea-magic"
"""The name of this package among the clients."""


@dataclass(frozen=True)
class Figure:
    """One quantity of one client, measured in several interleaved runs.

    Attributes:
        section: What the benchmark is about, such as "Wait".
        case: What was measured, such as "3 s ± 20 %".
        quantity: The quantity with its unit, such as "delay, ms" or "polls".
        client: Who was measured: `OURS`, a peer, or a limit of what is possible.
        values: One value for each run; less is better.
        goal: The most that is allowed for ours, if there is a goal.
        note: Why a peer wins, or what is special about it, in a few words.

    Example:
        >>> Figure("Wait", "3 s", "delay, ms", OURS, (61.0, 64.0, 59.0)).text
        '61 (60–62.5)'
    """

    section: str
    case: str
    quantity: str
    client: str
    values: tuple[float, ...]
    goal: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.values)

    @property
    def text(self) -> str:
        """The median, and the quartiles if they differ from it."""
        low, high = self.values[0], self.values[0]
        if len(self.values) > 1:
            low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        median, spread = number(self.median), f"{number(low)}–{number(high)}"
        return median if number(low) == median == number(high) else f"{median} ({spread})"


def number(value: float) -> str:
    """Return a number with three significant digits, without an exponent.

    Example:
        >>> number(1234.6), number(12.345), number(0.012345), number(0.0)
        ('1,235', '12.3', '0.012', '0')
    """
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 99.5 else 1 if abs(value) >= 9.95 else 2 if abs(value) >= 0.1 else 3
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def markdown_table(figures: Iterable[Figure]) -> str:
    """Return one row for each quantity of each case: ours, the ratio to the best peer, all peers.

    Args:
        figures: The figures of all sections, in the order in which they are shown.
    """
    rows: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in figures:
        rows.setdefault((figure.section, figure.case, figure.quantity), []).append(figure)
    lines = [
        "| Section | Case | Quantity | Ours | Ours ÷ best peer | Goal | Peers and limits | Notes |",
        "|---" * 8 + "|",
    ]
    for (section, case, quantity), of_row in rows.items():
        ours = next((each for each in of_row if each.client == OURS), None)
        others = sorted((each for each in of_row if each is not ours), key=lambda each: each.median)
        cells = [
            section,
            case,
            quantity,
            ours.text if ours else "",
            _ratio(ours, others),
            _goal(ours),
            ", ".join(f"{each.client} {each.text}" for each in others),
            " ".join(each.note for each in of_row if each.note),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def is_limit(figure: Figure) -> bool:
    """Tell whether a figure is a limit of what is possible, not a peer."""
    return figure.client.startswith("limit")


def _ratio(ours: Figure | None, others: Sequence[Figure]) -> str:
    peers = [each for each in others if not is_limit(each) and each.median > 0]
    if ours is None or not peers:
        return ""
    best = min(peers, key=lambda each: each.median)
    return f"{number(ours.median / best.median)} × {best.client}"


def _goal(ours: Figure | None) -> str:
    if ours is None or ours.goal is None:
        return ""
    return f"≤ {number(ours.goal)} {'met' if ours.median <= ours.goal else 'MISSED'}"
