"""The model under stand-ins for both APIs of label-studio-ml."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labeler_backend.server.protocol import PredictRequest, SetupRequest, WebhookEvent, project_uid
from labeler_backend.studio.config import ConfigError
from labeler_backend.studio.version import with_head
from tests.studio import bodies

VERSION = "dinov2-small-518-v1"
EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "START_TRAINING")
LATER_EVENTS = ("ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED")


@dataclass
class Recorder:
    """A service that keeps what it was asked; even tasks are ready, odd ones pending."""

    heads: dict[str, int] = field(default_factory=dict)
    started: int = 0
    setups: list[SetupRequest] = field(default_factory=list)
    asked: list[PredictRequest] = field(default_factory=list)
    events: list[WebhookEvent] = field(default_factory=list)
    seconds: float = 0.0

    async def start(self) -> None:
        self.started += 1

    def setup(self, request: SetupRequest) -> str:
        self.setups.append(request)
        return self.version(request.project)

    def version(self, project: str) -> str:
        return with_head(VERSION, self.heads.get(project))

    async def predict(self, request: PredictRequest, hung_up: Any) -> list[bytes]:
        assert not await hung_up()
        time.sleep(self.seconds)
        if "<View" not in request.label_config:
            raise ConfigError("This labelling config is not XML.")
        self.asked.append(request)
        version = self.version(request.project)
        return [self._element(task["id"], request.label_config, version) for task in request.tasks]

    def _element(self, number: int, config: str, version: str) -> bytes:
        if number % 2:
            return b"[]"
        region = {"id": f"r{number}", "config": config}
        return json.dumps({"result": [region], "score": 0.5, "model_version": version}).encode()

    def webhook(self, event: WebhookEvent) -> None:
        self.events.append(event)


@dataclass
class Api:
    """`ml_base` as imported beside one version of label-studio-ml."""

    version: int
    ml_base: ModuleType
    service: Recorder
    built: list[int]

    def server(self, **init_kwargs: Any) -> Any:
        return sys.modules["label_studio_ml.model"].Server(self.ml_base.EmergentLabelerModel, **init_kwargs)


def forget() -> None:
    """No version of label-studio-ml has been imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == "label_studio_ml"]:
        del sys.modules[name]
    sys.modules.pop("labeler_backend.studio.ml_base", None)


def imported(version: int, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / f"label_studio_ml_{version}"))
    ml_base = importlib.import_module("labeler_backend.studio.ml_base")
    api = Api(version, ml_base, Recorder(), [])

    def make() -> Recorder:
        api.built.append(os.getpid())
        return api.service

    monkeypatch.setattr(ml_base, "make", make)
    return api


@pytest.fixture(autouse=True)
def _fresh_modules() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture(params=[pytest.param(1, id="1.x"), pytest.param(2, id="2.x")])
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Api:
    return imported(request.param, monkeypatch)


@pytest.fixture
def api_1(monkeypatch: pytest.MonkeyPatch) -> Api:
    return imported(1, monkeypatch)


@pytest.fixture
def api_2(monkeypatch: pytest.MonkeyPatch) -> Api:
    return imported(2, monkeypatch)


def test_the_installed_api_is_recognised(api: Api) -> None:
    assert api.version == api.ml_base.API


def test_a_batch_is_answered_in_order_and_what_is_pending_stays_empty(api: Api) -> None:
    server = api.server()
    server.post("/setup", bodies.setup())
    status, answer = server.post("/predict", bodies.predict([bodies.task(n) for n in (4, 3, 2)]))
    assert status == 200
    assert [element and element["result"][0]["id"] for element in answer["results"]] == ["r4", [], "r2"]
    assert [task["id"] for task in api.service.asked[0].tasks] == [4, 3, 2]
    assert api.service.asked[0].label_config == bodies.CONFIG
    assert api.service.asked[0].project == "1"


@pytest.mark.parametrize(
    ("context", "wanted"),
    [
        pytest.param(bodies.click(50, 60), bodies.click(50, 60), id="a click"),
        pytest.param(None, None, id="a batch"),
        pytest.param({}, None, id="an empty context"),
    ],
)
def test_a_click_reaches_the_service(api: Api, context: Any, wanted: Any) -> None:
    server = api.server()
    server.post("/setup", bodies.setup())
    status, _ = server.post("/predict", bodies.predict([bodies.task(2)], context=context))
    assert status == 200
    assert api.service.asked[0].params.context == wanted


