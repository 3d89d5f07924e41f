"""The pictures of the documentation, from examples/ through the product's own functions: `make pictures`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from labeler_backend.backbone.features import Features
from labeler_backend.labeler import Labeler
from labeler_backend.media import decode
from labeler_backend.proposals.roles import figure_map
from labeler_backend.proposals.spectral import normalized_cut, segments
from labeler_backend.proposals.types import Proposal
from labeler_backend.report import maps
from labeler_backend.report.drawing import RGBImage, overlay, thumbnail
from labeler_backend.report.inspect import role_of

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images"
GAP = 8
SIDE = 480  # of each map, before its row is scaled


@cache
def labeler() -> Labeler:
    """fp32 on the CPU: the same pictures wherever they are made."""
    return Labeler.load(device="cpu", dtype="fp32")


@cache
def seen(name: str) -> tuple[RGBImage, Features, tuple[Proposal, ...]]:
    """An example picture, its features and its proposals."""
    image = decode(ROOT / "examples" / "images" / f"{name}.jpg")
    (features,) = labeler().encode([image])
    return image, features, tuple(labeler().propose(image, features))


def drawn(name: str, most: int, side: int = 560) -> RGBImage:
    """The picture with its best proposals, small enough for their numbers to be read."""
    image, _, proposals = seen(name)
    return overlay(image, proposals[:most], side)


def titled(picture: RGBImage, title: str) -> RGBImage:
    """A line of text above."""
    font = ImageFont.load_default(22)
    canvas = Image.new("RGB", (picture.shape[1], picture.shape[0] + 32), "white")
    ImageDraw.Draw(canvas).text((2, 2), title, font=font, fill=(40, 40, 40))
    canvas.paste(Image.fromarray(picture), (0, 32))
    return np.asarray(canvas)


def table(rows: Sequence[Sequence[RGBImage]], width: int) -> RGBImage:
    """Rows of pictures on white, each row scaled to the same width."""
    lines = []
    for row in rows:
        free = width - GAP * (len(row) - 1)
        height = round(free / sum(picture.shape[1] / picture.shape[0] for picture in row))
        line = maps.side_by_side(row, height, GAP)
        lines.append(np.asarray(cv2.resize(line, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    space = np.full((GAP, width, 3), 255, np.uint8)
    stacked = [part for line in lines for part in (space, line)]
    return np.vstack(stacked[1:])


def save(name: str, picture: RGBImage) -> None:
    """Writes docs/images/NAME.jpg."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.jpg"
    Image.fromarray(picture).save(path, quality=84, optimize=True, progressive=True)
    print(
        f"{path.relative_to(ROOT)}  {picture.shape[1]}×{picture.shape[0]}  {path.stat().st_size // 1000} kB"
    )


def heads(name: str) -> list[RGBImage]:
    """The picture, and the attention of every head with its role and agreement."""
    image, features, _ = seen(name)
    small, roles = thumbnail(image, SIDE), labeler().roles
    row = [titled(small, "picture")]
    for head, attention in enumerate(features.attention):
        role = f"head {head}: {role_of(head, roles)} {roles.agreement[head]:+.2f}"
        row.append(titled(maps.heat(attention, small), role))
    return row


def components(name: str) -> list[RGBImage]:
    """The picture, its figure map, and the principal components of all and of the figure's tokens."""
    image, features, _ = seen(name)
    small, figure = thumbnail(image, SIDE), figure_map(features, labeler().roles)
    size = small.shape[1], small.shape[0]
    return [
        titled(small, "picture"),
        titled(maps.two_sided(figure, small), "figure heads : ground heads"),
        titled(maps.pca_picture(features.tokens, size), "components, all patches"),
        titled(maps.pca_picture(features.tokens, size, figure > 0), "components, figure only"),
    ]


def cuts(name: str) -> list[RGBImage]:
    """The segments, and the first cuts with their values."""
    image, features, _ = seen(name)
    small, spectrum = thumbnail(image, SIDE), normalized_cut(features.tokens, vectors=3)
    labels = segments(features)
    row = [titled(maps.paint_segments(labels, small), f"{labels.max() + 1} segments")]
    for k, (value, vector) in enumerate(zip(spectrum.values, spectrum.vectors, strict=True), 1):
        row.append(titled(maps.two_sided(vector - vector.mean(), small), f"cut {k}, value {value:.2f}"))
    return row


def main() -> None:
    """All pictures."""
    best = ("astronaut", "coffee", "rocket", "cameraman")
    save("overview", table([[seen(n)[0] for n in best], [drawn(n, 3) for n in best]], 1500))
    save("heads", table([heads("astronaut"), heads("coffee")], 1700))
    save("components", table([components(n) for n in ("astronaut", "cat", "coffee")], 1300))
    save("cuts", table([cuts(n) for n in ("astronaut", "cat", "coffee")], 1300))
    save("proposals", table([[drawn(n, 8) for n in ("astronaut", "cat", "coffee")]], 1500))
    save("failure", table([[drawn(n, 12) for n in ("coins", "galaxies")]], 1300))


if __name__ == "__main__":
    main()
