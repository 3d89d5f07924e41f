"""Pictures of records: found under the names that Label Studio gives, measured, and put in place."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin

from exporters.pictures.folder import Found, PictureFolder, fitted, place, upright_size
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons, to_mask
from labeler_backend.records import Instance, Keypoint, Problem, Record, VideoRecord

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NFD = unicodedata.normalize("NFD", "café.jpg")


def record(file_name: str, uri: str | None = None, size: tuple[int, int] | None = None) -> Record:
    return Record(1, file_name, size, (), uri=uri)


def folder(root: Path, *names: str) -> PictureFolder:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return PictureFolder(root)


# --- finding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "asked", "uri", "expected"),
    [
        pytest.param(["a/b.jpg", "c/b.jpg"], "a/b.jpg", None, "a/b.jpg", id="relative"),
        pytest.param(["b.jpg", "c/b.jpg"], "b.jpg", None, "b.jpg", id="relative before below"),
        pytest.param(["a/b.jpg", "c/b.jpg"], "x/y/c/b.jpg", None, "c/b.jpg", id="asked for deeper"),
        pytest.param(["x/a/b.jpg", "x/c/b.jpg"], "c/b.jpg", None, "x/c/b.jpg", id="lies deeper"),
        pytest.param(["b.jpg", "c/b.jpg"], "x/b.jpg", None, "b.jpg", id="wholly an end of what was asked"),
        pytest.param(["x/b.jpg"], "y/b.jpg", None, "x/b.jpg", id="base name"),
        pytest.param(["b.JPG"], "b.jpg", None, "b.JPG", id="case"),
        pytest.param(["A/b.jpg", "c/b.jpg"], "a/b.jpg", None, "A/b.jpg", id="case of a folder"),
        pytest.param(["b.JPG", "x/b.jpg"], "b.jpg", None, "x/b.jpg", id="exact case first"),
        pytest.param([NFD], "café.jpg", None, NFD, id="accents taken apart"),
        pytest.param(["b.jpg"], "0123abcd-b.jpg", None, "b.jpg", id="upload"),
        pytest.param(["x/my b (1).jpg"], "0123abcd-my_b_1.jpg", None, "x/my b (1).jpg", id="sanitised"),
        pytest.param(["0123abcd-b.jpg", "b.jpg"], "0123abcd-b.jpg", None, "0123abcd-b.jpg", id="own prefix"),
        pytest.param(["Ünï.jpg"], "0123abcd-Ünï.jpg", None, "Ünï.jpg", id="letters of all kinds stay"),
        pytest.param(["a b.jpg"], "a%20b.jpg", None, "a b.jpg", id="quoted"),
        pytest.param(["a%20b.jpg", "a b.jpg"], "a%20b.jpg", None, "a%20b.jpg", id="named as if quoted"),
        pytest.param(["b.jpg"], "images\\b.jpg", None, "b.jpg", id="Windows"),
        pytest.param(["b.jpg"], "/mnt/x/b.jpg", None, "b.jpg", id="absolute"),
        pytest.param(
            ["c/b.jpg", "d/b.jpg"], "5.jpg", "/data/local-files/?d=set/d/b.jpg", "d/b.jpg", id="local files"
        ),
        pytest.param(["b.jpg"], "x", "s3://bucket/key/b.jpg", "b.jpg", id="bucket"),
        pytest.param(["a b.jpg"], "x", "https://e.org/i/a%20b.jpg?sig=1/2", "a b.jpg", id="web address"),
        pytest.param(["b.jpg"], "x", "/data/upload/7/0123abcd-b.jpg", "b.jpg", id="upload in the address"),
        pytest.param(["c.jpg"], "b.jpg", None, None, id="none"),
        pytest.param(["b.jpg.txt", "xb.jpg"], "b.jpg", None, None, id="only like it"),
        pytest.param([".b.jpg", ".x/b.jpg"], "b.jpg", None, None, id="hidden"),
        pytest.param(["0123abcd-b.jpg"], "b.jpg", None, None, id="the prefix is on the other side"),
        pytest.param([NFD], "0123abcd-cafe.jpg", None, NFD, id="upload of accents taken apart"),
        pytest.param(
            [f"{'x' * 120}.jpg", f"{'y' * 120}.jpg", f"{'x' * 120}.png"],
            f"0123abcd-{'x' * 70}_aLli3Pw.jpg",
            None,
            f"{'x' * 120}.jpg",
            id="upload cut short",
        ),
        pytest.param([], "", None, None, id="no name"),
        pytest.param(["b.jpg"], "x", "http://[b.jpg", None, id="no address"),
        pytest.param(["b.jpg"], "x", "data:image/jpeg;base64,/b.jpg", None, id="the picture itself"),
    ],
)
def test_find(tmp_path: Path, there: list[str], asked: str, uri: str | None, expected: str | None) -> None:
    found = folder(tmp_path, *there).find(record(asked, uri))
    assert found == (Found(tmp_path / expected, expected) if expected else None)


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        pytest.param(["x/b.jpg", "y/b.jpg"], "b.jpg", id="two below"),
        pytest.param(["x/b.jpg", "y/b.jpg"], "z/b.jpg", id="neither folder fits"),
        pytest.param(["B.jpg", "b.JPG"], "b.jpg", id="case"),
        pytest.param(["a b.jpg", "a_(b).jpg", "a_b.jpg.d/a_b!.jpg"], "0123abcd-a_b.jpg", id="sanitised"),
        pytest.param(
            [f"{'x' * 120}1.jpg", f"{'x' * 120}2.jpg"], f"0123abcd-{'x' * 70}_aLli3Pw.jpg", id="cut short"
        ),
    ],
)
def test_ambiguous(tmp_path: Path, there: list[str], asked: str) -> None:
    with pytest.raises(InputError, match=r"may be .* and .*: leave one there"):
        folder(tmp_path, *there).find(record(asked))


def test_an_address_settles_what_the_name_does_not(tmp_path: Path) -> None:
    found = folder(tmp_path, "x/b.jpg", "y/b.jpg").find(record("b.jpg", "s3://bucket/y/b.jpg"))
    assert found is not None
    assert found.name == "y/b.jpg"


def test_a_video(tmp_path: Path) -> None:
    video = VideoRecord(1, "0123abcd-a.mp4", (8, 8), 1, None, ())
    assert folder(tmp_path, "a.mp4").find(video) == Found(tmp_path / "a.mp4", "a.mp4")


def test_links_to_folders_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "round").symlink_to(tmp_path)
    assert len(folder(tmp_path, "in/b.jpg")) == 1


@pytest.mark.parametrize("name", ["file", "nowhere"])
def test_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"is no folder|does not exist"):
        PictureFolder(tmp_path / name)


# --- sizes --------------------------------------------------------------------------------------------------


def pixels(mode: str = "RGB") -> Image.Image:
    """60 × 108, flat tiles: JPEG keeps them nearly as they are."""
    rng = np.random.default_rng(0)
    tiles = np.kron(rng.integers(0, 255, (5, 9, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(tiles[..., 0].astype(np.uint16) * 255)
    return Image.fromarray(tiles).convert(mode)


def saved(path: Path, orientation: int, mode: str = "RGB", **how: Any) -> Path:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    pixels(mode).save(path, exif=exif.tobytes(), icc_profile=ICC, **how)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_upright_size(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = saved(tmp_path / f"a.{suffix}", orientation)
    assert upright_size(path) == ((108, 60) if orientation > 4 else (60, 108))


def test_a_picture_too_large_to_decode_still_has_a_size(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("1", (8, 8)).save(data, "PNG")
    head = b"IHDR" + struct.pack(">II", 20_000, 20_000) + data.getvalue()[24:29]
    forged = data.getvalue()[:12] + head + struct.pack(">I", zlib.crc32(head)) + data.getvalue()[33:]
    (tmp_path / "a.png").write_bytes(forged)
    assert upright_size(tmp_path / "a.png") == (20_000, 20_000)


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff\xe0half"])
def test_no_picture_has_no_size(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.jpg"):
        upright_size(tmp_path / "a.jpg")


# --- fitting ------------------------------------------------------------------------------------------------

BOX = np.array([[10.0, 20.0], [30.0, 20.0], [30.0, 40.0], [10.0, 40.0]])


def labelled(size: tuple[int, int]) -> Record:
    """A square of corners and the same painted."""
    drawn = Polygons((BOX,), size)
    instances = (
        Instance(drawn, "a", keypoints=(Keypoint("tip", 10.0, 20.0),)),
        Instance(encode(to_mask(drawn))),
    )
    return Record(1, "a.jpg", size, instances, task_id=7)


def test_a_size_that_nobody_knew() -> None:
    told: list[Problem] = []
    assert fitted(record("a.jpg"), (50, 100), told.append).size == (50, 100)
    assert told == []


def test_the_size_that_was_labelled() -> None:
    one = labelled((50, 100))
    assert fitted(one, (50, 100), pytest.fail) is one


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param((50, 100), (100, 200), id="larger"),
        pytest.param((100, 200), (50, 100), id="smaller"),
        pytest.param((667, 1000), (2000, 3000), id="rounded"),
        pytest.param((2000, 3000), (666, 1000), id="cut off"),
    ],
)
def test_another_size_of_the_same_aspect(old: tuple[int, int], new: tuple[int, int]) -> None:
    told: list[Problem] = []
    after = fitted(labelled(old), new, told.append)
    down, right = new[0] / old[0], new[1] / old[1]
    drawn, painted = after.instances
    assert after.size == new
    assert isinstance(drawn.shape, Polygons)
    np.testing.assert_allclose(drawn.shape.rings[0], BOX * (right, down))
    assert drawn.keypoints == (Keypoint("tip", 10.0 * right, 20.0 * down),)
    assert to_mask(painted.shape).shape == new
    (problem,) = told
    assert (problem.done, problem.task_id, problem.file_name) == ("mended", 7, "a.jpg")
    shown = f"{new[1]}×{new[0]} pixels, but was labelled at {old[1]}×{old[0]}: its labels were scaled."
    assert problem.reason == f"Picture a.jpg is {shown}"


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        pytest.param((100, 50), "its sides are swapped", id="transposed"),
        pytest.param((50, 120), "give the picture that was labelled", id="another aspect"),
        pytest.param((102, 200), "give the picture that was labelled", id="just too far off"),
    ],
)
def test_another_aspect_stays_as_it_was_labelled(new: tuple[int, int], reason: str) -> None:
    told: list[Problem] = []
    one = labelled((50, 100))
    assert fitted(one, new, told.append) is one
    assert told[0].done == "kept"
    assert reason in told[0].reason


def test_what_vanishes_when_it_is_scaled_is_told() -> None:
    mask = np.zeros((1000, 1000), bool)
    mask[1, 1] = True
    told: list[Problem] = []
    one = Record(1, "a.jpg", (1000, 1000), (Instance(encode(mask), region_id="r"),))
    assert fitted(one, (10, 10), told.append).instances == ()
    assert [(problem.done, problem.region_id) for problem in told] == [("mended", None), ("left out", "r")]


# --- placing ------------------------------------------------------------------------------------------------


def shown(path: Path) -> npt.NDArray[np.int64]:
    """The pixels as a viewer that heeds EXIF shows them."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(path.read_bytes()))), np.int64)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize(
    ("name", "mode", "how"),
    [
        pytest.param("a.jpg", "RGB", {"quality": 95, "subsampling": 0}, id="jpeg"),
        pytest.param("a.jpg", "L", {"quality": 95}, id="grey jpeg"),
        pytest.param("a.jpg", "CMYK", {"quality": 95}, id="cmyk jpeg"),
        pytest.param("a.png", "RGBA", {}, id="png"),
        pytest.param("a.png", "P", {}, id="png with a palette"),
        pytest.param("a.png", "I;16", {}, id="16-bit png"),
        pytest.param("a.webp", "RGBA", {"lossless": True}, id="webp"),
        pytest.param("a.tif", "RGB", {}, id="tiff"),
        pytest.param("a.tif", "L", {}, id="grey tiff"),
        pytest.param("a.tif", "1", {"compression": "group4"}, id="fax tiff"),
        pytest.param("a.tif", "RGB", {"compression": "jpeg"}, id="jpeg tiff"),
    ],
)
def test_a_turned_picture_is_copied_upright(
    tmp_path: Path, name: str, mode: str, how: dict[str, Any], orientation: int
) -> None:
    source, target = saved(tmp_path / name, orientation, mode, **how), tmp_path / "out" / name
    assert place(source, target, "copy")
    with Image.open(target) as image:
        assert image.getexif()[0x0112] == 1
        assert image.getexif()[0x010F] == "Maker"
        assert image.info["icc_profile"] == ICC
        now = np.asarray(image, np.int64)
    before = shown(source)
    assert now.shape == before.shape
    if name == "a.jpg":
        assert np.abs(now - before).mean() < 3
    else:
        np.testing.assert_array_equal(now, before)
    assert os.listdir(target.parent) == [name]


