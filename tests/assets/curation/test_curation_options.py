"""Declarations: defaults that fit together, and mistakes refused with the mend."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from headwater.assets.curation.lists import ListError, list_digest
from headwater.assets.curation.options import CurationOptions, rules_of
from headwater.assets.curation.signals.catalog import BUILT_IN, PII_KINDS


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([{"kind": "rule", "name": "r", "signal": "word", "min": 1}], "no signal is called 'word'; did you mean words"),
        ([{"kind": "rule", "name": "r", "signal": "zzzzzz", "min": 1}], "known signals are alphabetic_fraction"),
        ([{"kind": "rule", "name": "r", "signal": "words", "min": 5, "max": 1}], "min 5 is above max 1.*swap"),
        ([{"kind": "rule", "name": "r", "signal": "words"}], "neither min nor max"),
        ([{"kind": "rule", "name": "r", "signal": "language", "min": 1}], "is text and has no min or max"),
        ([{"kind": "rule", "name": "r", "signal": "words", "min": float("nan")}], "not a number"),
        ([{"kind": "length", "min_words": 9, "max_words": 3}], "length.min_words .9. is above length.max_words .3."),
        ([{"kind": "length"}, {"kind": "length"}], "'length.min_words' is declared twice"),
        ([{"kind": "url_list"}, {"kind": "url_list"}], "'url_list' is declared twice"),
        ([{"kind": "words", "name": "Bad Name", "words": ["x"]}], "use lower-case letters"),
        ([{"kind": "words"}], "is empty; give words or a file"),
        ([{"kind": "gopher_quality", "min_word": 3}], "min_word"),
        ([{"kind": "gopher"}], "gopher"),
    ],
)
def test_mistaken_rules_are_refused(rules, told):
    with pytest.raises(ValidationError, match=told):
        CurationOptions.model_validate({"rules": rules})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"transforms": [{"kind": "unicode_repair"}] * 2}, "transform 'unicode_repair' is declared twice"),
        (
            {"transforms": [{"kind": "python", "function": "no_colon", "version": "1"}]},
            "write it as package.module:name",
        ),
        ({"transforms": [{"kind": "python", "function": "a:b"}]}, "version"),
        ({"transforms": [{"kind": "redact_pii", "kinds": ["mail"]}]}, "private_key"),
        ({"signals": [{"kind": "python", "function": "a:b", "version": "1", "columns": {"words": ""}}]}, "built-in"),
        ({"signals": [{"kind": "python", "function": "a:b", "version": "1", "columns": {"No": ""}}]}, "lower-case"),
        ({"signals": [{"kind": "python", "function": "a:b", "version": "1", "columns": {}}]}, "no columns"),
    ],
)
def test_mistaken_steps_are_refused(fields, told):
    with pytest.raises(ValidationError, match=told):
        CurationOptions.model_validate(fields)


def test_a_set_may_be_declared_once_for_each_format():
    sets = [{"kind": "length", "applies_to": "code", "min_bytes": 9}, {"kind": "length", "min_bytes": 99}]
    names = [rule.name for rule in rules_of(CurationOptions.model_validate({"rules": sets}))]
    assert names == ["length[code].min_bytes", "length[code].min_words", "length.min_bytes", "length.min_words"]


def test_a_null_threshold_switches_its_rule_off():
    options = CurationOptions.model_validate({"rules": [{"kind": "length", "min_words": None}]})
    assert rules_of(options) == []


def test_defaults_have_sources_and_known_formats():
    rules = rules_of(CurationOptions())
    assert all(rule.source for rule in rules)
    assert {rule.applies_to for rule in rules if rule.name.startswith("gopher")} == {"prose"}
    assert {rule.applies_to for rule in rules if rule.name.startswith("code")} == {"code"}


def test_every_field_is_described():
    schema = CurationOptions.model_json_schema()
    for name, definition in {**schema["$defs"], "CurationOptions": schema}.items():
        for field, said in definition["properties"].items():
            assert said.get("description"), f"{name}.{field}"


def test_pii_signals_are_those_of_the_kinds():
    assert [name for name in BUILT_IN if name.startswith("pii_")] == [f"pii_{kind}" for kind in PII_KINDS]


def test_lists_come_from_files_too(tmp_path):
    path = tmp_path / "hosts.txt"
    path.write_text("# hosts\n\nBad.example.\n*.worse.example\nBad.example.\n", encoding="utf-8")
    options = CurationOptions.model_validate(
        {"rules": [{"kind": "url_list", "deny": ["Worst.example"], "deny_file": str(path)}]}
    )
    assert rules_of(options)[0].none_of == ("worst.example", "bad.example", "worse.example")
    before = list_digest(str(path))
    path.write_text("other.example\n", encoding="utf-8")
    assert before != list_digest(str(path))


def test_list_files_that_cannot_be_read_are_named(tmp_path):
    missing = CurationOptions.model_validate({"rules": [{"kind": "license_list", "allow_file": "absent.txt"}]})
    with pytest.raises(ListError, match=r"absent\.txt: No such file.*give a path"):
        rules_of(missing)
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(ListError, match="byte 3 is not UTF-8"):
        rules_of(CurationOptions.model_validate({"rules": [{"kind": "url_list", "allow_file": str(path)}]}))


def test_an_empty_allow_file_allows_nothing(tmp_path):
    path = tmp_path / "none.txt"
    path.write_text("# none yet\n", encoding="utf-8")
    options = CurationOptions.model_validate({"rules": [{"kind": "url_list", "allow_file": str(path)}]})
    assert rules_of(options)[0].one_of == ()


def test_loading_a_declaration_needs_nothing_heavy():
    # The package that loads all components stands aside: what options import themselves is at stake.
    script = (
        "import sys, types, pathlib, headwater\n"
        "room = types.ModuleType('headwater.assets')\n"
        "room.__path__ = [str(pathlib.Path(headwater.__file__).parent / 'assets')]\n"
        "sys.modules['headwater.assets'] = room\n"
        "import headwater.assets.curation.options\n"
        "heavy = {'numba', 'numpy', 'pyarrow', 'ftfy', 'fasttext', 'pandas', 'torch'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
