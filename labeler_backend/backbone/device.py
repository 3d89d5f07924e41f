"""Which device, and which number format it is fast at."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

from labeler_backend.errors import LabelerError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """`auto` = CUDA, else Apple's MPS, else the CPU.

    Raises:
        LabelerError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise LabelerError(f"Device {name!r} is unknown: use auto, cpu, cuda, cuda:N or mps.") from error
    there = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise LabelerError(f"This machine or this build of torch has no device {name!r}: use auto or cpu.")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` = bf16 where the device computes in it natively, fp16 on older CUDA cards, else fp32.

    Raises:
        LabelerError: no such format.
    """
    if name == "auto":
        if device.type == "cuda":
            # emulated bf16 is slow: only the native kind counts
            native = torch.cuda.get_device_capability(device) >= (8, 0)
            return torch.bfloat16 if native else torch.float16
        return torch.bfloat16 if device.type == "cpu" and cpu_has_bf16() else torch.float32
    if name not in DTYPES:
        raise LabelerError(f"dtype {name!r} is unknown: use auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware (AVX512-BF16 or AMX); else bf16 is slower than fp32."""
    # Private names of torch, which come and go: without them fp32 is the safe answer.
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, bool)()) for check in checks)


def dtype_name(dtype: torch.dtype) -> str:
    """`fp32`, `bf16` or `fp16`."""
    return next(name for name, value in DTYPES.items() if value == dtype)


@lru_cache(maxsize=1)
def one_thread_each() -> ThreadPoolExecutor:
    """As many threads as torch would use for one operation, each of which gives torch only itself.

    Images side by side use a CPU better than one image over all cores: no core waits for another within a
    layer, nor where other work has taken one. The result is the same to the bit.
    """
    threads = torch.get_num_threads()
    started = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, "backbone", initializer=begin)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    # set_num_threads is also what threads that are yet to come begin with: back to what it was
    torch.set_num_threads(threads)
    return pool
