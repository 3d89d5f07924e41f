"""The product against the real thing: Label Studio 1.23.2, label-studio-ml 1.0.9, and a Chromium.

`make test-studio` installs what is missing and runs all of it; a part of it:

    make test-studio PYTEST_ARGS="-k 'doctor or prelabel' -x"

They run only where `-m studio` asks for them, without a network, on free ports of 127.0.0.1. Label Studio, a
backend and the pictures are started or made once per session and shared: a test makes its own project, and
starts a backend of its own (`backends`) where it stops one or sets it up differently.

| file | what is in it |
|---|---|
| `studio.py`, `client.py` | Label Studio, and what its users do, through its REST API |
| `backend.py`, `commands.py` | `labeler serve`, and every other command, each in a process of its own |
| `scripted.py` | a backend that answers what a test says |
| `browser.py` | Label Studio's editor in Chromium |
| `pictures.py`, `films.py`, `answers.py` | what is asked, and what any answer has to satisfy |

Variables: STUDIO_DIR, the virtual environments of both programs (`.studio`); STUDIO_CHROMIUM, a browser;
STUDIO_ARTIFACTS, where screenshots are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from labeler_backend.backbone.weights import WeightsLocation
from labeler_backend.labeler import Labeler
from labeler_backend.settings import load_settings

from .backend import ROOT, SIZE, Backend, labeler_serve
from .commands import Commands
from .pictures import Picture, sample_pictures
from .studio import LEGACY_TOKEN, Studio, label_studio, make_template

STUDIO_DIR = Path(os.environ.get("STUDIO_DIR", ROOT / ".studio"))

Studios = Callable[[bool], Studio]
Backends = Callable[..., Backend]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything here is `studio`, and runs only where -m asks for it: `make test` does not."""
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        item.add_marker("studio")
    if ours and "studio" not in config.option.markexpr:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in set(ours)]


def installed(name: str, program: str) -> Path:
    """One of the virtual environments that `make test-studio` makes."""
    venv = STUDIO_DIR / name
    if not (venv / "bin" / program).exists():
        pytest.fail(f"{venv} is not there: `make test-studio` installs it.", pytrace=False)
    return venv


@pytest.fixture(scope="session")
def label_studio_ml() -> Path:
    """A virtual environment with label-studio-ml 1.0.9, which also sees this one's packages."""
    return installed("label-studio-ml", "label-studio-ml")


@pytest.fixture(scope="session")
def studios(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studios]:
    """`studios(validation)`: the real Label Studio with prediction validation on or off."""
    venv = installed("label-studio", "label-studio")
    template = STUDIO_DIR / "template"
    make_template(venv, template)
    started: dict[bool, Studio] = {}
    with ExitStack() as stack:

        def start(validation: bool) -> Studio:
            if validation not in started:
                folder = tmp_path_factory.mktemp("studio")
                server = label_studio(venv, folder, template, validation=validation)
                started[validation] = stack.enter_context(server)
            return started[validation]

        yield start


@pytest.fixture(scope="session")
def studio(studios: Studios) -> Studio:
    """The stricter one: a prediction that does not fit the labelling config costs the whole batch."""
    return studios(True)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, dinov2_small: WeightsLocation) -> Path:
    """LABELER_CACHE_DIR for backends: the user's weights, nothing else of the user's."""
    return fresh_cache(tmp_path_factory.mktemp("cache"))


def fresh_cache(folder: Path) -> Path:
    """The weights (and what is known of their heads) linked into an empty folder."""
    mine = load_settings().cache_dir
    for name in ("weights", "roles"):
        (mine / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(mine / name)
    return folder


@pytest.fixture
def backends(tmp_path: Path, cache: Path) -> Iterator[Backends]:
    """`backends(auth=…, settings=…)` starts a backend of the test's own."""
    with ExitStack() as stack:
        count = 0

        def start(folder: Path | None = None, **options: object) -> Backend:
            nonlocal count
            count += 1
            return stack.enter_context(
                labeler_serve(tmp_path / f"backend-{count}", folder or cache, **options)
            )

        yield start


@pytest.fixture(scope="session")
def shared_backend(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Backend]:
    """One backend without basic auth, for tests that leave it as they found it."""
    with labeler_serve(tmp_path_factory.mktemp("backend"), cache) as backend:
        yield backend


@pytest.fixture
def labeler(tmp_path: Path, cache: Path, studio: Studio) -> Commands:
    """`labeler …` in processes of their own, with the legacy token in the environment."""
    return Commands(tmp_path / "data", cache, studio, LEGACY_TOKEN)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    """Photos of different sizes; one of them lies on its side and says so in its EXIF."""
    return sample_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def small_labeler(dinov2_small: WeightsLocation) -> Labeler:
    """What the backends under test compute with."""
    return Labeler.load("dinov2-small", device="cpu", size=SIZE)


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: STUDIO_ARTIFACTS or a temporary folder."""
    named = os.environ.get("STUDIO_ARTIFACTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
