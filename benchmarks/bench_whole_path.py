"""The whole data path, raw JSON lines to shards, in megabytes per CPU second of the whole process tree.

Headwater runs a declared pipeline as `headwater materialize` does, Dagster and imports included: every signal,
decision, edge and span is stored, and the tokenizer is fitted as well. datatrove does the nearest to the same work: it
reads the lines, judges every document by the published rules and notes the outcome (Headwater, too, measures every
document, kept or not), writes the documents, removes near-duplicates in its four steps and tokenizes what is left, with
a tokenizer at hand. It takes a share of the corpus, without its imports, and its rate is carried over to the whole; as
its clustering grows faster than the corpus, the share flatters it.
"""

import json
import os
from itertools import pairwise
from pathlib import Path

from common import Benchmark, Headline, Peer, Result, cpu_seconds, measured, median, prepare_peer_corpus, run, told
from corpora import corpus

from headwater.assets.markdown import markdown_table

GOAL = 6.0  # MB per CPU second
_VOCABULARY = 16_384
_DATATROVE_MEGABYTES = 8.0
_WARMING_BYTES = 1_000_000
_RULES = ("GopherRepetitionFilter", "GopherQualityFilter", "C4QualityFilter", "FineWebQualityFilter")

PIPELINE = """\
type: headwater.assets.Corpus
attributes:
  name: documents
  sources:
    - {name: code, kind: jsonl, path: "CORPUS/code/*.jsonl", id_field: id, format: code}
    - {name: prose, kind: jsonl, path: "CORPUS/prose/*.jsonl", id_field: id, format: prose}
  held_out: {share: 0.01, group: document}
  deduplication: {max_lost_share: 1.0}
---
type: headwater.assets.Fit
attributes:
  name: pairs
  corpus: documents
  fit: {kind: byte_level_bpe, vocabulary_size: VOCABULARY}
---
type: headwater.assets.Shards
attributes: {name: packed, corpora: [documents], tokenizer: pairs, sequence_length: 1024}
"""


