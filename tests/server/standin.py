"""A service with all its real parts but the model, which here finds a disc at once, or when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from labeler_backend.backbone.features import Features
from labeler_backend.boxes import ellipse_in
from labeler_backend.heads.types import Answer
from labeler_backend.masks import rle
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.prompts.types import Answer as Prompted
from labeler_backend.prompts.types import Answered, Prompt
from labeler_backend.proposals.propose import ProposalSettings
from labeler_backend.proposals.types import Proposal
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.answering import Answering
from labeler_backend.server.asking import Asking
from labeler_backend.server.build import make_live
from labeler_backend.server.connections import Connections
from labeler_backend.server.journal import Journal
from labeler_backend.server.proposing import Proposing
from labeler_backend.server.protocol import PredictRequest
from labeler_backend.server.queue import Queue
from labeler_backend.server.renewing import Renewing
from labeler_backend.server.service import Limits, Service
from labeler_backend.server.tally import Tally
from labeler_backend.server.telling import Telling
from labeler_backend.server.trainings import Trainings
from labeler_backend.store import Store
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.media.types import MediaPolicy
from labeler_backend.video.tracks import Box
from tests.heads.made_heads import MODEL
from tests.video import moving

POLYGONS = (
    '<View><Image name="image" value="$image"/>'
    '<PolygonLabels name="polygon" toName="image" smart="false"><Label value="disc"/></PolygonLabels>'
    '<KeyPointLabels name="kp" toName="image" smart="true"><Label value="disc"/></KeyPointLabels></View>'
)
VERSION = "standin-v1"
CONFIDENCE = 0.6


@dataclass
class Control:
    """What a test has the model do, and what the model says it did."""

    open: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    failure: Exception | None = None
    seen: list[tuple[int, int]] = field(default_factory=list)
    most_wanted: list[int] = field(default_factory=list)
    clicks: int = 0
    frames: int = 0  # of videos, that were looked at
    frames_let: int | None = None  # so many go through before it waits to be let go


@dataclass(frozen=True)
class StandIn:
    """Instead of `Labeler`: one disc in the middle of each picture."""

    control: Control
    settings: ProposalSettings = field(default_factory=ProposalSettings)
    encoder: Any = field(
        default_factory=lambda: SimpleNamespace(
            device=torch.device("cpu"), dtype=torch.float32, model_key=MODEL, model=nn.Identity()
        )
    )

    head: Any = None
    head_name: str = ""
    patch: int = 14

    @property
    def fingerprint(self) -> str:
        return f"standin {self.settings.fingerprint()} {self.head_name}"

    def wait(self) -> None:
        """Until it is let go."""
        self.control.begun.release()
        assert self.control.open.wait(20)
        if self.control.failure:
            raise self.control.failure

    def encode(self, images: Sequence[RGB]) -> list[tuple[int, int]]:
        self.wait()
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        self.control.seen += sizes
        self.control.most_wanted.append(self.settings.max_proposals)
        return sizes

    def caches(self, frames: int, frame_size: tuple[int, int], size: int) -> bool:
        return True

    def encode_frame(self, frame: RGB, size: int) -> Features:
        if self.control.frames_let is not None and self.control.frames >= self.control.frames_let:
            self.control.begun.release()
            assert self.control.open.wait(20)
        if self.control.failure:
            raise self.control.failure
        self.control.frames += 1
        return moving.encode(frame)

    def mask_in_box(self, frame: RGB, box: Box) -> BoolMask:
        return ellipse_in(box, (frame.shape[0], frame.shape[1]))

    def answer(self, image: RGB, features: tuple[int, int]) -> Answer:
        if self.head is not None:
            return self.head.answer(image, features, self.propose(image, features))
        return Answer(tuple(self.propose(image, features)), CONFIDENCE)

    def click(self, image: RGB, prompt: Prompt) -> Prompted:
        """The disc, or the mask so far, without a square around each negative point."""
        self.wait()
        self.control.clicks += 1
        [disc] = self.propose(image, (image.shape[0], image.shape[1]))
        mask = disc.mask if prompt.previous is None else prompt.previous.copy()
        for point in prompt.points:
            if not point.positive:
                mask[max(0, int(point.y) - 4) : int(point.y) + 5, int(point.x) - 4 : int(point.x) + 5] = False
        return Prompted((Answered(mask, 0.9),))

    def propose(self, image: RGB, features: tuple[int, int]) -> list[Proposal]:
        height, width = features
        y, x = np.mgrid[0.5:height, 0.5:width]
        disc = np.hypot(y - height / 2, x - width / 2) <= min(features) / 4
        return [Proposal(rle.encode(disc), 0.8, "standin")]


class NoWorker:
    """Instead of the worker process."""

    def start(self) -> None:
        pass

    def stop(self, grace: float) -> None:
        pass


def make_service(
    folder: Path, control: Control, limits: Limits | None = None, capacity: int = 100, every: int = 10
) -> Service:
    """The service over `folder`, which is also where pictures may lie."""
    data = folder / "data"
    connections = Connections(data / "connections.json", None, None)
    journal = Journal(Acceptance(data / "acceptance.sqlite"), connections)
    stores = {
        name: Store(folder / "cache" / name, 10**8, ".json") for name in ("media", "proposals", "answers")
    }
    model: Any = StandIn(control)
    proposing = Proposing(lambda: model, stores["proposals"], max_pixels=10**6, capacity=capacity)
    media = MediaStore(stores["media"], MediaPolicy(media_roots=(folder,)))
    live = make_live(VERSION, data, connections, proposing)
    asking = Asking(data, connections.name, Queue(data), Tally(data / "tally.sqlite"), every)
    return Service(
        model="standin",
        size=224,
        proposing=proposing,
        answering=Answering(
            proposing, media, stores["answers"], Store(data / "clicks", 10**7, ".json"), journal, live
        ),
        live=live,
        telling=Telling(live, connections, lambda project, version: None),
        trainings=Trainings(asking, NoWorker()),
        renewing=Renewing(connections, VERSION),
        connections=connections,
        journal=journal,
        caches=stores,
        limits=limits or Limits(),
    )


def picture(folder: Path, number: int) -> Path:
    """A PNG whose size names it: 64 + number pixels wide."""
    path = folder / f"{number}.png"
    assert cv2.imwrite(str(path), np.full((64, 64 + number, 3), number % 256, np.uint8))
    return path


def request(
    tasks: Sequence[Any], config: str = POLYGONS, project: str = "1.1", **more: Any
) -> PredictRequest:
    return PredictRequest(tasks=list(tasks), project=project, label_config=config, **more)


def task(number: int, path: Path | str) -> dict[str, Any]:
    return {"id": number, "data": {"image": str(path)}}
