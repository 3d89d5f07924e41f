"""Each thing that can be wrong is named, with its mend; what is right is not complained about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.settings import ServerSettings
from labeler_backend.store import Store
from labeler_backend.studio.checkup import LOOKS
from labeler_backend.studio.client import Studio
from labeler_backend.studio.connect import BasicAuth, connect
from labeler_backend.studio.doctor import Check, Patient, backend, examine, folders, machine, weights
from labeler_backend.studio.labeling import labeling_config
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.media.types import MediaPolicy
from tests.studio import web
from tests.studio.fake_studio import CONFIG, TOKEN, Backend, FakeStudio
from tests.studio.web import Handler
from tests.video.numbered import make

Setup = Callable[[FakeStudio], None]


@contextmanager
def serving(login: str | None = None, status: dict[str, Any] | None = None) -> Iterator[str]:
    """A backend on loopback; `login` is the Authorization header it wants."""

    def answer(body: object) -> Callable[[Handler], None]:
        def reply(handler: Handler) -> None:
            if login is not None and handler.headers.get("Authorization") != login:
                return handler.reply(401, b"{}")
            return handler.reply(200, json.dumps(body).encode())

        return reply

    routes = {"/health": answer({"status": "UP"}), "/versions": answer({"versions": ["v1"]})}
    if status is not None:
        routes["/status.json"] = answer(status)
    with web.serving() as server:
        server.routes.update(routes)
        yield server.url


@pytest.fixture
def url() -> Iterator[str]:
    """A backend that is well."""
    with serving() as found:
        yield found


@pytest.fixture
def patient(fake: FakeStudio, studio: Studio, url: str, tmp_path: Path) -> Patient:
    """A project with two pictures, everything connected as it should be."""
    fake.backends[url] = Backend("v1")
    project = fake.add_project()
    fake.files["/data/upload/1/a.jpg"] = b"a picture"
    fake.add_tasks(project, *({"image": "/data/upload/1/a.jpg"} for _ in range(2)))
    connect(studio, project, url)
    fake.predictions = [{"task": 1, "model_version": "v1", "result": []}]
    return Patient(
        ServerSettings(cache_dir=tmp_path / "cache", data_dir=tmp_path / "data"),
        studio,
        project,
        url,
        open_media=lambda: MediaStore(Store(tmp_path / "media", 10**7, ".media"), MediaPolicy()),
    )


def found(patient: Patient) -> dict[str, Check]:
    """What is not right, by name; of Label Studio and the project."""
    return {check.name: check for check in examine(patient, LOOKS) if check.state != "ok"}


def test_nothing_is_wrong(fake: FakeStudio, patient: Patient) -> None:
    before = (len(fake.ml), len(fake.webhooks), len(fake.projects))
    checks = list(examine(patient, LOOKS))
    assert {check.state for check in checks} == {"ok"}
    assert [check.name for check in checks] == [
        "Label Studio",
        "token",
        "project",
        "backend",
        "labelling config",
        "private addresses",
        "ML backend",
        "interactive",
        "webhook",
        "score column",
        "pictures",
    ]
    assert (len(fake.ml), len(fake.webhooks), len(fake.projects)) == before  # its probes made nothing


def test_the_backend_of_a_project_is_known(patient: Patient) -> None:
    patient.backend = None
    assert found(patient) == {}


def set_row(**values: Any) -> Setup:
    """Changes the ML backend's row."""
    return lambda fake: fake.ml[1].update(values)


def set_hook(**values: Any) -> Setup:
    """Changes the webhook."""
    return lambda fake: fake.webhooks[1].update(values)


def set_config(xml: str) -> Setup:
    """Changes the labelling config."""
    return lambda fake: fake.projects[1].update(label_config=xml)


def other_backend(fake: FakeStudio) -> None:
    fake.backends["http://127.0.0.1:9"] = Backend("other")
    fake.ml = {0: {**fake.ml[1], "id": 0, "url": "http://127.0.0.1:9", "title": "other"}, **fake.ml}


def twice(fake: FakeStudio) -> None:
    fake.ml[2] = {**fake.ml[1], "id": 2}


def down(fake: FakeStudio) -> None:
    for answering in fake.backends.values():
        answering.up = False


