"""Sizes of the demo Hub's images."""

from __future__ import annotations

from typing import Any

import pytest

from mountsea_magic.demo.server.sizes import MAX_SIDE, NAMED_SIZES, NATIVE_SIZES, image_size
from mountsea_magic.request.catalog import bundled_catalog


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (1024, 1024)),
        ({"aspect_ratio": "16:9"}, (1344, 768)),
        ({"aspect_ratio": "9:16"}, (768, 1344)),
        ({"aspect_ratio": "21:9"}, (1536, 672)),
        ({"aspect_ratio": "3:2"}, (1248, 832)),
        ({"aspect_ratio": "4:3"}, (1184, 864)),
        ({"aspect_ratio": "5:4"}, (1152, 896)),
        ({"aspect_ratio": "auto"}, (1024, 1024)),
        ({"resolution": "0.5K"}, (512, 512)),
        ({"resolution": "2K", "aspect_ratio": "2:3"}, (1664, 2496)),
        ({"resolution": "4K"}, (4096, 4096)),
        ({"resolution": "4K", "aspect_ratio": "21:9"}, (4096, 1792)),
        ({"image_size": "portrait_4_3"}, (768, 1024)),
        ({"image_size": "square", "aspect_ratio": "16:9"}, (512, 512)),
        ({"image_size": {"width": 300, "height": 200}}, (300, 200)),
        ({"image_size": {"width": 1, "height": 2}}, (64, 64)),
        ({"image_size": {"width": 1_000_000, "height": 1_000_000}}, (MAX_SIDE, MAX_SIDE)),
        ({"image_size": {"width": 1_000_000, "height": 1}}, (MAX_SIDE, 64)),
    ],
)
def test_sizes_are_the_native_ones_of_the_model(
    given: dict[str, Any], size: tuple[int, int]
) -> None:
    """The contract's native sizes, scaled by the resolution, within limits."""
    assert image_size(given) == size


@pytest.mark.parametrize(
    ("given", "source", "size"),
    [
        ({}, (1024, 1024), (1024, 1024)),
        ({}, (1344, 768), (1344, 768)),
        ({"aspect_ratio": "auto"}, (768, 1344), (768, 1344)),
        ({}, (1000, 1000), (1000, 1000)),
        ({}, (4000, 1000), (2048, 512)),
        ({}, (30, 30), (1024, 1024)),
        ({}, (300, 400), (887, 1182)),
        ({}, (9000, 10), (2896, 362)),
        ({}, (1, 9000), (362, 2896)),
        ({"resolution": "2K"}, (1024, 1024), (2048, 2048)),
        ({"resolution": "4K"}, (4000, 1000), (4096, 1024)),
        ({"aspect_ratio": "1:1"}, (4000, 1000), (1024, 1024)),
        ({"image_size": "portrait_4_3"}, (4000, 1000), (768, 1024)),
        ({"image_size": {"width": 300, "height": 200}}, (4000, 1000), (300, 200)),
    ],
)
def test_edit_keeps_the_shape_of_its_source(
    given: dict[str, Any], source: tuple[int, int], size: tuple[int, int]
) -> None:
    """At about 1024² pixels, unless another shape is requested; repeated edits keep the size."""
    assert image_size(given, source) == size
    if not given:
        assert image_size(given, size) == size


def test_every_size_in_the_catalog_is_known() -> None:
    """No value that a model accepts silently falls back to a square."""
    for model in bundled_catalog():
        ratios = model.parameters.get("aspect_ratio", {}).get("enum", [])
        assert {ratio for ratio in ratios if ratio != "auto"} <= NATIVE_SIZES.keys()
        for resolution in model.parameters.get("resolution", {}).get("enum", []):
            expected = round(1024 * float(resolution.removesuffix("K")))
            assert image_size({"resolution": resolution}) == (expected, expected)
        for option in model.parameters.get("image_size", {}).get("anyOf", []):
            assert set(option.get("enum", [])) <= NAMED_SIZES.keys()


@pytest.mark.parametrize("ratio", NATIVE_SIZES)
def test_native_sizes_match_their_aspect_ratio(ratio: str) -> None:
    """Within 5 %, and inverse ratios have swapped sides."""
    horizontal, vertical = (float(part) for part in ratio.split(":"))
    width, height = NATIVE_SIZES[ratio]
    assert width / height == pytest.approx(horizontal / vertical, rel=0.05)
    inverse = ":".join(reversed(ratio.split(":")))
    assert NATIVE_SIZES.get(inverse, (height, width)) == (height, width)
