"""A video with boxes that live for a while, and how much of them an export holds."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from benchmarks.export.drawing import BoolMask
from benchmarks.export.exporters import Trouble, run_labeler, unpack
from benchmarks.export.project import Annotation, Server, Task
from benchmarks.export.scoring import KEPT
from benchmarks.ground_truth import label_objects

FPS = 24  # what Label Studio takes for granted, spelled out in the config all the same
FRAMES = 40
CONFIG = (
    '<View><Labels name="label" toName="video"><Label value="whole"/><Label value="part"/></Labels>'
    f'<Video name="video" value="$video" framerate="{FPS}"/>'
    '<VideoRectangle name="box" toName="video"/></View>'
)
Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""


@dataclass(frozen=True)
class Seen:
    """One box of one frame, from 0; `track`: whose."""

    frame: int
    box: Box
    track: str


@dataclass(frozen=True)
class KeyFrame:
    """A box set by hand; `alive`: whether it goes on from here."""

    frame: int
    box: Box
    alive: bool = True


@dataclass(frozen=True)
class Clip:
    """A video file, its boxes set by hand, by label, and its size (H, W)."""

    name: str
    data: bytes
    tracks: dict[str, Sequence[KeyFrame]]
    size: tuple[int, int]


def clip_of(name: str, pictures: Sequence[Image.Image], masks: Sequence[BoolMask]) -> Clip:
    """Frames and their masks → a clip with two tracks, of which one goes away and comes back.

    Args:
        name: of the file.
        pictures: all of one size with even sides.
        masks: one per frame.
    """
    every = {n: _box(mask) for n, mask in enumerate(masks) if mask.any()}
    last = len(pictures) - 1
    whole = [KeyFrame(n, every[n]) for n in sorted({*range(0, last, 8), last}) if n in every]
    half = {n: (x, y, w / 2, h / 2) for n, (x, y, w, h) in every.items()}
    alive = {last * 1 // 8: True, last * 3 // 8: False, last * 5 // 8: True, last * 6 // 8: True}
    part = [KeyFrame(n, half[n], on) for n, on in alive.items() if n in half]
    size = (pictures[0].height, pictures[0].width)
    return Clip(name, mp4(pictures), {"whole": whole, "part": part}, size)


def davis_clip(data: Path) -> Clip:
    """The first sequence of a folder of DAVIS sequences."""
    sequence = next(p for p in sorted(data.iterdir()) if (p / "frames").is_dir())
    files = sorted((sequence / "frames").glob("*.jpg"))[:FRAMES]
    masks = [
        np.any(label_objects(sequence / "labels" / f"{f.stem}.png") or [np.zeros((1, 1), bool)], axis=0)
        for f in files
    ]
    return clip_of(f"{sequence.name}.mp4", [Image.open(f).convert("RGB") for f in files], masks)


def mp4(pictures: Sequence[Image.Image]) -> bytes:
    """H.264 in an MP4 of `FPS` frames per second."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))  # type: ignore[no-untyped-call]
        container.mux(stream.encode())
    return out.getvalue()


def video_task(clip: Clip, frames: int) -> Task:
    """The clip as a task with its boxes; `frames`: how many it has."""
    height, width = clip.size
    result = []
    for label, keys in clip.tracks.items():
        sequence = [
            {
                "frame": key.frame + 1,
                "enabled": key.alive,
                "rotation": 0,
                "x": 100 * key.box[0] / width,
                "y": 100 * key.box[1] / height,
                "width": 100 * key.box[2] / width,
                "height": 100 * key.box[3] / height,
                "time": (key.frame + 1) / FPS,
            }
            for key in keys
        ]
        value = {"framesCount": frames, "duration": frames / FPS, "sequence": sequence, "labels": [label]}
        result.append(
            {
                "id": secrets.token_urlsafe(8)[:10],
                "type": "videorectangle",
                "from_name": "box",
                "to_name": "video",
                "origin": "manual",
                "value": value,
            }
        )
    return Task({clip.name: clip.data}, [Annotation(result)])


def true_boxes(clip: Clip, frames: int) -> list[Seen]:
    """Every box of every frame: between two set by hand on a straight line, after the last one as it is."""
    seen = []
    for label, keys in clip.tracks.items():
        for n in range(keys[0].frame, frames):
            before = [key for key in keys if key.frame <= n][-1]
            after = next((key for key in keys if key.frame > n), before)
            if before.alive:
                ends = [before.frame, max(after.frame, before.frame + 1)]
                pairs = zip(before.box, after.box, strict=True)
                x, y, w, h = (float(np.interp(n, ends, pair)) for pair in pairs)
                seen.append(Seen(n, (x, y, w, h), label))
    return seen


