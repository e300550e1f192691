"""tokenizer: fitted on a stated sample of the training documents, or one's own file; saved as tokenizer.json."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headwater.assets.context import StageContext, StageError
from headwater.assets.corpus.view import kept_ledger, open_corpus, tables_of
from headwater.assets.fitting.byte_level_bpe import fit_byte_level_bpe
from headwater.assets.fitting.declaration import FitStageOptions
from headwater.assets.fitting.drift import measured_at_fit
from headwater.assets.fitting.options import ByteLevelBpeOptions, TokenizerFileOptions
from headwater.assets.fitting.sample import draw_sample
from headwater.assets.fitting.tokenizers import FittedTokenizer, check_tokenizer
from headwater.assets.markdown import markdown_table
from headwater.assets.stages import Outcome
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record

TOKENIZER = "tokenizer.json"


def materialize_tokenizer(context: StageContext) -> Outcome:
    """Fits or checks the tokenizer and stores it.

    Raises:
        StageError: the corpus has no training document to fit on.
    """
    options: FitStageOptions = context.stage.options  # type: ignore[assignment]
    if isinstance(options.fit, TokenizerFileOptions):
        fitted, outcome = context.found, Outcome(metrics={"origin": "file"})
    else:
        fitted, outcome = _fit(context, options.fit)
    path = f"{context.place.folder(context.identity)}/{TOKENIZER}"
    context.place.write_text(path, fitted.json)
    outcome.files = {TOKENIZER: hashlib.sha256(fitted.json.encode()).hexdigest()}
    outcome.metrics |= {
        "vocabulary_size": fitted.vocabulary_size,
        "end_of_text": fitted.end_of_text,
        "pad": fitted.pad,
    }
    if (density := measured_at_fit(context, fitted)) is not None:
        outcome.metrics["bytes_per_token"] = round(density, 4)
    outcome.markdown["longest tokens"] = _longest_tokens(fitted)
    return outcome


def open_tokenizer(context: StageContext, record: Record) -> FittedTokenizer:
    """The tokenizer of a record."""
    return tokenizer_at(context.store, record)


def tokenizer_at(store: Store, record: Record) -> FittedTokenizer:
    """The tokenizer of a record in a store.

    Raises:
        StageError: its file is gone.
    """
    place = store.place(record.asset)
    text = place.read_text(f"{place.folder(record.digest)}/{TOKENIZER}")
    if text is None:
        raise StageError(f"{record.asset} has lost its {TOKENIZER}; materialize it again.")
    metrics = record.metrics
    return check_tokenizer(text, metrics["end_of_text"], metrics["pad"], f"{record.asset}/{TOKENIZER}")


def _fit(context: StageContext, options: ByteLevelBpeOptions) -> tuple[FittedTokenizer, Outcome]:
    view, rows = open_corpus(context, context.inputs["corpus"])
    ledger = kept_ledger(view, ["split", "bytes"])
    train = ledger.filter(np.asarray(ledger["split"]) == "train")
    if train.num_rows == 0:
        raise StageError(
            f"{context.stage.asset}: none of the {ledger.num_rows:,} documents is for training; with few "
            "groups all may be held out: lower held_out.share, or set `held_out: {group: document}`."
        )
    drawn = draw_sample(train["doc_id"], train["bytes"].to_numpy(), options)
    chosen = set(train["doc_id"].take(pa.array(drawn)).to_pylist())
    megabytes = train["bytes"].to_numpy()[drawn].sum() / 1e6
    with context.progress(len(chosen), "documents") as bar:

        def texts() -> Iterator[pa.ChunkedArray]:
            for table in tables_of(view, rows, chosen):
                yield table["text"]
                bar.advance(table.num_rows, note="reading the sample, then merging")

        fitted = fit_byte_level_bpe(texts(), options)
    metrics = {"origin": "fitted", "sample_documents": len(chosen), "sample_megabytes": round(float(megabytes), 3)}
    return fitted, Outcome(metrics=metrics)


def _longest_tokens(fitted: FittedTokenizer) -> str:
    vocabulary = [i for i in fitted.tokenizer.get_vocab().values() if i not in fitted.special_ids]
    spelled = sorted(((fitted.decode([i]), i) for i in vocabulary), key=lambda item: (-len(item[0]), item[1]))[:12]
    return markdown_table(["token", "id"], [[f"`{text!r}`", number] for text, number in spelled])
