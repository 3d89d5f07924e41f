"""A whole batch: what it writes, what it leaves alone, and that how it ran does not show in what it wrote."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from exporters.masks import write_instance_png
from labeler_backend import files
from labeler_backend.backbone.features import Features
from labeler_backend.batch.run import run, summary_json
from labeler_backend.batch.stages import STAGES
from labeler_backend.batch.types import Formats, Options, Summary
from labeler_backend.errors import LabelerError
from labeler_backend.media import RGB, decode
from labeler_backend.proposals.types import Proposal
from tests.batch.conftest import FORMATS, write_pictures
from tests.batch.fakes import OtsuProposer

Batch = Callable[..., Summary]


def snapshot(out: Path) -> dict[str, bytes]:
    """Every file of a run that must not depend on how it ran."""
    kept = [
        out / "annotations.json",
        *sorted((out / "masks").rglob("*.*")),
        *sorted((out / "overlays").rglob("*.*")),
    ]
    files = {str(path.relative_to(out)): path.read_bytes() for path in kept}
    written = json.loads(files["annotations.json"])
    del written["info"]["date_created"]
    return {**files, "annotations.json": json.dumps(written).encode()}


def failures(out: Path) -> list[dict[str, str]]:
    """failures.jsonl."""
    return [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]


def test_what_is_written(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    summary = batch(pictures)
    out = tmp_path / "out"
    assert (summary.images, summary.done, summary.failed, summary.now) == (7, 7, 0, 7)
    assert set(summary.seconds) == set(STAGES)
    assert all(spent > 0 for spent in summary.seconds.values())
    coco = COCO(str(out / "annotations.json"))
    names = [image["file_name"] for image in coco.loadImgs(coco.getImgIds())]
    assert names == [f"{i:04d}.jpg" for i in range(7)]
    assert len(coco.getAnnIds()) == summary.proposals > 7
    for image in coco.loadImgs(coco.getImgIds()):
        picture = decode(pictures / image["file_name"])
        assert (image["height"], image["width"]) == picture.shape[:2]
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        scores = [annotation["score"] for annotation in annotations]
        assert scores == sorted(scores, reverse=True)
        ids = np.asarray(Image.open(out / "masks" / f"{image['file_name']}.png"))
        assert ids.dtype == np.uint16
        for k, annotation in enumerate(annotations, 1):
            assert (
                (ids == k) == coco.annToMask(annotation).astype(bool)
            ).all()  # Otsu's parts do not overlap
            assert annotation["area"] == (ids == k).sum()
        assert cv2.imread(str(out / "overlays" / f"{image['file_name']}.jpg")) is not None
    assert failures(out) == []
    assert "0003.jpg" in (out / "report.html").read_text()
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(Options(workers=1, batch_size=1), id="one-thread-singly"),
        pytest.param(Options(workers=4, batch_size=2), id="four-threads"),
        pytest.param(Options(workers=3, batch_size=64), id="one-large-batch"),
        pytest.param(Options(workers=2, batch_size=3, bytes_in_flight=1), id="hardly-any-memory"),
    ],
)
def test_how_it_ran_does_not_show(batch: Batch, pictures: Path, tmp_path: Path, options: Options) -> None:
    batch(pictures)
    batch(pictures, out="other", options=options)
    assert snapshot(tmp_path / "other") == snapshot(tmp_path / "out")


def test_batches_have_one_grid_and_are_filled(batch: Batch, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 16)
    proposer = OtsuProposer()  # asserts that a batch has one grid
    batch(tmp_path / "in", proposer=proposer, options=Options(batch_size=4))
    assert proposer.batches == [4, 4, 4, 4]


def test_no_overlays(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    batch(pictures, options=Options(overlays=False))
    assert not (tmp_path / "out" / "overlays").exists()
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 7


def test_an_image_without_proposals_has_a_row(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "in" / "black.png")

    class Nothing(OtsuProposer):
        def propose(self, image: RGB, features: Features) -> list[Proposal]:
            return []

    assert batch(tmp_path / "in", proposer=Nothing()).proposals == 0
    written = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [(i["file_name"], i["width"], i["height"]) for i in written["images"]] == [("black.png", 64, 48)]
    assert written["annotations"] == []
    assert not np.asarray(Image.open(tmp_path / "out" / "masks" / "black.png.png")).any()


def test_memory_is_bounded_by_bytes_in_flight(batch: Batch, tmp_path: Path) -> None:
    """Never more decoded images alive than the budget holds (counted where they are decoded and let go)."""
    (tmp_path / "in").mkdir()
    for i in range(24):
        Image.new("RGB", (200, 100), (i, 99, 200)).save(tmp_path / "in" / f"{i:02d}.png")
    lock, alive, most = threading.Lock(), 0, 0

    class Counting(OtsuProposer):
        def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:  # called once an image is decoded
            nonlocal alive, most
            if threading.current_thread().name.startswith("decode"):
                with lock:
                    alive += 1
                    most = max(most, alive)
            return super().grid(image_size)

        def propose(self, image: RGB, features: Features) -> list[Proposal]:
            nonlocal alive
            with lock:
                alive -= 1
            return super().propose(image, features)

    budget = Options(workers=4, batch_size=4, bytes_in_flight=6 * 60_000)
    assert batch(tmp_path / "in", proposer=Counting(), options=budget).done == 24
    assert 2 <= most <= 7  # one may be counted as alive while its bytes are already being given back


class Failing(OtsuProposer):
    """Breaks on images whose mean red is high, at one of its two steps."""

    def __init__(self, stage: str, error: Exception) -> None:
        super().__init__()
        self.stage, self.error = stage, error

    def encode(self, images: Sequence[RGB]) -> list[Features]:
        if self.stage == "backbone" and any(image[0, 0, 0] > 250 for image in images):
            raise self.error
        return super().encode(images)

    def propose(self, image: RGB, features: Features) -> list[Proposal]:
        if self.stage == "proposals" and image[0, 0, 0] > 250:
            raise self.error
        return super().propose(image, features)


@pytest.mark.parametrize(
    ("stage", "error", "says"),
    [
        pytest.param("backbone", RuntimeError("odd\nshape"), "(RuntimeError: odd shape)", id="encode"),
        pytest.param(
            "backbone", MemoryError(), "Memory ran out in the backbone step", id="encode-out-of-memory"
        ),
        pytest.param("proposals", ValueError("eigs"), "The proposals step failed on it", id="propose"),
        pytest.param("proposals", MemoryError(), "use a smaller --size", id="propose-out-of-memory"),
    ],
)
def test_a_failing_image_does_not_spoil_its_batch(
    batch: Batch, pictures: Path, tmp_path: Path, stage: str, error: Exception, says: str
) -> None:
    Image.new("RGB", (224, 160), "red").save(pictures / "0003b.png")
    summary = batch(pictures, proposer=Failing(stage, error))
    assert (summary.done, summary.failed) == (7, 1)
    (failure,) = failures(tmp_path / "out")
    assert (failure["path"], failure["stage"]) == ("0003b.png", stage)
    assert says in failure["reason"]
    shutil.rmtree(tmp_path / "out" / ".labeler")
    (pictures / "0003b.png").unlink()
    batch(pictures, out="clean")
    assert snapshot(tmp_path / "clean") == snapshot(tmp_path / "out")


def test_one_file_that_cannot_be_written_is_one_failure(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    long = "n" * 250 + ".jpg"  # fits, but not with .png behind it
    shutil.copy(pictures / "0001.jpg", pictures / long)
    summary = batch(pictures)
    assert (summary.done, summary.failed) == (7, 1)
    (failure,) = failures(tmp_path / "out")
    assert (failure["path"], failure["stage"]) == (long, "write")


def full_after(n: int) -> Formats:
    """A disk with room for `n` masks."""
    left = [n]

    def write(path: Path, proposals: Sequence[Proposal], size: tuple[int, int]) -> None:
        left[0] -= 1
        if left[0] < 0:
            with files.replacing(path) as temporary:
                temporary.write_bytes(b"half a")
                raise OSError(errno.ENOSPC, "No space left on device")
        write_instance_png(path, proposals, size)

    return replace(FORMATS, instance_png=write)


def test_a_full_disk_stops_the_run_and_resume_goes_on(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(LabelerError, match=r"No space is left .* --resume"):
        run([str(pictures)], out, OtsuProposer, Options(workers=2, batch_size=2), full_after(3))
    assert not (out / "annotations.json").exists()
    assert not list(out.rglob("*.part"))
    assert all(Image.open(path).getbbox() or True for path in (out / "masks").iterdir())
    summary = batch(pictures, existing="resume")
    assert (summary.done, summary.failed) == (7, 0)
    batch(pictures, out="straight")
    assert snapshot(out) == snapshot(tmp_path / "straight")


def test_resume_repeats_only_what_failed(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    whole = (pictures / "0002.jpg").read_bytes()
    (pictures / "0002.jpg").write_bytes(whole[:3000])
    assert batch(pictures).failed == 1
    (pictures / "0002.jpg").write_bytes(whole)
    write_pictures(pictures, 1, start=50)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "masks").iterdir()}
    summary = batch(pictures, existing="resume")
    assert (summary.images, summary.done, summary.failed, summary.now) == (8, 8, 0, 2)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    batch(pictures, out="straight")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "straight")
    again = batch(pictures, existing="resume")
    assert (again.now, again.done) == (0, 8)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "straight")


class Other(OtsuProposer):
    """Another model."""

    fingerprint = "another"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param({}, "already holds a run: go on with it by --resume", id="neither-flag"),
        pytest.param(
            {"existing": "resume", "proposer": Other()}, "model: otsu then, another now", id="other-model"
        ),
        pytest.param(
            {"existing": "resume", "options": Options(polygons=True)},
            "polygons: False then, True now",
            id="other-output",
        ),
    ],
)
def test_a_run_is_neither_mixed_nor_overwritten(
    batch: Batch, pictures: Path, tmp_path: Path, more: dict[str, Any], says: str
) -> None:
    batch(pictures)
    before = snapshot(tmp_path / "out")
    with pytest.raises(LabelerError) as caught:
        batch(pictures, **more)
    assert says in str(caught.value)
    assert snapshot(tmp_path / "out") == before


def test_overwrite_removes_the_run_and_nothing_else(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch(pictures)
    (out / "masks" / "mine.png").write_text("mine")
    (out / "notes.txt").write_text("mine")
    (pictures / "0000.jpg").unlink()
    assert batch(pictures, existing="overwrite", proposer=Other()).images == 6
    assert not (out / "masks" / "0000.jpg.png").exists()
    assert not (out / "overlays" / "0000.jpg.jpg").exists()
    assert (out / "masks" / "mine.png").read_text() == (out / "notes.txt").read_text() == "mine"


def test_two_runs_cannot_share_a_folder(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    inside = threading.Event()
    done = threading.Event()

    class Slow(OtsuProposer):
        def encode(self, images: Sequence[RGB]) -> list[Features]:
            inside.set()
            done.wait(30)
            return super().encode(images)

    first = threading.Thread(target=batch, args=(pictures,), kwargs={"proposer": Slow()})
    first.start()
    try:
        assert inside.wait(30)
        with pytest.raises(LabelerError, match="Another run is writing into"):
            batch(pictures, existing="resume")
    finally:
        done.set()
        first.join()
    assert (tmp_path / "out" / "annotations.json").exists()


def test_equal_names_and_odd_names(batch: Batch, tmp_path: Path) -> None:
    for i, name in enumerate(
        ["one/a.jpg", "two/a.jpg", "one/ünï cödé #1 100%.jpg", "one/日本.jpg", "two/a.jpg.jpg"]
    ):
        source = write_pictures(tmp_path / "made", 1, start=i)[0]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        source.rename(tmp_path / name)
    assert batch(tmp_path / "one", tmp_path / "two").done == 5
    masks = {
        str(p.relative_to(tmp_path / "out" / "masks")) for p in (tmp_path / "out" / "masks").rglob("*.png")
    }
    assert masks == {
        "one/a.jpg.png",
        "two/a.jpg.png",
        "one/ünï cödé #1 100%.jpg.png",
        "one/日本.jpg.png",
        "two/a.jpg.jpg.png",
    }
    written = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert len({image["file_name"] for image in written["images"]}) == 5


def test_a_name_that_is_not_text(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = write_pictures(tmp_path / "made", 1)[0]
    try:
        (Path(f"{tmp_path}/in/\udcff.jpg")).write_bytes(source.read_bytes())
    except OSError:
        pytest.skip("this file system takes only text as names")
    assert batch(tmp_path / "in").done == 1
    assert len(json.loads((tmp_path / "out" / "annotations.json").read_text())["images"]) == 1


def test_summary_json_is_json(batch: Batch, pictures: Path) -> None:
    summary = json.loads(json.dumps(summary_json(batch(pictures))))
    assert summary["images"] == 7
    assert Path(summary["report"]).is_file()
    assert summary["images_per_second"] > 0


def test_polygons(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    batch(pictures)
    batch(pictures, out="drawn", options=Options(polygons=True, max_points=40))
    exact, drawn = (COCO(str(tmp_path / out / "annotations.json")) for out in ("out", "drawn"))
    assert drawn.getAnnIds() == exact.getAnnIds()
    overlaps = []
    for annotation in drawn.loadAnns(drawn.getAnnIds()):
        rings = annotation["segmentation"]
        assert isinstance(rings, list)
        assert sum(len(ring) for ring in rings) <= 2 * 40
        mask = exact.annToMask(exact.anns[annotation["id"]])
        if mask.sum() > 2000:  # Otsu's specks are too rough for 40 points
            both = drawn.annToMask(annotation)
            overlaps.append((mask & both).sum() / (mask | both).sum())
    assert len(overlaps) > 5
    assert np.mean(overlaps) > 0.8
    assert not {p.name for p in (tmp_path / "out" / "masks").iterdir()} ^ {
        p.name for p in (tmp_path / "drawn" / "masks").iterdir()
    }


def test_what_a_killed_run_left_half_written_is_swept(batch: Batch, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch(pictures)
    for left in ("masks/.0001.jpg.png.99.part", ".annotations.json.99.part"):
        (out / left).write_bytes(b"half a")
    (out / ".mine.part").write_text("mine")
    batch(pictures, existing="resume")
    assert [path.name for path in out.rglob("*.part")] == [".mine.part"]
