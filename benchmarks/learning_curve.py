"""Learning curves and tables from what learning.py measured.

    python benchmarks/learning_curve.py RESULTS.json [RESULTS.json ...] --out docs/images/learning-curve.png
    python benchmarks/learning_curve.py RESULTS.json [RESULTS.json ...] --table

The files are those of `benchmarks/learning.py --json`. Rows of several runs are joined; where data, task,
number of images, seed and method coincide, the newest wins. Each data set is a panel, and a table, of the
figure that fits it; data sets without rows are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.learning_figure import STYLES, Panel, draw
from benchmarks.learning_results import Point, Results, ResultsError, Row, curves, join, read
from labeler_backend.errors import LabelerError
from labeler_backend.files import replacing


@dataclass(frozen=True)
class Shown:
    """A figure of a data set that the documentation shows."""

    data: str
    task: str
    figure: str
    title: str
    words: str


SHOWN = (
    Shown("ccp", "figure", "foreground_iou", "CCP, the person", "foreground IoU"),
    Shown("davis2016", "figure", "foreground_iou", "DAVIS", "foreground IoU"),
    Shown("ccp", "objects", "miou", "CCP, clothes", "mIoU over classes"),
    Shown("nuts_coco", "objects", "ap50", "Nuts", "mask AP50"),
    Shown("dsb2018", "objects", "ap50", "DSB, nuclei", "mask AP50"),
)


def panels(rows: Sequence[Row]) -> list[Panel]:
    """What there is to show, in the order of SHOWN.

    Raises:
        ResultsError: nothing, or a method has no style.
    """
    unknown = sorted({row["method"] for row in rows} - STYLES.keys())
    if unknown:
        raise ResultsError(
            f"The method {unknown[0]!r} has no colour: add it to STYLES in benchmarks/learning_figure.py."
        )
    found = [Panel(s.title, s.words, curves(rows, s.data, s.task, s.figure)) for s in SHOWN]
    if not any(panel.curves for panel in found):
        raise ResultsError(
            f"No row is of a data set that is shown ({', '.join(sorted({s.data for s in SHOWN}))}): "
            "measure one with benchmarks/learning.py."
        )
    return [panel for panel in found if panel.curves]


def table(panel: Panel) -> str:
    """Markdown: means by number of images (down) and method (across), the best of each line bold.

    What was not measured is a dash. The last column is the number of seeds, `1–3` where methods differ.
    """
    methods = [name for name in STYLES if name in panel.curves]
    points = {name: {point.images: point for point in panel.curves[name]} for name in methods}
    lines = [
        f"{panel.title}: {panel.words}\n",
        f"| images | {' | '.join(STYLES[name].words for name in methods)} | seeds |",
        "|" + "---|" * (len(methods) + 2),
    ]
    for images in sorted({images for found in points.values() for images in found}):
        line = [points[name].get(images) for name in methods]
        lines.append(f"| {images} | {' | '.join(_cells(line))} | {_seeds(line)} |")
    return "\n".join(lines) + "\n"


def _cells(line: Sequence[Point | None]) -> list[str]:
    best = max(f"{point.mean:.3f}" for point in line if point)
    texts = [f"{point.mean:.3f}" if point else "–" for point in line]
    return [f"**{text}**" if text == best else text for text in texts]


def _seeds(line: Sequence[Point | None]) -> str:
    counts = {point.seeds for point in line if point}
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)}–{max(counts)}"


def source(files: Iterable[Results]) -> str:
    """A line of Markdown: which labelers were measured, and when."""
    dates: dict[str, set[str]] = defaultdict(set)
    for one in files:
        dates[one.fingerprint].add(one.date)
    return "; ".join(f"`{name}`, {' and '.join(sorted(days))}" for name, days in sorted(dates.items()))


def notes(files: Sequence[Results]) -> list[str]:
    """What somebody who reads the curves should know, and they do not say."""
    found = []
    if len({one.fingerprint for one in files}) > 1:
        found.append(f"These are runs of different labelers: {source(files)}")
    shown = {(one.data, one.task) for one in SHOWN}
    counts = Counter((row["data"], row["task"]) for row in join(files))
    for (data, task), count in sorted(counts.items()):
        if (data, task) not in shown:
            found.append(f"{count} rows of {data} ({task}) are not shown: no line of SHOWN is of it.")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Draws, prints, or both; 2 and a sentence on stderr where that cannot be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS.json")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw the curves into this file")
    parser.add_argument("--table", action="store_true", help="print the figures as Markdown")
    args = parser.parse_args(argv)
    if not args.out and not args.table:
        parser.error("nothing to do: say --out FILE.png, --table, or both.")
    if args.out and args.out.suffix != ".png":
        parser.error(f"{args.out} is no .png: name the picture so.")
    try:
        files = [read(path) for path in args.results]
        found = panels(join(files))
        if args.out:
            _save(args.out, found)
    except LabelerError as error:
        print(error, file=sys.stderr)
        return 2
    for note in notes(files):
        print(note, file=sys.stderr)
    if args.table:
        print("\n".join([source(files) + "\n", *map(table, found)]), end="")
    return 0


def _save(path: Path, found: Sequence[Panel]) -> None:
    picture = draw(found).quantize(128)  # a third of the size; the colours are few
    try:
        with replacing(path) as temporary:
            picture.save(temporary, format="png", optimize=True)
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be written ({error.strerror or error}): name another file."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
