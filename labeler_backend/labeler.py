"""`Labeler`: backbone, head roles, proposals and prompts put together; CLI, server and notebooks call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import ThreadpoolController

from labeler_backend.backbone.cache import FeatureCache, encode_cached
from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.features import Features
from labeler_backend.backbone.preprocess import target_size
from labeler_backend.boxes import ellipse_in
from labeler_backend.heads.head import Head
from labeler_backend.heads.types import Answer
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.prompts import answer as prompting
from labeler_backend.prompts.recent import Recent
from labeler_backend.prompts.scene import Scene, prepare_scene
from labeler_backend.prompts.types import Answer as Prompted
from labeler_backend.prompts.types import Box as Corners
from labeler_backend.prompts.types import Prompt
from labeler_backend.proposals.objects import side_by_side
from labeler_backend.proposals.pools import PoolCache
from labeler_backend.proposals.propose import DEFAULT_MIN_SCORE, ProposalSettings, propose
from labeler_backend.proposals.roles import HeadRoles, cached_roles
from labeler_backend.proposals.types import Proposal
from labeler_backend.settings import load_settings
from labeler_backend.video.propagate import SIZE as FRAME_SIZE
from labeler_backend.video.tracks import Box

DEFAULT_SIZE = 518
POOL = 100
"""So many proposals, however unlikely, are what a head chooses from."""
POOLS_BYTES = 10**9
"""Of pools on disk, together: some ten thousand pictures."""
_LAYERS = 3  # whose tokens are cached: the last, and two in the middle


@dataclass
class Labeler:
    """One loaded model and how to use it. Safe to share between threads.

    Attributes:
        encoder: the backbone.
        roles: of its attention heads.
        size: long side in pixels of what the model sees.
        settings: of the proposals.
        cache: where features are kept, or None.
        pools: where pools are kept, or None.
        head: of a project; None = what emerges without labels.
        head_name: which one that is, for `fingerprint`.
        recent: pictures that were clicked last.
    """

    encoder: Encoder
    roles: HeadRoles
    size: int = DEFAULT_SIZE
    settings: ProposalSettings = field(default_factory=ProposalSettings)
    cache: FeatureCache | None = None
    pools: PoolCache | None = None
    head: Head | None = None
    head_name: str = ""
    recent: Recent = field(default_factory=Recent, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        model: str = "dinov2-small",
        *,
        device: str = "auto",
        dtype: str = "auto",
        size: int = DEFAULT_SIZE,
        max_proposals: int = 20,
        min_score: float = DEFAULT_MIN_SCORE,
        cache: FeatureCache | None = None,
        cache_dir: Path | None = None,
    ) -> Labeler:
        """Fetch the weights if need be, load, and find the roles of the heads (kept after the first time).

        Args:
            model: short name, hub id or local folder.
            device: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`.
            dtype: `auto`, `fp32`, `bf16`, `fp16`.
            size: long side in pixels of what the model sees.
            max_proposals: per image.
            min_score: proposals below it are dropped.
            cache: keeps features between runs; pools go into a folder beside it.
            cache_dir: for weights and roles; None = LABELER_CACHE_DIR.

        Raises:
            LabelerError: what `Encoder.load` raises.
        """
        # One image per thread is how a batch uses the cores; and with one thread in numpy's BLAS the bits
        # of a result do not depend on how many cores there are.
        ThreadpoolController().select(internal_api="openblas").limit(limits=1)
        cv2.setNumThreads(1)
        folder = cache_dir or load_settings().cache_dir
        encoder = Encoder.load(model, device=device, dtype=dtype, cache_dir=folder)
        roles = cached_roles(
            encoder.model_key, lambda p: encoder.encode(p, size=DEFAULT_SIZE), folder / "roles"
        )
        pools = None
        if cache is not None and cache.max_bytes > 0:
            pools = PoolCache(cache.root.with_name("pools"), min(POOLS_BYTES, cache.max_bytes))
        return cls(encoder, roles, size, ProposalSettings(max_proposals, min_score), cache, pools)

    @property
    def fingerprint(self) -> str:
        """Everything that determines the answer."""
        head = f" head={self.head_name}" if self.head else ""
        return f"{self.encoder.model_key} size={self.size} {self.settings.fingerprint()}{head}"

    @property
    def patch(self) -> int:
        """Side of a patch in pixels of what the model sees."""
        return self.encoder.patch

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) in pixels → (gh, gw) in patches."""
        height, width = target_size(image_size, self.size, self.encoder.patch)
        return height // self.encoder.patch, width // self.encoder.patch

    def encode(self, images: Sequence[RGB]) -> list[Features]:
        """Features of upright (H, W, 3) uint8 images; read from the cache where they are in it."""
        return encode_cached(self.encoder, self.cache, images, self.size)

    def encode_frame(self, frame: RGB, size: int = FRAME_SIZE) -> Features:
        """Features of a video's upright (H, W, 3) uint8 frame, at the size at which masks are carried.

        Args:
            size: short side in pixels of what the model sees.
        """
        return encode_cached(self.encoder, self.cache, [frame], size, "short")[0]

    def caches(self, frames: int, frame_size: tuple[int, int], size: int = FRAME_SIZE) -> bool:
        """Whether there is room for a whole video in the cache, in half of it, so that others keep theirs."""
        height, width = target_size(frame_size, size, self.encoder.patch, "short")
        patches = height // self.encoder.patch * (width // self.encoder.patch)
        entry = 2 * _LAYERS * self.encoder.hidden_size * patches
        return self.cache is not None and 2 * frames * entry <= self.cache.max_bytes

    def mask_in_box(self, image: RGB, box: Box) -> BoolMask:
        """(H, W) bool: the object in a box (x, y, width, height in pixels), nothing outside it.

        The ellipse in the box where nothing is found, or the box holds nothing of the image.
        """
        x, y, w, h = box
        found = self.click(image, Prompt(boxes=(Corners(x, y, x + w, y + h),))).found
        return found[0].mask if found else ellipse_in(box, (image.shape[0], image.shape[1]))

    def propose(self, image: RGB, features: Features) -> list[Proposal]:
        """Proposals for one image, by falling score; named where there is a head."""
        return list(self.answer(image, features).proposals)

    def pool(self, image: RGB, features: Features) -> list[Proposal]:
        """The POOL likeliest emergent proposals, whatever their score: what heads learn and choose from."""
        settings = ProposalSettings(max_proposals=POOL, min_score=0.0)
        if self.pools is None:
            return propose(image, features, self.roles, settings)
        key = FeatureCache.key(image, features.model_key, features.input_size)
        found = self.pools.get(key, settings.fingerprint())
        if found is None:
            found = propose(image, features, self.roles, settings)
            self.pools.put(key, settings.fingerprint(), found)
        return found

    def shown(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """Those of a pool that an annotator gets to see while there is no head, side by side."""
        likely = [p for p in proposals if p.score >= self.settings.min_score]
        return side_by_side(likely[: self.settings.max_proposals])

    def answer(self, image: RGB, features: Features) -> Answer:
        """Proposals within `settings`, and how sure the head is of the image.

        Raises:
            HeadError: the head is of another model.
        """
        if self.head is None:
            found = propose(image, features, self.roles, self.settings)
            return Answer(tuple(found), max((p.score for p in found), default=0.0))
        answer = self.head.answer(image, features, self.pool(image, features))
        likely = [p for p in answer.proposals if p.score >= self.settings.min_score]
        return replace(answer, proposals=tuple(likely[: self.settings.max_proposals]))

    def masks(self, image: RGB) -> list[Proposal]:
        """`encode` and `propose` for one image."""
        return self.propose(image, self.encode([image])[0])

    def click(self, image: RGB, prompt: Prompt) -> Prompted:
        """One object's mask from points, boxes, scribbles and the mask so far.

        The first click on a picture takes its features and its pool from the caches where they are in them,
        and computes them once where they are not.
        """
        return prompting.answer(self._scene(image), prompt, lambda window: self._scene(image[window]))

    def _scene(self, image: RGB) -> Scene:
        """A picture, or the part of one that is looked at enlarged, ready for prompts."""
        image = np.ascontiguousarray(image)
        input_size = target_size((image.shape[0], image.shape[1]), self.size, self.encoder.patch)
        key = FeatureCache.key(image, self.encoder.model_key, input_size)

        def make() -> Scene:
            features = self.encode([image])[0]
            return prepare_scene(image, features, self.pool(image, features))

        return self.recent.get(key, make)
