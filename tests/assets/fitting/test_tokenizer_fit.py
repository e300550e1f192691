"""Fitting is deterministic, its file is an ordinary Hugging Face tokenizer, and no text spells its special tokens."""

import hashlib
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from headwater.assets.fitting.byte_level_bpe import PATTERNS, fit_byte_level_bpe
from headwater.assets.fitting.options import ByteLevelBpeOptions, TokenizerFileOptions, TokenizerOptions
from headwater.assets.fitting.sample import draw_sample, sample_order
from headwater.assets.fitting.tokenizers import check_tokenizer, load_tokenizer_file

SPECIAL = "<|endoftext|>"
TEXTS = [
    "def widen(width: int) -> int:\n    return width * 1024\n",
    "The river's head is where the water first gathers; it's small there, and we'll follow it.\n" * 4,
    "1234567890 tokens, 3.14159 pi\r\n\r\n\tnaïve café 水源 🌊",
    f"a text that says {SPECIAL} and <|pad|> as words",
] * 3


def fit(**options):
    return fit_byte_level_bpe(TEXTS, ByteLevelBpeOptions(vocabulary_size=400, **options))


FITTED = {pattern: fit(pattern=pattern) for pattern in PATTERNS}


def test_sample_order_depends_on_ids_and_seed_alone():
    ids = [f"{i:032x}" for i in range(500)]
    order = [ids[row] for row in sample_order(ids, 7)]
    shuffled = list(np.random.default_rng(0).permutation(ids))
    assert [shuffled[row] for row in sample_order(shuffled, 7)] == order
    assert [ids[row] for row in sample_order(ids, 8)] != order
    expected = sorted(
        ids, key=lambda i: hashlib.blake2b(i.encode(), digest_size=8, key=(7).to_bytes(8, "little")).digest()
    )
    assert order == expected


def test_draw_sample_stops_at_the_stated_size_and_counts_long_documents_as_cut():
    ids = [f"{i:032x}" for i in range(100)]
    options = ByteLevelBpeOptions(sample_megabytes=1.0, document_megabytes=0.1)
    rows = draw_sample(ids, np.full(100, 10_000_000), options)
    assert rows.tolist() == sample_order(ids, 0)[:10].tolist()
    assert len(draw_sample(ids, np.full(100, 1_000), options)) == 100
    assert len(draw_sample(ids, np.full(100, 15_000), options)) == 67


def test_only_the_beginning_of_a_long_document_is_learned_from():
    options = ByteLevelBpeOptions(vocabulary_size=400, document_megabytes=0.001)
    assert "zzzz" not in fit_byte_level_bpe(["é" * 500 + " zzzz" * 900], options).tokenizer.get_vocab()


def test_the_order_of_the_sample_does_not_matter():
    options = ByteLevelBpeOptions(vocabulary_size=400)
    assert fit_byte_level_bpe(TEXTS[::-1], options).json == fit().json


def test_equal_in_a_process_of_its_own():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hashlib, test_tokenizer_fit as t;"
        "print(hashlib.sha256(t.fit().json.encode()).hexdigest())"
    )
    run = [sys.executable, "-c", code, str(__import__("pathlib").Path(__file__).parent)]
    other = subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
    assert other == hashlib.sha256(fit().json.encode()).hexdigest()


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.one_of(st.text(), st.sampled_from([SPECIAL, "<|pad|>", "<|end", "oftext|>", " "]))))
def test_decoding_restores_every_text_and_no_special_appears(pattern, parts):
    text, fitted = "".join(parts), FITTED[pattern]
    ids = fitted.encode(text)
    assert fitted.decode(ids) == text
    assert not fitted.special_ids & set(ids)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_transformers_reads_the_file_and_gives_the_same_ids(pattern, tmp_path):
    fitted = FITTED[pattern]
    (tmp_path / "tokenizer.json").write_text(fitted.json)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(fitted.transformers_config(512)))
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (theirs.eos_token_id, theirs.pad_token_id) == (fitted.end_of_text_id, fitted.pad_id) == (0, 1)
    for text in TEXTS:
        if SPECIAL not in text:
            assert theirs(text)["input_ids"] == fitted.encode(text)
            assert theirs.decode(fitted.encode(text)) == text
    assert theirs(SPECIAL)["input_ids"] == [0] != fitted.encode(SPECIAL)


