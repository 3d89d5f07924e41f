"""The one object that everything calls: what it answers does not depend on caches, threads or company."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labeler_backend import labeler as labeler_module
from labeler_backend.backbone.cache import FeatureCache
from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.features import Features
from labeler_backend.errors import LabelerError
from labeler_backend.labeler import Labeler
from labeler_backend.masks.metrics import iou
from labeler_backend.media import RGB, decode
from labeler_backend.prompts.recent import Recent
from labeler_backend.prompts.types import Point, Prompt
from labeler_backend.proposals.pools import PoolCache
from labeler_backend.proposals.types import Proposal
from tests.conftest import EXAMPLES

pytestmark = pytest.mark.weights
COIN = (44, 54)
"""x, y of the middle of one of the coins; its radius is 21 pixels."""


@pytest.fixture(scope="module")
def small(labeler: Labeler) -> Labeler:
    """Looks at 280 pixels: a fifth of the time."""
    return replace(labeler, size=280)


@pytest.fixture(scope="module")
def images() -> list[RGB]:
    """Two grids, one of them twice."""
    return [decode(EXAMPLES / f"{name}.jpg") for name in ("astronaut", "coffee", "cameraman")]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of the model was given."""
    counted: list[int] = []
    forward = Encoder._forward

    def counting(self: Encoder, images: Sequence[RGB], input_size: tuple[int, int]) -> list[Features]:
        counted.append(len(images))
        return forward(self, images, input_size)

    monkeypatch.setattr(Encoder, "_forward", counting)
    return counted


def bits(found: list[Proposal]) -> list[tuple[str, float, str]]:
    return [(p.rle["counts"], p.score, p.source) for p in found]


def test_masks_is_encode_and_propose(small: Labeler, images: list[RGB]) -> None:
    found = small.masks(images[0])
    assert found
    assert all(tuple(p.rle["size"]) == images[0].shape[:2] for p in found)
    assert bits(found) == bits(small.propose(images[0], small.encode([images[0]])[0]))


def test_company_changes_nothing(small: Labeler, images: list[RGB]) -> None:
    together = small.encode(images)
    for image, features in zip(images, together, strict=True):
        alone = small.encode([image])[0]
        assert features.tokens.tobytes() == alone.tokens.tobytes()
        assert features.attention.tobytes() == alone.attention.tobytes()


@pytest.mark.parametrize("size", [(512, 512), (300, 451), (14, 600), (8, 8), (4000, 17)], ids=str)
def test_grid_is_that_of_the_features(small: Labeler, size: tuple[int, int]) -> None:
    features = small.encode([np.zeros((*size, 3), np.uint8)])[0]
    assert small.grid(size) == features.grid
    assert features.image_size == size


def test_fingerprint_changes_with_each_setting(labeler: Labeler) -> None:
    settings = labeler.settings
    others = [
        replace(labeler, size=280),
        replace(labeler, encoder=replace(labeler.encoder, model_key="other")),
        replace(labeler, settings=replace(settings, max_proposals=19)),
        replace(labeler, settings=replace(settings, min_score=0.5)),
        replace(labeler, settings=replace(settings, grid_overlap=0.4)),
        replace(labeler, settings=replace(settings, mask_overlap=0.4)),
    ]
    prints = [one.fingerprint for one in (labeler, *others)]
    assert len(set(prints)) == len(prints)
    assert labeler.encoder.model_key in labeler.fingerprint
    assert replace(labeler).fingerprint == labeler.fingerprint


def test_cache_location_is_no_part_of_the_fingerprint(labeler: Labeler, tmp_path: Path) -> None:
    assert replace(labeler, cache=FeatureCache(tmp_path, 10**8)).fingerprint == labeler.fingerprint


def test_the_cache_is_used_and_gives_equal_bits(
    small: Labeler, images: list[RGB], tmp_path: Path, calls: list[int]
) -> None:
    plain = bits(small.masks(images[0]))
    cached = replace(small, cache=FeatureCache(tmp_path, 10**8))
    del calls[:]
    assert bits(cached.masks(images[0])) == plain
    assert calls == [1]
    assert bits(cached.masks(images[0].copy())) == plain
    assert calls == [1]
    other = replace(small, cache=FeatureCache(tmp_path, 10**8))  # as another process would
    assert bits(other.masks(images[0])) == plain
    assert calls == [1]


def test_other_settings_use_the_same_features(
    small: Labeler, images: list[RGB], tmp_path: Path, calls: list[int]
) -> None:
    cached = replace(small, cache=FeatureCache(tmp_path, 10**8))
    cached.masks(images[0])
    replace(cached, settings=replace(cached.settings, max_proposals=3)).masks(images[0])
    assert calls == [1]
    replace(cached, size=224).masks(images[0])  # but what the model sees is another thing
    assert calls == [1, 1]


def test_only_what_the_cache_lacks_is_computed(
    small: Labeler, images: list[RGB], tmp_path: Path, calls: list[int]
) -> None:
    cached = replace(small, cache=FeatureCache(tmp_path, 10**8))
    cached.encode(images[:1])
    del calls[:]
    cached.encode([images[1], images[0], images[1]])
    assert sum(calls) == 1


