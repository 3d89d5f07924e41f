"""The loop in a real Label Studio: annotate, press Start Training, get better predictions, roll back.

One test on made-up pictures always runs. The others take data that is not in this repository: they run where
LABELER_TEST_DATA names a folder with `nuts_coco` (`images/`, `trainval.json`) and `ccp` (`images/`,
`labels/*.png`, whose numbers are classes), and take about ten minutes each on two cores:

    LABELER_TEST_DATA=/data make test-studio PYTEST_ARGS="-k learning -s"

What they measured is printed, and kept in STUDIO_ARTIFACTS as `learning-<data>.json`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.learning import SPLITS, image_of, truth_of
from labeler_backend.heads.evaluation import evaluate
from labeler_backend.heads.types import Metrics, Sample
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.shape import to_mask
from labeler_backend.media import decode
from labeler_backend.projects import studio_project
from labeler_backend.proposals.types import Proposal
from labeler_backend.studio.identity import object_of
from labeler_backend.studio.regions import Place, mask_to_regions, region_labels, region_to_shape

from .answers import labels_of
from .backend import Backend
from .client import Client, Json
from .commands import Commands
from .conftest import Backends
from .pictures import Marked, coins_and_tiles
from .studio import LEGACY_TOKEN, Studio

pytestmark = pytest.mark.slow

DATA = os.environ.get("LABELER_TEST_DATA")
TRAINING = 1500.0  # seconds
FOLLOWING = 20.0  # seconds until Label Studio shows another version
POINTS = 80  # of a person's polygon


@dataclass
class Loop:
    """One project, and the command line of whoever runs the backend."""

    studio: Studio
    client: Client
    backend: Backend
    labeler: Commands
    kind: str
    pool: Sequence[Marked]
    test: Sequence[Marked]
    project: int = 0
    row: int = 0
    tasks: dict[str, int] = field(default_factory=dict)

    def set_up(self) -> None:
        """Labelling config, connection, pictures."""
        marked = [*self.pool, *self.test]
        labels = sorted({label for one in marked for label, _ in one.objects})
        xml = self.labeler.run("config", "--labels", ",".join(labels), "--kind", self.kind)
        self.project = self.client.create_project(xml)
        said = self.labeler.json("connect", "--ls-project", self.project, "--backend", self.backend.url)
        self.row = said["backend"]
        self.client.upload(self.project, [one.path for one in marked])
        for task in self.client.tasks(self.project):
            self.tasks[task["data"]["image"].rsplit("/", 1)[1].split("-", 1)[1]] = task["id"]
        assert set(self.tasks) == {one.path.name for one in marked}

    def annotate(self) -> None:
        """Opens each task of the pool, and submits what is really there instead of what is proposed."""
        for one in self.pool:
            task = self.tasks[one.path.name]
            proposed = self.client.open_task(task)["predictions"]
            parent = {"parent_prediction": proposed[0]["id"]} if proposed else {}
            self.client.annotate(task, list(self._regions(one)), lead_time=30.0, **parent)

    def _regions(self, marked: Marked) -> Any:
        place = Place(self.kind, "image")
        for number, (label, mask) in enumerate(marked.objects):
            for region in mask_to_regions(
                mask,
                f"{self.kind}labels",
                place,
                object_id=f"byhand{number}",
                labels=[label],
                score=1.0,
                max_points=POINTS,
            ):
                del region["score"]
                yield {**region, "origin": "manual"}

    def train(self) -> Json:
        """Start Training, as the menu of the backend's card does → what /status.json says at its end."""
        self.client.call("POST", f"/api/ml/{self.row}/train")
        uid, end = self.client.uid(self.project), time.monotonic() + TRAINING
        while True:
            status = self.backend.project(uid)
            if status["training"]["state"] in ("done", "failed", "not_promoted"):
                return status
            assert time.monotonic() < end, status["training"]
            time.sleep(0.5)

    def shows(self, version: str) -> None:
        """Label Studio calls backend and project by this version, before long."""
        end = time.monotonic() + FOLLOWING
        while (now := self._shown()) != (version,) * 3:
            assert time.monotonic() < end, f"{now} instead of {version}\n{self.backend.log()[-2000:]}"
            time.sleep(0.5)

    def _shown(self) -> tuple[str, str, str]:
        [row] = self.client.call("GET", "/api/ml", params={"project": self.project})
        about = self.client.call("GET", f"/api/projects/{self.project}")
        return row["title"], row["model_version"], about["model_version"]

    def predictions(self) -> dict[str, Json]:
        """Retrieve Predictions → by picture of the test, the one of the version that serves."""
        self.client.retrieve_predictions(self.project)
        found = self.client.predictions(self.project)
        version = self._shown()[0]
        newest = {}
        for one in self.test:
            ours = [p for p in found[self.tasks[one.path.name]] if p["model_version"] == version]
            assert len(ours) == 1, f"{one.path.name}: {len(ours)} predictions of {version}"
            newest[one.path.name] = ours[0]
        return newest

    def scores(self) -> dict[str, float | None]:
        """What stands in the Data Manager's column of scores, by picture of the test."""
        by_task = {task["id"]: task["predictions_score"] for task in self.client.tasks(self.project)}
        return {one.path.name: by_task[self.tasks[one.path.name]] for one in self.test}

    def measured(self, predictions: Mapping[str, Json]) -> Metrics:
        """What is stored in Label Studio against the truth.

        The foreground is all that an annotator sees, whatever its score.
        """
        answers = {i: answered(predictions[one.path.name]) for i, one in enumerate(self.test)}
        samples = [truth(one) for one in self.test]
        seen = [
            iou(union([p.mask for p in answers[i]], sample), union(map(rle.decode, sample.masks), sample))
            for i, sample in enumerate(samples)
        ]
        return replace(evaluate(answers, samples), foreground=float(np.mean(seen)))

    def rollback(self) -> int | None:
        """`labeler heads rollback`, in a process of its own → what serves."""
        name = studio_project(self.studio.url, self.client.uid(self.project))
        serving: int | None = self.labeler.json("heads", "rollback", "--project", name)["serving"]
        return serving


