import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from exporters.coco.dataset import CocoDataset
from exporters.coco.reading import is_coco, read_coco
from exporters.coco.shapes import ShapeError, read_shape, run_lengths
from labeler_backend.errors import InputError
from labeler_backend.masks.rle import RLE, decode, encode
from labeler_backend.masks.shape import Polygons, Ring, Shape, to_mask
from labeler_backend.records import Instance, Keypoint, Problem, Record
from tests.exporters.drawn import SIZE, box, disc, shapes, write

H, W = SIZE
SQUARE = [2, 3, 12, 3, 12, 13, 2, 13]
DISC = encode(disc(20, 20, 9))


def file_of(path: Path, *annotations: dict[str, Any], **parts: Any) -> Path:
    """A COCO file with one image and one category unless told otherwise."""
    plain = {
        "images": [{"id": 5, "file_name": "a/b.jpg", "width": W, "height": H}],
        "categories": [{"id": 3, "name": "car", "keypoints": ["nose", "tail"]}],
        "annotations": [
            {"id": n, "image_id": 5, "category_id": 3, **a} for n, a in enumerate(annotations, 1)
        ],
    }
    path.write_text(json.dumps({**plain, **parts}), "utf-8")
    return path


def read(path: Path) -> tuple[list[Record], list[Problem]]:
    told: list[Problem] = []
    return list(read_coco(path, told.append)), told


def same(a: Shape, b: Shape) -> bool:
    """Equal: corners to the two decimals that COCO has."""
    if isinstance(a, Polygons) and isinstance(b, Polygons):
        rings = zip(a.rings, b.rings, strict=True)
        return a.size == b.size and all(
            len(first := _opened(one)) == len(second := _opened(other))
            and np.allclose(first, second, atol=0.0051)
            for one, other in rings
        )
    return a == b


def _opened(ring: Ring) -> Ring:
    """As COCO rounds it, without a last corner that is the first again."""
    rounded: Ring = np.round(ring, 2)
    return rounded[:-1] if (rounded[0] == rounded[-1]).all() else rounded


instances = st.builds(
    Instance,
    shape=shapes(),
    label=st.sampled_from(["car", "Ω dog"]),
    region_id=st.sampled_from(["", "r1"]),
    annotation_id=st.sampled_from([None, 12]),
    annotator=st.sampled_from([None, "ann@x"]),
    score=st.sampled_from([None, 0.0, 0.75]),
    track_id=st.sampled_from([None, "3"]),
    crowd=st.just(False),
    keypoints=st.sampled_from([(), (Keypoint("nose", 3.25, 4.0), Keypoint("tail", 0.0, 1.0))]),
    attributes=st.sampled_from([{}, {"origin": "manual", "relations": [{"to": "x"}]}]),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(instances, max_size=4), video=st.sampled_from([(None, None), ("v.mp4", 7)]))
def test_what_our_exporter_writes_comes_back(
    tmp_path: Path, found: list[Instance], video: tuple[str | None, int | None]
) -> None:
    name, frame = video
    group = name or "9"
    record = Record(4, "a/ü b.jpg", SIZE, tuple(found), "s3://x/b.jpg", 9, group, video=name, frame=frame)
    assert write(CocoDataset, tmp_path, [record]).told == []
    (back,), told = read(tmp_path / "annotations.json")
    assert told == []
    plain = [
        {name: getattr(one, name) for name in Instance.__dataclass_fields__ if name != "shape"}
        for one in (*found, *back.instances)
    ]
    assert plain[: len(found)] == plain[len(found) :]
    for one, other in zip(found, back.instances, strict=True):
        if isinstance(one.shape, Polygons) and not isinstance(other.shape, Polygons):
            np.testing.assert_array_equal(to_mask(one.shape), to_mask(other.shape))  # too small for polygons
        else:
            assert same(one.shape, other.shape)
    for name in Record.__dataclass_fields__:
        assert name == "instances" or getattr(back, name) == getattr(record, name)


