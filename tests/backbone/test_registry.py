from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.backbone.registry import FAMILIES, MODELS, resolve
from labeler_backend.errors import LabelerError


@pytest.mark.parametrize(
    ("name", "hub_id"),
    [
        pytest.param("dino-vits8", "facebook/dino-vits8", id="dino"),
        pytest.param("dinov2-small", "facebook/dinov2-small", id="dinov2"),
        pytest.param(
            "dinov2-with-registers-giant", "facebook/dinov2-with-registers-giant", id="dinov2 with registers"
        ),
        pytest.param("dinov3-vits16plus", "facebook/dinov3-vits16plus-pretrain-lvd1689m", id="dinov3"),
    ],
)
def test_short_name_and_hub_id_are_the_same_model(name: str, hub_id: str) -> None:
    assert resolve(name).hub_id == hub_id
    assert resolve(hub_id) is resolve(name)


def test_every_known_model_has_a_family_and_a_licence() -> None:
    assert len(MODELS) == 16
    for name, spec in MODELS.items():
        assert spec.name == name
        assert spec.family in FAMILIES.values()
        assert spec.licence
        assert spec.gated == name.startswith("dinov3")


def test_unknown_hub_id_is_taken_as_it_is() -> None:
    spec = resolve("some-lab/dino-on-cells")
    assert (spec.name, spec.hub_id, spec.folder) == ("some-lab/dino-on-cells", "some-lab/dino-on-cells", None)


def test_folder_is_a_model_named_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    spec = resolve(str(folder))
    assert (spec.name, spec.folder) == ("my model", folder.resolve())


def test_short_name_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dinov2-small").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("dinov2-small").folder is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("dinov2-smal", "did you mean dinov2-small", id="typing error"),
        pytest.param("DINOv3-ViTB16", "dinov3-vitb16", id="capitals"),
        pytest.param("", "the short names are dino-vits16", id="empty"),
        pytest.param("resnet50", "the short names are", id="nothing near"),
        pytest.param("/nowhere/at/all", "no folder", id="folder that is not there"),
        pytest.param("a/b--c", "no hub id", id="no valid hub id"),
        pytest.param("~nobody-of-this-name/model/x", "no folder", id="home of nobody"),
        pytest.param("x" * 5000, "no folder", id="longer than a path can be"),
    ],
)
def test_unknown_name_says_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(LabelerError) as caught:
        resolve(name)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
