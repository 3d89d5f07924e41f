"""From an image file to its proposals: the model's side of the backend, and what it remembers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from labeler_backend.backbone.device import dtype_name
from labeler_backend.backbone.gate import Gate, check_between_layers
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.media import RGB, opened
from labeler_backend.prompts.types import Answer as Prompted
from labeler_backend.prompts.types import Prompt
from labeler_backend.proposals.objects import side_by_side
from labeler_backend.proposals.propose import ProposalSettings
from labeler_backend.proposals.types import Proposal
from labeler_backend.server.live import Serving
from labeler_backend.server.pool import EXPRESS, PriorityPool, Urgency
from labeler_backend.store import Store
from labeler_backend.studio.media.types import Media, MediaError

if TYPE_CHECKING:
    from labeler_backend.labeler import Labeler

T = TypeVar("T")
Click = Callable[[Prompt], Prompted]
"""Answers a prompt on one image."""
logger = logging.getLogger("labeler_backend")
EXPRESS_THREADS = 2
"""So that a click need not wait for a task that is being opened."""
_NICE = 10
_TRY_AGAIN = 30.0  # seconds after which a model that could not be loaded is tried again


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in one image.

    Attributes:
        size: (H, W) of the upright image in pixels.
        proposals: by falling score.
        confidence: in [0, 1], of the whole image.
    """

    size: tuple[int, int]
    proposals: tuple[Proposal, ...]
    confidence: float


class Proposing:
    """Loads the model in the background, and answers from the cache or through the model.

    Attributes:
        state: `waiting`, `loading`, `ready` or `failed`.
        problem: why it failed, one sentence.
    """

    def __init__(self, load: Callable[[], Labeler], store: Store, *, max_pixels: int, capacity: int) -> None:
        """`load` makes the model; `store` keeps proposals; images of more than `max_pixels` are refused."""
        self.state = "waiting"
        self.problem: str | None = None
        self.store = store
        self._load, self._max_pixels = load, max_pixels
        self._labeler: Labeler | None = None
        self._next_try = 0.0
        self._loading = threading.Lock()
        self._gate = Gate()
        cores = torch.get_num_threads()
        self.pool = PriorityPool(
            "model",
            threads=cores,
            express=EXPRESS_THREADS,
            capacity=capacity,
            begin=lambda express: settle(express, cores),
            around=self._around,
        )
        torch.set_num_threads(cores)  # what a thread sets is also what later ones begin with

    @property
    def facts(self) -> tuple[str, str, str] | None:
        """Device, dtype and key of the loaded model."""
        if self._labeler is None:
            return None
        encoder = self._labeler.encoder
        return str(encoder.device), dtype_name(encoder.dtype), encoder.model_key

    def labeler(self) -> Labeler:
        """The model, loaded by whoever comes first.

        Raises:
            LabelerError: it cannot be loaded; the next call tries again.
        """
        with self._loading:
            if self._labeler is None:
                self._labeler = self._loaded()
            return self._labeler

    async def see(self, media: Media, settings: ProposalSettings, urgency: Urgency, serving: Serving) -> Seen:
        """The proposals of an image, by the head that serves where there is one.

        Raises:
            InputError: the file is no image that can be used.
            HeadError: the head is of another model.
            LabelerError: the model cannot be loaded.
            Full: too much is waiting.
        """
        key = (media.sha256, settings, serving.key)
        return await self.pool.run(key, urgency, lambda: self._see(media, settings, serving))

    async def clicked(self, media: Media, urgency: Urgency, work: Callable[[RGB, Click], T]) -> T:
        """What `work` makes of an image (H, W, 3) and of what answers prompts on it.

        Raises:
            As `see`, and what `work` raises.
        """

        def answer() -> T:
            labeler, image = self.labeler(), _decoded(media, self._max_pixels)
            return work(image, lambda prompt: labeler.click(image, prompt))

        return await self.pool.run(object(), urgency, answer)

    def objects(
        self, frame: RGB, least: float, most: int, serving: Serving, urgency: Urgency
    ) -> list[Proposal]:
        """The likeliest objects of a frame, side by side, for a thread that waits for them.

        Args:
            frame: (H, W, 3) uint8, upright.
            least: the lowest score that one may have.
            most: how many at most.
            serving: the head that names and scores them, where there is one.
            urgency: of who waits.

        Raises:
            As `see`, and CancelledError where the pool was closed meanwhile.
        """
        usual = ProposalSettings()
        settings = ProposalSettings(max(usual.max_proposals, most), least)
        labeler = self._serving(settings, serving)
        answer = self.pool.call(urgency, lambda: labeler.answer(frame, labeler.encode([frame])[0]))
        return side_by_side([one for one in answer.proposals if one.score >= least])[:most]

    def _serving(self, settings: ProposalSettings, serving: Serving) -> Labeler:
        return replace(self.labeler(), settings=settings, head=serving.head, head_name=serving.key)

    def _see(self, media: Media, settings: ProposalSettings, serving: Serving) -> Seen:
        labeler = self._serving(settings, serving)
        key = hashlib.sha256(f"{media.sha256} {labeler.fingerprint}".encode()).hexdigest()
        known = self.store.read(key)
        if known is not None and (seen := _from_json(known)) is not None:
            return seen
        image = _decoded(media, self._max_pixels)
        features = labeler.encode([image])[0]
        self._gate.checkpoint()
        answer = labeler.answer(image, features)
        seen = Seen((image.shape[0], image.shape[1]), answer.proposals, answer.confidence)
        self.store.write(key, _to_json(seen))
        return seen

    def _loaded(self) -> Labeler:
        if self.problem and time.monotonic() < self._next_try:
            raise LabelerError(f"The model could not be loaded: {self.problem}")
        self.state, self.problem = "loading", None
        try:
            labeler = self._load()
        except Exception as error:
            self.state, self.problem = "failed", " ".join(str(error).split()) or type(error).__name__
            self._next_try = time.monotonic() + _TRY_AGAIN
            raise LabelerError(f"The model could not be loaded: {self.problem}") from error
        if labeler.encoder.device.type == "cpu":
            check_between_layers(labeler.encoder.model, self._gate)
        self.state = "ready"
        return labeler

    def _around(self, urgency: Urgency, run: Callable[[], Any]) -> Any:
        with self._gate.urgent() if urgency <= EXPRESS else self._gate.background():
            return run()


