"""The page of `labeler inspect`: what the backbone sees in one image, step by step, in one file."""

from __future__ import annotations

import base64
import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from labeler_backend import __version__
from labeler_backend.backbone.device import dtype_name
from labeler_backend.backbone.features import Features
from labeler_backend.errors import LabelerError
from labeler_backend.files import write_bytes
from labeler_backend.media import DEFAULT_MAX_PIXELS, decode
from labeler_backend.proposals.roles import HeadRoles, figure_map
from labeler_backend.proposals.spectral import TAU, normalized_cut, segments
from labeler_backend.proposals.types import Proposal
from labeler_backend.report import maps
from labeler_backend.report.drawing import RGBImage, thumbnail
from labeler_backend.report.preview import jpeg, preview
from labeler_backend.report.rendering import card, environment

if TYPE_CHECKING:
    from labeler_backend.labeler import Labeler

_SIDE = 560  # pixels of a map; patches are far coarser
_LARGE = 1000  # pixels of the picture with its proposals
_EIGENVECTORS = 5


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one page shows.

    Attributes:
        name: of the image, for the title.
        image: (H, W, 3) uint8 RGB, upright.
        features: of that image.
        roles: of the model's heads.
        proposals: by falling score.
        model: short name of the backbone.
        settings: name → value, for the table at the end.
        seconds: step → how long it took.
    """

    name: str
    image: RGBImage
    features: Features
    roles: HeadRoles
    proposals: Sequence[Proposal]
    model: str
    settings: dict[str, str]
    seconds: dict[str, float]


def inspect_image(
    source: Path, out: Path, load: Callable[[], Labeler], max_pixels: int = DEFAULT_MAX_PIXELS
) -> dict[str, Any]:
    """Looks at one image and writes the page about it; what is wrong is said before the model is loaded.

    Returns:
        JSON-ready: `path` of the page, `image`, `model`, `image_size`, `input_size` and `grid` (height
        first), `roles`, the number of `proposals`, and `seconds` per step.

    Raises:
        InputError: the image cannot be used.
        LabelerError: the page cannot be written there, or what `load` raises.
    """
    image = decode(source, max_pixels=max_pixels)
    with _page_errors(out):
        _check_writable(out)
    seconds: dict[str, float] = {}
    with _timed(seconds, "load"):
        labeler = load()
    with _timed(seconds, "encode"):
        (features,) = labeler.encode([image])
    with _timed(seconds, "propose"):
        proposals = labeler.propose(image, features)
    model, settings = _identity(labeler)
    seen = Inspection(source.name, image, features, labeler.roles, proposals, model, settings, dict(seconds))
    with _timed(seconds, "page"), _page_errors(out):
        write_inspection(out, seen)
    return {
        "path": str(out),
        "image": str(source),
        "model": features.model_key,
        "image_size": features.image_size,
        "input_size": features.input_size,
        "grid": features.grid,
        "roles": {
            "agreement": seen.roles.agreement,
            "figure": seen.roles.figure,
            "ground": seen.roles.ground,
        },
        "proposals": len(proposals),
        "seconds": {step: round(spent, 4) for step, spent in seconds.items()},
    }


def write_inspection(path: Path, inspection: Inspection) -> None:
    """Writes the page, whole or not at all.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    page = environment().get_template("inspect.html.j2").render(context(inspection))
    write_bytes(path, page.encode("utf-8", "replace"))


def context(inspection: Inspection) -> dict[str, Any]:
    """All that the template needs; pictures are base64 JPEGs."""
    features = inspection.features
    picture = thumbnail(inspection.image, _SIDE)
    figure = figure_map(features, inspection.roles)
    shown = preview(inspection.image, inspection.proposals, _LARGE)
    return {
        "it": inspection,
        "version": __version__,
        "picture": jpeg(picture),
        "aspect": f"{picture.shape[1]} / {picture.shape[0]}",
        "tokens": _token_data(features, figure),
        "heads": head_maps(features, inspection.roles, picture),
        "figure": jpeg(maps.two_sided(figure, picture)),
        "lit": jpeg(maps.lit(figure, picture)),
        "components": _component_pictures(features, figure > 0, picture),
        "cuts": _cuts(features, picture),
        "tau": TAU,
        "segments": int(segments(features).max()) + 1,
        "segmented": jpeg(maps.paint_segments(segments(features), picture)),
        "card": card({**shown, "path": inspection.name}),
    }


def head_maps(features: Features, roles: HeadRoles, picture: RGBImage) -> list[dict[str, Any]]:
    """Per head its `number`, `role`, `agreement`, `share` of the attention that patches get, and `jpeg`."""
    return [
        {
            "number": head,
            "role": role_of(head, roles),
            "agreement": roles.agreement[head],
            "share": float(attention.sum()),
            "jpeg": jpeg(maps.heat(attention, picture)),
        }
        for head, attention in enumerate(features.attention)
    ]


def role_of(head: int, roles: HeadRoles) -> str:
    """`figure`, `ground` or `neither`."""
    return "figure" if head in roles.figure else "ground" if head in roles.ground else "neither"


def _identity(labeler: Labeler) -> tuple[str, dict[str, str]]:
    """Short name of the model, and the settings table."""
    encoder = labeler.encoder
    name, weights, _, preprocessing = encoder.model_key.rsplit(":", 3)
    settings = {
        "model": name,
        "weights": f"SHA-256 {weights}…",
        "device": str(encoder.device),
        "number format": dtype_name(encoder.dtype),
        "preprocessing": f"version {preprocessing.removeprefix('p')}",
        "size": f"{labeler.size} pixels on the long side, rounded to whole patches",
        "proposals": labeler.settings.fingerprint(),
    }
    return name, settings


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started


def _check_writable(out: Path) -> None:
    if out.is_dir():
        raise LabelerError(
            f"{out} is a folder: give --out the name of a file, such as {out / 'report.html'}."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def _page_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise LabelerError(
            f"{out} cannot be written ({reason}): make room, or choose another --out."
        ) from error


def _component_pictures(
    features: Features, where: np.ndarray[Any, np.dtype[np.bool_]], picture: RGBImage
) -> list[str]:
    size = picture.shape[1], picture.shape[0]
    return [jpeg(maps.pca_picture(features.tokens, size, chosen)) for chosen in (None, where)]


def _cuts(features: Features, picture: RGBImage) -> list[dict[str, Any]]:
    spectrum = normalized_cut(features.tokens, vectors=_EIGENVECTORS)
    return [
        {"value": float(value), "jpeg": jpeg(maps.two_sided(vector - vector.mean(), picture))}
        for value, vector in zip(spectrum.values, spectrum.vectors, strict=True)
    ]


def _token_data(features: Features, figure: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Any]:
    """What the page computes similarities from: small tokens, the colour table, the patch to begin with."""
    gh, gw = features.grid
    compact = maps.compact_tokens(features.tokens)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)
    return {
        "data": base64.b64encode(compact.tobytes()).decode("ascii"),
        "dimensions": compact.shape[1],
        "rows": gh,
        "columns": gw,
        "first": int(np.argmax(figure)),
        "table": base64.b64encode(table[:, 0, ::-1].tobytes()).decode("ascii"),
    }
