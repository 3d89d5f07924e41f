from __future__ import annotations

import json
import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from labeler_backend.backbone.device import pick_device, pick_dtype
from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.weights import WeightsLocation
from labeler_backend.errors import LabelerError, WeightsError
from tests.backbone import tiny

Image = npt.NDArray[np.uint8]


def _load(folder: Path, dtype: str = "fp32", device: str = "cpu") -> Encoder:
    return Encoder.load(str(folder), device=device, dtype=dtype, offline=True)


def _reference(folder: Path, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """last_hidden_state (B, N, C) and the last layer's [CLS] row (B, heads, N), by transformers."""
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    options = {"interpolate_pos_encoding": True} if model.config.model_type == "vit" else {}
    with torch.inference_mode():
        output = model(pixels, output_attentions=True, **options)
    return output.last_hidden_state, output.attentions[-1][:, :, 0]


def _hidden_states(folder: Path, pixels: torch.Tensor, blocks: tuple[int, ...]) -> list[torch.Tensor]:
    """(B, N, C) after each of these blocks, counted from 1, by transformers."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    options = {"interpolate_pos_encoding": True} if model.config.model_type == "vit" else {}
    with torch.inference_mode():
        states = model(pixels, output_hidden_states=True, **options).hidden_states
    return [states[block] for block in blocks]


def _pixels(image: Image, mean: list[float], std: list[float]) -> torch.Tensor:
    scaled = (image.astype(np.float64) / 255 - mean) / std
    return torch.from_numpy(scaled.transpose(2, 0, 1)[None].astype(np.float32))


@pytest.mark.parametrize("family", tiny.FAMILIES)
class TestEveryFamily:
    def test_tokens_and_attention_are_what_transformers_reports(
        self, family: str, tiny_folders: dict[str, Path], coffee: Image
    ) -> None:
        folder = tiny_folders[family]
        encoder = _load(folder)
        height, width = 5 * encoder.patch, 7 * encoder.patch  # neither square nor the size it was made for
        image = np.ascontiguousarray(coffee[:height, :width])
        features = encoder.encode_at([image], [(height, width)])[0]
        hidden, attended = _reference(folder, _pixels(image, tiny.MEAN, tiny.STD))
        prefix = encoder.prefix_tokens
        assert features.tokens.shape == (5, 7, 48)
        assert features.attention.shape == (3, 5, 7)
        assert features.tokens.dtype == features.attention.dtype == np.float32
        assert np.allclose(features.tokens.reshape(35, 48), hidden[0, prefix:], atol=1e-4)
        assert np.allclose(features.attention.reshape(3, 35), attended[0, :, prefix:], atol=1e-4)
        assert features.middle is not None
        # of three blocks, the first and the second
        between = _hidden_states(folder, _pixels(image, tiny.MEAN, tiny.STD), (1, 2))
        beside = torch.cat([one[0, prefix:] for one in between], dim=-1)
        assert np.allclose(features.middle.reshape(35, 96), beside, rtol=2e-3, atol=1e-3)
        assert np.ptp(features.attention) > 0.02  # a uniform row would agree with anything

    def test_facts_come_from_the_config(self, family: str, tiny_folders: dict[str, Path]) -> None:
        encoder = _load(tiny_folders[family])
        patch = {"vit": 8, "dinov2": 14, "dinov2_with_registers": 14, "dinov3_vit": 16}[family]
        prefix = 5 if family in ("dinov2_with_registers", "dinov3_vit") else 1
        assert (encoder.patch, encoder.prefix_tokens, encoder.hidden_size, encoder.heads) == (
            patch,
            prefix,
            48,
            3,
        )

    def test_batch_equals_single_and_order_is_kept(
        self, family: str, tiny_folders: dict[str, Path], coffee: Image, astronaut: Image
    ) -> None:
        encoder = _load(tiny_folders[family])
        images = [coffee, astronaut, coffee[:, ::-1], astronaut[::-1], coffee[:200]]
        together = encoder.encode(images, size=112, batch_size=3)
        for image, features in zip(images, together, strict=True):
            alone = encoder.encode([image], size=112)[0]
            assert features.image_size == image.shape[:2]
            assert np.abs(features.tokens - alone.tokens).max() < 1e-3
            assert np.abs(features.attention - alone.attention).max() < 1e-3

    @pytest.mark.parametrize("dtype", ["bf16", "fp16"])
    def test_half_precision_stays_near_fp32(
        self, family: str, dtype: str, tiny_folders: dict[str, Path], coffee: Image
    ) -> None:
        exact = _load(tiny_folders[family]).encode([coffee], size=112)[0]
        half = _load(tiny_folders[family], dtype).encode([coffee], size=112)[0]
        cosine = (exact.tokens * half.tokens).sum(-1)
        cosine /= np.linalg.norm(exact.tokens, axis=-1) * np.linalg.norm(half.tokens, axis=-1)
        assert cosine.mean() > 0.99
        assert half.tokens.dtype == np.float32
        assert f":{dtype}:" in half.model_key

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda_agrees_with_cpu(self, family: str, tiny_folders: dict[str, Path], coffee: Image) -> None:
        cpu = _load(tiny_folders[family]).encode([coffee], size=112)[0]
        cuda = _load(tiny_folders[family], device="cuda").encode([coffee] * 3, size=112)
        for features in cuda:
            assert np.abs(features.tokens - cpu.tokens).max() < 1e-2
            assert np.abs(features.attention - cpu.attention).max() < 1e-3


@pytest.mark.weights
class TestRealModel:
    def test_attention_equals_eager(
        self, encoder: Encoder, dinov2_small: WeightsLocation, astronaut: Image
    ) -> None:
        image = np.ascontiguousarray(astronaut[:224, :308])
        features = encoder.encode_at([image], [(224, 308)])[0]
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        hidden, attended = _reference(dinov2_small.folder, _pixels(image, mean, std))
        assert np.abs(features.attention.reshape(6, -1) - attended[0, :, 1:].numpy()).max() < 1e-4
        assert np.abs(features.tokens.reshape(-1, 384) - hidden[0, 1:].numpy()).max() < 1e-3

    def test_middle_layers_are_the_hidden_states(
        self, encoder: Encoder, dinov2_small: WeightsLocation, astronaut: Image
    ) -> None:
        images = [np.ascontiguousarray(one[:224, :308]) for one in (astronaut, astronaut[::-1])]
        found = encoder.encode_at(images, [(224, 308)] * 2, batch_size=2)
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        for image, features in zip(images, found, strict=True):
            expected = _hidden_states(dinov2_small.folder, _pixels(image, mean, std), (6, 9))
            assert features.middle is not None
            assert features.middle.shape == (16, 22, 2 * 384)
            assert features.middle.dtype == np.float16
            beside = torch.cat([hidden[0, 1:] for hidden in expected], dim=-1)
            assert np.allclose(features.middle.reshape(352, -1), beside, rtol=2e-3, atol=5e-3)

    def test_same_bits_twice(self, encoder: Encoder, coffee: Image) -> None:
        first, second = (encoder.encode([coffee], size=224)[0] for _ in range(2))
        assert (first.tokens == second.tokens).all()
        assert (first.attention == second.attention).all()

    def test_batch_equals_single(self, encoder: Encoder, astronaut: Image) -> None:
        images = [astronaut, astronaut[:, ::-1], astronaut[::-1]]
        together = encoder.encode(images, size=224, batch_size=3)
        for image, features in zip(images, together, strict=True):
            alone = encoder.encode([image], size=224)[0]
            assert features.middle is not None
            assert alone.middle is not None
            assert np.allclose(features.middle, alone.middle, atol=0.05)
            assert np.abs(features.tokens - alone.tokens).max() < 1e-3
            assert np.abs(features.attention - alone.attention).max() < 1e-3

    def test_native_grid_uses_the_position_embeddings_as_they_are(self, encoder: Encoder) -> None:
        embeddings: Any = encoder.model.get_submodule("embeddings")
        grid = torch.zeros(1, 1 + 37 * 37, 384)
        assert embeddings.interpolate_pos_encoding(grid, 518, 518) is embeddings.position_embeddings

    def test_figure_stands_out_in_the_attention(self, encoder: Encoder, astronaut: Image) -> None:
        features = encoder.encode([astronaut])[0]
        assert features.grid == (37, 37)
        assert features.patch == 14
        rows, columns = np.indices(features.grid) + 0.5
        # of the astronaut, not the flag or the shuttle beside her: the middle of the picture
        person = (abs(columns - 16) < 9) & (rows > 2)
        share = (features.attention * person).sum(axis=(1, 2)) / features.attention.sum(axis=(1, 2))
        assert np.sort(share)[-3:].min() > 1.2 * person.mean()

    def test_bf16_stays_near_fp32(self, encoder: Encoder, coffee: Image) -> None:
        exact = encoder.encode([coffee], size=224)[0].tokens
        half = Encoder.load(device="cpu", dtype="bf16", offline=True).encode([coffee], size=224)[0].tokens
        cosine = (exact * half).sum(-1) / np.linalg.norm(exact, axis=-1) / np.linalg.norm(half, axis=-1)
        assert cosine.min() > 0.99

    def test_key_names_model_weights_dtype_and_preprocessing(
        self, encoder: Encoder, dinov2_small: WeightsLocation
    ) -> None:
        assert encoder.model_key == f"dinov2-small:{dinov2_small.sha256[:12]}:fp32:p1"


def test_threads_do_not_mix_up_their_images(
    tiny_folders: dict[str, Path], astronaut: Image, coffee: Image
) -> None:
    encoder = _load(tiny_folders["dinov3_vit"])
    images = [astronaut, astronaut[::-1], coffee, coffee[:, ::-1]]
    expected = [encoder.encode([image], size=112)[0] for image in images]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            found = encoder.encode([images[index]], size=112)[0]
            if not np.allclose(found.attention, expected[index].attention, atol=1e-5):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_in_nothing_out(tiny_folders: dict[str, Path]) -> None:
    assert _load(tiny_folders["vit"]).encode([]) == []


@pytest.mark.parametrize("input_size", [(15, 14), (14, 20), (0, 14)])
def test_input_size_must_be_whole_patches(
    input_size: tuple[int, int], tiny_folders: dict[str, Path], coffee: Image
) -> None:
    with pytest.raises(ValueError, match="multiple of the patch"):
        _load(tiny_folders["dinov2"]).encode_at([coffee], [input_size])


class TestUnusableFolders:
    @pytest.fixture
    def folder(self, tiny_folders: dict[str, Path], tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_folders["dinov2"], tmp_path / "model"))

    def test_another_architecture(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({"model_type": "resnet"}))
        with pytest.raises(WeightsError, match="no DINO-family ViT"):
            _load(folder)

    def test_weights_that_do_not_fill_the_model(self, folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        del tensors["layernorm.weight"]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(WeightsError, match=r"lacks weights \(layernorm.weight"):
            _load(folder)

    def test_truncated_weights(self, folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(WeightsError, match="cannot be loaded"):
            _load(folder)

    def test_config_that_is_no_json(self, folder: Path) -> None:
        (folder / "config.json").write_text("{")
        with pytest.raises(WeightsError, match="cannot be loaded"):
            _load(folder)


def test_loading_is_quiet(tiny_folders: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    with_pooler = tiny_folders["vit"]  # save_tiny keeps the pooler, which DINO does not have
    logging.getLogger("transformers").setLevel(logging.WARNING)
    _load(with_pooler)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["gpu", "tpu:0", "cuda:99", "xpu"])
def test_device_that_is_not_here(name: str) -> None:
    with pytest.raises(LabelerError, match="use auto"):
        pick_device(name)


def test_dtype_follows_the_device_unless_told() -> None:
    cpu = torch.device("cpu")
    assert pick_dtype("auto", torch.device("mps")) == torch.float32
    assert pick_dtype("auto", cpu) in (torch.float32, torch.bfloat16)
    assert pick_dtype("fp16", cpu) == torch.float16
    with pytest.raises(LabelerError, match="fp32, bf16, fp16"):
        pick_dtype("int8", cpu)
