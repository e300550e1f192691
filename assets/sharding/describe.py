"""What people see of shards: their streams, what a refresh did with them, and how much of them is empty.

Apart from the code that writes: an edit here changes no byte of a shard, so it does not count as a change of the step.
"""

from collections.abc import Mapping

from headwater.assets.markdown import markdown_table
from headwater.assets.sharding.growth import Carried
from headwater.assets.sharding.shards import ShardIndex
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import CheckRecord


def describe_shards(
    outcome: Outcome, index: ShardIndex, held: Mapping[str, int], carried: Carried, empty_share: float
) -> None:
    """Adds figures and checks of finished shards to an outcome.

    Args:
        outcome: what the stage gives back.
        index: all shards.
        held: tokens of the documents of each stream.
        carried: what became of the earlier shards.
        empty_share: share of samples that a repack may save before it is advised.
    """
    samples, valid = index.streams(), _valid_tokens(index)
    holes = sum(length for shard in index.shards for block in shard.blocks for _, length in block.masked)
    rows = [
        [name, sum(s.stream == name for s in index.shards), f"{count:,}", f"{held.get(name, 0):,}"]
        for name, count in samples.items()
    ]
    total = sum(samples.values())
    outcome.markdown["streams"] = markdown_table(["stream", "shards", "samples", "tokens"], rows)
    outcome.metrics = {
        "shards": len(index.shards),
        "samples": total,
        "sequence_length": index.sequence_length,
        "megabytes": round(sum(shard.bytes for shard in index.shards) / 1e6, 3),
        "shards_kept": len(carried.kept),
        "shards_rewritten": len(carried.punched),
        "shards_new": len(index.shards) - len(carried.kept) - len(carried.punched),
        "hole_tokens": holes,
        "padding_tokens": total * index.sequence_length - valid,
    }
    expected = sum(held.values())
    outcome.checks = [
        CheckRecord(
            name="whole",
            passed=valid - holes == expected,
            blocking=True,
            description=f"{valid - holes:,} of {expected:,} tokens are in the shards.",
        ),
        _repack_check(index, held, empty_share),
    ]


def _valid_tokens(index: ShardIndex) -> int:
    return sum(shard.valid for shard in index.shards)


def _repack_check(index: ShardIndex, held: Mapping[str, int], most: float) -> CheckRecord:
    """How many samples fewer the same documents would fill if they lay close together."""
    needed = sum(-(-tokens // index.sequence_length) for tokens in held.values())
    total = sum(index.streams().values())
    share = 1 - needed / total if total else 0.0
    mend = "" if share <= most else " Raise `repack` of the Shards to number all samples anew."
    return CheckRecord(
        name="repack",
        passed=share <= most,
        blocking=False,
        description=f"A repack would save {total - needed:,} of {total:,} samples ({share:.1%}).{mend}",
        metadata={"empty_share": round(share, 4)},
    )
