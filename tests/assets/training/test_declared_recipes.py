"""What a recipe asks of its objectives and its network must be possible: told when a declaration is read."""

import pytest

from headwater.assets.training.declaration import TrainingStageOptions

TWO = {"near": {"kind": "next_token"}, "labels": {"kind": "joint_label", "task": "sum"}}
RECIPE = {"steps": 4}


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({"weights": {"near": 2.0, "far": 1.0}}, "recipe.weights speaks of far"),
        ({"weights": {"labels/joint": 1.0}}, "there are labels, labels/label, labels/transformation, near"),
        ({"phases": [{"steps": 4, "weights": {"far": 0.0}}]}, "recipe.phases.0.weights speaks of far"),
        ({"updates": [{"terms": ["near"]}, {"terms": ["far"]}]}, "recipe.updates.1.terms speaks of far"),
    ],
)
def test_unknown_terms_are_refused(recipe, told):
    with pytest.raises(ValueError, match=told):
        TrainingStageOptions.model_validate({"objectives": TWO, "recipe": RECIPE | recipe})


def test_known_terms_and_names_of_objectives_are_taken():
    weights = {"near": 1.0, "labels/label": 0.5, "labels/transformation": {"first": 1.0, "last": 0.0}}
    read = TrainingStageOptions.model_validate({"objectives": TWO, "recipe": RECIPE | {"weights": weights}})
    assert read.recipe.weights.keys() == weights.keys()
    assert TrainingStageOptions.model_validate({"recipe": RECIPE | {"weights": {"next_token": 2.0}}})


def test_an_objective_of_ones_own_tells_its_terms_at_the_run(tmp_path, monkeypatch):
    (tmp_path / "own_terms.py").write_text(
        "from headwater.models.objectives.options import ObjectiveOptions\n"
        "class Mine(ObjectiveOptions):\n"
        "    built_by = 'own_terms:Objective'\n"
        "    def needs(self): return frozenset()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    objective, recipe = {"kind": "own_terms:Mine"}, RECIPE | {"weights": {"whatever": 1.0}}
    assert TrainingStageOptions.model_validate({"objective": objective, "recipe": recipe})


NORMALISED = {"kind": "resnet", "widths": [8], "blocks": [1], "norm": "batch"}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"backbone": NORMALISED, "objective": {"kind": "classify"}}, "each other in resnet"),
        (
            {"backbone": NORMALISED | {"norm": "group"}, "objective": {"kind": "self_distil"}},
            "each other in self_distil",
        ),
    ],
)
def test_a_batch_whose_examples_influence_each_other_is_not_cut(parts, told):
    recipe = RECIPE | {"batch_size": 8, "teachers": {"ema": {"kind": "ema"}}}
    assert TrainingStageOptions.model_validate(parts | {"recipe": recipe | {"micro_batch_size": 8}})
    with pytest.raises(ValueError, match=told):
        TrainingStageOptions.model_validate(parts | {"recipe": recipe | {"micro_batch_size": 4}})
