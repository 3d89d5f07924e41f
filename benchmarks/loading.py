"""The options that say which model is measured, and that model."""

from __future__ import annotations

import argparse
from pathlib import Path

from labeler_backend.backbone.cache import FeatureCache
from labeler_backend.labeler import DEFAULT_SIZE, Labeler

FEATURES_BYTES = 1 << 34


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --device, --dtype, --size and --features."""
    parser.add_argument("--model", default="dinov2-small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--size", type=int, default=DEFAULT_SIZE)
    parser.add_argument("--features", type=Path, help="keep features in this folder")


def load(args: argparse.Namespace) -> Labeler:
    """The model of these options.

    Raises:
        LabelerError: it cannot be loaded.
    """
    cache = FeatureCache(args.features, FEATURES_BYTES) if args.features else None
    return Labeler.load(args.model, device=args.device, dtype=args.dtype, size=args.size, cache=cache)
