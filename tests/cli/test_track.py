"""`labeler track` as a command: what it says, and what it says of bad input."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from labeler_backend import cli
from labeler_backend.cli import loading
from labeler_backend.video.info import VideoInfo
from tests.track import fakes
from tests.track.fakes import COUNT, Colours, read_masks, write_mask, write_video
from tests.video.moving import SIZE
from tests.video.numbered import make
from tests.video.test_info import sound


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the model was asked for, over all calls."""
    fakes.quick(monkeypatch)
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(loading, "load_tracker", lambda *given: calls.append(given) or Colours())
    return calls


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A video in `in`, the mask of its first frame in `a.png`; the current folder is theirs."""
    monkeypatch.chdir(tmp_path)
    labels = write_video(tmp_path / "in")
    write_mask(tmp_path / "a.png", labels[0])
    return labels


def track(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["track", *arguments])


def test_says_how_many_and_where(asked: list[Any], labels: list[Any]) -> None:
    result = track(
        "in", "--init", "a.png", "--out", "out", "--model", "m", "--device", "cpu", "--size", "140"
    )
    assert result.exit_code == 0, result.stderr
    assert f"2 objects on {COUNT} frames in out/masks/, out/tracks.json and out/tracks.txt" in result.stdout
    assert "Look at out/overlay.mp4" in result.stdout
    assert asked == [("m", "cpu", None, 140, True, VideoInfo(SIZE, COUNT, None))]


def test_says_that_it_looked_closer(asked: list[Any], labels: list[Any]) -> None:
    mask = labels[0] * 0
    mask[60:62, 40:42] = 1
    write_mask(Path("small.png"), mask)
    result = track("in", "--init", "small.png", "--out", "out")
    assert "the model saw frames at 714 pixels, not 476: --size 476 is quicker" in result.stdout
    assert asked[0][3] is None


def test_json_is_all_there_is_on_stdout(asked: list[Any], labels: list[Any]) -> None:
    write_mask(Path("b.png"), labels[6])
    result = track("in", "--init", "a.png", "--keyframe", "6=b.png", "--out", "out", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads(result.stdout)
    assert (summary["frames"], summary["failed"], summary["given"], summary["objects"]) == (
        COUNT,
        0,
        [0, 6],
        [1, 2],
    )
    assert all(Path(summary[name]).exists() for name in ("masks", "tracks", "boxes", "overlay", "failures"))
    np.testing.assert_array_equal(read_masks(Path("out"))[6], labels[6])


def test_the_init_frame_need_not_be_the_first(asked: list[Any], labels: list[Any]) -> None:
    write_mask(Path("b.png"), labels[4])
    result = track("in", "--init", "b.png", "--init-frame", "4", "--out", "out", "--json")
    assert json.loads(result.stdout)["given"] == [4]
    assert all(mask.any() for mask in read_masks(Path("out")))


def test_frames_that_failed_exit_1(asked: list[Any], labels: list[Any]) -> None:
    Path("in", "5.png").write_bytes(b"broken")
    result = track("in", "--init", "a.png", "--out", "out")
    assert result.exit_code == 1
    assert f"1 of {COUNT} frames cannot be decoded" in result.stderr
    assert "out/failures.jsonl" in result.stderr
    assert f"on {COUNT} frames in out/masks/" in result.stdout


def test_ctrl_c_says_how_to_go_on(
    asked: list[Any], labels: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Colours):
        def encode_frame(self, *given: Any) -> Any:
            if len(self.seen) == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return super().encode_frame(*given)

    monkeypatch.setattr(loading, "load_tracker", lambda *given: Stopped())
    result = track("in", "--init", "a.png", "--out", "out")
    assert result.exit_code == 130
    done = len(list(Path("out", "masks").iterdir()))
    sentence = (
        f"labeler: Stopped; {done} of {COUNT} frames are finished and kept in out: go on with --resume.\n"
    )
    assert result.stderr == sentence
    monkeypatch.setattr(loading, "load_tracker", lambda *given: Colours())
    again = track("in", "--init", "a.png", "--out", "out", "--resume", "--json")
    assert json.loads(again.stdout)["now"] == COUNT - done


BOXES = "1,1,10,10,50,50\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(
            ["in"], "Nothing says what to follow: give a mask .*--init, or --boxes", id="nothing given"
        ),
        pytest.param(["in", "--init", "a.png", "--boxes", "b.txt"], "leave out --init", id="mask and boxes"),
        pytest.param(
            ["in", "--init", "a.png", "--resume", "--overwrite"], "contradict each other", id="both ways"
        ),
        pytest.param(["no.mp4", "--init", "a.png"], r"no\.mp4 is not a file", id="no such video"),
        pytest.param(["none", "--init", "a.png"], "none has no pictures", id="no frames"),
        pytest.param(["a.png", "--init", "a.png"], r"a\.png is not a video", id="a picture"),
        pytest.param(["sound.mp4", "--init", "a.png"], "has no moving pictures", id="only sound"),
        pytest.param(["cut.mp4", "--init", "a.png"], "ends before its last frame: copy", id="truncated"),
        pytest.param(["junk.mp4", "--init", "a.png"], "is no video that can be read", id="not to be decoded"),
        pytest.param(["in", "--init", "no.png"], r"no\.png does not exist", id="no such mask"),
        pytest.param(
            ["in", "--init", "small.png"], r"small\.png is 210×50 pixels, the video 210×140", id="size"
        ),
        pytest.param(["in", "--init", "empty.png"], r"empty\.png marks no object", id="an empty mask"),
        pytest.param(
            ["in", "--init", "a.png", "--init-frame", "99"],
            r"for frame 99, but there are 10 frames \(0 to 9\)",
            id="init frame past the end",
        ),
        pytest.param(
            ["in", "--init", "a.png", "--keyframe", "10=a.png"],
            r"a\.png is given for frame 10, but there are 10 frames",
            id="keyframe past the end",
        ),
        pytest.param(
            ["in", "--init", "one.png", "--keyframe", "5=a.png"],
            "marks 2, and one.png has 1",
            id="unknown ids",
        ),
        pytest.param(
            ["in", "--init", "a.png", "--keyframe", "a.png"],
            "--keyframe a.png is not N=MASK.png",
            id="no number",
        ),
        pytest.param(
            ["in", "--init", "a.png", "--keyframe", "-1=a.png"], "-1=a.png is not N=MASK.png", id="below zero"
        ),
        pytest.param(["in", "--init", "a.png", "--keyframe", "0=a.png"], "Frame 0 has two masks", id="twice"),
        pytest.param(
            ["in", "--init", "a.png", "--frame-rate", "0"], "A frame rate of 0.0 cannot be", id="rate"
        ),
        pytest.param(["in", "--boxes", "empty.txt"], "holds no box", id="no boxes"),
        pytest.param(
            ["broken", "--init", "a.png"], "frame that cannot be used, give it for another", id="broken"
        ),
    ],
)
def test_bad_input_is_one_line_and_exits_2(
    asked: list[Any], labels: list[Any], arguments: list[str], sentence: str
) -> None:
    Path("none").mkdir()
    Path("empty.txt").write_text("", "utf-8")
    Path("b.txt").write_text(BOXES, "utf-8")
    Path("junk.mp4").write_bytes(bytes(5000))
    sound(Path("sound.mp4"))
    whole = make(Path("whole.mp4"), container_options={"movflags": "faststart"}).read_bytes()
    Path("cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    write_mask(Path("small.png"), labels[0][:50])
    write_mask(Path("empty.png"), labels[0] * 0)
    write_mask(Path("one.png"), labels[0] * (labels[0] == 1))
    broken = Path("broken")
    broken.mkdir()
    (broken / "0.png").write_bytes(b"broken")
    Image.new("RGB", SIZE[::-1]).save(broken / "1.png")
    result = track(*arguments, "--out", "out")
    assert result.exit_code == 2, result.stdout
    assert result.stdout == ""
    assert result.stderr.startswith("labeler: ")
    assert result.stderr.count("\n") == 1
    assert re.search(sentence, result.stderr)
    assert not Path("out", "masks").exists()


def test_what_failed_so_early_is_no_run_to_resume(asked: list[Any], labels: list[Any]) -> None:
    frame = Path("in", "0.png").read_bytes()
    Path("in", "0.png").write_bytes(b"broken")  # found out when the model is there
    assert track("in", "--init", "a.png", "--out", "out").exit_code == 2
    Path("in", "0.png").write_bytes(frame)
    assert track("in", "--init", "a.png", "--out", "out").exit_code == 0
