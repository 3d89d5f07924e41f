"""What is left of a Label Studio project when it is exported?

    python -m benchmarks.export_fidelity --url URL --token TOKEN --data DIR [--out DIR] [--json FILE]

Builds projects in a running Label Studio (legacy token of a user who may invite others): every region type,
EXIF-rotated photographs that are not square, holes, several blobs, two annotators, skipped and empty
annotations, the clicks of a smart tool; the same without the clicks; tasks of several pages; a video. Exports
each with Label Studio, with its SDK and with `labeler export`, and scores each against what was drawn, which
is computed without any of them.

DIR holds data sets as `benchmarks/ground_truth.py` reads them, a folder each.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.export.drawing import KINDS
from benchmarks.export.exporters import exporters
from benchmarks.export.project import Server, Task, image_config, image_tasks, page_tasks, pictures_in
from benchmarks.export.scoring import Score, score
from benchmarks.export.video import video_scores

Scores = dict[str, tuple[Score, bool]]
"""Exporter → its score, and whether pictures come with it."""

COLUMNS = (
    "exporter",
    "instances kept",
    "mean IoU",
    "wrong category",
    "surplus annotations",
    "second rows for one picture",
    "pictures without a row",
    "wrong sizes",
    "file names that lead nowhere",
    "pictures left on their side",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--each", type=int, default=6, help="pictures of each data set")
    parser.add_argument("--out", type=Path, help="keep the exports in this folder")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    server = Server(args.url, args.token)
    with tempfile.TemporaryDirectory() as temporary:
        out = args.out or Path(temporary)
        results = measure(server, args.data, args.each, out)
        videos = video_scores(server, args.data, out / "video")
    print(f"{time.strftime('%Y-%m-%d')}, Label Studio {server.version()}\n")
    for title, (scores, truth) in results.items():
        print(f"### {title}\n\n{truth}\n\n{table(scores)}\n\n{kinds_table(scores)}\n")
    print("### A video\n\n" + "\n".join(video_rows(videos)))
    if args.json:
        content = {
            "date": time.strftime("%Y-%m-%d"),
            **{title: {n: s.as_json() for n, (s, _) in rows.items()} for title, (rows, _) in results.items()},
            "video": videos,
        }
        args.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def measure(server: Server, data: Path, each: int, out: Path) -> dict[str, tuple[Scores, str]]:
    """Builds, exports and scores every project of pictures → title → scores, and what is in it."""
    pictures = list(pictures_in(data, each))
    plans = {
        "Every region type": (list(image_tasks(pictures)), image_config(), "image"),
        "The same without key points": (
            list(image_tasks(pictures, key_points=False)),
            image_config(key_points=False),
            "image",
        ),
        "Several pages per task": (
            list(page_tasks(pictures[:9])),
            image_config(pages=True, key_points=False),
            "pages",
        ),
    }
    results = {}
    for n, (title, (tasks, config, key)) in enumerate(plans.items()):
        project = server.build(title, config, tasks, key)
        results[title] = (run(server, project, config, tasks, out / f"{n}"), described(tasks))
    return results


def run(server: Server, project: int, config: str, tasks: Sequence[Task], out: Path) -> Scores:
    """Every exporter on one project."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    truth = [image for task in tasks for image in task.truth]
    file = server.save_json(project, out / "export.json")
    scores = {}
    for one in exporters(server, project, file, config):
        output = one.output(out / one.name.replace(" ", "-").replace(",", ""), truth)
        scores[one.name] = (score(truth, output), one.pictures)
    return scores


def described(tasks: Sequence[Task]) -> str:
    """One sentence: how much of what."""
    truth = [image for task in tasks for image in task.truth]
    annotations = [one for task in tasks for one in task.annotations]
    skipped = sum(one.skipped for one in annotations)
    instances = sum(len(image.instances) for image in truth)
    return (
        f"{len(tasks)} tasks, {len(annotations)} annotations, {skipped} of them skipped; "
        f"{len(truth)} pictures and {instances} instances to be kept."
    )


def table(scores: Scores) -> str:
    """Rows = exporters."""
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for name, (one, pictures) in scores.items():
        if one.trouble:
            lines.append((name, f"0 of {one.all.true}", f"fails: {one.trouble}", *("",) * 7))
            continue
        figures = (one.wrong_labels, one.surplus, one.twice, one.missing, one.wrong_sizes)
        files = (str(one.lost_files), str(one.sideways)) if pictures else ("no pictures", "")
        kept = f"{one.all.kept} of {one.all.true}"
        lines.append((name, kept, f"{one.all.mean:.4f}", *map(str, figures), *files))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def kinds_table(scores: Scores) -> str:
    """Rows = region types, columns = the exporters that wrote anything: kept of all, mean IoU."""
    shown = {name: one for name, (one, _) in scores.items() if not one.trouble}
    lines = [("kept, mean IoU", *shown), ("---",) * (len(shown) + 1)]
    for kind in KINDS:
        tallies = [one.kinds.get(kind) for one in shown.values()]
        cells = [f"{t.kept} of {t.true}, {t.mean:.3f}" if t else "" for t in tallies]
        lines.append((kind, *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def video_rows(videos: dict[str, dict[str, Any]]) -> list[str]:
    """A table of `video_scores`."""
    lines = ["| exporter | boxes kept | mean IoU | surplus boxes | tracks |", "|---|---|---|---|---|"]
    for name, one in videos.items():
        if one["trouble"]:
            lines.append(f"| {name} | 0 of {one['true']} | fails: {one['trouble']} | | |")
        else:
            kept = f"{one['kept']} of {one['true']}"
            lines.append(f"| {name} | {kept} | {one['mean_iou']:.4f} | {one['surplus']} | {one['tracks']} |")
    return lines


if __name__ == "__main__":
    main()
