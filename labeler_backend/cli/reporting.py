"""What `labeler report` shows: which project is meant, and everything that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labeler_backend.cli.progress import counter
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.projects import aliases, names, project_folder, resolve, set_alias, studio_project
from labeler_backend.report.learning_page import HeadRow, Learning, learning
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.acceptance_file import FILE
from labeler_backend.server.connections import Connections, usable
from labeler_backend.server.protocol import project_uid
from labeler_backend.settings import ServerSettings, load_server_settings

Tasks = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for.

    Attributes:
        source: a JSON export, or None.
        project: name or alias, or None for that of the live project.
        url, token, ls_project: of a live project, or None.
    """

    source: Path | None
    project: str | None
    url: str | None
    token: str | None
    ls_project: int | None


def find(request: Request, stack: ExitStack, quiet: bool) -> Learning:
    """Everything that is known of a project; what an export or Label Studio says more is kept.

    Raises:
        LabelerError: no project is named, it cannot be read, or nothing is known of it.
    """
    if request.source is not None and request.ls_project is not None:
        raise LabelerError("Give either a file or --ls-project: each says all of a project.")
    settings = load_server_settings()
    uid, tasks = _said(request, settings, stack, quiet)
    name = _name(request, settings)
    path = settings.data_dir / FILE
    submissions = []
    if path.exists() or tasks is not None:
        with closing(Acceptance(path)) as acceptance:
            known = _uids(acceptance, settings, name)
            if tasks is not None:
                uid = uid or (known[0] if len(known) == 1 else name)
                acceptance.record_tasks(uid, tasks)
                if uid not in known:
                    known.append(uid)
                    _remember(settings.data_dir, uid, name)
            for one in known:
                submissions += acceptance.submissions(one)
    heads = _heads(project_folder(settings.data_dir, name) / "heads")
    if not submissions and not heads:
        if tasks is not None:
            raise LabelerError(_unlabelled(request))
        raise LabelerError(_nothing(request.project or name, settings.data_dir))
    return learning(request.project or name, submissions, heads, settings.costs)


def _said(
    request: Request, settings: ServerSettings, stack: ExitStack, quiet: bool
) -> tuple[str | None, Tasks | None]:
    """How Label Studio names the project to a backend, where that is known; and its tasks, where they are."""
    if request.source is not None:
        from labeler_backend.studio.export_json import tasks_in

        if not request.source.is_file():
            raise InputError(f"{request.source} is no file: give a JSON export of Label Studio.")
        return None, tasks_in(request.source)
    if request.ls_project is None:
        return None, None
    from labeler_backend.studio.client import Studio
    from labeler_backend.studio.download import download, studio_tasks

    studio = stack.enter_context(Studio(request.url, request.token))
    uid = project_uid(studio.project(request.ls_project))
    with counter("download", None, quiet) as progress:
        folder = settings.cache_dir / "exports"
        here = stack.enter_context(download(studio, request.ls_project, folder, progress))
    return uid, studio_tasks(here)


def _name(request: Request, settings: ServerSettings) -> str:
    if request.project is not None:
        return resolve(settings.data_dir, request.project)
    if request.ls_project is None:
        raise LabelerError("Which project? Name it with --project, or with --url and --ls-project.")
    return studio_project(str(request.url), request.ls_project)


def _uids(acceptance: Acceptance, settings: ServerSettings, name: str) -> list[str]:
    """What the backend keeps its annotations under: more than one where a Label Studio was set up anew."""
    connections = Connections(settings.data_dir / "connections.json", None, None)
    own = str(settings.label_studio_url or "")
    also = aliases(settings.data_dir)
    return [
        uid for uid in acceptance.projects() if name in (uid, also.get(uid), *_named(uid, connections, own))
    ]


def _remember(data_dir: Path, uid: str, name: str) -> None:
    """That they are one project, which nobody knows where no backend is connected to it."""
    if uid != name and resolve(data_dir, uid) != name:
        set_alias(data_dir, uid, name)


def _named(uid: str, connections: Connections, own: str) -> list[str]:
    """The names of a project, by the address that its Label Studio gives itself, and by the operator's."""
    number = uid.partition(".")[0]
    urls = [usable(connections.of(uid).hostname), own]
    return [studio_project(url, number) for url in urls if url and number.isascii() and number.isdigit()]


def _heads(folder: Path) -> list[HeadRow]:
    """The oldest first."""
    if not folder.is_dir():
        return []
    from labeler_backend.heads.errors import HeadError
    from labeler_backend.heads.versions import Versions

    versions = Versions(folder)
    try:
        live = versions.serving()
    except HeadError:  # nobody knows; `labeler heads list` says so
        live = None
    return [
        HeadRow(
            number=one.number,
            live=one.number == live,
            promoted=one.promoted,
            created_at=datetime.fromisoformat(one.created_at).timestamp(),
            kind=one.kind,
            classes=one.classes,
            images=one.n_images,
            before=one.before,
            after=one.after,
            reason=one.reason,
        )
        for one in versions.list()
    ]


def _unlabelled(request: Request) -> str:
    where = str(request.source) if request.source is not None else f"project {request.ls_project}"
    return f"Nothing has been submitted in {where} yet, and no head was learned: there is nothing to report."


def _nothing(name: str, data_dir: Path) -> str:
    known = sorted({*names(data_dir), *aliases(data_dir)})
    there = f" (there are {', '.join(known[:10])})" if known else ""
    return (
        f"Nothing is known of a project {name}{there} in {data_dir}: check the name and LABELER_DATA_DIR, or "
        "let Label Studio say with --url and --ls-project."
    )