def test_a_file_of_a_cache_is_known_by_its_content(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.jpg", 6).rename(tmp_path / "3f9a.media")
    assert place(source, tmp_path / "out" / "photo", "copy")
    with Image.open(tmp_path / "out" / "photo") as image:
        assert image.getexif()[0x0112] == 1


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (1, 0), (2, 2)])
def test_colours_stay_as_fine_as_they_were(tmp_path: Path, given: int, kept: int) -> None:
    place(saved(tmp_path / "a.jpg", 6, subsampling=given), tmp_path / "b.jpg", "copy")
    with Image.open(tmp_path / "b.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == kept


def test_an_upright_picture_and_a_video_are_copied_byte_by_byte(tmp_path: Path) -> None:
    picture = saved(tmp_path / "a.jpg", 1)
    (tmp_path / "v.mp4").write_bytes(b"video")
    for source in (picture, tmp_path / "v.mp4"):
        target = tmp_path / "out" / source.name
        assert not place(source, target, "copy")
        assert target.read_bytes() == source.read_bytes()
        assert target.stat().st_nlink == 1
        assert not place(source, target, "copy")  # there already


def test_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "a.jpg", 6)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert not place(Path("a.jpg"), Path("out/b.jpg"), "link")
    assert (tmp_path / "out" / "b.jpg").readlink() == tmp_path / "a.jpg"


