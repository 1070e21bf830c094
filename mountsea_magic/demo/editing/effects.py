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
"""Effects on what an image shows, in the order in which they are applied."""

MEDIUM: tuple[Effect, ...] = (*PAINTED, *DRAWN, *TILED, *TONES, *FRAMES)
"""Effects on the image as a whole, applied after those, in this order."""

__all__ = ["MEDIUM", "WORLD"]
