"""The transformer itself: loaded whole or not at all, quiet, in the dtype asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

from labeler_backend.backbone.registry import FAMILIES
from labeler_backend.backbone.weights import WeightsLocation
from labeler_backend.errors import WeightsError


def load_model(location: WeightsLocation, dtype: torch.dtype) -> nn.Module:
    """The model in evaluation mode on the CPU, every weight from the file.

    Blocks compute in `dtype`; embeddings of patches and positions stay float32 and are rounded once, because
    bicubic interpolation and rotary angles lose in half precision what they are for.

    Raises:
        WeightsError: not a DINO-family ViT, or the file does not fill it.
    """
    folder = location.folder
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config.model_type not in FAMILIES:
            raise WeightsError(
                f"{location.spec.name} is a {config.model_type!r} model, no DINO-family ViT: choose one of "
                "`labeler models list`."
            )
        with _quiet():
            model, missing = _from_pretrained(location, config)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{folder} cannot be loaded ({first[:200]}): delete it and fetch again."
        ) from error
    if missing:
        raise WeightsError(f"{folder} lacks weights ({missing[0]}, …): delete it and fetch again.")
    if dtype != torch.float32:
        _compute_in(model, dtype)
    return model


def forward_options(model: Any) -> dict[str, Any]:
    """DINO v1 interpolates its position embeddings only when told; the others always do."""
    return {"interpolate_pos_encoding": True} if model.config.model_type == "vit" else {}


def _from_pretrained(location: WeightsLocation, config: Any) -> tuple[nn.Module, list[str]]:
    """The model, and which of its weights the file lacks; transformers would fill those at random."""
    options: dict[str, Any] = {"add_pooling_layer": False} if config.model_type == "vit" else {}
    model, report = AutoModel.from_pretrained(
        location.folder,
        config=config,
        local_files_only=True,
        attn_implementation="sdpa",
        dtype=torch.float32,
        output_loading_info=True,
        **options,
    )
    # the mask token takes no part in inference
    return model.eval(), sorted(name for name in report["missing_keys"] if not name.endswith("mask_token"))


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no table of unused weights: what matters in them becomes an error of ours."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _compute_in(model: nn.Module, dtype: torch.dtype) -> None:
    for name, child in model.named_children():
        if name in ("embeddings", "rope_embeddings"):
            child.register_forward_hook(lambda _module, _inputs, output: _cast(output, dtype))
        else:
            child.to(dtype)


def _cast(output: Any, dtype: torch.dtype) -> Any:
    return tuple(part.to(dtype) for part in output) if isinstance(output, tuple) else output.to(dtype)
