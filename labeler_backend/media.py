"""From a file to pixels: upright RGB, or one sentence that says why not.

What is not plain 8-bit RGB becomes it like this: EXIF orientation is applied; transparency is laid over
white; 16-bit, 32-bit and float grey is stretched from its own darkest to its own brightest value; CMYK is
read in Adobe's (inverted) convention, as every viewer does; of an animation or a stack of pages the first
frame is taken.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from labeler_backend.errors import InputError

RGB = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif"})
UNSUPPORTED_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg"})
"""Pictures to a person, not to us: a folder reports them as failures rather than passing over them."""

DEFAULT_MAX_PIXELS = 100_000_000
MIN_SIDE = 8
"""Pixels; below it there is nothing for a patch to see."""

_TRANSPOSED = range(5, 9)  # EXIF orientations that swap width and height
_ORIENTATION, _WIDTH, _HEIGHT = 0x0112, 0x0100, 0x0101

# Pillow's own guard against decompression bombs cannot be lifted per image; `opened` checks every header
# itself, against a lower limit, before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Picture:
    """An opened image whose header has been read and whose pixels have not.

    Attributes:
        size: (H, W) of the upright image in pixels, as the header has it.
        orientation: EXIF's, 1 (upright) to 8.
        note: what a person should know of how it is read (an animation's first frame), or empty.
    """

    size: tuple[int, int]
    orientation: int
    note: str
    _image: Image.Image
    _name: str

    def rgb(self) -> RGB:
        """Decodes: (H, W, 3) uint8, upright.

        Raises:
            InputError: the file is cut off or damaged.
        """
        with _sentences(self._name):
            upright = ImageOps.exif_transpose(_decodable(self._image))
            return np.ascontiguousarray(_to_rgb(upright), dtype=np.uint8)


@contextmanager
def opened(data: bytes | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS, name: str = "") -> Iterator[Picture]:
    """Reads the header of an image.

    Args:
        data: a path, or the file's bytes.
        max_pixels: larger images are refused before they are decoded.
        name: what errors call the image; the path where it is empty.

    Raises:
        InputError: not an image, not a supported kind, unreadable, too large or too small.
    """
    name = name or (str(data) if isinstance(data, Path) else "The image")
    with _sentences(name):
        _check_file(data, name)
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        image = Image.open(source, formats=FORMATS)
    with image:
        with _sentences(name):
            size, orientation = _upright(image)  # reads no pixels, so that the check comes first
            _check_size(size, max_pixels, name)
            note = _note(image)
        yield Picture(size, orientation, note, image, name)


def decode(data: bytes | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> RGB:
    """An image file, or its bytes → (H, W, 3) uint8, upright.

    Raises:
        InputError: it cannot be used; the sentence says why and what to do.
    """
    with opened(data, max_pixels=max_pixels) as picture:
        return picture.rgb()


def _check_file(data: bytes | Path, name: str) -> None:
    if isinstance(data, Path) and data.is_dir():
        readable = os.access(data, os.R_OK | os.X_OK)
        problem = "is a folder, not an image: give it as an input of its own"
        denied = "is a folder that may not be read: change its permissions (chmod u+rx)"
        raise InputError(f"{name} {problem if readable else denied}.")
    if (len(data) if isinstance(data, bytes) else data.stat().st_size) == 0:
        raise InputError(f"{name} is empty (0 bytes): copy it again from where it came from.")


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    height, width = size
    if height * width > max_pixels:
        raise InputError(
            f"{name} has {width}×{height} = {height * width:,} pixels, over the limit of {max_pixels:,}: "
            f"scale it down, or allow it with --max-pixels {height * width}."
        )
    if min(size) < MIN_SIDE:
        raise InputError(
            f"{name} is {width}×{height} pixels, too small to hold an object: leave it out "
            f"(sides of {MIN_SIDE} pixels and more are used)."
        )


def _upright(image: Image.Image) -> tuple[tuple[int, int], int]:
    """(H, W) as it is shown, and the EXIF orientation."""
    width, height = image.size
    if isinstance(image, TiffImageFile):  # newer Pillows give its size as it is shown
        width, height = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
    if isinstance(image, PngImageFile):  # its getexif() would decode the image to look for a late chunk
        exif = Image.Exif()
        exif.load(image.info.get("exif") or b"")
    else:
        exif = image.getexif()
    orientation = next((known for known in range(1, 9) if known == exif.get(_ORIENTATION)), 1)
    return ((width, height) if orientation in _TRANSPOSED else (height, width)), orientation


def _decodable(image: Image.Image) -> Image.Image:
    """Pillow 13 maps a TIFF that is not compressed into memory, and mixes up its sides where it is turned."""
    if isinstance(image, TiffImageFile) and image.filename:
        return Image.open(io.BytesIO(Path(os.fsdecode(image.filename)).read_bytes()), formats=FORMATS)
    return image


def _note(image: Image.Image) -> str:
    """A phone's MPO also holds several frames, but those are the same picture again."""
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    return f"the first of its {frames} frames is used" if frames > 1 else ""


def _to_rgb(image: Image.Image) -> Image.Image | npt.NDArray[np.uint8]:
    if image.mode in ("F", "I") or image.mode.startswith("I;"):
        grey = _stretched(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _stretched(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """(H, W) of any depth → uint8, darkest to 0, brightest to 255: 12-bit cameras leave 16-bit files dark."""
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = values.min(), values.max()
    scale = 255.0 / (high - low) if high > low else 0.0
    stretched: npt.NDArray[np.uint8] = np.rint((values - low) * scale).astype(np.uint8)
    return stretched


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Turns what Pillow and the file system raise into one InputError."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist: check the name.") from error
    except PermissionError as error:
        raise InputError(f"{name} may not be read: change its permissions (chmod u+r).") from error
    except UnidentifiedImageError as error:
        raise InputError(_unknown(name)) from error
    except MemoryError as error:
        raise InputError(f"{name} does not fit into memory: scale it down.") from error
    except OSError as error:
        if error.errno is None:  # Pillow's own, for a file that ends too early
            raise InputError(_damaged(name, error)) from error
        raise InputError(
            f"{name} could not be read ({error.strerror}): check the disk it lies on."
        ) from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise InputError(_damaged(name, error)) from error


def _damaged(name: str, error: Exception) -> str:
    detail = " ".join(str(error).split()) or type(error).__name__
    return f"{name} is damaged or cut off ({detail}): copy or export it again."


def _unknown(name: str) -> str:
    kinds = "JPEG, PNG, TIFF, WebP, BMP or GIF"
    suffix = Path(name).suffix.lower()
    if suffix in UNSUPPORTED_SUFFIXES:
        return f"{name} is of a kind that is not supported ({suffix[1:].upper()}): convert it to {kinds}."
    return f"{name} is not an image that can be read: convert it to {kinds}."
