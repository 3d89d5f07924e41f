"""The part of `labeler doctor` that looks at Label Studio and at one project in it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from labeler_backend.errors import LabelerError
from labeler_backend.studio.client import Studio, StudioError, condition, with_version
from labeler_backend.studio.config import LabelingConfig, read_config
from labeler_backend.studio.connect import SSRF_MEND, is_ssrf, same
from labeler_backend.studio.doctor import Check, Look, Patient, backend
from labeler_backend.studio.media.types import Access
from labeler_backend.studio.tags import read_tags
from labeler_backend.studio.video.checkup import frame_rates

_NEVER_FIRE = {"brushlabels", "bitmasklabels", "brush", "bitmask"}  # their smart tool exists, and asks nobody
_TRIED_TASKS = 5
_CONNECT = "Run labeler connect with the same --url, --ls-project and --backend."


def studio(patient: Patient) -> Iterator[Check]:
    """Reached, version, token."""
    client = patient.studio
    if client is None:
        mend = "Give --url and --token, or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."
        yield Check("Label Studio", "skipped", "no address or no token given", mend)
        return
    release = client.version()
    yield Check("Label Studio", "ok", f"{client.url}, {release}")
    user = client.get("/api/current-user/whoami")
    patient.answered = True
    kind = "a personal access token" if client.token.count(".") == 2 else "a legacy token"
    yield Check("token", "ok", f"{kind} of {user.get('email') or user.get('username')}")
    settings = client.get("/api/jwt/settings")
    if not settings.get("legacy_api_tokens_enabled", True):
        yield Check(
            "the backend's token",
            "skipped",
            "the organization has legacy tokens switched off, and Label Studio hands backends only these",
            "Start the backend with LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (a personal access token), or "
            "it cannot read uploaded and local pictures.",
        )


def project(patient: Patient) -> Iterator[Check]:
    """Exists, and shows predictions."""
    client = _client(patient)
    if patient.project is None:
        yield Check("project", "skipped", "no project given", "Give --ls-project to have it looked at.")
        return
    if client is None:
        yield Check("project", "skipped", f"{patient.project} was not looked at without Label Studio")
        return
    row = patient.row = client.project(patient.project)
    patient.backends = client.backends(patient.project)
    if patient.backend is None and len(patient.backends) == 1:
        patient.backend = patient.backends[0]["url"].rstrip("/")
    tasks = row.get("task_number") or 0
    yield Check("project", "ok", f"{row['title']!r}, {tasks} task{'' if tasks == 1 else 's'}")
    if not row.get("show_collab_predictions", True):
        detail = "predictions are not shown to annotators (Settings > Annotation > Prelabeling)"
        yield Check("prelabeling", "wrong", detail, _CONNECT)


def labelling_config(patient: Patient) -> Iterator[Check]:
    """Something in it can be answered, and no answer tag has a tool that does nothing."""
    if patient.row is None:
        return
    xml = patient.row.get("label_config") or ""
    config = read_config(xml)
    if not config.answers and not config.tracks:
        why = " ".join(config.notes) or "It has no PolygonLabels, BrushLabels or RectangleLabels on an Image."
        yield Check("labelling config", "wrong", why, "See labeler config for one that works.")
        return
    answers = [f"{answer.kind} in {answer.name!r}" for answer in config.answers]
    answers += [f"videorectangle in {track.name!r}" for track in config.tracks]
    yield Check("labelling config", "ok", f"answers go to {', '.join(answers)}")
    for note in config.notes:
        yield Check("labelling config", "skipped", note)
    if dead := _dead_tools(xml, config):
        yield Check(
            "smart tools",
            "wrong",
            f"{', '.join(dead)}: smart is true where it is not said, and makes a tool that does nothing",
            'Write smart="false" on these tags.',
        )


def _dead_tools(xml: str, config: LabelingConfig) -> list[str]:
    """Answer tags that have a smart tool of their own which never asks the backend; polygons have none."""
    answers = {answer.name for answer in config.answers}
    return [
        tag.name
        for tag in read_tags(xml).controls
        if (tag.kind in _NEVER_FIRE or (tag.kind in ("rectanglelabels", "rectangle") and tag.name in answers))
        and not tag.says("smart", "false")
    ]


def addresses(patient: Patient) -> Iterator[Check]:
    """Whether Label Studio may call the backend: it refuses private addresses unless told not to.

    Each request is wrong in one field on purpose: the address is judged first, and nothing is ever made.
    """
    client, url = _client(patient), patient.backend
    if client is None or url is None or patient.row is None:
        return
    row = {"project": patient.project, "url": url, "timeout": "none"}
    hook = {"project": patient.project, "url": f"{url}/webhook", "actions": ["none"]}
    refused = [
        name
        for name, path, body in (
            ("predictions", "/api/ml", row),
            ("events about annotations", "/api/webhooks/", hook),
        )
        if _refuses(client, path, body)
    ]
    if refused:
        detail = f"Label Studio refuses {url} for {' and '.join(refused)}, since its address is private"
        yield Check("private addresses", "wrong", detail, f"{SSRF_MEND[0].upper()}{SSRF_MEND[1:]}.")
    elif _is_private(url):
        yield Check("private addresses", "ok", f"Label Studio may call {url}")


def _refuses(client: Studio, path: str, body: Mapping[str, Any]) -> bool:
    try:
        client.post(path, body)
    except StudioError as error:
        if is_ssrf(error):
            return True
        if error.status != 400:
            raise
    return False


def connection(patient: Patient) -> Iterator[Check]:
    """The ML backend's row: there, once, reached, with clicks, with the right title."""
    if patient.row is None:
        return
    if patient.backend is None and len(patient.backends) > 1:
        listed = ", ".join(row["url"] for row in patient.backends)
        yield Check("ML backend", "skipped", f"there are several: {listed}", "Give --backend to choose one.")
        return
    rows = [row for row in patient.backends if patient.backend and same(row["url"], patient.backend)]
    if not rows:
        if patient.backend is None:
            yield Check("ML backend", "skipped", "none is connected", "To connect one: labeler connect.")
        else:
            detail = f"{patient.backend} is not connected to project {patient.project}"
            yield Check("ML backend", "wrong", detail, _CONNECT)
        return
    row = rows[0]
    if row["state"] in ("DI", "ER"):
        detail = f"{row['url']} is {row['readable_state'].lower()} ({row['error_message'] or 'no answer'})"
        mend = "Start it, and check that Label Studio's machine or container reaches this address."
        yield Check("ML backend", "wrong", detail, mend)
    else:
        yield Check("ML backend", "ok", f"{row['url']} is {row['readable_state'].lower()}")
    if row["is_interactive"]:
        yield Check("interactive", "ok", "clicks and boxes are sent to it")
    else:
        mend = "Settings > Model > Edit > Interactive preannotations, or run labeler connect."
        yield Check("interactive", "wrong", "clicks and boxes are not sent to it", mend)
    yield from _several(patient, row, rows)


