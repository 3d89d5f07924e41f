"""Has Label Studio show the predictions and scores of the version that serves now."""

from __future__ import annotations

from labeler_backend.studio.client import Studio
from labeler_backend.studio.connect import FIRST_TITLE, titled
from labeler_backend.studio.version import is_ours


def follow(studio: Studio, project: int, base: str, version: str) -> list[str]:
    """Titles this backend's row as the version that serves, and has the project show it → what was changed.

    The Data Manager's score column shows the scores of the version that is called as the backend is titled,
    and a task that is opened is asked for only while the project's version is that title. Label Studio
    changes the project's version with the title where the two were equal (its ml/models.py).

    A row is ours where the backend behind it says right now (Label Studio asks it for the list of rows) that
    `version` serves, and its title is one that we gave: a name that a person chose stays.

    Args:
        studio: as a user who may change the project.
        project: its number.
        base: the version without a head.
        version: that serves.

    Raises:
        StudioError: not reached, or it refuses.
    """
    did = []
    for row in studio.backends(project):
        title = row["title"] or ""
        ours = row["model_version"] == version and (title == FIRST_TITLE or is_ours(title, base))
        if not ours or title == version:
            continue
        titled(studio, row)
        did.append(f"ML backend {row['id']} of project {project} is called {version} now.")
    if did:
        shown = studio.project(project)
        if shown.get("model_version") != version and is_ours(shown.get("model_version") or base, base):
            studio.patch(f"/api/projects/{project}", {"model_version": version})
            did.append(f"Project {project} shows predictions of {version} now.")
    return did
