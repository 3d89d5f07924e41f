"""Outlines finer than patches: a small network, trained within seconds on the given frames of one video.

A patch is 14 pixels wide. What is finer cannot be carried by correspondence of patches, but it looks alike in
all frames of a video: the network learns from the given masks what pixels of an object look like, with maps
that carry the errors of propagation as its input (compare Caelles et al. 2017, "One-Shot VOS").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from labeler_backend.backbone.features import FloatArray
from labeler_backend.masks.metrics import iou
from labeler_backend.media import RGB
from labeler_backend.unet import channels_last
from labeler_backend.video.basis import Tokens
from labeler_backend.video.crops import Drawn, crop, log_odds
from labeler_backend.video.outline_net import OutlineNet, loss
from labeler_backend.video.pieces import without_specks
from labeler_backend.video.propagation import grown

PIXELS = 16
"""Working pixels per patch."""
COMPONENTS = 24
"""Of a token, the strongest, that the network sees."""
STEPS = (60, 300)
"""The least and the most with one given frame; more frames say more, and are learned longer."""
STEPS_PER_FRAME = 4
"""So many as the video has frames to be carried to: what is learned once may take a share of what follows."""
MANY = 9
"""Given frames from which on more of them are not learned longer."""
BATCH = 4
RATE = 1e-2
HEARD = (0.4, 0.8)
"""IoU of what the network draws with the carried map, up to which it says nothing, and from which it corrects
the map as far as it may. It has seen a frame or two: where the light changes, or what is behind, it errs
without bound."""
FREE = (0.8, 0.95)
"""The same IoU, up to which it only corrects, and from which it draws alone."""
CORRECTION = 1.5
"""Log odds by which a network that is held back corrects the carried map at most."""
CARRIED = 3.0
"""Weight of the carried map then; its log odds come divided by three."""
ENOUGH = 4
"""Given frames from which on what a network draws is added to the map as it is: it has seen enough."""
_SEEN = 0.1  # a window holds all patches that belong to the object by more than this
_MARGIN = 2  # and so many patches around them
_MEAN = np.array([123.7, 116.3, 103.5], np.float32)
_DEVIATION = np.array([58.4, 57.1, 57.4], np.float32)

LabelMap = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Outline:
    """One object's pixels in its window of the working picture.

    Attributes:
        logits: (h, w) float32, above 0 inside.
        corner: the window's (y, x) in working pixels.
    """

    logits: FloatArray
    corner: tuple[int, int]


def working_picture(image: RGB, grid: tuple[int, int]) -> FloatArray:
    """(H, W, 3) uint8 → (gh·PIXELS, gw·PIXELS, 3) float32, normalised."""
    height, width = grid[0] * PIXELS, grid[1] * PIXELS
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = cv2.resize(image, (width, height), interpolation=method)
    return np.asarray((small.astype(np.float32) - _MEAN) / _DEVIATION, np.float32)


def token_input(tokens: Tokens) -> FloatArray:
    """(gh, gw, COMPONENTS), the strongest components."""
    count = min(COMPONENTS, tokens.evidence.shape[1] - 1)
    return np.ascontiguousarray(tokens.evidence[:, :count]).reshape(*tokens.grid, count)


def drawn(image: RGB, labels: LabelMap, tokens: Tokens, ids: Sequence[int]) -> list[Drawn]:
    """Every object of a given frame, (H, W) labels, as the network learns from it."""
    picture, inputs, (gh, gw) = working_picture(image, tokens.grid), token_input(tokens), tokens.grid
    found = []
    for one in ids:
        mask = (labels == one).astype(np.float32)
        if mask.any():
            size = (picture.shape[1], picture.shape[0])
            truth = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
            coarse = np.asarray(cv2.resize(mask, (gw, gh), interpolation=cv2.INTER_AREA), np.float32)
            found.append(Drawn(picture, truth, inputs, coarse))
    return found


def steps_for(frames: int, given: int) -> int:
    """How many steps to train for a video of so many frames, of which so many are given."""
    low, high = STEPS
    return round(min(max(STEPS_PER_FRAME * frames, low), high) * math.sqrt(min(given, MANY)))


def train(given: Sequence[Drawn], steps: int, *, seed: int = 0) -> OutlineNet:
    """The network of one video, from at least one object in one given frame; a seed fixes its weights."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        net = channels_last(OutlineNet(given[0].tokens.shape[2]))
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.2)
        for _ in range(steps):
            crops = [crop(given[int(rng.integers(len(given)))], rng) for _ in range(BATCH)]
            pictures, tokens, truth = (
                torch.from_numpy(np.stack(parts)) for parts in zip(*crops, strict=True)
            )
            logits = net(pictures.contiguous(memory_format=torch.channels_last), tokens)
            optimizer.zero_grad()
            loss(logits, truth).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False)