BRUSH = CONFIG.replace("Polygon", "Brush")
BOX = CONFIG.replace("Polygon", "Rectangle")
BARE = """<View>
  <Image name="image" value="$image"/>
  <{} name="shape" toName="image"/>
  <Labels name="names" toName="image"><Label value="a"/></Labels>
</View>"""


@pytest.mark.parametrize(
    ("setup", "name", "state", "detail", "mend"),
    [
        pytest.param(
            lambda fake: setattr(fake, "token", "x" * 40),
            "Label Studio",
            "wrong",
            "refuses the token",
            "Take one from Account",
            id="token",
        ),
        pytest.param(
            lambda fake: setattr(fake, "legacy", False),
            "the backend's token",
            "skipped",
            "legacy tokens switched off",
            "LABEL_STUDIO_API_KEY",
            id="legacy tokens off",
        ),
        pytest.param(
            lambda fake: fake.projects.clear(),
            "project",
            "wrong",
            "has no project 1",
            "The number",
            id="project",
        ),
        pytest.param(
            lambda fake: fake.projects[1].update(show_collab_predictions=False),
            "prelabeling",
            "wrong",
            "not shown to annotators",
            "labeler connect",
            id="predictions hidden",
        ),
        pytest.param(
            set_config('<View><Image name="i" value="$image"/></View>'),
            "labelling config",
            "wrong",
            "",
            "labeler config",
            id="no answer tag",
        ),
        pytest.param(set_config("<View"), "labelling config", "wrong", "", "", id="config that is no XML"),
        pytest.param(
            set_config(BRUSH.replace(' smart="false"', "")),
            "smart tools",
            "wrong",
            "polygon: smart is true where it is not said",
            'smart="false"',
            id="brush without smart",
        ),
        pytest.param(
            set_config(BARE.format("Brush")),
            "smart tools",
            "wrong",
            "shape",
            'smart="false"',
            id="bare brush",
        ),
        pytest.param(
            set_config(BARE.format("Rectangle")),
            "smart tools",
            "wrong",
            "shape",
            'smart="false"',
            id="bare answer box",
        ),
        pytest.param(
            set_config(BOX.replace(' smart="false"', "")),
            "smart tools",
            "wrong",
            "polygon",
            'smart="false"',
            id="answer box without smart",
        ),
        pytest.param(
            lambda fake: setattr(fake, "block_ml", True),
            "private addresses",
            "wrong",
            "for predictions, since",
            "ML_BLOCK_LOCAL_IP=false",
            id="private addresses for backends",
        ),
        pytest.param(
            lambda fake: setattr(fake, "block_webhooks", True),
            "private addresses",
            "wrong",
            "for events about annotations",
            "SSRF_PROTECTION_ENABLED=false",
            id="private addresses for webhooks",
        ),
        pytest.param(
            lambda fake: fake.ml.clear(),
            "ML backend",
            "wrong",
            "is not connected to project 1",
            "connect",
            id="none",
        ),
        pytest.param(down, "ML backend", "wrong", "is disconnected", "Start it", id="disconnected"),
        pytest.param(
            set_row(is_interactive=False),
            "interactive",
            "wrong",
            "are not sent",
            "Interactive pre",
            id="toggle",
        ),
        pytest.param(twice, "ML backend", "wrong", "is connected 2 times", "labeler connect", id="twice"),
        pytest.param(
            other_backend,
            "several backends",
            "wrong",
            "clicks go to http://127.0.0.1:9",
            "Remove the others",
            id="another one takes the clicks",
        ),
        pytest.param(
            lambda fake: fake.webhooks.clear(),
            "webhook",
            "wrong",
            "nothing is learned",
            "connect",
            id="no webhook",
        ),
        pytest.param(set_hook(is_active=False), "webhook", "wrong", "is switched off", "connect", id="off"),
        pytest.param(
            set_hook(send_for_all_actions=False),
            "webhook",
            "wrong",
            "not send everything",
            "connect",
            id="actions",
        ),
        pytest.param(
            lambda fake: fake.webhooks.update({7: {**fake.webhooks[1], "id": 7}}),
            "webhook",
            "wrong",
            "it is there 2 times",
            "connect",
            id="webhook twice",
        ),
        pytest.param(
            set_row(auth_method="BASIC_AUTH", basic_auth_user="me"),
            "webhook",
            "wrong",
            "carries no login",
            "--basic-auth",
            id="webhook without login",
        ),
        pytest.param(
            set_row(title="mine"),
            "score column",
            "wrong",
            "titled 'mine' and predicts as 'v1'",
            "ff_front",
            id="title",
        ),
        pytest.param(
            lambda fake: fake.predictions.clear(),
            "score column",
            "skipped",
            "no predictions yet",
            "",
            id="unused",
        ),
        pytest.param(
            lambda fake: fake.files.clear(),
            "pictures",
            "wrong",
            "2 of the first 2 cannot be",
            "",
            id="pictures gone",
        ),
        pytest.param(
            lambda fake: fake.tasks.clear(), "pictures", "skipped", "no tasks yet", "", id="no tasks"
        ),
        pytest.param(
            lambda fake: fake.tasks[2].update(data={"img": "x"}),
            "task data",
            "wrong",
            "1 of the first 2 tasks lack",
            "Import them",
            id="data key",
        ),
        pytest.param(
            lambda fake: fake.tasks[2].update(data={"image": "/data/local-files/?d=a/b.jpg"}),
            "local files",
            "wrong",
            "has no local storage",
            "Cloud Storage",
            id="no local storage",
        ),
    ],
)
def test_it_is_named_with_its_mend(
    fake: FakeStudio, patient: Patient, setup: Setup, name: str, state: str, detail: str, mend: str
) -> None:
    setup(fake)
    bad = found(patient)
    assert name in bad, bad
    assert bad[name].state == state
    assert detail in bad[name].detail
    assert mend.lower() in bad[name].mend.lower()
    assert TOKEN not in str(bad)


