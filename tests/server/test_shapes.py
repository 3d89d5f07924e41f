from __future__ import annotations

import base64
import io
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import mask2rle
from PIL import Image

from labeler_backend.server.shapes import Shape, pack, same, shapes, unpack
from tests.server.fakes import triangle

BOX = {"x": 10, "y": 20, "width": 30, "height": 5, "rotation": 0, "rectanglelabels": ["car"]}


def blob() -> npt.NDArray[np.uint8]:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 15:60] = 1
    mask[20:30, 30:40] = 0
    return mask


def brush(mask: npt.NDArray[np.uint8]) -> dict[str, Any]:
    value = {"format": "rle", "rle": [int(b) for b in mask2rle(mask * 255)], "brushlabels": ["car"]}
    return {"id": "b", "type": "brushlabels", "original_width": 80, "original_height": 60, "value": value}


def bitmask(mask: npt.NDArray[np.uint8], level: int = 6) -> dict[str, Any]:
    file = io.BytesIO()
    rgba = np.dstack([np.zeros((*mask.shape, 3), np.uint8), mask * 255])
    Image.fromarray(rgba).save(file, "PNG", compress_level=level)
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"id": "m", "type": "bitmasklabels", "value": {"imageDataURL": url, "bitmasklabels": ["car"]}}


def only(item: dict[str, Any]) -> Shape:
    (shape,) = shapes([item]).values()
    return shape


def grown(mask: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.uint8]:
    out = mask.copy()
    out[10:40, 60 : 60 + pixels] = 1
    return out


def dotted(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    out = mask.copy()
    out[50:52, 70:72] = 1  # a dab of the brush, 0.08 % of the picture
    return out


@pytest.mark.parametrize(
    ("sent", "made", "unchanged"),
    [
        pytest.param(triangle("a"), triangle("a"), True, id="untouched"),
        pytest.param(
            triangle("a"), triangle("a", points=[[1.04, 1], [20, 1], [20, 20]]), True, id="within tolerance"
        ),
        pytest.param(
            triangle("a"), triangle("a", points=[[1.06, 1], [20, 1], [20, 20]]), False, id="a vertex moved"
        ),
        pytest.param(
            triangle("a"),
            triangle("a", points=[[1, 1], [20, 1], [20, 20], [1, 20]]),
            False,
            id="a vertex more",
        ),
        pytest.param(triangle("a"), triangle("a", "person"), False, id="other label"),
        pytest.param(
            triangle("a"),
            triangle("a") | {"origin": "prediction", "score": 0.1},
            True,
            id="origin says nothing",
        ),
        pytest.param(
            {"type": "rectanglelabels", "value": BOX},
            {"type": "rectanglelabels", "value": {**BOX, "x": 10.00001}},
            True,
            id="box",
        ),
        pytest.param(
            {"type": "rectanglelabels", "value": BOX},
            {"type": "rectanglelabels", "value": {**BOX, "rotation": 1}},
            False,
            id="box turned",
        ),
        pytest.param(
            {"type": "ellipselabels", "value": {"x": 1, "y": 1, "radiusX": 2, "radiusY": 3}},
            {"type": "ellipselabels", "value": {"x": 1, "y": 1, "radiusX": 2, "radiusY": 4}},
            False,
            id="ellipse",
        ),
        pytest.param(brush(blob()), brush(blob()), True, id="brush"),
        pytest.param(brush(blob()), brush(grown(blob(), 1)), True, id="brush drawn anew"),
        pytest.param(brush(blob()), brush(grown(blob(), 2)), False, id="brush stroke at the border"),
        pytest.param(brush(blob()), brush(dotted(blob())), False, id="brush dab"),
        pytest.param(brush(blob()), brush(blob() * 0), False, id="brush erased"),
        pytest.param(bitmask(blob(), 1), bitmask(blob(), 9), True, id="bitmask encoded otherwise"),
        pytest.param(bitmask(blob()), bitmask(dotted(blob())), False, id="bitmask dab"),
        pytest.param(brush(blob()), {**brush(blob()), "value": {"rle": "x"}}, False, id="unreadable"),
    ],
)
def test_same(sent: dict[str, Any], made: dict[str, Any], unchanged: bool) -> None:
    assert same(only(sent), only(made)) is unchanged


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"id": "a", "type": "choices", "value": {"choices": ["x"]}}, id="choice"),
        pytest.param({"id": "a", "type": "keypointlabels", "value": {"x": 1, "y": 1}}, id="prompt"),
        pytest.param(
            {"id": "a", "type": "keypointlabels", "value": {"points": [[1, 1]], "keypointlabels": ["x"]}},
            id="what the editor leaves behind",
        ),
        pytest.param({"id": "a", "type": "polygonlabels"}, id="no value"),
        pytest.param({"id": "a", "type": 3, "value": {}}, id="odd type"),
        pytest.param("x", id="text"),
    ],
)
def test_what_is_no_region_is_left_out(item: Any) -> None:
    assert shapes([item]) == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(
        ["polygonlabels", "brushlabels", "bitmasklabels", "rectangle", "vectorlabels", "ellipselabels"]
    ),
    st.sampled_from(["points", "rle", "imageDataURL", "x", "vertices", "polygonlabels"]),
)
def test_any_value_can_be_compared(anything: Any, kind: str, key: str) -> None:
    item = {"id": anything, "type": kind, "original_width": anything, "value": {key: anything}}
    found = shapes([item, {"type": kind, "value": anything}])
    assert all(shape == shape for shape in found.values())
    for shape in found.values():
        same(shape, only(triangle("a")))
        same(shape, shape)


