"""The notebook's output: the one final line, and each image as an ``image/*`` output."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import resume_hint
from ..hub.image_counts import describe_left_out
from ..images.files import GeneratedImage
from ..images.previews import NoPreview, preview
from ..request.request import ImageRequest
from ..runtime.printing import echo, encodable, stdout_encoding
from ..runtime.text import escape_html, printable, quoted, sanitize
from ..settings import DEFAULT_PREVIEW_PX
from .frontend import front_end
from .image_rows import SIDE_BY_SIDE as SIDE_BY_SIDE
from .progress import TEXT_ONLY

if TYPE_CHECKING:
    from IPython.display import DisplayHandle


Output = tuple[dict[str, str], dict[str, dict[str, Any]]]
"""A mimebundle and its metadata, as `IPython.display.display` takes them."""


@dataclass(frozen=True, slots=True)
class FinalLine:
    """What stays of a generation's progress.

    Attributes:
        html: For notebooks; everything from outside is escaped in it.
        text: For terminals, and for front ends that show no HTML.
    """

    html: str
    text: str


class Shown(Protocol):
    """What is shown of a generation."""

    request: ImageRequest | None
    task_id: str | None
    status: str
    images: tuple[GeneratedImage, ...]
    elapsed_s: float | None
    is_demo: bool
    from_journal: bool
    left_out: int
    preview_px: int

    @property
    def prompt(self) -> str:
        """The prompt."""


def final_line(shown: Shown) -> FinalLine:
    """Say in one line what came of a generation.

    Args:
        shown: A completed generation.
    """
    first, *others = shown.images
    where = escape_html(", ".join([_path(first), *(Path(_path(image)).name for image in others)]))
    words = _facts(shown)
    line = f'<small class="{TEXT_ONLY}">{escape_html(words)} · <code>{where}</code></small>'
    return FinalLine(
        html=line + (SIDE_BY_SIDE if len(shown.images) > 1 else ""),
        text="\n".join([words, *(f"  {_path(image)}" for image in shown.images)]),
    )


def _path(image: GeneratedImage) -> str:
    """A folder's name may hold bytes that are no text, which no front end takes."""
    return encodable(str(image.path), "utf-8")


def _facts(shown: Shown) -> str:
    """What was asked for, and what came of it."""
    sizes = {f"{image.width}×{image.height}" for image in shown.images}
    size = " ".join(sorted(sizes))
    facts = [
        # the line is there to be glanced at
        f"“{sanitize(shown.prompt, limit=60)}”" if shown.prompt else "",
        quoted(shown.request.model) if shown.request is not None else _task(shown),
        size if len(shown.images) == 1 else f"{len(shown.images)} × {size}",
        f"{shown.elapsed_s:.1f} s" if shown.elapsed_s is not None else "",
        "demo Hub: drawn here, not by the model, nothing charged" if shown.is_demo else "",
        "from the journal, nothing charged" if shown.from_journal else "",
        describe_left_out(shown.left_out),
    ]
    return " · ".join(filter(None, facts))


def ending_line(shown: Shown, what: str) -> FinalLine:
    """Say in one line that a generation ended without images; the error below says why.

    Args:
        shown: The generation.
        what: How it ended, such as ``interrupted``.
    """
    model = quoted(shown.request.model) if shown.request is not None else "resumed"
    words = f"{model} · {what} · {_task(shown)}"
    return FinalLine(f'<small class="{TEXT_ONLY}">{escape_html(words)}</small>', words)


def line_with(line: FinalLine, said: str) -> FinalLine:
    """Add to the line of a cell that is over what can't be raised or printed there any more.

    Args:
        line: The line.
        said: What went wrong.
    """
    block = f'<pre class="{TEXT_ONLY}">{escape_html(said)}</pre>'
    return FinalLine(line.html + block, f"{line.text}\n{printable(said)}")


def show(shown: Shown) -> None:
    """Display each image as an output of its own, or say that there is none.

    Args:
        shown: The generation; its `preview_px` bounds the previews.
    """
    from IPython.core.getipython import get_ipython

    front = front_end(get_ipython())
    if not shown.images:
        echo(repr(shown))
    elif front.notebook or front.draws_png:
        try:
            ImageOutputs(shown, beside=front.notebook, png=front.draws_png).fill()
        except OSError as error:
            hint = f" {resume_hint(shown.task_id)} fetches it again." if shown.task_id else ""
            echo(f"An image can't be shown ({sanitize(error)}).{hint}")
    if shown.images and not front.notebook:
        echo("\n".join(_path(image) for image in shown.images))


