from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeler_backend.backbone.features import Features
from labeler_backend.files import write_bytes
from labeler_backend.heads import sample_log, samples
from labeler_backend.heads.errors import SampleError
from labeler_backend.heads.samples import SampleStore, coverage
from labeler_backend.heads.types import BULK, Sample
from labeler_backend.masks.rle import encode
from tests.heads.made import MODEL, box, key_of, sample

LOG = "log.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    return SampleStore(tmp_path / "samples")


def again(store: SampleStore, model_key: str = "") -> SampleStore:
    """As another process sees it."""
    return SampleStore(store.folder, model_key)


def files(store: SampleStore) -> list[Path]:
    return sorted(store.folder.rglob("*.safetensors"))


def assert_same(one: Sample, other: Sample) -> None:
    for field in fields(Sample):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Features):
            assert a.tokens.tobytes() == b.tokens.tobytes()
            assert a.attention.tobytes() == b.attention.tobytes()
            assert a.middle is not None
            assert b.middle is not None
            assert a.middle.dtype == b.middle.dtype == np.float16
            assert a.middle.tobytes() == b.middle.tobytes()
            assert replace(a, tokens=b.tokens, attention=b.attention, middle=b.middle) == b
        elif isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            assert np.array_equal(a, b), field.name
        else:
            assert a == b, field.name


def test_an_image_of_an_earlier_version_has_no_middle_layers(store: SampleStore) -> None:
    old = sample(0)
    store.put(replace(old, features=replace(old.features, middle=None)))
    store.put(sample(1))
    found = again(store)
    assert [one.features.middle is None for one in found] == [True, False]
    facts = [found.facts(key_of(n)) for n in range(2)]
    assert [one is not None and one.middle for one in facts] == [False, True]


# --- coverage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        pytest.param((56, 84), (4, 6), id="patches of whole pixels"),
        pytest.param((50, 77), (4, 6), id="patches of parts of pixels"),
        pytest.param((8, 9), (37, 37), id="pixels larger than patches"),
        pytest.param((8, 600), (37, 37), id="larger only along one side"),
        pytest.param((1, 1), (3, 2), id="one pixel"),
    ],
)
def test_coverage_is_the_exact_share_by_area(size: tuple[int, int], grid: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(size) > 0.4
    (found,) = coverage([encode(mask)], size, grid)
    rows, columns = (overlaps(pixels, patches) for pixels, patches in zip(size, grid, strict=True))
    exact = rows @ mask.astype(float) @ columns.T * 255
    assert found.shape == grid
    assert np.abs(found - exact).max() <= 1


def overlaps(pixels: int, patches: int) -> np.ndarray[Any, Any]:
    """(patches, pixels): which share of a patch each pixel makes up along one side."""
    edges = np.linspace(0, pixels, patches + 1)
    at = np.arange(pixels)
    inner = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    shares: np.ndarray[Any, Any] = np.clip(inner, 0, None) * patches / pixels
    return shares


@given(
    mask=hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    grid=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_coverage_keeps_the_area(mask: np.ndarray[Any, Any], grid: tuple[int, int]) -> None:
    size = (mask.shape[0], mask.shape[1])
    (found,) = coverage([encode(mask)], size, grid)
    assert found.mean() == pytest.approx(255 * mask.mean(), abs=1)


def test_coverage_of_nothing() -> None:
    assert coverage([], (10, 10), (2, 3)).shape == (0, 2, 3)


def test_coverage_of_another_image_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie"):
        coverage([box((10, 10), 0, 0, 5, 5)], (10, 11), (2, 2))


# --- what goes in comes out ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(sample(1), id="two objects"),
        pytest.param(sample(2, labels=()), id="an image with nothing in it"),
        pytest.param(sample(3, labels=("Zürich \u2028 \n 猫", "\ud800")), id="labels of all kinds"),
        pytest.param(replace(sample(4), trust=BULK, proposals=()), id="accepted in bulk, nothing proposed"),
    ],
)
def test_what_goes_in_comes_out(store: SampleStore, made: Sample) -> None:
    store.put(made)
    assert_same(again(store).load(made.key), made)
    (found,) = again(store)
    assert_same(found, made)


