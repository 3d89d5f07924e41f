"""Everything that could be an object, as masks on the patch grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray, unit_tokens
from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.grouping import parts
from labeler_backend.proposals.roles import HeadRoles
from labeler_backend.proposals.spectral import normalized_cut
from labeler_backend.proposals.tree import region_tree

FIGURE = "figure"
"""Source of masks that may be several things at once: good for the picture's figure, not for one object."""
LEVELS = np.linspace(0.3, 0.97, 12)
"""Quantiles at which the figure map is cut."""
MASS = 0.6
"""Share of a head's attention its mask holds (Caron et al. 2021)."""
LARGEST = 0.95
"""Share of the picture past which a mask is the picture."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Masks without repetition.

    Attributes:
        masks: (n, gh·gw) bool.
        sources: (n,) which step found each.
    """

    masks: npt.NDArray[np.bool_]
    sources: list[str]


def gather(features: Features, figure: FloatArray, roles: HeadRoles) -> Candidates:
    """All sources together; where two found the same mask the first in this order is named.

    Args:
        features: of the image.
        figure: (gh, gw) from `figure_map`.
        roles: of the model's heads.
    """
    patches = figure.size
    rows: list[npt.NDArray[np.bool_]] = []
    sources: list[str] = []
    for source, found in (
        ("tree", from_tree(features)),
        ("spectral", from_spectrum(features)),
        ("attention", from_attention(features, figure, roles)),
        (FIGURE, from_figure(features, figure, roles)),
    ):
        for mask in found:
            rows.append(mask.ravel())
            sources.append(source)
    if not rows:
        return Candidates(np.zeros((0, patches), bool), [])
    masks = np.stack(rows)
    packed = np.packbits(masks, axis=1)
    first: dict[bytes, int] = {}
    for index, few_enough in enumerate(masks.sum(axis=1) < LARGEST * patches):
        if few_enough:
            first.setdefault(packed[index].tobytes(), index)
    kept = list(first.values())
    return Candidates(masks[kept], [sources[i] for i in kept])


def from_tree(features: Features, smallest: int = 2) -> Iterator[BoolMask]:
    """Every node of the region tree."""
    if features.tokens.shape[0] * features.tokens.shape[1] < 2:
        return
    tree = region_tree(unit_tokens(features.tokens))
    patches = len(tree.order)
    for node in range(patches, 2 * patches - 1):
        if tree.count[node] >= smallest:
            mask = np.zeros(patches, bool)
            mask[tree.members(node)] = True
            yield mask.reshape(features.grid)


def from_spectrum(features: Features) -> Iterator[BoolMask]:
    """Parts of both sides of each eigenvector, cut at its mean and at quantiles."""
    for vector in normalized_cut(features.tokens).vectors:
        for level in (vector.mean(), *np.quantile(vector, (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9))):
            yield from parts(vector > level)
            yield from parts(vector < level)


def from_attention(features: Features, figure: FloatArray, roles: HeadRoles) -> Iterator[BoolMask]:
    """The connected parts of every mask of `from_figure`."""
    for mask in from_figure(features, figure, roles):
        yield from parts(mask)


def from_figure(features: Features, figure: FloatArray, roles: HeadRoles) -> Iterator[BoolMask]:
    """The patches that hold 60 % of a figure head's mass, and the figure map at rising levels."""
    for head in roles.figure:
        yield mass_mask(features.attention[head])
    for level in np.quantile(figure, LEVELS):
        if (figure > level).any():
            yield figure > level


def mass_mask(attention: FloatArray, mass: float = MASS) -> BoolMask:
    """The fewest patches that hold `mass` of one head's attention (DINO: Caron et al. 2021, 4.2.2)."""
    order = np.argsort(-attention, axis=None, kind="stable")
    held = np.cumsum(attention.ravel()[order], dtype=np.float64)
    needed = int(np.searchsorted(held, mass * held[-1])) + 1
    mask = np.zeros(attention.size, bool)
    mask[order[:needed]] = True
    return mask.reshape(attention.shape)
