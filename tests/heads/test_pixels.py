"""The pixel head on drawn discs."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from labeler_backend.heads import pixel_crops, pixels
from labeler_backend.heads.pixel_crops import truth
from labeler_backend.heads.pixels import PixelHead, choose_zoom, working_picture
from labeler_backend.heads.types import Sample
from labeler_backend.heads.windows import shrunk
from tests.heads.made_samples import GRID, SIZE, class_map, disc, sample

CLASSES = ("red", "blue")
LAID_OUT = [
    [("red", 30, 30, 12), ("blue", 70, 90, 14)],
    [("red", 80, 40, 10), ("red", 40, 100, 13), ("blue", 90, 110, 9)],
    [("blue", 30, 60, 12), ("red", 85, 85, 12)],
]


def trained(samples: list[Sample], steps: int = 60) -> PixelHead:
    return pixels.fit(samples, [class_map(s, CLASSES) for s in samples], CLASSES, steps=steps)


@pytest.fixture(scope="module")
def head() -> Iterator[PixelHead]:
    """From small crops, which is enough for discs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_crops, "CROP", 96)
        yield trained([sample(discs, seed) for seed, discs in enumerate(LAID_OUT)])


def test_it_finds_the_pixels_of_each_class(head: PixelHead) -> None:
    new = sample([("red", 60, 40, 13), ("blue", 40, 105, 12)], seed=9)
    maps = head.predict(new.picture, new.features, class_map(new, CLASSES), new.proposals)
    np.testing.assert_allclose(maps.classes.sum(axis=0), 1, atol=1e-4)
    for channel, mask in enumerate(new.masks, start=1):
        found, true = maps.classes.argmax(axis=0) == channel, np.zeros(maps.size, bool)
        window = shrunk(mask, maps.size)
        true[window.place] = window.mask
        assert (found & true).sum() / (found | true).sum() > 0.7


def test_saved_and_loaded_it_says_the_same(head: PixelHead) -> None:
    new = sample([("red", 60, 40, 13)], seed=9)
    asked = new.picture, new.features, class_map(new, CLASSES), new.proposals
    tensors = head.to_tensors()
    assert all(isinstance(value, np.ndarray) for value in tensors.values())
    np.testing.assert_array_equal(
        PixelHead.from_tensors(tensors).predict(*asked).classes, head.predict(*asked).classes
    )


def test_training_twice_gives_the_same() -> None:
    samples = [sample(LAID_OUT[0])]
    first, second = trained(samples, 3).to_tensors(), trained(samples, 3).to_tensors()
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("radius", "fine", "zoom"),
    [
        pytest.param(5, 2, 2.0, id="small objects, a finer picture"),
        pytest.param(5, 1, 1.0, id="small objects, no finer picture"),
        pytest.param(25, 2, 1.0, id="large objects"),
    ],
)
def test_small_objects_call_for_a_finer_picture(radius: int, fine: int, zoom: float) -> None:
    assert choose_zoom([sample([("red", 50, 50, radius)], fine=fine)]) == zoom


@pytest.mark.parametrize(
    ("image", "zoom", "expected"),
    [
        pytest.param((112, 140), 2.0, (112, 144), id="no finer than the image"),
        pytest.param((448, 560), 2.0, (224, 280), id="twice as fine"),
        pytest.param((448, 560), 1.0, (112, 144), id="the model's own size"),
        pytest.param((28, 35), 1.0, (112, 144), id="an image smaller than the model's input"),
    ],
)
def test_working_size(image, zoom, expected) -> None:
    picture = np.zeros((*image, 3), np.uint8)
    assert working_picture(picture, sample([]).features, zoom).shape[:2] == expected


def test_what_nobody_labelled_weighs_nothing_and_others_keep_their_class() -> None:
    one = sample([("red", 30, 30, 12), ("blue", 70, 90, 14)])
    one = dataclasses.replace(one, labels=("red", "gone from the config"))
    unknown = np.zeros(GRID, np.uint8)
    unknown[:, 0] = 255
    one = dataclasses.replace(one, unknown=unknown)
    made = truth(one, CLASSES, one.picture, np.zeros((1, *GRID), np.float32))
    assert set(np.unique(made.figure)) == {0, 1}
    assert (made.weight[disc(70, 90, 14)] == 0).all()
    assert (made.weight[:, :6] == 0).all()
    assert (made.weight[disc(30, 30, 12) & (np.arange(SIZE[1]) > 20)] > 1).all()


def test_depth_parts_what_touches() -> None:
    made = truth(
        sample([("red", 50, 40, 16), ("red", 50, 72, 16)]), CLASSES, sample([]).picture, np.zeros((1, *GRID))
    )
    assert made.depth[50, 40] > 0.9
    assert made.depth[50, 56] < 0.15
    assert made.weight[50, 56] > 2 * made.weight[50, 40]
