"""How well a tokenizer still fits: bytes per token, measured when it was fitted and on what came since.

A tokenizer stays until a refit is declared, so text that it spells at greater length (another language, another kind of
document) is something to be told about. The measure at the fit is taken on training documents that a keyed hash of
their ids picks, at most `MEASURED_MEGABYTES` of them.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.corpus.difference import take
from headwater.assets.corpus.view import open_corpus
from headwater.assets.fitting.options import ByteLevelBpeOptions
from headwater.assets.fitting.sample import draw_sample
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.storage.records import CheckRecord, Counts, Record
from headwater.assets.storage.tables import read_table
from headwater.assets.tokenization.encoding import token_count

MEASURED_MEGABYTES = 8.0  # gave the whole corpus's value within 3 % on source code; 2 MB only within 9 %
LEAST_BYTES = 1_000_000  # new text below this is too little to judge a tokenizer by


def measured_at_fit(context: StageContext, fitted: FittedTokenizer) -> float | None:
    """Bytes per token on a sample of the corpus's training documents; None when it has none."""
    texts = _sample(context, ByteLevelBpeOptions(sample_megabytes=MEASURED_MEGABYTES))
    return bytes_per_token(pc.sum(pc.binary_length(texts)).as_py() or 0, token_count(fitted, texts))


def bytes_per_token(size: int, tokens: int) -> float | None:
    """Bytes of UTF-8 per token of text, end-of-text tokens not counted; None for no token."""
    return size / tokens if tokens else None


def _sample(context: StageContext, options: ByteLevelBpeOptions) -> pa.ChunkedArray:
    view, _ = open_corpus(context, context.inputs["corpus"])
    ledger = read_table(*view.ledger, columns=["doc_id", "kept", "split", "bytes"])
    readable = ledger["kept"].to_numpy()
    chosen = readable & np.asarray(pc.equal(ledger["split"], "train"))
    if view.decisions is not None:
        chosen = chosen & read_table(*view.decisions, columns=["kept"])["kept"].to_numpy()
    train = ledger.filter(pa.array(chosen))
    drawn = draw_sample(train["doc_id"], train["bytes"].to_numpy(), options)
    rows = (np.cumsum(readable) - 1)[np.flatnonzero(chosen)[drawn]]
    texts = take(view.documents, np.sort(rows), ["text"])["text"]
    return pc.utf8_slice_codeunits(texts, 0, int(options.document_megabytes * 1e6))


def drift_check(tokenizer: Record, present: Counts, added: Counts, most: float) -> CheckRecord:
    """Compares bytes per token, of all training documents and of the ones just added, with the time of the fit.

    Only the corpus that the tokenizer was fitted on is judged: another one differs by its nature, not by drift.

    Args:
        tokenizer: record of the tokenizer, with what was measured at its fit.
        present: documents, tokens and bytes of each stream.
        added: those of this refresh alone; the same in a full run.
        most: the loss of bytes per token, as a share, that passes.
    """
    corpus = tokenizer.identity.options["_inputs"]["corpus"].split("/")[0]
    then = tokenizer.metrics.get("bytes_per_token")
    whole, whole_bytes = _density(present.get(f"{corpus}-train", {}))
    new, new_bytes = _density(added.get(f"{corpus}-train", {}))
    if then is None or whole is None:
        return _check(True, f"{corpus}, on which the tokenizer was fitted, has no training documents here.", {})
    judged = [whole] if whole_bytes >= LEAST_BYTES else []
    judged += [new] if new is not None and new_bytes >= LEAST_BYTES else []
    loss = max((1 - value / then for value in judged), default=0.0)
    said = f"{whole:.3f} bytes per token in {corpus}" + (f", {new:.3f} in what was added" if new is not None else "")
    mend = "" if loss <= most else " Raise `refit.edition` of the Fit to fit the tokenizer again."
    description = f"{said}; {then:.3f} when the tokenizer was fitted.{mend}"
    figures = {"at_fit": then, "whole": whole, "added": new, "added_bytes": new_bytes, "loss": round(loss, 4)}
    return _check(loss <= most, description, figures)


def _density(stream: Mapping[str, int]) -> tuple[float | None, int]:
    """Bytes per token of a stream's documents, and their bytes."""
    documents, tokens, size = (stream.get(name, 0) for name in ("documents", "tokens", "bytes"))
    return bytes_per_token(size, tokens - documents), size


def _check(passed: bool, description: str, metadata: dict[str, float | int | None]) -> CheckRecord:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in metadata.items() if v is not None}
    return CheckRecord(name="tokenizer_drift", passed=passed, blocking=False, description=description, metadata=rounded)