def answered(prediction: Json) -> list[Proposal]:
    """The objects of a stored prediction, by falling score."""
    parts: dict[str, list[Json]] = {}
    for region in prediction["result"]:
        parts.setdefault(object_of(region["id"]), []).append(region)
    found = []
    for regions in parts.values():
        mask = np.any([to_mask(region_to_shape(region)) for region in regions], axis=0)
        label = next(iter(region_labels(regions[0])), None)
        found.append(Proposal(rle.encode(mask), regions[0]["score"], "studio", label))
    return sorted(found, key=lambda one: -one.score)


def union(masks: Iterable[rle.BoolMask], sample: Sample) -> rle.BoolMask:
    """(H, W) where any of the masks is."""
    return np.any([np.zeros(sample.features.image_size, bool), *masks], axis=0)


def truth(marked: Marked) -> Sample:
    """As much of a sample as is measured against."""
    masks = tuple(rle.encode(mask) for _, mask in marked.objects)
    features: Any = SimpleNamespace(image_size=tuple(marked.objects[0][1].shape))
    nothing: Any = None
    return Sample(
        key=marked.path.name,
        group=marked.path.name,
        features=features,
        picture=nothing,
        labels=tuple(label for label, _ in marked.objects),
        masks=masks,
        coverage=nothing,
        unknown=nothing,
        trust=1.0,
        proposals=(),
        revision="1",
    )


Start = Callable[..., Loop]


@pytest.fixture
def start(studio: Studio, backends: Backends, tmp_path: Path, cache: Path) -> Start:
    """Trains only when it is asked to, so that the tests know which version comes of what."""

    def begin(kind: str, pool: Sequence[Marked], test: Sequence[Marked], **more: Any) -> Loop:
        backend = backends(settings={"LABELER_TRAIN_EVERY": "0"}, **more)
        labeler = Commands(backend.data, cache, studio, LEGACY_TOKEN)
        loop = Loop(studio, studio.client(), backend, labeler, kind, pool, test)
        loop.set_up()
        return loop

    return begin


