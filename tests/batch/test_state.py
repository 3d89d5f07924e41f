"""The run's state: one row per image, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.batch.inputs import STATE_FILE
from labeler_backend.batch.state import State
from labeler_backend.batch.types import Failure, Job, Result
from labeler_backend.errors import LabelerError

MANY = 450  # more than two pages


def result(job: Job, n: int = 1) -> Result:
    """A finished image with `n` annotations."""
    annotations = [{"score": 0.5, "bbox": [0, 0, 1, 1], "rank": k} for k in range(n)]
    return Result(job, (3, 4), [], annotations, None, {"w": 1} if job.position == 0 else None, "", {})


def names(n: int) -> list[tuple[str, str]]:
    """`n` inputs, in an order that is not that of their names."""
    return [(f"{(i * 7) % n:03d}.jpg", f"/in/{(i * 7) % n:03d}.jpg") for i in range(n)]


def test_rows_come_by_position_in_whatever_order_they_were_saved(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.start({})
        state.add(names(MANY))
        jobs = list(state.pending())
        assert [job.path for job in jobs] == [path for path, _ in names(MANY)]
        for job in reversed(jobs):
            if job.position % 50 == 1:
                state.fail(Failure(job, "decode", "bad"))
            else:
                state.save(result(job, n=2))
        rows = list(state.rows())
        assert [row["file_name"] for row in rows] == [job.path for job in jobs if job.position % 50 != 1]
        assert (rows[0]["id"], rows[0]["height"], rows[0]["width"]) == (1, 3, 4)
        assert [a["rank"] for a in rows[0]["annotations"]] == [0, 1]
        assert [failure.job.position for failure in state.failures()] == list(range(1, MANY, 50))
        counts = state.counts()
        assert (counts.pending, counts.done, counts.failed, counts.proposals) == (0, 441, 9, 882)
        assert [shown["path"] for shown in state.previews()] == ["000.jpg"]
        assert len(list(state.paths())) == MANY


def test_pending_may_be_read_while_rows_are_saved(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.start({})
        state.add(names(MANY))
        seen = []
        for job in state.pending():
            seen.append(job.path)
            state.save(result(job))
        assert seen == [path for path, _ in names(MANY)]


def test_an_input_that_repeats_counts_once_and_a_second_listing_keeps_what_is_done(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.start({"a": 1})
        state.add([("x", "/x"), ("y", "/y"), ("x", "/x"), ("z", "/z")])
        jobs = list(state.pending())
        assert [job.path for job in jobs] == ["x", "y", "z"]
        state.save(result(jobs[0]))
        state.fail(Failure(jobs[1], "decode", "bad"))
    with State(tmp_path) as state:
        state.start({"a": 1})
        state.add([("new", "/new"), ("x", "/x"), ("y", "/y"), ("z", "/z")])
        assert [job.path for job in state.pending()] == ["new", "y", "z"]  # what failed is due again
        assert [row["file_name"] for row in state.rows()] == ["x"]


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.start({"model": "small", "polygons": False})
    with State(tmp_path) as state, pytest.raises(LabelerError, match=r"\(model: small then, base now\)"):
        state.start({"model": "base", "polygons": False})


@pytest.mark.parametrize("content", [b"not a database" * 100, bytes(4096)], ids=["text", "zeros"])
def test_a_damaged_state_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE_FILE).parent.mkdir()
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(LabelerError, match=r"is damaged .* remove that folder"):
        State(tmp_path)
