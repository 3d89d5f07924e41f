"""The project that `labeler up` makes: pictures of this machine, pre-annotated; safe to repeat."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from labeler_backend.batch.state import Counts
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.files import write_bytes
from labeler_backend.media import SUFFIXES
from labeler_backend.studio.client import Studio, StudioError
from labeler_backend.studio.connect import BasicAuth, same
from labeler_backend.studio.local import Home

TITLE = "Emergent Labeler"

_IMPORTED_AT_ONCE = 500
_ASKED_AT_ONCE = 16  # tasks: each request ends soon, and the bar moves
_PREDICT_TIMEOUT = 150.0  # seconds; Label Studio itself gives the backend 100
_FRUITLESS = 3  # rounds without any new prediction, then it gives up
_PAUSE = 2.0  # seconds between two fruitless rounds


def default_pictures() -> Path:
    """The examples of a checkout, or the pictures that come with the package."""
    package = Path(__file__).parents[1]
    examples = package.parent / "examples" / "images"
    return examples if examples.is_dir() else package / "proposals" / "calibration"


def find_project(studio: Studio, home: Home, label_config: str) -> tuple[int, bool]:
    """The project of former runs, or a new one with this config; and whether it is new."""
    note = home.root / "project.json"
    if note.exists():
        try:
            number = int(json.loads(note.read_text())["project"])
            return int(studio.project(number)["id"]), False
        except (ValueError, KeyError, TypeError):
            pass
        except StudioError as error:
            if error.status != 404:
                raise
    body = {"title": TITLE, "label_config": label_config, "description": "Made by labeler up."}
    number = int(studio.post("/api/projects", body)["id"])
    write_bytes(note, json.dumps({"project": number}).encode())
    return number, True


def add_pictures(studio: Studio, project: int, home: Home, folder: Path) -> int:
    """A task for each picture below `folder` that has none yet → how many were added.

    The pictures stay where they are: Label Studio serves them through a link. Tasks name them without host
    and port, so that these may change.

    Raises:
        InputError: the folder does not exist or holds no pictures.
    """
    folder = folder.expanduser().resolve()
    found = sorted(_pictures(folder))
    if not found:
        raise InputError(f"{folder} holds no pictures: give --images a folder with some.")
    link = _linked(home, folder)
    _storage(studio, project, link)
    urls = [f"/data/local-files/?d={quote(f'{link.name}/{path.as_posix()}')}" for path in found]
    known = {task["data"].get("image") for page in studio.tasks(project) for task in page}
    new = [url for url in urls if url not in known]
    for start in range(0, len(new), _IMPORTED_AT_ONCE):
        tasks = [{"data": {"image": url}} for url in new[start : start + _IMPORTED_AT_ONCE]]
        studio.post(f"/api/projects/{project}/import", tasks)
    return len(new)


def _pictures(folder: Path) -> Iterator[Path]:
    """Relative paths; hidden files and folders are passed over."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give --images one that holds pictures.")
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(place, name).relative_to(folder)


def _linked(home: Home, folder: Path) -> Path:
    """A link to the folder below what Label Studio may serve: which is thus no more than what was given."""
    name = re.sub(r"[^\w.-]+", "-", folder.name).strip("-.") or "pictures"
    link = home.files / f"{name}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"
    home.files.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        try:
            link.symlink_to(folder, target_is_directory=True)
        except OSError as error:
            raise LabelerError(
                f"No link to {folder} could be made in {home.files} ({error.strerror}): import the pictures "
                "in the browser instead."
            ) from error
    return link


def _storage(studio: Studio, project: int, link: Path) -> None:
    """Label Studio serves a local file only below a storage of one of its projects."""
    rows = studio.get("/api/storages/localfiles", project=project)
    if not any(row["path"].rstrip("/\\") == str(link) for row in rows):
        body = {"project": project, "path": str(link), "title": link.name, "use_blob_urls": True}
        studio.post("/api/storages/localfiles", body)


def drop_former_backends(studio: Studio, project: int, backend: str) -> None:
    """Removes this machine's backends of former runs, which had another port, and their webhooks."""
    for row in studio.backends(project):
        if _is_former(row["url"], backend):
            studio.delete(f"/api/ml/{row['id']}")
    for row in studio.webhooks(project):
        if row["url"].endswith("/webhook") and _is_former(row["url"].removesuffix("/webhook"), backend):
            studio.delete(f"/api/webhooks/{row['id']}/")


def _is_former(url: str, backend: str) -> bool:
    return urlsplit(url).hostname == urlsplit(backend).hostname and not same(url, backend)


def retrieve_predictions(
    studio: Studio,
    project: int,
    version: str,
    progress: Callable[[Counts], None] = lambda counts: None,
    check: Callable[[], None] = lambda: None,
) -> list[int]:
    """Has Label Studio ask its backend until each task has a prediction → the tasks that got none.

    Args:
        studio: where.
        project: its number.
        version: the backend's model version.
        progress: told after each request.
        check: called before each; raises where it is pointless to go on.
    """
    fruitless, before = 0, -1
    while True:
        pending = _pending(studio, project, version)
        total = studio.count(project)
        progress(Counts(len(pending), total - len(pending), 0, 0))
        if not pending or fruitless >= _FRUITLESS:
            return pending
        if total - len(pending) == before:
            fruitless += 1
            time.sleep(_PAUSE)
        else:
            fruitless, before = 0, total - len(pending)
        for start in range(0, len(pending), _ASKED_AT_ONCE):
            check()
            _ask(studio, project, pending[start : start + _ASKED_AT_ONCE])
            counted = start + min(_ASKED_AT_ONCE, len(pending) - start)
            progress(Counts(len(pending) - counted, total - len(pending) + counted, 0, 0))


def _ask(studio: Studio, project: int, tasks: Sequence[int]) -> None:
    studio.post(
        "/api/dm/actions",
        {"selectedItems": {"all": False, "included": list(tasks)}},
        timeout=_PREDICT_TIMEOUT,
        id="retrieve_tasks_predictions",
        project=project,
    )


def _pending(studio: Studio, project: int, version: str) -> list[int]:
    pending: list[int] = []
    for page in studio.tasks(project, fields=("id",)):
        numbers = [task["id"] for task in page]
        done = studio.predicted(project, version, min(numbers), max(numbers))
        pending += [number for number in numbers if number not in done]
    return pending


def reasons(backend: str, auth: BasicAuth | None = None) -> dict[int, str]:
    """Why tasks failed, by task, as the backend's status has it; empty where it cannot be asked."""
    try:
        login = (auth.user, auth.password) if auth else None
        report: Any = httpx.get(f"{backend}/status.json", auth=login, timeout=5.0, trust_env=False).json()
        return {f["task"]: f["reason"] for f in reversed(report["failures"]) if f["task"] is not None}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return {}