@pytest.mark.parametrize(
    ("rate", "data", "state", "detail"),
    [
        pytest.param("25", {}, "ok", "of the first 2 as their files do", id="right"),
        pytest.param("24", {}, "wrong", "has 25 frames per second, and frameRate of <Video", id="wrong"),
        pytest.param("$fps", {"fps": 25}, "ok", "first 2", id="from the data"),
        pytest.param("$fps", {"fps": 30}, "wrong", "is 30", id="wrong in the data"),
    ],
)
def test_videos(
    fake: FakeStudio, patient: Patient, tmp_path: Path, rate: str, data: Any, state: str, detail: str
) -> None:
    config = labeling_config(["car"], "video").replace('frameRate="25"', f'frameRate="{rate}"')
    set_config(config)(fake)
    fake.files["/data/upload/1/a.mp4"] = make(tmp_path / "a.mp4", 30).read_bytes()
    for task in fake.tasks.values():
        task["data"] = {"video": "/data/upload/1/a.mp4"} | data
    checks = {check.name: check for check in examine(patient, LOOKS)}
    assert checks["frame rate"].state == state
    assert detail in checks["frame rate"].detail
    assert checks["labelling config"].detail == "answers go to videorectangle in 'box'"
    assert checks["pictures"].detail == "the first 2 can be fetched from here"


def test_a_video_that_cannot_be_read_has_no_frame_rate(fake: FakeStudio, patient: Patient) -> None:
    set_config(labeling_config(["car"], "video"))(fake)
    for task in fake.tasks.values():
        task["data"] = {"video": "/data/upload/1/a.jpg"}
    assert "frame rate" not in {check.name for check in examine(patient, LOOKS)}


def test_the_flag_fills_the_score_column(fake: FakeStudio, patient: Patient) -> None:
    fake.ml[1]["title"] = "mine"
    fake.projects[1]["model_version"] = "mine"
    fake.flag = True
    assert found(patient) == {}


def test_polygons_have_no_smart_tool(fake: FakeStudio, patient: Patient) -> None:
    fake.projects[1]["label_config"] = CONFIG.replace(' smart="false"', "")
    assert found(patient) == {}


def test_nothing_to_look_at(patient: Patient) -> None:
    nobody = Patient(patient.settings)
    checks = list(examine(nobody, LOOKS))
    assert {check.state for check in checks} == {"skipped"}
    assert [check.name for check in checks] == ["Label Studio", "project", "backend"]


