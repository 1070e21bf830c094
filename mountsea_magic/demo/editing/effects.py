"""What the demo's editor can do with an image: effects, each asked for by words."""

from .colors import COLORING
from .drawn import DRAWN
from .edit_canvas import Effect
from .framing import FRAMES
from .hours import HOURS
from .painted import PAINTED
from .seasons import SEASONS
from .tiled import TILED
from .tones import TONES
from .weather import WEATHER

WORLD: tuple[Effect, ...] = (*SEASONS, *HOURS, *WEATHER, *COLORING)
"""What is done with what an image shows, in this order."""

MEDIUM: tuple[Effect, ...] = (*PAINTED, *DRAWN, *TILED, *TONES, *FRAMES)
"""What is done with it as an image, after that and in this order."""

__all__ = ["MEDIUM", "WORLD"]
