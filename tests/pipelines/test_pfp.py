"""Pseudo-labels as a stage of pretraining: the declared graph is the loop of the paper, and every arm gets as much."""

import json
from pathlib import Path
from typing import Any

import pytest
from declared import components_in

from headwater.assets.scales import SCALES, at_scale

DECLARED = Path(__file__).resolve().parents[2] / "pipelines" / "systems" / "pfp" / "defs.yaml"
BUDGETS = ("few", "many")


def components(scale: str = "small") -> dict[str, dict[str, Any]]:
    """Attributes of each component by its name."""
    found = components_in(DECLARED.read_text())
    return {name: at_scale(component.attributes, scale) for name, component in found.items()}


def started_from(name: str, of: dict[str, dict[str, Any]]) -> list[str]:
    """A training and those that it goes on from, the first one last."""
    init = of[name].get("init")
    before = init["training"] if isinstance(init, dict) else init
    return [name, *(started_from(before, of) if before else [])]


@pytest.mark.parametrize("budget", BUDGETS)
def test_gold_labels_come_before_pseudo_labels_and_after_them(budget):
    of = components()
    again = started_from(f"pfp_{budget}_again", of)
    assert again == [f"pfp_{budget}_again", f"pfp_{budget}_pretrained", "pfp_start"]
    named = of[of[again[1]]["shards"]]["corpora"][0].partition("/")[0]
    teacher = of[named]["annotator"]["checkpoint"]
    assert of[teacher]["shards"] == of[again[0]]["shards"]
    assert started_from(teacher, of) == [teacher, "pfp_start"]


@pytest.mark.parametrize("budget", BUDGETS)
def test_only_the_named_corpus_gives_pseudo_labels(budget):
    of = components()
    for name, shards in of.items():
        label = shards.get("examples", {}).get("fields", {}).get("label", {})
        if name.startswith(f"pfp_{budget}"):
            pseudo = f"pfp_{budget}_named/annotated" in shards.get("corpora", [])
            assert not label or label["meta"] == ("pseudo_label" if pseudo else "label")
    assert of[of[f"pfp_{budget}_longer"]["shards"]]["corpora"] == [f"pfp_{budget}_gold/selected"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_arms_make_as_many_steps_on_labels(budget, scale):
    of = components(scale)

    def steps(*names: str) -> int:
        return sum(of[f"pfp_{budget}_{name}"]["recipe"]["steps"] for name in names)

    method = steps("teacher", "pretrained", "again")
    assert steps("longer") == method
    assert steps("teacher", "self") == method


def test_budgets_differ_in_their_gold_labels_alone():
    of = components()
    few, many = (
        {n: json.dumps(a, sort_keys=True).replace(b, "") for n, a in of.items() if n.startswith(f"pfp_{b}")}
        for b in BUDGETS
    )
    for name, attributes in few.items():
        other = many[name.replace("few", "many")]
        assert attributes == other.replace("2000", "200")


def test_every_scale_has_the_same_classes_everywhere():
    for scale in SCALES:
        fields = [each["examples"]["fields"] for each in components(scale).values() if "examples" in each]
        assert len({tuple(field["label"]["classes"]) for field in fields if "label" in field}) == 1
