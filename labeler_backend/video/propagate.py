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
from labeler_backend.video.pieces import crumbs
from labeler_backend.video.propagation import blended, confidence, presence
from labeler_backend.video.source import BrokenFrame
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
        problem: where the frame cannot be decoded, a sentence that says so: nothing is known of it.
    """

    index: int
    labels: LabelMap
    confidence: dict[int, float]
    present: frozenset[int]
    given: bool = False
    problem: str = ""


@dataclass(slots=True)
class Reached:
    """How far a propagation has come, and what it takes to go on from there; pickled, in another process too.

    Attributes:
        index: of the last frame that was yielded; -1 = none.
        tracker: the pass forward, as it was then.
    """

    index: int = -1
    tracker: Tracker | None = None


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
    areas: Mapping[int, int]
    """Pixels of the largest mask that was given of each object."""

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
        return in_basis(self.basis, projected(self.basis, image, features), features.grid)


def propagate(
    frames: Frames, given: Mapping[int, LabelMap], encode: Encode, reached: Reached | None = None
) -> Iterator[Carried]:
    """Carry given masks through all frames, forward, backward, and between two given frames from both.

    Frames are read when their turn comes and in order, those between two given frames twice, so that memory
    does not grow with the video; what lies between two given frames is kept on disk meanwhile. Objects are
    carried over a frame that cannot be decoded, in which nothing is known of them.

    Args:
        frames: of one size; `len` and access by index.
        given: by frame index, (H, W) ids of the objects, 0 = none. An id that a given frame does not show
            is taken not to be in it.
        encode: upright (H, W, 3) uint8 → its Features, at the size wanted (SIZE is the default's short side).
        reached: where to go on; it keeps up with what is yielded. All else must be as it was then, and the
            masks are those of a propagation that nobody stopped.

    Yields:
        One `Carried` per frame, in order.

    Raises:
        InputError: no frames, no mask, a mask of another size, past the end or for a frame that cannot be
            decoded, a frame of another size.
            What has been yielded before stays good.
    """
    checked = {index: _checked(frames, index, labels) for index, labels in sorted(given.items())}
    video = _learned(frames, checked, encode)
    at = reached or Reached()
    marks = sorted(checked)
    for before, after in zip([None, *marks], [*marks, None], strict=True):
        if before is not None and before > at.index:
            at.tracker = at.tracker or Tracker(video.given, before)
            at.tracker.restart(video.given[before])
            at.index = before
            yield _as_given(video, before)
        if after is None:
            yield from _forward(video, at)
        elif after > at.index:
            yield from _between(video, at, before, after)


def _checked(frames: Frames, index: int, labels: LabelMap) -> LabelMap:
    if not len(frames):
        raise InputError("There are no frames: give a video, or a folder of frames, that has some.")
    if not 0 <= index < len(frames):
        raise InputError(
            f"A mask is given for frame {index}, but there are {len(frames)} frames (0 to {len(frames) - 1})."
        )
    try:
        height, width = frames[index].image.shape[:2]
    except BrokenFrame as error:
        raise InputError(
            f"A mask is given for a frame that cannot be used, give it for another: {error}"
        ) from error
    if labels.shape != (height, width):
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
    seen = {index: (image, encode(image)) for index, image in ((i, frames[i].image) for i in given)}
    basis = find_basis(list(seen.values()))
    known: dict[int, Given] = {}
    drawn = []
    for index, labels in given.items():
        image, features = seen[index]
        tokens = in_basis(basis, projected(basis, image, features), features.grid)
        known[index] = Given(tokens, shares_of(labels, ids, tokens.grid))
        drawn += outlines.drawn(image, labels, tokens, ids)
    size = next(iter(given.values())).shape
    net = outlines.train(drawn, outlines.steps_for(len(frames), len(given)))
    areas = {one: max(int((labels == one).sum()) for labels in given.values()) for one in ids}
    return _Video(frames, encode, (size[0], size[1]), ids, given, basis, known, net, areas)


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


def _blank(video: _Video, broken: BrokenFrame) -> Carried:
    nothing = np.zeros(video.size, np.uint16)
    return Carried(broken.index, nothing, dict.fromkeys(video.ids, 0.0), frozenset(), problem=str(broken))


def _forward(video: _Video, at: Reached) -> Iterator[Carried]:
    """What comes after the last given frame."""
    assert at.tracker is not None  # there is one
    for index in range(at.index + 1, len(video.frames)):
        try:
            image = video.image(index)
            tokens = video.tokens(image)
            found = _drawn(video, index, image, tokens, at.tracker.step(index, tokens))
        except BrokenFrame as broken:
            found = _blank(video, broken)
        at.index = index
        yield found


def _between(video: _Video, at: Reached, before: int | None, after: int) -> Iterator[Carried]:
    """Frames before a given one: carried back from it, and forward to it from the one before, if any."""
    origin, ahead = 0 if before is None else before + 1, at.tracker
    start = max(origin, at.index + 1)
    first = _first_from_behind(origin, after, ahead is not None)
    with Store() as stored:
        broken = _store_tokens(video, range(start, after), stored)
        grid = video.given[after].tokens.grid
        back = Tracker(video.given, after)
        for index in range(after - 1, max(first, start) - 1, -1):
            if index not in broken:
                tokens = in_basis(video.basis, stored.get("tokens", index - start), grid)
                stored.put("shares", index - start, back.step(index, tokens))
        for index in range(start, after):
            try:
                if index in broken:
                    raise broken[index]
                tokens = in_basis(video.basis, stored.get("tokens", index - start), grid)
                shares = stored.get("shares", index - start) if index >= first else None
                if ahead is not None and (shares is None or index < after - (first - origin)):
                    carried = ahead.step(index, tokens)
                    share = 0.0 if before is None else (index - before) / (after - before)
                    shares = carried if shares is None else blended(carried, shares, share)
                assert shares is not None
                found = _drawn(video, index, video.image(index), tokens, shares)
            except BrokenFrame as error:
                found = _blank(video, error)
            at.index = index
            yield found


def _store_tokens(video: _Video, indices: range, stored: Store) -> dict[int, BrokenFrame]:
    """The tokens of a stretch, by their place in it; returns the frames that have none."""
    broken = {}
    for index in indices:
        try:
            image = video.image(index)
            tokens = projected(video.basis, image, video.encode(image))
            stored.put("tokens", index - indices.start, tokens)
        except BrokenFrame as error:
            broken[index] = error
    return broken


def _first_from_behind(start: int, after: int, both: bool) -> int:
    """The first frame that is carried back to: in a long stretch, not those far beyond its middle."""
    return max(start, (start + after - OVERLAP) // 2) if both else start


def _drawn(video: _Video, index: int, image: RGB, tokens: Tokens, shares: FloatArray) -> Carried:
    """Shares on the grid → pixels."""
    there = presence(shares)
    sure = {one: float(found) for one, found in zip(video.ids, confidence(shares), strict=True)}
    picture, inputs = outlines.working_picture(image, tokens.grid), outlines.token_input(tokens)
    found: dict[int, Outline] = {}
    for k, one in enumerate(video.ids):
        share, masks = shares[..., k + 1], len(video.given)
        line = outlines.outline(video.net, picture, inputs, share, masks) if there[k] else None
        if line is not None:
            found[one] = line
    labels = outlines.to_labels(found, tokens.grid, video.size)
    labels[crumbs(labels, sure, video.areas)] = 0
    seen = frozenset(int(one) for one in np.unique(labels) if one)
    return Carried(index, labels, sure, seen)
