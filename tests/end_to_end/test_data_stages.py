"""tokenizer, tokens and shards on real tables: nothing of a kept document is lost, doubled or moved."""

import json
import re
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import webdataset
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, prose, stages_of
from tokenizers import Tokenizer

from headwater.assets.fitting.component import Fit
from headwater.assets.fitting.stage import tokenizer_at
from headwater.assets.running import StageError, run_stage
from headwater.assets.sharding.component import Shards
from headwater.assets.sharding.reader import ShardReader

HARD = ["a" * 900, "été 漢字 🎈 \u200b x y z", "<|endoftext|> is not the end <|pad|> a b", "one\n\n\ttwo   three"]


@pytest.fixture
def filled(lab) -> Lab:
    texts = [*(prose(n, 10 + 7 * (n % 9)) for n in range(30)), *HARD]
    for part in range(3):
        lab.write_jsonl(f"part{part}.jsonl", [{"text": text} for text in texts[part::3]])
    rules = {"transforms": [], "rules": []}
    lab.corpus = notes(path="part*.jsonl", curation=rules, compute={"partition_megabytes": 0.001})
    lab.run(lab.corpus, bytes_tokenizer(), packed())
    return lab


def kept_texts(lab: Lab, split: str) -> dict[str, str]:
    rows = zip(
        lab.table("notes/raw", "ledger").to_pylist(),
        lab.table("notes/deduplicated", "decisions").to_pylist(),
        strict=True,
    )
    kept = [ledger["doc_id"] for ledger, decision in rows if decision["kept"] and ledger["split"] == split]
    documents = lab.table("notes/signals", "documents")
    texts = dict(zip(documents["doc_id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    return {doc_id: texts[doc_id] for doc_id in kept}


def streams(lab: Lab) -> dict[str, np.ndarray]:
    names = [name for name in lab.record("packed/tokens").tables if name not in ("spans", "holes")]
    rows = {name: lab.table("packed/tokens", name, ["tokens"])["tokens"].to_pylist() for name in names}
    return {name: np.concatenate([np.array(row) for row in found]) for name, found in rows.items() if found}


def test_spans_tile_their_streams_and_decode_to_the_kept_texts(filled):
    tokenizer = tokenizer_at(filled.store, filled.record("letters/tokenizer"))
    spans = filled.table("packed/tokens", "spans").to_pylist()
    found = streams(filled)
    for split in ("train", "held_out"):
        name, texts = f"notes-{split}", kept_texts(filled, split)
        own = [span for span in spans if span["stream"] == name]
        assert [span["doc_id"] for span in own] == list(texts)
        place = 0
        for span in own:
            assert span["start"] == place
            place += span["length"]
            tokens = found[name][span["start"] : place].tolist()
            assert tokens[0] == tokenizer.end_of_text_id
            assert tokenizer.end_of_text_id not in tokens[1:], "a text spelled a special token"
            assert tokenizer.decode(tokens[1:]) == texts[span["doc_id"]]
            assert span["bytes"] == len(texts[span["doc_id"]].encode())
            assert span["source"] == "jsonl"
        assert place == len(found[name])
        assert own


def test_shards_hold_exactly_the_streams_for_the_webdataset_library(filled):
    record = filled.record("packed/shards")
    folder = Path(filled.store.place("packed/shards").folder(record.digest))
    reader, length = ShardReader(str(folder)), record.metrics["sequence_length"]
    assert record.metrics["shards"] > 4
    for name, stream in streams(filled).items():
        tars = [str(folder / shard.file) for shard in reader.index.shards if shard.stream == name]
        dataset = webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)
        blocks = [np.load(BytesIO(sample[key])) for sample in dataset for key in sample if key.endswith("npy")]
        tokens = np.concatenate([block.reshape(-1) for block in blocks])
        assert tokens[: len(stream)].tolist() == stream.tolist()
        assert len(tokens) - len(stream) < length
        assert set(tokens[len(stream) :].tolist()) <= {reader.index.pad}
        samples = reader.samples(name, np.arange(reader.streams[name]))
        assert samples.reshape(-1).tolist() == tokens.tolist()
    assert set(record.files) == {path.relative_to(folder).as_posix() for path in folder.rglob("*.tar")}


def test_shards_are_plain_uncompressed_tars_that_are_the_same_each_time(filled, tmp_path):
    other = Lab(filled.root, tmp_path / "other")
    other.run(filled.corpus, bytes_tokenizer(), packed())
    one, two = filled.record("packed/shards"), other.record("packed/shards")
    assert one.files == two.files
    folder = Path(filled.store.place("packed/shards").folder(one.digest))
    with tarfile.open(folder / next(iter(one.files)), "r:") as tar:
        assert len(tar.getmembers()) > 0


def test_the_published_tokenizer_is_read_by_the_tokenizers_library(filled):
    record = filled.record("letters/tokenizer")
    path = Path(filled.store.place("letters/tokenizer").folder(record.digest), "tokenizer.json")
    theirs = Tokenizer.from_file(str(path))
    ours = tokenizer_at(filled.store, record)
    assert theirs.encode("Some words.").ids == ours.encode("Some words.")
    assert theirs.get_vocab_size() == record.metrics["vocabulary_size"] == 320


def test_the_tokenizer_is_fitted_on_training_documents_alone(lab):
    secret = "qxqx " * 200
    lab.write_jsonl(
        "notes.jsonl", [{"text": prose(n), "site": "a"} for n in range(10)] + [{"text": secret, "site": "b"}]
    )
    for seed in range(30):  # a seed that holds site b out and nothing else
        corpus = notes(held_out={"share": 0.5, "seed": seed}, source={"group_field": "site"})
        lab.run(corpus, until="deduplicated")
        splits = lab.table("notes/raw", "ledger")["split"].to_pylist()
        if splits == ["train"] * 10 + ["held_out"]:
            break
    lab.run(corpus, bytes_tokenizer())
    vocabulary = json.dumps(tokenizer_at(lab.store, lab.record("letters/tokenizer")).tokenizer.get_vocab())
    assert "qx" not in vocabulary
    lab.run(notes(held_out={"share": 0.0}), bytes_tokenizer())
    assert "qx" in json.dumps(tokenizer_at(lab.store, lab.record("letters/tokenizer")).tokenizer.get_vocab())


def test_ones_own_tokenizer_is_taken_as_it_is(lab):
    plant(lab, 20)
    lab.run(notes(), bytes_tokenizer())
    record = lab.record("letters/tokenizer")
    text = Path(lab.store.place("letters/tokenizer").folder(record.digest), "tokenizer.json").read_text()
    (lab.root / "mine.json").write_text(text)
    own = {"kind": "tokenizer_file", "path": "mine.json", "end_of_text": "<|endoftext|>", "pad": "<|pad|>"}
    mine = Fit(name="mine", corpus="notes", fit=own)
    shards = Shards(name="own", corpora=["notes"], tokenizer="mine", sequence_length=32)
    lab.run(notes(), mine, shards, bytes_tokenizer(), packed())
    assert lab.record("mine/tokenizer").files == record.files
    assert lab.record("own/tokens").content_version == lab.record("packed/tokens").content_version
    (lab.root / "mine.json").write_text(text + "\n")
    assert not run_stage(stages_of(mine)[0], lab.store, lab.workspace).reused
    wrong = Fit(name="mine", corpus="notes", fit=own | {"end_of_text": "<s>"})
    with pytest.raises(ValueError, match=r"mine\.json: there is no token '<s>'; set `end_of_text`"):
        run_stage(stages_of(wrong)[0], lab.store, lab.workspace)


def test_a_corpus_without_training_documents_is_named(lab):
    plant(lab, 5)
    with pytest.raises(StageError, match=r"letters/tokenizer: none of the 5 documents is for training"):
        lab.run(notes(held_out={"share": 1.0}), bytes_tokenizer())


def test_an_added_document_at_the_end_moves_no_other(filled):
    before = {
        s["doc_id"]: (s["stream"], s["start"], s["length"]) for s in filled.table("packed/tokens", "spans").to_pylist()
    }
    record = filled.record("letters/tokenizer")
    text = Path(filled.store.place("letters/tokenizer").folder(record.digest), "tokenizer.json").read_text()
    (filled.root / "mine.json").write_text(text)
    own = {"kind": "tokenizer_file", "path": "mine.json", "end_of_text": "<|endoftext|>", "pad": "<|pad|>"}
    filled.write_jsonl("part9.jsonl", [{"text": prose(n)} for n in range(900, 905)])
    filled.run(filled.corpus, Fit(name="letters", corpus="notes", fit=own), packed())
    after = {
        s["doc_id"]: (s["stream"], s["start"], s["length"]) for s in filled.table("packed/tokens", "spans").to_pylist()
    }
    assert len(after) == len(before) + 5
    assert {doc_id: after[doc_id] for doc_id in before} == before


def test_an_empty_held_out_split_is_no_obstacle(lab):
    plant(lab, 10)
    results = lab.run(notes(held_out={"share": 0.0}), bytes_tokenizer(), packed())
    assert results["packed/tokens"].record.metrics["held_out_tokens"] == 0
    assert all(check.passed for result in results.values() for check in result.record.checks)


def test_held_out_text_far_from_the_share_asked_for_is_a_warning_with_its_mend(lab):
    plant(lab, 30)
    lab.run(notes(held_out={"share": 0.2, "group": "document"}), until="raw")
    assert checks_of(lab, "notes/raw")["held_out_share"].passed
    lab.run(notes(held_out={"share": 0.3, "group": "file"}), until="raw")  # one file: all of it or nothing
    check = checks_of(lab, "notes/raw")["held_out_share"]
    assert not check.passed
    assert not check.blocking
    assert re.match(r"(0|100)\.0% of the bytes are held out, 30\.0%", check.description)
    assert "group: document" in check.description


def test_dates_that_nobody_understands_are_counted_and_quoted(lab):
    dates = ["2020-01-02", "2019", None, "31.02.2020", "soon"]
    records = [{"text": prose(n), "when": dates[n % 5]} for n in range(10)]
    lab.write_jsonl("part0.jsonl", [{k: v for k, v in record.items() if v is not None} for record in records])
    corpus = notes(path="part*.jsonl", source={"name": "mail", "date_field": "when"})
    lab.run(corpus, until="raw")
    check = checks_of(lab, "notes/raw")["dates"]
    assert not check.passed
    assert not check.blocking
    assert check.description.startswith(
        "The dates of 4 of 10 documents could not be understood. mail says '31.02.2020'"
    )
    assert lab.record("notes/raw").metrics["odd_dates"] == 4
    lab.write_jsonl("part0.jsonl", [{"text": prose(n), "when": "2021-05-06T07:08:09Z"} for n in range(10)])
    lab.run(corpus, until="raw")
    assert checks_of(lab, "notes/raw")["dates"].passed


def checks_of(lab, asset):
    return {check.name: check for check in lab.record(asset).checks}


def test_samples_longer_than_the_corpus_are_refused_before_anything_is_trained(lab):
    plant(lab, 5)
    with pytest.raises(StageError, match=r"sequence_length is 100,000, the longest training stream has [\d,]+ tokens"):
        lab.run(notes(), bytes_tokenizer(), packed(sequence_length=100_000))
