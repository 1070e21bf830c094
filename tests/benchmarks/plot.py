"""The plot of the wait: delay over polls, a panel for each duration, as an SVG for both themes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from report import OURS, Figure, is_limit

WIDTH, COLUMNS = 900, 3
PANEL_WIDTH, PANEL_HEIGHT = 250, 180
GAP_X, GAP_Y, LEFT, TOP = 22, 52, 62, 92
X_RANGE, Y_RANGE = (0.8, 400.0), (3.0, 8000.0)
X_TICKS = ((1, "1"), (3, "3"), (10, "10"), (30, "30"), (100, "100"), (300, "300"))
Y_TICKS = ((10, "10 ms"), (100, "0.1 s"), (1000, "1 s"))

LABEL_PX, CHARACTER_PX, BOLD_PX = 11, 5.8, 6.9
"""The height of a label, and about how wide its characters are."""

NEAR_PX = 11
"""Peers that are nearer to each other share a label."""

TITLE = "From ready at the server to the image in hand"

LEARNED, FIRST = ", learned", ", first task"
NAMES = {LEARNED: "mountsea", FIRST: "mountsea, first task"}

STYLE = """
    svg { --paper: #ffffff; --ink: #1f2328; --muted: #59636e; --grid: #e3e7eb; --edge: #c9d1d9;
          --ours: #bc4c00; --better: #bc4c0014; --peer: #0969da;
          font: 11px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    @media (prefers-color-scheme: dark) {
      svg { --paper: #0d1117; --ink: #e6edf3; --muted: #9198a1; --grid: #21262d; --edge: #3d444d;
            --ours: #ffa657; --better: #ffa65720; --peer: #79c0ff; }
    }
    .paper { fill: var(--paper); } .better { fill: var(--better); }
    .frame { fill: none; stroke: var(--edge); } .grid { stroke: var(--grid); }
    .limit { stroke: var(--muted); stroke-dasharray: 4 3; }
    .leader { stroke: var(--edge); }
    .learning { stroke: var(--ours); stroke-dasharray: 2 3; }
    text { fill: var(--muted); } .head { fill: var(--ink); font-weight: 600; font-size: 12.5px; }
    .title { fill: var(--ink); font-weight: 600; font-size: 17px; }
    .peer { fill: var(--peer); } .ours { fill: var(--ours); }
    .first { fill: var(--paper); stroke: var(--ours); stroke-width: 2; }
    text.ours { font-weight: 600; }
    .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in pixels.

    Attributes:
        left: Its left side.
        top: Its top.
        right: Its right side.
        bottom: Its bottom.
    """

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Return the area that two rectangles have in common."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    @property
    def area(self) -> float:
        """Its area."""
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class Point:
    """A client in a panel.

    Attributes:
        label: Its name.
        kind: Its CSS class: ``ours``, ``first`` or ``peer``.
        x: From the panel's left side, in pixels.
        y: From the panel's top, in pixels.
    """

    label: str
    kind: str
    x: float
    y: float

    @property
    def radius(self) -> float:
        """The radius of its circle."""
        return 4.0 if self.kind == "peer" else 5.5

    @property
    def box(self) -> Box:
        """What its circle covers."""
        reach = self.radius + 1
        return Box(self.x - reach, self.y - reach, self.x + reach, self.y + reach)

    def label_boxes(self) -> Iterator[Box]:
        """Yield where its label may be, the best place first."""
        character_px = CHARACTER_PX if self.kind == "peer" else BOLD_PX
        width, height = len(self.label) * character_px, LABEL_PX
        for gap in (self.radius + 4, self.radius + 11, self.radius + 18):
            for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
                left = self.x + dx * gap - width * (1 - dx) / 2
                top = self.y + dy * gap - height * (1 - dy) / 2
                yield Box(left, top, left + width, top + height)


def _scaled(value: float, ends: tuple[float, float], pixels: float) -> float:
    low, high = (math.log(end) for end in ends)
    return pixels * (math.log(min(max(value, ends[0]), ends[1])) - low) / (high - low)


def _x(polls: float) -> float:
    return _scaled(polls, X_RANGE, PANEL_WIDTH)


def _y(delay_ms: float) -> float:
    return PANEL_HEIGHT - _scaled(delay_ms, Y_RANGE, PANEL_HEIGHT)


def place_labels(points: Sequence[Point], obstacles: Sequence[Box]) -> list[Box]:
    """Return where the labels of a panel's points overlap each other and the points the least.

    Args:
        points: The points.
        obstacles: What else the labels should not cover.
    """
    panel = Box(2, 2, PANEL_WIDTH - 2, PANEL_HEIGHT - 2)
    options = [list(point.label_boxes()) for point in points]
    chosen = [boxes[0] for boxes in options]
    for _ in range(6):
        for number, boxes in enumerate(options):
            others = [box for other, box in enumerate(chosen) if other != number]
            covered = [*others, *obstacles]

            def cost(numbered: tuple[int, Box], covered: Sequence[Box] = tuple(covered)) -> float:
                rank, box = numbered
                outside = box.area - box.overlap(panel)
                return 3 * (outside + sum(map(box.overlap, covered))) + 2 * rank

            chosen[number] = min(enumerate(boxes), key=cost)[1]
    return chosen


def wait_plot(figures: Iterable[Figure]) -> str:
    """Return the SVG of the section "Wait".

    Args:
        figures: The figures of any sections.
    """
    medians: dict[str, dict[str, dict[str, float]]] = {}
    runs = 0
    for figure in figures:
        state = next((each for each in NAMES if figure.case.endswith(each)), None)
        if figure.section != "Wait" or state is None:
            continue
        case = figure.case.removesuffix(state)
        client = NAMES[state] if figure.client == OURS else figure.client
        medians.setdefault(case, {}).setdefault(client, {})[figure.quantity] = figure.median
        runs = max(runs, len(figure.values))
    rows = math.ceil((len(medians) + 1) / COLUMNS)
    height = TOP + rows * (PANEL_HEIGHT + GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title description">',
        '<title id="title">The wait for an image: delay and polls of each client</title>',
        '<desc id="description">One panel for each duration of a task. Across: polls. Up: '
        "milliseconds from ready at the server to the image in hand. Lower left is better.</desc>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
        f'<text class="title" x="{LEFT}" y="34">{TITLE}</text>',
        f'<text x="{LEFT}" y="54">Median of {runs} runs against one local server. '
        "Down: sooner. Left: fewer polls. Both axes are logarithmic.</text>",
    ]
    for number, (case, clients) in enumerate(medians.items()):
        parts += _panel(number, case, clients, is_lowest=number >= len(medians) - COLUMNS)
    parts += _legend(len(medians))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _origin(number: int) -> tuple[float, float]:
    row, column = divmod(number, COLUMNS)
    return LEFT + column * (PANEL_WIDTH + GAP_X), TOP + row * (PANEL_HEIGHT + GAP_Y)


def _panel(
    number: int, case: str, clients: dict[str, dict[str, float]], *, is_lowest: bool
) -> Iterator[str]:
    left, top = _origin(number)
    yield f'<g transform="translate({left} {top})">'
    yield f'<text class="head" x="0" y="-8">{escape(case)}</text>'
    for value, label in X_TICKS:
        yield f'<line class="grid" x1="{_x(value):.1f}" x2="{_x(value):.1f}" y2="{PANEL_HEIGHT}"/>'
        yield (
            f'<text x="{_x(value):.1f}" y="{PANEL_HEIGHT + 14}" text-anchor="middle">{label}</text>'
        )
    for value, label in Y_TICKS:
        yield f'<line class="grid" x2="{PANEL_WIDTH}" y1="{_y(value):.1f}" y2="{_y(value):.1f}"/>'
        if number % COLUMNS == 0:
            yield f'<text x="-7" y="{_y(value) + 4:.1f}" text-anchor="end">{label}</text>'
    if is_lowest:
        place = f'x="{PANEL_WIDTH / 2}" y="{PANEL_HEIGHT + 30}"'
        yield f'<text {place} text-anchor="middle">polls</text>'
    yield from _clients(clients)
    yield f'<rect class="frame" width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}"/></g>'


def _points(clients: dict[str, dict[str, float]]) -> list[Point]:
    """Return the points of a panel; ours first, since those of peers are smaller."""
    points = []
    for client, values in clients.items():
        if not is_limit(Figure("", "", "", client, (0.0,))):
            kind = {NAMES[LEARNED]: "ours", NAMES[FIRST]: "first"}.get(client, "peer")
            points.append(Point(client, kind, _x(values["polls"]), _y(values["delay, ms"])))
    return sorted(points, key=lambda point: ("first", "ours", "peer").index(point.kind))


def _labelled(points: Sequence[Point]) -> list[Point]:
    """Return the points that have a label: peers near each other share one."""
    labelled: list[Point] = []
    for point in points:
        near = next(
            (
                number
                for number, other in enumerate(labelled)
                if point.kind == other.kind == "peer"
                and math.hypot(point.x - other.x, point.y - other.y) < NEAR_PX
            ),
            None,
        )
        if near is None:
            labelled.append(point)
        else:
            both = f"{labelled[near].label}, {point.label}"
            labelled[near] = replace(labelled[near], label=both)
    return labelled


def _clients(clients: dict[str, dict[str, float]]) -> Iterator[str]:
    """Draw the points of a panel, and what is behind them."""
    points = _points(clients)
    ours = {point.kind: point for point in points if point.kind != "peer"}
    obstacles = [point.box for point in points]
    if "ours" in ours:
        x, y = ours["ours"].x, ours["ours"].y
        size = f'width="{x:.1f}" height="{PANEL_HEIGHT - y:.1f}"'
        yield f'<rect class="better" y="{y:.1f}" {size}/>'
        first = ours.get("first", ours["ours"])
        ends = f'x1="{first.x:.1f}" y1="{first.y:.1f}" x2="{x:.1f}" y2="{y:.1f}"'
        yield f'<line class="learning" {ends}/>'
    limit = clients.get("limit: one round trip")
    if limit is not None:
        y = _y(limit["delay, ms"])
        yield f'<line class="limit" x2="{PANEL_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        obstacles.append(Box(0, y - 2, PANEL_WIDTH, y + 2))
    for point in points:
        place = f'cx="{point.x:.1f}" cy="{point.y:.1f}" r="{point.radius}"'
        yield f'<circle class="{point.kind}" {place}/>'
    labelled = _labelled(points)
    for point, box in zip(labelled, place_labels(labelled, obstacles), strict=True):
        kind = "peer" if point.kind == "peer" else "ours"
        place = f'x="{(box.left + box.right) / 2:.1f}" y="{box.bottom - 2:.1f}"'
        text = escape(point.label)
        yield from _leader(point, box)
        yield f'<text class="{kind} halo" {place} text-anchor="middle">{text}</text>'


def _leader(point: Point, box: Box) -> Iterator[str]:
    """Draw a line from a point to its label, if that is not beside it."""
    x, y = min(max(point.x, box.left), box.right), min(max(point.y, box.top), box.bottom)
    if math.hypot(x - point.x, y - point.y) > point.radius + 8:
        ends = f'x1="{point.x:.1f}" y1="{point.y:.1f}" x2="{x:.1f}" y2="{y:.1f}"'
        yield f'<line class="leader" {ends}/>'


def _legend(number: int) -> Iterator[str]:
    """Explain the marks, in the place of a panel."""
    left, top = _origin(number)
    yield f'<g transform="translate({left + 16} {top})">'
    lines = (
        ('<circle class="ours" cx="10" cy="-4" r="5.5"/>', "mountsea, knows 25 tasks of the kind"),
        ('<circle class="first" cx="10" cy="-4" r="5.5"/>', "mountsea, first task ever"),
        ('<circle class="peer" cx="10" cy="-4" r="4"/>', "a peer, polling at its own interval"),
        ('<rect class="better" y="-12" width="20" height="15"/>', "better than mountsea on both"),
        ('<line class="limit" x2="20" y1="-4" y2="-4"/>', "limit: one round trip"),
    )
    for row, (mark, text) in enumerate(lines):
        yield f'<g transform="translate(0 {24 + 24 * row})">{mark}<text x="30">{text}</text></g>'
    yield (
        f'<text x="0" y="{24 + 24 * len(lines)}">Polls: all requests but the submission</text>'
        f'<text x="0" y="{39 + 24 * len(lines)}">and the download of the image.</text></g>'
    )