@pytest.mark.parametrize("hard", [True, False])
def test_where_links_are_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard: bool) -> None:
    def refused(*_: object) -> None:
        raise OSError("a required privilege is not held by the client")

    source = saved(tmp_path / "a.jpg", 6)
    monkeypatch.setattr(os, "symlink", refused)
    if not hard:
        monkeypatch.setattr(os, "link", refused)
    place(source, tmp_path / "b.jpg", "link")
    assert not (tmp_path / "b.jpg").is_symlink()
    assert (tmp_path / "b.jpg").read_bytes() == source.read_bytes()
    assert (tmp_path / "b.jpg").samefile(source) == hard


@pytest.mark.parametrize("how", ["copy", "link"])
def test_another_file_is_never_replaced(tmp_path: Path, how: Any) -> None:
    saved(tmp_path / "a.jpg", 1)
    (tmp_path / "b.jpg").write_text("somebody's")
    with pytest.raises(LabelerError, match="already there"):
        place(tmp_path / "a.jpg", tmp_path / "b.jpg", how)
    assert (tmp_path / "b.jpg").read_text() == "somebody's"
    assert sorted(os.listdir(tmp_path)) == ["a.jpg", "b.jpg"]


def _cut(path: Path) -> None:
    saved(path, 6)
    path.write_bytes(path.read_bytes()[:-200])


def _pages(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels().save(path, "TIFF", exif=exif, save_all=True, append_images=[pixels()])


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_source_that_is_not_there(tmp_path: Path, how: Any) -> None:
    for name in ("a.jpg", "a.mp4"):
        with pytest.raises(InputError, match=f"{name}.*(does not exist|cannot be read)"):
            place(tmp_path / name, tmp_path / "out" / name, how)
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]


@pytest.mark.parametrize(
    ("make", "name", "sentence"),
    [
        pytest.param(_cut, "a.jpg", "damaged or cut off", id="cut off"),
        pytest.param(_pages, "a.tif", "has several pages and is turned by EXIF", id="pages"),
    ],
)
def test_what_cannot_be_turned(tmp_path: Path, make: Any, name: str, sentence: str) -> None:
    make(tmp_path / name)
    with pytest.raises(InputError, match=sentence):
        place(tmp_path / name, tmp_path / "out" / name, "copy")
    assert os.listdir(tmp_path / "out") == []


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    source = saved(tmp_path / "a.jpg", 1)
    with pytest.raises(LabelerError, match="cannot be written") as caught:
        place(source, tmp_path / "file" / "a.jpg", "copy")
    assert not isinstance(caught.value, InputError)
