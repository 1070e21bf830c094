"""Animals put into a scene: birds in its sky, the others on its ground or its water."""

from dataclasses import replace

from .animals import draw_sitting
from .birds import draw_butterfly, draw_duck, draw_gull, draw_owl, draw_penguin
from .canvas import Canvas
from .fish import draw_fish
from .palettes import Palette, color, lit
from .pen import Pen
from .species import FURRY, species
from .subject import Creature, Subject


def draw_creatures(
    canvas: Canvas, subject: Subject, palette: Palette, ground: float, horizon: float
) -> None:
    """Draw every animal of the prompt; `ground` is a share of the height, 0 if all is water."""
    walkers: list[Creature] = []
    for creature in subject.creatures:
        if creature.kind in ("bird", "butterfly"):
            _draw_flight(canvas, palette, creature, horizon)
        elif ground > 0:
            walkers += [creature] * creature.count
    if not walkers:
        return
    walkers = walkers[:7]
    unit, rng = canvas.unit, canvas.rng
    size = min(unit * 0.2, canvas.width / (1.55 * len(walkers) + 1.2))
    middle = canvas.width * (rng.choice((0.36, 0.5, 0.62)) if len(walkers) == 1 else 0.5)
    for place, creature in enumerate(walkers):
        x = middle + (place - (len(walkers) - 1) / 2) * size * 1.62
        scale = size * (1 if place == 0 else rng.uniform(0.78, 1.0))
        y = max(canvas.height * ground, canvas.height - 1.6 * (1 - ground) * unit)
        y += size * 0.1 if place % 2 else 0
        shade = rng.uniform(-0.3, 0.3) if place else 0.0
        _draw_standing(Pen(canvas, x, y, scale, rng.random() < 0.5), creature, shade)


def _draw_standing(pen: Pen, creature: Creature, shade: float = 0.0) -> None:
    """Draw one animal, about 2 units high; `shade` (-1 to 1) sets it apart from its litter."""
    if creature.kind in FURRY:
        looks = species(creature.kind, creature.coat)
        coat, mark = lit(looks.coat, shade), lit(looks.mark, shade * 0.6)
        draw_sitting(pen, replace(looks, coat=coat, mark=mark))
    elif creature.kind == "owl":
        draw_owl(pen, creature.coat or color("#9a6f4a"))
    elif creature.kind == "penguin":
        draw_penguin(pen, creature.coat or color("#2c3346"))
    elif creature.kind == "duck":
        draw_duck(pen, creature.coat or color("#f7d25c"))
    else:
        draw_fish(pen.moved(0, -0.6, 0.7), creature.coat or color("#f2803a"))


def _draw_flight(canvas: Canvas, palette: Palette, creature: Creature, horizon: float) -> None:
    """Let birds or butterflies fly where they stand out: against the open sky."""
    rng, unit = canvas.rng, canvas.unit
    body = creature.coat or (lit(palette.near, -0.1) if not palette.dark else lit(palette.far, 0.4))
    count = creature.count
    size = unit * (0.115 if count <= 2 else 0.07)
    for place in range(count):
        part = (place + 0.5) / count
        x = canvas.width * 0.5 + (part - 0.5) * min(canvas.width * 0.8, unit * 1.1)
        y = max(size * 1.6, horizon * (0.5 + 0.2 * (-1) ** place * rng.uniform(0.5, 1.0)))
        scale = size * (1 if place == 0 else rng.uniform(0.62, 0.85))
        if creature.kind == "butterfly":
            draw_butterfly(
                Pen(canvas, x, y, scale * 0.9), creature.coat or palette.accents[place % 2]
            )
        else:
            wing = lit(body, 0.18)
            draw_gull(Pen(canvas, x, y, scale, False), body, wing, rng.uniform(0.45, 1.0))
