"""Each signal against a slow definition in plain Python that shares no code with the kernels."""

import math
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from curation_tables import documents_of, ledger_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater.assets.curation.decide import decide
from headwater.assets.curation.measure import curate, measure, signal_schema
from headwater.assets.curation.options import CurationOptions, required_signals, rules_of
from headwater.assets.curation.signals import grams, language, words
from headwater.assets.curation.signals.compiled import character_classes, texts_of
from headwater.assets.curation.signals.fasttext_model import ModelError, read_model
from headwater.assets.curation.signals.language import detect_languages
from headwater.assets.curation.signals.lists import count_words

EVERYTHING = CurationOptions.model_validate(
    {
        "transforms": [],
        "rules": [
            {"kind": kind}
            for kind in ("length", "code", "gopher_quality", "gopher_repetition", "fineweb", "c4", "language", "pii")
        ]
        + [
            {"kind": "c4", "applies_to": "any", "max_javascript_lines": 1, "max_policy_lines": 1},
            {"kind": "rule", "name": "letters", "signal": "alphanumeric_fraction", "min": 0.1},
            {"kind": "words", "words": ["bad", "very bad", "c++"]},
            {"kind": "url_list", "deny": ["example.com"]},
            {"kind": "license_list", "allow": ["MIT"]},
        ],
    }
)


def share(part, whole):
    return part / whole if whole else None


def lines_of(text):
    return text.split("\n")[:-1] if text.endswith("\n") else text.split("\n") if text else []


def reference_prose(text):
    words = text.split()
    filled = [line.strip() for line in lines_of(text) if line.strip()]
    stops = {"the", "be", "to", "of", "and", "that", "have", "with"}
    bare = {re.sub(r"^[^0-9A-Za-z\x80-\U0010ffff]+|[^0-9A-Za-z\x80-\U0010ffff]+$", "", word) for word in words}
    ascii_lower = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
    return {
        "bytes": len(text.encode()),
        "chars": len(text),
        "words": len(words),
        "lines": len(lines_of(text)),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "hash_ratio": share(text.count("#"), len(words)),
        "ellipsis_ratio": share(text.count("...") + text.count("…"), len(words)),
        "bullet_line_fraction": share(
            sum(bool(re.match(r"[•‣▶◀◦■□▪▫–]|[*-](\s|$)", line)) for line in filled), len(filled)
        ),
        "ellipsis_line_fraction": share(sum(line.endswith(("...", "…")) for line in filled), len(filled)),
        "alphabetic_word_fraction": share(sum(any(map(str.isalpha, word)) for word in words), len(words)),
        "terminal_line_fraction": share(sum(line.endswith(tuple(".!?'\"。！？…")) for line in filled), len(filled)),
        "short_line_fraction": share(sum(len(line) <= 30 for line in filled), len(filled)),
        "newline_word_ratio": share(text.count("\n"), len(words)),
        "stop_words": len({word.translate(ascii_lower) for word in bare} & stops),
    }


def repeated(items):
    seen, found = set(), []
    for item in items:
        if item in seen:
            found.append(item)
        seen.add(item)
    return found


def paragraphs_of(text):
    paragraphs = [[]]
    for line in lines_of(text):
        if line.strip():
            paragraphs[-1].append(line.strip())
        else:
            paragraphs.append([])
    return [tuple(paragraph) for paragraph in paragraphs if paragraph]


def reference_repetition(text):
    words, paragraphs = text.split(), paragraphs_of(text)
    filled = [line.strip() for line in lines_of(text) if line.strip()]
    line_chars, word_chars = sum(map(len, filled)), sum(map(len, words))
    twice = repeated(paragraphs)
    found = {
        "duplicate_line_fraction": share(len(repeated(filled)), len(filled)),
        "duplicate_line_char_fraction": share(sum(map(len, repeated(filled))), line_chars),
        "duplicate_paragraph_fraction": share(len(twice), len(paragraphs)),
        "duplicate_paragraph_char_fraction": share(sum(len("".join(lines)) for lines in twice), line_chars),
    }
    for n in range(2, 11):
        grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
        if n < 5:
            counts = Counter(grams)
            most = max(counts.values(), default=0)
            longest = max((len("".join(gram)) for gram, count in counts.items() if count == most), default=0)
            value = share(most * longest if most > 1 else 0, word_chars)
            found[f"top_{n}_gram_char_fraction"] = value if value is None else min(value, 1.0)
        else:
            covered = {word for at, gram in enumerate(grams) if gram in grams[:at] for word in range(at, at + n)}
            found[f"duplicate_{n}_gram_char_fraction"] = share(sum(len(words[at]) for at in covered), word_chars)
    return found


