"""Finding the sky of an image: the even part that hangs from its upper edge."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter

from ..drawing.palettes import Color

_COLUMNS = 112
"""How many columns are searched: enough for a roof, few enough for Python."""

_STEP = 11
"""How far (sum of three channels) neighbours in a black sky may be apart."""

_STEP_IN_LIGHT = 0.018
"""How much farther for each level of brightness (sum of three channels)."""

_DARKER = 150
"""How much darker (sum of three channels) than at its top the sky may become: trees are more."""

_THING = 100
"""How much darker (sum of three channels) than the sky what hangs before it is: no cloud is."""

_CLOUD = 0.3
"""The part of the height that a cloud, the sun or a bird may take."""

_NEAR = 8
"""How many rows above and below a horizon are compared."""

_BELOW = 50
"""How much darker (sum of three channels) than the sky near the horizon the water below it is."""

_LEAST, _MOST = 0.07, 0.72
"""What covers a smaller part of the image is no sky, and what covers a larger one is all."""


def find_sky(image: Image.Image) -> Image.Image | None:
    """Find where the sky is, as an "L" mask, or None where there is none."""
    high = max(28, min(224, round(_COLUMNS * image.height / image.width)))
    small = image.resize((_COLUMNS, high), Image.Resampling.BOX)
    raw = small.tobytes()
    pixels = [(raw[n], raw[n + 1], raw[n + 2]) for n in range(0, len(raw), 3)]
    reached = _flooded(pixels)
    horizon = _horizon(pixels, reached)
    depths = [min(horizon, _depth(reached[x::_COLUMNS])) for x in range(_COLUMNS)]
    if not _LEAST < sum(depths) / len(pixels) < _MOST:
        return None
    mask, tones = bytearray(len(pixels)), list(pixels)
    for place, pixel in enumerate(pixels):
        if not reached[place]:
            tones[place] = tones[max(place - _COLUMNS, place % _COLUMNS)]
        # what is darker than the sky above it stands before it: a palm, a bird
        clear = sum(pixel) >= sum(tones[place]) - _THING
        if clear and place // _COLUMNS < depths[place % _COLUMNS]:
            mask[place] = 255
    small.putdata(tones)
    return _refined(image, Image.frombytes("L", small.size, bytes(mask)), small)


def _flooded(pixels: list[Color]) -> list[bool]:
    """Spread from the upper edge for as long as colors change only slowly."""
    sums = [sum(pixel) for pixel in pixels]
    usual = sorted(sums[:_COLUMNS])[_COLUMNS // 2]
    step = _STEP + _STEP_IN_LIGHT * usual
    reached = [False] * len(pixels)
    front = [x for x in range(_COLUMNS) if abs(sums[x] - usual) < _DARKER]
    for place in front:
        reached[place] = True
    while front:
        place = front.pop()
        red, green, blue = pixels[place]
        x = place % _COLUMNS
        for near in (
            place + _COLUMNS,
            place - 1 if x else -1,
            place + 1 if x < _COLUMNS - 1 else -1,
            place - _COLUMNS,
        ):
            if 0 <= near < len(pixels) and not reached[near] and sums[near] > usual - _DARKER:
                r, g, b = pixels[near]
                if abs(r - red) + abs(g - green) + abs(b - blue) < step:
                    reached[near] = True
                    front.append(near)
    return reached


def _horizon(pixels: list[Color], reached: list[bool]) -> int:
    """Skies do not darken all at once: where that happens, the sky was left for water."""
    rows = [
        sorted(sum(pixels[n]) for n in range(top, top + _COLUMNS) if reached[n]) or [0]
        for top in range(0, len(pixels), _COLUMNS)
    ]
    # the middle one of a row alone may be a cloud, a darker one alone a tree
    levels = [[row[len(row) // share] for row in rows] for share in (5, 2)]
    for edge in range(_NEAR, len(rows) - _NEAR):
        drops = (
            sorted(level[edge - _NEAR : edge])[_NEAR // 2] - max(level[edge : edge + _NEAR])
            for level in levels
        )
        if min(drops) > _BELOW:
            return edge
    return len(rows)


def _depth(column: list[bool]) -> int:
    """Clouds and the sun are within the sky: what is reached again below them counts."""
    depth = missed = 0
    for y, reached in enumerate(column):
        missed = 0 if reached else missed + 1
        if reached:
            depth = y + 1
        elif missed > len(column) * _CLOUD:
            break
    return depth


def _refined(image: Image.Image, core: Image.Image, tones: Image.Image) -> Image.Image:
    """Along the skyline, each pixel of the large image is compared with the sky's color."""
    sure, maybe, tone = (
        part.resize(image.size, Image.Resampling.BILINEAR)
        for part in (
            core.filter(ImageFilter.MinFilter(5)),
            core.filter(ImageFilter.MaxFilter(5)),
            tones,
        )
    )
    red, green, blue = ImageChops.difference(image, tone).split()
    apart = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    like = apart.point([max(0, min(255, 255 - (v - 26) * 9)) for v in range(256)])
    return ImageChops.lighter(sure, ImageChops.multiply(maybe, like))