class TestBackend:
    """From here, without Label Studio."""

    def look(self, patient: Patient, url: str, auth: BasicAuth | None = None) -> list[Check]:
        patient.backend, patient.auth = url, auth
        return list(backend(patient))

    def test_well(self, patient: Patient, url: str) -> None:
        (check,) = self.look(patient, url)
        assert (check.state, check.detail) == ("ok", f"{url}, model version v1")

    def test_not_there(self, patient: Patient) -> None:
        (check,) = self.look(patient, "http://127.0.0.1:1")
        assert check.state == "wrong"
        assert "cannot be reached from here" in check.detail

    def test_something_else(self, patient: Patient) -> None:
        with web.serving() as other:
            (check,) = self.look(patient, other.url)
        assert (check.state, check.mend) == ("wrong", "Check the address.")

    @pytest.mark.parametrize(
        ("auth", "state", "detail"),
        [
            (None, "wrong", "asks for a login"),
            (BasicAuth("a", "c"), "wrong", "refuses the login"),
            (BasicAuth("a", "b"), "ok", "model version v1"),
        ],
        ids=["none", "wrong", "right"],
    )
    def test_login(self, patient: Patient, auth: BasicAuth | None, state: str, detail: str) -> None:
        with serving(login=BasicAuth("a", "b").header) as url:
            (check,) = self.look(patient, url, auth)
        assert check.state == state
        assert detail in check.detail

    @pytest.mark.parametrize(
        ("model", "state", "detail"),
        [
            ({"state": "ready", "device": "cpu"}, "ok", "m is ready on cpu"),
            ({"state": "failed", "problem": "No weights."}, "wrong", "m did not load"),
        ],
        ids=["ready", "failed"],
    )
    def test_its_model(self, patient: Patient, model: dict[str, Any], state: str, detail: str) -> None:
        with serving(status={"model": {"name": "m", **model}, "failures": []}) as url:
            _, check = self.look(patient, url)
        assert (check.state, check.detail) == (state, detail)

    def test_its_last_failure(self, patient: Patient) -> None:
        failures = [{"task": 3, "reason": "It is broken."}]
        with serving(status={"model": {"name": "m", "state": "ready"}, "failures": failures}) as url:
            last = self.look(patient, url)[-1]
        assert (last.state, last.detail) == ("skipped", "task 3: It is broken.")
        assert last.mend.endswith("/status")


class TestMachine:
    """What is looked at without any address."""

    def test_python(self, patient: Patient) -> None:
        (check,) = machine(patient)
        assert (check.name, check.state) == ("Python", "ok")

    @pytest.mark.parametrize(("model", "state"), [("dino-vitb8", "skipped"), ("/nowhere/at/all", "skipped")])
    def test_weights_that_are_not_here(
        self, patient: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, state: str
    ) -> None:
        monkeypatch.setenv("LABELER_CACHE_DIR", str(tmp_path))
        monkeypatch.setenv("HF_HOME", str(tmp_path))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        patient.settings = patient.settings.model_copy(update={"model": model})
        (check,) = weights(patient)
        assert check.state == state

    def test_folders(self, patient: Patient) -> None:
        assert [(check.name, check.state) for check in folders(patient)] == [
            ("cache folder", "ok"),
            ("data folder", "ok"),
        ]

    def test_a_folder_that_is_a_file(self, patient: Patient, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        patient.settings = patient.settings.model_copy(update={"data_dir": tmp_path / "file"})
        _, check = folders(patient)
        assert check.state == "wrong"
        assert "LABELER_DATA_DIR" in check.mend

    def test_little_room(self, patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
        class Usage:
            free = 5e8

        monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
        assert [check.state for check in folders(patient)] == ["wrong", "wrong"]


def test_a_check_that_breaks_is_one_that_is_wrong(patient: Patient) -> None:
    def breaks(patient: Patient) -> Iterator[Check]:
        yield Check("one", "ok", "")
        raise RuntimeError("oh")

    def refuses(patient: Patient) -> Iterator[Check]:
        raise LabelerError("It is so: do that.")
        yield

    checks = list(examine(patient, [("a", breaks), ("b", refuses)]))
    assert [(check.name, check.state, check.mend) for check in checks] == [
        ("one", "ok", ""),
        ("a", "wrong", "Please report it."),
        ("b", "wrong", "Do that."),
    ]
