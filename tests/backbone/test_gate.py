"""Background work stands still while somebody is urgent, and goes on unchanged after."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.gate import Gate, check_between_layers


class Layered(nn.Module):
    """As many layers as a count of calls wants."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Identity() for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def test_background_waits_at_the_next_layer_until_nobody_is_urgent() -> None:
    gate, model = Gate(), Layered(3)
    check_between_layers(model, gate)
    done = threading.Event()

    def background() -> None:
        with gate.background():
            model(torch.zeros(1))
        done.set()

    with gate.urgent():
        with gate.urgent():
            thread = threading.Thread(target=background, daemon=True)
            thread.start()
            model(torch.zeros(1))  # urgent work itself never waits
        assert not done.wait(0.2)  # one is still urgent
    assert done.wait(5)


def test_a_thread_that_is_not_in_the_background_never_waits() -> None:
    gate = Gate()
    with gate.background():
        pass
    with gate.urgent():
        gate.checkpoint()


def test_a_failure_in_urgent_work_lets_the_others_go_on() -> None:
    gate = Gate()
    with pytest.raises(ValueError, match="no"), gate.urgent():
        raise ValueError("no")
    with gate.background():
        gate.checkpoint()


@pytest.mark.weights
def test_an_interrupted_forward_pass_gives_the_same_bits(encoder: Encoder, astronaut: np.ndarray) -> None:
    expected = encoder.encode([astronaut], size=224)[0]
    gate, passes = Gate(), []

    class Counting(Gate):
        def checkpoint(self) -> None:
            passes.append(1)
            gate.checkpoint()

    before = {id(m): dict(m._forward_pre_hooks) for m in encoder.model.modules()}
    check_between_layers(encoder.model, Counting())
    try:
        found = encoder.encode([astronaut], size=224)[0]
    finally:
        for module in encoder.model.modules():
            module._forward_pre_hooks.clear()
            module._forward_pre_hooks.update(before[id(module)])
    assert len(passes) == encoder.model.config.num_hidden_layers  # type: ignore[union-attr]
    assert np.array_equal(found.tokens, expected.tokens)
