"""Networks and raw features measured by probes, through real shards, trainings and the real runner."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from probe_cases import centroids, classifier, examples, probing, reader, write_languages
from pydantic import ValidationError
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant

from headwater.assets.comparison.component import Comparison
from headwater.assets.context import StageError
from headwater.assets.evaluation.probing import _TEST_SAMPLES, REPORT
from headwater.assets.evaluation.raw_features import RawFeatures
from headwater.assets.lineage.report import write_report
from headwater.assets.running import wanted_identity
from headwater.assets.sharding.examples.reader import ExampleReader
from headwater.assets.training.checkpoints import open_network
from headwater.assets.training.networks import network_modules
from headwater.assets.validation import validate_text, validate_workspace
from headwater.assets.workspace import Workspace
from headwater.models.probes.protocol import embed


@pytest.fixture
def languages(lab: Lab) -> Lab:
    """Labelled examples in shards."""
    write_languages(lab)
    lab.run(*examples())
    return lab


def reader_of(lab: Lab) -> ExampleReader:
    record = lab.record("labelled/shards")
    return ExampleReader(lab.store.place("labelled/shards").folder(record.digest))


def measure(lab: Lab, **options):
    return lab.run(probing(**options))["probed/evaluation"].record


def test_the_code_of_the_measured_network_counts_and_that_of_others_does_not(languages: Lab):
    languages.run(classifier())
    checkpoint = languages.record("told/checkpoint")
    modules = network_modules(languages.store, {"checkpoint": checkpoint})
    assert {"headwater.models.backbones.decoder", "headwater.models.objectives.classify"} <= set(modules)
    assert not any(module == "headwater.models.backbones" or "resnet" in module for module in modules)
    stage = probing(probes={"first": centroids()}).stages("p")[0]
    wanted = wanted_identity(stage, languages.store, languages.workspace)
    assert wanted.code == stage.code_record(modules) != stage.code_record()


def test_figures_that_form_a_map_are_a_picture_and_a_table_of_their_own(languages: Lab):
    languages.run(classifier(seeds=(0, 1)))
    probes = {"far": {"kind": "needle", "lengths": [8, 12], "depths": [0, 1], "tokens": 2, "ids": [2, 9], "texts": 3}}
    languages.run(causal := reader("causal"))
    record = languages.run(probing(training=causal.options.name, probes=probes))["probed/evaluation"].record
    title = "Far recall by length and depth"
    assert {"Recall", title} == set(record.plots)
    table = record.markdown[title].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0][1:] == ["8", "12"]
    for row, depth in zip(cells[2:], ("0", "100"), strict=True):
        means = [record.metrics[f"far/{length}_tokens_at_{depth}_percent/recall"] for length in (8, 12)]
        assert row == [depth, *(f"{mean:.2f}" for mean in means)]
    folder = languages.store.place("probed/evaluation").folder(record.digest)
    named = Path(folder, record.plots["Recall"]).read_text()
    assert "far/8_tokens/recall" in named
    assert "_percent" not in named


def test_every_replicate_is_measured_by_every_probe(languages: Lab):
    languages.run(classifier())
    record = measure(languages, probes={"first": centroids(), "second": centroids()}, require={"first/accuracy": 0.7})
    measured = record.metrics["measured"]
    assert set(measured) == {"0", "1"}
    assert [measured[seed]["first/seed"] for seed in "01"] == [0.0, 1.0]
    assert {name.partition("/")[0] for name in measured["0"]} == {"first", "second"}
    checkpoint = languages.record("told/checkpoint")
    everything = {half: reader_of(languages).everything(f"notes-{half}") for half in ("train", "held_out")}
    for seed in (0, 1):  # the figure again, by hand
        model = open_network(languages.store, checkpoint, seed)
        found = {}
        for half, fields in everything.items():
            tensors = {name: torch.from_numpy(fields[name].astype(np.int64)) for name in ("tokens", "length")}
            found[half] = embed(model, tensors).numpy(), fields["label"]
        centres = np.stack([found["train"][0][found["train"][1] == label].mean(axis=0) for label in (0, 1)])
        nearest = np.square(found["held_out"][0][:, None] - centres).sum(-1).argmin(1)
        assert measured[str(seed)]["first/accuracy"] == pytest.approx((nearest == found["held_out"][1]).mean())
    assert record.metrics["first/accuracy"] == pytest.approx(np.mean([m["first/accuracy"] for m in measured.values()]))
    assert record.metrics["parameters"] == checkpoint.metrics["parameters"] > 0
    assert record.metrics["test_examples"] == len(everything["held_out"]["label"])
    assert {check.name: (check.passed, check.blocking) for check in record.checks} == {
        "finite": (True, True),
        "require_first_accuracy": (True, False),
    }
    assert "| first/accuracy |" in record.markdown["probes"]
    assert set(record.plots) >= {"Accuracy"}
    folder = Path(languages.store.place(record.asset).folder(record.digest))
    told = json.loads((folder / "seed_1" / REPORT).read_text())
    assert told["figures"] == measured["1"]
    assert told["of"]["checkpoint"] == checkpoint.content_version


def test_milestones_are_what_a_shorter_run_would_have_been(languages: Lab):
    """The state kept at a step is that of an uncut run with the same schedule, and is measured under its examples."""
    languages.run(classifier(milestones=[5, 10]))
    record = measure(languages, probes={"first": centroids()}, milestones=True)
    batch = languages.record("told/checkpoint").metrics["batch_size"]
    names = {f"first/accuracy@{5 * batch}", f"first/accuracy@{10 * batch}", "first/accuracy"}
    assert names <= set(record.metrics["measured"]["1"])
    checkpoint = languages.record("told/checkpoint")
    early = open_network(languages.store, checkpoint, 1, step=5).network.state_dict()
    last = open_network(languages.store, checkpoint, 1).network.state_dict()
    assert any(not torch.equal(early[name], last[name]) for name in early)
    languages.run(classifier(steps=5))
    short = open_network(languages.store, languages.record("told/checkpoint"), 1).network.state_dict()
    assert all(torch.equal(early[name], short[name]) for name in early)
    with pytest.raises(StageError, match=r"kept none\. Say `milestones"):
        measure(languages, probes={"first": centroids()}, milestones=True)


def test_raw_features_need_no_training(languages: Lab):
    record = measure(languages, network="raw", seeds=[3, 5])
    assert set(record.metrics["measured"]) == {"3", "5"}
    assert "checkpoint" not in record.identity.inputs
    assert record.metrics["centroids/accuracy"] == 1.0, "two languages without a common syllable"
    assert record.metrics["parameters"] == 0
    assert set(measure(languages, network="raw").metrics["measured"]) == {"0", "1", "2"}


def test_the_same_is_measured_however_often_and_only_once(languages: Lab):
    first = languages.run(probing(network="raw"))["probed/evaluation"]
    again = languages.run(probing(network="raw"))["probed/evaluation"]
    assert (first.reused, again.reused) == (False, True)
    other = languages.run(probing("other", network="raw"))["other/evaluation"].record
    assert other.metrics["measured"] == first.record.metrics["measured"]


def test_views_draw_the_same_numbers_for_every_arm_and_none_of_training_for_test(languages: Lab):
    masked = {"kind": "mask_tokens", "vocabulary_size": 320, "mask": 3}
    found = measure(languages, network="raw", views=[masked])
    again = languages.run(probing("other", network="raw", views=[masked]))["other/evaluation"].record
    assert found.metrics["measured"] == again.metrics["measured"]
    count = found.metrics["test_examples"]
    expected = float(torch.tensor(float(torch.arange(count).sum() + count * _TEST_SAMPLES)))
    assert found.metrics["measured"]["0"]["centroids/test_sum"] == pytest.approx(expected)
    accuracies = {own["centroids/accuracy"] for own in found.metrics["measured"].values()}
    assert len(accuracies) == 1, "the pictures do not depend on the replicate's seed"


def test_other_streams_can_be_named(languages: Lab):
    record = measure(languages, network="raw", train=["notes-held_out"], test=["notes-train"])
    plain = measure(languages, network="raw")
    assert record.metrics["test_examples"] == plain.metrics["train_examples"]
    with pytest.raises(StageError, match=r"no examples in notes-gone; its streams: notes-held_out, notes-train"):
        measure(languages, network="raw", test=["notes-gone"])


def test_a_figure_that_is_no_number_fails_the_blocking_check_and_is_left_out(languages: Lab):
    spoilt = {"centroids": centroids(spoil="accuracy")}
    record = measure(
        languages, network="raw", probes=spoilt, require={"centroids/accuracy": {"at_most": 1, "block": True}}
    )
    checks = {check.name: check for check in record.checks}
    assert not checks["finite"].passed
    assert "centroids/accuracy of seed 1" in checks["finite"].description
    assert "centroids/accuracy" not in record.metrics["measured"]["1"]
    assert checks["require_centroids_accuracy"].blocking


@pytest.mark.parametrize(
    ("required", "passed"),
    [(0.5, True), ({"at_least": 1.1}, False), ({"at_most": 0.9}, False), ({"at_least": 0.9, "at_most": 1}, True)],
)
def test_what_is_required_is_a_check_for_every_seed(languages: Lab, required, passed):
    checks = measure(languages, network="raw", require={"centroids/accuracy": required}).checks
    assert [check.passed for check in checks] == [True, passed]


def test_a_required_figure_that_nothing_measures_does_not_pass(languages: Lab):
    [_, check] = measure(languages, network="raw", require={"centroids/luck": 0.1}).checks
    assert not check.passed
    assert "not measured; the figures are centroids/accuracy" in check.description


def test_a_field_that_a_probe_needs_must_be_there(languages: Lab):
    with pytest.raises(StageError, match=r"the probe 'centroids' needs colour; the examples have .*label"):
        measure(languages, network="raw", probes={"centroids": centroids(field="colour")})
    with pytest.raises(StageError, match=r"probed/evaluation: views.0 \(flip\) needs image"):
        measure(languages, network="raw", views=[{"kind": "flip"}])


def test_packed_tokens_are_no_examples(lab: Lab):
    plant(lab, 12)
    lab.run(notes(), bytes_tokenizer(), packed())
    with pytest.raises(StageError, match="packed/shards holds packed tokens; probes need examples"):
        measure(lab, shards="packed", network="raw")


def test_a_report_on_a_checkpoint_takes_probes_for_what_they_are(languages: Lab):
    languages.run(classifier(seeds=(0,)), probing())
    path = write_report(languages.store, languages.record("told/checkpoint"))
    page = Path(languages.store.root, path.removeprefix(f"{languages.store.root}/")).read_text()
    section = page[page.index('<h2 id="evaluation">') : page.index('<h2 id="withdrawals">')]
    assert "<code>centroids/accuracy</code>" in section
    assert "bootstrapped" not in section


def test_a_network_is_compared_with_raw_features(languages: Lab):
    """Evaluations to row: the arm without a network is told as such."""
    languages.run(classifier(seeds=(0, 1, 2)), probing(), probing("bare", network="raw"))
    made = Comparison(
        name="learning_helps",
        system="told",
        paper={"title": "t", "reference": "r"},
        claim="A trained network is better than raw features.",
        metric="centroids/accuracy",
        method="probed",
        baselines=[{"name": "raw", "evaluation": "bare"}],
        unequal={"network": "the baseline is what can be had without one"},
    )
    row = languages.run(made)["learning_helps/comparison"].record.metrics["row"]
    assert [each["what"] for each in row["unequal"]] == ["network"]
    budgets = {arm["name"]: arm["budget"] for arm in row["arms"]}
    assert (budgets["told"]["steps"], budgets["told"]["examples"], budgets["raw"]["steps"]) == (12, 96, 0)
    assert budgets["told"]["parameters"] > 0 == budgets["raw"]["parameters"]
    assert row["arms"][1]["figures"]["centroids/accuracy"]["values"] == {"0": 1.0, "1": 1.0, "2": 1.0}


def test_raw_features_lay_out_what_is_known_of_an_example():
    raw = RawFeatures({"categories": [3, 2], "vocabulary_size": 5})
    fields = {
        "image": torch.tensor([[[[0, 255]]], [[[51, 102]]]], dtype=torch.uint8),
        "columns": torch.tensor([[1.5], [-2.0]]),
        "categories": torch.tensor([[2, 0], [-1, 1]]),
        "tokens": torch.tensor([[4, 4, 1, 0], [2, 0, 0, 0]]),
        "length": torch.tensor([3, 0]),
    }
    expected = [
        [0, 1, 1.5, 0, 0, 1, 1, 0, 0, 1 / 3, 0, 0, 2 / 3],
        [0.2, 0.4, -2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
    ]
    assert torch.allclose(raw.embed(fields), torch.tensor(expected))
    assert torch.equal(embed(raw, fields, batch_size=1), raw.embed(fields))
    with pytest.raises(ValueError, match="raw features need one of image"):
        raw.embed({"nodes": torch.zeros(2, 3, 4)})


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"training": "a"}, "held_out is missing"),
        ({"held_out": "a"}, "training is missing"),
        ({"training": "a", "held_out": "b", "shards": "c"}, "shards goes with `probes`"),
        ({"training": "a", "held_out": "b", "train": ["c"]}, "train goes with `probes`"),
        ({"training": "a", "probes": {"p": centroids()}}, "shards is missing"),
        ({"shards": "a", "probes": {"p": centroids()}}, "training or `network: raw` must be said"),
        ({"shards": "a", "training": "b", "network": "raw", "probes": {"p": centroids()}}, "and not both"),
        ({"shards": "a", "training": "b", "held_out": "c", "probes": {"p": centroids()}}, "declare two Evaluations"),
        ({"shards": "a", "training": "b", "measures": {}, "probes": {"p": centroids()}}, "measures and probes"),
        ({"shards": "a", "training": "b", "seeds": [1], "probes": {"p": centroids()}}, "seeds go with `network: raw`"),
        ({"shards": "a", "network": "raw", "seeds": [1, 1], "probes": {"p": centroids()}}, "different numbers"),
        ({"shards": "a", "network": "raw", "probes": {"p 1": centroids()}}, "probes are named by letters"),
        ({"shards": "a", "network": "raw", "probes": {"p": centroids()}, "require": {"q/x": 1}}, "no figure"),
        ({"shards": "a", "network": "raw", "probes": {"p": centroids()}, "require": {"p/x": {}}}, "needs at_least"),
    ],
)
def test_declarations_that_cannot_be_meant_are_refused(attributes, message):
    with pytest.raises(ValidationError, match=message):
        probing.__globals__["Evaluation"](name="e", **attributes)


def test_a_missing_option_is_told_at_its_line():
    text = "type: headwater.assets.Evaluation\nattributes:\n  name: e\n  training: a\n"
    [problem] = validate_text("defs.yaml", text.encode()).problems
    assert "held_out is missing" in problem.message


DECLARED = """\
type: headwater.assets.Corpus
attributes: {name: notes, sources: [{kind: dataset, name: digits}]}
---
type: headwater.assets.Shards
attributes:
  name: labelled
  corpora: [notes]
  examples: {fields: {image: {kind: array}, kind_of_animal: {kind: category, meta: label}}}
---
type: headwater.assets.Evaluation
attributes:
  name: probed
  network: raw
  shards: labelled
  views:
    - {kind: scale_pixels}
  probes:
    simple: {kind: linear, label: kind_of_animal}
    wrong: {kind: linear}
"""


def test_a_probe_without_its_field_is_told_before_anything_runs(tmp_path: Path):
    file = tmp_path / "pipelines" / "animals" / "defs.yaml"
    file.parent.mkdir(parents=True)
    (tmp_path / "pipelines" / "__init__.py").touch()
    file.write_text(DECLARED)
    [problem] = validate_workspace(Workspace(tmp_path))
    assert (problem.field, problem.message) == ("attributes.probes.wrong", "It needs label.")
    assert "kind_of_animal" in problem.mend