def settle(express: bool, cores: int) -> None:
    """Makes this thread one for urgent work, or one that gives way.

    For urgent work, which stands alone, torch uses all cores; else one, since images side by side use a CPU
    better. The result is the same to the bit. Between two checkpoints, Linux gives who is not nice the cores.
    """
    torch.set_num_threads(cores if express else 1)
    if not express and sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it, which costs urgent work a little time
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _decoded(media: Media, max_pixels: int) -> RGB:
    """(H, W, 3) uint8, upright.

    Raises:
        InputError: what is in the file is of no use.
        MediaError: it could not be had just now; not final.
    """
    try:
        data = media.path.read_bytes()
    except OSError as error:  # for one, it had to make room in the cache
        raise MediaError(
            f"{media.name} could not be read ({error.strerror or error}): ask for it again.",
            final=False,
        ) from error
    try:
        with opened(data, max_pixels=max_pixels, name=media.name) as picture:
            return picture.rgb()
    except InputError as error:
        if isinstance(error.__cause__, MemoryError):
            raise MediaError(str(error), final=False) from error
        raise


def _to_json(seen: Seen) -> bytes:
    proposals = [asdict(p) for p in seen.proposals]
    return json.dumps({"size": seen.size, "proposals": proposals, "confidence": seen.confidence}).encode()


def _from_json(data: bytes) -> Seen | None:
    """None where it is damaged."""
    try:
        found = json.loads(data)
        height, width = found["size"]
        proposals = tuple(Proposal(**p) for p in found["proposals"])
        return Seen((height, width), proposals, float(found["confidence"]))
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("A cached answer is damaged (%s) and is computed again.", error)
        return None
