"""A comparison through the real runner: its row, its verdicts, and each of its refusals by message."""

import json
from pathlib import Path

import pytest
from comparison_cases import BASELINE, METHOD, compare, comparison, plant, report, training, two_arms
from pydantic import ValidationError
from small_pipelines import Lab, bytes_tokenizer, notes, packed, tiny_training
from small_pipelines import plant as plant_documents

from headwater.assets.comparison.page import page, write_page
from headwater.assets.comparison.row import Row
from headwater.assets.comparison.stage import ROW
from headwater.assets.context import StageError
from headwater.assets.evaluation.component import Evaluation
from headwater.assets.validation import validate_workspace


def row_of(record) -> Row:
    return Row.model_validate(record.metrics["row"])


def test_what_was_measured_on_the_way_is_a_curve(lab: Lab, tmp_path: Path):
    two_arms(lab)
    for name, values in (("new", METHOD), ("old", BASELINE)):
        figures = {
            seed: {"linear/accuracy": value, "linear/accuracy@80": value / 4, "linear/accuracy@400": value / 2}
            for seed, value in zip("012", values, strict=True)
        }
        report(lab, f"{name}_report", values, f"{name}/checkpoint", metrics={"measured": figures})
    record = compare(lab)
    row = row_of(record)
    curve = row.arm("old").curves["linear/accuracy"]
    assert {seen: list(point.values.values()) for seen, point in curve.items()} == {
        80: pytest.approx([value / 4 for value in BASELINE]),
        400: pytest.approx([value / 2 for value in BASELINE]),
        800: pytest.approx(BASELINE),
    }
    assert row.claims[0].mean == pytest.approx(0.29 / 3)  # the verdict is that of the end
    shown = page([row])
    assert "| linear/accuracy after | 80 examples | 400 examples | 800 examples |" in shown
    assert "![linear/accuracy](reproductions/new-method-new_is_better-linear-accuracy.svg)" in shown
    assert "linear accuracy by examples" in record.plots
    write_page(tmp_path / "reproductions.md", [row])
    drawn = (tmp_path / "reproductions" / "new-method-new_is_better-linear-accuracy.svg").read_text()
    assert "examples seen in training" in drawn
    assert Row.model_validate_json(row.model_dump_json()) == row


def test_a_row_says_what_was_measured(lab: Lab):
    two_arms(lab)
    record = compare(lab, deviations=["half the images"], tried=["a longer warm-up"], least_difference=0.05)
    row = row_of(record)
    assert (row.verdict, row.system, row.seeds) == ("holds", "new-method", ["0", "1", "2"])
    assert row.arm("old").figures["linear/accuracy"].values == dict(zip("012", BASELINE, strict=True))
    assert row.arm("new-method").figures["linear/accuracy"].mean == pytest.approx(0.81)
    [claim] = row.claims
    assert list(claim.differences.values()) == pytest.approx([0.10, 0.09, 0.10])
    assert (claim.degrees, claim.sign_p, claim.verdict) == (2, None, "holds")
    assert row.arm("old").budget.model_dump(exclude={"trainings"}) == {
        "steps": 100, "examples": 800, "parameters": 1000,
    }  # fmt: skip
    assert row.command == "headwater materialize new_is_better/comparison"
    assert row.data == {"digits/shards": lab.record("digits/shards").content_version}
    assert (row.deviations, row.tried, row.unequal) == (["half the images"], ["a longer warm-up"], [])
    file = Path(lab.store.place(record.asset).folder(record.digest)) / ROW
    assert json.loads(file.read_text()) == record.metrics["row"]
    assert record.plots == {"Seeds": "plots/seeds.svg"}
    assert record.metrics["old: linear/accuracy"] == pytest.approx(0.71333, abs=1e-4)


@pytest.mark.parametrize(
    ("method", "higher", "verdict"),
    [(METHOD, True, "holds"), (METHOD, False, "reversed"), ((0.6, 0.9, 0.7), True, "inconclusive")],
)
def test_a_claim_that_does_not_hold_is_a_finding_and_no_error(lab: Lab, method, higher, verdict):
    two_arms(lab, method)
    record = compare(lab, higher_is_better=higher)
    [check] = record.checks
    assert row_of(record).verdict == record.metrics["verdict"] == verdict
    assert (check.name, check.passed, check.blocking) == ("claim", verdict == "holds", False)
    assert verdict in check.description