def _several(patient: Patient, row: Mapping[str, Any], same_url: Sequence[object]) -> Iterator[Check]:
    if len(same_url) > 1:
        yield Check("ML backend", "wrong", f"{row['url']} is connected {len(same_url)} times", _CONNECT)
    others = [other for other in patient.backends if not same(other["url"], row["url"])]
    if others:
        first = next((other for other in patient.backends if other["is_interactive"]), None)
        clicks = f"; clicks go to {first['url']}" if first else ""
        yield Check(
            "several backends",
            "skipped" if first is None or same(first["url"], row["url"]) else "wrong",
            f"{', '.join(other['url'] for other in others)} as well{clicks}",
            "Remove the others, or turn off their Interactive preannotations (Settings > Model).",
        )


def webhook(patient: Patient) -> Iterator[Check]:
    """Events about annotations reach the backend, with its login where it asks for one."""
    client, url = _client(patient), patient.backend
    if client is None or url is None or patient.row is None or patient.project is None:
        return
    rows = [row for row in client.webhooks(patient.project) if same(row["url"], f"{url}/webhook")]
    if not rows:
        yield Check("webhook", "wrong", f"there is none for {url}/webhook, so nothing is learned", _CONNECT)
        return
    sends = [row for row in rows if row["is_active"] and row["send_payload"] and row["send_for_all_actions"]]
    backends = [row for row in patient.backends if same(row["url"], url)]
    login = patient.auth is not None or any(row["auth_method"] != "NONE" for row in backends)
    if not sends:
        yield Check("webhook", "wrong", "it is switched off, or does not send everything", _CONNECT)
    elif len(rows) > 1:
        yield Check("webhook", "wrong", f"it is there {len(rows)} times: events arrive as often", _CONNECT)
    elif login and "Authorization" not in (sends[0].get("headers") or {}):
        detail = "it carries no login, which the backend asks for: Label Studio adds none by itself"
        yield Check("webhook", "wrong", detail, f"{_CONNECT[:-1]}, and --basic-auth.")
    else:
        yield Check("webhook", "ok", f"{url}/webhook{' with the login' if login else ''}")


