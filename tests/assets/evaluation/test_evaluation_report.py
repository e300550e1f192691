import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import END, VOCABULARY, corpus, noise, oracle, uniform

from headwater.assets.evaluation import checks, options, report
from headwater.assets.evaluation.baselines import token_counts
from headwater.assets.evaluation.checks import check_outcomes, declared_checks
from headwater.assets.evaluation.evaluation import Model, evaluate
from headwater.assets.evaluation.options import EvaluationOptions, UnigramBaseline
from headwater.assets.evaluation.report import BaselineResult, Report
from headwater.assets.evaluation.tables import cloze_sentence, report_markdown, sources_table
from headwater.assets.markdown import markdown_table

DOCUMENTS = [*corpus(30, source="a", groups=6), *corpus(20, source="b", seed=1, groups=4)]
OPTIONS = EvaluationOptions.model_validate(
    {
        "bits_per_byte": {"resamples": 100},
        "cloze": {"items": 40, "context_tokens": 20, "continuation_tokens": 10},
        "generation": {"prompts": {"kind": "held_out", "count": 2, "tokens": 5}},
    }
)


def run(score, options=OPTIONS, watch=None, documents=DOCUMENTS):
    model = Model(
        score=score,
        sample=lambda row, seed: row[1:] + 1,
        encode=lambda text: list(text.encode()),
        decode=lambda tokens: bytes(tokens).decode(),
        end_of_text=END,
    )
    counts = token_counts([document.tokens for document in DOCUMENTS], VOCABULARY)
    extra = {} if watch is None else {"watch": watch}
    return evaluate(documents, counts, model, options, **extra)


def outcome(report, name):
    return next(check for check in report.checks if check.name == name)


def test_a_good_model_passes_every_check():
    report = run(oracle(DOCUMENTS))
    assert [check.name for check in report.checks] == ["finite", "beats_unigram", "cloze_above_chance"]
    assert all(check.passed for check in report.checks)
    assert report.overall.bits_per_byte == pytest.approx(0.1 / np.log(2) * 201 / 200)
    assert outcome(report, "beats_unigram").metadata["sources_behind"] is None
    assert not outcome(report, "cloze_above_chance").blocking
    assert outcome(report, "beats_unigram").blocking


def test_a_uniform_model_does_not_beat_unigram_and_the_gain_is_negative():
    report = run(uniform)
    check = outcome(report, "beats_unigram")
    assert not check.passed
    assert check.metadata["saved"] < 0
    assert check.metadata["saved_high"] < 0
    assert check.metadata["sources_behind"] == "a, b"
    assert not outcome(run(noise(3)), "cloze_above_chance").passed


def test_the_margin_decides_how_much_better_is_better():
    def confident(rows):
        return [np.full(len(row) - 1, -0.5) for row in rows]

    saved = outcome(run(confident), "beats_unigram").metadata["saved"]
    assert saved > 0
    for margin, passed in ((saved - 1e-6, True), (saved + 1e-6, False)):
        options = OPTIONS.model_copy(update={"baselines": [UnigramBaseline(margin=margin)]})
        assert outcome(run(confident, options), "beats_unigram").passed is passed


def test_a_model_that_breaks_down_fails_and_its_report_still_reads():
    def broken(rows):
        return [np.full(len(row) - 1, np.nan if row[1] % 2 else -1.0) for row in rows]

    report = run(broken)
    assert not outcome(report, "finite").passed
    assert report.not_finite[0] in outcome(report, "finite").description
    assert not outcome(report, "beats_unigram").passed
    assert report.overall.bits_per_byte is None
    assert "NaN" not in report.to_json()
    assert Report.from_json(report.to_json()) == report


def test_no_documents_at_all_pass_nothing():
    report = run(uniform, documents=[])
    assert not any(check.passed for check in report.checks)
    assert "hold out a larger share" in outcome(report, "finite").description
    assert "0 of 40 questions could be built" in outcome(report, "cloze_above_chance").description
    assert Report.from_json(report.to_json()) == report
    assert "no question could be built" in cloze_sentence(report.cloze)


