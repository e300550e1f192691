"""Deciding: a slow reference, published bounds, undefined values, lists."""

import math

import numpy as np
import pyarrow as pa
import pytest
from curation_tables import documents_of, ledger_of
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.curation.decide import decide
from headwater.assets.curation.measure import curate
from headwater.assets.curation.options import AnyRule, CurationOptions, known_signals, rules_of
from headwater.assets.curation.preview import try_rules
from headwater.assets.curation.rules import Rule
from headwater.assets.schemas import DECISIONS


def signals_of(**columns):
    count = len(next(iter(columns.values())))
    return pa.table(
        {"doc_id": ledger_of(count)["doc_id"], **{name: pa.array(values) for name, values in columns.items()}}
    )


def reference(row, document_format, rules):
    """One document, rule after rule."""
    failed = []
    for rule in rules:
        value = row[rule.signal]
        if rule.applies_to not in ("any", document_format) or value is None:
            continue
        low = rule.min is not None and (value <= rule.min if rule.exclusive else value < rule.min)
        high = rule.max is not None and (value >= rule.max if rule.exclusive else value > rule.max)
        if low or high:
            failed.append((rule.name, value, rule.min if low else rule.max))
    if not failed:
        return {"kept": True, "rule": None, "value": None, "threshold": None, "detail": None}
    plural = "s" if len(failed) > 1 else ""
    detail = f"{len(failed)} rule{plural} failed: " + ", ".join(name for name, _, _ in failed)
    name, value, threshold = failed[0]
    return {"kept": False, "rule": name, "value": value, "threshold": threshold, "detail": detail}


BOUND = st.one_of(st.none(), st.integers(-3, 3).map(float))


@st.composite
def flat_rules(draw):
    bounds = draw(st.lists(st.tuples(BOUND, BOUND).filter(lambda b: b != (None, None)), max_size=12))
    return [
        Rule(
            f"rule_{at}",
            draw(st.sampled_from("ab")),
            *(sorted(pair) if None not in pair else pair),
            exclusive=draw(st.booleans()),
            applies_to=draw(st.sampled_from(["any", "code", "prose", "data"])),
        )
        for at, pair in enumerate(bounds)
    ]


VALUE = st.one_of(st.none(), st.integers(-4, 4).map(float))


@settings(max_examples=80, deadline=None)
@given(
    flat_rules(), st.lists(st.tuples(VALUE, VALUE, st.sampled_from(["code", "prose", "data"])), min_size=1, max_size=12)
)
def test_decisions_equal_a_slow_reference(rules, rows):
    signals = signals_of(a=[a for a, _, _ in rows], b=[b for _, b, _ in rows])
    signals = signals.set_column(1, "a", signals["a"].cast(pa.float64())).set_column(
        2, "b", signals["b"].cast(pa.float64())
    )
    got = decide(signals, ledger_of(len(rows), formats=[kind for _, _, kind in rows]), rules)
    assert got.schema.equals(DECISIONS)
    for row, (a, b, kind) in zip(got.to_pylist(), rows, strict=True):
        row.pop("doc_id")
        assert row == reference({"a": a, "b": b}, kind, rules)


def fields_with_bounds():
    for rule_set in AnyRule.__origin__.__args__:
        for name, info in rule_set.model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and "bound" in extra:
                yield pytest.param(rule_set, name, extra, id=f"{rule_set.__name__}.{name}")


@pytest.mark.parametrize(("rule_set", "name", "extra"), fields_with_bounds())
def test_each_rule_keeps_or_drops_its_bound_as_published(rule_set, name, extra):
    default = rule_set.model_fields[name].default
    threshold = 7 if default is None else default
    given = {"words": ["x"]} if rule_set.__name__ == "Words" else {}
    declared = rule_set(**{**given, name: threshold, "applies_to": "any"})
    rule = next(rule for rule in declared.limits() if rule.name == f"{declared.title()}.{name}")
    around = [np.nextafter(threshold, -math.inf), float(threshold), np.nextafter(threshold, math.inf)]
    kept = decide(signals_of(**{rule.signal: around}), ledger_of(3), [rule])["kept"].to_pylist()
    expected = {
        "min": [False, True, True],
        "max": [True, True, False],
        "above": [False, False, True],
        "under": [True, False, False],
    }
    assert kept == expected[extra["bound"]]
    assert rule.signal in known_signals(CurationOptions(rules=(declared,)))


PUBLISHED = {
    # Rae et al. 2021, A.1.1 and Table A1
    "gopher_quality.min_words": 50,
    "gopher_quality.max_words": 100_000,
    "gopher_quality.min_mean_word_length": 3,
    "gopher_quality.max_mean_word_length": 10,
    "gopher_quality.max_hash_ratio": 0.1,
    "gopher_quality.max_ellipsis_ratio": 0.1,
    "gopher_quality.max_bullet_line_fraction": 0.9,
    "gopher_quality.max_ellipsis_line_fraction": 0.3,
    "gopher_quality.min_alphabetic_word_fraction": 0.8,
    "gopher_quality.min_stop_words": 2,
    "gopher_repetition.max_duplicate_line_fraction": 0.30,
    "gopher_repetition.max_duplicate_paragraph_fraction": 0.30,
    "gopher_repetition.max_duplicate_line_char_fraction": 0.20,
    "gopher_repetition.max_duplicate_paragraph_char_fraction": 0.20,
    **{
        f"gopher_repetition.max_top_{n}_gram_char_fraction": limit
        for n, limit in zip((2, 3, 4), (0.20, 0.18, 0.16), strict=True)
    },
    **{
        f"gopher_repetition.max_duplicate_{n}_gram_char_fraction": limit
        for n, limit in zip(range(5, 11), (0.15, 0.14, 0.13, 0.12, 0.11, 0.10), strict=True)
    },
    # Penedo et al. 2024, 3.6
    "fineweb.min_terminal_line_fraction": 0.12,
    "fineweb.max_short_line_fraction": 0.67,
    "fineweb.max_duplicate_line_char_fraction": 0.01,
    "fineweb.max_newline_word_ratio": 0.3,
}


