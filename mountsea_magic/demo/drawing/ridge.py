"""The outline of hills and mountains, traced at random."""

import math

from .canvas import Canvas, Point


def trace_ridge(
    canvas: Canvas, base: float, rise: float, wave: float, rough: int, sharp: bool
) -> list[Point]:
    """Trace the top of a range of hills, past both edges, with `rough` finer ones on it."""
    layers = []
    for octave in range(rough):
        count = math.ceil(canvas.width / wave * 2**octave) + 3
        layers.append(
            [
                0.18 + 0.82 * canvas.rng.random() if n % 2 else 0.5 * canvas.rng.random()
                for n in range(count)
            ]
        )
    step = max(3.0, canvas.unit / 260)
    levels = []
    for index in range(math.ceil(canvas.width / step) + 3):
        x = (index - 1) * step
        level, weight, total = 0.0, 1.0, 0.0
        for octave, heights in enumerate(layers):
            place = max(0.0, x / wave * 2**octave)
            cell = min(int(place), len(heights) - 2)
            part = place - cell
            if not sharp:
                part = part * part * (3 - 2 * part)
            level += weight * (heights[cell] + (heights[cell + 1] - heights[cell]) * part)
            total += weight
            weight *= 0.42 if sharp else 0.33
        levels.append(level / total)
    top = max(levels)
    bend = 1.3 if sharp else 1.0
    return [
        ((index - 1) * step, base - rise * (level / top) ** bend)
        for index, level in enumerate(levels)
    ]
