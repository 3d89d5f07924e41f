"""The picture of a followed box in the documentation, from what the studio tests see.

make test-studio STUDIO_ARTIFACTS=DIR PYTEST_ARGS="-k in_step"
python docs/make_video_picture.py DIR docs/images
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

FRAMES = (0, 18, 35)
VIDEO = (341, 224, 981, 584)  # left, top, right, bottom in the window, in pixels
BELOW = (240, 700, 1080, 850)  # the frame's number and the keys
GAP, SCALE = 16, 0.75


def main() -> None:
    """Three frames side by side, each above its place in the timeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("artifacts", type=Path, help="folder of screenshots")
    parser.add_argument("out", type=Path, help="folder for the picture")
    args = parser.parse_args()
    columns = [column(Image.open(args.artifacts / f"video-frame-{index:02d}.png")) for index in FRAMES]
    width = sum(one.width for one in columns) + GAP * (len(columns) - 1)
    picture = Image.new("RGB", (width, columns[0].height), "white")
    left = 0
    for one in columns:
        picture.paste(one, (left, 0))
        left += one.width + GAP
    size = round(SCALE * picture.width), round(SCALE * picture.height)
    picture.resize(size, Image.Resampling.LANCZOS).save(args.out / "studio-video.jpg", quality=88)


def column(screenshot: Image.Image) -> Image.Image:
    """The video, and below it what the editor says of the frame, as wide."""
    video, below = screenshot.convert("RGB").crop(VIDEO), screenshot.convert("RGB").crop(BELOW)
    below = below.resize((video.width, round(below.height * video.width / below.width)))
    both = Image.new("RGB", (video.width, video.height + below.height), "white")
    both.paste(video, (0, 0))
    both.paste(below, (0, video.height))
    return both


if __name__ == "__main__":
    main()
