"""Yardsticks on exactly the documents the model is measured on: a unigram model over tokens, gzip and xz.

The unigram model codes the same tokens, the closing end-of-text included, so a model that loses to it has learnt
nothing from context. gzip and xz code the same bytes in two ways: `per document`, each document alone (as the model
reads it), and `stream`, all documents of the measured set in their order, each followed by one NUL byte that marks its
end.
Denominators are the bytes of the texts alone.
"""

import gzip
import lzma
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from headwater.assets.evaluation.bits_per_byte import DocumentBits, describe
from headwater.assets.evaluation.documents import HeldOutDocument, Tokens, scored_row
from headwater.assets.evaluation.options import AnyBaseline, GzipBaseline, UnigramBaseline
from headwater.assets.evaluation.report import BaselineResult

Compressor = Callable[[bytes], int]

_XZ_PRESET = 9 | lzma.PRESET_EXTREME
_XZ_WINDOW = 64 << 20  # of preset 9


def token_counts(chunks: Iterable[Tokens], vocabulary: int) -> NDArray[np.int64]:
    """Count each token id in a training stream given in chunks, end-of-text tokens included.

    Raises:
        ValueError: an id lies outside the vocabulary.
    """
    counts = np.zeros(vocabulary, dtype=np.int64)
    for chunk in chunks:
        if len(chunk) == 0:
            continue
        lowest, highest = int(chunk.min()), int(chunk.max())
        if lowest < 0 or highest >= vocabulary:
            raise ValueError(
                f"token {lowest if lowest < 0 else highest} is outside the vocabulary of {vocabulary}: the training "
                "stream was encoded by another tokenizer; re-encode it"
            )
        counts += np.bincount(chunk, minlength=vocabulary)
    return counts


def unigram_bits(
    documents: Sequence[HeldOutDocument], counts: NDArray[np.int64], smoothing: float, end_of_text: int
) -> DocumentBits:
    """Return each document's cost under `p(t) = (count(t) + smoothing) / (all counts + smoothing * vocabulary)`."""
    smoothed = counts.astype(np.float64) + smoothing
    cost = -np.log2(smoothed / smoothed.sum())
    bits = [float(cost[scored_row(document.tokens, end_of_text)[1:]].sum()) for document in documents]
    return describe(documents).with_bits(np.array(bits, dtype=np.float64))


def gzip_size(data: bytes, level: int = 9) -> int:
    """Return the size in bytes of `gzip -n` at this level, whose header holds neither name nor time."""
    return len(gzip.compress(data, compresslevel=level, mtime=0))


def xz_size(data: bytes) -> int:
    """Return the size in bytes of `xz -9e -T1`.

    Preset 9 sets aside a 64 MiB window whatever the input; a window as large as the data gives the same matches at an
    eighth of the time on small documents.
    """
    window = min(_XZ_WINDOW, max(4096, 1 << max(len(data) - 1, 1).bit_length()))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": _XZ_PRESET, "dict_size": window}]
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, filters=filters))


def compressor_of(baseline: AnyBaseline) -> Compressor:
    """Return the function that gives the compressed size in bytes."""
    if isinstance(baseline, GzipBaseline):
        level = baseline.level
        return lambda data: gzip_size(data, level)
    return xz_size


def compressed_bits(
    documents: Sequence[HeldOutDocument], compressor: Compressor, advance: Callable[[int], None] | None = None
) -> DocumentBits:
    """Return each document's cost when it is compressed alone; the file's length says where the document ends."""
    bits = []
    for document in documents:
        data = document.data
        bits.append(8.0 * compressor(data))
        if advance is not None:
            advance(len(data))
    return describe(documents).with_bits(np.array(bits, dtype=np.float64))


def stream_bits_per_byte(documents: Sequence[HeldOutDocument], compressor: Compressor) -> float | None:
    """Return bits per byte of all documents compressed as one stream, each followed by a NUL; None without a byte."""
    stream = b"".join(document.data + b"\0" for document in documents)
    size = len(stream) - len(documents)
    return 8 * compressor(stream) / size if size else None


def measure_baseline(
    baseline: AnyBaseline,
    documents: Sequence[HeldOutDocument],
    counts: NDArray[np.int64],
    end_of_text: int,
    advance: Callable[[int], None] | None = None,
) -> tuple[DocumentBits, dict[str | None, BaselineResult]]:
    """Run one baseline.

    Args:
        baseline: which.
        documents: the documents the model is measured on, in the same order.
        counts: training token counts, for `unigram`.
        end_of_text: the id that closes each document.
        advance: called with the UTF-8 bytes just coded, for a progress bar.

    Returns:
        The cost of each document, and the result for each source and, under None, for all of them.
    """
    if isinstance(baseline, UnigramBaseline):
        bits = unigram_bits(documents, counts, baseline.smoothing, end_of_text)
        names = [*bits.source_names, None]
        return bits, {name: BaselineResult(name="unigram", bits_per_byte=bits.of_source(name).total) for name in names}
    compressor = compressor_of(baseline)
    bits = compressed_bits(documents, compressor, advance)
    results: dict[str | None, BaselineResult] = {
        name: _compressed(baseline, name, documents, bits, compressor) for name in bits.source_names
    }
    # With one source its stream is the stream of all: compressing it once is enough.
    only = next(iter(results.values())) if len(results) == 1 else None
    results[None] = only or _compressed(baseline, None, documents, bits, compressor)
    return bits, results


def _compressed(
    baseline: AnyBaseline,
    source: str | None,
    documents: Sequence[HeldOutDocument],
    bits: DocumentBits,
    compressor: Compressor,
) -> BaselineResult:
    chosen = [document for document in documents if source in (None, document.source)]
    alone, stream = bits.of_source(source).total, stream_bits_per_byte(chosen, compressor)
    known = [value for value in (alone, stream) if value is not None]
    return BaselineResult(
        name=baseline.kind, bits_per_byte=min(known) if known else None, per_document=alone, stream=stream
    )