def prove(loop: Loop, name: str, artifacts: Path) -> tuple[Metrics, Metrics]:
    """The whole of it → what the predictions were worth before and after."""
    began = time.monotonic()
    labels = {label for one in loop.pool for label, _ in one.objects}
    before = loop.predictions()
    [base] = {one["model_version"] for one in before.values()}
    loop.annotate()
    trained = loop.train()
    assert trained["training"]["state"] == "done", trained["training"]
    assert trained["head"]["images"] == len(loop.pool)
    version = trained["head"]["model_version"]
    assert version == f"{base}-h1"

    loop.shows(version)
    after = loop.predictions()
    assert {one["model_version"] for one in after.values()} == {version}
    assert set().union(*(labels_of(one) for one in after.values())) <= labels, "named"
    assert all(region_labels(region) for one in after.values() for region in one["result"])
    assert loop.scores() == pytest.approx({name: one["score"] for name, one in after.items()})
    figures = loop.measured(before), loop.measured(after)
    tell(name, figures, trained, time.monotonic() - began, artifacts)

    assert loop.rollback() is None
    loop.shows(base)
    old = {name: one["score"] for name, one in before.items()}
    assert loop.scores() == pytest.approx(old), "the predictions from before are still there, and count again"
    loop.client.action(loop.project, "delete_tasks_predictions")
    again = loop.predictions()
    assert {name: one["result"] for name, one in again.items()} == {
        name: one["result"] for name, one in before.items()
    }
    assert "Traceback" not in loop.backend.log()
    return figures


def tell(name: str, figures: tuple[Metrics, Metrics], trained: Json, seconds: float, folder: Path) -> None:
    """What was measured, on the terminal and in a file."""
    training = trained["training"]
    said = {
        "data": name,
        "kind": trained["head"]["kind"],
        "pictures": trained["head"]["images"],
        "training_seconds": round(training["ended"] - training["started"], 1),
        "seconds": round(seconds, 1),
        "reason": training["reason"],
    }
    for when, metrics in zip(("before", "after"), figures, strict=True):
        values = {key: getattr(metrics, key) for key in ("pq", "ap50", "foreground", "miou")}
        said[when] = {key: round(value, 3) for key, value in values.items()}
    print(json.dumps(said, indent=1))
    (folder / f"learning-{name}.json").write_text(json.dumps(said, indent=1))


@pytest.mark.timeout(900)
def test_what_was_annotated_is_learned_and_can_be_rolled_back(
    start: Start, tmp_path: Path, artifacts: Path
) -> None:
    marked = coins_and_tiles(tmp_path, 10)
    before, after = prove(start("polygon", marked[:6], marked[6:]), "strewn", artifacts)
    assert after.pq > before.pq + 0.1
    assert after.ap50 > before.ap50 + 0.1


def data(name: str, pool: int, test: int) -> tuple[list[Marked], list[Marked]]:
    """Of the fixed split, the first so many of both parts."""
    if DATA is None:
        pytest.skip("LABELER_TEST_DATA does not name a folder with nuts_coco and ccp.")
    folder = Path(DATA) / name
    split = json.loads((SPLITS / f"{name}.json").read_text())
    found = {
        one: Marked(image_of(folder, one), list(truth_of(folder, one, False)))
        for one in chain(split["pool"][:pool], split["test"][:test])
    }
    for marked in found.values():
        size = decode(marked.path).shape[:2]
        assert all(mask.shape == size for _, mask in marked.objects), f"{marked.path}: truth of another size"
    return [found[one] for one in split["pool"][:pool]], [found[one] for one in split["test"][:test]]


@pytest.mark.timeout(1800)
def test_nuts(start: Start, artifacts: Path) -> None:
    """Three kinds that touch each other, outlined: instances count."""
    before, after = prove(start("polygon", *data("nuts_coco", 9, 9), size=518), "nuts_coco", artifacts)
    assert after.pq > before.pq + 0.1
    assert after.ap50 > before.ap50 + 0.1


@pytest.mark.timeout(1800)
def test_clothes(start: Start, artifacts: Path) -> None:
    """Dozens of classes, painted: one region each, most of them rare."""
    before, after = prove(start("brush", *data("ccp", 20, 10), size=518), "ccp", artifacts)
    assert after.pq > before.pq
    assert after.miou > before.miou
    assert after.foreground > 0.75, "the person is still covered, now by named parts"