def outline(
    net: OutlineNet, picture: FloatArray, tokens: FloatArray, share: FloatArray, given: int = 1
) -> Outline | None:
    """One object in one frame; None where there is nothing of it.

    Args:
        net: of the video.
        picture: from `working_picture`.
        tokens: from `token_input`.
        share: (gh, gw) how much of each patch is the object.
        given: how many frames the network has seen.
    """
    window = _window(share)
    if window is None:
        return None
    rows, columns = window
    pixels = tuple(slice(s.start * PIXELS, s.stop * PIXELS) for s in window)
    odds = log_odds(share)[rows, columns]
    colours = picture[pixels]
    shape = (colours.shape[1], colours.shape[0])
    wide = np.asarray(cv2.resize(odds, shape, interpolation=cv2.INTER_LINEAR), np.float32)
    seen = np.ascontiguousarray(np.dstack([colours, wide]).transpose(2, 0, 1))
    beside = np.ascontiguousarray(np.dstack([tokens[rows, columns], odds]).transpose(2, 0, 1))
    with torch.inference_mode():
        asked = torch.from_numpy(seen)[None].contiguous(memory_format=torch.channels_last)
        logits = net(asked, torch.from_numpy(beside)[None])[0].numpy()
    return Outline(held_back(logits, wide, given), (pixels[0].start, pixels[1].start))


def held_back(logits: FloatArray, carried: FloatArray, given: int = 1) -> FloatArray:
    """What the network draws, as far as it goes with the carried map; else that map, corrected within bounds.

    Args:
        logits: (h, w) of the network.
        carried: (h, w) log odds of the carried map, as `log_odds` gives them.
        given: how many frames the network has seen; the more, the less it is held back.
    """
    agreement = iou(logits > 0, carried > 0)
    heard, free = (np.float32(np.clip((agreement - low) / (high - low), 0, 1)) for low, high in (HEARD, FREE))
    bounded = heard * CORRECTION * np.tanh(logits / CORRECTION) + CARRIED * carried
    held = free * logits + (1 - free) * bounded
    trust = np.float32(min((given - 1) / (ENOUGH - 1), 1))
    return np.asarray(trust * (logits + CARRIED * carried) + (1 - trust) * held, np.float32)


def _window(share: FloatArray) -> tuple[slice, slice] | None:
    close = grown(share > _SEEN, _MARGIN)
    rows, columns = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def to_labels(outlines: Mapping[int, Outline], grid: tuple[int, int], size: tuple[int, int]) -> LabelMap:
    """Outlines by object id → (H, W) ids, 0 = none; of two that claim a pixel the surer one has it."""
    labels = np.zeros(size, np.uint16)
    best = np.zeros(size, np.float32)
    places: list[tuple[int, tuple[slice, slice]]] = []
    scale = (size[0] / (grid[0] * PIXELS), size[1] / (grid[1] * PIXELS))
    for one, found in outlines.items():
        corners = [
            (round(c * s), round((c + n) * s))
            for c, n, s in zip(found.corner, found.logits.shape, scale, strict=True)
        ]
        (y0, y1), (x0, x1) = corners
        full = cv2.resize(found.logits, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        here, claimed = best[y0:y1, x0:x1], labels[y0:y1, x0:x1]
        wins = full > here
        here[wins], claimed[wins] = full[wins], one
        places.append((one, (slice(y0, y1), slice(x0, x1))))
    for one, place in places:
        claimed = labels[place]
        mine = claimed == one
        claimed[mine & ~without_specks(mine)] = 0
    return labels
