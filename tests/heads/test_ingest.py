from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeler_backend.backbone.features import Features
from labeler_backend.errors import InputError
from labeler_backend.heads.errors import SampleError
from labeler_backend.heads.ingest import Encodes, Ingested, image_key, ingest
from labeler_backend.heads.samples import SampleStore
from labeler_backend.heads.types import BULK, CORRECTED
from labeler_backend.labeler import Labeler
from labeler_backend.masks.rle import RLE, decode
from labeler_backend.masks.shape import Polygons, Shape
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal
from labeler_backend.records import UNNAMED, Instance, Problem, Record, VideoRecord
from tests.heads.made import MODEL, box, features_of, picture

SIZE = (80, 100)
SOURCE = "studio"


@dataclass
class Encoder:
    model_key: str = MODEL


@dataclass
class FakeLabeler:
    """Counts what it is asked for."""

    encoder: Encoder = field(default_factory=Encoder)
    side: tuple[int, int] = (4, 5)
    encoded: int = 0
    broken: Callable[[int], bool] = lambda n: False
    value: float = 0.0

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return self.side

    def encode(self, images: Sequence[RGB]) -> list[Features]:
        self.encoded += len(images)
        if self.broken(self.encoded):
            raise KeyboardInterrupt
        found = [features_of(image, self.side, self.encoder.model_key) for image in images]
        return [replace(one, tokens=one.tokens + np.float32(self.value)) for one in found]

    def pool(self, image: RGB, features: Features) -> list[Proposal]:
        return [Proposal(box(features.image_size, 0, 0, 9, 9), 0.5, "attention")]


