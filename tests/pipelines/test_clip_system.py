"""CLIP as declared: an accumulated step is the whole batch's step, and the towers at `scale: paper` are the paper's."""

from pathlib import Path

import pytest
import torch
from declared import components_in

from headwater.assets.scales import at_scale
from headwater.assets.training.declaration import TrainingOptions
from headwater.models.backbones.building import build_backbone, on_meta
from headwater.models.trainer.options import RecipeOptions
from headwater.models.trainer.trainer import Trainer
from headwater.models.views.pipeline import Views

DECLARED = Path(__file__).resolve().parents[2] / "pipelines" / "systems" / "clip" / "defs.yaml"
FACTS = {"image_size": 32, "channels": 3, "vocabulary_size": 50, "context_length": 16}


def towers(scale: str = "small") -> TrainingOptions:
    found = components_in(DECLARED.read_text())["clip_towers"]
    return TrainingOptions.model_validate(at_scale(found.attributes, scale))


def captioned(step: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(step)
    return {
        "image": torch.randint(0, 256, (64, 3, 32, 32), generator=rng, dtype=torch.uint8),
        "tokens": torch.randint(2, 50, (64, 16), generator=rng),
        "length": torch.randint(2, 17, (64,), generator=rng),
        "sample": torch.arange(64) + 64 * step,
    }


def weights_after_two_steps(micro_batch_size: int | None) -> dict[str, torch.Tensor]:
    declared = towers()
    changed = {"steps": 2, "micro_batch_size": micro_batch_size, "precision": "float32"}
    recipe = RecipeOptions.model_validate(declared.recipe.model_dump() | changed)
    views = Views(tuple(declared.views), 0)
    network = build_backbone(declared.backbone.fitted_to(FACTS), 0)
    trainer = Trainer(recipe, network, declared.by_name[""].build(), lambda step: views(captioned(step)))
    trainer.run(None)
    return {name: value.clone() for name, value in trainer.parameters.items()}


def test_each_picture_sees_all_texts_of_the_batch_however_the_batch_is_cut():
    whole = weights_after_two_steps(None)
    # 24 leaves a shorter last piece. A batch that was merely averaged over its pieces would have fewer negatives.
    for size in (24, 16):
        for name, cut in weights_after_two_steps(size).items():
            torch.testing.assert_close(cut, whole[name], rtol=1e-4, atol=2e-5, msg=f"{name} in pieces of {size}")


def test_the_towers_at_paper_scale_are_the_papers():
    """Section 2.4: a text transformer of 63 million parameters; ViT-B/32 has 88 million (arXiv:2010.11929, table 1)."""
    network = on_meta(towers("paper").backbone.fitted_to(FACTS))
    count = {name: sum(p.numel() for p in tower.parameters()) for name, tower in network.towers.items()}
    assert count["text"] == pytest.approx(63e6, rel=0.01)
    assert count["image"] == pytest.approx(88e6, rel=0.01)
