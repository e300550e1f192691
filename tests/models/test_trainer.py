"""The trainer's promises: exact resume, exact accumulation, exact data parallelism, and a stop before harm."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import training_fixture as fixture
from safetensors.torch import load_file
from torch import multiprocessing, nn

from headwater.models.objectives.next_token import NextToken
from headwater.models.objectives.protocol import Coupling, Losses, Term
from headwater.models.trainer import state as storage
from headwater.models.trainer.options import MuonOptions
from headwater.models.trainer.reports import NonFiniteLoss
from headwater.models.trainer.spikes import SpikeWatch
from headwater.models.trainer.trainer import Trainer

RECIPE = fixture.RECIPE
# Losses of the fixture's first 30 steps; they move by less than 1e-3 between processors and torch builds.
GOLDEN = json.loads(Path(__file__).with_name("golden_losses.json").read_text())


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(folder=None, until=None, recipe=RECIPE, **others):
    reports = []
    run = fixture.trainer(recipe, on_step=reports.append, **others)
    if folder and storage.saved_step(folder):
        run.resume(folder)
    outcome = run.run(folder, until)
    return run, reports, outcome


def same_bits(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def all_tensors(folder, step):
    home = storage.place(folder, step)
    return {**load_file(home / "model.safetensors"), **load_file(home / "trainer.safetensors")}


@pytest.mark.parametrize("optimizer", [RECIPE.optimizer, MuonOptions(learning_rate=0.01)], ids=lambda o: o.kind)
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, optimizer):
    recipe = RECIPE.model_copy(update={"optimizer": optimizer})
    _, whole, _ = trained(tmp_path / "whole", recipe=recipe)
    _, first, stopped = trained(tmp_path / "parts", until=10, recipe=recipe)
    torch.manual_seed(12345)  # whatever else the new process did
    _, second, outcome = trained(tmp_path / "parts", recipe=recipe, student=fixture.model(seed=99))
    assert (stopped.step, outcome.step) == (10, 20)
    assert [r.loss for r in whole] == [r.loss for r in first + second]
    assert [r.spike for r in whole] == [r.spike for r in first + second]
    assert same_bits(all_tensors(tmp_path / "whole", 20), all_tensors(tmp_path / "parts", 20))
    facts = [json.loads((tmp_path / n / "step-00000020/state.json").read_text()) for n in ("whole", "parts")]
    assert facts[0] == facts[1]


def test_killed_runs_end_as_if_nothing_had_happened(tmp_path):
    command = [sys.executable, str(Path(fixture.__file__)), str(tmp_path / "killed")]
    # Steps are saved after every third: both kills fall between saves.
    kills = 0
    for after in (7, 16):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if int(line) >= after:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                    break
    assert kills == 2
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert 0 < int(done[0]) <= 60
    recipe = RECIPE.model_copy(update={"steps": 60})
    trained(tmp_path / "whole", recipe=recipe)
    assert same_bits(all_tensors(tmp_path / "killed", 60), all_tensors(tmp_path / "whole", 60))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_microbatches_equal_the_full_batch(size):
    # A step of AdamW has the size of its rate however small the gradient, whose rounding would then decide its sign.
    steady = RECIPE.model_copy(update={"optimizer": RECIPE.optimizer.model_copy(update={"epsilon": 1e-3})})
    run, whole, _ = trained(until=5, recipe=steady)
    cut, parts, _ = trained(until=5, recipe=steady.model_copy(update={"micro_batch_size": size}))
    assert [r.loss for r in whole] == pytest.approx([r.loss for r in parts], abs=1e-5)
    assert [r.tokens for r in whole] == [r.tokens for r in parts]
    for name, weight in run.model.state_dict().items():
        torch.testing.assert_close(weight, cut.model.state_dict()[name], atol=1e-5, rtol=0)


class TwoTerms(NextToken):
    """Next token and a term over samples, with counts of their own and a head of their own."""

    def heads(self, dims):
        return nn.ModuleDict({"score": nn.Linear(dims["width"], 1)})

    def memory(self):
        module = nn.Module()
        module.register_buffer("centre", torch.zeros(()))
        return module

    def losses(self, step):
        scores = step.heads["score"](step.student(step.batch["tokens"])[:, -1])
        term = Term((scores - 1).square().sum(), torch.tensor(len(scores)))
        updates = {"centre": step.memory.centre + 1}
        return Losses({**super().losses(step).terms, "score": term}, updates)


def two_terms(**changes):
    recipe = RECIPE.model_copy(update={"weights": {"score": 0.3}, **changes})
    return Trainer(recipe, fixture.model(), TwoTerms(), fixture.batches)


def test_terms_with_counts_of_their_own_are_exact_under_accumulation():
    whole, cut = two_terms(), two_terms(micro_batch_size=3)
    first, second = whole.run(None, 4).last, cut.run(None, 4).last
    assert first.loss == pytest.approx(first.terms["next_token"] + 0.3 * first.terms["score"])
    assert first.terms == pytest.approx(second.terms, abs=1e-5)
    for name, weight in whole.parameters.items():
        torch.testing.assert_close(weight, cut.parameters[name], atol=1e-4, rtol=0)
    assert whole.memory.centre == cut.memory.centre == 4  # once per optimizer step


def test_heads_and_memory_are_part_of_the_state(tmp_path):
    whole = two_terms()
    whole.run(None)
    two_terms().run(tmp_path, 7)
    resumed = two_terms()
    resumed.heads["score"].weight.data.zero_()
    assert resumed.resume(tmp_path) == 7
    resumed.run(tmp_path)
    assert same_bits(dict(whole.parameters), dict(resumed.parameters))
    assert resumed.memory.centre == 20


def test_two_workers_equal_one(tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    multiprocessing.spawn(fixture.work, args=(2, str(tmp_path / "meeting"), str(folder)), nprocs=2)
    run, reports, _ = trained(until=6)
    first, second = (torch.load(folder / f"worker-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.pop("losses") == second.pop("losses") == pytest.approx([r.loss for r in reports], abs=1e-5)
    assert same_bits(first, second)
    saved = load_file(storage.place(folder, 6) / "model.safetensors")
    for name, weight in run.model.state_dict().items():
        torch.testing.assert_close(saved[name], weight, atol=1e-4, rtol=0)


def test_golden_losses():
    _, reports, _ = trained(recipe=RECIPE.model_copy(update={"steps": 30}))
    assert [r.loss for r in reports] == pytest.approx(GOLDEN, abs=1e-3)
    assert reports[-1].loss < 0.7 * reports[0].loss


class Poisoned(NextToken):
    """Not a number wherever a sample holds token 63 twice in a row."""

    def losses(self, step):
        ((name, term),) = super().losses(step).terms.items()
        tokens = step.batch["tokens"]
        bad = ((tokens[:, 1:] == 63) & (tokens[:, :-1] == 63)).any()
        return Losses({name: Term(term.total * (math.nan if bad else 1.0), term.count)})


@pytest.mark.parametrize("size", [None, 3])
def test_a_non_finite_loss_stops_before_the_update_and_names_the_samples(size, tmp_path):
    def data(step):
        batch = fixture.batches(step)
        if step == 4:
            batch["tokens"][2, 5:7] = batch["tokens"][6, 5:7] = 63
        return batch

    recipe = RECIPE.model_copy(update={"micro_batch_size": size, "checkpoint_every_steps": 4})
    run = Trainer(recipe, fixture.model(), Poisoned(), data)
    with pytest.raises(NonFiniteLoss, match=r"step 4.*samples 4002, 4006") as caught:
        run.run(tmp_path)
    assert caught.value.samples == [4002, 4006]
    assert caught.value.step == run.step == 4
    assert same_bits(dict(run.model.state_dict()), load_file(storage.place(tmp_path, 4) / "model.safetensors"))


def test_a_non_finite_gradient_stops_before_the_update():
    run = fixture.trainer()
    run.run(None, 2)
    before = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    run.model.norm.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(NonFiniteLoss, match="gradient") as caught:
        run.run(None, 3)
    assert caught.value.samples == list(range(2000, 2008))
    assert same_bits(before, dict(run.model.state_dict()))


def test_states_hold_no_pickle_and_old_ones_go(tmp_path):
    saves = []
    recipe = RECIPE.model_copy(update={"checkpoint_every_steps": 3, "keep_states": 2})
    trained(tmp_path, recipe=recipe, on_save=lambda folder, step: saves.append((folder.name, step)))
    assert [step for _, step in saves] == [3, 6, 9, 12, 15, 18, 20]
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["latest.json", "step-00000015", "step-00000018", "step-00000020"]
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_a_half_written_state_is_never_resumed(tmp_path):
    trained(tmp_path, until=5)
    (tmp_path / ".partial-00000006").mkdir()
    (tmp_path / ".partial-00000006/model.safetensors").write_bytes(b"half")
    later = storage.place(tmp_path, 6)  # renamed, but killed before the pointer named it
    later.mkdir()
    (later / "model.safetensors").write_bytes(b"of a killed run")
    run = fixture.trainer()
    assert run.resume(tmp_path) == 5
    run.run(tmp_path, until=6)
    assert storage.load(tmp_path).step == 6
    assert not list(tmp_path.glob(".partial*"))


def test_what_cannot_be_resumed_is_refused_with_the_mend(tmp_path):
    assert fixture.trainer().resume(tmp_path) == 0
    trained(tmp_path, until=3)
    with pytest.raises(ValueError, match="resume it"):
        fixture.trainer().run(tmp_path)
    with pytest.raises(ValueError, match="seed = 7, the recipe says 8"):
        fixture.trainer(RECIPE.model_copy(update={"seed": 8})).resume(tmp_path)
    with pytest.raises(ValueError, match=r"optimizer\.kind"):
        fixture.trainer(RECIPE.model_copy(update={"optimizer": MuonOptions()})).resume(tmp_path)
    other = fixture.build_decoder(fixture.MODEL.model_copy(update={"layers": 1}), 0)
    with pytest.raises(ValueError, match="another model"):
        fixture.trainer(student=other).resume(tmp_path)
    (storage.place(tmp_path, 3) / "trainer.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="damaged"):
        fixture.trainer().resume(tmp_path)
    (tmp_path / "latest.json").write_text("{")
    with pytest.raises(ValueError, match=r"latest\.json"):
        fixture.trainer().resume(tmp_path)


def test_coupled_examples_are_not_cut():
    class Coupled(NextToken):
        couples = Coupling.BATCH

    objective = Coupled()
    with pytest.raises(ValueError, match="cannot be cut"):
        Trainer(RECIPE.model_copy(update={"micro_batch_size": 2}), fixture.model(), objective, fixture.batches)
    Trainer(RECIPE, fixture.model(), objective, fixture.batches).run(None, 1)


def test_missing_fields_and_unknown_terms_are_named():
    with pytest.raises(ValueError, match="step 0 lacks sample, tokens"):
        fixture.trainer(data=lambda step: {"segments": torch.zeros(1, 2)}).run(None)
    with pytest.raises(ValueError, match="other"):
        fixture.trainer(RECIPE.model_copy(update={"weights": {"other": 2.0}})).run(None)


def test_bfloat16_learns_like_float32_and_keeps_float32_weights():
    _, high, _ = trained()
    run, low, _ = trained(recipe=RECIPE.model_copy(update={"precision": "bfloat16"}))
    assert [r.loss for r in low] == pytest.approx([r.loss for r in high], rel=0.05)
    assert all(weight.dtype == torch.float32 for weight in run.model.state_dict().values())


def test_spikes_are_noticed_once_the_level_is_known():
    watch = SpikeWatch(deviations=4.0)
    calm = [watch.observe(2 + 0.01 * (-1) ** i) for i in range(50)]
    assert not any(calm)
    assert watch.observe(3.0)
    assert not watch.observe(2.0)
    assert watch.observe(3.0)  # the first did not hide the second
    assert SpikeWatch(**json.loads(json.dumps(watch.state()))) == watch
    settled = [watch.observe(3.0) for _ in range(300)]
    assert not settled[-1]  # a lasting change of level is the new normal
