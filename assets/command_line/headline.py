"""What came out of an asset, in a few words: the line that people see beside its name."""

from headwater.assets.storage.records import Record


def headline(record: Record) -> str:
    """What came out of an asset, in a few words."""
    metrics = record.metrics
    kind = record.asset.split("/")[1]
    if kind == "raw":
        left_out = f", {metrics['left_out']:,} left out" if metrics.get("left_out") else ""
        return f"{metrics['documents']:,} documents, {metrics['megabytes']:,.1f} MB{left_out}"
    if kind == "signals":
        return f"{metrics['signals']} signals, {metrics['changed_texts']:,} texts repaired"
    if kind in ("curated", "deduplicated", "annotated", "selected"):
        return f"{metrics['kept']:,} kept, {metrics['dropped']:,} dropped"
    if kind == "tokenizer":
        return f"{metrics['vocabulary_size']:,} entries"
    if kind == "tokens":
        return f"{metrics['tokens']:,} tokens, {metrics['bytes_per_token']:.2f} bytes each"
    if kind == "shards":
        return f"{metrics['shards']} shards, {metrics['samples']:,} samples"
    if kind == "checkpoint":
        return f"{metrics['parameters']:,} parameters, loss {metrics['final_loss']:.3f}"
    if kind == "merged":
        return f"{metrics['parameters']:,} parameters, {len(metrics['seeds'])} seeds"
    if kind == "current":
        waits = "" if metrics["checkpoint"] == metrics["candidate"] else f", candidate {metrics['candidate'][:8]} waits"
        return f"checkpoint {(metrics['checkpoint'] or 'none')[:8]}{waits}"
    if "bits_per_byte" in metrics:
        return f"{metrics['bits_per_byte']:.3f} bits per byte"
    if metrics.get("measured"):
        seeds = metrics["measured"]
        figures = list(next(iter(seeds.values())))[:2]
        return f"{', '.join(f'{name} {metrics[name]:.3f}' for name in figures)}, {len(seeds)} seeds"
    if "verdict" in metrics:
        return f"{metrics['verdict']}, {metrics['seeds']} seeds"
    return ""