@dataclass
class World:
    """Pictures by name, and what was told of them."""

    store: SampleStore
    pictures: dict[str, RGB]
    labeler: FakeLabeler = field(default_factory=FakeLabeler)
    told: list[Problem] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    progress: list[tuple[int, int | None]] = field(default_factory=list)

    def open(self, record: Record) -> RGB:
        self.opened.append(record.file_name)
        if record.file_name not in self.pictures:
            raise InputError(f"{record.file_name} does not exist: check the name.")
        return self.pictures[record.file_name]

    def ingest(self, *records: Record | VideoRecord, source: str = SOURCE, **more: Any) -> Ingested:
        self.told.clear()
        self.opened.clear()
        self.progress.clear()
        return ingest(
            iter(records),
            self.open,
            self.labeler,
            self.store,
            lambda done, total: self.progress.append((done, total)),
            self.told.append,
            source=source,
            **more,
        )

    def labels(self) -> dict[str, tuple[str, ...]]:
        """By the name of the picture that has these pixels."""
        keys = {image_key(pixels): name for name, pixels in self.pictures.items()}
        return {keys.get(one.key, one.key): one.labels for one in SampleStore(self.store.folder)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(SampleStore(tmp_path / "samples"), {f"{n}.png": picture(n, SIZE) for n in range(5)})


def instance(label: str | None = "cat", shape: Shape | None = None, **more: Any) -> Instance:
    return Instance(shape or box(SIZE, 10, 20, 50, 60), label, **more)


def record(n: int, *instances: Instance, **more: Any) -> Record:
    about: dict[str, Any] = {"size": SIZE, "task_id": n, "group": str(n), "uri": f"/data/{n}.png", **more}
    name = about.pop("file_name", f"{n}.png")
    return Record(id=n + 1, file_name=name, instances=instances, **about)


def only(things: Iterable[Any]) -> Any:
    (one,) = things
    return one


# --- what becomes of a record -------------------------------------------------------------------------------


def test_a_record_becomes_a_sample(world: World) -> None:
    done = world.ingest(record(0, instance(), instance("dog", box(SIZE, 0, 0, 20, 20))), total=1)
    assert done == Ingested(images=1, new=1, changed=0, encoded=1, vanished=0, gone=0, left_out=0)
    found = only(world.store)
    assert found.key == image_key(world.pictures["0.png"])
    assert (found.labels, found.group, found.trust) == (("cat", "dog"), "0", CORRECTED)
    assert found.masks == (box(SIZE, 10, 20, 50, 60), box(SIZE, 0, 0, 20, 20))
    assert found.coverage.tolist()[1][0] == [255, 0, 0, 0, 0]
    assert not found.unknown.any()
    assert found.picture.shape == (80, 96, 3)  # as fine as the image is, in multiples of 8
    assert len(found.proposals) == 1
    assert (world.progress, world.told) == ([(1, 1)], [])


@pytest.mark.parametrize(
    ("made", "group"),
    [
        pytest.param(record(0, group="g", video="v"), "g", id="its own"),
        pytest.param(record(0, group="", video="v"), "v", id="frames of a video"),
        pytest.param(record(0, group=""), image_key(picture(0, SIZE)), id="alone"),
    ],
)
def test_groups(world: World, made: Record, group: str) -> None:
    world.ingest(made)
    assert only(world.store).group == group


def test_an_image_with_nothing_in_it_is_a_sample_too(world: World) -> None:
    world.ingest(record(0, size=None))
    found = only(world.store)
    assert (found.labels, found.coverage.shape, found.unknown.any()) == ((), (0, 4, 5), False)


def test_what_nobody_named_is_an_object(world: World) -> None:
    world.ingest(record(0, instance(None)))
    assert world.labels() == {"0.png": (UNNAMED,)}


def test_what_was_accepted_in_bulk_is_trusted_less(world: World) -> None:
    world.ingest(record(0, instance(), bulk=True))
    assert only(world.store).trust == BULK
    assert world.ingest(record(0, instance())).changed == 1  # somebody opened it and found it right
    assert only(world.store).trust == CORRECTED


def test_a_crowd_is_unknown_but_for_the_objects_in_it(world: World) -> None:
    crowd = instance("cat", box(SIZE, 0, 0, 40, 100), crowd=True)
    world.ingest(record(0, crowd, instance("cat", box(SIZE, 0, 0, 20, 20))))
    found = only(world.store)
    assert found.labels == ("cat",)
    assert found.unknown.tolist() == [[0, 255, 255, 255, 255], [255] * 5, [0] * 5, [0] * 5]


def test_a_video_is_left_out(world: World) -> None:
    video = VideoRecord(1, "a.mp4", SIZE, 10, 25.0, (), task_id=3)
    assert world.ingest(video, record(0)).left_out == 1
    problem = only(world.told)
    assert (problem.done, problem.task_id, problem.file_name) == ("left out", 3, "a.mp4")
    assert world.progress == [(1, None), (2, None)]


# --- coming again -------------------------------------------------------------------------------------------


def test_coming_again_changes_nothing_and_opens_nothing(world: World) -> None:
    records = [record(n, instance()) for n in range(3)]
    world.ingest(*records)
    before, log = world.store.digest(), (world.store.folder / "log.jsonl").read_bytes()
    again = world.ingest(*records)
    assert again == Ingested(images=3, new=0, changed=0, encoded=0, vanished=0, gone=0, left_out=0)
    assert (world.opened, world.labeler.encoded) == ([], 3)
    assert world.store.digest() == before
    assert (world.store.folder / "log.jsonl").read_bytes() == log


def test_without_a_source_pictures_are_looked_at(world: World) -> None:
    """Two data sets may call different pictures the same."""
    world.ingest(record(0), source="")
    world.pictures["0.png"] = picture(9, SIZE)
    assert world.ingest(record(0), source="").new == 1
    assert len(world.store) == 2


CHANGES = [
    pytest.param([record(0, instance("dog"))], {"0.png": ("dog",)}, id="another label"),
    pytest.param([record(0, instance(), instance())], {"0.png": ("cat", "cat")}, id="one more"),
    pytest.param([record(0)], {"0.png": ()}, id="all regions deleted"),
    pytest.param([record(0, instance(shape=box(SIZE, 0, 0, 9, 9)))], {"0.png": ("cat",)}, id="another shape"),
    pytest.param([record(0, instance(), group="other")], {"0.png": ("cat",)}, id="another group"),
]


@pytest.mark.parametrize(("records", "expected"), CHANGES)
def test_a_changed_annotation_counts(
    world: World, records: list[Record], expected: dict[str, tuple[str, ...]]
) -> None:
    world.ingest(record(0, instance()))
    before = world.store.digest()
    done = world.ingest(*records)
    assert (done.new, done.changed, done.encoded) == (0, 1, 0)
    assert world.labels() == expected
    assert world.store.digest() != before


def test_a_deleted_annotation_counts_no_more(world: World) -> None:
    world.ingest(record(0, instance()), record(1, instance()))
    world.ingest(record(2, instance()), source="a file")
    assert world.ingest(record(1, instance())).gone == 1
    assert set(world.labels()) == {"1.png", "2.png"}
    back = world.ingest(record(0, instance()), record(1, instance()))
    assert (back.new, back.encoded) == (1, 0)
    assert len(world.store) == 3


def test_where_reading_fails_nothing_is_taken_for_deleted(world: World) -> None:
    world.ingest(record(0), record(1))

    def failing() -> Iterable[Record]:
        yield record(1)
        raise InputError("The connection was lost.")

    with pytest.raises(InputError, match="connection"):
        ingest(
            failing(),
            world.open,
            world.labeler,
            world.store,
            lambda *_: None,
            world.told.append,
            source=SOURCE,
        )
    assert len(world.store) == 2


def test_a_kill_costs_no_encoding(world: World) -> None:
    records = [record(n, instance()) for n in range(5)]
    world.labeler.broken = lambda n: n == 4
    with pytest.raises(KeyboardInterrupt):
        world.ingest(*records)
    world.labeler = FakeLabeler()
    done = world.ingest(*records)
    assert (done.images, done.encoded) == (5, 2)


def test_a_damaged_image_is_encoded_again(world: World) -> None:
    world.ingest(record(0, instance()), record(1))
    path = only(world.store.folder.rglob(f"{image_key(world.pictures['0.png'])}.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    assert len(list(world.store)) == 1
    done = world.ingest(record(0, instance()), record(1))
    assert (done.encoded, done.left_out) == (1, 0)
    assert len(list(SampleStore(world.store.folder))) == 2


# --- pictures -----------------------------------------------------------------------------------------------


def test_a_picture_that_vanished_is_still_learned_from(world: World) -> None:
    world.ingest(record(0, instance()))
    del world.pictures["0.png"]
    done = world.ingest(record(0, instance("dog")))
    assert (done.images, done.changed, done.vanished, done.gone) == (1, 1, 1, 0)
    assert only(world.store).labels == ("dog",)
    assert only(world.told).done == "kept"
    assert world.ingest(record(0, instance("dog"))).vanished == 0  # nobody needed it
    assert world.told == []


def test_a_picture_that_never_was_is_told(world: World) -> None:
    done = world.ingest(record(7), record(0))
    assert (done.images, done.left_out) == (1, 1)
    assert only(world.told).reason == "7.png does not exist: check the name."


def test_another_picture_in_the_same_place_is_another_image(world: World) -> None:
    world.ingest(record(0, instance()))
    world.pictures["0.png"] = picture(9, SIZE)
    done = world.ingest(record(0, instance("dog")))
    assert (done.new, done.gone, done.encoded) == (1, 1, 1)
    assert world.labels() == {"0.png": ("dog",)}


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        pytest.param({"encoder": Encoder("other")}, False, id="other weights, pictures there"),
        pytest.param({"side": (8, 10)}, False, id="another size, pictures there"),
        pytest.param({"encoder": Encoder("other")}, True, id="other weights, pictures gone"),
        pytest.param({"side": (8, 10)}, True, id="another size, pictures gone"),
    ],
)
def test_features_that_do_not_fit_are_computed_again_or_left_out(
    world: World, change: dict[str, Any], gone: bool
) -> None:
    world.ingest(record(0, instance()))
    world.labeler = FakeLabeler(**change)
    if gone:
        world.pictures.clear()
    done = world.ingest(record(0, instance()))
    if gone:
        assert (done.images, done.left_out, len(world.store)) == (0, 1, 0)
        assert "bring it back" in only(world.told).reason
    else:
        assert (done.images, done.encoded, done.changed, done.new) == (1, 1, 0, 0)
        found = only(world.store)
        assert found.features.model_key == world.labeler.encoder.model_key
        assert found.coverage.shape == (1, *world.labeler.side)


@pytest.mark.parametrize("gone", [pytest.param(False, id="pictures there"), pytest.param(True, id="gone")])
def test_without_middle_layers_an_image_is_encoded_again_where_it_can_be(world: World, gone: bool) -> None:
    world.ingest(record(0, instance()))
    old = only(world.store)
    world.store.put(replace(old, features=replace(old.features, middle=None)), source=SOURCE)
    assert only(SampleStore(world.store.folder)).features.middle is None
    if gone:
        world.pictures.clear()
    done = world.ingest(record(0, instance()))
    assert (done.images, done.encoded, done.left_out) == (1, int(not gone), 0)
    assert (only(world.store).features.middle is None) == gone


# --- size ---------------------------------------------------------------------------------------------------


def drawn(size: tuple[int, int]) -> Polygons:
    """The left half."""
    h, w = size
    return Polygons((np.array([[0, 0], [w / 2, 0], [w / 2, h], [0, h]], float),), size)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(drawn(SIZE), id="as it is"),
        pytest.param(drawn((40, 50)), id="polygons on a small copy"),
        pytest.param(box((160, 200), 0, 0, 160, 100), id="a mask on a large copy"),
    ],
)
def test_labels_of_a_copy_are_scaled(world: World, shape: Shape) -> None:
    size = shape.size if isinstance(shape, Polygons) else (shape["size"][0], shape["size"][1])
    world.ingest(record(0, instance(shape=shape), size=size))
    assert decode(only(only(world.store).masks))[:, :50].all()
    assert decode(only(only(world.store).masks)).sum() == 80 * 50


