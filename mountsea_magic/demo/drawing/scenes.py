"""The table of scenes: which function draws what a prompt asks for, and in which weather."""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

from .abstract import draw_abstract
from .canvas import Canvas
from .city import draw_city
from .classroom import draw_classroom
from .field import draw_field
from .forest import draw_forest
from .mountain import draw_mountain
from .palettes import MOODS, Palette, lit, shaded, tinted, veil
from .sea import draw_sea
from .space import draw_space
from .subject import Subject
from .village import draw_village

_Scene = Callable[[Canvas, Subject, Palette], None]
"""Draws a whole image, except its weather and the mark."""

_SCENES: Mapping[str, _Scene] = MappingProxyType(
    {
        "sea": draw_sea,
        "mountain": draw_mountain,
        "city": draw_city,
        "space": draw_space,
        "forest": draw_forest,
        "field": draw_field,
        "village": draw_village,
        "classroom": draw_classroom,
        "abstract": draw_abstract,
    }
)

_HOME_MOODS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sea": ("day", "summer", "sunset", "golden", "dawn", "tropical"),
        "mountain": ("dawn", "day", "mist", "sunset", "winter", "golden"),
        "city": ("night", "sunset", "neon", "dawn", "day"),
        "space": ("night", "neon"),
        "forest": ("summer", "mist", "golden", "spring", "day"),
        "field": ("spring", "summer", "golden", "day", "dawn"),
        "village": ("summer", "sunset", "spring", "day", "golden"),
        "classroom": ("day", "summer", "spring", "pastel"),
        "abstract": ("day", "sunset", "pastel", "neon", "autumn", "tropical", "dawn"),
    }
)


def choose_palette(subject: Subject, taste: Random, rng: Random) -> Palette:
    """Choose the colors: `taste` depends on the prompt alone, `rng` on the seed, too."""
    mood = subject.mood or taste.choice(_HOME_MOODS[subject.scene or "abstract"])
    if subject.mood and subject.scene == "space" and not MOODS[mood].dark:
        mood = "night"
    sky = 0.7 if subject.scene in ("abstract", "space", "city", "") else 0.2
    return shaded(tinted(MOODS[mood], subject.tints, sky), rng)


def draw_scene(canvas: Canvas, subject: Subject, palette: Palette, taste: Random) -> None:
    """Draw the scene a prompt asks for, and its weather."""
    if subject.scene in _SCENES and subject.scene != "abstract":
        _SCENES[subject.scene](canvas, subject, palette)
    else:
        draw_abstract(canvas, subject, palette, taste.randrange(4))
    if subject.has("rain", "rainy", "storm", "stormy", "thunder"):
        _draw_rain(canvas, palette)
    if subject.has("snow", "snowy", "snowing", "snowfall", "blizzard", "christmas"):
        _draw_snowfall(canvas)


def _draw_rain(canvas: Canvas, palette: Palette) -> None:
    """Let it rain: slanting streaks, near ones longer."""
    rng, unit = canvas.rng, canvas.unit
    tone = lit(palette.sky[1], 0.6)
    for _ in range(round(420 * canvas.width * canvas.height / unit**2)):
        near = rng.random() ** 2
        x, y = rng.uniform(-0.05, 1.05) * canvas.width, rng.uniform(-0.05, 1) * canvas.height
        length = unit * (0.02 + 0.05 * near)
        ends = (x, y, x - length * 0.22, y + length)
        canvas.draw.line(
            ends,
            fill=veil(tone, 0.2 + 0.25 * near),
            width=max(1, round(unit * (0.0008 + 0.0016 * near))),
        )


def _draw_snowfall(canvas: Canvas) -> None:
    """Let it snow: few near flakes, many far ones."""
    rng, unit = canvas.rng, canvas.unit
    for _ in range(round(330 * canvas.width * canvas.height / unit**2)):
        near = rng.random() ** 4
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        canvas.dot(x, y, unit * (0.0014 + 0.006 * near), veil((255, 255, 255), 0.85 - 0.4 * near))
