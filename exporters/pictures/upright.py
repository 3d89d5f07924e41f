"""Pictures that EXIF says to turn, written with their pixels turned: many trainers ignore EXIF."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, JpegImagePlugin
from PIL.ImageFile import ImageFile

from labeler_backend.errors import InputError
from labeler_backend.media import FORMATS, opened

MAX_PIXELS = 2**31 - 1
"""More than that COCO's RLE cannot count. Headers alone are read, so that less need not be refused."""
JPEG_QUALITY = 95

_ORIENTATION = 0x0112
# description, maker, model, resolution (3), software, date, artist, host, copyright, EXIF, GPS
_DESCRIPTIVE = {270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432, 34665, 34853}


def header(path: Path) -> tuple[tuple[int, int], int]:
    """(H, W) of the picture as it is shown, and its EXIF orientation, 1 to 8; decodes nothing.

    Raises:
        InputError: it is damaged, too large, or no picture.
    """
    with opened(path, max_pixels=MAX_PIXELS) as picture:
        return picture.size, picture.orientation


def turn(source: Path, target: Path) -> None:
    """Writes the picture with its pixels upright, in its own format: JPEG at quality 95, all else without
    loss. ICC profile and the rest of the EXIF data are kept.

    Raises:
        InputError: it is damaged, or of a kind that cannot be turned without loss.
        OSError: the target cannot be written.
    """
    # Not by its path: Pillow maps a TIFF that is not compressed into memory, and mixes up its sides then.
    data = io.BytesIO(source.read_bytes())
    with Image.open(data, formats=FORMATS) as image:
        _check_turnable(image, source)
        how = _encoding(image)
        try:
            image.load()
            exif = image.getexif()
            upright = ImageOps.exif_transpose(image)
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            detail = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{source} is damaged or cut off ({detail}): copy or export it again."
            ) from error
        if image.format == "TIFF":  # all of its tags are EXIF to Pillow, also those that say where pixels lie
            for tag in set(exif) - _DESCRIPTIVE:
                del exif[tag]
        exif[_ORIENTATION] = 1
        more = {"icc_profile": image.info.get("icc_profile"), "exif": exif.tobytes(), **how}
        upright.save(target, **{name: value for name, value in more.items() if value is not None})


def _check_turnable(image: ImageFile, source: Path) -> None:
    several = image.format != "MPO" and getattr(image, "n_frames", 1) > 1
    deep = any(";16" in str(tile) for tile in image.tile) and not image.mode.startswith("I")
    if several or deep:
        kind = "has several pages" if several else "has 16 bits per colour"
        raise InputError(f"{source} {kind} and is turned by EXIF, which is not supported: save it upright.")


def _encoding(image: ImageFile) -> dict[str, Any]:
    """How Pillow writes the same again, with the least loss."""
    kind = image.format
    if kind in ("JPEG", "MPO"):  # an MPO's further pictures are the same again
        sampling = JpegImagePlugin.get_sampling(image)
        # 4:2:2 has no counterpart that Pillow can write when it is turned by 90°.
        return {"format": "JPEG", "quality": JPEG_QUALITY, "subsampling": 2 if sampling == 2 else 0}
    if kind == "TIFF":
        used = image.info.get("compression", "raw")
        lossless = used in ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "group3", "group4")
        nested = {34665, 34853} & set(image.getexif())  # which libtiff, that compresses, does not take
        return {"format": kind, "compression": "raw" if nested else used if lossless else "tiff_lzw"}
    if kind == "WEBP":
        return {"format": kind, "lossless": True, "exact": True}
    return {"format": kind}
