"""Frames of a video into a new project of a Label Studio: pictures uploaded, tasks with their predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labeler_backend.studio.client import Studio, StudioError

_AT_ONCE = 20  # pictures in one request
_TITLE = 50  # characters
_TIMEOUT = 300.0  # seconds for a request with pictures


def upload_frames(
    studio: Studio,
    title: str,
    config: str,
    tasks: Sequence[Mapping[str, Any]],
    pictures: Sequence[Path],
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Makes a project of frames → its number.

    Args:
        studio: as a user who may make projects.
        title: of the project.
        config: its labelling config.
        tasks: as they are imported, their picture under `image`.
        pictures: of the tasks, in their order.
        progress: told how many are there.

    Raises:
        StudioError: Label Studio is not reached, or refuses; what is there by then stays.
    """
    studio.version()
    named = title[:_TITLE].ljust(3, ".")  # Label Studio wants 3 characters, and takes 50
    project = int(studio.post("/api/projects", {"title": named, "label_config": config})["id"])
    for start in range(0, len(tasks), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        addresses = _uploaded(studio, project, pictures[part])
        body = [
            {**task, "data": {**task["data"], "image": address}}
            for task, address in zip(tasks[part], addresses, strict=True)
        ]
        studio.post(f"/api/projects/{project}/import", body, timeout=_TIMEOUT)
        progress(min(start + _AT_ONCE, len(tasks)))
    versions = {made["model_version"] for task in tasks for made in task.get("predictions", ())}
    if len(versions) == 1:  # else Label Studio shows none to who labels task after task
        studio.patch(f"/api/projects/{project}", {"model_version": versions.pop()})
    return project


def _uploaded(studio: Studio, project: int, pictures: Sequence[Path]) -> list[str]:
    """The address of each picture, whose file is there and which is no task yet."""
    files = [(f"file{n}", (path.name, path.read_bytes(), "image/jpeg")) for n, path in enumerate(pictures)]
    answer = studio.request(
        "POST",
        f"/api/projects/{project}/import",
        files=files,
        params={"commit_to_project": "false"},
        timeout=_TIMEOUT,
    )
    numbers = answer.get("file_upload_ids") if isinstance(answer, Mapping) else None
    if not isinstance(numbers, list) or len(numbers) != len(pictures):
        raise StudioError(
            f"{studio.url} took the pictures and does not say where they are: import the folder by hand."
        )
    rows = [studio.get(f"/api/import/file-upload/{number}") for number in sorted(numbers)]
    return [f"/data/{row['file']}" for row in rows]


def read_tasks(path: Path) -> list[dict[str, Any]]:
    """What `TasksDataset` wrote."""
    tasks: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return tasks
