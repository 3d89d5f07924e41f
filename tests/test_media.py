"""media.decode: every kind of file a folder of pictures holds, and every way one can be bad."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile
from skimage import data as samples

from labeler_backend.errors import InputError
from labeler_backend.media import decode, opened

PHOTO = np.ascontiguousarray(samples.astronaut()[:96, 100:228])  # 96 down, 128 across
GREY16 = (samples.camera()[:64, :80].astype(np.uint16) * 16) + 100  # 12 bits in a 16-bit file


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(mode: str = "RGB") -> Image.Image:
    """The sample in another mode."""
    return Image.fromarray(PHOTO).convert(mode)


def rotated(orientation: int, kind: str = "JPEG", **options: Any) -> bytes:
    """A picture whose EXIF says how to turn it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(options.pop("mode", "RGB")), kind, exif=exif, **options)


def animated(kind: str) -> bytes:
    """Three frames; only the first is the photo."""
    frames = [Image.new("RGB", (128, 96), colour) for colour in ("red", "blue")]
    return encoded(
        photo(), kind, save_all=True, append_images=frames, **({"lossless": True} if kind == "WEBP" else {})
    )


def with_alpha() -> bytes:
    """The photo on the left, nothing (over a red that must not show) on the right."""
    layer = photo("RGBA")
    layer.paste((255, 0, 0, 0), (64, 0, 128, 96))
    return encoded(layer, "PNG")


def palette_with_transparency() -> bytes:
    """A GIF-like palette whose index 0 is transparent."""
    image = Image.new("P", (32, 16), 0)
    image.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    image.paste(1, (16, 0, 32, 16))
    return encoded(image, "PNG", transparency=0)