def image_output(image: GeneratedImage) -> Output:
    """Make the mimebundle of one image of a result, for where the user displays it.

    Args:
        image: The image.

    Returns:
        The bundle, with the path as its text, and its metadata; of a terminal that draws no
        images, and of a file that is gone, the text alone.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    front = front_end(shell)
    if not (front.notebook or front.draws_png):
        return {"text/plain": encodable(_path(image), stdout_encoding())}, {}
    magics = shell.magics_manager.registry.get("MountseaMagics") if shell is not None else None
    longest_px = getattr(magics, "preview", DEFAULT_PREVIEW_PX)
    try:
        return _output(image, longest_px, f"Image {image.path.stem}", png=front.draws_png)
    except OSError as error:
        return {"text/plain": f"The image can't be shown ({sanitize(error)})."}, {}


class ImageOutputs:
    """The places of a generation's images in the output of a cell.

    Example:
        >>> from mountsea_magic.generation.handle import Generation
        >>> ImageOutputs(Generation(None, task_id="hub-1")).fill()
    """

    def __init__(
        self,
        shown: Shown,
        *,
        hold: bool = False,
        captioned: bool = False,
        beside: bool = False,
        png: bool = False,
    ) -> None:
        """Take the places.

        Args:
            shown: The generation.
            hold: Take them now, where what comes after the cell is over would not get there.
            captioned: Say above the images what was asked for.
            beside: Say nothing, but put several images side by side.
            png: Show them as PNG, the one kind that terminals draw.
        """
        self._shown, self._captioned, self._beside = shown, captioned, beside
        self._png = png
        count = shown.request.image_count if hold and shown.request is not None else 0
        self._held = [self._place() for _ in range(count + captioned if count else 0)]
        self._filled: list[Output] = []

    def fill(self) -> None:
        """Put the images there, and a path where one has no preview.

        Raises:
            OSError: If a file can't be read; the others are there then.
        """
        from IPython.display import display

        outputs, unreadable = self._outputs()
        if self._held:
            # no more than there are places, since an output of now would be in another cell
            missing = len(self._held) - len(outputs)
            self._filled = [*outputs, *[({"text/plain": "no image"}, {})] * missing]
            self.republish()
        else:
            for bundle, metadata in outputs:
                display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # IPython's display bears no types
        if unreadable is not None:
            raise unreadable

    def republish(self) -> None:
        """Fill the held places once more, from another cell.

        nbclient and papermill listen only to the cell that runs, so what came between two cells
        has not reached the notebook that they write.
        """
        for handle, (bundle, metadata) in zip(self._held, self._filled, strict=False):
            handle.update(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # as above

    def _outputs(self) -> tuple[list[Output], OSError | None]:
        """The images, what stands above them, and why the last of those missing is missing."""
        images = self._shown.images
        above: list[Output] = []
        if self._captioned and images:
            words = escape_html(_facts(self._shown))
            above.append(({"text/html": f'<small class="{TEXT_ONLY}">{words}</small>'}, {}))
        elif self._beside and len(images) > 1:
            above.append(({"text/html": SIDE_BY_SIDE, "text/plain": ""}, {}))
        outputs, unreadable = above, None
        for number, image in enumerate(images, start=1):
            try:
                outputs.append(image_bundle(self._shown, image, number, png=self._png))
            except OSError as error:
                unreadable = error
                outputs.append(({"text/plain": _path(image)}, {}))
        return outputs, unreadable

    def _place(self) -> DisplayHandle:
        """An empty output that is updated later."""
        from IPython.display import display

        handle: DisplayHandle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # as above
        return handle


def image_bundle(shown: Shown, image: GeneratedImage, number: int, *, png: bool = False) -> Output:
    """Make the mimebundle of one image, with its size and alt text as metadata.

    Args:
        shown: The generation.
        image: One of its images.
        number: Which one, from 1.
        png: Whether it must be a PNG, whatever the size in bytes.

    Returns:
        The bundle, with the path as its text, and its metadata.
    """
    return _output(image, shown.preview_px, alt_text(shown, number), png=png)


def _output(image: GeneratedImage, longest_px: int, alt: str, *, png: bool) -> Output:
    try:
        seen = preview(image, longest_px, png=png)
    except NoPreview as error:
        return {"text/plain": f"{_path(image)}\nNo preview: {sanitize(error)}."}, {}
    bundle = {
        seen.mimetype: base64.b64encode(seen.data).decode("ascii"),
        "text/plain": _path(image),
    }
    return bundle, {seen.mimetype: {"width": seen.width, "height": seen.height, "alt": alt}}


def alt_text(shown: Shown, number: int) -> str:
    """Describe an image to those who do not see it: the prompt is the best that is known.

    Args:
        shown: The generation.
        number: Which of its images, from 1.
    """
    words = sanitize(shown.prompt, limit=300) or f"image of {_task(shown)}"
    kind = "Demo drawing" if shown.is_demo else "Generated image"
    many = f" {number} of {len(shown.images)}" if len(shown.images) > 1 else ""
    return f"{kind}{many}: {words}"


def _task(shown: Shown) -> str:
    return f"task {quoted(shown.task_id)}" if shown.task_id else "no task"
