"""The checkpoint as an asset: kills, replicates, broken numbers, workers and export."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, stages_of, tiny_training

from headwater.assets.fitting.stage import tokenizer_at
from headwater.assets.running import StageError, run_stage
from headwater.assets.training.checkpoints import export_checkpoint, open_checkpoint
from headwater.assets.training.curves import Curve, read_curve
from headwater.assets.training.describe import _checks
from headwater.models.trainer.reports import StepReport

TESTS = Path(__file__).parents[2]
STEPS = 24
TRAIN = """
import json, sys
from pathlib import Path
from small_pipelines import Lab, stages_of, tiny_training
from headwater.assets.running import run_stage
lab = Lab(Path(sys.argv[1]), Path(sys.argv[2]))
run_stage(stages_of(tiny_training(**json.loads(sys.argv[3])))[0], lab.store, lab.workspace)
"""


def data(lab: Lab) -> Lab:
    plant(lab, 30)
    lab.run(notes(), bytes_tokenizer(), packed())
    return lab


def train(lab: Lab, **options):
    return run_stage(stages_of(tiny_training(**options))[0], lab.store, lab.workspace).record


def folder(lab: Lab, record) -> Path:
    return Path(lab.store.place(record.asset).folder(record.digest))


def weights(lab: Lab, record, seed: int = 0) -> str:
    (name,) = [n for n in record.files if n.startswith(f"seed_{seed}/") and n.endswith("model.safetensors")]
    digest = hashlib.sha256((folder(lab, record) / name).read_bytes()).hexdigest()
    assert digest == record.files[name]
    return digest


def killed_at_step(lab: Lab, step: int, options: dict) -> None:
    """Trains in a process of its own and kills it once the curve has reached a step."""
    env = os.environ | {"PYTHONPATH": str(TESTS), "HEADWATER_ENGINE": "local", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAIN, str(lab.root), str(lab.store.root), json.dumps(options)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    root = Path(lab.store.place("tiny/checkpoint").root, "files")
    while process.poll() is None:
        if any(len(read_curve(curve.parent)) > step for curve in root.glob("*/seed_0/curve.jsonl")):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors


def test_a_killed_training_goes_on_and_ends_with_the_very_same_weights(lab, tmp_path):
    data(lab)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        options = {"steps": 60, "recipe": {"checkpoint_every_steps": 5}}
        killed_at_step(lab, 12, options)
        assert lab.store.place("tiny/checkpoint").record() is None
        resumed = train(lab, **options)
        other = data(Lab(tmp_path / "other", tmp_path / "other-store"))
        whole = train(other, **options)
    finally:
        torch.set_num_threads(threads)
    assert weights(lab, resumed) == weights(other, whole)
    assert resumed.files == whole.files
    assert resumed.content_version == whole.content_version
    curve, expected = (read_curve(folder(*pair) / "seed_0") for pair in ((lab, resumed), (other, whole)))
    assert [line["step"] for line in curve] == list(range(60)), "a step stands twice in the curve, or not at all"
    assert [line["loss"] for line in curve] == [line["loss"] for line in expected]


def test_a_finished_training_whose_record_was_lost_is_not_trained_again(lab, monkeypatch):
    data(lab)
    record = train(lab, steps=STEPS)
    place = lab.store.place("tiny/checkpoint")
    Path(place.root, "record.json").unlink()
    monkeypatch.setattr("headwater.assets.training.stage.train", None)
    again = train(lab, steps=STEPS)
    assert again.files == record.files
    assert again.content_version == record.content_version


def test_replicates_differ_in_their_seed_alone(lab, tmp_path):
    data(lab)
    record = train(lab, steps=4, seeds=(0, 3))
    assert weights(lab, record, 0) != weights(lab, record, 3)
    alone = train(lab, steps=4, seeds=(3,))
    assert weights(lab, alone, 3) == weights(lab, record, 3)
    assert record.metrics["tokens_seed_0"] == record.metrics["tokens_seed_3"]
    models = [open_checkpoint(lab.store, record, seed) for seed in (0, 3)]
    assert any(not torch.equal(a, b) for a, b in zip(*(m.parameters() for m in models), strict=True))
    with pytest.raises(StageError, match=r"no checkpoint of seed 7 \(its seeds: \[0, 3\]\)"):
        open_checkpoint(lab.store, record, 7)


def test_tracking_and_names_do_not_train_again(lab):
    data(lab)
    record = train(lab, steps=4)
    tracked = tiny_training(4, tracking=["tensorboard"], description="other words")
    assert run_stage(stages_of(tracked)[0], lab.store, lab.workspace).reused
    assert train(lab, steps=5).digest != record.digest


def test_tensorboard_gets_every_step_once(lab):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data(lab)
    record = train(lab, steps=6, tracking=["tensorboard"])
    events = EventAccumulator(str(folder(lab, record) / "seed_0" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(6))
    curve = read_curve(folder(lab, record) / "seed_0")
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([line["loss"] for line in curve], rel=1e-6)


def test_broken_numbers_stop_and_name_the_documents(lab):
    data(lab)
    broken = {"optimizer": {"kind": "adamw", "learning_rate": 1e30}, "clip_norm": None}
    with pytest.raises(StageError, match=r"tiny/checkpoint: .*step \d+.* Documents: [0-9a-f]{32}") as caught:
        train(lab, steps=STEPS, recipe=broken)
    named = str(caught.value).rsplit("Documents: ", 1)[1].rstrip(".").split(", ")
    spans = lab.table("packed/tokens", "spans").to_pylist()
    trained_on = {span["doc_id"] for span in spans if span["stream"] == "notes-train"}
    assert named
    assert set(named) <= trained_on
    assert lab.store.place("tiny/checkpoint").record() is None
    with pytest.raises(StageError, match="Documents: "):
        train(lab, steps=STEPS, recipe=broken)


def test_a_backbone_that_does_not_fit_is_refused_with_the_mend(lab):
    data(lab)
    small = {"kind": "decoder", "width": 32, "layers": 1, "heads": 2}
    with pytest.raises(StageError, match=r"gives ids up to 319, the backbone has 100\. Leave out vocabulary_size"):
        train(lab, steps=2, backbone=small | {"vocabulary_size": 100})
    with pytest.raises(StageError, match=r"samples have 32 tokens, the backbone takes 16\. Leave out context_length"):
        train(lab, steps=2, backbone=small | {"context_length": 16})


def test_training_lowers_the_loss_and_says_so(lab):
    data(lab)
    record = train(lab, steps=STEPS)
    assert {check.name: check.passed for check in record.checks}["learned"]
    assert record.metrics["tokens_seed_0"] > STEPS * 4 * 25
    assert record.metrics["backbone"]["vocabulary_size"] == 320
    assert "Loss seed 0" in record.plots
    losses = [line["loss"] for line in read_curve(folder(lab, record) / "seed_0")]
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3


@pytest.mark.parametrize(
    ("leeway", "ends", "passed"),
    [
        (1.0, 3.2, False),
        (1.0, 3.1, True),
        (1.05, 3.2, True),
        (1.05, 3.4, False),
        (None, 9.0, True),
        (None, np.nan, False),
    ],
)
def test_who_goes_on_from_another_training_may_have_nothing_left_to_learn(leeway, ends, passed):
    (learned, _) = _checks([3.2, 3.2], [3.0, ends], 0, STEPS, leeway)
    assert (learned.name, learned.blocking, learned.passed) == ("learned", True, passed)


def test_a_curve_forgets_the_steps_that_are_made_again(tmp_path):
    def report(step, loss):
        values = dict.fromkeys(StepReport._fields, 0.0) | {"step": step, "loss": loss}
        return StepReport(**values)

    first = Curve(tmp_path, 0)
    for step in range(5):
        first.add(report(step, 1.0))
    first.close()
    with (tmp_path / "curve.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # cut short by a kill
    second = Curve(tmp_path, 3)
    second.add(report(3, 2.0))
    second.close()
    assert [(line["step"], line["loss"]) for line in read_curve(tmp_path)] == [(0, 1), (1, 1), (2, 1), (3, 2)]


def test_an_exported_checkpoint_is_the_same_model_in_transformers(lab, tmp_path):
    transformers = pytest.importorskip("transformers")
    data(lab)
    record = train(lab, steps=8)
    model, tokenizer = open_checkpoint(lab.store, record, 0), tokenizer_at(lab.store, lab.record("letters/tokenizer"))
    told: list[str] = []
    (tmp_path / "hf").mkdir()
    export_checkpoint(model, tokenizer, tmp_path / "hf", told.append)
    assert {line.split()[0] for line in told} >= {"config.json", "model.safetensors", "tokenizer.json"}
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32).eval()
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    text = "Some words of a bad mood, été 漢."
    ids = tokenizer.encode(text)
    assert their_tokenizer(text, add_special_tokens=False)["input_ids"] == ids
    assert their_tokenizer.eos_token_id == tokenizer.end_of_text_id
    tokens = torch.tensor([[tokenizer.end_of_text_id, *ids]])[:, :32]
    with torch.no_grad():
        expected = theirs(tokens).logits
        ours = model.logits(model(tokens))
    assert torch.allclose(ours, expected, atol=1e-5)


def test_training_goes_on_from_a_hugging_face_folder(lab):
    data(lab)
    record = train(lab, steps=8)
    model, tokenizer = open_checkpoint(lab.store, record, 0), tokenizer_at(lab.store, lab.record("letters/tokenizer"))
    target = lab.root / "exported"
    target.mkdir()
    export_checkpoint(model, tokenizer, target, lambda line: None)
    further = {"backbone": {"kind": "hugging_face", "path": "exported"}}
    second = train(lab, steps=8, **further)
    first_loss = [read_curve(folder(lab, r) / "seed_0")[0]["loss"] for r in (record, second)]
    assert first_loss[1] < first_loss[0] - 0.2, "it did not start from the folder's weights"
    assert run_stage(stages_of(tiny_training(8, **further))[0], lab.store, lab.workspace).reused
    config = target / "config.json"
    config.write_text(config.read_text() + "\n")
    assert not run_stage(stages_of(tiny_training(8, **further))[0], lab.store, lab.workspace).reused
    with pytest.raises(StageError, match=r"missing holds no config\.json"):
        train(lab, steps=8, backbone={"kind": "hugging_face", "path": "missing"})


@pytest.mark.slow
def test_two_workers_of_ray_train_give_the_losses_of_one(lab, tmp_path):
    data(lab)
    one = train(lab, steps=8)
    other = data(Lab(tmp_path / "other", tmp_path / "other-store"))
    two = train(other, steps=8, compute={"workers": 2, "cpus": 0.5})
    curves = [read_curve(folder(*pair) / "seed_0") for pair in ((lab, one), (other, two))]
    losses = [[line["loss"] for line in curve] for curve in curves]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert [line["step"] for line in curves[1]] == list(range(8))
    assert [line["tokens"] for line in curves[1]] == [line["tokens"] for line in curves[0]]


@pytest.mark.slow
def test_broken_numbers_in_a_worker_name_the_documents_too(lab):
    data(lab)
    broken = {"optimizer": {"kind": "adamw", "learning_rate": 1e30}, "clip_norm": None}
    with pytest.raises(StageError, match=r"tiny/checkpoint: .*step \d+.* Documents: [0-9a-f]{32}"):
        train(lab, steps=8, recipe=broken, compute={"workers": 2, "cpus": 0.5})