def _prepare(folder: Path, megabytes: float) -> Result:
    facts = prepare_peer_corpus(folder, megabytes)
    facts["raw_megabytes"] = _size(folder / "jsonl")
    texts = corpus(folder)[0]["text"].to_pylist()
    for form, some in (("code", texts[:200]), ("prose", texts[-200:])):
        # Whole documents for the kernels that few texts call, pieces for those that only large tables do.
        pieces = [text[start : start + 500] for text in some for start in range(0, len(text), 500)]
        _write_lines(folder / "warming" / form / "0.jsonl", some, _WARMING_BYTES)
        _write_lines(folder / "warming" / form / "1.jsonl", pieces, _WARMING_BYTES)
    share = min(_DATATROVE_MEGABYTES, megabytes)
    facts["share_megabytes"] = _write_lines(folder / "share" / "0.jsonl", texts, share * 1e6)
    _train_tokenizer(folder, texts[: len(texts) // 10 or 1])
    return facts


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*.jsonl")) / 1e6


def _write_lines(file: Path, texts: list[str], limit: float) -> float:
    """Documents up to about `limit` bytes of text; gives the size of the file in MB."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as sink:
        for number, text in enumerate(texts):
            if sink.tell() >= limit:
                break
            sink.write(json.dumps({"id": f"{number:08d}", "text": text}, ensure_ascii=False) + "\n")
    return file.stat().st_size / 1e6


def _train_tokenizer(folder: Path, texts: list[str]) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))


def _headwater(folder: Path) -> Result:
    return _materialized(folder, "jsonl")


def _on_all_cores(folder: Path) -> Result:
    """The same with Ray's workers, by the clock: a worker that Ray ends tells nobody what it has cost."""
    with measured() as cost:
        figures = _materialized(folder, "jsonl", engine="ray")
    return figures | {"wall": cost["wall"]}


def _warming(folder: Path) -> Result:
    """Compiles the kernels into this run's folder; told apart."""
    return _materialized(folder, "warming")


def _materialized(folder: Path, name: str, engine: str = "local") -> Result:
    """Runs the declared pipeline in a new workspace and store; costs per asset are read between them."""
    import tempfile

    before = cpu_seconds()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        workspace = Path(temporary) / "workspace"
        _set_up(workspace, folder / name, engine)
        from headwater.assets import dagster_assets
        from headwater.assets.command_line import materialize
        from headwater.assets.command_line.loading import load_workspace

        loaded = load_workspace()
        marks = [("loading", cpu_seconds())]
        dagster_assets.announce = lambda result: marks.append((result.record.asset, cpu_seconds()))
        materialize._run(loaded, loaded.pipeline("whole_path"))
        stages = {asset: spent - earlier for (_, earlier), (asset, spent) in pairwise(marks)}
        metrics = {stage.asset: loaded.record(stage.asset).metrics for stage in loaded.stages if stage.asset in stages}
        stored = sum(file.stat().st_size for file in (workspace / "store").rglob("*") if file.is_file()) / 1e6
    figures = {
        "kept": metrics["documents/deduplicated"]["kept"],
        "signals": metrics["documents/signals"]["signals"],
        "tokens": metrics["packed/tokens"]["tokens"],
        "stored": stored,
    }
    return {"cpu": cpu_seconds(), "loading": marks[0][1], "before": before, "stages": stages, **figures}


def _set_up(workspace: Path, documents: Path, engine: str) -> None:
    from headwater.assets.command_line.init import init_workspace

    workspace.mkdir()
    os.environ |= {
        "HEADWATER_WORKSPACE": str(workspace),
        "HEADWATER_STORE": str(workspace / "store"),
        "DAGSTER_HOME": str(workspace / ".dagster"),
        "HEADWATER_ENGINE": engine,
        "HEADWATER_PROGRESS": "off",
        "OPENLINEAGE_DISABLED": "true",
    }
    init_workspace(workspace)
    (workspace / "pipelines" / "my_text_lm" / "defs.yaml").unlink()
    declared = PIPELINE.replace("CORPUS", os.path.relpath(documents, workspace)).replace("VOCABULARY", str(_VOCABULARY))
    file = workspace / "pipelines" / "whole_path" / "defs.yaml"
    file.parent.mkdir()
    file.write_text(declared)


def _datatrove(folder: Path) -> Result:
    """Its documented pipeline, one task, one step after the other; a run before loads what is loaded once."""
    import tempfile

    from loguru import logger

    logger.remove()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        _datatrove_costs(folder, folder / "warming" / "prose", Path(temporary) / "before")
        costs = _datatrove_costs(folder, folder / "share", Path(temporary) / "timed")
    return {"cpu": sum(costs.values()), "stages": costs}


def _datatrove_costs(folder: Path, documents: Path, work: Path) -> dict[str, float]:
    from datatrove.executor import LocalPipelineExecutor

    costs = {}
    for name, blocks in _datatrove_steps(folder, documents, work):
        tasks = 14 if name == "buckets" else 1
        with measured() as cost:
            LocalPipelineExecutor(pipeline=blocks, tasks=tasks, workers=1, logging_dir=f"{work}/logs/{name}").run()
        costs[name] = cost["cpu"]
    return costs


def _datatrove_steps(folder: Path, documents: Path, work: Path) -> list[tuple[str, list]]:
    import xxhash
    from datatrove.pipeline import filters
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers import JsonlWriter

    rules = [getattr(filters, name)() for name in _RULES]

    def judge(documents, rank: int = 0, world_size: int = 1):
        """Notes what each rule says and passes every document on, as it came."""
        for document in documents:
            text = document.text
            document.metadata["judged"] = [str(rule.filter(document)) for rule in rules]
            document.text = text  # C4's rule takes lines away
            yield document

    kept = f"{work}/judged"
    signatures = MinhashDedupSignature(f"{work}/signatures")
    signatures._hash_func = lambda shingle: xxhash.xxh64_intdigest(shingle.encode())  # its own fails with xxhash 4
    tokenizer = DocumentTokenizer(
        output_folder=f"{work}/tokens",
        tokenizer_name_or_path=str(folder / "tokenizer.json"),
        eos_token="<|endoftext|>",
        shuffle_documents=False,
    )
    return [
        ("rules", [JsonlReader(str(documents)), judge, JsonlWriter(kept, compression=None)]),
        ("signatures", [JsonlReader(kept), signatures]),
        ("buckets", [MinhashDedupBuckets(f"{work}/signatures", f"{work}/buckets")]),
        ("clusters", [MinhashDedupCluster(f"{work}/buckets", f"{work}/removed")]),
        ("removal and tokens", [JsonlReader(kept), MinhashDedupFilter(f"{work}/removed"), tokenizer]),
    ]


PEERS = {
    "warming": Peer("headwater, kernels compiled on the way, 4 MB", _warming, repetitions=1),
    "headwater": Peer("headwater", _headwater),
    "all cores": Peer("headwater, a Ray worker on each core", _on_all_cores, repetitions=1),
    "datatrove": Peer("datatrove", _datatrove, "datatrove"),
}


def _rate(facts: Result, key: str, runs: list[Result]) -> float:
    megabytes = facts["share_megabytes"] if key == "datatrove" else facts["raw_megabytes"]
    return megabytes / median(runs, "cpu")


def _report(facts: Result, results: dict[str, list[Result]]) -> str:
    own = results["headwater"]
    rate = _rate(facts, "headwater", own)
    rows = [["**headwater, all of it**", f"{median(own, 'cpu'):.2f}", f"{rate:.2f}"]]
    loading = [{"cpu": run["loading"]} for run in own]
    rows.append(["imports, loading the declarations", f"{median(loading, 'cpu'):.2f}", ""])
    for asset in own[0]["stages"]:
        cpu = median([{"cpu": run["stages"][asset]} for run in own], "cpu")
        rows.append([asset, f"{cpu:.2f}", f"{facts['raw_megabytes'] / cpu:,.1f}"])
    for parallel in results["all cores"]:
        rows.append([f"headwater, Ray on {os.cpu_count()} cores: {parallel['wall']:.0f} s by the clock", "", ""])
    if theirs := results["datatrove"]:
        scale = facts["raw_megabytes"] / facts["share_megabytes"]
        title = f"**datatrove, carried over from {facts['share_megabytes']:.1f} MB**"
        rows.append([title, f"{median(theirs, 'cpu') * scale:.0f}", f"{_rate(facts, 'datatrove', theirs):.3f}"])
        for name, cpu in theirs[0]["stages"].items():
            rows.append([f"datatrove: {name}", f"{cpu * scale:.1f}", f"{facts['share_megabytes'] / cpu:,.2f}"])
    else:
        rows.append(["datatrove", "not installed: pip install 'headwater[bench]'", ""])
    first = own[0]
    return (
        f"{told(facts)} As JSON lines {facts['raw_megabytes']:.1f} MB. Stored by Headwater: {first['signals']} signals "
        f"of each document and what was decided by which rule, evidence of each duplicate, {first['tokens']:,} tokens "
        f"with the span of each of {first['kept']:,} documents, shards; {first['stored']:.0f} MB in all. At most "
        f"{median(own, 'peak_mb'):,.0f} MB of memory.\n\n{markdown_table(['', 'CPU s', 'MB per CPU s'], rows)}"
    )


def _headlines(facts: Result, results: dict[str, list[Result]]) -> list[Headline]:
    theirs = results["datatrove"]
    peer = {"peer": "datatrove", "of_peer": _rate(facts, "datatrove", theirs)} if theirs else {}
    rate = _rate(facts, "headwater", results["headwater"])
    return [Headline("whole path", "MB per CPU s", GOAL, rate, **peer)]


if __name__ == "__main__":
    title = "The whole path, raw JSON lines to shards"
    run(Benchmark("bench_whole_path", title, _prepare, PEERS, _report, _headlines, megabytes=267.5))
