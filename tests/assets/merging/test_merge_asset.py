"""A merge is a checkpoint: it is made per seed, opened like any other, and refuses what cannot be merged."""

import pytest
import torch
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, tiny_training

from headwater.assets.context import StageError
from headwater.assets.evaluation.component import Evaluation
from headwater.assets.merging.component import Merge
from headwater.assets.training.checkpoints import open_network
from headwater.assets.training.component import Training
from headwater.models.merging import average

SMALL = {"kind": "decoder", "width": 16, "layers": 3, "heads": 2}


def learned(name: str, seeds=(0, 1), **options) -> Training:
    training = tiny_training(steps=3, seeds=seeds, **options)
    return Training(training.options.model_copy(update={"name": name}))


@pytest.fixture
def trained(lab: Lab):
    plant(lab, 24)
    parts = [notes(), bytes_tokenizer(), packed()]
    start = learned("start", seeds=(0,), backbone=SMALL)
    tuned = [learned(name, backbone=SMALL, init="start") for name in ("one", "two")]
    lab.run(*parts, start, *tuned)
    return lab, [*parts, start, *tuned]


def weights(lab: Lab, asset: str, seed: int):
    return open_network(lab.store, lab.record(asset), seed).network.state_dict()


def test_a_soup_is_the_mean_of_each_seed_and_is_opened_evaluated_and_trained_on(trained):
    lab, parts = trained
    soup = Merge(name="soup", merger={"kind": "soup", "of": ["one", {"checkpoint": "two", "share": 3}]}, seeds=[0, 1])
    lab.run(*parts, soup)
    for seed in (0, 1):
        wanted = average([weights(lab, f"{n}/checkpoint", seed) for n in ("one", "two")], [1, 3])
        found = weights(lab, "soup/merged", seed)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    record = lab.record("soup/merged")
    assert record.metrics["seeds"] == [0, 1]
    assert record.checks[0].passed
    measures = {"bits_per_byte": {"max_megabytes_per_source": 0.01}, "cloze": None, "generation": None}
    report = Evaluation(name="report", training="soup/merged", held_out="packed", measures=measures)
    onward = learned("onward", seeds=(1,), backbone=SMALL, init="soup/merged")
    lab.run(*parts, soup, report, onward)
    assert lab.record("report/evaluation").metrics["bits_per_byte"] > 0
    assert lab.record("onward/checkpoint").metrics["steps"] == 3


def test_a_merge_follows_its_ingredients_and_is_reused_when_they_stay(trained):
    lab, parts = trained
    line = Merge(name="line", merger={"kind": "interpolation", "start": "start", "end": "one", "position": 0.0})
    assert not lab.run(*parts, line)["line/merged"].reused
    assert lab.run(*parts, line)["line/merged"].reused
    found, wanted = weights(lab, "line/merged", 0), weights(lab, "start/checkpoint", 0)
    assert all(torch.allclose(found[name], wanted[name]) for name in wanted)


def test_task_vectors_of_a_block_change_that_block_alone(trained):
    lab, parts = trained
    vectors = [{"checkpoint": "one", "coefficient": {"blocks.1": 1.0}}]
    merge = Merge(name="sum", merger={"kind": "task_vectors", "base": "start", "vectors": vectors})
    lab.run(*parts, merge)
    found = weights(lab, "sum/merged", 0)
    base, tuned = weights(lab, "start/checkpoint", 0), weights(lab, "one/checkpoint", 0)
    for name in found:
        wanted = tuned if name.startswith("blocks.1.") else base
        assert torch.equal(found[name], wanted[name]), name


def test_a_deeper_copy_says_its_depth_and_where_it_repeats(trained):
    lab, parts = trained
    merger = {"kind": "depth_up_scaling", "checkpoint": "one", "layers": 1, "text": "packed", "samples": 2}
    lab.run(*parts, Merge(name="deep", merger=merger))
    record = lab.record("deep/merged")
    assert record.metrics["backbone"]["layers"] == 4
    assert record.metrics["first_repeated"] == 1
    network = open_network(lab.store, record, 0).network
    assert len(network.blocks) == 4
    same = zip(network.blocks[1].parameters(), network.blocks[2].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def test_networks_of_other_shapes_are_refused_by_name(trained):
    lab, parts = trained
    wide = learned("wide", seeds=(0,), backbone={"kind": "decoder", "width": 32, "layers": 3, "heads": 2})
    soup = Merge(name="soup", merger={"kind": "soup", "of": ["one", "wide"]})
    with pytest.raises(StageError, match=r"soup/merged, seed 0: .* is \(.*\) in one/checkpoint"):
        lab.run(*parts, wide, soup)


def start_of(lab: Lab, parts, *names: str, seeds=(0, 1)):
    lab.run(*parts, Merge(name="joined", merger={"kind": "soup", "of": list(names)}, seeds=list(seeds)))
    (check,) = [check for check in lab.record("joined/merged").checks if check.name == "common_start"]
    assert not check.blocking
    return check


def test_networks_without_a_common_start_are_merged_with_a_warning(trained):
    lab, parts = trained
    assert start_of(lab, parts, "one", "two").passed
    assert start_of(lab, parts, "start", "two", seeds=[0]).passed  # from a start to what grew of it
    twin, apart = learned("twin", seeds=(0, 1), backbone=SMALL), learned("apart", seeds=(5,), backbone=SMALL)
    parts = [*parts, twin, apart]
    lab.run(*parts)
    assert start_of(lab, parts, "start", "twin", seeds=[0]).passed  # the same first weights, drawn from seed 0
    check = start_of(lab, parts, "one", "twin")
    assert not check.passed
    assert "Nothing lies behind all of one/checkpoint, twin/checkpoint for seed 1:" in check.description
    assert not start_of(lab, parts, "one", "apart").passed
