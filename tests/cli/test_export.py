"""`labeler export` on files: what it writes, tells, refuses, and leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from pycocotools.coco import COCO
from typer.testing import CliRunner

from labeler_backend import cli
from labeler_backend.cli.export import _counted
from labeler_backend.studio.brush import encode_brush
from tests.studio.made import ellipse, ring

SIZE = (90, 140)
Json = dict[str, Any]
Call = Callable[..., Result]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The command with folders of its own, run beside the test's files."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABELER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.app, ["export", *arguments], env={"COLUMNS": "200"})

    return run


def region(name: str, kind: str, value: Json, label: str = "car", **more: Any) -> Json:
    return {
        "id": name,
        "type": kind,
        "from_name": "tag",
        "to_name": "image",
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "image_rotation": 0,
        "value": {**value, kind: [label]},
        **more,
    }


def polygon(name: str, left: float = 10, label: str = "car", **more: Any) -> Json:
    points = [[left, 10], [left + 30, 10], [left + 30, 60], [left, 60]]
    return region(name, "polygonlabels", {"points": points, "closed": True}, label, **more)


def brush(name: str, label: str = "ring") -> Json:
    return region(name, "brushlabels", {"format": "rle", "rle": encode_brush(ring(SIZE))}, label)


def annotation(number: int, *result: Json, by: int = 1, **more: Any) -> Json:
    made = f"2026-11-0{number}T00:00:00Z"
    return {"id": number, "completed_by": by, "result": list(result), "was_cancelled": False,
            "ground_truth": False, "created_at": made, "updated_at": made, **more}  # fmt: skip


def task(number: int, *annotations: Json, **more: Any) -> Json:
    return {"id": number, "data": {"image": f"/data/upload/1/abcdef01-p{number}.png", "patient": "x"},
            "annotations": list(annotations), "predictions": [], **more}  # fmt: skip


BOWTIE = region("bow", "polygonlabels", {"points": [[60, 60], [90, 90], [90, 60], [60, 90]], "closed": True})
CLICK = region("click", "keypointlabels", {"x": 5, "y": 5, "width": 1})
TASKS = [
    task(1, annotation(1, polygon("p"), brush("b"))),
    task(2, annotation(2, polygon("q", label="bike"), BOWTIE, CLICK)),
    task(3, annotation(3)),
    task(4),
    task(5, annotation(5, polygon("s"), was_cancelled=True)),
]

JSON_MIN = {
    "image": "a.jpg",
    "id": 1,
    "label": [],
    "annotator": 1,
    "annotation_id": 1,
    "created_at": "2026-11-01T00:00:00Z",
    "updated_at": "2026-11-01T00:00:00Z",
    "lead_time": 1.0,
}


def write(content: Any = TASKS, name: str = "export.json") -> str:
    Path(name).write_text(json.dumps(content))
    return name


def told(folder: str = "out") -> list[Json]:
    problems: list[Json] = json.loads(Path(folder, "export_report.json").read_text())["problems"]
    return problems


def labels(folder: str = "out", name: str = "annotations.json") -> dict[str, list[str]]:
    """File name → labels of what is in it."""
    content = json.loads(Path(folder, name).read_text())
    names = {row["id"]: row["name"] for row in content["categories"]}
    return {
        row["file_name"]: [
            names[a["category_id"]] for a in content["annotations"] if a["image_id"] == row["id"]
        ]
        for row in content["images"]
    }


def test_coco(call: Call) -> None:
    result = call(write(), "--out", "out")
    assert result.exit_code == 0, result.output
    assert labels() == {"abcdef01-p1.png": ["car", "ring"], "abcdef01-p2.png": ["bike", "car"]}
    coco = COCO("out/annotations.json")
    by_region = {
        one["attributes"]["region_id"]: coco.annToMask(one).astype(bool) for one in coco.anns.values()
    }
    np.testing.assert_array_equal(by_region["b"], ring(SIZE))
    inside = np.zeros(SIZE, bool)
    inside[9:54, 14:56] = True
    np.testing.assert_array_equal(by_region["p"], inside)
    outcomes = {(one.get("task_id"), one.get("region_id")): one["done"] for one in told()}
    assert outcomes == {(2, "bow"): "mended", (2, "click"): "left out", (3, None): "left out"}
    assert "All 3 of these" in result.stderr


def test_json_says_it_all(call: Call) -> None:
    result = call(write(), "--out", "out", "--json")
    said = json.loads(result.stdout)
    assert said["counts"] == {"images": 2, "instances": 4, "categories": 3}
    assert said["problems"] == {"mended": 1, "left out": 2}
    assert Path(said["report"]).exists()


@pytest.mark.parametrize(
    ("format", "files"),
    [
        pytest.param("masks", ["legend.json", "legend.png", "semantic/abcdef01-p1.png.png"], id="masks"),
        pytest.param("yolo", ["data.yaml", "labels/train/abcdef01-p1.txt"], id="yolo"),
        pytest.param("label-studio", ["tasks.json", "config.xml"], id="label-studio"),
        pytest.param("youtube-vis", ["instances.json"], id="youtube-vis"),
        pytest.param("mot", ["labels.txt"], id="mot"),
        pytest.param("davis", ["objects.json"], id="davis"),
    ],
)
def test_formats(call: Call, format: str, files: list[str]) -> None:  # noqa: A002
    result = call(write(), "--out", "out", "--format", format)
    assert result.exit_code == 0, result.output
    missing = [
        name for name in [*files, "export_report.json", "categories.json"] if not Path("out", name).exists()
    ]
    assert not missing, sorted(str(path) for path in Path("out").rglob("*"))


def test_coco_goes_to_label_studio_and_back(call: Call) -> None:
    call(write(), "--out", "coco")
    assert call("coco/annotations.json", "--format", "label-studio", "--out", "tasks").exit_code == 0
    tasks = json.loads(Path("tasks/tasks.json").read_text())
    for number, one in enumerate(tasks, 1):
        one |= {"id": number, "annotations": []}
    result = call(write(tasks, "back.json"), "--predictions", "only", "--out", "back")
    assert result.exit_code == 0, result.output
    before, after = COCO("coco/annotations.json"), COCO("back/annotations.json")
    masks = [[coco.annToMask(one) for one in coco.anns.values()] for coco in (before, after)]
    assert len(masks[0]) == len(masks[1]) == 4
    for one, same in zip(*masks, strict=True):
        np.testing.assert_array_equal(one, same)


class TestPolicies:
    """What each flag changes."""

    @pytest.mark.parametrize(
        ("flags", "expected"),
        [
            pytest.param([], {"p1": ["b"]}, id="the latest"),
            pytest.param(["--annotations", "consensus"], {"p1": ["a"]}, id="two of three agree"),
            pytest.param(["--include-skipped"], {"p1": ["d"]}, id="a skipped one is the latest"),
            pytest.param(["--predictions", "only"], {"p1": ["guess"]}, id="predictions only"),
            pytest.param(["--predictions", "missing"], {"p1": ["b"]}, id="predictions where missing"),
        ],
    )
    def test_which_annotation(self, call: Call, flags: list[str], expected: dict[str, list[str]]) -> None:
        annotations = [
            annotation(1, polygon("1", label="a"), by=1),
            annotation(2, polygon("2", label="a"), by=2),
            annotation(3, polygon("3", left=50, label="b"), by=3),
            annotation(4, polygon("4", label="d"), by=4, was_cancelled=True),
        ]
        prediction = {"id": 9, "score": 0.5, "result": [polygon("g", label="guess")]}
        result = call(write([task(1, *annotations, predictions=[prediction])]), "--out", "out", *flags)
        assert result.exit_code == 0, result.output
        assert {name[9:-4]: found for name, found in labels().items()} == expected

    def test_ground_truth_first(self, call: Call) -> None:
        truth = annotation(1, polygon("1", label="true"), ground_truth=True)
        call(write([task(1, truth, annotation(2, polygon("2", label="late")))]), "--out", "out")
        assert labels() == {"abcdef01-p1.png": ["true"]}

    def test_a_data_set_for_each_annotator(self, call: Call) -> None:
        both = [annotation(1, polygon("1", label="a"), by=7), annotation(2, polygon("2", label="b"), by=8)]
        result = call(write([task(1, *both)]), "--out", "out", "--annotations", "per-annotator", "--json")
        assert json.loads(result.stdout)["annotators"] == ["7", "8"]
        assert labels("out/7") == {"abcdef01-p1.png": ["a"]}
        assert labels("out/8") == {"abcdef01-p1.png": ["b"]}

    def test_crowds(self, call: Call) -> None:
        group = polygon("c")
        group["value"]["polygonlabels"] = ["car", "many"]
        call(write([task(1, annotation(1, group))]), "--out", "out", "--crowd-label", "many")
        (one,) = COCO("out/annotations.json").anns.values()
        assert one["iscrowd"] == 1
        assert isinstance(one["segmentation"], dict)
        assert labels() == {"abcdef01-p1.png": ["car"]}

    def test_touching_regions(self, call: Call) -> None:
        source = write([task(1, annotation(1, polygon("l", 10), polygon("r", 40)))])
        call(source, "--out", "apart")
        call(source, "--out", "merged", "--merge-touching")
        assert [len(labels(folder)["abcdef01-p1.png"]) for folder in ("apart", "merged")] == [2, 1]

    def test_blobs(self, call: Call) -> None:
        mask = ellipse(SIZE, (30, 45), (15, 15)) | ellipse(SIZE, (100, 45), (15, 15))
        two = region("two", "brushlabels", {"format": "rle", "rle": encode_brush(mask)})
        source = write([task(1, annotation(1, two))])
        call(source, "--out", "whole")
        call(source, "--out", "split", "--split-blobs")
        assert [len(labels(folder)["abcdef01-p1.png"]) for folder in ("whole", "split")] == [1, 2]

    def test_splits_by_group(self, call: Call) -> None:
        tasks = [task(n, annotation(1, polygon("p"))) for n in range(1, 30)]
        call(write(tasks), "--out", "each", "--split", "train=0.5,val=0.5")
        call(write(tasks), "--out", "groups", "--split", "train=0.5,val=0.5", "--split-by", "patient")
        sizes = [
            sorted(len(labels(folder, f"annotations-{name}.json")) for name in ("train", "val"))
            for folder in ("each", "groups")
        ]
        assert sizes[0][0] > 5
        assert sizes[1] == [0, 29]

    def test_unlabelled_pictures(self, call: Call) -> None:
        Path("photos").mkdir()
        for number in range(1, 6):
            cv2.imwrite(f"photos/p{number}.png", np.zeros((*SIZE, 3), np.uint8))
        call(write(), "--out", "out", "--images", "photos", "--unlabeled")
        assert {name: len(found) for name, found in labels().items()} == {
            "p1.png": 2, "p2.png": 2, "p3.png": 0, "p4.png": 0,
        }  # fmt: skip  # the fifth was skipped

    def test_the_config_orders_categories_and_knows_labels(self, call: Call) -> None:
        Path("config.xml").write_text(
            '<View><Image name="image" value="$image"/><PolygonLabels name="tag" toName="image">'
            '<Label value="ring"/><Label value="bike"/></PolygonLabels>'
            '<KeyPointLabels name="click" toName="image"><Label value="here"/></KeyPointLabels></View>'
        )
        call(write(), "--out", "out", "--config", "config.xml")
        assert json.loads(Path("out/categories.json").read_text()) == {"ring": 1, "bike": 2, "car": 3}
        assert any("car" in one["reason"] and one["done"] == "kept" for one in told())


class TestCategoryIds:
    """They outlive the export."""

    @pytest.mark.parametrize("flags", [["--overwrite"], ["--overwrite", "--categories", "ids.json"]])
    def test_the_next_export_has_the_same(self, call: Call, flags: list[str]) -> None:
        call(write([task(1, annotation(1, polygon("p", label="z")))]), "--out", "out", *flags[1:])
        other = [task(1, annotation(1, polygon("p", label="a"), polygon("q", label="z")))]
        assert call(write(other), "--out", "out", *flags).exit_code == 0
        assert json.loads(Path("out/categories.json").read_text()) == {"z": 1, "a": 2}


class TestPictures:
    """`--images` and `--media`."""

    def test_copied(self, call: Call) -> None:
        Path("photos").mkdir()
        cv2.imwrite("photos/p1.png", np.zeros((*SIZE, 3), np.uint8))
        result = call(write(TASKS[:1]), "--out", "out", "--images", "photos", "--media", "copy")
        assert result.exit_code == 0, result.output
        assert Path("out/images/p1.png").exists()
        assert labels() == {"p1.png": ["car", "ring"]}

    def test_from_a_folder_that_is_let_in(
        self, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("LABELER_MEDIA_ROOTS", str(tmp_path))
        cv2.imwrite("p.png", np.zeros((*SIZE, 3), np.uint8))
        one = task(1, annotation(1)) | {"data": {"image": str(tmp_path / "p.png")}}
        result = call(write([one]), "--out", "out", "--media", "copy")
        assert result.exit_code == 0, result.output
        (row,) = json.loads(Path("out/annotations.json").read_text())["images"]
        assert (row["height"], row["width"]) == SIZE
        assert Path("out/images", row["file_name"]).exists()

    def test_missing_ones_are_told(self, call: Call) -> None:
        Path("photos").mkdir()
        call(write(TASKS[:1]), "--out", "out", "--images", "photos")
        assert [(one["done"], one["task_id"]) for one in told()] == [("kept", 1)]

    @pytest.mark.parametrize("media", ["copy", "link"])
    def test_none_to_be_had(self, call: Call, media: str) -> None:
        result = call(write(), "--out", "out", "--media", media)
        assert result.exit_code == 2
        assert "--images" in result.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("{", "", id="no JSON"),
        pytest.param(json.dumps([JSON_MIN]), "JSON-MIN", id="JSON-MIN"),
        pytest.param("id,image\n1,a.jpg\n", "JSON", id="CSV"),
    ],
)
def test_what_is_no_export(call: Call, content: str, says: str) -> None:
    Path("bad.json").write_text(content)
    result = call("bad.json", "--out", "out")
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not Path("out").exists()
    assert [path.name for path in Path().glob(".out*part*")] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--out", "out"], "either a file or a live project", id="no source"),
        pytest.param(["export.json", "--ls-project", "1", "--out", "out"], "either", id="two sources"),
        pytest.param(["nowhere.json", "--out", "out"], "nowhere.json", id="no such file"),
        pytest.param(["export.json", "--out", "out", "--split", "train=2"], "--split", id="split"),
        pytest.param(["export.json", "--out", "out", "--images", "nowhere"], "nowhere", id="no such folder"),
        pytest.param(
            ["export.json", "--out", "out", "--config", "nowhere.xml"], "nowhere.xml", id="no config"
        ),
        pytest.param(
            ["export.json", "--out", "out", "--categories", "export.json"], "export.json", id="no ids"
        ),
        pytest.param(
            ["export.json", "--out", "full"], "no export of ours", id="a folder with something in it"
        ),
        pytest.param(["export.json", "--out", "full", "--overwrite"], "full", id="somebody's files"),
        pytest.param(["--ls-project", "1", "--out", "out"], "LABEL_STUDIO_URL", id="which Label Studio"),
    ],
)
def test_what_is_refused(call: Call, arguments: list[str], says: str) -> None:
    write()
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("")
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert not Path("out").exists()
    assert Path("full/thesis.txt").exists()


def test_an_earlier_export_is_replaced_only_when_asked(call: Call) -> None:
    call(write(), "--out", "out")
    again = call(write(TASKS[:1]), "--out", "out")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert len(labels()) == 2
    assert call(write(TASKS[:1]), "--out", "out", "--overwrite").exit_code == 0
    assert len(labels()) == 1


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--strict"], 1)])
def test_strict(call: Call, flags: list[str], code: int) -> None:
    assert call(write(), "--out", "out", *flags).exit_code == code
    assert call(write(TASKS[:1]), "--out", "good", *flags).exit_code == 0


def test_half_a_file_gives_what_is_whole(call: Call) -> None:
    whole = json.dumps(TASKS)
    Path("cut.json").write_text(whole[: whole.index('"id": 3')])
    assert call("cut.json", "--out", "out").exit_code == 0
    assert list(labels()) == ["abcdef01-p1.png", "abcdef01-p2.png"]
    assert any(one["done"] == "left out" and "task_id" not in one for one in told())
    assert call("cut.json", "--out", "out", "--strict", "--overwrite").exit_code == 1


def test_an_interrupted_export_never_looks_finished(tmp_path: Path) -> None:
    tasks = [task(n, annotation(1, *[polygon(f"{n}-{m}") for m in range(50)])) for n in range(1, 4000)]
    source = tmp_path / "export.json"
    source.write_text(json.dumps(tasks))
    out = tmp_path / "out"
    # Whoever runs the tests in the background may have had Ctrl-C ignored.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listen}; from labeler_backend.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", program, "export", str(source), "--out", str(out)])
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out*/annotations*.json")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_help_teaches(call: Call) -> None:
    text = call("--help").stdout
    assert "labeler export" in text
    for option in ("--annotations", "--merge-touching", "--crowd-label", "--strict", "--ls-project"):
        assert option in text


@pytest.mark.parametrize(
    ("content", "flags", "named"),
    [
        pytest.param(TASKS, ["--split-by", "patient"], "--split", id="groups without splits"),
        pytest.param(TASKS, ["--kind", "brush"], "--kind", id="regions of tasks in COCO"),
        pytest.param(TASKS, ["--image-prefix", "x/"], "--image-prefix", id="prefix of tasks in COCO"),
        pytest.param(
            TASKS, ["--segmentation", "rle", "--format", "masks"], "--segmentation", id="RLE in masks"
        ),
        pytest.param({"images": [], "annotations": [], "categories": []}, ["--annotations", "consensus"],
                     "--annotations", id="a policy for COCO"),
    ],
)  # fmt: skip
def test_flags_without_effect_are_refused(call: Call, content: Any, flags: list[str], named: str) -> None:
    result = call(write(content), "--out", "out", *flags)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        pytest.param({}, "nothing", id="nothing"),
        pytest.param(
            {"categories": 1, "images": 1, "instances": 1, "pictures": 0, "turned_upright": 0},
            "1 image, 1 instance, 1 category",
            id="one of each, no pictures",
        ),
        pytest.param(
            {"turned_upright": 1, "instances": 0, "pictures": 2, "images": 2, "categories": 3},
            "2 images, 0 instances, 3 categories, 2 pictures (1 turned upright)",
            id="with pictures",
        ),
        pytest.param(
            {"videos": 1, "tracks": 2, "instances": 9, "categories": 2},
            "1 video, 2 tracks, 9 instances, 2 categories",
            id="a video",
        ),
    ],
)
def test_what_was_written_is_said_in_words(counts: dict[str, int], said: str) -> None:
    assert _counted(counts) == said


def test_ids_that_cannot_be_saved_leave_no_export(call: Call) -> None:
    Path("export.json").write_text(json.dumps([{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]))
    Path("file").write_text("")
    done = call("export.json", "--out", "out", "--categories", "file/ids.json")
    assert done.exit_code == 2
    assert not Path("out").exists()
