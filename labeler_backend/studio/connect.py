"""Connects this backend to a Label Studio project with every setting as it has to be; safe to repeat."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labeler_backend.errors import LabelerError
from labeler_backend.studio.client import Studio, StudioError

FIRST_TITLE = "Emergent Labeler"
"""Of the backend until its model version is known."""
SSRF_MEND = (
    "start Label Studio with LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and "
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false (both: with the first alone predictions work, but no event "
    "about annotations ever arrives)"
)


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """The login that the backend asks for."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of `Authorization`."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Connected:
    """What `connect` left behind.

    Attributes:
        backend: the number of the ML backend's row.
        created: whether that row is new.
        model_version: what the backend said; also the row's title.
        did: what was changed, a sentence each.
    """

    project: int
    backend: int
    created: bool
    model_version: str
    interactive: bool
    did: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {**asdict(self), "did": list(self.did)}


def basic_auth(text: str | None) -> BasicAuth | None:
    """`user:password` → BasicAuth; the password may hold colons.

    Raises:
        LabelerError: no colon, or nothing on one side of it.
    """
    if text is None:
        return None
    user, colon, password = text.partition(":")
    if not colon or not user or not password:
        raise LabelerError("--basic-auth needs a user and a password with a colon between them.")
    return BasicAuth(user, password)


