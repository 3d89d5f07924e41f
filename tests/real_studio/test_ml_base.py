"""The model under the real label-studio-ml 1.0.9 with its own pins, asked by bodies and by Label Studio."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from labeler_backend.server.acceptance import Acceptance
from tests.studio import bodies

from .answers import assert_predicted, assert_valid, labels_of, polygon_config, prompt_on
from .backend import ROOT, SIZE
from .pictures import Picture
from .processes import Server, clean_environment, free_port, running
from .studio import Studio

TOKEN = "fedcba9876543210fedcba9876543210fedcba98"
CONFIG = polygon_config("thing")


class MlBackend:
    """A running label-studio-ml with our model, as examples/label-studio-ml starts it."""

    def __init__(self, venv: Path, folder: Path, cache: Path) -> None:
        port = free_port()
        self.url, self.data = f"http://127.0.0.1:{port}", folder / "data"
        env = clean_environment() | {
            "PYTHONPATH": str(ROOT),
            "PORT": str(port),
            "MODEL_DIR": str(folder / "jobs"),
            "LABELER_DATA_DIR": str(self.data),
            "LABELER_CACHE_DIR": str(cache),
            "LABELER_DEVICE": "cpu",
            "LABELER_SIZE": str(SIZE),
            "HF_HUB_OFFLINE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [str(venv / "bin" / "python"), str(ROOT / "examples" / "label-studio-ml" / "_wsgi.py")]
        self.server = Server(command, env, folder / "label-studio-ml.log", f"{self.url}/health")
        self.http = httpx.Client(base_url=self.url, timeout=150, trust_env=False)

    def post(self, path: str, body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def accepted(self, project: int, wanted: int) -> int:
        """Proposals accepted as they were, once they are `wanted`: each webhook has a process of its own."""
        end = time.monotonic() + 120
        while True:
            counts = Acceptance(self.data / "acceptance.sqlite").counts(str(project))
            if counts.accepted == wanted or time.monotonic() > end:
                return counts.accepted
            time.sleep(0.5)


@pytest.fixture
def backend(label_studio_ml: Path, cache: Path, tmp_path: Path) -> Iterator[MlBackend]:
    made = MlBackend(label_studio_ml, tmp_path, cache)
    with running(made.server):
        yield made


@contextmanager
def pictures_for_token(pictures: list[Picture]) -> Iterator[str]:
    """A server that has the pictures under /data/upload/1/ for whoever carries the token; → its URL."""
    files = {f"/data/upload/1/{picture.path.name}": picture.path.read_bytes() for picture in pictures}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == f"Token {TOKEN}"
            body = files.get(self.path, b"") if allowed else b""
            self.send_response(200 if body else 404 if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_bodies_of_label_studio(backend: MlBackend, pictures: list[Picture]) -> None:
    """Media with the token of /setup, one element per task in order, a broken task spoils no other."""
    with pictures_for_token(pictures) as url:
        said = backend.post("/setup", bodies.setup(config=CONFIG, hostname=url, access_token=TOKEN))
        assert said == {"model_version": "INITIAL"}
        tasks = [bodies.task(n, f"/data/upload/1/{one.path.name}") for n, one in enumerate(pictures, 1)]
        tasks.insert(1, bodies.task(9, "/data/upload/1/missing.jpg"))
        results = backend.post("/predict", bodies.predict(tasks, config=CONFIG))["results"]

        missing = results.pop(1)
        assert missing["result"] == []
        assert len(results) == len(pictures)
        for picture, element in zip(pictures, results, strict=True):
            assert "model_version" not in element  # Label Studio stamps it with what /setup says
            assert_valid(CONFIG, {**element, "model_version": "INITIAL"})
            first = element["result"][0]
            assert (first["original_height"], first["original_width"]) == picture.size

        context = {"result": [prompt_on(results[0]["result"][0], "keypointlabels", "thing")]}
        clicked = backend.post("/predict", bodies.predict(tasks[:1], config=CONFIG, context=context))
        assert labels_of(clicked["results"][0]) == {"thing"}


def test_webhooks_return_at_once_and_are_counted(backend: MlBackend, pictures: list[Picture]) -> None:
    """They leave the model version alone: another one would have all tasks predicted again."""
    setup = bodies.setup(config=CONFIG, access_token=TOKEN)
    with pictures_for_token(pictures) as url:
        setup["hostname"] = url
        backend.post("/setup", setup)
        task = bodies.task(1, f"/data/upload/1/{pictures[0].path.name}")
        proposed = backend.post("/predict", bodies.predict([task], config=CONFIG))["results"][0]["result"]
    annotation = bodies.annotation(5, 1, proposed)
    body = bodies.webhook("ANNOTATION_CREATED", config=CONFIG, annotation=annotation, task=task)
    start = time.monotonic()
    backend.post("/webhook", body)
    assert time.monotonic() - start < 1.0, "Label Studio gives up after a second"
    assert backend.accepted(1, len(proposed)) == len(proposed)
    assert backend.post("/setup", setup) == {"model_version": "INITIAL"}


def test_with_label_studio(backend: MlBackend, studio: Studio, pictures: list[Picture]) -> None:
    """Connect, retrieve twice, annotate, retrieve again: one prediction for each task all along."""
    client = studio.client()
    project = client.create_project(CONFIG)
    client.upload(project, [picture.path for picture in pictures])
    client.connect(project, backend.url)
    for _ in range(2):
        client.retrieve_predictions(project)
        assert_predicted(CONFIG, client.predictions(project), len(pictures))
    task, (prediction,) = next(iter(client.predictions(project).items()))
    client.annotate(task, prediction["result"], parent_prediction=prediction["id"])
    assert backend.accepted(project, len(prediction["result"])) == len(prediction["result"])
    client.retrieve_predictions(project)
    assert_predicted(CONFIG, client.predictions(project), len(pictures))
