from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from labeler_backend.backbone import cache as cache_module
from labeler_backend.backbone.cache import FeatureCache, encode_at_cached, encode_cached, rounded
from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.features import Features

Image = npt.NDArray[np.uint8]


@pytest.fixture
def tiny_encoder(tiny_folders: dict[str, Path]) -> Encoder:
    return Encoder.load(str(tiny_folders["dinov2"]), device="cpu", dtype="fp32", offline=True)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features", 10_000_000)


def _features(seed: int = 0, side: int = 10) -> Features:
    random = np.random.default_rng(seed)
    tokens = random.normal(scale=3, size=(side, side, 48)).astype(np.float32)
    attention = (random.random((3, side, side)) ** 30).astype(np.float32)  # down to 1e-30 and less
    middle = random.normal(scale=9, size=(side, side, 96)).astype(np.float16)
    return Features(tokens, attention, (100, 120), (side * 14, side * 14), "model:abc:fp32:p1", middle)


def _same_bits(first: Features, second: Features) -> bool:
    for field in fields(Features):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or a.tobytes() != b.tobytes():
                return False
        elif a != b:
            return False
    return True


def _entries(cache: FeatureCache) -> list[Path]:
    return sorted(path for path in cache.root.rglob("*") if path.is_file())


def test_what_comes_back_is_what_went_in_rounded(cache: FeatureCache) -> None:
    features = _features()
    assert cache.get("a" * 64) is None
    cache.put("a" * 64, features)
    found = cache.get("a" * 64)
    assert found is not None
    assert _same_bits(found, rounded(features))
    assert np.allclose(found.tokens, features.tokens, rtol=1e-3, atol=1e-6)
    assert (found.attention == features.attention).all()
    assert _entries(cache) == [cache.path("a" * 64)]


def test_an_entry_without_middle_layers_is_computed_again(
    cache: FeatureCache, caplog: pytest.LogCaptureFixture
) -> None:
    """As earlier versions of the program wrote them."""
    cache.put("a" * 64, replace(_features(), middle=None))
    assert _entries(cache)
    assert cache.get("a" * 64) is None
    assert not caplog.records
    cache.put("a" * 64, _features())
    assert cache.get("a" * 64) is not None


def test_key_changes_with_pixels_shape_model_and_size(coffee: Image) -> None:
    changed = coffee.copy()
    changed[200, 300, 1] ^= 1
    keys = [
        FeatureCache.key(coffee, "model", (70, 98)),
        FeatureCache.key(changed, "model", (70, 98)),
        FeatureCache.key(coffee.reshape(600, 400, 3), "model", (70, 98)),
        FeatureCache.key(coffee, "other", (70, 98)),
        FeatureCache.key(coffee, "model", (98, 70)),
    ]
    assert len(set(keys)) == len(keys)
    assert FeatureCache.key(coffee[::-1][::-1], "model", (70, 98)) == keys[0]


class TestEncodeCached:
    def test_cached_fresh_and_uncached_answers_are_the_same_bits(
        self, tiny_encoder: Encoder, cache: FeatureCache, coffee: Image, astronaut: Image
    ) -> None:
        images = [coffee, astronaut, coffee]
        fresh = encode_cached(tiny_encoder, cache, images, size=112)
        found = encode_cached(tiny_encoder, cache, images, size=112)
        without = encode_cached(tiny_encoder, None, images, size=112)
        off = encode_cached(tiny_encoder, FeatureCache(cache.root, 0), images, size=112)
        for one in (found, without, off):
            assert all(_same_bits(a, b) for a, b in zip(fresh, one, strict=True))
        assert [features.image_size for features in fresh] == [image.shape[:2] for image in images]
        assert len(_entries(cache)) == 2

    def test_only_what_is_missing_is_computed(
        self,
        tiny_encoder: Encoder,
        cache: FeatureCache,
        coffee: Image,
        astronaut: Image,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        computed: list[int] = []
        compute = Encoder.encode_at

        def counting(self: Encoder, images: list[Image], *rest: object) -> list[Features]:
            computed.append(len(images))
            return compute(self, images, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(Encoder, "encode_at", counting)
        encode_cached(tiny_encoder, cache, [coffee, coffee], size=112)
        encode_cached(tiny_encoder, cache, [astronaut, coffee], size=112)
        encode_cached(tiny_encoder, cache, [coffee], size=126)
        encode_at_cached(tiny_encoder, cache, [coffee], [tiny_encoder.target_size(coffee, 126)])
        assert computed == [1, 1, 1, 0]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], id="one bit of a token"),
        pytest.param(lambda data: b"\xff" * len(data), id="garbage"),
        pytest.param(lambda data: data.replace(b"crc32", b"crc33"), id="another program's metadata"),
    ],
)
def test_damaged_entry_is_a_miss_and_is_removed(damage: object, cache: FeatureCache) -> None:
    assert callable(damage)
    cache.put("b" * 64, _features())
    path = cache.path("b" * 64)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("b" * 64) is None
    assert not path.exists()
    cache.put("b" * 64, _features())
    assert cache.get("b" * 64) is not None


