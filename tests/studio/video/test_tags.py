from __future__ import annotations

from typing import Any

import pytest

from labeler_backend.errors import InputError
from labeler_backend.studio.config import LabelingConfig, read_config
from labeler_backend.studio.labeling import labeling_config
from labeler_backend.studio.video.tags import TrackTag, VideoTag

VIDEO = '<Video name="video" value="$video" frameRate="25"/>'
BOX = '<VideoRectangle name="box" toName="video"/>'


def labels(*names: str, more: str = "", to: str = "video") -> str:
    inside = "".join(f'<Label value="{name}" {more}/>' for name in names)
    return f'<Labels name="labels" toName="{to}">{inside}</Labels>'


def config(*tags: str, **extra: Any) -> LabelingConfig:
    return read_config(f"<View>{''.join(tags)}</View>", extra or None)


def test_what_labeler_config_prints_is_answered() -> None:
    found = read_config(labeling_config(["car", "person"], "video", 29.97))
    video = VideoTag("video", "video", "29.97")
    assert found.tracks == (TrackTag("box", video, ("car", "person"), "car", certain=False),)
    assert (found.answers, found.prompts, found.notes) == ((), (), ())


@pytest.mark.parametrize(
    ("tags", "names", "label", "certain"),
    [
        pytest.param([labels("car")], ("car",), "car", True, id="one label"),
        pytest.param([labels("car", "bus")], ("car", "bus"), "car", False, id="a guess"),
        pytest.param([labels("car", "$cars")], ("car",), "car", True, id="a label from the data"),
        pytest.param(
            [labels("car"), labels("any", more='predicted_values="object"')],
            ("car", "any"),
            "any",
            True,
            id="two sets, one with a label for all",
        ),
        pytest.param([], (), None, False, id="none"),
        pytest.param(
            ['<Text name="text" value="$text"/>', labels("car", to="text")], (), None, False, id="of a text"
        ),
    ],
)
def test_labels_are_those_on_the_same_video(
    tags: list[str], names: tuple[str, ...], label: str | None, certain: bool
) -> None:
    [track] = config(VIDEO, BOX, *tags).tracks
    assert (track.labels, track.label, track.certain) == (names, label, certain)


@pytest.mark.parametrize(
    ("tags", "answered"),
    [
        pytest.param([VIDEO, BOX], ["box"], id="a box"),
        pytest.param([VIDEO, BOX, BOX.replace('"box"', '"other"')], ["box"], id="the first of two"),
        pytest.param([VIDEO], [], id="no box"),
        pytest.param([VIDEO.replace("$video", "https://host/$video"), BOX], [], id="a template"),
        pytest.param([BOX], [], id="no video"),
    ],
)
def test_which_tag_answers(tags: list[str], answered: list[str]) -> None:
    assert [track.name for track in config(*tags).tracks] == answered


def test_it_is_tuned_like_others() -> None:
    tag = BOX.replace("toName", 'model_max_proposals="7" toName')
    [track] = config(VIDEO, tag, model_max_proposals=2, model_score_threshold=0.4).tracks
    assert (track.max_proposals, track.min_score) == (7, 0.4)


@pytest.mark.parametrize(
    ("written", "data", "rate"),
    [
        pytest.param("25", {}, 25, id="a number"),
        pytest.param("29.97", {}, 29.97, id="with decimals"),
        pytest.param("", {}, 24, id="nothing"),
        pytest.param("fast", {}, 24, id="no number"),
        pytest.param("0", {}, 24, id="zero"),
        pytest.param("-25", {}, 24, id="below zero"),
        pytest.param("nan", {}, 24, id="not a number"),
        pytest.param("0.04", {}, 25, id="seconds per frame"),
        pytest.param("$fps", {"fps": 30}, 30, id="from the data"),
        pytest.param("$fps", {"fps": "12.5"}, 12.5, id="from the data, as text"),
        pytest.param("$fps", {}, 24, id="not in the data"),
        pytest.param("$fps", {"fps": [1]}, 24, id="something else in the data"),
    ],
)
def test_frames_per_second_as_the_editor_reads_them(written: str, data: Any, rate: float) -> None:
    assert VideoTag("v", "v", written).shown_rate(data) == pytest.approx(rate)


def test_the_address_stands_in_the_data() -> None:
    video = VideoTag("v", "clips[0].url")
    assert video.address({"clips": [{"url": "/data/upload/1/a.mp4"}]}) == "/data/upload/1/a.mp4"
    with pytest.raises(InputError, match=r"has no 'clips\[0\].url', which <Video name='v'> shows"):
        video.address({})
