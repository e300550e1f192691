"""What a recipe composes: ramps, phases, ordered updates, teachers; each against the formula it stands for."""

import math

import pytest
import torch
import training_fixture as fixture
from torch import nn

from headwater.models.objectives.protocol import Coupling, Losses, Term
from headwater.models.trainer.composition import PhaseOptions, RampOptions
from headwater.models.trainer.options import AdamWOptions, ConstantOptions, RecipeOptions, UpdateOptions
from headwater.models.trainer.phases import matching, ramp, weight, weights_at
from headwater.models.trainer.teachers import Teacher
from headwater.models.trainer.trainer import Trainer

PLAIN = AdamWOptions(learning_rate=0.1, weight_decay=0.0)
RECIPE = RecipeOptions(
    steps=6,
    batch_size=4,
    optimizer=PLAIN,
    schedule=ConstantOptions(),
    precision="float32",
    clip_norm=None,
    checkpoint_every_seconds=None,
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Line(nn.Module):
    """y = slope x + level: two parameters that can be followed by hand."""

    dims = {"width": 1}

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.level = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(-1.0))

    def forward(self, x):
        return self.slope * x + self.level


class Squares:
    """Squared distance to a target, and, where there is a teacher, to what the teacher says."""

    needs = frozenset({"x"})
    couples = Coupling.NONE

    def heads(self, dims):
        return nn.ModuleDict({"scale": nn.Linear(1, 1, bias=False)})

    def memory(self):
        return nn.Module()

    def losses(self, step):
        said = step.student(step.batch["x"])
        terms = {"fit": Term((said - 3.0).square().sum(), torch.tensor(len(said)))}
        terms["size"] = Term(step.student.slope.square() * len(said), torch.tensor(len(said)))
        for name, teacher in step.teachers.items():
            told = teacher.model(step.batch["x"])
            terms[f"from_{name}"] = Term((said - told).square().sum(), torch.tensor(len(said)))
        return Losses(terms)


def batches(step):
    generator = torch.Generator().manual_seed(step)
    return {"x": torch.rand(4, generator=generator), "sample": torch.arange(4) + 4 * step}


def run(recipe=RECIPE, until=None, folder=None, model=None, **others):
    trainer = Trainer(recipe, model or Line(), others.pop("objective", Squares()), batches, **others)
    if folder:
        trainer.resume(folder)
    trainer.run(folder, until)
    return trainer


def recipe(**changes):
    return RecipeOptions.model_validate(RECIPE.model_dump() | changes)


