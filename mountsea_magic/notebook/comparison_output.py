"""The outputs of a comparison: one image with both, and a slider between them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from ..images.comparison import Comparison, Side
from ..images.previews import Preview
from ..runtime.printing import echo
from ..runtime.text import escape_html
from .frontend import front_end
from .outputs import Output, image_element, preview_output

if TYPE_CHECKING:
    from collections.abc import Iterator

EMPTY_IMAGE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
"""A transparent pixel."""

_FILL = "position:absolute;top:0;left:0;width:100%;height:100%;margin:0"
_LABEL = (
    "position:absolute;top:6px;max-width:45%;padding:1px 7px;border-radius:3px;font-size:13px;"
    "line-height:1.5;background:rgba(0,0,0,.72);color:#fff;pointer-events:none"
)
_BORDER = (
    "position:absolute;top:0;bottom:0;left:var(--border);width:2px;margin-left:-1px;"
    "background:#fff;box-shadow:0 0 0 1px rgba(0,0,0,.6);pointer-events:none"
)
_HANDLE = (
    "position:absolute;top:50%;left:var(--border);width:32px;height:32px;margin:-16px 0 0 -16px;"
    "border-radius:50%;background:#fff;color:#222;text-align:center;font:18px/32px sans-serif;"
    "box-shadow:0 0 0 1px rgba(0,0,0,.6),0 0 0 var(--focus) #1a73e8;pointer-events:none"
)

# wider than the images, so that the middle of the hidden thumb is on the border at both ends
_CONTROL = (
    "position:absolute;top:0;left:-8px;width:calc(100% + 16px);height:100%;margin:0;padding:0;"
    "opacity:0;cursor:ew-resize;touch-action:pan-y"
)
_SET = "this.parentNode.style.setProperty"


def show_comparison(comparison: Comparison) -> None:
    """Display a comparison: its image, and the slider if someone may be watching.

    In a terminal that draws no images its repr is printed.

    Args:
        comparison: The comparison.
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    front = front_end(get_ipython())
    if not (front.notebook or front.draws_png):
        echo(repr(comparison))
        return
    bundle, metadata = comparison_bundle(comparison, png=front.draws_png)
    display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # IPython's display is untyped
    if front.notebook and front.attended:
        display({"text/html": slider_html(comparison), "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]  # as above


def comparison_bundle(comparison: Comparison, *, png: bool = False) -> Output:
    """Return the mimebundle of the image with both, with its size and alt text.

    Args:
        comparison: The comparison.
        png: Whether it must be a PNG, for a terminal.
    """
    encoded = Preview.png_of(comparison.image) if png else comparison.encode()
    return preview_output(encoded, repr(comparison), comparison.alt_text())


def slider_html(comparison: Comparison) -> str:
    """Return HTML with both images on top of each other, and a slider that moves their border.

    It needs neither the kernel nor a widget. Event handlers make it, so that nothing of it is left
    where a front end removes them: in a notebook that is not trusted, and on GitHub.

    Args:
        comparison: The comparison.
    """
    slider = html.escape("".join(_slider(comparison)))
    # <i>, because nbconvert's sanitizer shows tags that it does not know as text, data included
    return (
        f'<i hidden data-slider="{slider}"></i><img alt="" width="1" height="1" '
        f'src="{EMPTY_IMAGE}" onload="const held=this.previousElementSibling;'
        'held.outerHTML=held.dataset.slider;this.remove()">'
    )


def _slider(comparison: Comparison) -> Iterator[str]:
    before, after = comparison.frames()
    names = [escape_html(side.label) for side in (comparison.before, comparison.after)]
    yield (
        '<div style="position:relative;overflow:hidden;'
        f'width:{before.width}px;max-width:100%;--border:50%;--focus:0">'
    )
    yield _image(before, comparison.before, "display:block;width:100%;height:auto;margin:0")
    yield _image(after, comparison.after, f"{_FILL};clip-path:inset(0 0 0 var(--border))")
    for name, edge in zip(names, ("left", "right"), strict=True):
        if name:
            yield f'<span aria-hidden="true" style="{_LABEL};{edge}:6px">{name}</span>'
    yield f'<span style="{_BORDER}"></span><span aria-hidden="true" style="{_HANDLE}">⇔</span>'
    # without data-lm-suppress-shortcuts JupyterLab moves to another cell with the arrow keys
    yield (
        f'<input type="range" min="0" max="100" value="50" style="{_CONTROL}" '
        f'aria-label="Border between {names[0] or "the first"} and {names[1] or "the second"}, '
        'in percent from the left" title="Drag the border, or use the arrow keys" '
        'data-lm-suppress-shortcuts="true" '
        f"oninput=\"{_SET}('--border',this.value+'%')\" "
        f"onfocus=\"{_SET}('--focus','4px')\" onblur=\"{_SET}('--focus','0')\"></div>"
    )


def _image(frame: Preview, side: Side, style: str) -> str:
    attributes = f'draggable="false" style="max-width:none;{style}"'
    return image_element(frame, side.description, attributes)