class TestCap:
    def test_least_recently_used_goes_first(self, tmp_path: Path) -> None:
        size = len(cache_module._serialise(_features()))
        cache = FeatureCache(tmp_path, 10 * size + 100)
        keys = [f"{index:064d}"[::-1] for index in range(11)]
        for age, key in enumerate(keys[:10]):
            cache.put(key, _features())
            os.utime(cache.path(key), (time.time() - 1000 + age,) * 2)
        assert cache.get(keys[0]) is not None  # used again: now the youngest
        cache.put(keys[10], _features())
        there = [key for key in keys if cache.get(key) is not None]
        assert there == [keys[0], *keys[3:]]

    def test_never_above_the_cap(self, tmp_path: Path) -> None:
        size = len(cache_module._serialise(_features()))
        cache = FeatureCache(tmp_path, 7 * size)
        for index in range(30):
            cache.put(f"{index:064d}"[::-1], _features(index))
            assert sum(path.stat().st_size for path in _entries(cache)) <= cache.max_bytes

    def test_what_other_processes_stored_counts(self, tmp_path: Path) -> None:
        size = len(cache_module._serialise(_features()))
        ours, theirs = FeatureCache(tmp_path, 20 * size), FeatureCache(tmp_path, 20 * size)
        for index in range(30):
            ours.put(f"{index:064d}"[::-1], _features())
            theirs.put(f"{index + 100:064d}"[::-1], _features())
        assert sum(path.stat().st_size for path in _entries(ours)) <= 21 * size

    def test_an_entry_larger_than_the_cap_is_not_stored(self, tmp_path: Path) -> None:
        cache = FeatureCache(tmp_path, 1000)
        cache.put("c" * 64, _features())
        assert _entries(cache) == []

    def test_what_a_kill_left_is_cleared_but_not_what_is_being_written(self, cache: FeatureCache) -> None:
        cache.put("d" * 64, _features())
        old, new = (cache.path("d" * 64).with_name(f".{name}.part") for name in ("old", "new"))
        for path in (old, new):
            path.write_bytes(b"half")
        os.utime(old, (time.time() - 7200,) * 2)
        FeatureCache(cache.root, cache.max_bytes).put("e" * 64, _features())
        assert not old.exists()
        assert new.exists()


def test_several_processes_share_one_folder(tmp_path: Path) -> None:
    """Writers under a cap that keeps deleting beneath the readers: nobody fails, every hit is right."""
    code = """
import sys
from pathlib import Path
from labeler_backend.backbone.cache import FeatureCache, rounded
from tests.backbone.test_cache import _features, _same_bits
cache, hits = FeatureCache(Path(sys.argv[1]), 320_000), 0
for turn in range(150):
    seed = turn * 7 % 20
    found = cache.get(f"{seed:064d}"[::-1])
    if found is None:
        cache.put(f"{seed:064d}"[::-1], _features(seed))
    else:
        assert _same_bits(found, rounded(_features(seed)))
        hits += 1
print(hits)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert sum(int(output) for output, _ in results) > 0
    assert all(errors == "" for _, errors in results)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_where_nothing_can_be_written_it_warns_once_and_still_reads(
    number: int, cache: FeatureCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put("f" * 64, _features())

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(os, "utime", fail)
    with caplog.at_level(logging.WARNING, "labeler_backend"):
        for name in "123":
            cache.put(name * 64, _features())
    assert len(caplog.records) == 1
    assert os.strerror(number) in caplog.text
    assert cache.get("f" * 64) is not None
    assert cache.get("1" * 64) is None
    assert len(_entries(cache)) == 1


@pytest.mark.weights
def test_real_features_survive_rounding(encoder: Encoder, astronaut: Image) -> None:
    exact = encoder.encode([astronaut], size=224)[0]
    kept = rounded(exact)
    cosine = (exact.tokens * kept.tokens).sum(-1)
    cosine /= np.linalg.norm(exact.tokens, axis=-1) * np.linalg.norm(kept.tokens, axis=-1)
    assert np.isfinite(kept.tokens).all()
    assert cosine.min() > 0.999999
