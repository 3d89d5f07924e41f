"""Who turns a Label Studio project into COCO or YOLO: Label Studio itself, its SDK, and `labeler export`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from label_studio_sdk.converter.converter import Converter

from benchmarks.export.outputs import read_coco_folder, read_yolo_folder
from benchmarks.export.project import Server, TrueImage
from benchmarks.export.scoring import Output

Read = Callable[[Path, Sequence[TrueImage]], Output]


class Trouble(Exception):
    """An exporter wrote nothing; the message says what happened."""


@dataclass(frozen=True)
class Exporter:
    """One way to export a project.

    Attributes:
        name: as the table shows it.
        write: into an empty folder; raises Trouble.
        read: what it wrote.
        pictures: whether pictures come with it.
    """

    name: str
    write: Callable[[Path], None]
    read: Read
    pictures: bool

    def output(self, folder: Path, truth: Sequence[TrueImage]) -> Output:
        """Export into a new folder and read it again."""
        folder.mkdir(parents=True)
        try:
            self.write(folder)
            return self.read(folder, truth)
        except Trouble as trouble:
            return Output(trouble=str(trouble))


def exporters(server: Server, project: int, file: Path, config: str) -> Iterator[Exporter]:
    """All that are compared.

    Args:
        server: the running Label Studio.
        project: the project in it.
        file: its JSON export.
        config: its labelling config.
    """
    for kind in ("COCO", "COCO_WITH_IMAGES", "BRUSH_TO_COCO", "YOLO_WITH_IMAGES"):
        read = read_yolo_folder if kind.startswith("YOLO") else read_coco_folder
        yield Exporter(f"Label Studio, {kind}", _studio(server, project, kind), read, kind.endswith("IMAGES"))
    for kind in ("COCO_WITH_IMAGES", "BRUSH_TO_COCO"):
        with_pictures = kind.endswith("IMAGES")
        write = _sdk(server, file, config, kind)
        yield Exporter(f"label-studio-sdk, {kind}", write, read_coco_folder, with_pictures)
    live = ("--ls-project", project, "--media", "copy")
    yield Exporter("labeler export, live, coco", _labeler(server, *live), read_coco_folder, True)
    rle = (*live, "--segmentation", "rle")
    yield Exporter("labeler export, live, coco as RLE", _labeler(server, *rle), read_coco_folder, True)
    yolo = ("--ls-project", project, "--format", "yolo")
    yield Exporter("labeler export, live, yolo", _labeler(server, *yolo), read_yolo_folder, True)
    yield Exporter("labeler export, JSON file, coco", _labeler(None, file), read_coco_folder, False)


def unpack(name: str, data: bytes, folder: Path) -> None:
    """What Label Studio's export answers: a zip, or one file.

    Raises:
        Trouble: it holds nothing.
    """
    if not data:
        raise Trouble(f"{name}: an empty answer")
    if not zipfile.is_zipfile(BytesIO(data)):
        (folder / "result.json").write_bytes(data)
        return
    with zipfile.ZipFile(BytesIO(data)) as archive:
        if not any(not entry.is_dir() for entry in archive.infolist()):
            raise Trouble(f"an empty zip of {len(data)} bytes")
        archive.extractall(folder)


def one_line(message: str, most: int = 120) -> str:
    """The beginning of a message, as a table can hold it."""
    words = " ".join(message.replace("|", "/").split())
    return words if len(words) <= most else words[: most - 1] + "…"


def run_labeler(folder: Path, server: Server | None, *arguments: object) -> None:
    """`labeler export … --out folder` in a process of its own; raises Trouble with what it said."""
    command = [sys.executable, "-m", "labeler_backend.cli", "export", *map(str, arguments)]
    environment = {**os.environ}
    if server is not None:
        command += ["--url", server.url]
        environment["LABEL_STUDIO_API_KEY"] = server.token
    done = subprocess.run(
        [*command, "--out", str(folder), "--overwrite"], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [""]
        raise Trouble(f"exit code {done.returncode}: {one_line(said[-1])}")


def _studio(server: Server, project: int, kind: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        # what the dialog asks for: download_resources says nothing that the format does not say
        answer = server.export(project, kind, download_resources=str(kind.endswith("IMAGES")).lower())
        if answer.is_error:
            try:
                detail = str(answer.json()["detail"])
            except (ValueError, KeyError):
                detail = answer.reason_phrase
            raise Trouble(f"HTTP {answer.status_code}: {one_line(detail)}")
        unpack(kind, answer.content, folder)

    return write


def _sdk(server: Server, file: Path, config: str, kind: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        logging.getLogger("label_studio_sdk").setLevel(logging.CRITICAL)
        try:
            converter = Converter(  # type: ignore[no-untyped-call]
                config,
                project_dir=None,
                download_resources=True,
                hostname=server.url,
                access_token=server.token,
            )
            converter.convert(  # type: ignore[no-untyped-call]
                str(file), str(folder), kind, is_dir=False
            )
        except Exception as error:
            raise Trouble(f"{type(error).__name__}: {one_line(str(error))}") from error

    return write


def _labeler(server: Server | None, *arguments: object) -> Callable[[Path], None]:
    return lambda folder: run_labeler(folder, server, *arguments)