def test_labels_of_another_picture_are_left_out(world: World) -> None:
    assert world.ingest(record(0, instance(shape=drawn((100, 80))), size=(100, 80))).left_out == 1
    assert "is 100×80 pixels, but was labelled at 80×100" in only(world.told).reason
    assert world.labeler.encoded == 0


# --- damage -------------------------------------------------------------------------------------------------

NAN = Polygons((np.array([[0, 0], [np.nan, 0], [5, 5]]),), SIZE)
EMPTY = RLE(size=[80, 100], counts=box(SIZE, 0, 0, 0, 0)["counts"])


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(NAN, id="NaN"),
        pytest.param(EMPTY, id="no pixel"),
        pytest.param(Polygons((), SIZE), id="no corners"),
        pytest.param(RLE(size=[80, 100], counts="é"), id="no mask"),
        pytest.param(RLE(size=[80, 100], counts="PP"), id="a mask that ends too early"),
    ],
)
def test_a_damaged_region_leaves_everything_around_it_unknown(world: World, shape: Shape) -> None:
    world.ingest(record(0, instance("dog", shape, annotation_id=5), instance(shape=box(SIZE, 0, 0, 20, 20))))
    found = only(world.store)
    assert found.labels == ("cat",)
    assert found.unknown.tolist() == [[0, 255, 255, 255, 255], *[[255] * 5] * 3]
    assert only(world.told).done == "left out"


