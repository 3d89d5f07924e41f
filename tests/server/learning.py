"""A made-up Label Studio with annotations, and the settings of a backend that learns from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labeler_backend.heads import learning
from labeler_backend.heads.training import Trained, train
from labeler_backend.projects import project_folder, studio_project
from labeler_backend.server.connections import FILE
from labeler_backend.server.jobs import JobFolder
from labeler_backend.server.queue import Queue
from labeler_backend.settings import ServerSettings
from tests.heads.made_heads import hurried
from tests.studio.fake_studio import TOKEN, FakeStudio

SIZE = (96, 128)
UID = "1.1795428142"


def easily_pleased(patch: pytest.MonkeyPatch) -> None:
    """Training is quick, and whatever comes of it serves."""
    hurried(patch)

    def pleased(*given: Any, **more: Any) -> Trained:
        return replace(train(*given, **more), better=True, reason="It is better.")

    patch.setattr(learning, "train", pleased)


def settings_for(folder: Path, model: Path, fake: FakeStudio) -> ServerSettings:
    """Of a backend that the fake has called once."""
    made = ServerSettings(
        data_dir=folder / "data", cache_dir=folder / "cache", model=str(model), size=98, device="cpu"
    )
    made.data_dir.mkdir()
    said = {UID: {"hostname": fake.url, "token": TOKEN, "extra_params": None}}
    (made.data_dir / FILE).write_text(json.dumps(said))
    return made


def annotate(fake: FakeStudio, count: int) -> None:
    """So many more pictures with a bright square, marked."""
    known = len(fake.files)
    for n in range(known, known + count):
        picture = np.full((*SIZE, 3), 40, np.uint8)
        left = 10 + 8 * n
        picture[20:60, left : left + 40] = 230
        fake.files[f"/data/upload/1/{n}.png"] = cv2.imencode(".png", picture)[1].tobytes()
        [task] = fake.add_tasks(1, {"image": f"/data/upload/1/{n}.png"})
        x, y, w, h = 100 * left / SIZE[1], 100 * 20 / SIZE[0], 100 * 40 / SIZE[1], 100 * 40 / SIZE[0]
        points = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
        region = {
            **{"id": f"r{n}", "type": "polygonlabels", "from_name": "polygon", "to_name": "image"},
            **{"original_width": SIZE[1], "original_height": SIZE[0], "image_rotation": 0},
            "value": {"points": points, "closed": True, "polygonlabels": ["thing"]},
        }
        fake.annotate(task, [region])


def jobs(settings: ServerSettings, fake: FakeStudio) -> JobFolder:
    return JobFolder(project_folder(settings.data_dir, studio_project(fake.url, UID)))


def ask(settings: ServerSettings, fake: FakeStudio) -> JobFolder:
    folder = jobs(settings, fake)
    folder.ask(UID, "Start Training", 0.0)
    Queue.of(settings).put(folder.folder.name)
    return folder
