"""The project of `labeler up`: made once, and only added to."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from labeler_backend.errors import InputError
from labeler_backend.studio import demo
from labeler_backend.studio.client import Studio, StudioError
from labeler_backend.studio.connect import connect
from labeler_backend.studio.local import Home
from tests.studio.fake_studio import CONFIG, Backend, FakeStudio

URL = "http://127.0.0.1:9090"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    found = Home(tmp_path / "home")
    found.root.mkdir()
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures with names that a URL does not like, and what is none."""
    names = ["a.jpg", "sub dir/ü & #1.PNG", "sub dir/100%.jpeg", "notes.txt", ".hidden.jpg", ".git/b.jpg"]
    for name in names:
        path = tmp_path / "my photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "my photos"


def served(fake: FakeStudio, home: Home) -> list[Path]:
    """The files that the tasks name, as Label Studio finds them below its root."""
    urls = [urlsplit(task["data"]["image"]) for task in fake.tasks.values()]
    assert {(url.scheme, url.netloc, url.path) for url in urls} <= {("", "", "/data/local-files/")}
    return [home.files / parse_qs(url.query)["d"][0] for url in urls]


def test_a_task_per_picture(fake: FakeStudio, studio: Studio, home: Home, photos: Path) -> None:
    number, new = demo.find_project(studio, home, CONFIG)
    assert new
    assert demo.add_pictures(studio, number, home, photos) == 3
    found = served(fake, home)
    assert {path.resolve() for path in found} == {
        photos / "a.jpg",
        photos / "sub dir" / "ü & #1.PNG",
        photos / "sub dir" / "100%.jpeg",
    }
    (storage,) = fake.storages
    assert Path(storage["path"]).parent == home.files  # Label Studio takes only what lies below its root
    assert all(str(path).startswith(storage["path"]) for path in found)


def test_again_adds_only_what_is_new(fake: FakeStudio, studio: Studio, home: Home, photos: Path) -> None:
    number, _ = demo.find_project(studio, home, CONFIG)
    demo.add_pictures(studio, number, home, photos)
    (photos / "new.jpg").write_bytes(b"x")
    assert demo.find_project(studio, home, CONFIG) == (number, False)
    assert demo.add_pictures(studio, number, home, photos) == 1
    assert demo.add_pictures(studio, number, home, photos) == 0
    assert (len(fake.projects), len(fake.storages), len(fake.tasks)) == (1, 1, 4)


def test_two_folders_of_one_name(
    fake: FakeStudio, studio: Studio, home: Home, photos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / photos.name
    other.mkdir(parents=True)
    (other / "a.jpg").write_bytes(b"y")
    number, _ = demo.find_project(studio, home, CONFIG)
    demo.add_pictures(studio, number, home, photos)
    demo.add_pictures(studio, number, home, other)
    assert len({path.resolve() for path in served(fake, home)}) == len(fake.tasks) == 4


def test_many_pictures(fake: FakeStudio, studio: Studio, home: Home, tmp_path: Path) -> None:
    for n in range(1201):
        (tmp_path / f"{n}.jpg").touch()
    number, _ = demo.find_project(studio, home, CONFIG)
    assert demo.add_pictures(studio, number, home, tmp_path) == 1201
    assert demo.add_pictures(studio, number, home, tmp_path) == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        pytest.param("nowhere", "is no folder", id="nowhere"),
        pytest.param("a.jpg", "is no folder", id="a file"),
        pytest.param(".git", "holds no pictures", id="empty"),
    ],
)
def test_folders_that_will_not_do(studio: Studio, home: Home, photos: Path, name: str, sentence: str) -> None:
    (photos / ".git" / "b.jpg").unlink()
    number, _ = demo.find_project(studio, home, CONFIG)
    with pytest.raises(InputError, match=sentence):
        demo.add_pictures(studio, number, home, photos / name)


@pytest.mark.parametrize("note", ["", "[]", '{"project": null}', '{"project": 99}'])
def test_a_project_that_is_gone_is_made_anew(fake: FakeStudio, studio: Studio, home: Home, note: str) -> None:
    (home.root / "project.json").write_text(note)
    assert demo.find_project(studio, home, CONFIG) == (1, True)
    assert demo.find_project(studio, home, CONFIG) == (1, False)


def test_a_studio_that_refuses_is_no_reason_for_another_project(
    fake: FakeStudio, studio: Studio, home: Home
) -> None:
    demo.find_project(studio, home, CONFIG)
    fake.token = "x" * 40
    with pytest.raises(StudioError):
        demo.find_project(studio, home, CONFIG)
    assert len(fake.projects) == 1


def test_backends_of_former_runs_go(fake: FakeStudio, studio: Studio) -> None:
    number = fake.add_project()
    for url in ("http://127.0.0.1:9091", URL, "http://gpu.example.org:9090"):
        fake.backends[url] = Backend()
        fake.create_ml({"project": number, "url": url, "title": "t"})
    fake.create_webhook({"project": number, "url": "http://127.0.0.1:7/other"})
    demo.drop_former_backends(studio, number, URL)
    assert [row["url"] for row in fake.ml.values()] == [URL, "http://gpu.example.org:9090"]
    assert [row["url"] for row in fake.webhooks.values()] == [
        f"{URL}/webhook",
        "http://gpu.example.org:9090/webhook",
        "http://127.0.0.1:7/other",
    ]


class TestPredictions:
    """Label Studio asks the backend, a few tasks at a time."""

    @pytest.fixture
    def project(self, fake: FakeStudio, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> int:
        """Forty tasks, connected."""
        monkeypatch.setattr(demo, "_PAUSE", 0.01)
        fake.backends[URL] = Backend("v1")
        number = fake.add_project()
        fake.add_tasks(number, *({"image": "x"} for _ in range(40)))
        connect(studio, number, URL)
        return number

    def test_each_task_gets_one(self, fake: FakeStudio, studio: Studio, project: int) -> None:
        seen: list[int] = []
        progress = lambda counts: seen.append(counts.done)  # noqa: E731
        assert demo.retrieve_predictions(studio, project, "v1", progress) == []
        assert sorted(made["task"] for made in fake.predictions) == list(range(1, 41))
        assert seen == [0, 16, 32, 40, 40]

    def test_it_ends_though_some_never_get_one(self, fake: FakeStudio, studio: Studio, project: int) -> None:
        fake.unpredictable = {3, 30}
        assert demo.retrieve_predictions(studio, project, "v1") == [3, 30]

    def test_it_ends_when_a_process_does(self, fake: FakeStudio, studio: Studio, project: int) -> None:
        def check() -> None:
            raise RuntimeError("ended")

        with pytest.raises(RuntimeError):
            demo.retrieve_predictions(studio, project, "v1", check=check)
        assert fake.predictions == []


def test_reasons_of_nobody() -> None:
    assert demo.reasons("http://127.0.0.1:1") == {}


def test_there_are_pictures_to_begin_with() -> None:
    assert len(list(demo._pictures(demo.default_pictures()))) >= 5
    shipped = Path(demo.__file__).parents[1] / "proposals" / "calibration"
    assert len(list(demo._pictures(shipped))) >= 5
