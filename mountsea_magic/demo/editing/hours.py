"""The hours of the day: what the light does to an image, and what stands in its sky."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps, ImageStat

from ..drawing.canvas import Point
from ..drawing.layers import graded, ramp, toned
from ..drawing.palettes import color, lit
from ..drawing.sky import draw_stars
from .edit_canvas import EditCanvas, Effect, on

_MOON = (246, 241, 218)
_SEAS = ((0.34, 0.4, 0.15), (0.62, 0.3, 0.1), (0.6, 0.64, 0.17), (0.3, 0.7, 0.08))
"""The dark spots of the moon: place and radius, as shares of its width."""

_BURNING = tuple(color(code) for code in ("#2e2a68", "#963e76", "#f06c54", "#ffbe68"))
"""The evening sky, from its top to the horizon."""


def _sunset(sheet: EditCanvas) -> None:
    """Low red light: the sky burns towards the horizon, what stands before it darkens."""
    before = sheet.image.copy()
    sheet.put(graded(ImageEnhance.Color(before).enhance(0.9), "#0f0314 #805254 #ffc79e"))
    if sheet.sky is None:
        side = sheet.rng.choice((0.0, 1.0)) * sheet.width
        sheet.glow(side, sheet.height * 0.3, sheet.unit * 1.3, (255, 150, 70), 0.6)
        sheet.corners(0.4)
        return
    ground = sheet.image.copy()
    horizon = _bottom(sheet.sky)
    sky = EditCanvas(before, "", sheet.rng)
    sky.gradient(_BURNING, 0, horizon)
    sheet.put(sky.image, ramp(sheet.sky, 0, 255, 0.74))
    x, y = _find_sun(sheet)[0], horizon - sheet.unit * 0.05
    sheet.glow(x, y, sheet.unit * 0.95, (255, 190, 100), 0.6)
    sheet.glow(x, y, sheet.unit * 0.3, (255, 236, 170), 0.8)
    sheet.dot(x, y, sheet.unit * 0.075, (255, 240, 196))
    sheet.put(ground, ImageOps.invert(sheet.sky))
    sheet.glow(x, y, sheet.unit * 0.8, (255, 150, 80), 0.35)


def _night(sheet: EditCanvas) -> None:
    """Moonlight: hardly any colour but blue, lamps still lit, stars where the sky is."""
    before = sheet.image.copy()
    sheet.put(graded(ImageEnhance.Color(before).enhance(0.62), "#00030d #2b3661 #8094d1"))
    daylight = ImageStat.Stat(before.convert("L")).mean[0]
    lit_up = max(0.0, min(0.9, (130 - daylight) / 60))
    sheet.put(before, ramp(_lamps(sheet, before), 0, 255, lit_up))
    if sheet.sky is None:
        sheet.corners(0.75)
        return
    ground = sheet.image.copy()
    height = Image.linear_gradient("L").resize(sheet.image.size)
    sheet.put(toned(height, "#050a24 #16265c #3c5596"), ramp(sheet.sky, 0, 255, 0.8))
    draw_stars(sheet, _bottom(sheet.sky), 0.9)
    _hang_moon(sheet, *_find_sun(sheet))
    sheet.put(ground, ImageOps.invert(sheet.sky))


def _bottom(sky: Image.Image) -> int:
    """The row below the sky's lowest."""
    return max(8, (sky.getbbox() or (0, 0, 0, 0))[3])


def _lamps(sheet: EditCanvas, image: Image.Image) -> Image.Image:
    """Small strong lights: windows, neon signs. By day they would be flowers and leaves."""
    _, saturation, value = image.convert("HSV").split()
    lamps = ImageChops.multiply(ramp(value, 215, 216), ramp(saturation, 110, 111))
    around = lamps.reduce(4).filter(ImageFilter.GaussianBlur(sheet.unit * 0.03 / 4))
    lamps = ImageChops.multiply(lamps, ramp(around, 70, 69).resize(image.size))
    if sheet.sky is not None:
        lamps = ImageChops.subtract(lamps, sheet.sky)
    return lamps.filter(ImageFilter.BoxBlur(1))


def _find_sun(sheet: EditCanvas) -> Point:
    """Where the sun stands, so that the moon takes its place; else anywhere high up."""
    free = (sheet.width * sheet.rng.choice((0.24, 0.76)), min(sheet.width, sheet.height) * 0.2)
    if sheet.sky is None:
        return free
    size = (96, max(8, round(96 * sheet.height / sheet.width)))
    sky = sheet.sky.resize(size)
    light = sheet.first.convert("L").resize(size, Image.Resampling.BOX)
    light = ImageChops.multiply(light.filter(ImageFilter.GaussianBlur(2)), sky)
    brightest = max(light.tobytes())
    left, top, right, bottom = ramp(light, brightest - 5, brightest - 4).getbbox() or (0, 0, 96, 0)
    faint = brightest < max(200.0, ImageStat.Stat(light, sky).mean[0] + 45)
    if faint or right - left > 14:
        return free
    scale = sheet.width / size[0]
    return (left + right) / 2 * scale, (top + bottom) / 2 * scale


def _hang_moon(sheet: EditCanvas, x: float, y: float) -> None:
    """A full moon with its seas and its halo; drawn large and reduced, for a smooth edge."""
    radius = sheet.unit * 0.068
    sheet.glow(x, y, radius * 6, (190, 205, 255), 0.4)
    sheet.glow(x, y, radius * 2.1, (235, 235, 235), 0.5)
    side = max(4, round(radius * 2))
    large = EditCanvas(Image.new("RGB", (side * 4, side * 4), _MOON), "", sheet.rng)
    for across, down, size in _SEAS:
        large.dot(across * side * 4, down * side * 4, size * side * 4, lit(_MOON, -0.13))
    disc = Image.new("L", large.image.size)
    ImageDraw.Draw(disc).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
    corner = (round(x - side / 2), round(y - side / 2))
    sheet.image.paste(large.image.reduce(4), corner, disc.reduce(4))


HOURS = (
    Effect(on("sunset sundown dusk twilight evening dawn sunrise", "golden hour"), _sunset),
    Effect(
        on("night nighttime midnight nocturnal dark moon moonlight moonlit star starry"), _night
    ),
)
"""What the words for each hour do."""
