from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.records import Problem
from labeler_backend.studio.export_json.files import ExportError, tasks_in

TASK = {"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"id": 7, "result": []}], "x": 1.5}
OTHER = {**TASK, "id": 2}


def written(tmp_path: Path, content: bytes | str | Any) -> Path:
    path = tmp_path / "export.json"
    data = content if isinstance(content, bytes | str) else json.dumps(content)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        pytest.param([TASK, OTHER], [1, 2], id="an array"),
        pytest.param(TASK, [1], id="one task alone"),
        pytest.param(f"{json.dumps(TASK)}\n{json.dumps(OTHER)}\n", [1, 2], id="a task per line"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps([TASK]).encode(), [1], id="a byte order mark"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(TASK).encode(), [1], id="a byte order mark, one task"),
        pytest.param("  \n" + json.dumps([TASK]), [1], id="blanks before"),
        pytest.param({"annotations": [], **TASK}, [1], id="annotations first"),
    ],
)
def test_tasks_are_read_as_they_are(tmp_path: Path, content: Any, ids: list[int]) -> None:
    problems: list[Problem] = []
    tasks = list(tasks_in(written(tmp_path, content), problems.append))
    assert [task["id"] for task in tasks] == ids
    assert problems == []
    assert tasks[0] == TASK
    assert isinstance(tasks[0]["x"], float)


COCO = {"info": {}, "images": [{"id": 1}], "annotations": [], "categories": []}
MIN = [{"id": 1, "image": "a.jpg", "label": [], "annotator": 1, "annotation_id": 3, "lead_time": 1.0}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("  \n ", "is empty", id="blank"),
        pytest.param(b"\xef\xbb\xbf", "is empty", id="only a byte order mark"),
        pytest.param([], "without tasks", id="no tasks"),
        pytest.param("hello there", "not JSON", id="text"),
        pytest.param("id,image,label\n1,a.jpg,car\n", "a table", id="CSV"),
        pytest.param("id\timage\n1\ta.jpg\n", "a table", id="TSV"),
        pytest.param(MIN, "JSON-MIN", id="JSON-MIN"),
        pytest.param(COCO, "COCO", id="COCO"),
        pytest.param({"annotations": [{"id": 3}], **COCO}, "COCO", id="COCO, annotations first"),
        pytest.param([{"id": 1, "data": {}, "completions": []}], "before 1.0", id="completions"),
        pytest.param({"id": 1, "completions": []}, "before 1.0", id="one task with completions"),
        pytest.param([1, "a", None], "something else than tasks", id="no objects"),
        pytest.param({"a": 1}, "something else than tasks", id="an object"),
        pytest.param([{"image": "a.jpg"}], "something else than tasks", id="tasks without data"),
        pytest.param('[{"id": 1, "da', "before its first whole task", id="cut off at once"),
        pytest.param('{"id": 1, "da', "before its first whole task", id="one task, cut off"),
        pytest.param("[" * 2_000, "damaged", id="deep"),
        pytest.param(b'[{"id": 1, "data": {"image": "\xff\xfe"}}]', "damaged", id="not UTF-8"),
        pytest.param(json.dumps([TASK]).encode("utf-16"), "UTF-16", id="UTF-16"),
        pytest.param(b"PK\x03\x04....", "zip", id="a zip archive"),
        pytest.param(b"\x1f\x8b....", "gzip", id="gzip"),
    ],
)
def test_what_is_no_export_is_a_sentence(tmp_path: Path, content: Any, reason: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ExportError, match=reason) as caught:
        list(tasks_in(path, lambda problem: None))
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be read"):
        list(tasks_in(tmp_path / "none.json"))


@pytest.mark.parametrize("cut", [1, 5, 40, 70])
def test_a_cut_file_gives_what_is_whole_and_says_so(tmp_path: Path, cut: int) -> None:
    text = json.dumps([TASK, OTHER])
    path = written(tmp_path, text[:-cut])
    problems: list[Problem] = []
    tasks = list(tasks_in(path, problems.append))
    assert [task["id"] for task in tasks] == ([1, 2] if cut == 1 else [1])
    [problem] = problems
    assert problem.done == "left out"
    assert f"cut off after {len(tasks)} whole task" in problem.reason


def test_without_anyone_to_tell_damage_is_raised_after_what_is_whole(tmp_path: Path) -> None:
    tasks = tasks_in(written(tmp_path, json.dumps([TASK, OTHER])[:-9]))
    assert next(tasks)["id"] == 1
    with pytest.raises(ExportError, match="cut off after 1 whole task"):
        next(tasks)


def test_strange_entries_among_tasks_are_told(tmp_path: Path) -> None:
    problems: list[Problem] = []
    tasks = list(tasks_in(written(tmp_path, [None, TASK, {"id": 5}, OTHER]), problems.append))
    assert [task["id"] for task in tasks] == [1, 2]
    assert [problem.reason.split(" of ")[0] for problem in problems] == ["Entry 1", "Entry 3"]
