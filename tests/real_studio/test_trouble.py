"""Tasks that cannot be answered, beside some that can: those are saved, and the others explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .answers import assert_valid, polygon_config
from .backend import Backend
from .conftest import Studios
from .pictures import Picture
from .studio import Studio

CONFIG = polygon_config("thing")


def _bad_tasks(studio: Studio, folder: Path) -> dict[str, dict[str, Any]]:
    """By what is wrong with them; `folder` is one that Label Studio serves."""
    (folder / "broken.jpg").write_bytes((folder / "cat.jpg").read_bytes()[:900])
    (folder / "text.jpg").write_text("<html>not a picture</html>")
    (folder / "empty.jpg").touch()
    served = f"/data/local-files/?d={folder.name}"
    return {
        "cut off": {"image": f"{served}/broken.jpg"},
        "no picture": {"image": f"{served}/text.jpg"},
        "empty file": {"image": f"{served}/empty.jpg"},
        "404": {"image": f"{served}/gone.jpg"},
        "404, absolute": {"image": f"{studio.url}/data/upload/999/none.jpg"},
        "outside the root": {"image": "/data/local-files/?d=../../etc/passwd"},
        "a file of this machine": {"image": "file:///etc/passwd"},
        "link-local address": {"image": "http://169.254.169.254/latest/meta-data"},
        "loopback address": {"image": "http://127.0.0.1:9/picture.jpg"},
        "nobody's name": {"image": "http://pictures.invalid/picture.jpg"},
        "data URI of nothing": {"image": "data:image/png;base64,AAAA"},
        "no data key": {"text": "no picture"},
        "a number": {"image": 7},
    }


@pytest.mark.parametrize("validation", [False, True], ids=["validation off", "validation on"])
def test_bad_tasks_cost_the_good_ones_nothing(
    studios: Studios, shared_backend: Backend, pictures: list[Picture], tmp_path: Path, validation: bool
) -> None:
    studio = studios(validation)
    folder = studio.files / f"trouble-{tmp_path.name}"
    folder.mkdir()
    for picture in pictures:
        (folder / picture.path.name).write_bytes(picture.path.read_bytes())
    client = studio.client()
    project = client.create_project(CONFIG)
    client.add_local_files(project, folder)
    good = [{"image": f"/data/local-files/?d={folder.name}/{picture.path.name}"} for picture in pictures]
    bad = _bad_tasks(studio, folder)
    client.import_tasks(project, good[:1] * (1 + len(bad)) + good[1:])
    ids = [task["id"] for task in client.tasks(project)]
    for task, data in zip(ids[1:], bad.values(), strict=False):  # an import would refuse some of them
        client.call("PATCH", f"/api/tasks/{task}", json={"data": data})
    client.connect(project, shared_backend.url)
    client.retrieve_predictions(project)

    predictions = client.predictions(project)
    for task in (ids[0], *ids[-2:]):
        [prediction] = predictions[task]
        assert_valid(CONFIG, prediction)
    failures = shared_backend.failures(client.uid(project))
    for what, task in zip(bad, ids[1:], strict=False):
        assert task in failures, f"{what}: not on /status.json"
        assert failures[task]["reason"].rstrip().endswith("."), f"{what}: not a sentence"
        stored = [one["result"] for one in predictions[task]]
        assert stored == ([[]] if failures[task]["final"] else []), what
    for what in (
        "cut off",
        "no picture",
        "empty file",
        "no data key",
        "a number",
    ):
        assert failures[ids[1 + list(bad).index(what)]]["final"], f"{what}: asked for again and again"