@pytest.mark.parametrize(
    ("annotation", "kind", "mended"),
    [
        pytest.param({"segmentation": [SQUARE]}, Polygons, "", id="polygon"),
        pytest.param({"segmentation": [[*SQUARE, 2, 3]]}, Polygons, "", id="closed polygon"),
        pytest.param({"segmentation": SQUARE}, Polygons, "", id="polygon without its list"),
        pytest.param({"segmentation": [SQUARE, [20, 3, 30, 3, 30, 9]]}, Polygons, "", id="two polygons"),
        pytest.param({"segmentation": [SQUARE, [12, 3, 30, 3, 12, 13]]}, Polygons, "", id="two that touch"),
        pytest.param({"segmentation": [[-0.4, 3, 9, 3, 9, 9]]}, Polygons, "", id="half a pixel outside"),
        pytest.param(
            {"segmentation": [SQUARE, [5, 5, 30, 5, 30, 9]]}, dict, "overlap", id="two that overlap"
        ),
        pytest.param({"segmentation": [[2, 3, 12, 13, 12, 3, 2, 13]]}, dict, "crosses", id="bow tie"),
        pytest.param({"segmentation": [[-9, 3, 12, 3, 12, 13]]}, dict, "beyond", id="outside"),
        pytest.param(
            {"segmentation": [SQUARE, [1, 2, 3, 4]]}, Polygons, "fewer than three", id="one is a line"
        ),
        pytest.param({"segmentation": DISC}, dict, "", id="compressed"),
        pytest.param({"segmentation": [], "bbox": [2, 3, 10, 10]}, Polygons, "", id="empty, and a box"),
        pytest.param({"bbox": [2.5, 3, 10, 10]}, Polygons, "", id="only a box"),
        pytest.param({"bbox": [-5, 3, 10, 10]}, Polygons, "beyond", id="box across the edge"),
    ],
)
def test_shapes(annotation: dict[str, Any], kind: type, mended: str) -> None:
    shape, told = read_shape(annotation, SIZE)
    assert isinstance(shape, kind)
    assert mended in told
    assert bool(mended) == bool(told)
    assert to_mask(shape).any()


@pytest.mark.parametrize(
    "rings",
    [
        pytest.param([SQUARE, [5, 5, 30, 5, 30, 9]], id="overlapping"),
        pytest.param([[2, 3, 12, 13, 12, 3, 2, 13]], id="crossing itself"),
        pytest.param([[-9.0, 3, 70, 3, 12, 50]], id="out of the frame"),
    ],
)
def test_what_is_mended_is_drawn_as_pycocotools_does(rings: list[list[float]]) -> None:
    shape, _ = read_shape({"segmentation": rings}, SIZE)
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(rings, H, W))).astype(bool)
    np.testing.assert_array_equal(to_mask(shape), expected)


