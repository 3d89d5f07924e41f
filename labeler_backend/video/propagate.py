"""Masks given on some frames of a video, carried to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.errors import InputError
from labeler_backend.media import RGB
from labeler_backend.video import outline as outlines
from labeler_backend.video.basis import Basis, Tokens, find_basis, in_basis, projected
from labeler_backend.video.outline import LabelMap, Outline
from labeler_backend.video.outline_net import OutlineNet
from labeler_backend.video.propagation import blended, confidence, presence
from labeler_backend.video.store import Store
from labeler_backend.video.tracker import Given, Tracker

SIZE = 476
"""Short side in pixels of what the backbone sees of a frame."""
OVERLAP = 600
"""Frames between two given ones that are gone through from both sides; the rest only from the nearer one."""

Encode = Callable[[RGB], Features]


class Frame(Protocol):
    """One frame: what is needed of it here."""

    @property
    def index(self) -> int:
        """Its number, from 0."""

    @property
    def image(self) -> RGB:
        """(H, W, 3) uint8."""


class Frames(Protocol):
    """A video: how many frames, and each by its index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Frame: ...


@dataclass(frozen=True, slots=True)
class Carried:
    """What is known of one frame.

    Attributes:
        index: of the frame.
        labels: (H, W) uint16, the id of the object at each pixel, 0 = none.
        confidence: by id, in [0, 1].
        present: ids of the objects that are in the picture.
        given: whether the mask is one that was given.
    """

    index: int
    labels: LabelMap
    confidence: dict[int, float]
    present: frozenset[int]
    given: bool = False


@dataclass(frozen=True, slots=True)
class _Video:
    """A video and what has been learned of it from its given frames."""

    frames: Frames
    encode: Encode
    size: tuple[int, int]
    ids: tuple[int, ...]
    labels: Mapping[int, LabelMap]
    basis: Basis
    given: dict[int, Given]
    net: OutlineNet

    def image(self, index: int) -> RGB:
        """(H, W, 3); all frames must have the size of the first."""
        image = self.frames[index].image
        if image.shape[:2] != self.size:
            raise InputError(
                f"Frame {index} is {image.shape[1]}×{image.shape[0]} pixels, the given ones "
                f"{self.size[1]}×{self.size[0]}: cut the video where its size changes."
            )
        return image

    def tokens(self, image: RGB) -> Tokens:
        """Of one picture, in the video's basis."""
        features = self.encode(image)
        return in_basis(self.basis, projected(self.basis, features), features.grid)


def propagate(frames: Frames, given: Mapping[int, LabelMap], encode: Encode) -> Iterator[Carried]:
    """Carry given masks through all frames, forward, backward, and between two given frames from both.

    Frames are read when their turn comes and in order, those between two given frames twice, so that memory
    does not grow with the video; what lies between two given frames is kept on disk meanwhile.

    Args:
        frames: of one size; `len` and access by index.
        given: by frame index, (H, W) ids of the objects, 0 = none. An id that a given frame does not show
            is taken not to be in it.
        encode: upright (H, W, 3) uint8 → its Features, at the size wanted (SIZE is the default's short side).

    Yields:
        One `Carried` per frame, in order.

    Raises:
        InputError: no frames, no mask, a mask of another size or past the end, a frame of another size.
            What has been yielded before stays good.
    """
    checked = {index: _checked(frames, index, labels) for index, labels in sorted(given.items())}
    video = _learned(frames, checked, encode)
    marks = sorted(checked)
    ahead: Tracker | None = None
    for before, after in zip([None, *marks], [*marks, None], strict=True):
        if before is not None:
            yield _as_given(video, before)
            ahead = ahead or Tracker(video.given, before)
            ahead.restart(video.given[before])
        if before is not None and after is None:
            yield from _forward(video, ahead, range(before + 1, len(frames)))
        elif after is not None:
            yield from _between(video, ahead, before, after)


def _checked(frames: Frames, index: int, labels: LabelMap) -> LabelMap:
    if not 0 <= index < len(frames):
        raise InputError(
            f"A mask is given for frame {index}, but there are {len(frames)} frames (0 to {len(frames) - 1})."
        )
    if labels.shape != frames[index].image.shape[:2]:
        height, width = frames[index].image.shape[:2]
        raise InputError(
            f"The mask for frame {index} is {labels.shape[1]}×{labels.shape[0]} pixels, the frame "
            f"{width}×{height}: make the mask on the frame itself."
        )
    return labels.astype(np.uint16)