def test_defaults_are_the_published_thresholds():
    sets = [{"kind": kind} for kind in ("gopher_quality", "gopher_repetition", "fineweb")]
    rules = rules_of(CurationOptions.model_validate({"rules": sets}))
    assert {rule.name: rule.min if rule.min is not None else rule.max for rule in rules} == PUBLISHED
    assert {rule.name for rule in rules if rule.exclusive} == {
        "fineweb.min_terminal_line_fraction",
        "fineweb.max_short_line_fraction",
        "fineweb.max_duplicate_line_char_fraction",
    }


def test_no_rules_keep_everything():
    table = decide(signals_of(a=[1.0, None]), ledger_of(2), [])
    assert table["kept"].to_pylist() == [True, True]
    assert table["rule"].null_count == table["detail"].null_count == 2
    assert decide(signals_of(a=[1.0]).slice(0, 0), ledger_of(0), [Rule("r", "a", min=0)]).num_rows == 0


def test_the_ledger_may_have_more_documents_in_another_order():
    ledger = ledger_of(3, formats=["code", "prose", "data"]).take(pa.array([2, 0, 1]))
    table = decide(signals_of(a=[1.0, 1.0]), ledger, [Rule("code_only", "a", max=0, applies_to="code")])
    assert table["kept"].to_pylist() == [False, True]
    with pytest.raises(ValueError, match="no ledger row"):
        decide(signals_of(a=[1.0] * 4), ledger, [])
    with pytest.raises(ValueError, match=r"'absent'.*not stored"):
        decide(signals_of(a=[1.0]), ledger_of(1), [Rule("r", "absent", min=0)])


def test_lists_match_domains_licences_and_unknown_values():
    hosts = ["example.com", "a.b.example.com", "notexample.com", None]
    denied = Rule("hosts", "host", none_of=("example.com",), match="domain", drop_unknown=True)
    table = decide(signals_of(host=hosts), ledger_of(4), [denied])
    assert table["kept"].to_pylist() == [False, False, True, False]
    assert table["detail"].to_pylist()[3] == "1 rule failed: hosts (host is unknown)"
    assert table["value"].null_count == table["threshold"].null_count == 4
    licences = ["MIT", "MIT OR GPL-3.0-only", "MIT AND GPL-3.0-only", None]
    allowed = Rule("licences", "license", one_of=("MIT",), match="license")
    kept = decide(signals_of(license=licences), ledger_of(4), [allowed])["kept"].to_pylist()
    assert kept == [True, True, False, True]


def test_a_language_outside_the_list_is_dropped_by_name():
    texts = ["This is a plain sentence about the weather in the north.", "Dies ist ein einfacher Satz über das Wetter."]
    options = CurationOptions.model_validate(
        {"rules": [{"kind": "language", "allowed": ["en"], "min_confidence": 0.3}]}
    )
    _, signals = curate(documents_of(texts), ledger_of(2), options)
    table = decide(signals, ledger_of(2), rules_of(options))
    assert table["rule"].to_pylist() == [None, "language.allowed"]
    assert table["detail"][1].as_py().endswith("(language is de)")


def test_a_changed_threshold_needs_no_text():
    options = CurationOptions()
    _, signals = curate(documents_of(["these words were of the long and patient kind"]), ledger_of(1), options)
    strict = decide(signals, ledger_of(1), rules_of(options))
    looser = CurationOptions.model_validate({"rules": [{"kind": "gopher_quality", "min_words": 5}]})
    assert strict["rule"][0].as_py() == "gopher_quality.min_words"
    assert decide(signals, ledger_of(1), rules_of(looser))["kept"].to_pylist() == [True]


def test_expressions_are_for_people():
    assert Rule("r", "words", min=50).expression() == "words < 50"
    assert Rule("r", "x", min=0.1, max=0.5, exclusive=True).expression() == "x <= 0.1 or x >= 0.5"
    assert Rule("r", "language", one_of=("en", "de")).expression() == "language not in (en, de)"
    many = tuple(f"d{at}" for at in range(7))
    expected = "url_host in (d0, d1, d2, d3, d4, and 2 more) or unknown"
    assert Rule("r", "url_host", none_of=many, drop_unknown=True).expression() == expected


def test_trying_rules_shows_what_changes_and_why():
    texts = ["A sound text.", "caf\u00c3\u00a9 " * 3, ""]
    table = try_rules(documents_of(texts), ledger_of(3), CurationOptions(), width=20)
    assert table["changed"].to_pylist() == [False, True, False]
    assert table["after"].to_pylist()[1] == "café café café "
    assert table["rule"].to_pylist() == ["gopher_quality.min_words", "gopher_quality.min_words", "length.min_words"]