def test_many_special_tokens_are_named_by_a_range_and_no_text_spells_them():
    names = ("<|endoftext|>", "<|pad|>", "[S]", "<|sentinel_{0..3}|>")
    fitted = fit(special_tokens=names)
    special = ["<|endoftext|>", "<|pad|>", "[S]", *(f"<|sentinel_{n}|>" for n in range(4))]
    assert [fitted.tokenizer.token_to_id(name) for name in special] == list(range(7))
    assert fitted.special_ids == set(range(7))
    for name in special:
        assert not fitted.special_ids & set(fitted.encode(f"a {name}{name}b"))
    with pytest.raises(ValidationError, match="must differ"):
        ByteLevelBpeOptions(special_tokens=("<1>", "<{0..3}>"))


def test_a_pickled_tokenizer_is_as_safe():
    fitted = FITTED["gpt2"]
    ids = fitted.encode(SPECIAL)
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy == fitted
    assert copy.encode(SPECIAL) == ids != [0]


def test_patterns_cut_numbers_as_they_say():
    def pieces(pattern):
        return [len(p[0]) for p in FITTED[pattern].plain.pre_tokenizer.pre_tokenize_str("1234567")]

    assert pieces("gpt2") == [7]
    assert pieces("digits_of_three") == [3, 3, 1]
    assert pieces("single_digits") == [1] * 7


def test_a_special_token_that_is_a_word_is_refused():
    with pytest.raises(ValueError, match="spells the token 'END' itself"):
        fit_byte_level_bpe(["END END END"] * 50, ByteLevelBpeOptions(vocabulary_size=400, special_tokens=("END",)))


def users_tokenizer():
    """A tokenizer of another make: specials above the vocabulary, added words that are none, padding, truncation."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, [], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<s>", special=True), AddedToken("<eot>", special=True)])
    tokenizer.add_tokens([AddedToken("<tool>", special=False), AddedToken("HEADWATER", special=False)])
    tokenizer.enable_padding(length=50, pad_id=256)
    tokenizer.enable_truncation(8)
    return tokenizer


def test_ones_own_file_is_made_safe_too(tmp_path):
    path = tmp_path / "tokenizer.json"
    users_tokenizer().save(str(path))
    fitted = load_tokenizer_file(TokenizerFileOptions(path=str(path), end_of_text="<eot>", pad="<tool>"))
    assert (fitted.end_of_text_id, fitted.pad_id, fitted.vocabulary_size) == (257, 258, 260)
    text = "one <s> two <eot> three <tool> HEADWATER"
    ids = fitted.encode(text)
    # The word that is added but not special stays a token, as its owner wants; named and special ones do not.
    assert ids.count(259) == 1
    assert not {256, 257, 258} & set(ids)
    assert fitted.decode(ids) == text


def test_errors_name_the_file_and_the_mend(tmp_path):
    path = tmp_path / "mine.json"
    with pytest.raises(ValueError, match=r"mine\.json.*cannot be read.*path"):
        load_tokenizer_file(TokenizerFileOptions(path=str(path), end_of_text="<eot>"))
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"mine\.json: not a readable tokenizer\.json"):
        load_tokenizer_file(TokenizerFileOptions(path=str(path), end_of_text="<eot>"))
    users_tokenizer().save(str(path))
    with pytest.raises(ValueError, match=r"mine\.json.*'</s>'.*`end_of_text`.*'<eot>', '<s>'"):
        load_tokenizer_file(TokenizerFileOptions(path=str(path), end_of_text="</s>"))
    with pytest.raises(ValueError, match=r"no token '<pad>'; set `pad`"):
        load_tokenizer_file(TokenizerFileOptions(path=str(path), end_of_text="<eot>", pad="<pad>"))


def test_a_model_that_reaches_its_special_from_text_is_refused():
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("</s>", -1.0), ("a", -2.0)], unk_id=0))
    tokenizer.add_special_tokens(["</s>"])
    with pytest.raises(ValueError, match="spells the token '</s>' itself"):
        check_tokenizer(tokenizer.to_str(), "</s>", None, "unigram.json")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary_size": 257}, "at least 258"),
        ({"special_tokens": []}, "at least one special token"),
        ({"special_tokens": ["<a>", "<a>"]}, "must differ"),
        ({"sample_megabytes": 0}, "above 0"),
        ({"min_frequency": 0}, "1 or more"),
        ({"seed": -1}, "seed"),
        ({"vocab": 3}, "Extra inputs"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(TokenizerOptions).validate_python({"kind": "byte_level_bpe", **wrong})
