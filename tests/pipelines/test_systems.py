"""Every published system that is declared: short, valid at all sizes, built at its paper's size, compared over seeds.

The systems are found by folder: a new one is held to the same without being listed here.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from declared import Declared, components_in

from headwater.assets.comparison.declaration import ComparisonOptions
from headwater.assets.scales import SCALES, at_scale
from headwater.assets.training.declaration import TrainingOptions
from headwater.assets.training.parts import HuggingFaceFolder
from headwater.assets.validation import component_kinds, said_in, validate_workspace
from headwater.assets.workspace import Workspace
from headwater.models.backbones.building import on_meta

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = sorted(path.parent for path in (ROOT / "pipelines" / "systems").glob("*/defs.yaml"))
LONGEST = 62  # lines that say something
WIDEST = 150  # characters of a line
# What the data would say where a declaration leaves it open: enough to build heads of some size.
FACTS = {"classes": 1000, "vocabulary_size": 32000, "context_length": 512, "image_size": 224, "channels": 3}
FACTS |= {"columns": 16, "features": 64, "categories": [], "length": 1024}


@cache
def declared(system: Path) -> list[Declared]:
    """Each component; it may be like one of another system."""
    return list(components_in((system / "defs.yaml").read_text(), said_in(Workspace(ROOT))).values())


def options(system: Path, kind: str, scale: str = "small") -> list[Any]:
    model = component_kinds()[kind]
    return [model.model_validate(at_scale(attributes, scale)) for own, attributes in declared(system) if own == kind]


def test_the_declarations_of_this_repository_are_valid():
    assert validate_workspace(Workspace(ROOT)) == []


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_a_declaration_is_short(system):
    lines = (system / "defs.yaml").read_text().splitlines()
    said = [line for line in lines if line.strip() not in ("", "---") and not line.strip().startswith("#")]
    assert len(said) <= LONGEST


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_a_declaration_is_narrow(system):
    wide = [line for line in (system / "defs.yaml").read_text().splitlines() if len(line) > WIDEST]
    assert wide == []


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_every_component_is_valid_at_every_scale(system):
    for scale in SCALES:
        for kind, attributes in declared(system):
            component_kinds()[kind].model_validate(at_scale(attributes, scale))


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_the_claim_is_compared_over_three_seeds_or_more(system):
    (comparison, *_) = options(system, "Comparison")
    assert isinstance(comparison, ComparisonOptions)
    assert comparison.system == system.name.replace("_", "-")
    assert all(len(training.seeds) >= 3 for training in options(system, "Training"))


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_it_builds_at_the_size_of_its_paper(system):
    published: dict[str, int] = {}
    for comparison in options(system, "Comparison"):
        published |= comparison.paper.parameters
    trainings = {training.name: training for training in options(system, "Training", "paper")}
    assert published.keys() <= trainings.keys()
    for name, training in trainings.items():
        count = parameters_on_meta(training)
        if name in published:
            assert count == pytest.approx(published[name], rel=0.03), name


def parameters_on_meta(training: TrainingOptions) -> int:
    """Weights of a training's network; its heads are built too, and not counted."""
    if isinstance(training.backbone, HuggingFaceFolder):
        pytest.skip("starts from a folder")
    network = on_meta(training.backbone.fitted_to(FACTS))
    for objective in training.by_name.values():
        objective.fitted_to(FACTS).build().heads(network.dims)
    return sum(parameter.numel() for parameter in network.parameters())
