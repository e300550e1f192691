"""What every objective must keep, generated from the folders: one without a case fails here.

Golden losses are those of the case's first 30 steps; they move by less than 1e-3 between processors and torch builds.
After a change that is meant to change them: HEADWATER_WRITE_GOLDEN=1 pytest tests/models/objectives.
"""

import json
import os
from pathlib import Path

import numpy as np
import objective_case
import pytest
import torch
from objective_case import EXAMPLES, Lab, load_cases, numbers, same
from safetensors.torch import load_file

from headwater.models.discovery import parts
from headwater.models.objectives.options import ObjectiveOptions
from headwater.models.objectives.protocol import Coupling, Losses, SplitObjective, Term
from headwater.models.objectives.together import Together
from headwater.models.trainer import state as storage
from headwater.models.trainer.options import AdamWOptions

KINDS = parts("headwater.models.objectives", ObjectiveOptions)
CASES = load_cases(Path(__file__).parent / "cases")
GOLDEN = Path(__file__).with_name("golden_objectives.json")
WRITE_GOLDEN = bool(os.environ.get("HEADWATER_WRITE_GOLDEN"))
ALL = {f"{kind}-{name}": case for kind, variants in CASES.items() for name, case in variants.items()}
every_case = pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_objective_has_a_case_of_its_own():
    assert sorted(KINDS) == sorted(CASES), "each folder of models/objectives needs cases/<kind>.py, and no other"
    for kind, variants in CASES.items():
        assert variants, f"{kind} has no case"
        assert all(type(case.options) is KINDS[kind] for case in variants.values())


def against_reference(case, losses, given):
    """Assert that the losses are the reference's."""
    assert all(term.total.dtype == torch.float32 and term.total.ndim == 0 for term in losses.terms.values())
    expected = case.reference(given)
    assert all(abs(total) > 1e-3 and count > 0 for total, count in expected.values()), "the case tests nothing"
    same(numbers(losses), expected, case.tolerance)


@every_case
@pytest.mark.parametrize("seed", [1, 2])
def test_terms_equal_the_slow_reference(case, seed):
    lab = Lab(case, seed)
    against_reference(case, *lab.both(lab.batch(seed)))


@every_case
def test_the_options_name_the_terms(case):
    lab = Lab(case)
    assert lab.both(lab.batch())[0].terms.keys() == case.options.terms()


@every_case
def test_the_options_say_whether_a_batch_may_be_cut(case):
    assert case.options.needs_whole_batch != Together({"": Lab(case).objective}).can_be_cut


@every_case
def test_a_flipped_sign_of_any_term_would_be_noticed(case):
    lab = Lab(case)
    losses, given = lab.both(lab.batch())
    for name, term in losses.terms.items():
        flipped = losses.terms | {name: Term(-term.total, term.count)}
        with pytest.raises(AssertionError, match=f"sum of {name}"):
            against_reference(case, Losses(flipped), given)


@every_case
def test_memory_is_updated_as_the_reference_says(case):
    lab = Lab(case)
    losses, given = lab.both(lab.batch())
    if not losses.updates:
        assert case.updates is None
        return
    assert case.updates is not None, "an objective that updates a memory needs a reference of its updates"
    expected = case.updates(given)
    assert losses.updates.keys() == expected.keys()
    for name, value in losses.updates.items():
        assert not value.requires_grad
        assert value.shape == lab.memory.get_buffer(name).shape
        np.testing.assert_allclose(objective_case.array(value), expected[name], rtol=1e-4, atol=1e-6)


@every_case
def test_the_order_of_examples_does_not_matter(case):
    lab = Lab(case)
    batch = lab.batch()
    order = torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(0))
    same(lab.sums(batch), lab.sums({name: values[order] for name, values in batch.items()}), 1e-4)


@every_case
def test_what_must_not_matter_does_not(case):
    assert case.invariances, "a case declares at least one invariance"
    for holds in case.invariances.values():
        holds(Lab(case))