def reference_code(text):
    lines, filled = lines_of(text), [character for character in text if not character.isspace()]
    numbers = re.findall(r"(?<![A-Za-z0-9_])[0-9][A-Za-z0-9_]*", text)
    return {
        "mean_line_length": share(sum(map(len, lines)), len(lines)),
        "max_line_length": max(map(len, lines), default=0),
        "alphabetic_fraction": share(sum(map(str.isalpha, filled)), len(filled)),
        "alphanumeric_fraction": share(sum(map(str.isalnum, filled)), len(filled)),
        "number_fraction": share(sum(map(len, numbers)), len(filled)),
        "encoded_fraction": share(sum(map(len, re.findall(r"[A-Za-z0-9+/=]{64,}", text))), len(filled)),
    }


def reference_c4(text):
    lowered = [line.lower() for line in text.split("\n")]
    policies = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
    return {
        "lorem_ipsum": len(re.findall("lorem ipsum", text, re.IGNORECASE | re.ASCII)),
        "curly_brackets": text.count("{"),
        "sentences": len(re.findall(r"[.!?][\"'”’)\]]*(?:[\t\n\f\r ]|\Z)", text)),
        "javascript_lines": sum("javascript" in line for line in lowered),
        "policy_lines": sum(any(phrase in line for phrase in policies) for line in lowered),
    }


def measured(texts):
    return measure(documents_of(texts), ledger_of(len(texts)), EVERYTHING).to_pylist()


def assert_same(row, expected):
    for name, value in expected.items():
        got = row[name]
        equal = got == value or (None not in (got, value) and math.isclose(got, value, rel_tol=1e-12))
        assert equal, f"{name}: measured {got}, expected {value}"


PLAIN = "the|be|To|of,|(and)|that…|a|b|cc|dd.|#|...|....|12|0x1f|-1|1e5_|é|漢字|½|x²|•|-|*|–|'|\"|!|?|Ünï|😀|{"
PHRASES = ["lorem ipsum", "JavaScript", "privacy policy", "A" * 64, "ab+/" * 15, "e\u0301", "\u2028", "auto-generated"]
WORDS = st.sampled_from([*PLAIN.split("|"), *PHRASES])
SPACES = st.sampled_from([" ", "  ", "\n", "\n\n", "\n \n", "\t", "\u3000", "\u00a0", "\x0b", "\x1c", ""])
PIECES = st.lists(st.tuples(WORDS, SPACES), max_size=60).map(lambda pairs: "".join(map("".join, pairs)))
REPEATS = st.tuples(PIECES, st.integers(1, 4)).map(lambda pair: (pair[0] + "\n\n") * pair[1])
TEXTS = st.one_of(PIECES, REPEATS, st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))


@settings(max_examples=120, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_signals_equal_their_slow_definitions(texts):
    for text, row in zip(texts, measured(texts), strict=True):
        assert_same(row, reference_prose(text))
        assert_same(row, reference_repetition(text))
        assert_same(row, reference_code(text))
        if text.isascii():  # İ lowers to two characters in Python: patterns over ASCII words are compared on ASCII
            assert_same(row, reference_c4(text))


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=8), st.data())
def test_signals_do_not_depend_on_the_batch(texts, data):
    cut = data.draw(st.integers(0, len(texts)))
    documents, ledger = documents_of(texts), ledger_of(len(texts))
    whole = curate(documents, ledger, EVERYTHING)
    parts = [
        curate(documents.slice(start, stop - start), ledger.slice(start, stop - start), EVERYTHING)
        for start, stop in ((0, cut), (cut, len(texts)))
    ]
    for at in (0, 1):
        assert pa.concat_tables([part[at] for part in parts]).equals(whole[at])


def test_an_empty_document_has_counts_of_zero_and_undefined_ratios():
    rows = measured(["", " \n ", None])
    for row in rows:
        assert row["words"] == 0
        assert row["stop_words"] == 0
        for name in ("mean_word_length", "duplicate_line_fraction", "alphabetic_fraction", "language"):
            assert row[name] is None, name
    assert rows[0]["lines"] == 0
    assert rows[0]["mean_line_length"] is None
    assert rows[1]["lines"] == 2
    assert rows[1]["mean_line_length"] == 1.0