@given(
    seed=st.integers(0, 9999), density=st.floats(0, 1), height=st.integers(1, 90), width=st.integers(1, 90)
)
def test_run_lengths_are_those_of_the_mask(seed: int, density: float, height: int, width: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < density
    lengths = run_lengths(encode(mask)["counts"])
    value = np.arange(len(lengths)) % 2 == 1
    np.testing.assert_array_equal(np.repeat(value, lengths), mask.ravel(order="F"))
    uncompressed = {"segmentation": {"size": [height, width], "counts": lengths.tolist()}}
    if mask.any():
        assert read_shape(uncompressed, (height, width))[0] == encode(mask)


@settings(max_examples=300)
@given(counts=st.text(st.characters(min_codepoint=48, max_codepoint=115), max_size=12))
def test_no_text_is_decoded_to_what_it_does_not_hold(counts: str) -> None:
    try:
        shape, _ = read_shape({"segmentation": {"size": [6, 5], "counts": counts}}, (6, 5))
    except ShapeError:
        return
    assert isinstance(shape, dict)
    assert decode(RLE(size=[6, 5], counts=counts)).any()


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        pytest.param({}, "neither a segmentation nor a bbox", id="nothing"),
        pytest.param({"segmentation": None, "bbox": None}, "neither", id="null"),
        pytest.param({"segmentation": [[1, 2, 3, 4]]}, "three points", id="a line"),
        pytest.param({"segmentation": [[1, 2, 3, 4, 5]]}, "three points", id="half a point"),
        pytest.param({"segmentation": [["a", 2, 3, 4, 5, 6]]}, "three points", id="texts"),
        pytest.param({"segmentation": [[None] * 6]}, "three points", id="nulls"),
        pytest.param({"segmentation": [[[1, 2], [3, 4], [5, 9]]]}, "three points", id="pairs"),
        pytest.param({"segmentation": [[1, 2, 1e300, 4, 5, 6]]}, "three points", id="far away"),
        pytest.param({"segmentation": [[1, 2, 1, 2, 1, 2]]}, "three points", id="a point"),
        pytest.param({"segmentation": [[-30, 2, -20, 2, -20, 9]]}, "no pixel", id="wholly outside"),
        pytest.param(
            {"segmentation": encode(np.ones((5, 5), bool))},
            "not of the image's size",
            id="RLE of another size",
        ),
        pytest.param({"segmentation": encode(np.zeros(SIZE, bool))}, "empty", id="empty RLE"),
        pytest.param({"segmentation": {"size": [H, W], "counts": "PPYo0"}}, "damaged", id="damaged RLE"),
        pytest.param({"segmentation": {"size": [H, W], "counts": ""}}, "damaged", id="RLE of nothing"),
        pytest.param({"segmentation": {"size": [H, W], "counts": "é"}}, "damaged", id="not RLE's letters"),
        pytest.param({"segmentation": {"size": [H, W], "counts": [5, 5]}}, "damaged", id="short counts"),
        pytest.param(
            {"segmentation": {"size": [H, W], "counts": [-5, H * W + 5]}}, "no counts", id="below zero"
        ),
        pytest.param({"segmentation": {"size": [H, W]}}, "no counts", id="no counts"),
        pytest.param({"bbox": [1, 2, 3]}, "neither", id="three numbers"),
        pytest.param({"bbox": [1, 2, "x", 3]}, "not four numbers", id="box of texts"),
        pytest.param({"bbox": [1, 2, 0, 3]}, "covers nothing", id="box of no width"),
        pytest.param({"bbox": [9, 9, -4, -4]}, "covers nothing", id="box turned around"),
        pytest.param({"bbox": [W + 5, 2, 4, 3]}, "covers nothing", id="box outside"),
    ],
)
def test_what_holds_no_shape_is_told(tmp_path: Path, annotation: dict[str, Any], reason: str) -> None:
    good = {"segmentation": [SQUARE]}
    (record,), told = read(file_of(tmp_path / "a.json", good, annotation, good))
    assert len(record.instances) == 2
    (problem,) = told
    assert reason in problem.reason
    assert "Annotation 2" in problem.reason
    assert (problem.done, problem.file_name) == ("left out", "a/b.jpg")


IMAGE = {"id": 5, "file_name": "a/b.jpg", "width": W, "height": H}


