from __future__ import annotations

import pytest
import torch
from torch import nn

from labeler_backend.backbone.attention import LastAttention, last_projections
from labeler_backend.errors import WeightsError


def _block(query: str, key: str, *, nested: bool) -> nn.ModuleDict:
    attention = nn.ModuleDict({query: nn.Linear(4, 4), key: nn.Linear(4, 4), "value": nn.Linear(4, 4)})
    inner = nn.ModuleDict({"attention": attention}) if nested else attention
    return nn.ModuleDict({"attention": inner, "mlp": nn.Linear(4, 4)})


@pytest.mark.parametrize(
    ("query", "key", "nested"),
    [
        pytest.param("q_proj", "k_proj", False, id="transformers 5: attention.q_proj"),
        pytest.param("query", "key", True, id="transformers 4: attention.attention.query"),
    ],
)
def test_projections_of_the_last_layer_under_both_namings(query: str, key: str, nested: bool) -> None:
    blocks = [_block(query, key, nested=nested) for _ in range(12)]
    model = nn.ModuleDict({"encoder": nn.ModuleDict({"layer": nn.ModuleList(blocks)})})
    found = last_projections(model)
    path = "attention.attention" if nested else "attention"
    assert found[0] is blocks[-1].get_submodule(f"{path}.{query}")
    assert found[1] is blocks[-1].get_submodule(f"{path}.{key}")


def test_model_without_attention_is_refused() -> None:
    with pytest.raises(WeightsError, match="no query and key"):
        last_projections(nn.Sequential(nn.Linear(2, 2)))


def test_cls_row_by_hand() -> None:
    # one head of two channels; [CLS], one register, two patches with scores 0, 0, √2·ln 3 / √2 = ln 3 and 0
    query = torch.tensor([[[2**0.5, 0.0]] + [[9.0, 9.0]] * 3])
    key = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [torch.log(torch.tensor(3.0)), 1.0], [0.0, 1.0]]])
    last = LastAttention({"query": query, "key": key})
    assert torch.allclose(last.cls_row(heads=1, prefix=2), torch.tensor([[[3 / 6, 1 / 6]]]))