def score_column(patient: Patient) -> Iterator[Check]:
    """The Data Manager's score column shows something.

    Label Studio fills it with the scores of the version that is called as the backend is titled, or with
    those of all connected backends where a feature flag is on; what it does here is asked, not guessed.
    """
    client = _client(patient)
    if client is None or patient.row is None or patient.project is None or not patient.backends:
        return
    rows = [row for row in patient.backends if patient.backend and same(row["url"], patient.backend)]
    row = (rows or patient.backends)[0]
    if not row["model_version"] or not client.count(patient.project, with_version(row["model_version"])):
        yield Check("score column", "skipped", "the backend has made no predictions yet")
        return
    if client.count(patient.project, condition("predictions_score", "greater_or_equal", 0.0)):
        yield Check("score column", "ok", "tasks can be sorted by score")
        return
    yield Check(
        "score column",
        "wrong",
        f"it is empty: the backend is titled {row['title']!r} and predicts as {row['model_version']!r}",
        "Run labeler connect, or start Label Studio with "
        "ff_front_dev_1682_model_version_dropdown_070622_short=true.",
    )


def media(patient: Patient) -> Iterator[Check]:
    """The pictures of the first tasks can be fetched from here."""
    client, row = _client(patient), patient.row
    if client is None or row is None or patient.project is None:
        return
    found = client.find(patient.project, [], ("id", "data"), _TRIED_TASKS)["tasks"]
    if not found:
        yield Check("pictures", "skipped", "the project has no tasks yet")
        return
    config = read_config(row.get("label_config") or "")
    urls = [(task, url) for task in found for url in _urls(config, task)]
    yield from _local_files(client, patient.project, [url for _, url in urls])
    if patient.open_media is None:
        return
    store, access = patient.open_media(), Access(client.url, client.token)
    problems = [problem for task, url in urls if (problem := _problem(store, access, task["id"], url))]
    if problems:
        what, _, mend = problems[0].rpartition(": ")
        detail = f"{len(problems)} of the first {len(urls)} cannot be fetched from here: {what}"
        yield Check("pictures", "wrong", detail, mend[:1].upper() + mend[1:])
    elif urls:
        yield Check("pictures", "ok", f"the first {len(urls)} can be fetched from here")
    yield from frame_rates(config, found, lambda url, task: store.fetch(url, access, task))
    missing = len(found) - len({task["id"] for task, _ in urls})
    if missing:
        detail = f"{missing} of the first {len(found)} tasks lack the data that the config's $variables name"
        yield Check("task data", "wrong", detail, "Import them with these keys, or change the config's.")


def _urls(config: LabelingConfig, task: Mapping[str, Any]) -> list[str]:
    urls: list[str] = []
    for image in config.images:
        try:
            urls += config.pages(task["data"], image)
        except LabelerError:
            continue
    for track in config.tracks:
        with contextlib.suppress(LabelerError):
            urls.append(track.video.address(task["data"]))
    return urls


def _problem(store: Any, access: Access, task: int, url: str) -> str | None:
    try:
        store.fetch(url, access, task)
    except LabelerError as error:
        return " ".join(str(error).split())
    return None


def _local_files(client: Studio, project: int, urls: Sequence[str]) -> Iterator[Check]:
    if not any("/data/local-files/" in url for url in urls):
        return
    if not client.get("/api/storages/localfiles", project=project):
        yield Check(
            "local files",
            "wrong",
            "tasks name /data/local-files/, and the project has no local storage: Label Studio answers 404",
            "Add one under Settings > Cloud Storage whose path is a folder below LOCAL_FILES_DOCUMENT_ROOT.",
        )


def _client(patient: Patient) -> Studio | None:
    return patient.studio if patient.answered else None


def _is_private(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return any(not ipaddress.ip_address(str(address).split("%")[0]).is_global for address in found)


LOOKS: tuple[tuple[str, Look], ...] = (
    ("Label Studio", studio),
    ("project", project),
    ("backend", backend),
    ("labelling config", labelling_config),
    ("private addresses", addresses),
    ("ML backend", connection),
    ("webhook", webhook),
    ("score column", score_column),
    ("pictures", media),
)