def test_nothing_in_a_declaration_moves_the_verdict(lab: Lab):
    two_arms(lab, (0.6, 0.9, 0.7))
    assert row_of(compare(lab, least_difference=0.0001)).verdict == "inconclusive"
    with pytest.raises(ValidationError, match="confidence"):
        comparison(confidence=0.5)


def test_each_claim_has_its_own_verdict(lab: Lab):
    two_arms(lab)
    claims = [
        {"than": "old", "by": 0.05},
        {"than": "old", "kind": "equal_within", "by": 0.2},
        {"of": "old", "than": "new-method"},
    ]
    row = row_of(compare(lab, claims=claims))
    assert [claim.verdict for claim in row.claims] == ["holds", "holds", "reversed"]
    assert row.verdict == "reversed"


def test_an_arm_without_a_claim_shows_its_figure(lab: Lab):
    two_arms(lab)
    row = row_of(compare(lab, claims=[{"than": "new-method", "than_metric": {"linear/accuracy": 0.5}}]))
    assert [list(arm.figures) for arm in row.arms if arm.name == "old"] == [["linear/accuracy"]]


def test_a_metric_may_be_a_mean_or_a_weighted_sum_of_figures(lab: Lab):
    two_arms(lab)
    for name, offset in (("new", 0.1), ("old", 0.0)):
        figures = {s: {"few/accuracy": 0.5 + offset, "many/accuracy": 0.7} for s in "012"}
        plant(
            lab,
            f"{name}_report/evaluation",
            "Evaluation",
            {"checkpoint": f"{name}/checkpoint", "shards": "digits/shards"},
            metrics={"measured": figures},
            content=name,
        )
    [mean] = row_of(compare(lab, metric=["few/accuracy", "many/accuracy"])).claims
    assert (mean.metric, mean.mean) == ("mean of few/accuracy, many/accuracy", pytest.approx(0.05))
    [gain] = row_of(compare(lab, metric={"few/accuracy": 1, "many/accuracy": -1})).claims
    assert (gain.metric, gain.mean) == ("few/accuracy - many/accuracy", pytest.approx(0.1))


def test_an_arm_may_have_several_reports(lab: Lab):
    two_arms(lab)
    report(lab, "new_again", (0.9, 0.9, 0.9), "new/checkpoint")
    report(lab, "old_again", (0.1, 0.1, 0.1), "old/checkpoint")
    row = row_of(
        compare(
            lab,
            method={"first": "new_report", "again": "new_again"},
            baselines=[{"name": "old", "evaluation": {"first": "old_report", "again": "old_again"}}],
            metric={"again/linear/accuracy": 1},
        )
    )
    assert row.claims[0].mean == pytest.approx(0.8)
    assert row.arm("new-method").budget.steps == 100, "the one training behind both reports counts once"
    assert row.arm("old").evaluations == {"first": "old_report/evaluation", "again": "old_again/evaluation"}


def test_a_report_that_was_never_materialized_is_named(lab: Lab):
    two_arms(lab)
    with pytest.raises(StageError, match="needs gone/evaluation, which was never materialized"):
        compare(lab, method="gone")


def test_a_report_without_figures_by_seed_is_refused(lab: Lab):
    two_arms(lab)
    report(lab, "old_report", BASELINE, "old/checkpoint", metrics={"accuracy": 0.5})
    with pytest.raises(StageError, match="new_is_better/comparison: old_report/evaluation says no figures by seed"):
        compare(lab)


def test_a_seed_that_was_trained_and_not_measured_is_refused(lab: Lab):
    two_arms(lab)
    report(lab, "old_report", BASELINE[:2], "old/checkpoint", seeds=("0", "1"))
    with pytest.raises(StageError, match="old_report/evaluation lacks seed 2 of old/checkpoint"):
        compare(lab)


def test_unequal_seeds_are_refused_and_named(lab: Lab):
    two_arms(lab)
    training(lab, "old", seeds=[0, 1])
    report(lab, "old_report", BASELINE[:2], "old/checkpoint", seeds=("0", "1"))
    with pytest.raises(StageError, match="arm 'old' lacks seed 2, which arm 'new-method' has"):
        compare(lab)


