"""An infinite schedule over successive trainings: each goes on from the constant rate, not from an annealed end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from retraining_cases import folder
from safetensors.torch import load_file
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, stages_of

from headwater.assets.corpus.component import Corpus
from headwater.assets.running import StageError, run_stage
from headwater.assets.sharding.component import Shards
from headwater.assets.training.component import Training
from headwater.assets.training.curves import read_curve
from headwater.assets.training.places import CONSTANT, STATE

FIRST = {"kind": "infinite", "warmup_steps": 2, "cooldown_steps": 3, "anneal_from": 8, "anneal_steps": 4}
NEXT = {"kind": "infinite", "warmup_steps": 0, "cooldown_steps": 0, "anneal_from": 6, "anneal_steps": 4}
PEAK = 3e-3


@pytest.fixture
def lab(lab: Lab) -> Lab:
    plant(lab, 30)
    lab.run(notes(), bytes_tokenizer(), packed())
    return lab


def trained(lab: Lab, name: str, steps: int, schedule: dict, **options):
    training = Training(
        name=name,
        shards="packed",
        backbone={"kind": "decoder", "width": 32, "layers": 1, "heads": 2},
        recipe={
            "steps": steps,
            "batch_size": 4,
            "optimizer": {"kind": "adamw", "learning_rate": PEAK},
            "schedule": schedule,
            "precision": "float32",
        },
        tracking=[],
        **options,
    )
    return run_stage(stages_of(training)[0], lab.store, lab.workspace).record


def state(lab: Lab, record, which: str) -> dict[str, torch.Tensor]:
    (newest,) = [path for path in (folder(lab, record) / "seed_0" / which).iterdir() if path.is_dir()]
    return load_file(newest / "model.safetensors") | load_file(newest / "trainer.safetensors")


def rates(lab: Lab, record) -> list[float]:
    return [line["learning_rate"] for line in read_curve(Path(folder(lab, record)) / "seed_0")]


def test_the_state_before_annealing_is_that_of_a_run_that_never_anneals(lab):
    record = trained(lab, "first", 12, FIRST)
    kept = state(lab, record, CONSTANT)
    endless = state(lab, trained(lab, "endless", 8, {**FIRST, "anneal_from": None}), STATE)
    assert kept.keys() == endless.keys()
    assert all(torch.equal(kept[name], endless[name]) for name in kept)
    assert record.metrics["constant_steps"] == 8
    published = {name.split("/")[1] for name in record.files}
    assert published == {CONSTANT, STATE}


def test_the_next_training_takes_up_weights_and_optimizer_at_the_constant_rate(lab):
    first = trained(lab, "first", 12, FIRST)
    init = {"training": "first", "state": "constant", "keep": ["optimizer"]}
    second = trained(lab, "second", 10, NEXT, init=init)
    assert rates(lab, first)[-1] < PEAK / 2 * 0.1
    assert rates(lab, second)[:6] == pytest.approx([PEAK / 2] * 6)
    assert rates(lab, second)[-1] < PEAK / 2 * 0.1
    # Eight steps of the first trunk, and ten of its own: Adam's count was taken over and never began anew.
    counts = [int(value) for name, value in state(lab, second, STATE).items() if name.endswith(".step")]
    assert counts
    assert set(counts) == {18}
    annealed = trained(lab, "third", 10, NEXT, init={"training": "first", "keep": ["optimizer"]})
    constant, end = (state(lab, record, CONSTANT) for record in (second, annealed))
    assert any(not torch.equal(constant[name], end[name]) for name in constant)


def test_a_training_that_never_anneals_has_no_such_state(lab):
    record = trained(lab, "first", 6, {**FIRST, "anneal_from": 6})
    assert "constant_steps" not in record.metrics
    with pytest.raises(StageError, match=r"first/checkpoint has no state before annealing of seed 0 .* anneal_from"):
        trained(lab, "second", 10, NEXT, init={"training": "first", "state": "constant"})


def auto_encoder(name: str, schedule: dict, learning_rate: float = PEAK, **options) -> Training:
    recipe = {"steps": 4, "batch_size": 4, "optimizer": {"kind": "adamw", "learning_rate": learning_rate}}
    return Training(
        name=name,
        shards="pictures",
        backbone={"kind": "vit", "width": 8, "layers": 1, "heads": 2},
        objective={"kind": "masked_patches", "width": 8, "layers": 1},
        views=[{"kind": "scale_pixels"}, {"kind": "mask_patches"}],
        recipe=recipe | {"schedule": schedule, "precision": "float32"},
        tracking=[],
        **options,
    )


def test_the_decoder_of_an_auto_encoder_passes_on_from_the_constant_rate_too(lab):
    random = np.random.default_rng(0)
    for number in range(16):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(lab.root / f"{number}.png")
    corpus = Corpus(name="drawn", sources=[{"kind": "image_files", "path": "*.png"}], held_out={"share": 0})
    shards = Shards(name="pictures", corpora=["drawn"], examples={"fields": {"image": {"kind": "array", "size": 8}}})
    schedule = {"kind": "infinite", "warmup_steps": 0, "cooldown_steps": 0, "anneal_from": 2, "anneal_steps": 2}
    init = {"training": "first", "state": "constant", "keep": ["heads", "optimizer"]}
    # At such a rate no number moves, so what the second begins with is what it ends with.
    second = auto_encoder("second", schedule, 1e-30, init=init)
    lab.run(corpus, shards, auto_encoder("first", schedule), second)
    first, second = (lab.record(f"{name}/checkpoint") for name in ("first", "second"))
    constant, end, taken = state(lab, first, CONSTANT), state(lab, first, STATE), state(lab, second, STATE)
    decoder = [name for name in constant if name.startswith("heads.decoder.")]
    assert decoder
    assert all(torch.equal(taken[name], constant[name]) for name in decoder)
    assert any(not torch.equal(end[name], constant[name]) for name in decoder)
