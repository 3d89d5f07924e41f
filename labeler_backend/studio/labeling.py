"""A labelling config that works with this backend: for given labels and a kind of region."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from typing import Literal, get_args
from xml.sax.saxutils import quoteattr

from labeler_backend.errors import LabelerError

Kind = Literal["polygon", "brush", "box", "video"]

_ANSWERS = {"polygon": "PolygonLabels", "brush": "BrushLabels", "box": "RectangleLabels"}

# Tol's "vibrant" and "muted" schemes, apart also for most kinds of colour blindness; more labels go round
# the hues.
_COLORS = ("#0077bb", "#ee7733", "#009988", "#cc3311", "#33bbee", "#ee3377", "#999933", "#882255", "#ddaa33")
_GOLDEN = 0.618033988749895
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


def labeling_config(labels: Sequence[str], kind: Kind, frame_rate: float = 25.0) -> str:
    """The XML of a labelling config in which proposals, clicks and boxes work.

    Answer tags carry `smart="false"`, since `smart` is true by default and would add a tool of their own that
    does nothing; prompts come first and carry `smart="true"`.

    Args:
        labels: names of the classes, in the order in which they are shown.
        kind: what the regions are; `video` draws boxes through time.
        frame_rate: frames per second of the videos; of `video` only.

    Raises:
        LabelerError: no label, an empty or repeated one, one that Label Studio cannot hold, an unknown kind,
            or a frame rate that is not positive.
    """
    names = _checked(labels)
    if kind == "video":
        return _video(names, frame_rate)
    if kind not in _ANSWERS:
        raise LabelerError(f"{kind!r} is no kind of region: take one of {', '.join(get_args(Kind))}.")
    return _image(names, kind)


def split_labels(text: str) -> list[str]:
    """`"cat, dog"` → `["cat", "dog"]`; empty parts are kept, so that they are complained about."""
    return [part.strip() for part in text.split(",")]


def _image(names: Sequence[str], kind: Literal["polygon", "brush", "box"]) -> str:
    # A box drawn as a prompt makes no sense where the answer is that same box.
    prompts = ["KeyPointLabels click", *(["RectangleLabels frame"] if kind != "box" else [])]
    lines = ['  <Image name="image" value="$image" zoom="true"/>']
    for prompt in prompts:
        tag, name = prompt.split()
        lines += _control(tag, name, "image", names, 'smart="true"')
    lines += _control(_ANSWERS[kind], kind, "image", names, 'smart="false"')
    return "\n".join(["<View>", *lines, "</View>", ""])


def _video(names: Sequence[str], frame_rate: float) -> str:
    if not 0 < frame_rate < float("inf"):
        raise LabelerError(f"{frame_rate} is no frame rate: give the frames per second of the videos.")
    lines = [
        "  <!-- frameRate has to be that of the videos, or boxes drift off their frames. -->",
        f'  <Video name="video" value="$video" frameRate="{frame_rate:g}"/>',
        '  <VideoRectangle name="box" toName="video" smart="false"/>',
        *_control("Labels", "labels", "video", names, ""),
    ]
    return "\n".join(["<View>", *lines, "</View>", ""])


def _control(tag: str, name: str, target: str, labels: Sequence[str], more: str) -> list[str]:
    start = f'  <{tag} name="{name}" toName="{target}" {more}'.rstrip()
    options = [
        f"    <Label value={quoteattr(label)} background={quoteattr(color_of(number))}/>"
        for number, label in enumerate(labels)
    ]
    return [f"{start}>", *options, f"  </{tag}>"]


def color_of(number: int) -> str:
    """A colour (`#rrggbb`) for the label of this number; no two of a few hundred are the same."""
    if number < len(_COLORS):
        return _COLORS[number]
    hue = (number * _GOLDEN) % 1.0
    lightness = (0.38, 0.5, 0.62)[number % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.75))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _checked(labels: Sequence[str]) -> list[str]:
    names = [label.strip() for label in labels]
    if not names or names == [""]:
        raise LabelerError("No labels were given: name at least one, as in --labels cat,dog.")
    if "" in names:
        raise LabelerError("One of the labels is empty: look for two commas in a row, or one at an end.")
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise LabelerError(f"The label {twice[0]!r} is given twice: name each once.")
    if odd := [name for name in names if _CONTROL.search(name)]:
        raise LabelerError(f"The label {odd[0]!r} holds a character that XML cannot: leave it out.")
    if dynamic := [name for name in names if name.startswith("$")]:
        raise LabelerError(f"The label {dynamic[0]!r} would be read as a variable: begin it with no $.")
    return names