def test_a_batch_of_no_documents_gives_no_rows():
    table = measure(documents_of([]), ledger_of(0), EVERYTHING)
    assert table.num_rows == 0
    assert table.schema.equals(signal_schema(EVERYTHING), check_metadata=True)


def test_a_sliced_column_is_measured_from_its_own_start():
    documents = documents_of(["one", "two words", "three small words"]).slice(1, 1)
    assert measure(documents, ledger_of(3).slice(1, 1), EVERYTHING)["words"].to_pylist() == [2]


def test_a_long_document_beside_short_ones():
    long = "word " * 200_000
    rows = measured(["a b", long, "a b"])
    assert rows[0] | {"doc_id": rows[2]["doc_id"]} == rows[2]
    assert rows[1]["words"] == 200_000
    assert rows[1]["top_2_gram_char_fraction"] == 1.0
    assert rows[1]["duplicate_10_gram_char_fraction"] == pytest.approx(1 - 1 / 200_000)


@pytest.mark.parametrize(
    ("text", "generated"),
    [
        ("# Generated by the protocol buffer compiler.  DO NOT EDIT!\nx = 1\n", 1),
        ("/*\n * This file is auto-generated. */", 1),
        ("// Code generated by stringer; DO NOT EDIT.\n", 1),
        ("#\n#\n#\n#\n# Automatically Generated\n", 1),
        ("#\n#\n#\n#\n#\n# Automatically Generated\n", 0),
        ("def generate(file):\n    return file\n", 0),
        ("# do not edit the list below by hand\n", 0),
    ],
)
def test_generated_files_say_so_in_their_first_lines(text, generated):
    assert measured([text])[0]["generated"] == generated


def test_languages_are_recognised_without_network():
    texts = [
        "This is a plain sentence about the weather in the north of the country.",
        "Dies ist ein einfacher Satz\nüber das Wetter im Norden des Landes.",
        " \n\t ",
        "THIS IS A PLAIN SENTENCE ABOUT THE WEATHER IN THE NORTH OF THE COUNTRY.",
    ]
    codes, confidences = detect_languages(pa.array(texts, pa.large_string()))
    assert codes.tolist() == ["en", "de", None, "en"]
    assert 0.5 < confidences[1] <= 1
    assert math.isnan(confidences[2])


LANGUAGES = ["ABCdef ghi", "ÄÖÜ", "мир\u2028труд май", "\x00\x1c null", "漢字" * 1500, "word " * 999, "Ab" + "C" * 24,
             "😀", "МИР ТРУД МАЙ", "ǅ X", "A", "</s> x", "y </s> das ist", "__label__fr hallo", "de", "the " * 3,
             "İSTANBUL", "a" * 3000, "\x00"]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS | st.lists(st.sampled_from(LANGUAGES), max_size=4).map(" ".join), max_size=12))
@example(LANGUAGES)
def test_languages_are_those_of_the_library_on_the_beginning_of_a_text(texts):
    detector = language._library()
    codes, confidences = detect_languages(pa.array(texts, pa.large_string()))
    for text, code, confidence in zip(texts, codes, confidences, strict=True):
        sample = " ".join(text[:2000].split())
        if not sample:
            assert code is None
            assert math.isnan(confidence)
            continue
        found = detector.detect(sample)[0]
        assert (code, confidence) == (found["lang"], found["score"]), text[:20]


def test_another_form_of_the_model_is_left_to_the_library(monkeypatch, tmp_path):
    texts = pa.array(["ein kurzer Satz", "", "A SHORT SENTENCE", None], pa.large_string())
    expected = detect_languages(texts)
    (tmp_path / "model.ftz").write_bytes(b"no model")
    with pytest.raises(ModelError, match="no compressed fastText classifier"):
        read_model(tmp_path / "model.ftz")
    monkeypatch.setattr(language, "_kernels", lambda: None)
    codes, confidences = detect_languages(texts)
    assert codes.tolist() == expected[0].tolist() == ["de", None, "en", None]
    assert np.array_equal(confidences, expected[1], equal_nan=True)


