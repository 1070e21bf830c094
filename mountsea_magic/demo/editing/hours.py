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


def _sunset(canvas: EditCanvas) -> None:
    """Low red light: the sky burns towards the horizon, what stands before it darkens."""
    before = canvas.image.copy()
    canvas.put(graded(ImageEnhance.Color(before).enhance(0.9), "#0f0314 #805254 #ffc79e"))
    if canvas.sky is None:
        side = canvas.rng.choice((0.0, 1.0)) * canvas.width
        canvas.glow(side, canvas.height * 0.3, canvas.unit * 1.3, (255, 150, 70), 0.6)
        canvas.corners(0.4)
        return
    ground = canvas.image.copy()
    horizon = _bottom(canvas.sky)
    sky = EditCanvas(before, "", canvas.rng)
    sky.gradient(_BURNING, 0, horizon)
    canvas.put(sky.image, ramp(canvas.sky, 0, 255, 0.74))
    x, y = _find_sun(canvas)[0], horizon - canvas.unit * 0.05
    canvas.glow(x, y, canvas.unit * 0.95, (255, 190, 100), 0.6)
    canvas.glow(x, y, canvas.unit * 0.3, (255, 236, 170), 0.8)
    canvas.dot(x, y, canvas.unit * 0.075, (255, 240, 196))
    canvas.put(ground, ImageOps.invert(canvas.sky))
    canvas.glow(x, y, canvas.unit * 0.8, (255, 150, 80), 0.35)


def _night(canvas: EditCanvas) -> None:
    """Moonlight: hardly any color but blue, lamps still lit, stars where the sky is."""
    before = canvas.image.copy()
    canvas.put(graded(ImageEnhance.Color(before).enhance(0.62), "#00030d #2b3661 #8094d1"))
    daylight = ImageStat.Stat(before.convert("L")).mean[0]
    lit_up = max(0.0, min(0.9, (130 - daylight) / 60))
    canvas.put(before, ramp(_lamps(canvas, before), 0, 255, lit_up))
    if canvas.sky is None:
        canvas.corners(0.75)
        return
    ground = canvas.image.copy()
    height = Image.linear_gradient("L").resize(canvas.image.size)
    canvas.put(toned(height, "#050a24 #16265c #3c5596"), ramp(canvas.sky, 0, 255, 0.8))
    draw_stars(canvas, _bottom(canvas.sky), 0.9)
    _hang_moon(canvas, *_find_sun(canvas))
    canvas.put(ground, ImageOps.invert(canvas.sky))


def _bottom(sky: Image.Image) -> int:
    """The row below the sky's lowest."""
    return max(8, (sky.getbbox() or (0, 0, 0, 0))[3])


def _lamps(canvas: EditCanvas, image: Image.Image) -> Image.Image:
    """Small strong lights: windows, neon signs. By day they would be flowers and leaves."""
    _, saturation, value = image.convert("HSV").split()
    lamps = ImageChops.multiply(ramp(value, 215, 216), ramp(saturation, 110, 111))
    around = lamps.reduce(4).filter(ImageFilter.GaussianBlur(canvas.unit * 0.03 / 4))
    lamps = ImageChops.multiply(lamps, ramp(around, 70, 69).resize(image.size))
    if canvas.sky is not None:
        lamps = ImageChops.subtract(lamps, canvas.sky)
    return lamps.filter(ImageFilter.BoxBlur(1))


def _find_sun(canvas: EditCanvas) -> Point:
    """Where the sun stands, so that the moon takes its place; else anywhere high up."""
    free = (canvas.width * canvas.rng.choice((0.24, 0.76)), min(canvas.width, canvas.height) * 0.2)
    if canvas.sky is None:
        return free
    size = (96, max(8, round(96 * canvas.height / canvas.width)))
    sky = canvas.sky.resize(size)
    light = canvas.first.convert("L").resize(size, Image.Resampling.BOX)
    light = ImageChops.multiply(light.filter(ImageFilter.GaussianBlur(2)), sky)
    brightest = max(light.tobytes())
    left, top, right, bottom = ramp(light, brightest - 5, brightest - 4).getbbox() or (0, 0, 96, 0)
    faint = brightest < max(200.0, ImageStat.Stat(light, sky).mean[0] + 45)
    if faint or right - left > 14:
        return free
    scale = canvas.width / size[0]
    return (left + right) / 2 * scale, (top + bottom) / 2 * scale


def _hang_moon(canvas: EditCanvas, x: float, y: float) -> None:
    """A full moon with its seas and its halo; drawn large and reduced, for a smooth edge."""
    radius = canvas.unit * 0.068
    canvas.glow(x, y, radius * 6, (190, 205, 255), 0.4)
    canvas.glow(x, y, radius * 2.1, (235, 235, 235), 0.5)
    side = max(4, round(radius * 2))
    large = EditCanvas(Image.new("RGB", (side * 4, side * 4), _MOON), "", canvas.rng)
    for across, down, size in _SEAS:
        large.dot(across * side * 4, down * side * 4, size * side * 4, lit(_MOON, -0.13))
    disc = Image.new("L", large.image.size)
    ImageDraw.Draw(disc).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
    corner = (round(x - side / 2), round(y - side / 2))
    canvas.image.paste(large.image.reduce(4), corner, disc.reduce(4))


HOURS = (
    Effect(on("sunset sundown dusk twilight evening dawn sunrise", "golden hour"), _sunset),
    Effect(
        on("night nighttime midnight nocturnal dark moon moonlight moonlit star starry"), _night
    ),
)
"""What the words for each hour do."""