@every_case
def test_twice_the_examples_are_twice_the_sums_and_counts(case):
    lab = Lab(case)
    batch = lab.batch()
    once, twice = lab.sums(batch), lab.sums({name: torch.cat([v, v]) for name, v in batch.items()})
    if lab.objective.couples is Coupling.NONE:
        same({name: (2 * total, 2 * count) for name, (total, count) in once.items()}, twice, 1e-4)
    else:
        assert {n: 2 * count for n, (_, count) in once.items()} == {n: count for n, (_, count) in twice.items()}


@every_case
def test_needs_are_offered_and_nothing_else_is_read(case):
    lab = Lab(case)
    batch = lab.batch()
    assert lab.objective.needs == case.options.needs()
    assert lab.objective.needs <= batch.keys()
    lab.losses({name: values for name, values in batch.items() if name in lab.objective.needs | case.reads})
    for name in lab.objective.needs:
        with pytest.raises((KeyError, ValueError)):
            lab.losses({other: values for other, values in batch.items() if other != name})


@every_case
def test_gradients_reach_every_head_and_the_student(case):
    lab = Lab(case)
    losses = lab.losses(lab.batch())
    loss = sum(term.total for term in losses.terms.values())
    learning = {name: p for name, p in lab.heads.named_parameters() if p.requires_grad}
    student = list(lab.student.parameters())
    slopes = torch.autograd.grad(loss, [*learning.values(), *student], materialize_grads=True, allow_unused=True)
    dead = [name for name, slope in zip(learning, slopes, strict=False) if not slope.abs().max() > 0]
    assert dead == []
    assert all(slope.isfinite().all() for slope in slopes)
    assert any(slope.abs().max() > 0 for slope in slopes[len(learning) :])
    teaching = [p for teacher in lab.teachers.values() for p in teacher.parameters()]
    assert not any(p.requires_grad for p in teaching)


@every_case
def test_losses_change_nothing_and_are_the_same_again(case):
    lab = Lab(case)
    batch = lab.batch()
    own = {name: repr(value) for name, value in vars(lab.objective).items()}
    assert not any(isinstance(value, torch.Tensor | torch.nn.Module) for value in vars(lab.objective).values())
    before = {n: v.clone() for m in (lab.heads, lab.memory, lab.student) for n, v in m.state_dict().items()}
    copies = {name: values.clone() for name, values in batch.items()}
    assert lab.sums(batch) == lab.sums(batch)
    after = {n: v for m in (lab.heads, lab.memory, lab.student) for n, v in m.state_dict().items()}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.allclose(copies[name], values, 0, 0, equal_nan=True) for name, values in batch.items())
    assert own == {name: repr(value) for name, value in vars(lab.objective).items()}


@every_case
def test_in_low_precision_the_loss_is_float32_and_near(case):
    lab = Lab(case)
    batch = lab.batch()
    exact = lab.sums(batch)
    with torch.autocast("cpu", torch.bfloat16):
        low = lab.losses(batch)
    assert all(term.total.dtype == torch.float32 for term in low.terms.values())
    for name, (total, count) in numbers(low).items():
        assert count == exact[name][1]
        assert total == pytest.approx(exact[name][0], rel=0.1, abs=0.1 * count)


@every_case
def test_examples_are_related_in_float32_whatever_the_precision(case):
    lab = Lab(case)
    if not isinstance(lab.objective, SplitObjective):
        return
    step = lab.step(lab.batch())
    rows = lab.objective.represent(step)
    exact = numbers(lab.objective.relate(rows, step))
    with torch.autocast("cpu", torch.bfloat16):
        assert numbers(lab.objective.relate(rows, step)) == exact
    assert exact == lab.sums(lab.batch())  # the two halves are the whole