def _learned(frames: Frames, given: Mapping[int, LabelMap], encode: Encode) -> _Video:
    """Everything that comes from the given frames alone."""
    ids = tuple(sorted({int(one) for labels in given.values() for one in np.unique(labels) if one}))
    if not ids:
        where = f"frame {', '.join(map(str, given))}" if given else "any frame"
        raise InputError(f"No object is marked on {where}: give a mask with at least one id above 0.")
    images = {index: frames[index].image for index in given}
    features = {index: encode(image) for index, image in images.items()}
    basis = find_basis(list(features.values()))
    known: dict[int, Given] = {}
    drawn = []
    for index, labels in given.items():
        tokens = in_basis(basis, projected(basis, features[index]), features[index].grid)
        known[index] = Given(tokens, shares_of(labels, ids, tokens.grid))
        drawn += outlines.drawn(images[index], labels, tokens, ids)
    size = next(iter(given.values())).shape
    return _Video(frames, encode, (size[0], size[1]), ids, given, basis, known, outlines.train(drawn))


def shares_of(labels: LabelMap, ids: Sequence[int], grid: tuple[int, int]) -> FloatArray:
    """(H, W) ids → (gh, gw, K + 1): how much of each patch is none, and each of `ids`."""
    layers = [(labels == one).astype(np.float32) for one in ids]
    shares = [cv2.resize(layer, grid[::-1], interpolation=cv2.INTER_AREA) for layer in layers]
    rest = 1 - np.sum(shares, axis=0)
    return np.stack([np.clip(rest, 0, 1), *shares], axis=-1).astype(np.float32)


def _as_given(video: _Video, index: int) -> Carried:
    labels = video.labels[index]
    there = frozenset(int(one) for one in np.unique(labels) if one)
    return Carried(index, labels, dict.fromkeys(video.ids, 1.0), there, given=True)


def _forward(video: _Video, tracker: Tracker | None, indices: range) -> Iterator[Carried]:
    assert tracker is not None  # there is a given frame before these
    for index in indices:
        image = video.image(index)
        tokens = video.tokens(image)
        yield _drawn(video, index, image, tokens, tracker.step(index, tokens))


def _between(video: _Video, ahead: Tracker | None, before: int | None, after: int) -> Iterator[Carried]:
    """Frames before a given one: carried back from it, and forward to it from the one before, if any."""
    start = 0 if before is None else before + 1
    if start == after:
        return
    first = _first_from_behind(start, after, ahead is not None)
    with Store() as stored:
        for index in range(start, after):
            stored.put("tokens", index - start, projected(video.basis, video.encode(video.image(index))))
        grid = video.given[after].tokens.grid
        back = Tracker(video.given, after)
        for index in range(after - 1, first - 1, -1):
            tokens = in_basis(video.basis, stored.get("tokens", index - start), grid)
            stored.put("shares", index - start, back.step(index, tokens))
        for index in range(start, after):
            tokens = in_basis(video.basis, stored.get("tokens", index - start), grid)
            shares = stored.get("shares", index - start) if index >= first else None
            if ahead is not None and (shares is None or index < after - (first - start)):
                carried = ahead.step(index, tokens)
                share = 0.0 if before is None else (index - before) / (after - before)
                shares = carried if shares is None else blended(carried, shares, share)
            assert shares is not None
            yield _drawn(video, index, video.image(index), tokens, shares)


def _first_from_behind(start: int, after: int, both: bool) -> int:
    """The first frame that is carried back to: in a long stretch, not those far beyond its middle."""
    return max(start, (start + after - OVERLAP) // 2) if both else start


def _drawn(video: _Video, index: int, image: RGB, tokens: Tokens, shares: FloatArray) -> Carried:
    """Shares on the grid → pixels."""
    there, sure = presence(shares), confidence(shares)
    picture, inputs = outlines.working_picture(image, tokens.grid), outlines.token_input(tokens)
    found: dict[int, Outline] = {}
    for k, one in enumerate(video.ids):
        line = outlines.outline(video.net, picture, inputs, shares[..., k + 1]) if there[k] else None
        if line is not None:
            found[one] = line
    labels = outlines.to_labels(found, tokens.grid, video.size)
    seen = frozenset(int(one) for one in np.unique(labels) if one)
    return Carried(index, labels, {one: float(c) for one, c in zip(video.ids, sure, strict=True)}, seen)