def test_a_damaged_entry_is_computed_again(
    small: Labeler, images: list[RGB], tmp_path: Path, calls: list[int]
) -> None:
    cached = replace(small, cache=FeatureCache(tmp_path, 10**8))
    before = bits(cached.masks(images[0]))
    (entry,) = tmp_path.rglob("*.safetensors")
    data = bytearray(entry.read_bytes())
    data[-100] ^= 1
    entry.write_bytes(data)
    assert bits(cached.masks(images[0])) == before
    assert calls == [1, 1]


def test_threads_give_the_same_as_one(small: Labeler, images: list[RGB]) -> None:
    alone = [bits(small.masks(image)) for image in images]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            assert [bits(found) for found in pool.map(small.masks, images)] == alone


def test_threads_may_share_a_cache(small: Labeler, images: list[RGB], tmp_path: Path) -> None:
    alone = bits(small.masks(images[1]))
    cached = replace(small, cache=FeatureCache(tmp_path, 10**8))
    with ThreadPoolExecutor(4) as pool:
        assert [bits(found) for found in pool.map(cached.masks, 4 * images[1:2])] == 4 * [alone]


def test_load_takes_the_settings(labeler: Labeler, calls: list[int]) -> None:
    loaded = Labeler.load(
        "dinov2-small", device="cpu", dtype="fp32", size=280, max_proposals=3, min_score=0.25
    )
    assert (loaded.size, loaded.settings.max_proposals, loaded.settings.min_score) == (280, 3, 0.25)
    assert loaded.roles == labeler.roles
    assert calls == []  # the roles were kept when `labeler` was loaded
    assert loaded.encoder.model_key == labeler.encoder.model_key


def test_load_of_an_unknown_model_says_so() -> None:
    with pytest.raises(LabelerError, match="no-such-model"):
        Labeler.load("no-such-model")


def test_a_pool_is_computed_once_for_all_heads(
    small: Labeler, images: list[RGB], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = small.encode([images[0]])[0]
    plain = small.pool(images[0], features)
    kept = replace(small, pools=PoolCache(tmp_path, 10**8))
    assert kept.pool(images[0], features) == plain
    monkeypatch.setattr(labeler_module, "propose", None)
    assert kept.pool(images[0], features) == plain
    assert replace(kept, head_name="another").pool(images[0].copy(), features) == plain


def test_a_click_encodes_once_and_the_next_ones_not_at_all(
    labeler: Labeler, images: list[RGB], calls: list[int], tmp_path: Path
) -> None:
    caches = {
        "cache": FeatureCache(tmp_path / "features", 1 << 30),
        "pools": PoolCache(tmp_path / "pools", 1 << 30),
    }
    cup = Point(300, 150)
    first = replace(labeler, recent=Recent(), **caches).click(images[1], Prompt((cup,)))
    mask = first.found[0].mask
    assert mask[150, 300]
    assert 0.05 < mask.mean() < 0.5
    encoded = len(calls)
    assert encoded == (2 if first.window else 1)
    again = replace(labeler, recent=Recent(), **caches)  # another process, with the same folders
    assert again.click(images[1], Prompt((cup,))).found[0].mask.tobytes() == mask.tobytes()
    corrected = again.click(images[1], Prompt((cup, Point(10, 10)), previous=mask)).found[0].mask
    assert corrected[10, 10]
    assert corrected[150, 300]
    assert len(calls) == encoded


def test_a_small_object_is_looked_at_enlarged(labeler: Labeler, calls: list[int]) -> None:
    coins = decode(EXAMPLES / "coins.jpg")
    large = np.zeros((3 * coins.shape[0], 3 * coins.shape[1], 3), np.uint8)
    large[: coins.shape[0], : coins.shape[1]] = coins
    answer = replace(labeler, recent=Recent()).click(large, Prompt((Point(*COIN),)))
    assert answer.window is not None
    assert len(calls) == 2
    rows, columns = np.mgrid[: large.shape[0], : large.shape[1]] + 0.5
    assert iou(answer.found[0].mask, np.hypot(columns - COIN[0], rows - COIN[1]) < 21) > 0.8


@pytest.mark.parametrize(
    ("box", "least"),
    [
        pytest.param((210.0, 5.0, 300.0, 320.0), 0.3, id="around the cup"),
        pytest.param((700.0, 500.0, 40.0, 40.0), 0.0, id="outside the picture"),
        pytest.param((20.0, 20.0, 0.0, 0.0), 0.0, id="a point"),
    ],
)
def test_there_is_something_in_every_box_and_nothing_outside(
    small: Labeler, images: list[RGB], box: tuple[float, float, float, float], least: float
) -> None:
    mask = replace(small, recent=Recent()).mask_in_box(images[1], box)
    assert mask.shape == images[1].shape[:2]
    x, y, w, h = map(int, box)
    inside = mask[y : y + h, x : x + w]
    assert mask.any()
    if least:
        assert inside.sum() == mask.sum()
        assert inside.mean() > least