def test_declared_checks_are_exactly_those_that_come_out():
    options = EvaluationOptions.model_validate(
        {
            "bits_per_byte": {"limit": 3.0, "resamples": 20},
            "baselines": [{"kind": "gzip", "check": "warn"}, {"kind": "unigram", "check": "show"}, {"kind": "xz"}],
            "cloze": {"check": "block", "context_tokens": 20, "continuation_tokens": 10},
            "generation": None,
        }
    )
    report = run(uniform, options)
    declared = declared_checks(options)
    assert [(check.name, check.blocking) for check in declared] == [
        ("finite", True),
        ("beats_gzip", False),
        ("bits_per_byte_limit", True),
        ("cloze_above_chance", True),
    ]
    assert [(check.name, check.blocking) for check in report.checks] == [(c.name, c.blocking) for c in declared]
    assert not outcome(report, "bits_per_byte_limit").passed
    assert report.samples == []
    nothing = EvaluationOptions(baselines=[], cloze=None)
    assert [check.name for check in check_outcomes(report, nothing)] == ["finite"]


def test_a_report_survives_json_and_a_foreign_one_is_refused_clearly():
    report = run(uniform)
    text = report.to_json()
    assert Report.from_json(text) == report
    assert Report.from_json(text).to_json() == text
    assert run(uniform).to_json() == text  # same input, same report
    document = json.loads(text)
    document["overall"]["bytes"] = "many"
    with pytest.raises(ValueError, match=r"r\.json: overall\.bytes: .*integer.*materialize"):
        Report.from_json(json.dumps(document), "r.json")
    with pytest.raises(ValueError, match="finite number"):
        BaselineResult(name="x", bits_per_byte=float("nan"))


def test_metrics_are_flat_and_finite():
    metrics = run(uniform).metrics()
    assert metrics["bits_per_byte"] == pytest.approx(np.log2(VOCABULARY) * 201 / 200)
    assert metrics["a/bits_per_byte"] == pytest.approx(metrics["bits_per_byte"])
    assert {"gzip_bits_per_byte", "b/xz_bits_per_byte", "cloze_accuracy", "perplexity"} <= set(metrics)


def test_tables_hold_what_was_measured():
    report = run(uniform)
    header, rule, first, second, overall = sources_table(report).split("\n")
    assert header.split(" | ")[-3:] == ["unigram", "gzip", "xz |"]
    assert rule.count("---:") == len(header.split(" | ")) - 1
    assert first.startswith("| a | 30 | 6,000 | 8.0")
    assert second.startswith("| b | 20 | 4,000 | ")
    assert overall.startswith("| **all** | 50 | 10,000 | ")
    whole = report_markdown(report)
    assert "each document alone" in whole
    assert "**failed**" in whole
    assert "chance 25.0%" in whole


def test_cells_cannot_break_a_table():
    assert markdown_table(["a|b"], [["x\ny"]]).split("\n") == ["| a\\|b |", "|---|", "| x y |"]


def test_progress_counts_the_bytes_of_every_pass():
    done = {}

    def watch(step, amount):
        done[step] = done.get(step, 0) + amount

    run(uniform, watch=watch)
    assert done == {"score": 10_000, "gzip": 10_000, "xz": 10_000, "generate": 2}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"bits_per_byte": {"max_megabytes_per_source": 0}}, "greater than 0"),
        ({"bits_per_byte": {"confidence": 95}}, "0.95 means 95 %"),
        ({"baselines": [{"kind": "gzip"}, {"kind": "gzip", "level": 1}]}, "more than once: gzip"),
        ({"baselines": [{"kind": "gzip", "level": 12}]}, "levels 1 to 9"),
        ({"baselines": [{"kind": "brotli"}]}, "brotli"),
        ({"cloze": {"choices": 1}}, "at least 2 choices"),
        ({"cloze": {"item": 3}}, "Extra inputs"),
    ],
)
def test_wrong_options_are_refused_with_the_reason(declared, message):
    with pytest.raises(ValueError, match=message):
        EvaluationOptions.model_validate(declared)


@pytest.mark.parametrize("module", [options, report, checks])
def test_what_declarations_load_imports_nothing_heavy(module):
    tree = ast.parse(Path(module.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names | {"pydantic"}}
    light = {f"headwater.assets.evaluation.{name}" for name in ("options", "report")}
    assert foreign <= light | {"headwater.assets.options"}