@pytest.mark.parametrize(
    ("parts", "reasons", "images", "objects"),
    [
        pytest.param({"images": []}, ["image 5, which is not there"], 0, 0, id="image missing"),
        pytest.param({"images": [IMAGE, IMAGE]}, ["id 5 is there twice"], 1, 1, id="image id twice"),
        pytest.param(
            {"images": [IMAGE, {**IMAGE, "id": 6}]}, ["both became one"], 1, 1, id="file name twice"
        ),
        pytest.param(
            {"images": [IMAGE, {**IMAGE, "id": 6, "width": 9}]}, ["in two sizes"], 1, 1, id="in two sizes"
        ),
        pytest.param(
            {"images": [IMAGE, {"id": 6}, 7]}, ["no file_name", "not an object"], 1, 1, id="no image"
        ),
        pytest.param(
            {"images": [{"id": 5, "file_name": "x.jpg"}]}, ["no width and height"], 1, 0, id="size missing"
        ),
        pytest.param({"categories": []}, ["Category 3 is not there"], 1, 1, id="category missing"),
        pytest.param(
            {"categories": [{"id": 3, "name": "car"}] * 2},
            ["category id 3 is there twice"],
            1,
            1,
            id="category twice",
        ),
        pytest.param({"categories": [{"id": 3}]}, ["has no id or no name", "Category 3"], 1, 1, id="no name"),
        pytest.param({"annotations": []}, [], 1, 0, id="nothing annotated"),
        pytest.param({"annotations": {"1": {}}}, [], 1, 0, id="annotations are no list"),
        pytest.param(
            {"annotations": [{"id": 1, "image_id": 5, "category_id": 3, "bbox": [1, 1, 5, 5]}] * 2},
            ["annotation id 1 is there twice"],
            1,
            2,
            id="annotation id twice",
        ),
        pytest.param(
            {"annotations": [{"image_id": [5]}, {}]}, ["image [5]", "image None"], 1, 0, id="odd ids"
        ),
    ],
)
def test_what_does_not_fit_together_is_told(
    tmp_path: Path, parts: dict[str, Any], reasons: list[str], images: int, objects: int
) -> None:
    records, told = read(file_of(tmp_path / "a.json", {"segmentation": [SQUARE]}, **parts))
    assert [problem for problem in reasons if not any(problem in one.reason for one in told)] == []
    assert len(told) == len(reasons)
    assert len(records) == images
    assert sum(len(record.instances) for record in records) == objects


@pytest.mark.parametrize(
    ("name", "relative", "uri"),
    [
        pytest.param("a/b.jpg", "a/b.jpg", None, id="relative"),
        pytest.param("a\\b.jpg", "a/b.jpg", "a\\b.jpg", id="backslashes"),
        pytest.param("../../x/b.jpg", "x/b.jpg", "../../x/b.jpg", id="out of the folder"),
        pytest.param("/data/b.jpg", "data/b.jpg", "/data/b.jpg", id="absolute"),
        pytest.param("C:\\x\\b.jpg", "x/b.jpg", "C:\\x\\b.jpg", id="a drive"),
        pytest.param("https://h/x/b%20c.jpg?a=1", "x/b c.jpg", "https://h/x/b%20c.jpg?a=1", id="an address"),
    ],
)
def test_names_are_relative(tmp_path: Path, name: str, relative: str, uri: str | None) -> None:
    (record,), _ = read(file_of(tmp_path / "a.json", images=[{**IMAGE, "file_name": name}]))
    assert (record.file_name, record.uri) == (relative, uri)


def test_ids_that_are_no_numbers_from_1_are_replaced(tmp_path: Path) -> None:
    images = [{**IMAGE, "id": key, "file_name": f"{n}.jpg"} for n, key in enumerate([0, "x", 4])]
    records, told = read(file_of(tmp_path / "a.json", images=images))
    assert [record.id for record in records] == [5, 6, 4]
    assert [problem.done for problem in told] == ["mended"]


def test_size_from_an_rle(tmp_path: Path) -> None:
    images = [{"id": 5, "file_name": "x.jpg", "width": None, "height": None}]
    (record,), told = read(file_of(tmp_path / "a.json", {"segmentation": DISC}, images=images))
    assert (record.size, told, len(record.instances)) == (SIZE, [], 1)


