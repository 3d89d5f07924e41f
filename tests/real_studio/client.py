"""What a user of Label Studio does, through its REST API as the browser uses it."""

from __future__ import annotations

import base64
import time
from collections.abc import Generator, Iterable, Sequence
from datetime import datetime
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]


class Bearer(httpx.Auth):
    """A personal access token: exchanged for one that lives five minutes."""

    requires_response_body = True

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._access, self._until = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() > self._until:
            answer = yield httpx.Request(
                "POST", f"{self._url}/api/token/refresh/", json={"refresh": self._token}
            )
            self._access, self._until = answer.json()["access"], time.monotonic() + 240
        request.headers["Authorization"] = f"Bearer {self._access}"
        yield request


class Client:
    """One user. Every method raises httpx.HTTPStatusError on 4xx and 5xx, with what the server said."""

    def __init__(self, url: str, token: str) -> None:
        """`token`: legacy (40 characters) or personal (a JWT)."""
        personal = token.count(".") == 2
        self.http = httpx.Client(
            base_url=url,
            timeout=150,  # retrieving predictions waits for the backend, 100 s at most
            auth=Bearer(url, token) if personal else None,
            headers={} if personal else {"Authorization": f"Token {token}"},
            trust_env=False,
        )

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """The JSON of the answer, None where it has none."""
        answer = self.http.request(method, path, **kwargs)
        if answer.is_error:
            said = f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
            raise httpx.HTTPStatusError(said, request=answer.request, response=answer)
        return answer.json() if answer.content else None

    # --- tokens -------------------------------------------------------------------------------------------

    def personal_token(self) -> str:
        """A new personal access token."""
        token: str = self.call("POST", "/api/token/")["token"]
        return token

    def allow_legacy_tokens(self, allowed: bool) -> None:
        """Of the whole organization."""
        self.call(
            "POST",
            "/api/jwt/settings",
            json={"legacy_api_tokens_enabled": allowed, "api_tokens_enabled": True},
        )

    # --- projects and tasks -------------------------------------------------------------------------------

    def create_project(self, config: str, title: str = "pictures") -> int:
        """→ its id."""
        project: int = self.call("POST", "/api/projects", json={"title": title, "label_config": config})["id"]
        return project

    def uid(self, project: int) -> str:
        """How Label Studio calls a project when it talks to backends: number and second of its creation."""
        created = datetime.fromisoformat(
            self.call("GET", f"/api/projects/{project}")["created_at"].replace("Z", "+00:00")
        )
        return f"{project}.{int(created.timestamp())}"

    def upload(self, project: int, files: Iterable[Path]) -> None:
        """As the import dialog does: one multipart form, each file in a field of its own."""
        form = {file.name: (file.name, file.read_bytes(), guess_type(file.name)[0]) for file in files}
        self.call("POST", f"/api/projects/{project}/import", files=form)

    def import_tasks(self, project: int, data: Sequence[Json]) -> None:
        """Tasks as JSON."""
        self.call("POST", f"/api/projects/{project}/import", json=list(data))

    def add_local_files(self, project: int, folder: Path) -> int:
        """A storage row, without which /data/local-files/ answers 404; → its id."""
        body = {"project": project, "path": str(folder), "use_blob_urls": True, "regex_filter": ".*"}
        storage: int = self.call("POST", "/api/storages/localfiles", json=body)["id"]
        return storage

    def sync_local_files(self, storage: int) -> None:
        """One task with an absolute URL for each file."""
        self.call("POST", f"/api/storages/localfiles/{storage}/sync", json={})

    def tasks(self, project: int) -> list[Json]:
        """All tasks, by id, as a listing shows them; asks no backend."""
        found: list[Json] = []
        while True:
            query = {"project": project, "page": len(found) // 500 + 1, "page_size": 500, "fields": "all"}
            page = self.call("GET", "/api/tasks", params=query)
            found += page["tasks"]
            if len(found) >= page["total"]:
                return sorted(found, key=lambda task: int(task["id"]))

    def open_task(self, task: int) -> Json:
        """As opening it in the browser does: asks the backend when there is no prediction yet."""
        opened: Json = self.call("GET", f"/api/tasks/{task}")
        return opened

    def predictions(self, project: int) -> dict[int, list[Json]]:
        """Of every task of the project, oldest first."""
        found: dict[int, list[Json]] = {int(task["id"]): [] for task in self.tasks(project)}
        for prediction in self.call("GET", "/api/predictions", params={"project": project}):
            found[prediction["task"]].append(prediction)
        return {task: sorted(ones, key=lambda one: int(one["id"])) for task, ones in found.items()}

    def annotate(self, task: int, result: Sequence[Json], **more: Any) -> Json:
        """Submit an annotation."""
        made: Json = self.call(
            "POST", f"/api/tasks/{task}/annotations/", json={"result": list(result), **more}
        )
        return made

    def action(self, project: int, name: str) -> Json:
        """A Data Manager action on all tasks."""
        body = {"selectedItems": {"all": True, "excluded": []}, "project": project}
        done: Json = self.call("POST", "/api/dm/actions", params={"id": name, "project": project}, json=body)
        return done

    def retrieve_predictions(self, project: int) -> None:
        """Actions > Retrieve Predictions for all tasks."""
        self.action(project, "retrieve_tasks_predictions")

    # --- the backend --------------------------------------------------------------------------------------

    def connect(
        self, project: int, url: str, auth: tuple[str, str] | None = None, title: str = "labeler", **more: Any
    ) -> int:
        """Connect a backend as the Model page does, its events with the same basic auth; → its id."""
        body: Json = {"project": project, "url": url, "title": title, "is_interactive": True, **more}
        if auth:
            body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": auth[0], "basic_auth_pass": auth[1]}
        backend: int = self.call("POST", "/api/ml", json=body)["id"]
        if auth:  # Label Studio sends events without it
            basic = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
            for hook in self.call("GET", "/api/webhooks/", params={"project": project}):
                self.call("PATCH", f"/api/webhooks/{hook['id']}/", json={"headers": {"Authorization": basic}})
        return backend

    def prompt(self, backend: int, task: int, result: Sequence[Json]) -> Json:
        """Key points or boxes as the editor sends them → `data` of the answer, or {} and `errors`."""
        body = {"task": task, "context": {"result": list(result)}}
        answered: Json = self.call("POST", f"/api/ml/{backend}/interactive-annotating", json=body)
        return answered
