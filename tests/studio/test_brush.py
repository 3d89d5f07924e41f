from __future__ import annotations

import base64
import contextlib
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle
from PIL import Image

from labeler_backend.masks.rle import BoolMask
from labeler_backend.studio.brush import (
    bitmask_mask,
    bitmask_values,
    brush_mask,
    brush_values,
    encode_brush,
)
from labeler_backend.studio.shapes import ShapeError
from tests.studio.made import SIZE, noise, ring


def as_url(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@given(mask=noise())
@settings(max_examples=40, deadline=None)
def test_a_brush_and_a_bitmask_come_back_exactly(mask: BoolMask) -> None:
    np.testing.assert_array_equal(brush_mask(brush_values(mask)[0], mask.shape), mask)
    np.testing.assert_array_equal(bitmask_mask(bitmask_values(mask)[0], mask.shape), mask)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(ring(), id="ring"),
        pytest.param(np.ones((400, 300), bool), id="full: longer than the longest run"),
        pytest.param(np.ones((128, 128), bool), id="full: exactly one longest run"),
        pytest.param(np.eye(7, dtype=bool), id="single pixels"),
        pytest.param(np.ones((1, 1), bool), id="one pixel"),
        pytest.param(np.asfortranarray(ring()), id="as pycocotools decodes it"),
    ],
)
def test_label_studios_own_decoder_reads_the_brush(mask: BoolMask) -> None:
    rgba = decode_rle(encode_brush(mask)).reshape(*mask.shape, 4)
    np.testing.assert_array_equal(rgba, np.repeat(mask[:, :, None], 4, axis=2) * np.uint8(255))


@pytest.mark.parametrize("inside", [pytest.param(255), pytest.param(1), pytest.param(100)])
def test_masks_of_other_programs_are_read_whatever_their_alpha(inside: int) -> None:
    rle = mask2rle(ring().astype(np.uint8) * np.uint8(inside))
    np.testing.assert_array_equal(brush_mask({"rle": rle}, SIZE), ring())


def test_soft_edges_of_a_stroke_are_cut_at_half() -> None:
    alpha = np.array([[0, 100, 127, 128, 255]], np.uint8)
    rle = encode_rle(np.repeat(alpha.ravel(), 4))
    assert brush_mask({"rle": rle}, (1, 5)).tolist() == [[False, False, False, True, True]]


def test_alpha_decides_not_colour() -> None:
    rgba = np.zeros((1, 2, 4), np.uint8)
    rgba[0, 0, :3], rgba[0, 1, 3] = 255, 255
    assert brush_mask({"rle": encode_rle(rgba.ravel())}, (1, 2)).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param({}, "not a list of bytes", id="no rle"),
        pytest.param({"rle": "AAAA"}, "not a list of bytes", id="text"),
        pytest.param({"rle": [0, 0, 300]}, "not a list of bytes", id="over a byte"),
        pytest.param({"rle": [1.5]}, "not a list of bytes", id="float"),
        pytest.param({"rle": []}, "not of the picture's size, 140×90", id="empty"),
        pytest.param(
            {"rle": encode_brush(np.ones((90, 141), bool))}, "not of the picture's size", id="wrong size"
        ),
        pytest.param({"rle": encode_brush(ring())[:20]}, "damaged", id="cut off"),
    ],
)
def test_a_bad_brush_is_a_reason(value: dict[str, object], reason: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(reason)):
        brush_mask(value, SIZE)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_give_a_mask_or_a_reason(data: st.DataObject) -> None:
    rle = encode_brush(ring())
    for _ in range(data.draw(st.integers(1, 4))):
        rle[data.draw(st.integers(0, len(rle) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ShapeError):
        assert brush_mask({"rle": rle}, SIZE).shape == SIZE


def test_an_empty_mask_has_no_value() -> None:
    assert brush_values(np.zeros(SIZE, bool)) == []
    assert bitmask_values(np.zeros(SIZE, bool)) == []


def test_a_bitmask_is_black_on_transparent() -> None:
    url = bitmask_values(ring())[0]["imageDataURL"]
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (SIZE[1], SIZE[0]))
        assert set(map(tuple, np.asarray(picture).reshape(-1, 4).tolist())) == {(0, 0, 0, 0), (0, 0, 0, 255)}


def test_a_bitmask_of_another_size_is_stretched() -> None:
    small = Image.fromarray(np.array([[0, 255]], np.uint8))
    picture = Image.merge("LA", (Image.new("L", small.size), small))
    assert (
        bitmask_mask({"imageDataURL": as_url(picture)}, (2, 4)).tolist() == [[False, False, True, True]] * 2
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param(None, "not a PNG", id="missing"),
        pytest.param("https://example.com/mask.png", "not a PNG", id="a link"),
        pytest.param("data:image/png;base64,????", "damaged", id="not base64"),
        pytest.param("data:image/png;base64,aGVsbG8=", "damaged", id="not a PNG inside"),
        pytest.param(as_url(Image.new("RGBA", (30, 30)))[:60], "damaged", id="cut off"),
        pytest.param(
            as_url(Image.new("L", (4, 4), 255)), "no transparency", id="grey, as of label-studio-ml"
        ),
        pytest.param(as_url(Image.new("1", (20_000, 6_000))), "more than 100,000,000 pixels", id="a bomb"),
    ],
)
def test_a_bad_bitmask_is_a_reason(url: str | None, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        bitmask_mask({"imageDataURL": url}, SIZE)