def test_other_evaluation_data_is_refused_whatever_is_declared(lab: Lab):
    two_arms(lab)
    plant(lab, "letters/shards", "Shards", content="letters")
    report(lab, "old_report", BASELINE, "old/checkpoint", data="letters/shards")
    reasons = {"training_data": "a reason", "measures": "a reason"}
    with pytest.raises(StageError, match=r"arm 'old' was measured on other data.*letters/shards.*digits/shards"):
        compare(lab, unequal=reasons)


def test_a_missing_figure_is_refused_with_those_there_are(lab: Lab):
    two_arms(lab)
    with pytest.raises(StageError, match=r"new_report/evaluation has no figure 'knn/accuracy' .*linear/accuracy"):
        compare(lab, metric="knn/accuracy")


def unequal_steps(lab: Lab) -> None:
    training(lab, "new", 150)


def unequal_parameters(lab: Lab) -> None:
    training(lab, "new", parameters=2000, content="wider")


def unequal_examples(lab: Lab) -> None:
    training(lab, "new", recipe={"batch_size": 16}, content="larger batches")


def unequal_training_data(lab: Lab) -> None:
    plant(lab, "letters/shards", "Shards", content="letters")
    training(lab, "new", shards="letters/shards")


def unequal_measures(lab: Lab) -> None:
    report(
        lab, "new_report", METHOD, "new/checkpoint", probes={"linear": {"kind": "linear", "epochs": 99}}, content="x"
    )


def no_network(lab: Lab) -> None:
    report(lab, "old_report", BASELINE)


CASES = {
    "steps": (unequal_steps, r"steps \(new-method: 150; old: 100\)", {"examples": "more steps"}),
    "parameters": (unequal_parameters, r"parameters \(new-method: 2,000; old: 1,000\)", {}),
    "examples": (unequal_examples, r"examples presented \(new-method: 1,600; old: 800\)", {}),
    "training_data": (unequal_training_data, r"training data \(new-method: letters/shards", {}),
    "measures": (unequal_measures, "ways of measuring", {}),
    "network": (no_network, r"networks \(new-method: trained; old: none\)", {}),
}


@pytest.mark.parametrize("what", CASES)
def test_what_is_unequal_needs_a_reason_which_is_printed(lab: Lab, what):
    change, message, other = CASES[what]
    two_arms(lab)
    change(lab)
    if what in ("steps", "parameters", "examples", "training_data"):
        report(lab, "new_report", METHOD, "new/checkpoint", content="again")
    with pytest.raises(StageError, match=f"unequal in .*{message}.*unequal: {{{what}: "):
        compare(lab, unequal=other)
    with pytest.raises(StageError, match="unequal in"):
        compare(lab, unequal={what: "  "} | other)
    row = row_of(compare(lab, unequal={what: "for a good reason"} | other))
    [told] = [each for each in row.unequal if each.what == what]
    assert told.reason == "for a good reason"
    assert {each.what for each in row.unequal} == {what, *other}


def test_a_reason_for_what_is_equal_is_not_printed(lab: Lab):
    two_arms(lab)
    assert row_of(compare(lab, unequal={"steps": "not needed"})).unequal == []


def test_the_budget_counts_every_training_on_the_way_once(lab: Lab):
    """Pretraining, and a teacher whose labels became data: both are part of what the method cost."""
    two_arms(lab)
    training(lab, "teacher", 40)
    plant(lab, "labelled/annotated", "Annotation", {"model": "teacher/checkpoint"})
    plant(lab, "pseudo/shards", "Shards", {"corpus": "labelled/annotated"})
    training(lab, "first", 60, shards="pseudo/shards", inputs={"init": "teacher/checkpoint"})
    training(lab, "new", 25, inputs={"init": "first/checkpoint"})
    report(lab, "new_report", METHOD, "new/checkpoint")
    reasons = {"steps": "pretraining is tested", "examples": "likewise", "training_data": "pseudo-labels"}
    budget = row_of(compare(lab, unequal=reasons)).arm("new-method").budget
    assert (budget.steps, budget.examples, budget.parameters) == (125, 1000, 1000)
    assert [t.asset for t in budget.trainings] == ["first/checkpoint", "new/checkpoint", "teacher/checkpoint"]