def test_samples_come_in_the_order_in_which_they_first_came(store: SampleStore) -> None:
    assert (store.keys(), len(store), list(store)) == ([], 0, [])
    for n in (5, 3, 9):
        store.put(sample(n))
    store.put(sample(5, revision="r2"))
    store.forget([key_of(3)])
    store.put(sample(3))
    expected = [key_of(n) for n in (5, 3, 9)]
    assert store.keys() == expected
    assert [one.key for one in again(store)] == expected
    assert len(store) == 3


def test_another_annotation_takes_effect(store: SampleStore) -> None:
    first = sample(1)
    store.put(first)
    assert store.has(first.key, "r1")
    masks = (box((80, 100), 0, 0, 80, 50),)
    unknown = np.full((4, 5), 9, np.uint8)
    arguments = (first.key, "g", ("bird",), masks, unknown, BULK)
    assert store.annotate(*arguments, "r2")
    assert not store.annotate(*arguments, "r2")
    assert not store.has(first.key, "r1")
    found = again(store).load(first.key)
    expected = replace(
        first,
        group="g",
        labels=("bird",),
        masks=masks,
        unknown=unknown,
        trust=BULK,
        revision="r2",
        coverage=coverage(masks, (80, 100), (4, 5)),
    )
    assert_same(found, expected)
    assert len(files(store)) == 1


def test_an_image_that_is_not_kept_cannot_be_annotated(store: SampleStore) -> None:
    with pytest.raises(SampleError, match="take it in first"):
        store.annotate(key_of(1), "", (), (), np.zeros((4, 5), np.uint8), 1.0, "r")
    with pytest.raises(SampleError, match="no sample"):
        store.load(key_of(1))


def test_what_was_deleted_counts_no_more(store: SampleStore) -> None:
    for n in range(4):
        store.put(sample(n))
    other = again(store)
    assert len(other) == 4
    assert store.forget([key_of(0), "unheard of"]) == 1
    assert store.forget([key_of(0)]) == 0
    assert store.keep_only([key_of(2), key_of(3)]) == 1
    assert other.keys() == [key_of(2), key_of(3)]
    assert not other.has(key_of(0), "r1")
    assert other.has_image(key_of(0))  # it need not be encoded again
    one = sample(0)
    assert other.annotate(one.key, one.group, one.labels, one.masks, one.unknown, one.trust, one.revision)
    assert_same(store.load(one.key), one)


def test_one_source_says_nothing_of_another(store: SampleStore) -> None:
    store.put(sample(0), source="studio")
    store.put(sample(1), source="studio")
    store.put(sample(2), source="file")
    assert store.keep_only([key_of(1)], "studio") == 1
    assert store.keys() == [key_of(1), key_of(2)]


def test_an_address_leads_to_the_image_that_was_last_there(store: SampleStore) -> None:
    store.put(sample(0), address="a")
    store.put(sample(1), address="a")
    store.put(sample(0), address="b")
    assert [again(store).key_at(address) for address in "abc"] == [key_of(1), key_of(0), None]


def test_the_digest_changes_with_what_there_is_to_learn(store: SampleStore) -> None:
    steps = [
        lambda: store.put(sample(0)),
        lambda: store.put(sample(1)),
        lambda: store.put(sample(1, revision="r2")),
        lambda: store.put(sample(1, revision="r2", model_key="other")),
        lambda: store.forget([key_of(0)]),
    ]
    digests = [store.digest()]
    for step in steps:
        step()
        digests.append(store.digest())
    assert len(set(digests)) == len(digests)
    store.put(sample(0))
    store.put(sample(1, revision="r2"))
    store.forget([key_of(0)])
    store.put(sample(1, revision="r1"))
    store.put(sample(0))
    assert store.digest() == again(store).digest() == digests[2]


# --- other weights ------------------------------------------------------------------------------------------


def test_features_of_other_weights_are_left_out_and_told(store: SampleStore) -> None:
    store.put(sample(0))
    store.put(sample(1, model_key="other"))
    assert store.model_keys() == {MODEL, "other"}
    assert len(store) == 2
    mine = again(store, MODEL)
    assert [one.key for one in mine] == mine.keys() == [key_of(0)]
    assert len(mine.problems) == 1
    assert "1 of 2 samples" in mine.problems[0]
    with pytest.raises(SampleError):
        mine.load(key_of(1))


def test_an_annotation_outlives_another_grid(store: SampleStore) -> None:
    """As when a kill falls between the image's file and the log."""
    before, after = sample(0), sample(0, grid=(8, 10))
    store.put(before)
    (path,) = files(store)
    other = SampleStore(store.folder.parent / "other")
    other.put(after)
    write_bytes(path, files(other)[0].read_bytes())
    found = again(store).load(before.key)
    assert_same(found, replace(after, unknown=np.full((8, 10), 0, np.uint8)))


