"""What frames are to those who use them, whatever they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from labeler_backend.errors import InputError
from labeler_backend.media import RGB
from labeler_backend.video.info import VideoInfo


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        index: 0-based, in display order.
        time: seconds since frame 0; None where no frame rate is known.
        image: (H, W, 3) uint8 RGB, upright.
        damaged: is part of it made up by the decoder, because the file is damaged there? The frames up to
            the next key frame may have taken that over without saying so.
    """

    index: int
    time: float | None
    image: RGB
    damaged: bool = False


class BrokenFrame(InputError):
    """A frame that is there but cannot be decoded; its text says which, where and what to do.

    Raised where that one frame was asked for, given in its place where all of them were.

    Attributes:
        index: 0-based, in display order.
        time: seconds since frame 0; None where no frame rate is known.
    """

    def __init__(self, index: int, time: float | None, text: str) -> None:
        super().__init__(text)
        self.index, self.time = index, time


class FrameSource(ABC):
    """Frames in display order; a context manager that closes what they come from.

    Several threads may use it; they take turns, so that one source for each is faster. Memory does not grow
    with the number of frames, but for their index (some 100 bytes a frame).

    Attributes:
        info: size of every frame, how many there are, frames per second where known.
        start: what the file's own clock says at frame 0, in seconds: add it to a frame's time to get what a
            player shows that does not begin at the first frame.
    """

    info: VideoInfo
    start: float = 0.0

    def __len__(self) -> int:
        return self.info.frame_count

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        return self.frames()

    def frames(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> Iterator[Frame | BrokenFrame]:
        """The frames of a slice, backwards too; each that cannot be decoded as `BrokenFrame`, in its place.

        Raises:
            InputError: a frame has another size than those before; what came before stands.
        """
        for index in range(len(self))[start:stop:step]:
            try:
                yield self._read(index)
            except BrokenFrame as broken:
                yield broken

    def __getitem__(self, index: int) -> Frame:
        """Frame number `index`, from 0 on.

        Raises:
            IndexError: there is no such frame.
            BrokenFrame: it cannot be decoded; others may be.
            InputError: it has another size than the first.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"There is no frame {index} among {len(self)}, counted from 0.")
        return self._read(index)

    @abstractmethod
    def _read(self, index: int) -> Frame:
        """Raises: BrokenFrame, InputError."""

    def close(self) -> None:  # noqa: B027 -- a folder has nothing to close
        """Frees the file and the decoder; no more frames after that."""

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_size(name: str, size: tuple[int, int], expected: tuple[int, int], mend: str) -> None:
    """Raises InputError where `size` (H, W) is not `expected`, that of the frames before."""
    if size != expected:
        raise InputError(
            f"{name} is {size[1]}×{size[0]} pixels, where the frames before are {expected[1]}×{expected[0]}: "
            f"{mend}."
        )