@pytest.mark.parametrize(
    "rle",
    [
        pytest.param([], id="empty"),
        pytest.param([255] * 40, id="claims 4 GB"),
        pytest.param([0, 0, 75, 0, 255], id="cut off"),
    ],
)
def test_broken_mask_counts_as_edited(rle: list[int]) -> None:
    broken = brush(blob())
    broken["value"] = {**broken["value"], "rle": rle}
    assert not same(only(brush(blob())), only(broken))


def test_packed_shapes_come_back() -> None:
    named = list(
        shapes([triangle("ä"), brush(blob()), bitmask(blob()), {"type": "polygon", "value": {}}]).items()
    )
    assert unpack(pack(named)) == named


A, B, C = (only(triangle("x", points=[[n, n], [n + 5, n], [n, n + 5]])) for n in (10, 20, 30))


@pytest.mark.parametrize(
    "rle", [pytest.param(10**11, id="number: bytes(n) would be n zeros"), pytest.param("x", id="text")]
)
def test_rle_that_is_no_list_takes_no_memory(rle: Any) -> None:
    item = brush(blob())
    item["value"]["rle"] = rle
    assert only(item).mask == b""


def test_masks_are_not_decoded_into_more_pixels_than_a_picture_may_have() -> None:
    """A few bytes can claim any size; both sides are small enough for themselves."""
    side = 32_000
    rle = list((side * side * 4 % 2**32).to_bytes(4, "big") + bytes(4))
    huge, other = (Shape("brushlabels", (), mask=bytes([*rle, end]), size=(side, side)) for end in (1, 2))
    tracemalloc.start()
    assert not same(huge, other)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


def test_only_a_png_is_opened_as_a_bitmask() -> None:
    """Pillow would start Ghostscript for PostScript."""
    file = io.BytesIO()
    Image.new("RGBA", (8, 8)).save(file, "TIFF")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    tiff = {"id": "m", "type": "bitmasklabels", "value": {"imageDataURL": url, "bitmasklabels": ["car"]}}
    png = bitmask(np.zeros((8, 8), np.uint8))
    assert not same(only(tiff), only(png))