def ends_of(clip: Clip) -> set[int]:
    """Frames where a box is set that does not go on: to be seen there or not, both can be meant."""
    return {key.frame for keys in clip.tracks.values() for key in keys if not key.alive}


def video_scores(server: Server, data: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Builds a video project, exports it every way there is → exporter → figures."""
    folder = next((f for f in sorted(data.iterdir()) if any(f.glob("*/frames"))), None)
    if folder is None:
        return {}
    clip = davis_clip(folder)
    project = server.build("A video", CONFIG, [video_task(clip, FRAMES)], key="video")
    out.mkdir(parents=True, exist_ok=True)
    live = ("--ls-project", project)
    ways: dict[str, Callable[[Path], Iterable[Seen]]] = {
        "Label Studio, COCO": lambda at: _studio_coco(server, project, at),
        "Label Studio, JSON with every frame": lambda at: interpolated(server, project, clip.size),
        "labeler export, live, mot": lambda at: _labeler(server, at, read_mot, *live, "--format", "mot"),
        "labeler export, live, youtube-vis": lambda at: _labeler(
            server, at, read_youtube_vis, *live, "--format", "youtube-vis"
        ),
    }
    truth, results = true_boxes(clip, FRAMES), {}
    for n, (name, way) in enumerate(ways.items()):
        try:
            found, trouble = list(way(out / f"{n}")), ""
        except Trouble as error:
            found, trouble = [], str(error)
        results[name] = {**score_boxes(truth, found, ends_of(clip)), "trouble": trouble}
    return results


def score_boxes(truth: Sequence[Seen], found: Sequence[Seen], unclear: set[int]) -> dict[str, Any]:
    """Boxes matched one to one in each frame; frames where a box may be seen or not are left out."""
    total, kept, overlap, surplus = 0, 0, 0.0, 0
    for frame in sorted({one.frame for one in (*truth, *found)} - unclear):
        here = [one.box for one in truth if one.frame == frame]
        theirs = [one.box for one in found if one.frame == frame]
        table = np.array([[box_iou(a, b) for b in theirs] for a in here]).reshape(len(here), len(theirs))
        chosen = table[linear_sum_assignment(table, maximize=True)]
        total += len(here)
        kept += int((chosen >= KEPT).sum())
        overlap += float(chosen.sum())
        surplus += len(theirs) - int((chosen >= KEPT).sum())
    return {
        "true": total,
        "kept": kept,
        "mean_iou": round(overlap / max(total, 1), 4),
        "surplus": surplus,
        "tracks": len({one.track for one in found}),
    }


def box_iou(one: Box, other: Box) -> float:
    """Of two boxes."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared) if shared else 0.0


def interpolated(server: Server, project: int, size: tuple[int, int]) -> Iterator[Seen]:
    """What Label Studio itself makes of the boxes between key frames."""
    answer = server.export(project, "JSON", interpolate_key_frames="true")
    if answer.is_error:
        raise Trouble(f"HTTP {answer.status_code}")
    for task in answer.json():
        for annotation in task["annotations"]:
            for one in annotation["result"]:
                for at in one["value"]["sequence"]:
                    if at["enabled"]:
                        x, y, w, h = (at[k] / 100 for k in ("x", "y", "width", "height"))
                        box = (x * size[1], y * size[0], w * size[1], h * size[0])
                        yield Seen(at["frame"] - 1, box, one["id"])


def read_mot(folder: Path) -> Iterator[Seen]:
    """`gt.txt`: frames from 1, and pixels from 1 as MOTChallenge counts them."""
    for path in sorted(folder.rglob("gt.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            frame, track, x, y, w, h, *_ = (float(v) for v in line.split(","))
            yield Seen(int(frame) - 1, (x - 1, y - 1, w, h), f"{path}:{track}")


def read_youtube_vis(folder: Path) -> Iterator[Seen]:
    """The one YouTube-VIS file."""
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "videos" in content:
            for one in content["annotations"]:
                for frame, box in enumerate(one["bboxes"]):
                    if box is not None:
                        yield Seen(frame, (box[0], box[1], box[2], box[3]), str(one["id"]))


def _labeler(
    server: Server, folder: Path, read: Callable[[Path], Iterable[Seen]], *arguments: object
) -> Iterable[Seen]:
    run_labeler(folder, server, *arguments)
    return read(folder)


def _studio_coco(server: Server, project: int, folder: Path) -> list[Seen]:
    answer = server.export(project, "COCO")
    if answer.is_error:
        raise Trouble(f"HTTP {answer.status_code}")
    folder.mkdir(parents=True, exist_ok=True)
    unpack("COCO", answer.content, folder)
    content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return [Seen(0, one["bbox"], str(one["id"])) for one in content["annotations"]]  # there are none


def _box(mask: BoolMask) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)