def backend_url(text: str) -> str:
    """The backend's address as Label Studio will call it, no slash at the end.

    Raises:
        LabelerError: it is no http(s) URL.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise LabelerError(f"{text} is no address of a backend: give one as http://127.0.0.1:9090.")
    if parts.username or parts.password:
        raise LabelerError("The address of the backend holds a login: give it with --basic-auth.")
    return text.strip().rstrip("/")


_KEPT = ("url", "project", "is_interactive", "extra_params")  # without them a change would reset them


def same(url: str, other: str) -> bool:
    """Do two URLs mean one server? A slash at the end means nothing."""
    return url.rstrip("/") == other.rstrip("/")


def connect(
    studio: Studio,
    project: int,
    backend: str,
    *,
    auth: BasicAuth | None = None,
    interactive: bool = True,
    label_config: str | None = None,
) -> Connected:
    """Connects `backend` to a project, or mends its connection.

    Args:
        studio: as a user who may change the project.
        project: its number.
        backend: URL as Label Studio reaches it.
        auth: the login the backend asks for; None keeps what a connection has.
        interactive: whether clicks and boxes are sent to it.
        label_config: applied first; None keeps the project's.

    Raises:
        LabelerError: Label Studio or the backend is not reached, or one of them refuses.
    """
    _check_host(backend)
    studio.version()
    found = studio.project(project)
    did: list[str] = []
    if label_config is not None and label_config.strip() != (found.get("label_config") or "").strip():
        _apply(studio, project, label_config)
        did.append("Applied the labelling config.")
    row, created = _backend_row(studio, project, backend, auth, interactive, did)
    _project_settings(studio, project, row["title"], did)
    _webhook(studio, project, backend, auth, did)
    return Connected(
        project, row["id"], created, row["model_version"] or "", bool(row["is_interactive"]), tuple(did)
    )


def _check_host(backend: str) -> None:
    """Label Studio takes no webhook to a host without a dot, and says so only after it took the backend."""
    host = urlsplit(backend).hostname or ""
    if "." not in host and ":" not in host and host != "localhost":
        raise LabelerError(
            f"Label Studio sends no events to a host without a dot in its name, such as {host!r}: give the "
            f"backend one such as {host or 'labeler'}.internal (docker: a network alias), or use its address."
        )


def _apply(studio: Studio, project: int, label_config: str) -> None:
    try:
        studio.patch(f"/api/projects/{project}", {"label_config": label_config})
    except StudioError as error:
        if error.status != 400:
            raise
        raise StudioError(
            f"Project {project} does not take that labelling config ({error}): "
            "keep the labels that its annotations use, or take a new project.",
            400,
        ) from error


def _backend_row(
    studio: Studio, project: int, backend: str, auth: BasicAuth | None, interactive: bool, did: list[str]
) -> tuple[dict[str, Any], bool]:
    """The one row for this URL, its title equal to the model version; and whether it is new."""
    rows = [row for row in studio.backends(project) if same(row["url"], backend)]
    wanted = {"url": backend, "project": project, "is_interactive": interactive}
    try:
        if rows:
            row = _updated(studio, rows[0], wanted, auth)
            if any(rows[0].get(key) != row.get(key) for key in ("is_interactive", "auth_method", "title")):
                did.append(f"Changed the settings of ML backend {row['id']}.")
        else:
            row = studio.post("/api/ml", {**wanted, "title": FIRST_TITLE, **_auth_fields(auth)})
            did.append(f"Connected {backend} as ML backend {row['id']}.")
            row = _updated(studio, row, wanted, auth)
    except StudioError as error:
        raise _explained(error, backend) from error
    for double in rows[1:]:
        studio.delete(f"/api/ml/{double['id']}")
        did.append(f"Removed ML backend {double['id']}, which was the same one again.")
    return row, not rows


def _updated(
    studio: Studio, row: dict[str, Any], wanted: dict[str, Any], auth: BasicAuth | None
) -> dict[str, Any]:
    """Label Studio checks a change as it checks a new row, so that each one carries everything."""
    kept = {
        "auth_method": row.get("auth_method") or "NONE",
        "basic_auth_user": row.get("basic_auth_user") or "",
    }
    if kept["auth_method"] != "NONE":
        kept["basic_auth_pass"] = ""  # empty: the stored one stays
    full = {**wanted, **kept, **(_auth_fields(auth) if auth else {})}
    # The Data Manager's score column shows the scores of the version that is called as the backend is titled.
    for _ in range(2):
        title = row["model_version"] or row["title"]
        if row["title"] == title and row["is_interactive"] == wanted["is_interactive"] and auth is None:
            break
        changed: dict[str, Any] = studio.patch(f"/api/ml/{row['id']}", {**full, "title": title})
        row, auth = changed, None
    return row


def titled(studio: Studio, row: dict[str, Any]) -> dict[str, Any]:
    """A row of a backend that is there, with the title that its model version says → the row as it is then.

    Raises:
        StudioError: Label Studio refuses.
    """
    kept = {key: row.get(key) for key in _KEPT}
    return _updated(studio, row, kept, None)


def _auth_fields(auth: BasicAuth | None) -> dict[str, Any]:
    if auth is None:
        return {"auth_method": "NONE"}
    return {
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": auth.user,
        "basic_auth_pass": auth.password,
    }


def _project_settings(studio: Studio, project: int, title: str, did: list[str]) -> None:
    """Predictions are shown, and opening a task asks this backend.

    `evaluate_predictions_automatically` is left alone: it makes the list of tasks wait for the model.
    """
    found = studio.project(project)
    wanted = {"show_collab_predictions": True, "model_version": title}
    if any(found.get(key) != value for key, value in wanted.items()):
        studio.patch(f"/api/projects/{project}", wanted)
        did.append(f"Predictions of {title} are what the project shows.")


def _webhook(studio: Studio, project: int, backend: str, auth: BasicAuth | None, did: list[str]) -> None:
    """One active row that sends every event, with the login where the backend asks for one.

    Label Studio sends the backend's login with everything but its webhooks, and makes none where its own
    protection refuses the address; the row also survives its backend.
    """
    url = f"{backend}/webhook"
    rows = [row for row in studio.webhooks(project) if same(row["url"], url)]
    headers = {"Authorization": auth.header} if auth else None
    if not rows:
        body = {"project": project, "url": url, "send_payload": True, "send_for_all_actions": True}
        try:
            studio.post("/api/webhooks/", {**body, "headers": headers or {}})
        except StudioError as error:
            raise _explained(error, url) from error
        did.append(f"Made the webhook {url}.")
        return
    first, *doubles = rows
    good = first["is_active"] and first["send_payload"] and first["send_for_all_actions"]
    if not good or (headers and not headers.items() <= (first.get("headers") or {}).items()):
        merged = {**(first.get("headers") or {}), **(headers or {})}
        wanted = {"url": url, "send_payload": True, "send_for_all_actions": True, "is_active": True}
        studio.patch(f"/api/webhooks/{first['id']}/", {**wanted, "headers": merged})
        did.append(f"Mended the webhook {url}.")
    for double in doubles:
        studio.delete(f"/api/webhooks/{double['id']}/")
        did.append(f"Removed webhook {double['id']}, which was the same one again.")


def is_ssrf(error: StudioError) -> bool:
    """Did Label Studio refuse an address because it is private?"""
    return error.status in (400, 403) and "reserved network address" in str(error)


def _explained(error: StudioError, url: str) -> StudioError:
    if is_ssrf(error):
        return StudioError(
            f"Label Studio refuses {url}, since its address is private: {SSRF_MEND}.", error.status
        )
    text = str(error)
    if "authentication parameters" in text or "401" in text:
        return StudioError(f"{url} asks for a login: give it with --basic-auth USER:PASSWORD.", error.status)
    if "health check failed" in text:
        return StudioError(
            f"Label Studio does not reach {url}: start the backend (`labeler serve`), and give --backend as "
            "Label Studio's machine or container sees it.",
            error.status,
        )
    if "valid ML backend" in text:
        return StudioError(f"What answers at {url} is no ML backend: check --backend. ({text})", error.status)
    return error