# --- damage -------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-500] ^= 4
    path.write_bytes(data)


def flip_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"attention\\",', b'\\"attentiom\\",', 1))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(cut, id="cut off"),
        pytest.param(flip, id="one bit"),
        pytest.param(flip_header, id="one letter of the header"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"\xff" * 1000), id="something else"),
        pytest.param(lambda path: path.unlink(), id="gone"),
    ],
)
def test_a_damaged_image_costs_only_itself(store: SampleStore, damage: Any) -> None:
    for n in range(3):
        store.put(sample(n))
    path = store.folder / "images" / key_of(1)[:2] / f"{key_of(1)}.safetensors"
    before = path.read_bytes()
    damage(path)
    assert not path.exists() or path.read_bytes() != before
    reader = again(store)
    assert [one.key for one in reader] == [key_of(0), key_of(2)]
    assert [one.key for one in reader] == [key_of(0), key_of(2)]
    assert len(reader.problems) == 1
    assert key_of(1) in reader.problems[0]
    assert not store.has_image(key_of(1))  # so that it is encoded again
    store.put(sample(1))
    assert len(list(again(store))) == 3


def damaged_line(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"annotation"' in line and key_of(1).encode() in line)
    lines[at] = lines[at].replace(b"group 1", b"group 2")
    return b"".join(lines)


def test_a_damaged_line_costs_only_itself(store: SampleStore) -> None:
    for n in range(3):
        store.put(sample(n))
    log = store.folder / LOG
    log.write_bytes(damaged_line(log.read_bytes()))
    reader = again(store)
    assert [one.key for one in reader] == [key_of(0), key_of(2)]
    assert "damaged" in reader.problems[0]
    assert reader.has_image(key_of(1))


def test_a_line_that_is_damaged_later_is_noticed(store: SampleStore) -> None:
    for n in range(2):
        store.put(sample(n))
    log = store.folder / LOG
    log.write_bytes(damaged_line(log.read_bytes()))
    assert [one.key for one in store] == [key_of(0)]
    assert "damaged" in store.problems[0]


@pytest.mark.parametrize("kept", [pytest.param(n, id=f"{n} bytes") for n in (1, 9, 200)])
def test_a_line_that_was_cut_off_by_a_kill_is_nothing(store: SampleStore, kept: int) -> None:
    store.put(sample(0))
    log = store.folder / LOG
    whole = log.read_bytes()
    store.put(sample(1))
    log.write_bytes(log.read_bytes()[: len(whole) + kept])
    reader = again(store)
    assert reader.keys() == [key_of(0)]
    reader.put(sample(2))
    assert log.read_bytes().startswith(whole)
    after = again(store)
    assert [one.key for one in after] == [key_of(0), key_of(2)]
    assert reader.keys() == [key_of(0), key_of(2)]
    assert after.problems == []


def test_a_folder_that_was_emptied_is_empty(store: SampleStore) -> None:
    store.put(sample(0))
    (store.folder / LOG).unlink()
    assert store.keys() == []
    store.put(sample(1))
    assert store.keys() == again(store).keys() == [key_of(1)]


def test_lines_of_a_later_version_are_passed_over(store: SampleStore) -> None:
    store.put(sample(0))
    sample_log.Log(store.folder / LOG).append([{"op": "something new", "key": key_of(0)}])
    assert len(list(again(store))) == 1


# --- disks --------------------------------------------------------------------------------------------------


def test_a_full_disk_damages_nothing(store: SampleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(sample(0))
    before = (store.folder / LOG).read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for where, name in ((sample_log.os, "fsync"), (samples, "write_bytes")):
        with monkeypatch.context() as patched:
            patched.setattr(where, name, full)
            with pytest.raises(SampleError, match="disk is full"):
                store.put(sample(1))
            with pytest.raises(SampleError, match="disk is full"):
                store.put(sample(0, revision="r2"))
    assert (store.folder / LOG).read_bytes() == before
    assert [one.revision for one in again(store)] == ["r1"]
    store.put(sample(1))
    assert len(list(again(store))) == 2
    assert list(store.folder.rglob("*.part")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_what_was_written_before_the_disk_was_full_is_taken_back(tmp_path: Path) -> None:
    log = sample_log.Log(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        log.append([{"op": "forget", "keys": []}])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read_can_be_read(store: SampleStore) -> None:
    store.put(sample(0))
    for folder in (store.folder, *store.folder.rglob("*")):
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    try:
        assert len(list(again(store))) == 1
        with pytest.raises(SampleError, match="permissions"):
            store.put(sample(1))
    finally:
        for folder in (store.folder, *store.folder.rglob("*")):
            folder.chmod(0o755)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("")
    with pytest.raises(SampleError, match="cannot be used"):
        SampleStore(tmp_path / "samples").put(sample(0))


# --- processes ----------------------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from labeler_backend.heads.samples import SampleStore
from tests.heads.made import sample
store, first, count = SampleStore(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
for n in range(first, first + count):
    store.put(sample(n))
    print(n, flush=True)
"""


def writer(store: SampleStore, first: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_WRITER), str(store.folder), str(first), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_several_processes_write_at_once(store: SampleStore) -> None:
    running = [writer(store, 100 * n, 15) for n in range(3)]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    reader = again(store)
    assert {one.key for one in reader} == {key_of(100 * n + m) for n in range(3) for m in range(15)}
    assert reader.problems == []


def test_a_kill_loses_nothing_that_was_put(store: SampleStore) -> None:
    told: list[int] = []
    for n in range(4):
        process = writer(store, 10_000 * n, 10_000)
        assert process.stdout is not None
        told.append(int(process.stdout.readline()))
        time.sleep(0.02 * n)
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout if line.endswith("\n")]
        process.wait()
    store.put(sample(7))
    reader = again(store)
    found = {one.key for one in reader}
    assert {key_of(n) for n in [*told, 7]} <= found
    assert (
        len(found) <= len(told) + 1 + 4
    )  # of each run, one may be stored that it could not tell of any more
    assert reader.problems == []


# --- compaction ---------------------------------------------------------------------------------------------


def test_only_what_nothing_refers_to_is_removed(store: SampleStore) -> None:
    for n in range(4):
        store.put(sample(n, model_key="other" if n == 3 else MODEL))
    live = files(store)
    assert store.idle() == set()
    assert store.compact(live) == 0
    store.forget([key_of(0), key_of(1)])
    mine = again(store, MODEL)  # those of other weights are somebody's, too
    idle = mine.idle()
    assert {path.stem for path in idle} == {key_of(0), key_of(1)}
    back = sample(1, revision="r2")
    assert store.annotate(
        back.key, back.group, back.labels, back.masks, back.unknown, back.trust, back.revision
    )
    assert mine.compact([*idle, *live]) == 1
    assert {path.stem for path in files(store)} == {key_of(1), key_of(2), key_of(3)}
    assert [one.key for one in again(store)] == [key_of(1), key_of(2), key_of(3)]
    assert not again(store).has_image(key_of(0))
    store.put(sample(0))
    assert_same(again(store).load(key_of(0)), sample(0))
    assert again(store).problems == []


def test_an_image_that_came_back_meanwhile_stays(store: SampleStore) -> None:
    store.put(sample(0))
    store.forget([key_of(0)])
    idle = store.idle()
    again(store).put(sample(0, revision="r2"))
    assert store.compact(idle) == 0
    assert store.load(key_of(0)).revision == "r2"


def test_what_damage_and_kills_left_is_removed(store: SampleStore) -> None:
    for n in range(2):
        store.put(sample(n))
    damaged, sound = files(store)
    damaged.write_bytes(b"")
    assert len(list(store)) == 1
    left = sound.with_name(f".{sound.name}.12345.part")
    left.write_bytes(b"half")
    assert store.idle() == {damaged.with_suffix(".damaged"), left}
    assert store.compact(store.idle()) == 2
    assert [path for path in store.folder.rglob("images/*/*") if path != sound] == []


def damaged_log(store: SampleStore) -> SampleStore:
    """As another process sees it when a bit of the annotation of image 1 has turned."""
    log = store.folder / LOG
    log.write_bytes(damaged_line(log.read_bytes()))
    return again(store)


def test_after_a_damaged_line_what_is_deleted_since_is_removed(store: SampleStore) -> None:
    for n in range(4):
        store.put(sample(n), source="file")
    reader = damaged_log(store)
    reader.forget([key_of(2)])
    assert {path.stem for path in reader.idle()} == {key_of(2)}
    assert reader.compact(reader.idle()) == 1
    assert {path.stem for path in files(store)} == {key_of(n) for n in (0, 1, 3)}
    assert [one.key for one in again(store)] == [key_of(0), key_of(3)]


def test_what_a_damaged_line_may_be_about_stays(store: SampleStore) -> None:
    """Image 0 was deleted before it: the line might have brought it back. Image 1 it is about."""
    store.put(sample(0), source="file")
    store.forget([key_of(0)])
    for n in (1, 2):
        store.put(sample(n), source="file")
    reader = damaged_log(store)
    assert reader.idle() == set()
    assert reader.compact(files(store)) == 0
    assert len(files(store)) == 3
    one = sample(1)
    assert reader.annotate(one.key, one.group, one.labels, one.masks, one.unknown, one.trust, one.revision)
    assert_same(again(store).load(one.key), one)


def test_where_its_source_still_lacks_an_image_after_the_damage_it_goes(store: SampleStore) -> None:
    store.put(sample(0), source="file")
    store.forget([key_of(0)])
    for n in (1, 2):
        store.put(sample(n), source="file")
    reader = damaged_log(store)
    assert reader.keep_only([key_of(2)], "file") == 0  # no annotation counted that does not count now
    assert {path.stem for path in again(store).idle()} == {key_of(0)}
    before = (store.folder / LOG).read_bytes()
    assert again(store).keep_only([key_of(2)], "file") == 0
    assert (store.folder / LOG).read_bytes() == before


def test_a_damaged_line_is_kept_and_told_until_somebody_has_heard_of_it(store: SampleStore) -> None:
    for n in range(3):
        store.put(sample(n))
    reader = damaged_log(store)
    damaged = (store.folder / LOG).read_bytes()
    assert (len(list(reader)), len(reader.problems)) == (2, 1)
    second = again(store)
    assert (len(list(second)), len(second.problems)) == (2, 1)
    second.acknowledge()
    second.acknowledge()
    third = again(store)
    assert (len(list(third)), third.problems) == (2, [])
    log = (store.folder / LOG).read_bytes()
    assert log.startswith(damaged)
    assert log.count(b"\n") == damaged.count(b"\n") + 1


def test_a_sound_log_need_not_be_acknowledged(store: SampleStore) -> None:
    store.put(sample(0))
    before = (store.folder / LOG).read_bytes()
    assert len(list(store)) == 1
    store.acknowledge()
    assert (store.folder / LOG).read_bytes() == before


_COMPACTOR = """
import os, signal, sys
from pathlib import Path
from labeler_backend.heads.samples import SampleStore
real, left = Path.unlink, int(sys.argv[2])
def unlink(path, *given, **more):
    global left
    if path.suffix == ".safetensors":
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    real(path, *given, **more)
Path.unlink = unlink
store = SampleStore(Path(sys.argv[1]))
store.compact(store.idle())
"""


@pytest.mark.parametrize("removed", [pytest.param(n, id=f"after {n}") for n in (0, 1, 2)])
def test_a_kill_while_compacting_costs_nothing_that_counts(store: SampleStore, removed: int) -> None:
    for n in range(5):
        store.put(sample(n))
    store.forget([key_of(n) for n in (0, 2, 4)])
    log = (store.folder / LOG).read_bytes()
    killed = subprocess.run(
        [sys.executable, "-c", _COMPACTOR, str(store.folder), str(removed)],
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (store.folder / LOG).read_bytes() == log
    assert len(files(store)) == 5 - removed
    reader = again(store)
    for found, n in zip(reader, (1, 3), strict=True):
        assert_same(found, sample(n))
    assert reader.compact(reader.idle()) == 3 - removed  # also the lock is free again
    for n in (0, 2, 4):
        reader.put(sample(n))
    assert len(list(again(store))) == 5
    assert again(store).problems == []


# --- speed --------------------------------------------------------------------------------------------------


def test_40_images_come_in_half_a_second(store: SampleStore) -> None:
    """At the default size, with 20 objects and 100 proposals each, pixels that PNG cannot compress."""
    one = sample(0, labels=tuple("abcdefghij" * 2), grid=(37, 37), channels=384)
    one = replace(one, proposals=one.proposals * 5)
    for n in range(40):
        store.put(replace(one, key=key_of(n)))
    reader = again(store)
    start = time.monotonic()
    assert sum(1 for _ in reader) == 40
    assert time.monotonic() - start < 4  # machines may be busy
