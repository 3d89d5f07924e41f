"""Which heads look at the figure: on made pictures where it is known, from bad files, in the real model."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from labeler_backend.backbone.features import Features
from labeler_backend.labeler import Labeler
from labeler_backend.proposals.roles import (
    HeadRoles,
    border,
    cached_roles,
    calibration_pictures,
    figure_map,
    find_roles,
)
from tests.proposals.conftest import Real
from tests.proposals.made import attention_on, features_of, square, tokens_of

GRID = (12, 16)
KEY = "org/model:abc:fp32:p1"


def picture(top: int = 3, left: int = 4, seed: int = 0) -> Features:
    """A square on a ground; heads: on the square, around it, and of no opinion."""
    labels = square(GRID, top, left, 5)
    undecided = np.random.default_rng(seed).uniform(0.4, 0.6, GRID)
    heads = [attention_on(labels == 1), attention_on(labels == 0, 0.98), undecided / undecided.sum()]
    return features_of(tokens_of(labels, seed=seed), heads)


def test_roles_are_found() -> None:
    roles = find_roles([picture(), picture(2, 9, 1), picture(6, 2, 2)])
    assert roles.figure == (0,)
    assert roles.ground == (1,)
    assert roles.agreement[0] > 0.9
    assert roles.agreement[1] < -0.9
    assert abs(roles.agreement[2]) < 0.1


def test_the_side_on_the_border_is_ground_also_when_it_is_the_smaller_one() -> None:
    labels = np.zeros(GRID, int)
    labels[1:-1, 1:-1] = 1  # the figure fills all but the outermost patches
    heads = [attention_on(labels == 1), attention_on(labels == 0)]
    roles = find_roles([features_of(tokens_of(labels), heads)])
    assert (roles.figure, roles.ground) == ((0,), (1,))


@pytest.mark.parametrize(
    ("agreement", "figure", "ground"),
    [
        pytest.param((0.5, -0.5, 0.0), (0,), (1,), id="one-of-each"),
        pytest.param((0.1, -0.1), (0,), (1,), id="at-the-threshold"),
        pytest.param((0.3, 0.2), (0, 1), (), id="no-ground"),
        pytest.param((0.05, -0.3, 0.0), (0, 2), (1,), id="no-clear-figure"),
        pytest.param((0.0, 0.0), (0, 1), (), id="no-clear-role"),
    ],
)
def test_roles_by_agreement(
    agreement: tuple[float, ...], figure: tuple[int, ...], ground: tuple[int, ...]
) -> None:
    roles = HeadRoles(agreement)
    assert (roles.figure, roles.ground) == (figure, ground)


def test_a_head_that_looks_everywhere_alike_has_no_role() -> None:
    labels = square(GRID, 3, 4, 5)
    even = np.full(GRID, 0.9 / labels.size)
    roles = find_roles([features_of(tokens_of(labels), [even, attention_on(labels == 1)])])
    assert roles.agreement[0] == 0
    assert roles.figure == (1,)


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (2, 2)])
def test_roles_of_tiny_grids_are_finite(grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(*grid, 8)).astype(np.float32)
    roles = find_roles([features_of(tokens, [rng.random(grid), rng.random(grid)])])
    assert np.isfinite(roles.agreement).all()
    assert len(roles.agreement) == 2


def test_constant_tokens_give_no_roles() -> None:
    heads = [attention_on(square(GRID, 3, 4, 5) == 1)]
    roles = find_roles([features_of(np.ones((*GRID, 8), np.float32), heads)])
    assert np.isfinite(roles.agreement).all()


@pytest.mark.parametrize(
    ("grid", "outermost"),
    [
        pytest.param((1, 1), 1, id="one"),
        pytest.param((1, 5), 5, id="row"),
        pytest.param((2, 3), 6, id="no-inside"),
        pytest.param((4, 5), 14, id="inside"),
    ],
)
def test_border(grid: tuple[int, int], outermost: int) -> None:
    edge = border(grid)
    assert edge.shape == grid
    assert edge.sum() == outermost
    assert edge[0].all()
    assert edge[:, -1].all()


@pytest.mark.parametrize(
    "agreement",
    [
        pytest.param((0.9, -0.9, 0.0), id="both"),
        pytest.param((0.9, 0.0, 0.0), id="no-ground"),
        pytest.param((-0.5, -0.4, -0.3), id="all-ground"),
    ],
)
def test_figure_map_is_finite(agreement: tuple[float, ...]) -> None:
    shown = figure_map(picture(), HeadRoles(agreement))
    assert shown.shape == GRID
    assert shown.dtype == np.float32
    assert np.isfinite(shown).all()


@pytest.mark.parametrize("agreement", [(0.9, -0.9, 0.0), (0.9, 0.0, 0.0)], ids=["both", "no-ground"])
def test_figure_map_is_high_on_the_figure(agreement: tuple[float, ...]) -> None:
    shown, figure = figure_map(picture(), HeadRoles(agreement)), square(GRID, 3, 4, 5) == 1
    assert shown[figure].min() > shown[~figure].max()


def test_figure_map_does_not_ask_how_much_went_to_the_prefix_tokens() -> None:
    whole = picture()
    half = features_of(whole.tokens, [whole.attention[0] / 2, *whole.attention[1:]])
    roles = HeadRoles((0.9, -0.9, 0.0))
    np.testing.assert_allclose(figure_map(half, roles), figure_map(whole, roles), atol=1e-4)


class Model:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Features]:
        self.calls += 1
        assert len(images) == len(calibration_pictures())
        return [picture(seed=seed) for seed in range(len(images))]


def test_roles_are_computed_once(tmp_path: Path) -> None:
    model = Model()
    first = cached_roles(KEY, model, tmp_path / "roles")
    again = cached_roles(KEY, model, tmp_path / "roles")
    assert model.calls == 1
    assert again == first  # to the last bit
    assert cached_roles("other:abc:fp32:p1", model, tmp_path / "roles") == first
    assert model.calls == 2  # another model has roles of its own
    assert len(list((tmp_path / "roles").iterdir())) == 2  # and nothing temporary is left


GOOD = json.dumps({"model": KEY, "agreement": [0.5, -0.5, 0.0]})


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(b"", id="empty"),
        pytest.param(GOOD[: len(GOOD) // 2].encode(), id="cut-off"),
        pytest.param(b"\xff\xfe\x00", id="not-text"),
        pytest.param(b"[0.5, -0.5, 0.0]", id="list"),
        pytest.param(b"3", id="number"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no-agreement"),
        pytest.param(b'{"agreement": []}', id="no-heads"),
        pytest.param(b'{"agreement": 0.5}', id="not-a-list"),
        pytest.param(b'{"agreement": [0.5, null, 0]}', id="null-among-numbers"),
        pytest.param(b'{"agreement": [NaN, 0.5, 0]}', id="nan"),
        pytest.param(b'{"agreement": ["high", 0.5, 0]}', id="word"),
        pytest.param(b'{"agreement": "101"}', id="text-of-digits"),
        pytest.param(b'{"agreement": {"0.5": 1}}', id="object"),
        pytest.param(b'{"agreement": [50, -50, 0]}', id="no-correlation"),
    ],
)
def test_cache_that_does_not_fit_is_redone(tmp_path: Path, stored: bytes) -> None:
    model = Model()
    right = cached_roles(KEY, model, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(stored)
    assert cached_roles(KEY, model, tmp_path) == right
    assert model.calls == 2
    assert cached_roles(KEY, model, tmp_path) == right
    assert model.calls == 2  # the good file is back


def test_a_folder_where_the_file_should_be_does_not_stop_it(tmp_path: Path) -> None:
    model = Model()
    right = cached_roles(KEY, model, tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.mkdir()
    assert cached_roles(KEY, model, tmp_path) == right


@pytest.mark.parametrize("exists", [True, False], ids=["folder", "no-folder"])
def test_where_nothing_can_be_written_it_works(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "roles"
    if exists:
        folder.mkdir()
    (folder if exists else tmp_path).chmod(0o555)
    try:
        if os.access(folder if exists else tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere (root)")
        assert cached_roles(KEY, Model(), folder).figure == (0,)
    finally:
        (folder if exists else tmp_path).chmod(0o755)


def test_a_file_in_place_of_the_folder_does_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / "roles").write_text("not a folder")
    assert cached_roles(KEY, Model(), tmp_path / "roles").figure == (0,)


def test_calibration_pictures_come_with_the_package() -> None:
    pictures = calibration_pictures()
    assert len(pictures) >= 3
    assert all(p.dtype == np.uint8 and p.ndim == 3 and p.shape[2] == 3 for p in pictures)


@pytest.mark.weights
def test_roles_of_dinov2_small(labeler: Labeler) -> None:
    assert labeler.roles.ground == (3,)
    assert labeler.roles.figure == (0, 1, 2, 4, 5)


@pytest.mark.weights
def test_figure_map_finds_the_cat(photos: dict[str, Real], labeler: Labeler) -> None:
    cat = photos["cat"]
    shown = figure_map(cat.features, labeler.roles)
    height, width = shown.shape
    face = shown[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
    assert face.mean() > shown[border(shown.shape)].mean() + 1