def test_foreign_fields_are_kept(tmp_path: Path) -> None:
    row = {
        "bbox": [1, 1, 5, 5],
        "iscrowd": 1,
        "score": 7,
        "source": "x",
        "keypoints": [1, 2, 2, 0, 0, 0, 5, 6, 1],
    }
    more = {"attributes": {"track_id": 4, "occluded": True}}
    (record,), (problem,) = read(file_of(tmp_path / "a.json", {**row, **more}))
    assert "its score is no number from 0 to 1" in problem.reason
    assert problem.done == "mended"
    (instance,) = record.instances
    assert instance.crowd
    assert instance.score is None
    assert instance.track_id == "4"
    assert instance.attributes == {"source": "x", "occluded": True}
    assert instance.keypoints == (Keypoint("nose", 1.0, 2.0), Keypoint("3", 5.0, 6.0))


@pytest.mark.parametrize("keypoints", [[1, 2], ["a", 1, 2], "x"])
def test_key_points_that_are_none_are_told(tmp_path: Path, keypoints: object) -> None:
    (record,), (problem,) = read(file_of(tmp_path / "a.json", {"bbox": [1, 1, 5, 5], "keypoints": keypoints}))
    assert record.instances[0].keypoints == ()
    assert "not triples" in problem.reason


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_a_file_that_ends_in_the_middle_gives_what_it_has(tmp_path: Path, share: float) -> None:
    many = [{"segmentation": [SQUARE]}] * 200
    whole = file_of(tmp_path / "a.json", *many).read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: int(len(whole) * share)])
    (record,), told = read(tmp_path / "cut.json")
    assert 200 * share * 0.8 < len(record.instances) < 200
    assert len(told) == 1
    assert "ends too early" in told[0].reason


@pytest.mark.parametrize(
    ("content", "coco"),
    [
        pytest.param(b'{"info": {"images": 1}, "images": [], "annotations": []}', True, id="coco"),
        pytest.param(b'{"info": [{"a": [1]}], "annotations": [], "images": []}', True, id="images last"),
        pytest.param(b'\xef\xbb\xbf{"images": []}', True, id="with a byte order mark"),
        pytest.param(b'[{"images": []}]', False, id="a list"),
        pytest.param(b'{"info": {"images": []}}', False, id="images further in"),
        pytest.param(b'{"videos": [], "annotations": []}', False, id="youtube-vis"),
        pytest.param(b"", False, id="empty"),
        pytest.param(b"id,image\n", False, id="csv"),
        pytest.param(b'"images"', False, id="a text"),
        pytest.param(b"\x89PNG\r\n", False, id="a picture"),
    ],
)
def test_is_coco(tmp_path: Path, content: bytes, coco: bool) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert is_coco(path) == coco
    if coco:
        assert read(path) == ([], [])
    else:
        with pytest.raises(InputError, match=r"a\.json is not a COCO file"):
            read(path)


def test_no_file(tmp_path: Path) -> None:
    assert not is_coco(tmp_path / "none.json")
    assert not is_coco(tmp_path)
    with pytest.raises(InputError, match="not a file"):
        read_coco(tmp_path / "none.json", print)


def test_box_helper_is_what_a_box_becomes(tmp_path: Path) -> None:
    (record,), _ = read(file_of(tmp_path / "a.json", {"bbox": [2.5, 3, 10, 9]}))
    assert same(record.instances[0].shape, box(2.5, 3, 10, 9))


def test_a_name_that_no_file_can_have_becomes_one(tmp_path: Path) -> None:
    rows = [{"id": 1, "file_name": "a\x00/b\ud800\n.jpg", "width": 5, "height": 5}]
    (tmp_path / "coco.json").write_text(json.dumps({"images": rows, "annotations": [], "categories": []}))
    (found,) = read_coco(tmp_path / "coco.json", print)
    assert found.file_name.encode().isascii()
    (tmp_path / found.file_name).parent.mkdir()
    (tmp_path / found.file_name).write_bytes(b"")