def test_a_region_between_pixels_is_told(world: World) -> None:
    sliver = Polygons((np.array([[5.1, 5.1], [5.3, 5.1], [5.3, 5.3]]),), SIZE)
    world.ingest(record(0, instance("dog", sliver), instance()))
    assert only(world.store).labels == ("cat",)
    assert "hold no pixel" in only(world.told).reason


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((9, 9), np.uint8), id="grey"),
        pytest.param(np.zeros((9, 9, 3), np.float32), id="no bytes"),
    ],
)
def test_what_is_no_picture_costs_only_itself(world: World, pixels: Any) -> None:
    world.pictures["0.png"] = pixels
    done = world.ingest(record(0), record(1))
    assert (done.images, done.left_out) == (1, 1)


def test_features_that_are_not_finite_are_left_out(world: World) -> None:
    world.labeler.value = np.nan
    assert world.ingest(record(0)).left_out == 1
    assert "not finite" in only(world.told).reason
    assert len(world.store) == 0


def test_a_mistake_of_ours_costs_only_one_image(world: World) -> None:
    def broken(image: RGB, features: Features) -> list[Proposal]:
        if np.array_equal(image, world.pictures["0.png"]):
            raise ZeroDivisionError("a\nb")
        return []

    world.labeler.pool = broken  # type: ignore[method-assign]
    done = world.ingest(record(0), record(1))
    assert (done.images, done.left_out) == (1, 1)
    assert "ZeroDivisionError: a b" in only(world.told).reason
    assert set(world.labels()) == {"1.png"}