def test_kernels_that_give_other_figures_are_not_used(monkeypatch):
    assert language._kernels() is not None
    monkeypatch.setattr(language, "_by_library", lambda sample: ("en", 0.5))
    assert language._kernels.__wrapped__() is None


def test_listed_words_match_whole_and_in_any_case():
    row = measured(["Bad, VERY  bad, badly; not_bad C++ c++x"])[0]
    assert row["words_listed"] == 3


def test_origin_signals_come_from_the_ledger():
    urls = ["https://User@Sub.Example.COM:8080/x", "example.org/path", None, "", "http://[broken"]
    licences = ["License :: OSI Approved :: MIT License", "apache 2.0", None, "UNKNOWN", "my own"]
    rows = measure(documents_of(["x"] * 5), ledger_of(5, urls=urls, licences=licences), EVERYTHING)
    assert rows["url_host"].to_pylist() == ["sub.example.com", "example.org", None, None, None]
    assert rows["license_id"].to_pylist() == ["MIT", "Apache-2.0", None, None, "my own"]


def test_only_needed_signals_are_measured_in_a_fixed_order():
    options = CurationOptions.model_validate(
        {"transforms": [], "rules": [{"kind": "rule", "name": "r", "signal": "stop_words", "min": 1}]}
    )
    assert required_signals(options) == ("bytes", "chars", "words", "lines", "stop_words")
    table = measure(documents_of(["the end"]), ledger_of(1), options)
    assert table.schema.names == ["doc_id", *required_signals(options)]
    assert table.schema.field("stop_words").metadata[b"description"]


def test_rows_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="same order"):
        measure(documents_of(["a", "b"]), ledger_of(1), EVERYTHING)
    with pytest.raises(ValueError, match="repaired are missing"):
        measure(documents_of(["a"]), ledger_of(1), CurationOptions())


def test_a_text_counted_in_parts_has_the_same_repetition(monkeypatch):
    text = " ".join(str(at * at % 977) for at in range(4000)) + " again and again and again" * 50
    (whole,) = measured([text])
    part = grams.PART
    texts = texts_of(pa.array([text, "a b a b", text], pa.large_string()))
    monkeypatch.setattr(grams, "PART", 1 << 9)
    small = {name: getattr(grams, name).py_func for name in ("count_repeats", "_tally")}
    monkeypatch.setattr(grams, "_tally", small["_tally"])
    monkeypatch.setattr(words, "count_repeats", small["count_repeats"])
    monkeypatch.setattr(words, "PART", grams.PART)
    counts, repeats = words._scan.py_func(
        texts.data, texts.offsets, character_classes(), words._PACKED_STOP_WORDS, texts.longest, True
    )
    assert (repeats[0] == words.scan_words(texts, repetition=True)[1][0]).all()
    assert part > 4000 > grams.PART
    assert whole["top_2_gram_char_fraction"] == pytest.approx(repeats[0, 0] / counts[0, words.WORD_CHARS])


SPECIAL = {
    "empty": "",
    "blank lines": "\n\n \n\n",
    "line ends of Windows": "one two\r\n\r\none two\r\n",
    "null characters": "a\x00b \x00\n\x00",
    "punctuation alone": "... !!! ??? --- ***",
    "no spaces": "今日は天気がいいですね。散歩に行きましょう。" * 4,
    "a byte order mark": "\ufeffone",
    "one long word": "x" * 5000,
}


@pytest.mark.parametrize("text", SPECIAL.values(), ids=SPECIAL)
def test_special_texts_are_measured_like_all_others(text):
    (row,) = measured([text])
    assert_same(row, reference_prose(text))
    assert_same(row, reference_repetition(text))
    assert_same(row, reference_code(text))


def test_a_language_without_spaces_has_one_word_for_each_run_between_them():
    (row,) = measured(["今日は天気がいいですね。散歩に行きましょう。\n" * 60])
    assert row["words"] == 60
    assert row["mean_word_length"] == 22
    assert row["stop_words"] == 0
    decided = decide(measure(documents_of(["今日は"]), ledger_of(1), EVERYTHING), ledger_of(1), rules_of(EVERYTHING))
    assert decided["rule"].to_pylist() == ["gopher_quality.min_words"]


def test_a_list_without_words_finds_none():
    assert [count_words(text, ()) for text in ("", "some words", "(?!)")] == [0, 0, 0]
