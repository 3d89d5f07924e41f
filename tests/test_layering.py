"""What may import what: parts that are of use alone stay so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = "labeler_backend"
ABOVE = "track studio server cli exporters"


def imported(path: Path) -> Iterator[str]:
    """The modules that a file names, also where only a type checker reads it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@pytest.mark.parametrize(
    ("part", "not_these", "but"),
    [
        pytest.param(f"{OURS}/masks", f"heads proposals prompts video {ABOVE}", (), id="masks"),
        pytest.param(f"{OURS}/heads", f"prompts video {ABOVE}", (), id="heads"),
        pytest.param(f"{OURS}/proposals", f"heads prompts video {ABOVE}", (), id="proposals"),
        pytest.param(f"{OURS}/prompts", f"heads proposals video {ABOVE}", (), id="prompts"),
        pytest.param(f"{OURS}/video", f"heads proposals prompts {ABOVE}", (), id="video"),
        pytest.param(f"{OURS}/track", "heads prompts studio server cli exporters", (), id="track"),
        # ml_base puts the whole server behind label-studio-ml's class
        pytest.param(f"{OURS}/studio", "server cli exporters", ("ml_base.py",), id="studio"),
        pytest.param(f"{OURS}/server", "cli exporters", (), id="server"),
        pytest.param("exporters", "studio server cli", (), id="exporters"),
    ],
)
def test_no_part_knows_those_above_it(part: str, not_these: str, but: tuple[str, ...]) -> None:
    forbidden = [name if name == "exporters" else f"{OURS}.{name}" for name in not_these.split()]
    files = [path for path in (ROOT / part).rglob("*.py") if path.name not in but]
    assert files
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path)
        if any(name == one or name.startswith(f"{one}.") for one in forbidden)
    ]
    assert found == []