def test_predictions_have_the_version_that_setup_says_also_after_annotations(api: Api) -> None:
    """Otherwise Label Studio asks for all tasks again and again, and stores answer beside answer."""
    server = api.server()
    for _ in range(2):
        said = server.post("/setup", bodies.setup())[1]["model_version"]
        element = server.post("/predict", bodies.predict([bodies.task(2)]))[1]["results"][0]
        assert element.get("model_version", said) == said  # without one it takes that of /setup
        assert said == ("INITIAL" if api.version == 1 else VERSION)
        for event in EVENTS:
            server.post("/webhook", bodies.webhook(event, annotation=bodies.annotation(1, 2)))


def test_2x_says_the_version_of_the_head_that_answers(api_2: Api) -> None:
    """Of each project its own, as soon as it answers, and after a rollback the one before."""
    server = api_2.server()
    for head in (None, 1, 2, 1, None):
        api_2.service.heads = {"81": head} if head else {}
        for project in (81, 82):
            said = server.post("/setup", bodies.setup(project))[1]["model_version"]
            body = bodies.predict([bodies.task(2, project=project)], project)
            [element] = server.post("/predict", body)[1]["results"]
            assert said == element["model_version"] == with_head(VERSION, head if project == 81 else None)


def test_1x_says_a_heads_version_only_where_label_studio_does_not_see_it(api_1: Api) -> None:
    """Its /setup says `INITIAL` whatever answers, so that predictions may not say anything else."""
    api_1.service.heads = {"3": 1}
    model = api_1.ml_base.EmergentLabelerModel(label_config=bodies.CONFIG)
    [element] = model.predict([bodies.task(2, project=3)])
    assert "model_version" not in element
    assert model.model_version == f"{VERSION}-h1"


def test_the_model_says_its_version(api: Api) -> None:
    assert api.ml_base.EmergentLabelerModel(label_config=bodies.CONFIG).model_version == VERSION


@pytest.mark.parametrize("event", EVENTS)
def test_a_webhook_is_taken_note_of_whole(api: Api, event: str) -> None:
    body = bodies.webhook(event, annotation=bodies.annotation(7, 2), task=bodies.task(2))
    assert api.server().post("/webhook", body)[0] == 200
    del body["project"]["created_at"]
    assert [one.model_dump() for one in api.service.events] == [body]


def test_predictions_and_webhooks_name_a_project_alike(api: Api) -> None:
    """Or what became of proposals would be counted for another project than they were made for."""
    server = api.server()
    server.post("/setup", bodies.setup(3))
    server.post("/predict", bodies.predict([bodies.task(2, project=3)], project=3))
    server.post("/webhook", bodies.webhook("ANNOTATION_CREATED", project=3))
    assert project_uid(api.service.events[0].model_extra["project"]) == api.service.asked[0].project == "3"


@pytest.mark.parametrize("event", LATER_EVENTS)
def test_1x_also_hands_over_deletions_and_bulk_annotations(api_1: Api, event: str) -> None:
    api_1.server().post("/webhook", bodies.webhook(event))
    assert [one.action for one in api_1.service.events] == [event]


def test_a_webhook_neither_waits_nor_starts_the_model(api: Api) -> None:
    server = api.server()
    server.post("/webhook", bodies.webhook("ANNOTATION_CREATED"))  # builds the service
    start = time.perf_counter()
    for _ in range(100):
        server.post("/webhook", bodies.webhook("ANNOTATION_CREATED", annotation=bodies.annotation(1, 2)))
    assert (time.perf_counter() - start) / 100 < 0.005
    assert api.service.started == 0


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        pytest.param(((),), {}, id="nothing"),
        pytest.param(([{"id": 1}], "/models/1"), {}, id="tasks of the old /train"),
        pytest.param(((),), {"event": "ANNOTATION_CREATED", "data": None}, id="no body"),
        pytest.param((), {"event": "ANNOTATION_CREATED", "data": [1]}, id="a body that is no object"),
    ],
)
def test_fit_ignores_what_is_no_webhook(api: Api, args: Any, kwargs: Any) -> None:
    model = api.ml_base.EmergentLabelerModel(label_config=bodies.CONFIG)
    assert model.fit(*args, **kwargs) is None
    assert api.service.events == []


