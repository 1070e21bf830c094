"""What the demo's editor can do with a picture: effects, each asked for by words."""

from .colors import COLORING
from .drawn import DRAWN
from .edit_canvas import Step
from .framing import FRAMES
from .hours import HOURS
from .painted import PAINTED
from .seasons import SEASONS
from .tiled import TILED
from .tones import TONES
from .weather import WEATHER

WORLD: tuple[Step, ...] = (*SEASONS, *HOURS, *WEATHER, *COLORING)
"""What is done with what a picture shows, in this order."""

MEDIUM: tuple[Step, ...] = (*PAINTED, *DRAWN, *TILED, *TONES, *FRAMES)
"""What is done with it as a picture, after that and in this order."""

__all__ = ["MEDIUM", "WORLD"]
