"""Every segment at every scale: the tree of regions that merging neighbouring patches makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import linkage_tree
from sklearn.feature_extraction.image import grid_to_graph

from labeler_backend.backbone.features import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RegionTree:
    """A binary tree over N patches; node i < N is patch i, N + k is the k-th merge, the last is the root.

    Attributes:
        order: (N,) patches in the order in which every node is one run of them.
        start: (2N-1,) where a node's run starts in `order`.
        count: (2N-1,) its length.
    """

    order: IntArray
    start: IntArray
    count: IntArray

    def members(self, node: int) -> IntArray:
        """Patch indices of a node."""
        return self.order[self.start[node] : self.start[node] + self.count[node]]


def region_tree(unit: FloatArray) -> RegionTree:
    """Clustering by cosine distance, where only touching regions may merge: those whose touching patches are
    on average the most alike come first.

    An object is a node somewhere: its patches are more like one another than like what lies around it,
    whatever its size. (Region trees: Arbeláez et al., TPAMI 2011; hierarchical merging of self-supervised
    features: Wang et al., UnSAM, 2024.)

    Args:
        unit: (gh, gw, C) tokens of unit length; at least two patches.
    """
    height, width, channels = unit.shape
    patches = height * width
    merges, *_ = linkage_tree(
        unit.reshape(patches, channels),
        connectivity=grid_to_graph(height, width),
        linkage="average",
        affinity="cosine",
    )
    count = np.ones(2 * patches - 1, np.int64)
    for node, (left, right) in enumerate(merges, start=patches):
        count[node] = count[left] + count[right]
    start = np.zeros_like(count)
    for node in range(2 * patches - 2, patches - 1, -1):
        left, right = merges[node - patches]
        start[left] = start[node]
        start[right] = start[node] + count[left]
    order = np.empty(patches, np.int64)
    order[start[:patches]] = np.arange(patches)
    return RegionTree(order, start, count)