def test_all_models_share_one_service_that_is_started_once(api: Api) -> None:
    """Also when the first requests come at the same time."""
    api.service.seconds = 0.02
    model = api.ml_base.EmergentLabelerModel
    answers: list[Any] = []

    def ask(number: int) -> None:
        answers.extend(model(label_config=bodies.CONFIG).predict([bodies.task(number)]))

    threads = [threading.Thread(target=ask, args=(2 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(one["result"][0]["id"] for one in answers) == sorted(f"r{2 * n}" for n in range(8))
    assert (len(api.built), api.service.started) == (1, 1)


def test_a_fork_builds_a_service_of_its_own(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do not survive a fork: gunicorn's --preload would leave workers with a dead loop."""
    model = api.ml_base.EmergentLabelerModel(label_config=bodies.CONFIG)
    model.predict([bodies.task(2)])
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    model.predict([bodies.task(2)])
    assert api.built == [pid, pid + 1]
    assert api.service.started == 2


def test_1x_media_come_from_where_setup_says_with_its_token(api_1: Api) -> None:
    server = api_1.server()
    server.post("/setup", bodies.setup(hostname="http://127.0.0.1:8085", access_token="abc"))
    server.post("/predict", bodies.predict([bodies.task(2, project=3)]))
    said = api_1.service.setups[-1]
    assert (said.project, said.hostname, said.access_token) == ("3", "http://127.0.0.1:8085", "abc")


def test_1x_answers_with_the_config_of_the_last_setup(api_1: Api) -> None:
    """Its limit, which the docstring names: /predict's own config never reaches the model."""
    server, other = api_1.server(), bodies.CONFIG.replace("car", "person")
    server.post("/setup", bodies.setup(1))
    server.post("/setup", bodies.setup(2, other))
    server.post("/predict", bodies.predict([bodies.task(2)], project=1))
    assert api_1.service.asked[0].label_config == other


def test_2x_projects_never_see_each_others_config(api_2: Api) -> None:
    server, other = api_2.server(), bodies.CONFIG.replace("car", "person")
    server.post("/setup", bodies.setup(1))
    server.post("/setup", bodies.setup(2, other))
    for project, config in ((1, bodies.CONFIG), (2, other), (1, bodies.CONFIG)):
        body = bodies.predict([bodies.task(2, project=project)], project, config)
        assert server.post("/predict", body)[1]["results"][0]["result"][0]["config"] == config
        assert api_2.service.asked[-1].project == str(project)


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        pytest.param({"model_max_proposals": 3}, '{"model_max_proposals": 3}', id="an object"),
        pytest.param('{"model_max_proposals": 3}', '{"model_max_proposals": 3}', id="typed into the page"),
        pytest.param(None, None, id="none"),
    ],
)
def test_2x_extra_params_reach_the_service(api_2: Api, extra: Any, wanted: Any) -> None:
    server = api_2.server()
    assert server.post("/setup", bodies.setup(71 if extra else 72, extra_params=extra))[0] == 200
    server.post("/predict", bodies.predict([bodies.task(2)], project=71 if extra else 72))
    assert api_2.service.setups[-1].extra_params == wanted


def test_1x_extra_params_come_from_init_app(api_1: Api) -> None:
    server = api_1.server(extra_params={"model_max_proposals": 3})
    server.post("/setup", bodies.setup())
    server.post("/predict", bodies.predict([bodies.task(2)]))
    assert api_1.service.setups[-1].extra_params == {"model_max_proposals": 3}


@pytest.mark.parametrize(
    ("version", "args"),
    [
        pytest.param(1, (bodies.CONFIG, {"trained": True}), id="1.x: label_config, train_output"),
        pytest.param(2, ("12", bodies.CONFIG), id="2.x: project_id, label_config"),
    ],
)
def test_constructors_take_their_arguments_by_position(
    version: int, args: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = imported(version, monkeypatch)
    api.ml_base.EmergentLabelerModel(*args).predict([bodies.task(2)])
    assert api.service.asked[0].label_config == bodies.CONFIG


def test_2x_knows_the_config_of_an_earlier_request(api_2: Api) -> None:
    api_2.server().post("/setup", bodies.setup(31))
    api_2.ml_base.EmergentLabelerModel("31").predict([bodies.task(2)])
    assert api_2.service.asked[0].label_config == bodies.CONFIG


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        pytest.param(None, "There is no labelling config yet", id="none"),
        pytest.param("nonsense", "is not XML", id="not XML"),
    ],
)
def test_a_config_of_no_use_is_a_sentence(api: Api, config: str | None, sentence: str) -> None:
    known = {"project_id": "99"} if api.version == 2 else {}
    model = api.ml_base.EmergentLabelerModel(label_config=config, **known)
    with pytest.raises(Exception, match=sentence):
        model.predict([bodies.task(2)])


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("label_studio_ml", id="not installed"),
        pytest.param("redis", id="installed without what it does not declare"),
    ],
)
def test_a_missing_package_is_a_sentence(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "label_studio_ml"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.py").write_text("import redis\nclass LabelStudioMLBase: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf'{missing}.*pip install "emergent-labeler\[label-studio-ml\]"'):
        importlib.import_module("labeler_backend.studio.ml_base")


@pytest.mark.parametrize("name", ["model.py", "_wsgi.py"])
def test_the_example_of_the_docs_is_the_one_that_is_tested(name: str) -> None:
    root = Path(__file__).parents[2]
    example = (root / "examples" / "label-studio-ml" / name).read_text()
    assert f"```python\n{example}```" in (root / "docs" / "label-studio-ml.md").read_text()
