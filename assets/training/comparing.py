"""Two checkpoints on the same held-out documents: by how many bits per byte is the newer one worse?

Documents held out by the candidate's shards show whether it is as good on the data of today; those held out by the
shards of the current checkpoint show what it forgot. Each checkpoint reads the texts in its own tokens, so that a new
tokenizer is compared too.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from headwater.assets.context import StageContext, StageError
from headwater.assets.evaluation.bits_per_byte import DocumentBits, gain, score_documents
from headwater.assets.evaluation.documents import HeldOutDocument
from headwater.assets.evaluation.options import BitsPerByteOptions
from headwater.assets.evaluation.report import Interval
from headwater.assets.evaluation.stage import as_functions, held_out_documents
from headwater.assets.fitting.stage import open_tokenizer
from headwater.assets.storage.records import Record
from headwater.assets.training.checkpoints import open_checkpoint
from headwater.assets.training.options import PromoteOptions

PRESENT, OLDER = "present", "older"


class Difference(NamedTuple):
    """Candidate against current on one held-out set, in bits per byte; None where no finite figure came out."""

    which: str  # PRESENT or OLDER; an older set without documents could not be read any more
    documents: int
    candidate: float | None
    current: float | None
    worse: float | None  # candidate minus current: above 0 the candidate is worse
    interval: Interval | None  # of `worse`, by the bootstrap over groups


def differences(context: StageContext, options: PromoteOptions, candidate: Record, current: Record) -> list[Difference]:
    """Compares on the documents held out now, and where the current checkpoint's shards held out others, on these too.

    The older set has no documents when its tables were removed (by retention or a withdrawal): what is left of it
    stands in the present set.
    """
    sets = {PRESENT: _documents(context, options, candidate)}
    if _tokens(context, current).content_version != _tokens(context, candidate).content_version:
        try:
            sets[OLDER] = _documents(context, options, current)
        except (StageError, FileNotFoundError):
            sets[OLDER] = []
    together = {document.doc_id: document for documents in reversed(sets.values()) for document in documents}
    costs = [_mean_bits(context, record, list(together.values())) for record in (candidate, current)]
    settings = BitsPerByteOptions(resamples=options.resamples, seed=options.seed)
    return [_difference(which, documents, costs, settings) for which, documents in sets.items()]


def _difference(
    which: str, documents: Sequence[HeldOutDocument], costs: Sequence[DocumentBits], settings: BitsPerByteOptions
) -> Difference:
    own = {document.doc_id for document in documents}
    candidate, current = (_rows(bits, own) for bits in costs)
    saved, interval = gain(candidate, current, settings)
    turned = Interval(low=-interval.high, high=-interval.low) if interval else None
    worse = None if saved is None else -saved
    return Difference(which, len(documents), candidate.total, current.total, worse, turned)


def _rows(bits: DocumentBits, wanted: set[str]) -> DocumentBits:
    rows = [row for row, doc_id in enumerate(bits.doc_ids) if doc_id in wanted]
    return DocumentBits(
        [bits.doc_ids[row] for row in rows],
        [bits.sources[row] for row in rows],
        [bits.groups[row] for row in rows],
        bits.bytes[rows],
        bits.tokens[rows],
        bits.bits[rows],
    )


def _tokens(context: StageContext, checkpoint: Record) -> Record:
    return context.upstream(context.upstream(checkpoint, "shards"), "tokens")


def _documents(context: StageContext, options: PromoteOptions, checkpoint: Record) -> list[HeldOutDocument]:
    return held_out_documents(context, _tokens(context, checkpoint), options.max_megabytes_per_source, options.seed)


def _mean_bits(context: StageContext, checkpoint: Record, documents: Sequence[HeldOutDocument]) -> DocumentBits:
    """What each document costs a checkpoint: the mean over its replicates."""
    tokenizer = open_tokenizer(context, context.upstream(_tokens(context, checkpoint), "tokenizer"))
    own = [replace(document, tokens=np.array(tokenizer.encode(document.text))) for document in documents]
    costs = []
    size = sum(len(document.data) for document in own) / 1e6
    for seed in checkpoint.identity.options["seeds"]:
        model = as_functions(open_checkpoint(context.store, checkpoint, seed), tokenizer, None)
        label = f"{context.stage.asset} {checkpoint.digest[:8]} seed {seed}"
        with context.progress(size, "MB", label) as bar:
            costs.append(score_documents(own, model.end_of_text, model.score, advance=lambda n: bar.advance(n / 1e6)))
    return costs[0].with_bits(np.mean([cost.bits for cost in costs], axis=0))
