"""Which model makes the class map."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.heads import maps
from labeler_backend.heads.knn import Neighbours
from labeler_backend.heads.logistic import Logistic
from labeler_backend.heads.maps import Blend, Recipe, choose, from_tensors, probabilities, recipes, tensors_of
from labeler_backend.heads.patches import table
from tests.heads.made_heads import sample

CLASSES = ("square",)
SAMPLES = [sample(f"{i}", i) for i in range(4)]
FOLDS = np.arange(4) % 2


@pytest.mark.parametrize(
    ("images", "kind", "tried"),
    [
        pytest.param(1, "auto", ["knn"], id="one-image"),
        pytest.param(2, "auto", ["knn"] + ["logistic"] * 3 + ["blend"] * 3, id="two"),
        pytest.param(20, "auto", ["knn"] + ["logistic"] * 3 + ["blend"] * 3, id="twenty"),
        pytest.param(21, "auto", ["logistic"] * 3, id="many"),
        pytest.param(500, "knn", ["knn"], id="neighbours-asked-for"),
        pytest.param(1, "logistic", ["logistic"], id="regression-asked-for"),
        pytest.param(9, "blend", ["blend"] * 3, id="blend-asked-for"),
    ],
)
def test_what_is_tried(images: int, kind: str, tried: list[str]) -> None:
    assert [recipe.kind for recipe in recipes(images, kind)] == tried
    assert len(set(recipes(images, kind))) == len(tried)


@pytest.mark.parametrize("kind", maps.KINDS)
def test_probabilities(kind: str) -> None:
    model = Recipe(kind, 1e-2).fit(table(SAMPLES[:3], CLASSES))
    found = probabilities(model, SAMPLES[3].features)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    square = SAMPLES[3].coverage[0] > 0
    assert (found[1][square] > 0.5).all()
    assert (found[1][~square] < 0.5).mean() > 0.9  # the ground's tokens point anywhere, once at a square


@pytest.mark.parametrize("kind", maps.KINDS)
def test_saved_and_loaded(kind: str) -> None:
    model = Recipe(kind, 1e-2).fit(table(SAMPLES, CLASSES))
    again = from_tensors(kind, {**tensors_of(model), "other": np.zeros(1)})
    asked = SAMPLES[0].features
    assert np.array_equal(probabilities(again, asked), probabilities(model, asked))
    with pytest.raises(KeyError):
        from_tensors("forest", tensors_of(model))
    with pytest.raises(KeyError):
        from_tensors(kind, {})


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        pytest.param("knn", Neighbours, id="knn"),
        pytest.param("logistic", Logistic, id="logistic"),
        pytest.param("blend", Blend, id="blend"),
    ],
)
def test_what_was_asked_for_is_chosen(kind: str, model: type) -> None:
    found = choose(SAMPLES, FOLDS, CLASSES, kind)
    assert (found.recipe.kind, type(found.model)) == (kind, model)


def test_the_best_on_images_held_out_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A penalty that forbids everything loses, wherever it stands."""
    for penalties in ((1e9, 1e-2), (1e-2, 1e9)):
        monkeypatch.setattr(maps, "PENALTIES", penalties)
        assert choose(SAMPLES, FOLDS, CLASSES, "logistic").recipe.penalty == 1e-2


@pytest.mark.parametrize("kind", maps.KINDS)
def test_held_out_maps_come_from_the_other_folds(kind: str) -> None:
    found = choose(SAMPLES, FOLDS, CLASSES, kind)
    for i, held_out in enumerate(found.held_out):
        others = [s for s, fold in zip(SAMPLES, FOLDS, strict=True) if fold != FOLDS[i]]
        model = found.recipe.fit(table(others, CLASSES))
        np.testing.assert_allclose(held_out, probabilities(model, SAMPLES[i].features), atol=1e-6)


@pytest.mark.parametrize("count", [pytest.param(1, id="one-image"), pytest.param(3, id="one-group")])
def test_one_fold_only(count: int) -> None:
    found = choose(SAMPLES[:count], np.zeros(count, np.int64), CLASSES)
    assert len(found.held_out) == count
    assert np.array_equal(found.held_out[0], probabilities(found.model, SAMPLES[0].features))


def test_a_blend_is_the_geometric_mean_of_its_parts() -> None:
    patches, asked = table(SAMPLES[:3], CLASSES), SAMPLES[3].features
    blend, neighbours, regression = (Recipe(kind, 1e-2).fit(patches) for kind in ("blend", "knn", "logistic"))
    product = np.sqrt(probabilities(neighbours, asked) * probabilities(regression, asked))
    np.testing.assert_allclose(probabilities(blend, asked), product / product.sum(axis=0), atol=1e-4)


def test_progress_rises() -> None:
    told: list[float] = []
    choose(SAMPLES, FOLDS, CLASSES, progress=told.append)
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1
