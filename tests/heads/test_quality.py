"""The model that tells objects from other regions."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from labeler_backend.heads import quality as quality_module
from labeler_backend.heads.evidence import EMERGENT_COLUMN, MAP_COLUMN
from labeler_backend.heads.quality import GOOD, MISNAMED, Quality, fit, worth


@pytest.fixture(autouse=True)
def _fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for regions that one number tells apart."""
    monkeypatch.setattr(quality_module, "STEPS", 120)


def tables(images: int, seed: int = 0, informative: int = 5) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Regions whose worth depends on one of the numbers."""
    rng = np.random.default_rng(seed)
    values, worths = [], []
    for _ in range(images):
        numbers = rng.normal(0, 1, (60, 8)).astype(np.float32)
        numbers[:, [EMERGENT_COLUMN, MAP_COLUMN]] = rng.random((60, 2))
        values.append(numbers)
        strength = numbers[:, informative] * (3 if informative < 2 else 1)
        iou = np.clip(strength - (1.2 if informative < 2 else 0.2), 0, 1).astype(np.float32)
        worths.append(worth(iou, np.zeros_like(iou)))
    return values, worths


def test_it_learns_what_makes_an_object_and_its_score_is_a_chance() -> None:
    quality = fit(*tables(6))
    assert quality.weights[2] > 0.3
    values, worths = tables(4, seed=1)
    scores, hits = quality.score(np.concatenate(values)), np.concatenate(worths) >= GOOD
    assert scores[hits].mean() > 0.75
    assert scores[~hits].mean() < 0.2
    assert abs(scores.mean() - hits.mean()) < 0.07


@pytest.mark.parametrize(
    ("images", "informative"),
    [
        pytest.param(0, 5, id="no image"),
        pytest.param(1, 5, id="one image"),
    ],
)
def test_with_too_little_emergent_score_and_map_both_rank(images: int, informative: int) -> None:
    quality = fit(*tables(images, informative=informative))
    assert quality.weights.tolist() == [1, 0.5, 0]
    values = tables(1)[0][0]
    values[:, [EMERGENT_COLUMN, MAP_COLUMN]] *= 0.6
    for column in (EMERGENT_COLUMN, MAP_COLUMN):
        better = values.copy()
        better[:, column] += 0.3
        assert (quality.score(better) > quality.score(values)).all()
        others = np.delete(np.arange(values.shape[1]), [EMERGENT_COLUMN, MAP_COLUMN])
        same = np.where(np.isin(np.arange(values.shape[1]), others), 7, values)
        np.testing.assert_array_equal(quality.score(same), quality.score(values))


def test_regions_without_an_object_among_them_teach_nothing() -> None:
    values, worths = tables(5)
    assert fit(values, [np.zeros_like(one) for one in worths]).network is None


def test_regions_that_are_all_objects_teach_nothing() -> None:
    values, worths = tables(5)
    assert fit(values, [np.ones_like(one) for one in worths]).network is None


def test_images_without_regions_do_no_harm() -> None:
    values, worths = tables(5)
    nothing = np.zeros((0, 8), np.float32)
    assert fit([nothing, *values], [np.zeros(0, np.float32), *worths]).network is not None


@pytest.mark.parametrize("images", [pytest.param(1, id="emergent"), pytest.param(6, id="learned")])
def test_saved_and_loaded(images: int) -> None:
    quality = fit(*tables(images))
    back = Quality.from_tensors(quality.to_tensors())
    values = tables(1, seed=2)[0][0]
    np.testing.assert_allclose(back.score(values), quality.score(values), rtol=1e-5)
    assert back.score(np.zeros((0, 8), np.float32)).shape == (0,)


def test_where_only_the_emergent_score_tells_it_leads() -> None:
    quality = fit(*tables(6, informative=EMERGENT_COLUMN))
    values, worths = tables(4, seed=1, informative=EMERGENT_COLUMN)
    scores, hits = quality.score(np.concatenate(values)), np.concatenate(worths) >= GOOD
    assert roc_auc_score(hits, scores) > 0.97


def test_the_same_regions_give_the_same_model() -> None:
    values = tables(1, seed=2)[0][0]
    np.testing.assert_array_equal(fit(*tables(6)).score(values), fit(*tables(6)).score(values))


@pytest.mark.parametrize(
    ("iou", "misnamed", "expected"),
    [
        pytest.param(0.95, 0.0, 1.0, id="fits, and is named"),
        pytest.param(0.0, 0.95, MISNAMED, id="fits, under a wrong name"),
        pytest.param(0.4, 0.95, MISNAMED, id="of two objects the one that it covers counts"),
        pytest.param(0.5, 0.0, GOOD, id="half"),
        pytest.param(0.5, 0.5, GOOD, id="as much of either: the name is right"),
        pytest.param(0.3, 0.4, 0.0, id="covers none"),
    ],
)
def test_a_region_under_a_wrong_name_is_worth_less_than_one_under_its_own(
    iou: float, misnamed: float, expected: float
) -> None:
    found = worth(np.array([iou], np.float32), np.array([misnamed], np.float32))
    assert found[0] == pytest.approx(expected, abs=1e-6)
