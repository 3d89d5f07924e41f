from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.backbone.preprocess import Normalisation, Side, resize, target_size
from labeler_backend.errors import WeightsError


@pytest.mark.parametrize(
    ("image_size", "size", "patch", "side", "expected"),
    [
        pytest.param((518, 518), 518, 14, "long", (518, 518), id="native"),
        pytest.param((512, 512), 518, 14, "long", (518, 518), id="grows"),
        pytest.param((3000, 4000), 518, 14, "long", (392, 518), id="landscape"),
        pytest.param((4000, 3000), 518, 14, "long", (518, 392), id="portrait"),
        pytest.param((512, 512), 518, 16, "long", (512, 512), id="patch that does not divide the size"),
        pytest.param((480, 854), 476, 14, "short", (476, 840), id="video"),
        pytest.param((1, 1), 518, 14, "long", (518, 518), id="one pixel"),
        pytest.param((1, 5000), 518, 14, "long", (14, 518), id="never less than a patch"),
        pytest.param(
            (10, 100_000), 476, 14, "short", (476, 8 * 476), id="panorama by its short side is cut off"
        ),
    ],
)
def test_target_size(
    image_size: tuple[int, int], size: int, patch: int, side: Side, expected: tuple[int, int]
) -> None:
    assert target_size(image_size, size, patch, side) == expected


@given(
    height=st.integers(1, 20_000),
    width=st.integers(1, 20_000),
    size=st.integers(32, 1600),
    patch=st.sampled_from([8, 14, 16]),
)
def test_long_side_is_kept_to_half_a_patch_and_the_aspect_to_a_patch(
    height: int, width: int, size: int, patch: int
) -> None:
    h, w = target_size((height, width), size, patch)
    assert h % patch == 0
    assert w % patch == 0
    assert abs(max(h, w) - size) <= patch / 2
    scale = size / max(height, width)
    assert abs(h - height * scale) <= patch
    assert abs(w - width * scale) <= patch


@pytest.mark.parametrize("image_size", [(0, 5), (5, 0)])
def test_no_size_for_an_empty_image(image_size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="Cannot scale"):
        target_size(image_size, 518, 14)


def test_shrinking_averages_areas_and_so_does_not_alias() -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    assert np.ptp(resize(image, (32, 32)).astype(int)) <= 1


def test_growing_keeps_a_flat_colour_and_a_native_size_keeps_every_pixel(
    astronaut: npt.NDArray[np.uint8],
) -> None:
    flat = np.full((5, 7, 3), (10, 200, 30), np.uint8)
    assert (resize(flat, (28, 42)) == (10, 200, 30)).all()
    assert (resize(astronaut, (512, 512)) == astronaut).all()


def test_a_view_that_is_not_contiguous_is_fine(astronaut: npt.NDArray[np.uint8]) -> None:
    flipped = astronaut[:, ::-1]
    assert (resize(flipped, (28, 28)) == resize(flipped.copy(), (28, 28))).all()


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((4, 4), np.uint8), id="grey"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), id="alpha"),
        pytest.param(np.zeros((4, 4, 3), np.float32), id="float"),
    ],
)
def test_only_rgb_uint8_is_an_image(image: Any) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\)"):
        resize(image, (14, 14))


@pytest.mark.parametrize(
    ("config", "white"),
    [
        pytest.param({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, 2.0, id="mean and std"),
        pytest.param(
            {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5}, 3.0, id="rescale"
        ),
        pytest.param({"do_normalize": False}, 1.0, id="not normalised"),
    ],
)
def test_normalisation_is_the_models_own(config: dict[str, Any], white: float, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    found = Normalisation.from_folder(tmp_path)
    assert np.allclose(255 * np.array(found.scale) + found.offset, white)


def test_missing_preprocessor_config_means_imagenet_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "labeler_backend"):
        found = Normalisation.from_folder(tmp_path)
    assert np.allclose(np.array(found.offset), -np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
    assert "preprocessor_config.json is missing" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="no object"),
        pytest.param('{"image_mean": [0.5], "image_std": [0.5]}', id="one channel"),
        pytest.param('{"image_std": [0, 0, 0]}', id="zero std"),
        pytest.param('{"image_mean": "grey"}', id="text"),
    ],
)
def test_unusable_preprocessor_config(text: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(WeightsError, match="cannot be used"):
        Normalisation.from_folder(tmp_path)
