"""Fits a byte-level byte-pair encoding on a sample that depends on the documents alone (`sample`).

Whatever the order of arrival or the number of workers, the same corpus gives the same sample and, as the trainer breaks
ties by token number, the same tokenizer.
Sennrich et al. 2016 (arXiv 1508.07909) for the merges, Radford et al. 2019 (GPT-2, section 2.2) for the bytes.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from headwater.assets.fitting.bpe.patterns import PATTERNS, symbols_of_bytes
from headwater.assets.fitting.merge_learning import can_be_learned, learn_merges
from headwater.assets.fitting.options import BYTE_SYMBOLS, ByteLevelBpeOptions
from headwater.assets.fitting.tokenizers import FittedTokenizer, check_tokenizer
from headwater.assets.fitting.word_counts import WordCounter

Texts: TypeAlias = pa.StringArray | pa.LargeStringArray | pa.ChunkedArray

_MEGABYTE = 1_000_000
_BATCH = 1 << 22  # characters
_PROBED, _PROBED_CHARACTERS, _PROBED_MERGES = 32, 1_000, 128


def fit_byte_level_bpe(texts: Iterable[str] | Iterable[Texts], options: ByteLevelBpeOptions) -> FittedTokenizer:
    """Learn the merges from the documents of `draw_sample`, in any order: text by text, or as batches of texts.

    A small sample gives fewer entries than `vocabulary_size`. Memory is that of the sample's distinct words (see
    `word_counts` and `merge_learning`), beyond one batch of its texts.

    Raises:
        ValueError: a special token is also a word that the sample would learn, or the sample is too large.
    """
    batches = _in_batches(texts)
    first = list(islice(batches, 1))
    learn = _learned if all(_agree(texts, options) for texts in first) else fit_by_library
    tokenizer = learn(chain(first, batches), options)
    return check_tokenizer(tokenizer.to_str(), options.end_of_text, options.pad, "the fitted tokenizer")


def _in_batches(texts: Iterable[str] | Iterable[Texts]) -> Iterator[Texts]:
    """Texts as Arrow arrays, some megabytes each where they came one by one."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        if not isinstance(text, str):
            yield text
            continue
        waiting.append(text)
        size += len(text)
        if size >= _BATCH:
            yield pa.array(waiting, pa.large_string())
            waiting, size = [], 0
    if waiting:
        yield pa.array(waiting, pa.large_string())


def _agree(texts: Texts, options: ByteLevelBpeOptions) -> bool:
    """Whether the library's trainer, of whatever version it is, gives the same on the beginning of the first texts."""
    beginnings = pc.utf8_slice_codeunits(texts.slice(0, _PROBED), 0, _PROBED_CHARACTERS)
    few = options.model_copy(update={"vocabulary_size": BYTE_SYMBOLS + len(options.special_tokens) + _PROBED_MERGES})
    return _learned([beginnings], few).to_str() == fit_by_library([beginnings], few).to_str()


def _learned(batches: Iterable[Texts], options: ByteLevelBpeOptions) -> Tokenizer:
    """The tokenizer by the compiled counter and learner."""
    counter = WordCounter(options.pattern)
    for batch in batches:
        counter.add(batch, int(options.document_megabytes * _MEGABYTE))
    words = counter.counted()
    if not can_be_learned(words):
        raise ValueError("the sample has too many distinct words for one fit: lower `sample_megabytes`")
    bytes_of = {symbol: bytes([byte]) for byte, symbol in enumerate(symbols_of_bytes())}
    tokens = list(dict.fromkeys([*options.special_tokens, *sorted(bytes_of)]))
    known = [b"".join(bytes_of[c] for c in token) if bytes_of.keys() >= set(token) else None for token in tokens]
    merges = learn_merges(words, known, options.vocabulary_size, options.min_frequency).tolist()
    for first, second, made in merges:
        if made == len(tokens):
            tokens.append(tokens[first] + tokens[second])
    spelled = [(tokens[first], tokens[second]) for first, second, _ in merges]
    tokenizer = _tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, spelled), options)
    tokenizer.add_special_tokens(list(options.special_tokens))
    return tokenizer


def fit_by_library(batches: Iterable[Texts], options: ByteLevelBpeOptions) -> Tokenizer:
    """The same by the library's trainer: the reference, and what stands in where the two differ."""
    tokenizer = _tokenizer(models.BPE(), options)
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary_size,
        min_frequency=options.min_frequency,
        special_tokens=list(options.special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (text for batch in batches for text in batch.to_pylist())
    tokenizer.train_from_iterator(_beginnings(texts, int(options.document_megabytes * _MEGABYTE)), trainer)
    return tokenizer


def _tokenizer(model: models.Model, options: ByteLevelBpeOptions) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[options.pattern]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _beginnings(texts: Iterable[str], size: int) -> Iterator[str]:
    for text in texts:
        # A character is at least one byte: most texts are known to fit without being encoded.
        if len(text) * 4 <= size:
            yield text
        else:
            yield text[:size].encode()[:size].decode(errors="ignore")
