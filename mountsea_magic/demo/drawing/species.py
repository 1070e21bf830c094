"""What tells one furry animal from another: ears, muzzle, coat, tail and markings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from .palettes import Color, color, lit, mix


@dataclass(frozen=True)
class Species:
    """What makes one animal look unlike another.

    Attributes:
        coat: The main color.
        pale: Muzzle, chest and tip of the tail.
        mark: Ears, paws and masks.
        ears: "flop", "point", "round" or "long".
        tail: "wag", "bush", "thin" or "none".
        muzzle: Size of the muzzle, 1 being a cat's.
        wide: Width of the head, 1 being a cat's.
        face: "plain", "mask" (a fox's white cheeks), "patch" (a panda's eyes), "stripe" or "mane".
    """

    coat: Color
    pale: Color
    mark: Color
    ears: str
    tail: str
    muzzle: float = 1.0
    wide: float = 1.0
    face: str = "plain"


def _species(colors: str, ears: str, tail: str, muzzle: float, wide: float, face: str) -> Species:
    """Keep the table below readable: three colors in one word."""
    coat, pale, mark = (color("#" + code) for code in colors.split())
    return Species(coat, pale, mark, ears, tail, muzzle, wide, face)


_SPECIES: Mapping[str, Species] = MappingProxyType(
    {
        "dog": _species("c8935a f3e2c7 8a5a34", "flop", "wag", 1.45, 0.98, "plain"),
        "cat": _species("e0a05a f8ead6 b9733a", "point", "thin", 0.95, 1.04, "stripe"),
        "fox": _species("d9622b fbf3e6 3a2622", "point", "bush", 1.05, 1.0, "mask"),
        "wolf": _species("7d8794 e9ebee 4a525e", "point", "bush", 1.25, 1.0, "mask"),
        "bear": _species("8a5a3a d9b48a 6a4228", "round", "none", 1.3, 1.08, "plain"),
        "panda": _species("f6f4ef ffffff 2b2a30", "round", "none", 1.15, 1.1, "patch"),
        "rabbit": _species("d8c4b2 fbf5ef e9a8a4", "long", "none", 0.85, 0.92, "plain"),
        "lion": _species("e2ac5c f6e2b8 9a5526", "round", "thin", 1.3, 1.0, "mane"),
        "tiger": _species("e8923a fdf3e2 33241f", "round", "thin", 1.25, 1.06, "stripe"),
        "mouse": _species("a9a3a6 efe7e4 e2a4a8", "round", "thin", 0.8, 0.9, "plain"),
        "raccoon": _species("8d8b90 eceaea 35333a", "point", "bush", 1.0, 1.05, "patch"),
    }
)


FURRY = frozenset(_SPECIES)
"""The kinds this module draws."""


def species(kind: str, coat: Color | None) -> Species:
    """Look up one of `FURRY`, in the color the prompt gives it or its own."""
    found = _SPECIES[kind]
    if coat is None or (kind == "fox" and max(coat) - min(coat) > 120 and coat[0] > 180):
        return found
    bright = sum(coat) / 3
    if bright < 70:
        return replace(found, coat=coat, pale=lit(coat, 0.16), mark=lit(coat, -0.35))
    if bright > 215:
        return replace(
            found, coat=mix(coat, (232, 226, 220), 0.5), pale=(255, 253, 250), mark=(214, 200, 192)
        )
    return replace(found, coat=coat, pale=lit(coat, 0.72), mark=lit(coat, -0.35))
