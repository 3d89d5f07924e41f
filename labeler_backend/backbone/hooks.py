"""What a model computes on the way, without asking it for everything."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn


def blocks(model: nn.Module) -> list[nn.Module]:
    """A transformer's layers, first to last; none where it has no list of modules."""
    found = max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len, default=None)
    return list(found or ())


@contextmanager
def outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """Name → what that module returned in the forward pass made inside.

    Only of this thread's: others may be in the same model at the same time.
    """
    caught: dict[str, Any] = {}
    mine = threading.get_ident()

    def keep(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if threading.get_ident() == mine:
                caught[name] = output

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield caught
    finally:
        for hook in hooks:
            hook.remove()