def test_a_ramp_moves_between_its_ends_and_stays_there():
    options = RampOptions(first=1.0, last=3.0, begin=0.25, end=0.75)
    assert [ramp(options, p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1.0, 1.0, 2.0, 3.0, 3.0]
    curved = RampOptions(first=0.0, last=1.0, shape="cosine")
    assert ramp(curved, 0.25) == pytest.approx((1 - math.cos(math.pi / 4)) / 2)
    with pytest.raises(ValueError, match="begin < end"):
        RampOptions(first=0, last=1, begin=0.5, end=0.5)


def test_a_term_has_its_own_weight_or_that_of_its_objective():
    weights = {"contrast": 0.5, "pixels/l1": 2.0}
    assert weight(weights, "contrast/info_nce", 0.0) == 0.5
    assert weight(weights, "pixels/l1", 0.0) == 2.0
    assert weight(weights, "pixels/l2", 0.0) == 1.0


def test_the_weight_of_a_step_is_the_ramp_at_its_progress():
    seen = []
    weights = {"fit": {"first": 1.0, "last": 0.0}, "size": 0.0}
    run(recipe(weights=weights), on_step=seen.append)
    assert [r.loss for r in seen] == pytest.approx([r.terms["fit"] * (1 - r.step / 6) for r in seen])


def test_phases_have_weights_and_trained_parameters_of_their_own():
    phases = [{"steps": 2, "trainable": ["slope"]}, {"steps": 4, "trainable": ["level"], "weights": {"size": 0.0}}]
    chosen = recipe(phases=phases)
    start, first, end = Line(), run(chosen, until=2).model, run(chosen).model
    assert first.level == start.level
    assert first.slope != start.slope
    assert end.slope == first.slope
    assert end.level != first.level
    assert weights_at(chosen, 5) == {"size": 0.0}
    assert weights_at(chosen, 0) == {}
    with pytest.raises(ValueError, match="the phases have 3 steps, the recipe 6"):
        recipe(phases=[{"steps": 3}])
    assert PhaseOptions(steps=1).weights is None


def test_parameters_that_do_not_learn_stay_and_patterns_must_match():
    end = run(recipe(trainable=["level"])).model
    assert end.slope == Line().slope
    with pytest.raises(ValueError, match="no parameter is named like 'other'"):
        run(recipe(updates=[{"parameters": ["other"]}]))
    with pytest.raises(ValueError, match=r"no parameter is named like 'levle'"):
        run(recipe(trainable=["slope", "levle"]))
    assert matching(["a.x", "a.y", "b.x"], ["*.x"]) == ["a.x", "b.x"]


def test_updates_follow_each_other_each_on_its_own_terms_and_rhythm():
    updates = [
        {"parameters": ["slope"], "terms": ["size"], "optimizer": {"kind": "adamw", "learning_rate": 0.1}},
        {"parameters": ["level"], "terms": ["fit"], "every": 2},
    ]
    levels, slopes = [], []
    trainer = Trainer(recipe(updates=updates), Line(), Squares(), batches)
    for step in range(6):
        trainer.run(None, until=step + 1)
        levels.append(float(trainer.model.level.detach()))
        slopes.append(float(trainer.model.slope.detach()))
    assert len(set(levels)) == 3  # at steps 0, 2 and 4
    assert len(set(slopes)) == 6
    assert abs(slopes[-1]) < 2.0
    assert UpdateOptions().every == 1


def test_optimizers_of_all_updates_are_taken_up_again(tmp_path):
    updates = [{"parameters": ["slope", "heads.*"]}, {"parameters": ["level"], "every": 2}]
    chosen = recipe(updates=updates)
    whole = run(chosen).model.state_dict()
    run(chosen, until=3, folder=tmp_path)
    assert run(chosen, folder=tmp_path).model.state_dict() == whole


@pytest.mark.parametrize("size", [None, 1, 3])
def test_an_average_is_taken_once_per_step_whatever_the_microbatches(size):
    teachers = {"ema": {"kind": "ema", "momentum": 0.9, "final_momentum": 0.9}}
    trainer = Trainer(recipe(teachers=teachers, micro_batch_size=size), Line(), Squares(), batches)
    expected = float(trainer.model.slope.detach())
    for step in range(6):
        trainer.run(None, until=step + 1)
        expected = 0.9 * expected + 0.1 * float(trainer.model.slope.detach())
        assert float(trainer.teachers.by_name["ema"].model.slope) == pytest.approx(expected, rel=1e-5)


def test_momentum_follows_half_a_cosine_to_its_end():
    teachers = {"ema": {"kind": "ema", "momentum": 0.5, "final_momentum": 1.0}}
    trainer = Trainer(recipe(teachers=teachers), Line(), Squares(), batches)
    expected = float(trainer.model.slope.detach())
    for step in range(6):
        trainer.run(None, until=step + 1)
        momentum = 1 - 0.5 * (1 + math.cos(math.pi * (step + 1) / 6)) / 2
        expected = momentum * expected + (1 - momentum) * float(trainer.model.slope.detach())
    assert float(trainer.teachers.by_name["ema"].model.slope) == pytest.approx(expected, rel=1e-5)


def test_teachers_receive_no_gradient_and_stay_in_evaluation_mode():
    trainer = run(recipe(teachers={"ema": {"kind": "ema"}, "first": {"kind": "frozen"}}))
    for teacher in trainer.teachers.by_name.values():
        assert not teacher.training
        assert all(not p.requires_grad and p.grad is None for p in teacher.parameters())
        assert not teacher.train().training
    assert trainer.teachers.by_name["first"].model.slope == Line().slope


@pytest.mark.parametrize("kind", ["ema", "future", "frozen"])
def test_a_resumed_run_has_the_teachers_of_an_uninterrupted_one(tmp_path, kind):
    chosen = recipe(teachers={"one": {"kind": kind}})
    whole = run(chosen)
    run(chosen, until=3, folder=tmp_path)
    other = Line()
    nn.init.constant_(other.slope, 9.0)
    resumed = run(chosen, folder=tmp_path, model=other)
    assert resumed.teachers.state() == whole.teachers.state()
    assert resumed.model.state_dict() == whole.model.state_dict()


def test_a_teacher_from_elsewhere_must_be_given_and_is_not_saved(tmp_path):
    chosen = recipe(teachers={"big": {"kind": "frozen", "training": "another"}})
    with pytest.raises(ValueError, match="big come from other trainings"):
        run(chosen)
    taught = Teacher(Line(), nn.ModuleDict())
    trainer = run(chosen, folder=tmp_path, teachers={"big": taught})
    assert "from_big" in trainer.objective.losses(trainer._step_of(0, 0, 0, batches(0))).terms
    assert trainer.teachers.state() == {}


def test_a_future_teacher_averages_the_student_of_virtual_steps():
    """By hand: two virtual gradient steps from the student, the average of where they lead, the student put back."""
    rate, momentum, x = 0.1, 0.8, batches(0)["x"]
    teachers = {"future": {"kind": "future", "momentum": momentum, "steps": 2, "rate": 0.5}}
    weights = {"size": 0.0}
    chosen = recipe(teachers=teachers, weights=weights, trainable=["slope", "level"])
    trainer = Trainer(chosen, Line(), Squares(), batches)
    slope, level = torch.tensor(2.0), torch.tensor(-1.0)
    told = slope * x + level  # the teacher is the first student during the virtual steps
    for _ in range(2):
        said = slope * x + level
        pull = 2 * (said - 3.0) + 2 * (said - told)
        slope, level = slope - 0.5 * rate * (pull * x).mean(), level - 0.5 * rate * pull.mean()
    trainer.run(None, until=1)
    teacher = trainer.teachers.by_name["future"].model
    assert float(teacher.slope) == pytest.approx(momentum * 2.0 + (1 - momentum) * float(slope), rel=1e-5)
    assert float(teacher.level) == pytest.approx(momentum * -1.0 + (1 - momentum) * float(level), rel=1e-5)
    # AdamW's first step has the size of the rate: the student went from where it was, not from the virtual place.
    assert abs(float(trainer.model.slope.detach()) - 2.0) == pytest.approx(rate, rel=1e-3)


def test_terms_of_several_objectives_bear_their_names():
    seen = []
    objectives = {"near": Squares(), "far": Squares()}
    trainer = run(recipe(weights={"far": 0.0, "near/size": 0.5}), objective=objectives, on_step=seen.append)
    assert sorted(seen[0].terms) == ["far/fit", "far/size", "near/fit", "near/size"]
    assert seen[0].loss == pytest.approx(seen[0].terms["near/fit"] + 0.5 * seen[0].terms["near/size"])
    assert sorted(trainer.heads) == ["far", "near"]
    with pytest.raises(ValueError, match="weighs terms that do not exist: nowhere"):
        run(recipe(weights={"nowhere": 1.0}), objective=objectives)


def test_a_language_model_is_one_instance_of_this(tmp_path):
    assert fixture.trainer().objective.single
