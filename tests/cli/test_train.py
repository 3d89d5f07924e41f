"""`labeler train`, `labeler heads` and `labeler masks --project`, with a real if tiny model."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from labeler_backend.cli import loading
from labeler_backend.heads import learning
from labeler_backend.heads.versions import Versions
from labeler_backend.media import decode
from labeler_backend.projects import resolve, studio_project
from tests.cli.learning import Call, call, model, write_coco
from tests.studio.fake_studio import running

__all__ = ["call", "model"]  # fixtures

TRAIN = ("--project", "birds", "--images", "pictures", "--size", "112")


@pytest.fixture
def labels(tmp_path: Path) -> str:
    """A COCO file of four pictures."""
    write_coco(tmp_path)
    return "labels.json"


def test_train_json_is_all_there_is_on_stdout(call: Call, labels: str, tmp_path: Path) -> None:
    result = call("train", labels, *TRAIN, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert (found["project"], found["version"], found["n_images"]) == ("birds", 1, 4)
    assert found["classes"] == ["square"]
    assert {"promoted", "reason", "before", "after", "n_held_out", "seconds", "problems"} <= found.keys()
    assert Versions(tmp_path / "data" / "projects" / "birds" / "heads").load(1).classes == ("square",)


@pytest.mark.parametrize("kind", ["knn", "logistic"])
def test_the_kind_that_was_asked_for(call: Call, labels: str, kind: str) -> None:
    result = call("train", labels, *TRAIN, "--kind", kind, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["kind"] == kind


def test_pictures_are_looked_at_once(call: Call, labels: str, tmp_path: Path) -> None:
    assert call("train", labels, *TRAIN).exit_code == 0
    write_coco(tmp_path, 5)
    for path in (tmp_path / "pictures").glob("[0-3].png"):
        path.unlink()
    again = call("train", labels, *TRAIN, "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["n_images"] == 5


def test_what_is_no_longer_in_the_file_counts_no_longer(call: Call, labels: str, tmp_path: Path) -> None:
    assert call("train", labels, *TRAIN).exit_code == 0
    write_coco(tmp_path, 3)
    assert json.loads(call("train", labels, *TRAIN, "--json").stdout)["n_images"] == 3
    os.rename(write_coco(tmp_path, 2, start=10), tmp_path / "more.json")
    assert json.loads(call("train", "more.json", *TRAIN, "--json").stdout)["n_images"] == 5


def test_pictures_go_when_two_trainings_found_no_annotation(call: Call, labels: str, tmp_path: Path) -> None:
    def kept() -> int:
        return len(list((tmp_path / "data/projects/birds/samples/images").rglob("*.safetensors")))

    assert call("train", labels, *TRAIN).exit_code == 0
    write_coco(tmp_path, 3)
    assert call("train", labels, *TRAIN).exit_code == 0
    assert kept() == 4  # it may come back
    assert "Nothing was accepted or changed" in call("train", labels, *TRAIN).stderr
    assert kept() == 3
    write_coco(tmp_path, 4)
    assert json.loads(call("train", labels, *TRAIN, "--json").stdout)["n_images"] == 4
    assert kept() == 4


def test_a_damaged_line_of_the_log_is_said_once_and_nothing_is_kept_for_good(
    call: Call, labels: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data/projects/birds/samples"
    assert call("train", labels, *TRAIN).exit_code == 0
    lines = (folder / "log.jsonl").read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if b'"annotation"' in line)
    lines[first] = lines[first].replace(b'"square"', b'"squarf"')
    (folder / "log.jsonl").write_bytes(b"".join(lines))

    again = call("train", labels, *TRAIN)
    assert "Nothing was accepted or changed" in again.stderr  # the file still says it
    assert f"The line at byte {sum(map(len, lines[:first]))} of" in again.stderr
    write_coco(tmp_path, 3)
    for _ in range(2):
        assert "The line at byte" not in call("train", labels, *TRAIN).stderr
    assert len(list(folder.rglob("images/*/*.safetensors"))) == 3


def test_what_was_left_out_is_said_where_nothing_can_be_learned(
    call: Call, labels: str, tmp_path: Path
) -> None:
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    result = call("train", labels, *TRAIN)
    assert result.exit_code == 2
    assert "There is no picture of 0.png" in result.stderr
    assert "no accepted region" in result.stderr


def test_labels_drawn_on_larger_copies_are_scaled(call: Call, labels: str, tmp_path: Path) -> None:
    for path in (tmp_path / "pictures").iterdir():
        Image.open(path).resize((70, 56)).save(path)
    result = call("train", labels, *TRAIN)
    assert result.exit_code == 0, result.stderr
    assert "its labels were scaled. (mended)" in result.stderr


def test_not_promoted_is_said_and_is_no_failure(
    call: Call, labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Version 1 of birds" in call("train", labels, *TRAIN).stdout
    real = learning.train
    monkeypatch.setattr(
        learning,
        "train",
        lambda *given, **more: replace(real(*given, **more), better=False, reason="It is worse."),
    )
    write_coco(tmp_path, 5)
    result = call("train", labels, *TRAIN)
    assert result.exit_code == 0
    assert "is kept but does NOT serve" in result.stdout
    assert "It is worse." in result.stdout
    assert json.loads(call("heads", "list", "--project", "birds", "--json").stdout)["serving"] == 1


def test_other_features_than_those_of_what_serves(
    call: Call, labels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads(call("train", labels, *TRAIN, "--json").stdout)
    monkeypatch.setenv("LABELER_DTYPE", "bf16")
    result = call("train", labels, *TRAIN, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["model_key"] != first["model_key"]
    assert f"understands features of {first['model_key']}" in found["reason"]


def test_missing_pictures_are_told_and_the_rest_is_learned(call: Call, labels: str, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "2.png").unlink()
    result = call("train", labels, *TRAIN)
    assert result.exit_code == 0, result.stderr
    assert "There is no picture of 2.png: give its folder with --images DIR" in result.stderr
    assert "3 images" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--project", "birds"], "Give either a file or a live project", id="no-source"),
        pytest.param(["no.json", "--project", "birds"], "no.json is no file", id="no-file"),
        pytest.param(["labels.json", "--project", "../x"], "'../x' cannot be the name", id="name"),
        pytest.param(
            ["labels.json", "--project", "birds", "--images", "no"], "does not exist", id="no-folder"
        ),
        pytest.param(["empty.json", *TRAIN], "submit some tasks", id="nothing-labelled"),
        pytest.param(["labels.json"], "--project", id="no-project"),
        pytest.param(["labels.json", *TRAIN, "--kind", "forest"], "'forest' is not one of", id="kind"),
    ],
)
def test_bad_input_is_one_sentence(
    call: Call, labels: str, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "empty.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    result = call("train", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_one_training_at_a_time(call: Call, labels: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "projects" / "birds"
    folder.mkdir(parents=True)
    with FileLock(folder / ".learning.lock"):
        result = call("train", labels, *TRAIN)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "labeler: Another training of birds is running: wait until it is done.\n"


def test_ctrl_c_keeps_what_was_taken_in(
    call: Call, labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(learning, "train", stop)
        result = call("train", labels, *TRAIN)
    assert (result.exit_code, result.stdout) == (130, "")
    assert "Stopped; what was taken in is kept" in result.stderr
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    again = call("train", labels, *TRAIN, "--json")
    assert json.loads(again.stdout)["n_images"] == 4


def test_a_damaged_head_is_replaced_by_training_again(call: Call, labels: str, tmp_path: Path) -> None:
    call("train", labels, *TRAIN)
    (tmp_path / "data/projects/birds/heads/000001/head.safetensors").write_bytes(b"")
    assert call("heads", "show", "--project", "birds").exit_code == 2
    write_coco(tmp_path, 5)
    result = call("train", labels, *TRAIN)
    assert result.exit_code == 0, result.stderr
    assert "is not as long as it was" in result.stderr
    listed = json.loads(call("heads", "list", "--project", "birds", "--json").stdout)
    assert [one["version"] for one in listed["damaged"]] == [1]
    assert [one["version"] for one in listed["versions"]] == [2]


def test_a_live_project_has_one_folder_whatever_it_is_called(call: Call, labels: str, tmp_path: Path) -> None:
    with running() as studio:
        number = studio.add_project()
        for i in range(3):
            studio.files[f"/data/upload/1/{i}.png"] = (tmp_path / "pictures" / f"{i}.png").read_bytes()
        for task in studio.add_tasks(number, *({"image": f"/data/upload/1/{i}.png"} for i in range(3))):
            studio.annotate(task, [REGION])
        live = ("--url", studio.url, "--token", studio.token, "--ls-project", str(number), "--size", "112")
        result = call("train", *live, "--project", "birds", "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["n_images"] == 3
        again = call("train", *live, "--project", "birds")
        assert again.exit_code == 2
        assert "Nothing was accepted or changed" in again.stderr
        name = studio_project(studio.url, number)
        assert resolve(tmp_path / "data", "birds") == name
        listed = json.loads(call("heads", "list", "--project", name, "--json").stdout)
        assert [one["version"] for one in listed["versions"]] == [1]
        assert call("train", labels, *TRAIN[:1], "cats", *TRAIN[2:]).exit_code == 0
        taken = call("train", *live, "--project", "cats")
        assert taken.exit_code == 2
        assert "cats is another project" in taken.stderr
        del studio.tasks[1]["annotations"]
        left = call("train", *live, "--project", "birds", "--json")
        assert json.loads(left.stdout)["n_images"] == 2  # what was deleted counts no longer


REGION = {
    "id": "r",
    "type": "polygonlabels",
    "from_name": "polygon",
    "to_name": "image",
    "original_width": 140,
    "original_height": 112,
    "image_rotation": 0,
    "value": {"points": [[20, 20], [60, 20], [60, 70], [20, 70]], "polygonlabels": ["thing"]},
}


# --- labeler heads ------------------------------------------------------------------------------------------


def test_heads(call: Call, labels: str, tmp_path: Path) -> None:
    for n in (4, 5):
        write_coco(tmp_path, n)
        assert call("train", labels, *TRAIN).exit_code == 0
    heads = Versions(tmp_path / "data" / "projects" / "birds" / "heads")
    heads.rollback(2)  # whether or not it was found better
    lines = call("heads", "list", "--project", "birds").stdout.splitlines()
    assert len(lines) == 2
    assert "serves" in lines[1]
    assert "5 images" in lines[1]
    shown = call("heads", "show", "--project", "birds").stdout
    assert "Classes: square" in shown
    assert "(sound)" in shown
    assert json.loads(call("heads", "show", "--project", "birds", "1", "--json").stdout)["serves"] is False

    refused = call("heads", "delete", "--project", "birds", "2")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "labeler: Version 2 serves: roll back to another one before it is deleted.\n",
    )
    back = call("heads", "rollback", "--project", "birds", "--to", "1")
    assert (back.exit_code, back.stdout) == (0, "Version 1 of birds serves now.\n")
    assert heads.serving() == 1
    found = json.loads(call("heads", "delete", "--project", "birds", "2", "--json").stdout)
    assert found == {"project": "birds", "deleted": 2, "serving": 1}
    none = call("heads", "rollback", "--project", "birds", "--to", "0", "--json")
    assert json.loads(none.stdout) == {"project": "birds", "serving": None, "version": None}
    assert "None of them serves." in call("heads", "list", "--project", "birds").stdout
    assert "name a version with --to" in call("heads", "rollback", "--project", "birds").stderr


@pytest.mark.parametrize("command", ["list", "show", "rollback"])
def test_an_unknown_project_is_a_sentence_that_names_the_known(
    call: Call, tmp_path: Path, command: str
) -> None:
    result = call("heads", command, "--project", "cats")
    assert result.exit_code == 2
    assert "make one with `labeler train`" in result.stderr
    (tmp_path / "data" / "projects" / "birds").mkdir(parents=True)
    assert "there are birds." in call("heads", command, "--project", "cats").stderr
    assert not (tmp_path / "data" / "projects" / "cats").exists()


# --- labeler masks --project --------------------------------------------------------------------------------

MASKS = ("masks", "pictures", "--out", "out", "--project", "birds", "--size", "112", "--min-score", "0")


def test_masks_of_a_project_carry_its_names(call: Call, labels: str, tmp_path: Path) -> None:
    call("train", labels, *TRAIN)
    result = call(*MASKS, "--json")
    assert result.exit_code == 0, result.stderr
    written = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert written["categories"][0] == {"id": 1, "name": "square", "supercategory": ""}
    assert any(annotation["category_id"] == 1 for annotation in written["annotations"])


def test_a_run_is_resumed_with_the_head_it_began_with(call: Call, labels: str, tmp_path: Path) -> None:
    call("train", labels, *TRAIN)
    assert call(*MASKS).exit_code == 0
    assert call(*MASKS, "--resume").exit_code == 0
    write_coco(tmp_path, 5)
    call("train", labels, *TRAIN)
    call("heads", "rollback", "--project", "birds", "--to", "2")
    other = call(*MASKS, "--resume")
    assert other.exit_code == 2
    assert "birds version 1" in other.stderr
    assert "birds version 2" in other.stderr
    call("heads", "rollback", "--project", "birds", "--to", "1")
    assert call(*MASKS, "--resume").exit_code == 0


@pytest.mark.parametrize(
    ("how", "says"),
    [
        pytest.param("unknown", "There is no project birds", id="unknown"),
        pytest.param("none", "No head of birds serves", id="none-serves"),
        pytest.param("damaged", "cannot be used", id="damaged"),
        pytest.param("dtype", "choose the same with --model and --dtype", id="other-features"),
    ],
)
def test_masks_without_a_head_that_fits(
    call: Call, labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, says: str
) -> None:
    if how != "unknown":
        call("train", labels, *TRAIN)
    if how == "none":
        call("heads", "rollback", "--project", "birds", "--to", "0")
    if how == "damaged":
        (tmp_path / "data/projects/birds/heads/000001/head.safetensors").write_bytes(b"x")
    if how == "dtype":
        monkeypatch.setenv("LABELER_DTYPE", "bf16")
    result = call(*MASKS)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_head_travels_to_other_machines(call: Call, labels: str, tmp_path: Path) -> None:
    """What Ray sends to its workers; they have no LABELER_DATA_DIR of ours."""
    call("train", labels, *TRAIN)
    make = partial(
        loading.load_proposer, None, None, None, 112, 20, 0.0, False, loading.project_head("birds")
    )
    sent = pickle.dumps(make)
    shutil.rmtree(tmp_path / "data")
    there = pickle.loads(sent)()
    assert there.head is not None
    assert there.fingerprint == make().fingerprint
    assert "head=birds version 1 (" in there.fingerprint
    image = decode(tmp_path / "pictures" / "0.png")
    assert {proposal.label for proposal in there.masks(image)} <= {"square", None}