def test_a_store_that_cannot_be_written_ends_it(world: World) -> None:
    world.store.folder.write_text("in the way")
    with pytest.raises(SampleError):
        world.ingest(record(0), record(1))


# --- one picture in several records -------------------------------------------------------------------------


def twins(first: Record, second: Record, world: World) -> list[Record]:
    """Both show the first one's picture."""
    world.pictures[second.file_name] = world.pictures[first.file_name]
    return [first, second]


@pytest.mark.parametrize(
    ("ids", "label"),
    [
        pytest.param((1, 2), "dog", id="the second is the latest"),
        pytest.param((2, 1), "cat", id="the first is the latest"),
        pytest.param((None, None), "dog", id="nobody knows: the last"),
    ],
)
def test_of_conflicting_annotators_the_latest_counts(
    world: World, ids: tuple[int | None, int | None], label: str
) -> None:
    records = twins(
        record(0, instance("cat", annotation_id=ids[0])),
        record(1, instance("dog", annotation_id=ids[1])),
        world,
    )
    assert world.ingest(*records).images == 1
    assert only(world.store).labels == (label,)
    assert "same picture with different labels" in only(world.told).reason
    log = (world.store.folder / "log.jsonl").read_bytes()
    assert world.ingest(*records).changed == 0
    assert only(world.store).labels == (label,)
    added = (world.store.folder / "log.jsonl").read_bytes()[len(log) :]
    assert b'"annotation"' not in added  # it does not change back and forth
    assert world.labeler.encoded == 1


def test_annotators_who_agree_are_no_problem(world: World) -> None:
    assert world.ingest(*twins(record(0, instance()), record(1, instance()), world)).images == 1
    assert world.told == []


def test_when_the_winner_is_deleted_the_other_counts(world: World) -> None:
    first, second = twins(record(0, instance("cat")), record(1, instance("dog")), world)
    world.ingest(first, second)
    done = world.ingest(first)
    assert (done.images, done.changed, done.gone) == (1, 1, 0)
    assert only(world.store).labels == ("cat",)


# --- the real thing -----------------------------------------------------------------------------------------


@pytest.mark.weights
def test_with_the_real_labeler(labeler: Labeler, astronaut: RGB, tmp_path: Path) -> None:
    real: Encodes = labeler
    store = SampleStore(tmp_path, labeler.encoder.model_key)
    shape = box((512, 512), 0, 100, 512, 400)
    made = Record(1, "a.png", (512, 512), (Instance(shape, "person"),))
    for encoded in (1, 0):
        done = ingest([made], lambda _: astronaut, real, store, lambda *_: None, pytest.fail, source="x")
        assert (done.images, done.encoded) == (1, encoded)
    found = only(store)
    assert np.array_equal(found.features.tokens, labeler.encode([astronaut])[0].tokens)
    assert list(found.proposals) == labeler.pool(astronaut, found.features)
    assert found.coverage.shape == (1, *labeler.grid((512, 512)))