@every_case
@pytest.mark.parametrize("size", [1, 3])
def test_microbatches_equal_the_full_batch_or_are_refused(case, size):
    if not Together({"": case.options.build()}).can_be_cut:
        with pytest.raises(ValueError, match="cannot be cut"):
            case.trainer(micro_batch_size=size)
        return
    whole, parts = [], []
    # Adam makes a full step of a gradient that is zero but for rounding, unless epsilon is larger than that.
    plain = {"optimizer": AdamWOptions(learning_rate=case.rate, epsilon=1e-3)}
    first, second = case.trainer(reports=whole, **plain), case.trainer(reports=parts, micro_batch_size=size, **plain)
    first.run(None, 3)
    second.run(None, 3)
    for one, other in zip(whole, parts, strict=True):
        assert one.terms == pytest.approx(other.terms, rel=1e-3, abs=1e-4)
    for name, weight in first.parameters.items():
        torch.testing.assert_close(weight, second.parameters[name], atol=1e-4, rtol=1e-3)


@every_case
def test_the_gradient_of_a_cut_batch_is_that_of_the_whole(case):
    """One plain step: Adam would hide a gradient of the wrong size."""
    objective = case.options.build()
    if not Together({"": objective}).can_be_cut:
        return
    if objective.couples is Coupling.BATCH:
        assert isinstance(objective, SplitObjective)
    found = []
    for size in (None, 3):
        trainer = case.trainer(micro_batch_size=size, clip_norm=None)
        trainer.run(None, 1)
        found.append({name: p.grad.clone() for name, p in trainer.parameters.items() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=2e-5, rtol=1e-3)


@every_case
def test_resumed_equals_uninterrupted_bit_for_bit_and_the_state_holds_all(case, tmp_path):
    whole, parts = [], []
    case.trainer(reports=whole).run(tmp_path / "whole", 8)
    case.trainer(reports=parts).run(tmp_path / "parts", 5)
    torch.manual_seed(4711)  # whatever else the new process did
    again = case.trainer(reports=parts)
    with torch.no_grad():  # whatever is not in the state is lost
        for tensor in (*again.parameters.values(), *again.memory.buffers(), *_teaching(again)):
            if tensor.is_floating_point():
                tensor.fill_(0.123)
    assert again.resume(tmp_path / "parts") == 5
    again.run(tmp_path / "parts", 8)
    assert [report.terms for report in whole] == [report.terms for report in parts]
    for file in ("model.safetensors", "trainer.safetensors"):
        first, second = (load_file(storage.place(tmp_path / name, 8) / file) for name in ("whole", "parts"))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


def _teaching(trainer):
    own = {name: teacher for name, teacher in trainer.teachers.by_name.items() if name not in trainer.teachers.given}
    return [p for teacher in own.values() for p in teacher.parameters()]


@pytest.mark.parametrize("name", ALL)
def test_golden_losses(name):
    case, reports = ALL[name], []
    case.trainer(reports=reports).run(None, 30)
    terms = {term: [report.terms[term] for report in reports] for term in reports[0].terms}
    if WRITE_GOLDEN:
        kept = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        kept[name] = {term: [float(f"{value:.6g}") for value in values] for term, values in terms.items()}
        GOLDEN.write_text(json.dumps({n: kept[n] for n in sorted(kept) if n in ALL}, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    assert name in golden, "write it with HEADWATER_WRITE_GOLDEN=1"
    assert terms.keys() == golden[name].keys()
    for term, values in terms.items():
        assert values == pytest.approx(golden[name][term], rel=1e-3, abs=1e-3)
        if case.learns:
            assert sum(values[-5:]) < 0.95 * sum(values[:5]), f"{term} did not fall"


@every_case
def test_at_paper_scale_it_builds_without_memory(case):
    objective = case.paper.options.build()
    assert type(case.paper.options) is type(case.options)
    with torch.device("meta"):
        heads, memory = objective.heads(case.paper.dims), objective.memory()
    tensors = [*heads.state_dict().values(), *memory.state_dict().values()]
    assert all(tensor.is_meta for tensor in tensors)
    assert sum(p.numel() for p in heads.parameters()) == case.paper.weights
