"""Masks as people have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labeler_backend.errors import InputError
from labeler_backend.track.masks import read_mask, read_masks
from labeler_backend.video.info import VideoInfo
from tests.track.fakes import write_mask

SIZE = (20, 30)
INFO = VideoInfo(SIZE, 5, 25.0)


def labels(*ids: int) -> Any:
    """One row each."""
    made = np.zeros(SIZE, np.uint16)
    for k, one in enumerate(ids):
        made[3 * k : 3 * k + 3, 4:20] = one
    return made


def rgb(values: Any) -> Image.Image:
    return Image.fromarray(np.repeat(values.astype(np.uint8)[..., None], 3, axis=2))


def coloured(values: Any) -> Image.Image:
    return Image.fromarray(np.stack([values * 100, values * 7, values * 0], axis=2).astype(np.uint8))


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(lambda v: Image.fromarray(v.astype(np.uint8)), id="grey"),
        pytest.param(lambda v: Image.fromarray(v), id="16 bits"),
        pytest.param(lambda v: Image.fromarray(v.astype(np.int32)), id="32 bits"),
        pytest.param(rgb, id="grey as RGB"),
        pytest.param(lambda v: rgb(v).convert("RGBA"), id="grey as RGBA"),
    ],
)
def test_values_are_ids(tmp_path: Path, picture: Callable[[Any], Image.Image]) -> None:
    made = picture(labels(1, 7))
    path = tmp_path / ("a.tif" if made.mode == "I" else "a.png")
    made.save(path)
    np.testing.assert_array_equal(read_mask(path), labels(1, 7))


def test_of_an_indexed_picture_the_indices_are(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", labels(1, 7))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), labels(1, 7))


@pytest.mark.parametrize("bits", [pytest.param("1", id="1 bit"), pytest.param("L", id="8 bits")])
def test_white_on_black_is_one_object(tmp_path: Path, bits: str) -> None:
    Image.fromarray(labels(255).astype(np.uint8)).convert(bits).save(tmp_path / "a.png")
    write_mask(tmp_path / "b.png", labels(0, 255))
    masks = read_masks({0: tmp_path / "a.png", 3: tmp_path / "b.png"}, 0, INFO)
    np.testing.assert_array_equal(masks[0], labels(1))
    np.testing.assert_array_equal(masks[3], labels(0, 1))


def test_a_white_correction_is_of_the_object_there_is(tmp_path: Path) -> None:
    files = {2: write_mask(tmp_path / "a.png", labels(9)), 0: write_mask(tmp_path / "b.png", labels(0, 255))}
    np.testing.assert_array_equal(read_masks(files, 2, INFO)[0], labels(0, 9))


def test_an_empty_correction_says_that_all_are_gone(tmp_path: Path) -> None:
    files = {0: write_mask(tmp_path / "a.png", labels(9)), 4: write_mask(tmp_path / "b.png", labels())}
    assert not read_masks(files, 0, INFO)[4].any()


def test_new_objects_come_in_only_where_that_is_said(tmp_path: Path) -> None:
    files = {0: write_mask(tmp_path / "a.png", labels(1, 2)), 4: write_mask(tmp_path / "b.png", labels(1, 3))}
    np.testing.assert_array_equal(read_masks(files, 0, INFO, new_objects=True)[4], labels(1, 3))
    with pytest.raises(InputError, match=r"b\.png marks 3, and .*a\.png has 1, 2: .*--new-objects"):
        read_masks(files, 0, INFO)


@pytest.mark.parametrize(
    ("first", "later", "sentence"),
    [
        pytest.param(labels(), None, r"a\.png marks no object: give", id="empty"),
        pytest.param(labels(1)[:9], None, r"a\.png is 30×9 pixels, the video 30×20: make", id="another size"),
        pytest.param(labels(1, 255), None, "has the value 255, which is void", id="void beside an id"),
        pytest.param(labels(*range(60, 66), 255), None, "255.*beside 6 others.*smoothed", id="smoothed"),
        pytest.param(labels(300), None, "has ids up to 300, .* hold 1 to 254: renumber", id="too many"),
        pytest.param(labels(1, 2), labels(255), r"b\.png is white on black.* 1, 2 .*ids", id="which one"),
        pytest.param(coloured(labels(1, 2)), None, r"in colours \(RGB\).*indexed or grey", id="colours"),
    ],
)
def test_masks_that_cannot_be_used(tmp_path: Path, first: Any, later: Any, sentence: str) -> None:
    files = {}
    for frame, name, made in ((0, "a.png", first), (4, "b.png", later)):
        if made is not None:
            picture = made if isinstance(made, Image.Image) else Image.fromarray(made)
            picture.save(tmp_path / name)
            files[frame] = tmp_path / name
    with pytest.raises(InputError, match=sentence):
        read_masks(files, 0, INFO)


@pytest.mark.parametrize("frame", [-1, 5])
def test_frames_that_are_not_there(tmp_path: Path, frame: int) -> None:
    files = {0: write_mask(tmp_path / "a.png", labels(1)), frame: tmp_path / "a.png"}
    with pytest.raises(
        InputError, match=rf"a\.png is given for frame {frame}, but there are 5 frames \(0 to 4\)"
    ):
        read_masks(files, 0, INFO)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        pytest.param("a.jpg", "jpeg", "is a JPEG, which blurs the ids", id="jpeg"),
        pytest.param("a.png", b"no picture", "not an image", id="no picture"),
        pytest.param("a.png", None, r"a\.png does not exist", id="not there"),
        pytest.param("a.png", "cut", "damaged or cut off", id="cut off"),
        pytest.param("a.tif", "negative", "values from -3 to 1", id="below zero"),
    ],
)
def test_files_that_are_no_masks(tmp_path: Path, name: str, content: Any, sentence: str) -> None:
    path = tmp_path / name
    if content == "jpeg":
        Image.fromarray(labels(1).astype(np.uint8)).save(path)
    elif content == "cut":
        write_mask(path, np.random.default_rng(0).integers(0, 9, (200, 300)))
        path.write_bytes(path.read_bytes()[:9000])
    elif content == "negative":
        Image.fromarray(labels(1).astype(np.int32) - 3 * (labels(0, 1) > 0).astype(np.int32)).save(path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_mask(path)
