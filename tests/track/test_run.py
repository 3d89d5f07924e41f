"""Whole runs on a small video."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from pycocotools import mask as coco_mask

from labeler_backend.batch.errors import Interrupted, OutputError
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.masks.metrics import iou
from labeler_backend.track.run import run, summary_json
from labeler_backend.track.types import Job, Progress, Summary
from labeler_backend.video.tracks import Box
from tests.track import fakes
from tests.track.fakes import COUNT, FIRST, FORMATS, SECOND, Colours, box_of, read_masks
from tests.video.moving import SIZE
from tests.video.numbered import with_packet


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.quick(monkeypatch)


@pytest.fixture
def labels(tmp_path: Path) -> list[Any]:
    """Truth of the video in `in/`."""
    return fakes.write_video(tmp_path / "in")


def job(tmp_path: Path, labels: list[Any], *given: int, **further: Any) -> Job:
    masks = {t: fakes.write_mask(tmp_path / f"given{t}.png", labels[t]) for t in given}
    return Job(tmp_path / "in", masks, given[0] if given else 0, size=140, **further)


def track(
    tmp_path: Path, what: Job, model: Colours | None = None, name: str = "out", **further: Any
) -> Summary:
    return run(what, tmp_path / name, lambda info: model or Colours(), FORMATS, **further)


def read_mot(path: Path) -> dict[int, dict[int, Box]]:
    """id → frame → box, from 0."""
    found: dict[int, dict[int, Box]] = {}
    for line in path.read_text("utf-8").splitlines():
        t, number, x, y, w, h, *_ = map(float, line.split(","))
        found.setdefault(int(number), {})[int(t) - 1] = (x - 1, y - 1, w, h)
    return found


def test_what_is_written_is_equal_when_read_back(tmp_path: Path, labels: list[Any]) -> None:
    model, shown = Colours(), list[Progress]()
    summary = track(tmp_path, job(tmp_path, labels, 0), model, show=shown.append)
    out = tmp_path / "out"
    assert summary == Summary(str(out), COUNT, 0, [0], [1, 2], 140, COUNT, summary.wall_seconds)
    masks = read_masks(out)
    np.testing.assert_array_equal(masks[0], labels[0])
    assert min(iou(mask > 0, truth > 0) for mask, truth in zip(masks, labels, strict=True)) > 0.5
    data = json.loads((out / "tracks.json").read_text("utf-8"))
    assert data["videos"][0]["length"] == COUNT
    rows = {int(row["attributes"]["track_id"]): row["segmentations"] for row in data["annotations"]}
    for t, mask in enumerate(masks):
        for number in (1, 2):
            code = rows[number][t]
            found = coco_mask.decode(code).astype(bool) if code else np.zeros(SIZE, bool)
            np.testing.assert_array_equal(found, mask == number)
    boxes = read_mot(out / "tracks.txt")
    for number in (1, 2):
        there = {t: np.argwhere(mask == number) for t, mask in enumerate(masks) if (mask == number).any()}
        assert boxes[number] == {
            t: (*p.min(0)[::-1], *(p.max(0) + 1 - p.min(0))[::-1]) for t, p in there.items()
        }
    assert (out / "failures.jsonl").read_text("utf-8") == ""
    assert set(model.seen) == {140}
    assert shown[-1] == Progress(COUNT, COUNT, COUNT, 0)
    assert [one.done for one in shown] == sorted(one.done for one in shown)


@pytest.mark.parametrize(
    ("radius", "size"),
    [pytest.param(24, 476, id="a large object"), pytest.param(2, 714, id="a small one")],
)
def test_small_objects_are_seen_larger(tmp_path: Path, labels: list[Any], radius: int, size: int) -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = fakes.write_mask(tmp_path / "a.png", (y - 60) ** 2 + (x - 40) ** 2 < radius**2)
    model = Colours()
    assert track(tmp_path, Job(tmp_path / "in", {0: mask}), model).size == size
    assert set(model.seen) == {size}


def test_masks_are_indexed_in_the_colours_of_davis(tmp_path: Path, labels: list[Any]) -> None:
    track(tmp_path, job(tmp_path, labels, 0))
    with Image.open(tmp_path / "out" / "masks" / "00003.png") as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]  # type: ignore[index]


@pytest.mark.parametrize("rate", [pytest.param(None, id="unknown"), pytest.param(29.97, id="29.97")])
def test_the_overlay_has_the_frames_of_the_video(
    tmp_path: Path, labels: list[Any], rate: float | None
) -> None:
    drawn: list[tuple[int, int]] = []
    what = job(tmp_path, labels, 0, frame_rate=rate)
    track(tmp_path, what, show_overlay=lambda done, of: drawn.append((done, of)))
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        frames = list(container.decode(video=0))
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(rate or 25, rel=1e-5)
    assert (frames[0].height, frames[0].width) == SIZE
    assert [frame.time for frame in frames] == pytest.approx(
        [t / (rate or 25) for t in range(COUNT)], abs=1e-3
    )
    assert drawn == [(t + 1, COUNT) for t in range(COUNT)]
    picture = frames[3].to_ndarray(format="rgb24").astype(int)
    plain = np.asarray(Image.open(tmp_path / "in" / "3.png")).astype(int)
    mask = read_masks(tmp_path / "out")[3]
    assert np.abs(picture - plain)[mask > 0].mean() > 2 * np.abs(picture - plain)[:30, 100:].mean()


def encoded(tmp_path: Path) -> Path:
    """The video as a file, 30 frames a second."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "5", "bf": "0"})
        (stream.height, stream.width), stream.pix_fmt = SIZE, "yuv420p"
        for t in range(COUNT):
            picture = np.asarray(Image.open(tmp_path / "in" / f"{t}.png"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return tmp_path / "a.mp4"


def test_a_video_file_damaged_in_the_middle(tmp_path: Path, labels: list[Any]) -> None:
    path = with_packet(encoded(tmp_path), tmp_path / "broken.mp4", 5, byte=0)
    summary = track(tmp_path, replace(job(tmp_path, labels, 0), input=path))
    assert (summary.frames, summary.failed) == (COUNT, 1)
    (line,) = (tmp_path / "out" / "failures.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["frame"] == 5
    assert "is damaged: export the video again" in json.loads(line)["reason"]
    masks = read_masks(tmp_path / "out")
    assert [t for t, mask in enumerate(masks) if not mask.any()] == [5]
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert len(list(container.decode(video=0))) == COUNT


def test_a_video_file_with_its_own_rate(tmp_path: Path, labels: list[Any]) -> None:
    encoded(tmp_path)
    summary = track(tmp_path, replace(job(tmp_path, labels, 0), input=tmp_path / "a.mp4"))
    assert summary.frames == COUNT
    data = json.loads((tmp_path / "out" / "tracks.json").read_text("utf-8"))
    assert data["videos"][0]["frame_rate"] == 30
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert container.streams.video[0].average_rate == 30


def test_damaged_frames_are_passed_over_and_told(tmp_path: Path, labels: list[Any]) -> None:
    for t in (0, 4):
        (tmp_path / "in" / f"{t}.png").write_bytes(b"broken")
    summary = track(tmp_path, job(tmp_path, labels, 1))
    assert (summary.frames, summary.failed) == (COUNT, 2)
    masks = read_masks(tmp_path / "out")
    assert [t for t, mask in enumerate(masks) if not mask.any()] == [0, 4]
    lines = (tmp_path / "out" / "failures.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 4]
    assert "4.png is not an image" in json.loads(lines[1])["reason"]
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert len(list(container.decode(video=0))) == COUNT


def test_frames_before_one_of_another_size_are_kept(tmp_path: Path, labels: list[Any]) -> None:
    Image.new("RGB", (99, 50)).save(tmp_path / "in" / "6.png")
    with pytest.raises(InputError, match=r"6\.png is 99×50 pixels.* 6 frames before it are done and kept in"):
        track(tmp_path, job(tmp_path, labels, 0))
    out = tmp_path / "out"
    assert len(read_masks(out)) == 6
    assert json.loads((out / "tracks.json").read_text("utf-8"))["videos"][0]["length"] == 6
    assert json.loads((out / "failures.jsonl").read_text("utf-8"))["frame"] == 6
    fakes.video([FIRST, SECOND])  # mended, it goes on
    Image.fromarray(fakes.video([FIRST, SECOND])[0][6].image).save(tmp_path / "in" / "6.png")
    assert track(tmp_path, job(tmp_path, labels, 0), existing="resume").now == COUNT - 6


def stopping(after: int) -> Callable[[Progress], None]:
    """As if somebody pressed Ctrl-C when so many frames are done."""

    def show(now: Progress) -> None:
        if now.done == after:
            os.kill(os.getpid(), signal.SIGINT)

    return show


def watched(out: Path) -> dict[str, bytes]:
    files = [*sorted((out / "masks").iterdir()), out / "tracks.json", out / "tracks.txt"]
    without_time = [line for line in files[-2].read_bytes().splitlines() if b"date_created" not in line]
    return {path.name: path.read_bytes() for path in files} | {"tracks.json": b"\n".join(without_time)}


@pytest.mark.parametrize(
    ("given", "after"),
    [pytest.param([0], 4, id="forward"), pytest.param([0, COUNT - 1], 3, id="between two given frames")],
)
def test_going_on_after_ctrl_c(tmp_path: Path, labels: list[Any], given: list[int], after: int) -> None:
    what = job(tmp_path, labels, *given)
    track(tmp_path, what, name="whole")
    with pytest.raises(Interrupted, match=rf"{after} of {COUNT} frames are finished and kept in .*--resume"):
        track(tmp_path, what, show=stopping(after))
    assert len(read_masks(tmp_path / "out")) == after
    model = Colours()
    summary = track(tmp_path, what, model, existing="resume")
    assert (summary.now, summary.frames) == (COUNT - after, COUNT)
    assert len(model.seen) == len(given) + COUNT - after - (len(given) > 1)
    assert watched(tmp_path / "out") == watched(tmp_path / "whole")


def test_going_on_after_a_kill(tmp_path: Path, labels: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not in the last state is done again; half-written files vanish."""
    monkeypatch.setattr("labeler_backend.track.run.SAVE_EVERY", 0.0)
    what, out = job(tmp_path, labels, 0), tmp_path / "out"
    track(tmp_path, what, name="whole")

    def killed(now: Progress) -> None:
        if now.done == 5:
            raise SystemExit

    with pytest.raises(SystemExit):
        track(tmp_path, what, show=killed)
    (out / "masks" / ".00009.png.7.part").write_bytes(b"half")
    with (out / ".labeler" / "track" / "frames.jsonl").open("a") as log:
        log.write('{"frame": 5, "conf')
    assert track(tmp_path, what, existing="resume").now in range(5, COUNT)
    assert watched(out) == watched(tmp_path / "whole")


def test_a_run_that_is_done_can_be_resumed(tmp_path: Path, labels: list[Any]) -> None:
    what, model = job(tmp_path, labels, 0), Colours()
    track(tmp_path, what)
    before = watched(tmp_path / "out")
    (tmp_path / "out" / "overlay.mp4").unlink()
    assert track(tmp_path, what, model, existing="resume").now == 0
    assert len(model.seen) == 1
    assert watched(tmp_path / "out") == before
    assert (tmp_path / "out" / "overlay.mp4").exists()


def test_stopping_while_the_overlay_is_drawn_keeps_the_masks(tmp_path: Path, labels: list[Any]) -> None:
    def stop(done: int, of: int) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match=r"all masks are kept in .*, the overlay is missing: .*--resume"):
        track(tmp_path, job(tmp_path, labels, 0), show_overlay=stop)
    assert not (tmp_path / "out" / "overlay.mp4").exists()
    assert not list((tmp_path / "out").glob(".overlay*"))
    assert track(tmp_path, job(tmp_path, labels, 0), existing="resume").now == 0


def test_other_settings_cannot_go_on(tmp_path: Path, labels: list[Any]) -> None:
    track(tmp_path, job(tmp_path, labels, 0))
    for what, model, name in (
        (job(tmp_path, labels, 0, 5), Colours(), "given masks"),
        (replace(job(tmp_path, labels, 0), size=150), Colours(), "size: 140 then, 150 now"),
        (job(tmp_path, labels, 0), Colours("another"), "model: colours then, another now"),
    ):
        with pytest.raises(LabelerError, match=rf"other settings \(.*{name}.*\): use those"):
            track(tmp_path, what, model, existing="resume")


def test_overwriting_leaves_what_is_not_of_the_run(tmp_path: Path, labels: list[Any]) -> None:
    out = tmp_path / "out"
    track(tmp_path, job(tmp_path, labels, 0))
    (out / "masks" / "mine.png").write_bytes(b"mine")
    (tmp_path / "in" / "9.png").unlink()
    assert track(tmp_path, job(tmp_path, labels, 0), existing="overwrite").frames == COUNT - 1
    names = sorted(path.name for path in (out / "masks").iterdir())
    assert names == [*(f"{t:05d}.png" for t in range(COUNT - 1)), "mine.png"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        pytest.param(lambda out: out.write_text(""), "is a file: give --out a folder", id="a file"),
        pytest.param(
            lambda out: (out / "masks").mkdir(parents=True),
            "masks is there already, and not of a run",
            id="others",
        ),
        pytest.param(
            lambda out: (
                (out / ".labeler").mkdir(parents=True) or (out / ".labeler" / "state.sqlite").write_bytes(b"")
            ),
            "holds a run of `labeler masks`",
            id="of another command",
        ),
    ],
)
def test_folders_that_cannot_be_used(
    tmp_path: Path, labels: list[Any], make: Callable[[Path], object], sentence: str
) -> None:
    make(tmp_path / "out")
    model = Colours()
    with pytest.raises(OutputError, match=sentence):
        track(tmp_path, job(tmp_path, labels, 0), model, existing="overwrite")
    assert model.seen == []


def test_a_folder_with_a_run_is_refused(tmp_path: Path, labels: list[Any]) -> None:
    track(tmp_path, job(tmp_path, labels, 0))
    with pytest.raises(OutputError, match=r"already holds a run: .*--resume.*--overwrite"):
        track(tmp_path, job(tmp_path, labels, 0))


def test_a_folder_in_use_is_refused(tmp_path: Path, labels: list[Any]) -> None:
    (tmp_path / "out" / ".labeler" / "track").mkdir(parents=True)
    with (
        FileLock(tmp_path / "out" / ".labeler" / "track" / "lock", is_singleton=False),
        pytest.raises(OutputError, match="Another run is writing into"),
    ):
        track(tmp_path, job(tmp_path, labels, 0))


def write_boxes(path: Path, rows: list[tuple[int, int]]) -> Path:
    """Rows of (frame from 0, id)."""
    lines = []
    for t, number in rows:
        x, y, w, h = box_of((FIRST, SECOND)[number - 1][t])
        lines.append(f"{t + 1},{number},{x + 1},{y + 1},{w},{h},1,1,1\n")
    path.write_text("".join(lines), "utf-8")
    return path


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        pytest.param([(0, 1), (0, 2)], [0], id="on one frame"),
        pytest.param([(2, 1), (6, 2)], [2, 6], id="each on a frame of its own"),
    ],
)
def test_boxes_become_masks(
    tmp_path: Path, labels: list[Any], rows: list[tuple[int, int]], given: list[int]
) -> None:
    boxes = write_boxes(tmp_path / "b.txt", rows)
    summary = track(tmp_path, Job(tmp_path / "in", boxes=boxes, size=140))
    assert (summary.given, summary.objects) == (given, [1, 2])
    masks = read_masks(tmp_path / "out")
    for t, number in rows:
        assert iou(masks[t] == number, labels[t] == number) > 0.9
    assert all((mask == 1).any() for mask in masks)


def test_objects_given_apart_can_go_on_too(tmp_path: Path, labels: list[Any]) -> None:
    what = Job(tmp_path / "in", boxes=write_boxes(tmp_path / "b.txt", [(0, 1), (5, 2)]), size=140)
    track(tmp_path, what, name="whole")
    with pytest.raises(Interrupted):
        track(tmp_path, what, show=stopping(7))
    assert track(tmp_path, what, existing="resume").now == COUNT - 7
    assert watched(tmp_path / "out") == watched(tmp_path / "whole")


def test_too_many_given_frames(tmp_path: Path, labels: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeler_backend.track.given.MOST_GIVEN", 3)
    boxes = write_boxes(tmp_path / "b.txt", [(t, 1) for t in range(4)])
    with pytest.raises(InputError, match=r"b\.txt gives 4 frames, and 3 are the most"):
        track(tmp_path, Job(tmp_path / "in", boxes=boxes))


def test_the_summary_as_json(tmp_path: Path) -> None:
    made = summary_json(Summary("o", 10, 1, [0], [1, 2], 476, 5, 2.0))
    assert made["frames_per_second"] == 2.5
    assert made["tracks"] == str(Path("o") / "tracks.json")
    assert json.loads(json.dumps(made)) == made
