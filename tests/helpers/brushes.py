"""What the examples of the painter and of the editor's effects take for granted."""

from __future__ import annotations

from random import Random

from mountsea_magic.demo.drawing import paint
from mountsea_magic.demo.drawing.canvas import Canvas
from mountsea_magic.demo.drawing.palettes import MOODS, color
from mountsea_magic.demo.drawing.pen import Pen
from mountsea_magic.demo.drawing.ridge import trace_ridge
from mountsea_magic.demo.drawing.species import species
from mountsea_magic.demo.drawing.subject import Creature, read_subject
from mountsea_magic.demo.editing.edit_canvas import EditCanvas

__all__ = ["MOODS", "Creature", "Pen", "Random", "read_subject", "species"]

canvas = Canvas(256, 256, Random(1))
pen = Pen(canvas, 128, 200, 50)
palette = MOODS["day"]
subject = read_subject("two dogs in a meadow")
tops = trace_ridge(canvas, 200, 50, 90, 4, True)
image, dog, cat = (paint(words, 1, 128, 96, model="m") for words in ("a fox", "a dog", "a cat"))
drawing = paint("a comic", 1, 128, 96, model="m")
sheet = EditCanvas(image, "Put a hat on the dog", Random(1))

black, white, grey, cream = map(color, ("#101014", "#ffffff", "#8d9299", "#f1e3c6"))
red, orange, yellow, green = map(color, ("#d7263d", "#e8833a", "#f2c14e", "#3f8f4f"))
blue, teal, slate, brown = map(color, ("#2f6fb0", "#1f8a8a", "#4a5568", "#8a5a34"))
fur, belly, ink, lamp, rock, mist, snow = orange, cream, black, yellow, grey, white, white
