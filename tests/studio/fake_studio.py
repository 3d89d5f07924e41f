"""A small Label Studio on loopback: what the commands ask of the real 1.23.2, answered as that one does
(status codes, shapes and sentences are copied from it), and with faults to order."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"
CONFIG = (
    '<View><Image name="image" value="$image"/><PolygonLabels name="polygon" toName="image" smart="false">'
    '<Label value="thing"/></PolygonLabels></View>'
)
BLOCKED = "URL resolves to a reserved network address (block: 127.0.0.0/8)"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        self.status = status
        self.body = {"id": "x", "status_code": status, "version": "1.23.2", "detail": detail, **more}


class Hangup(Exception):
    """The connection is cut instead of an answer."""


class Backend:
    """An ML backend as Label Studio sees it."""

    def __init__(self, version: str = "v1", login: str | None = None, up: bool = True) -> None:
        self.version, self.login, self.up = version, login, up


class FakeStudio:
    """State, faults and a log of requests.

    Attributes:
        backends: what answers at which URL.
        block_ml, block_webhooks: whether private addresses are refused for these.
        flag: whether the score column follows the backends' versions rather than their titles.
        faults: called with (method, path) before a request is answered; may raise Refused or Hangup.
        after: the same, called when its effect is done and its answer not yet sent.
        asked: parameters of each request for tasks.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.url = ""
        self.version = "1.23.2"
        self.token = TOKEN
        self.legacy = True
        self.flag = False
        self.block_ml = self.block_webhooks = False
        self.backends: dict[str, Backend] = {}
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: dict[int, dict[str, Any]] = {}
        self.predictions: list[dict[str, Any]] = []
        self.ml: dict[int, dict[str, Any]] = {}
        self.webhooks: dict[int, dict[str, Any]] = {}
        self.storages: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.log: list[tuple[str, str]] = []
        self.faults: Callable[[str, str], None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.unpredictable: set[int] = set()
        self.asked: list[dict[str, str]] = []
        self.ticks = 0

    # --- what tests put in and look at ------------------------------------------------------------------

    def add_project(self, config: str = CONFIG, **more: Any) -> int:
        number = len(self.projects) + 1
        row = {"title": "p", "label_config": config, "model_version": "", "show_collab_predictions": True}
        self.projects[number] = {"id": number, **row, **more}
        return number

    def add_tasks(self, project: int, *data: dict[str, Any]) -> list[int]:
        start = max(self.tasks, default=0)
        for offset, one in enumerate(data, 1):
            self.tasks[start + offset] = {"id": start + offset, "project": project, "data": one}
        return list(range(start + 1, start + 1 + len(data)))

    def annotate(self, task: int, result: list[Any], *, was_cancelled: bool = False) -> dict[str, Any]:
        made = {"id": self.tick(), "result": result, "completed_by": 1, "was_cancelled": was_cancelled}
        self.tasks[task].setdefault("annotations", []).append(made)
        self.tasks[task]["updated_at"] = f"t{self.tick()}"
        return made

    def tick(self) -> int:
        """A number that only rises."""
        self.ticks += 1
        return self.ticks

    def changes(self) -> list[tuple[str, str]]:
        """Requests that were not GET."""
        return [(method, path) for method, path in self.log if method != "GET"]

    def versions(self, task: int) -> list[str]:
        return [made["model_version"] for made in self.predictions if made["task"] == task]

    # --- routes -----------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, params: dict[str, str], body: Any) -> Any:
        for wanted, pattern, route in self.routes():
            if wanted == method and (match := re.fullmatch(pattern, path)):
                return route(*(int(part) for part in match.groups()), params=params, body=body)
        raise Refused(404, "Not found.")

    def routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [
            ("GET", "/api/version", lambda **_: {"release": self.version}),
            ("GET", "/api/current-user/whoami", lambda **_: {"email": "a@b.c"}),
            ("GET", "/api/jwt/settings", lambda **_: {"legacy_api_tokens_enabled": self.legacy}),
            ("POST", "/api/projects", self.create_project),
            ("GET", r"/api/projects/(\d+)", self.get_project),
            ("PATCH", r"/api/projects/(\d+)", self.patch_project),
            ("POST", r"/api/projects/(\d+)/import", self.import_tasks),
            ("POST", r"/api/projects/(\d+)/import/predictions", self.import_predictions),
            ("GET", r"/api/predictions", self.list_predictions),
            ("DELETE", r"/api/predictions/(\d+)/", self.delete_prediction),
            ("GET", r"/api/import/file-upload/(\d+)", self.uploaded),
            ("GET", "/api/tasks", self.list_tasks),
            ("POST", "/api/dm/actions", self.action),
            ("GET", "/api/ml", self.list_ml),
            ("POST", "/api/ml", self.create_ml),
            ("PATCH", r"/api/ml/(\d+)", self.patch_ml),
            ("DELETE", r"/api/ml/(\d+)", lambda number, **_: self.ml.pop(number) and None),
            ("GET", "/api/webhooks/", self.list_webhooks),
            ("POST", "/api/webhooks/", self.create_webhook),
            ("PATCH", r"/api/webhooks/(\d+)/", self.patch_webhook),
            ("DELETE", r"/api/webhooks/(\d+)/", lambda number, **_: self.webhooks.pop(number) and None),
            ("GET", "/api/storages/localfiles", self.list_storages),
            ("POST", "/api/storages/localfiles", self.create_storage),
        ]

    def get_project(self, number: int, **_: Any) -> dict[str, Any]:
        if number not in self.projects:
            raise Refused(404, "No Project matches the given query.")
        tasks = sum(task["project"] == number for task in self.tasks.values())
        return {**self.projects[number], "task_number": tasks}

    def create_project(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        number = self.add_project(body["label_config"], title=body["title"])
        return self.get_project(number)

    def patch_project(self, number: int, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        row = self.get_project(number)
        version = body.get("model_version", row["model_version"])
        known = {ml["title"] for ml in self.ml.values()} | {
            made["model_version"] for made in self.predictions
        }
        if version and version != row["model_version"] and version not in known:
            raise _invalid(model_version=["Model version doesn't exist either as live model."])
        if "<View>" not in body.get("label_config", "<View>"):
            raise _invalid(label_config=["The label config is invalid."])
        self.projects[number].update(body)
        return self.projects[number]

    def import_tasks(self, number: int, body: Any, params: dict[str, str], **_: Any) -> dict[str, Any]:
        if isinstance(body, dict):  # files
            assert params == {"commit_to_project": "false"}
            start = len(self.uploads)
            self.uploads += [f"upload/{number}/{start + n}-{name}" for n, name in enumerate(body)]
            for path, data in zip(self.uploads[start:], body.values(), strict=True):
                self.files[f"/data/{path}"] = data
            return {"file_upload_ids": list(range(start + 1, len(self.uploads) + 1)), "task_count": 0}
        added = self.add_tasks(number, *(task["data"] for task in body))
        for one, task in zip(added, body, strict=True):
            self.predictions += [{"task": one, **made} for made in task.get("predictions", ())]
        return {"task_count": len(added)}

    def uploaded(self, number: int, **_: Any) -> dict[str, Any]:
        return {"id": number, "file": self.uploads[number - 1]}

    def list_predictions(self, params: dict[str, str], **_: Any) -> Any:
        return [made for made in self.predictions if made["task"] == int(params["task"])]

    def delete_prediction(self, number: int, **_: Any) -> None:
        self.predictions = [made for made in self.predictions if made.get("id") != number]

    def import_predictions(self, number: int, body: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        for made in body:
            if self.tasks.get(made["task"], {}).get("project") != number:
                raise _invalid(non_field_errors=[f"task ID {made['task']} not found in project"])
        self.predictions += body
        return {"created": len(body)}

    def list_tasks(self, params: dict[str, str], **_: Any) -> dict[str, Any]:
        self.asked.append(params)
        query = json.loads(params["query"])
        found = [task for task in self.tasks.values() if task["project"] == int(params["project"])]
        for item in query["filters"]["items"]:
            found = [task for task in found if self._meets(task, item)]
        limit = int(params["page_size"])
        if params.get("fields") == "all":
            shown = [self._whole(task) for task in found[:limit]]
        else:
            fields = params["include"].split(",")
            shown = [{field: self._field(task, field) for field in fields} for task in found[:limit]]
        return {"tasks": shown, "total": len(found)}

    def _field(self, task: dict[str, Any], field: str) -> Any:
        if field == "predictions_model_versions":
            return ",".join(self.versions(task["id"]))
        if field == "total_predictions":
            return len(self.versions(task["id"]))
        if field in ("total_annotations", "cancelled_annotations"):
            cancelled = field == "cancelled_annotations"
            return sum(made["was_cancelled"] == cancelled for made in task.get("annotations", ()))
        return task.get(field)

    def _whole(self, task: dict[str, Any]) -> dict[str, Any]:
        computed = ("total_predictions", "total_annotations", "cancelled_annotations")
        return {
            **{"annotations": [], "drafts": [{"id": 1}], "predictions_score": None},
            **{"predictions_results": "[{id", "annotations_results": "[{id", "updated_at": None, **task},
            **{field: self._field(task, field) for field in (*computed, "predictions_model_versions")},
            "predictions": [made for made in self.predictions if made["task"] == task["id"]],
        }

    def _meets(self, task: dict[str, Any], item: dict[str, Any]) -> bool:
        field, operator, value = item["filter"].removeprefix("filter:tasks:"), item["operator"], item["value"]
        if (field, operator) == ("id", "greater"):
            return bool(task["id"] > value)
        if (field, operator) == ("id", "in"):
            return bool(value["min"] <= task["id"] <= value["max"])
        if (field, operator) == ("predictions_model_versions", "contains"):
            return any(value[0] in version for version in self.versions(task["id"]))
        assert (field, operator) == ("predictions_score", "greater_or_equal")
        shown = {row["model_version"] if self.flag else row["title"] for row in self.ml.values()}
        return bool(shown & set(self.versions(task["id"])))

    def action(self, params: dict[str, str], body: dict[str, Any], **_: Any) -> dict[str, Any]:
        assert params["id"] == "retrieve_tasks_predictions"
        (row,) = (ml for ml in self.ml.values() if ml["project"] == int(params["project"]))
        for task in body["selectedItems"]["included"]:
            if row["model_version"] not in self.versions(task) and task not in self.unpredictable:
                self.predictions.append({"task": task, "model_version": row["model_version"], "result": []})
        return {"processed_items": len(body["selectedItems"]["included"])}

    # --- backends ---------------------------------------------------------------------------------------

    def list_ml(self, params: dict[str, str], **_: Any) -> list[dict[str, Any]]:
        rows = [row for row in self.ml.values() if row["project"] == int(params["project"])]
        return [self._shown(self._asked(row)) for row in rows]

    def create_ml(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if self.block_ml:
            raise Refused(403, BLOCKED)
        self._check_ml(body, {})
        number = max(self.ml, default=0) + 1
        base = {"auth_method": "NONE", "basic_auth_user": "", "title": "default", "is_interactive": False}
        row = self.ml[number] = {**base, **body, "id": number, "error_message": None}
        self._asked(row)
        project = self.projects[row["project"]]
        project["model_version"] = project["model_version"] or row["title"]
        hook = row["url"].rstrip("/") + "/webhook"
        if not self.block_webhooks and hook not in {one["url"] for one in self.webhooks.values()}:
            self.create_webhook({"project": row["project"], "url": hook, "send_for_all_actions": True})
        return self._shown(row)

    def patch_ml(self, number: int, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        row = self.ml[number]
        self._check_ml(body, row)
        project = self.projects[row["project"]]
        if project["model_version"] == row["title"]:
            project["model_version"] = body.get("title", row["title"])
        kept = {"basic_auth_pass": row.get("basic_auth_pass")} if not body.get("basic_auth_pass") else {}
        row.update({**body, **kept})
        return self._shown(self._asked(row))

    def _check_ml(self, body: dict[str, Any], row: dict[str, Any]) -> None:
        """Label Studio checks a change from the body alone."""
        if isinstance(body.get("timeout"), str):
            raise _invalid(timeout=["A valid number is required."])
        backend = self.backends.get(body["url"].rstrip("/"))
        if backend is None or not backend.up:
            raise _invalid(
                non_field_errors=[f"Can't connect to ML backend {body['url']}, health check failed."]
            )
        password = body.get("basic_auth_pass") or row.get("basic_auth_pass")
        login = (
            f"{body.get('basic_auth_user')}:{password}" if body.get("auth_method") == "BASIC_AUTH" else None
        )
        if backend.login is not None and backend.login != login:
            raise _invalid(
                non_field_errors=["Able to connect to ML Server, but authentication parameters were"]
            )

    def _asked(self, row: dict[str, Any]) -> dict[str, Any]:
        backend = self.backends.get(row["url"].rstrip("/"))
        if backend is None or not backend.up:
            row["state"], row["error_message"] = "DI", None
        else:
            row["state"], row["model_version"] = "CO", backend.version
        return row

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        readable = {"CO": "Connected", "DI": "Disconnected"}[row["state"]]
        hidden = {key: value for key, value in row.items() if key != "basic_auth_pass"}
        return {"model_version": None, **hidden, "readable_state": readable}

    def list_webhooks(self, params: dict[str, str], **_: Any) -> list[dict[str, Any]]:
        return [row for row in self.webhooks.values() if row["project"] == int(params["project"])]

    def create_webhook(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if self.block_webhooks:
            raise Refused(403, BLOCKED)
        if body.get("actions"):
            raise _invalid(actions={"0": ['"none" is not a valid choice.']})
        number = max(self.webhooks, default=0) + 1
        base = {"is_active": True, "send_payload": True, "send_for_all_actions": True, "headers": {}}
        self.webhooks[number] = {"id": number, **base, **body}
        return self.webhooks[number]

    def patch_webhook(self, number: int, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.webhooks[number].update(body)
        return self.webhooks[number]

    def list_storages(self, params: dict[str, str], **_: Any) -> list[dict[str, Any]]:
        return [row for row in self.storages if row["project"] == int(params["project"])]

    def create_storage(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.storages.append(body)
        return body


def _invalid(**problems: Any) -> Refused:
    return Refused(400, "Validation error", validation_errors=problems)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: apart, each answer takes 40 ms
    server: _Server

    def answer(self) -> None:
        studio = self.server.studio
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.read(length) if length else None
        params = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with studio.lock:
            studio.log.append((self.command, parts.path))
            try:
                if parts.path in studio.files:
                    return self.send(200, studio.files[parts.path])
                studio.faults(self.command, parts.path)
                if (
                    parts.path != "/api/version"
                    and self.headers.get("Authorization") != f"Token {studio.token}"
                ):
                    raise Refused(401, "Invalid token.")
                found = studio.answer(self.command, parts.path, params, body)
                studio.after(self.command, parts.path)
            except Refused as refused:
                return self.send(refused.status, json.dumps(refused.body).encode())
            except Hangup:
                self.close_connection = True
                return None
        return self.send(200, json.dumps(found).encode() if found is not None else b"")

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def read(self, length: int) -> Any:
        """JSON, or the files of a form by their names."""
        data, kind = self.rfile.read(length), self.headers["Content-Type"]
        if not kind.startswith("multipart/"):
            return json.loads(data)
        form = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + data)
        return {
            part.get_filename(): part.get_payload(decode=True) for part in form.walk() if part.get_filename()
        }

    def send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    studio: FakeStudio


@contextmanager
def running(port: int = 0) -> Iterator[FakeStudio]:
    """A fake on 127.0.0.1; port 0 takes a free one."""
    server = _Server(("127.0.0.1", port), _Handler)
    studio = server.studio = FakeStudio()
    studio.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield studio
    finally:
        server.shutdown()
        server.server_close()
