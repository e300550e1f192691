"""What the page of tokens shows: documents, tokens and bytes of every stream, and whether the tokenizer still fits."""

import pyarrow as pa

from headwater.assets.context import StageContext
from headwater.assets.counts import added as counts_added
from headwater.assets.fitting.drift import drift_check
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.markdown import markdown_table
from headwater.assets.sharding.declaration import TokensOptions
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import CheckRecord, Counts


def count_streams(spans: pa.Table) -> Counts:
    """{stream: documents, tokens and bytes} of spans (columns stream, length and bytes)."""
    sums = spans.group_by("stream").aggregate([("length", "count"), ("length", "sum"), ("bytes", "sum")])
    names = {"documents": "length_count", "tokens": "length_sum", "bytes": "bytes_sum"}
    rows = {row["stream"]: {name: row[column] for name, column in names.items()} for row in sums.to_pylist()}
    return counts_added({}, rows)


def describe_tokens(
    context: StageContext, outcome: Outcome, added: Counts, removed: Counts, tokenizer: FittedTokenizer
) -> None:
    """Adds metrics, a table and checks to an outcome that has its counts; `added` and `removed` are of this run."""
    options: TokensOptions = context.stage.options  # type: ignore[assignment]
    rows = [(name, *_figures(counts)) for name, counts in sorted(outcome.counts.items())]
    outcome.markdown["streams"] = markdown_table(
        ["stream", "documents", "tokens", "MB", "bytes per token"],
        [[s, f"{n:,}", f"{t:,}", f"{b / 1e6:.2f}", f"{b / max(t - n, 1):.3f}"] for s, n, t, b in rows],
    )
    documents, tokens, size = (sum(row[place] for row in rows) for place in (1, 2, 3))  # type: ignore[misc]
    train = sum(row[2] for row in rows if row[0].endswith("-train"))
    outcome.metrics = {
        "documents": documents,
        "tokens": tokens,
        "training_tokens": train,
        "held_out_tokens": tokens - train,
        "bytes_per_token": round(size / max(tokens - documents, 1), 4),
        "vocabulary_size": tokenizer.vocabulary_size,
        "repack": options.repack,
        "documents_encoded": _sum(added, "documents"),
        "documents_removed": _sum(removed, "documents"),
        "tokens_added": _sum(added, "tokens"),
        "tokens_removed": _sum(removed, "tokens"),
    }
    outcome.checks = [
        CheckRecord(
            name="has_training_tokens", passed=train > 0, blocking=True, description=f"{train:,} tokens to train on."
        ),
        drift_check(context.inputs["tokenizer"], outcome.counts, added, options.tokenizer_drift),
    ]


def _figures(counts: dict[str, int]) -> tuple[int, int, int]:
    return counts.get("documents", 0), counts.get("tokens", 0), counts.get("bytes", 0)


def _sum(counts: Counts, name: str) -> int:
    return sum(stream.get(name, 0) for stream in counts.values())