def header_of(width: int, height: int) -> bytes:
    """A PNG that promises `width`×`height` pixels and holds none: what a decompression bomb looks like."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(bytes(99)), b"IEND"]
    packed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        pytest.param(encoded(photo(), "PNG"), 0, id="png"),
        pytest.param(encoded(photo(), "JPEG", quality=95), 6, id="jpeg"),
        pytest.param(encoded(photo(), "TIFF"), 0, id="tiff"),
        pytest.param(encoded(photo(), "TIFF", compression="tiff_lzw"), 0, id="tiff-lzw"),
        pytest.param(encoded(photo(), "BMP"), 0, id="bmp"),
        pytest.param(encoded(photo(), "WEBP", lossless=True), 0, id="webp"),
        pytest.param(encoded(photo().quantize(256), "GIF"), 12, id="gif-palette"),
        pytest.param(encoded(photo("CMYK"), "JPEG", quality=95), 6, id="cmyk-jpeg-adobe-inverted"),
        pytest.param(encoded(photo("CMYK"), "TIFF"), 1, id="cmyk-tiff"),
        pytest.param(encoded(photo("RGBA"), "PNG"), 0, id="opaque-alpha"),
        pytest.param(animated("GIF"), 12, id="animated-gif-first-frame"),
        pytest.param(animated("WEBP"), 0, id="animated-webp-first-frame"),
        pytest.param(animated("PNG"), 0, id="animated-png-first-frame"),
        pytest.param(animated("TIFF"), 0, id="multi-page-tiff-first-page"),
    ],
)
def test_decodes_to_the_same_picture(data: bytes, tolerance: float) -> None:
    image = decode(data)
    assert image.dtype == np.uint8
    assert image.shape == PHOTO.shape
    assert image.flags.c_contiguous
    assert np.abs(image.astype(int) - PHOTO).mean() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["bytes", "path"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("JPEG", {"quality": 95}, id="jpeg"),
        pytest.param("PNG", {}, id="png"),
        pytest.param("TIFF", {}, id="tiff"),
        pytest.param("TIFF", {"compression": "tiff_lzw"}, id="tiff-lzw"),
        pytest.param("TIFF", {"mode": "RGBA"}, id="rgba-tiff"),
    ],
)
def test_exif_orientation_is_applied_and_the_size_is_upright(
    tmp_path: Path, kind: str, options: dict[str, Any], source: str, orientation: int
) -> None:
    turns: dict[int, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a),
    }
    upright = turns[orientation](PHOTO)
    data = rotated(orientation, kind, **options)
    (tmp_path / "picture").write_bytes(data)
    with opened(data if source == "bytes" else tmp_path / "picture") as picture:
        assert (picture.size, picture.orientation) == (upright.shape[:2], orientation)
        image = picture.rgb()
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_stretched_over_its_own_range(kind: str) -> None:
    image = decode(encoded(Image.fromarray(GREY16), kind))
    assert image.shape == (64, 80, 3)
    assert (image.min(), image.max()) == (0, 255)
    assert (image[..., 0] == image[..., 2]).all()
    expected = (GREY16 - GREY16.min()) / (GREY16.max() - GREY16.min()) * 255
    assert np.abs(image[..., 0] - expected).max() <= 0.5


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param(np.full((16, 16), 40000, np.uint16), 0, id="constant-16-bit"),
        pytest.param(np.full((16, 16), 77, np.uint8), 77, id="constant-8-bit-as-it-is"),
        pytest.param(np.full((16, 16), np.nan, np.float32), 0, id="float-nan"),
        pytest.param(np.ones((16, 16), bool), 255, id="one-bit"),
    ],
)
def test_grey_without_contrast(array: np.ndarray[Any, Any], expected: int) -> None:
    assert (decode(encoded(Image.fromarray(array), "TIFF")) == expected).all()


def test_transparency_is_laid_over_white() -> None:
    image = decode(with_alpha())
    assert (image[:, :64] == PHOTO[:, :64]).all()
    assert (image[:, 64:] == 255).all()
    image = decode(palette_with_transparency())
    assert (image[:, :16] == 255).all()
    assert (image[:, 16:] == (0, 0, 255)).all()


def test_an_animation_is_said_so() -> None:
    with opened(animated("GIF")) as picture:
        assert picture.note == "the first of its 3 frames is used"
    with opened(encoded(photo(), "PNG")) as picture:
        assert picture.note == ""


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        pytest.param("a.jpg", b"", "is empty (0 bytes)", id="zero-bytes"),
        pytest.param("a.jpg", encoded(photo(), "JPEG")[:1500], "is damaged or cut off", id="truncated-jpeg"),
        pytest.param("a.png", encoded(photo(), "PNG")[:9000], "is damaged or cut off", id="truncated-png"),
        pytest.param("a.tif", encoded(photo(), "TIFF")[:2000], "is damaged or cut off", id="truncated-tiff"),
        pytest.param("a.webp", encoded(photo(), "WEBP")[:900], "is damaged or cut off", id="truncated-webp"),
        pytest.param("a.jpg", b"\xff\xd8\xff", "is not an image that can be read", id="jpeg-of-three-bytes"),
        pytest.param("a.png", b"Hello, I am text.\n" * 9, "is not an image that can be read", id="text"),
        pytest.param(
            "a.HEIC", b"\0\0\0\x18ftypheic" * 9, "not supported (HEIC): convert it to JPEG", id="heic"
        ),
        pytest.param("a.avif", b"\0\0\0\x18ftypavif" * 9, "not supported (AVIF)", id="avif"),
        pytest.param("a.png", encoded(Image.new("RGB", (1, 1)), "PNG"), "is 1×1 pixels, too small", id="1x1"),
        pytest.param("a.png", encoded(Image.new("L", (900, 3)), "PNG"), "is 900×3 pixels", id="sliver"),
        pytest.param(
            "a.png", header_of(20000, 20000), "allow it with --max-pixels 400000000", id="20000x20000"
        ),
        pytest.param("a.png", header_of(2**31 - 1, 2**31 - 1), "over the limit", id="bomb"),
        pytest.param(
            "a.png", header_of(9000, 9000), "is damaged or cut off", id="promises-more-than-it-holds"
        ),
    ],
)
def test_bad_files_give_one_sentence(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        decode(path)
    sentence = str(caught.value)
    assert says in sentence
    assert sentence.startswith(str(path))
    assert "\n" not in sentence


def test_the_pixel_cap_counts_before_decoding_and_can_be_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(), "PNG")
    assert decode(data, max_pixels=96 * 128).shape == PHOTO.shape
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match="--max-pixels 12288"):
        decode(data, max_pixels=96 * 128 - 1)


def test_places_that_hold_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        decode(tmp_path / "no.jpg")
    with pytest.raises(InputError, match="is a folder, not an image"):
        decode(tmp_path)
    with pytest.raises(InputError, match="The image is not an image that can be read"):
        decode(b"nothing")


def test_a_rotated_png_is_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with opened(encoded(photo(), "PNG", exif=exif)) as picture:
        assert picture.size == (128, 96)
        assert (picture.rgb() == np.rot90(PHOTO, -1)).all()
