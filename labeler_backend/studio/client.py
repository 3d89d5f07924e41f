"""Label Studio's API, as far as the commands need it, with sentences for what goes wrong.

On httpx and not on the SDK's client, which sends a POST again after a 5xx or a timeout: predictions that were
pushed would be there twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from labeler_backend.errors import LabelerError
from labeler_backend.studio.tokens import Tokens

OLDEST = (1, 16)
"""The first Label Studio with both kinds of token; tried is 1.23.2."""
PAGE = 500
"""Tasks per request."""

_WHERE_TOKENS_ARE = (
    "take one from Account & Settings in Label Studio (a personal access token, or a legacy token where the "
    "organization still allows them)"
)


class StudioError(LabelerError):
    """Label Studio cannot be reached or refuses; `status` is its HTTP status, None where there was none."""

    def __init__(self, text: str, status: int | None = None, *, reached: bool = True) -> None:
        """`reached`: whether the server may have seen the request."""
        super().__init__(text)
        self.status = status
        self.reached = reached


class Studio:
    """One Label Studio, as one user. Safe to share between threads.

    Attributes:
        url: its base URL, no slash at the end.
        token: the user's.
    """

    def __init__(self, url: str | None, token: str | None, timeout: float = 60.0) -> None:
        """Touches no network; `timeout` in seconds per request.

        Raises:
            LabelerError: no URL or none that can be used, or no token.
        """
        self.url = base_url(url)
        if not token or not token.strip():
            raise LabelerError(
                f"No token for {self.url}: set LABEL_STUDIO_API_KEY or give --token; {_WHERE_TOKENS_ARE}."
            )
        self.token = token.strip()
        self._tokens = Tokens()
        # No proxies and no .netrc from the environment: the token goes to this server only.
        self._http = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET → the JSON.

        Raises:
            StudioError: see `request`.
        """
        return self.request("GET", path, params=params)

    def post(self, path: str, body: Any, *, timeout: float | None = None, **params: Any) -> Any:
        """POST of JSON → the JSON; sent once, whatever happens.

        Raises:
            StudioError: see `request`.
        """
        return self.request("POST", path, params=params, json=body, timeout=timeout)

    def patch(self, path: str, body: Any) -> Any:
        """PATCH of JSON → the JSON.

        Raises:
            StudioError: see `request`.
        """
        return self.request("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE.

        Raises:
            StudioError: see `request`.
        """
        self.request("DELETE", path)

    def request(self, method: str, path: str, *, timeout: float | None = None, **more: Any) -> Any:
        """One request with the token → the JSON of the answer, None where it is empty.

        Raises:
            StudioError: not reached, refused, or an answer that is no JSON.
        """
        headers = {"Authorization": self._tokens.authorization(self.url, self.token)}
        if timeout is not None:
            more["timeout"] = timeout
        try:
            answer = self._http.request(method, path, headers=headers, **more)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        if answer.is_success:
            return self._json(answer) if answer.content else None
        raise self._refused(answer, path)

    def version(self) -> str:
        """As `1.23.2`.

        Raises:
            StudioError: what answers is no Label Studio, or one that is too old.
        """
        found = self.get("/api/version")
        release = found.get("release") if isinstance(found, Mapping) else None
        if not isinstance(release, str):
            raise StudioError(f"{self.url} answers, but not as Label Studio does: check the URL.")
        if version_tuple(release) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise StudioError(f"{self.url} is Label Studio {release}: update it to {oldest} or newer.")
        return release

    def project(self, number: int) -> dict[str, Any]:
        """One project.

        Raises:
            StudioError: there is none with this number, or not for this user.
        """
        found: dict[str, Any] = self.get(f"/api/projects/{number}")
        return found

    def backends(self, project: int) -> list[dict[str, Any]]:
        """The project's ML backends; Label Studio asks each for its health on the way."""
        return list(self.get("/api/ml", project=project))

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        """The project's webhooks."""
        return list(self.get("/api/webhooks/", project=project))

    def tasks(
        self, project: int, *, after: int = 0, fields: Sequence[str] = ("id", "data"), page: int = PAGE
    ) -> Iterator[list[dict[str, Any]]]:
        """Pages of a project's tasks by rising id, each with `fields`; tasks that come or go meanwhile do not
        shift the others.
        """
        while True:
            found = self.find(project, [condition("id", "greater", after)], fields, page)["tasks"]
            if not found:
                return
            yield found
            after = max(task["id"] for task in found)

    def find(
        self,
        project: int,
        conditions: Sequence[Mapping[str, Any]],
        fields: Sequence[str],
        limit: int,
        *,
        hidden: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The first `limit` tasks by id that meet all conditions: `{"tasks": [...], "total": n}`.

        Args:
            project: its number.
            conditions: filters.
            fields: of each task; none = all of it, with annotations and predictions, addresses as stored. (To
                name them would also leave fields out of the annotations.)
            limit: how many tasks.
            hidden: columns not to compute. Where none are, columns that are computed come empty, unless a
                condition is about them or all fields are wanted.
        """
        query: dict[str, Any] = {
            "filters": {"conjunction": "and", "items": list(conditions)},
            "ordering": ["tasks:id"],
        }
        if hidden:
            columns = [f"tasks:{name}" for name in hidden]
            query["hiddenColumns"] = {"explore": columns, "labeling": columns}
        found: dict[str, Any] = self.get(
            "/api/tasks",
            project=project,
            page_size=limit,
            query=json.dumps(query),
            **({"include": ",".join(fields)} if fields else {"fields": "all", "resolve_uri": "false"}),
        )
        return found

    def count(self, project: int, *conditions: Mapping[str, Any]) -> int:
        """How many tasks meet all conditions."""
        return int(self.find(project, conditions, ("id",), 1)["total"])

    def predicted(self, project: int, version: str, first: int, last: int) -> set[int]:
        """Ids in first..last of tasks that have a prediction of exactly this model version."""
        # `contains` also finds longer versions, so that the list is looked through here.
        conditions = [with_version(version), condition("id", "in", {"min": first, "max": last})]
        found = self.find(project, conditions, ("id", "predictions_model_versions"), last - first + 1)
        return {
            task["id"]
            for task in found["tasks"]
            if version in str(task["predictions_model_versions"]).split(",")
        }

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise StudioError(
                f"{self.url} answers, but not as Label Studio does ({answer.headers.get('content-type')}): "
                "check the URL.",
                answer.status_code,
            ) from error

    def _refused(self, answer: httpx.Response, path: str) -> StudioError:
        detail = said(answer)
        status = answer.status_code
        if status == 401:
            text = f"{self.url} refuses the token ({detail}): {_WHERE_TOKENS_ARE}."
        elif answer.is_redirect:
            target = answer.headers.get("location", "")
            text = f"{self.url} redirects to {target}: give that address as the URL."
        elif status == 404 and (named := re.match(r"/api/projects/(\d+)", path)):
            text = (
                f"{self.url} has no project {named[1]} that this user may see: the number is in the address "
                "of the project's page."
            )
        elif status == 404:
            text = f"{self.url} knows no {path}: check the URL, and that its version is 1.16 or newer."
        else:
            text = f"{self.url} answers {status} to {path}: {detail}"
        return StudioError(" ".join(text.split()), status)


def base_url(url: str | None) -> str:
    """What a person pastes, `http://host:8080/projects/3/data?tab=1` too → `http://host:8080`.

    Raises:
        LabelerError: it is no http(s) URL.
    """
    if not url or not url.strip():
        raise LabelerError("Where Label Studio is was not said: give --url or set LABEL_STUDIO_URL.")
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LabelerError(f"{url} is no address of a server: give one as http://127.0.0.1:8080.")
    if parts.username or parts.password:
        raise LabelerError("The address of Label Studio holds a login: give it without, and the token apart.")
    path = re.split(r"/(?:projects|user|api)(?:/|$)", parts.path)[0]
    return f"{parts.scheme}://{parts.netloc}{path}".rstrip("/")


def condition(field: str, operator: str, value: Any, kind: str = "Number") -> dict[str, Any]:
    """One filter of the Data Manager."""
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}


def with_version(version: str) -> dict[str, Any]:
    """Tasks with a prediction of this version, or of one whose name holds it."""
    return condition("predictions_model_versions", "contains", [version], "List")


def version_tuple(text: str) -> tuple[int, ...]:
    """`1.23.2.post1` → (1, 23, 2)."""
    return tuple(int(part) for part in re.match(r"[\d.]*", text)[0].split(".") if part)  # type: ignore[index]


def said(answer: httpx.Response) -> str:
    """What an answer that is an error says, short and on one line."""
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code} {answer.reason_phrase}".strip()
    if not isinstance(body, Mapping):
        return str(body)[:300]
    problems = body.get("validation_errors")
    if isinstance(problems, Mapping):
        listed = [f"{key}: {_flat(value)}" for key, value in problems.items()]
        return "; ".join(text.removeprefix("non_field_errors: ") for text in listed)[:600]
    return str(body.get("detail") or body)[:600]


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(_flat(part) for part in value.values())
    return ", ".join(map(_flat, value)) if isinstance(value, list) else str(value)


def unreachable(url: str, error: httpx.HTTPError) -> StudioError:
    """The sentence for a server that did not answer."""
    if isinstance(
        error, httpx.ReadTimeout | httpx.WriteTimeout | httpx.ReadError | httpx.RemoteProtocolError
    ):
        kind = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off"
        return StudioError(f"{url} {kind}: look at what it logs, and run this again.")
    detail = " ".join(str(error).split()) or type(error).__name__
    return StudioError(
        f"{url} cannot be reached ({detail}): check that it runs and that the address is right.",
        reached=False,
    )