def test_a_merge_costs_what_its_parts_cost(lab: Lab):
    two_arms(lab)
    training(lab, "other", 30)
    plant(lab, "soup/merged", "Merge", {"a": "old/checkpoint", "b": "other/checkpoint"}, seeds=[0, 1, 2])
    report(lab, "new_report", METHOD, "soup/merged")
    row = row_of(compare(lab, unequal={"steps": "two trainings are merged", "examples": "likewise"}))
    assert (row.arm("new-method").budget.steps, row.arm("new-method").budget.parameters) == (130, 1000)


def test_one_seed_gives_a_row_without_a_verdict(lab: Lab):
    two_arms(lab, METHOD[:1], BASELINE[:1], ("0",))
    row = row_of(compare(lab))
    assert (row.verdict, row.claims[0].low, row.claims[0].detectable) == ("inconclusive", None, None)


def test_six_seeds_have_exact_tests(lab: Lab):
    seeds = [str(n) for n in range(6)]
    two_arms(lab, [0.9] * 6, [0.8 + n / 100 for n in range(6)], seeds)
    [claim] = row_of(compare(lab)).claims
    assert (claim.sign_p, claim.permutation_p, claim.degrees) == (2 / 64, 2 / 64, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baselines": []}, "at least one arm"),
        ({"baselines": [{"name": "a", "evaluation": "x"}, {"name": "a", "evaluation": "y"}]}, "more than once: a"),
        ({"claims": [{"than": "nobody"}]}, "there is no arm 'nobody'; the arms are new-method, old"),
        ({"claims": [{"than": "old", "of": "old"}]}, "compared with itself"),
        ({"claims": [{"than": "old", "kind": "equal_within"}]}, "no two arms are equal"),
        ({"claims": [{"than": "old", "by": -1}]}, "by must be 0 or more"),
        ({"system": "Not A Slug"}, "pattern"),
        ({"unequal": {"luck": "bad"}}, "luck"),
    ],
)
def test_declarations_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        comparison(**options)


def test_validate_names_unknown_evaluations(tmp_path: Path):
    file = tmp_path / "pipelines" / "claims" / "defs.yaml"
    file.parent.mkdir(parents=True)
    (tmp_path / "pipelines" / "__init__.py").touch()
    file.write_text(
        "type: headwater.assets.Comparison\n"
        "attributes:\n"
        "  name: claim\n"
        "  system: s\n"
        "  paper: {title: t, reference: '2401.00001'}\n"
        "  claim: c\n"
        "  metric: linear/accuracy\n"
        "  method: nowhere\n"
        "  baselines: [{name: old, evaluation: {far: gone}}]\n"
        "  claims: [{than: old, than_metric: far/linear/accuracy}]\n"
    )
    lab = Lab(tmp_path, tmp_path / "store")
    found = [(problem.field, problem.message) for problem in validate_workspace(lab.workspace)]
    assert found == [
        ("attributes.method", "No Evaluation is named 'nowhere'."),
        ("attributes.baselines[0].evaluation.far", "No Evaluation is named 'gone'."),
    ]


def test_language_models_are_compared_by_bits_per_byte(lab: Lab):
    """Real trainings and evaluations: the one with twice the steps against the other."""
    plant_documents(lab, 12)
    measures = {"bits_per_byte": {"resamples": 5}, "cloze": None, "generation": None, "baselines": []}
    components = [notes(), bytes_tokenizer(), packed()]
    for name, steps in (("short", 4), ("long", 24)):
        made = tiny_training(steps, seeds=(0, 1, 2))
        components.append(type(made)(made.options.model_copy(update={"name": name})))
        components.append(Evaluation(name=f"{name}_report", training=name, held_out="packed", measures=measures))
    lab.run(*components)
    row = row_of(
        compare(
            lab,
            metric="bits_per_byte",
            higher_is_better=False,
            method="long_report",
            baselines=[{"name": "short", "evaluation": "short_report"}],
            unequal={"steps": "more steps are the method", "examples": "likewise"},
        )
    )
    measured = lab.record("long_report/evaluation").metrics["measured"]
    assert set(measured) == {"0", "1", "2"}
    assert row.arm("new-method").figures["bits_per_byte"].values == {s: m["bits_per_byte"] for s, m in measured.items()}
    assert (row.verdict, row.arm("short").budget.examples) == ("holds", 16)
    assert row.arm("short").budget.parameters == lab.record("short/checkpoint").metrics["parameters"] > 0
