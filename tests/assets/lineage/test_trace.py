"""From a document to the steps that saw it, against a log of what the loader delivered."""

from collections import defaultdict

import numpy as np
import pytest
from small_pipelines import bytes_tokenizer, notes, packed, plant, tiny_training

from headwater.assets.context import StageError
from headwater.assets.lineage.trace import a_seen_document, trace_document
from headwater.assets.sharding.loader import Loader
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.sampling import Sampler, Segment

STEPS = 30


@pytest.fixture
def trained(lab):
    plant(lab, 30)
    plant(lab, 12, "more.jsonl", first=300, words=25)
    mixture = [{"name": "notes", "weight": 3}, {"name": "more", "weight": 1}]
    lab.run(notes(), notes("more", "more.jsonl"), bytes_tokenizer(), packed(mixture), tiny_training(STEPS))
    return lab


def loader_of(lab):
    checkpoint, shards = lab.record("tiny/checkpoint"), lab.record("packed/shards")
    sampler = Sampler([Segment.from_record(segment) for segment in checkpoint.metrics["segments"]])
    reader = ShardReader(lab.store.place("packed/shards").folder(shards.digest))
    return Loader(reader, sampler, reader.index.end_of_text), sampler


def test_a_trace_names_exactly_the_steps_whose_batches_held_the_document(trained):
    loader, sampler = loader_of(trained)
    length = loader.reader.sequence_length
    owners = defaultdict(dict)  # stream → place → document, written down token by token
    for span in trained.table("packed/tokens", "spans").to_pylist():
        owners[span["stream"]] |= dict.fromkeys(range(span["start"], span["start"] + span["length"]), span["doc_id"])
    seen = defaultdict(set)
    for step in range(STEPS):
        batch = loader(step)
        for stream, sample in zip(batch["stream"].tolist(), batch["index"].tolist(), strict=True):
            places = owners[sampler.streams[stream]]
            for place in range(sample * length, (sample + 1) * length):
                if place in places:
                    seen[places[place]].add(step)
    checkpoint = trained.record("tiny/checkpoint")
    spans = trained.table("packed/tokens", "spans").to_pylist()
    for span in spans:
        trace = trace_document(trained.store, checkpoint, span["doc_id"])
        assert list(trace.steps) == sorted(seen[span["doc_id"]]), span
        assert (trace.stream, trace.start, trace.length) == (span["stream"], span["start"], span["length"])
    held_out = [s["doc_id"] for s in spans if s["stream"].endswith("-held_out")]
    assert held_out
    assert not any(seen[doc_id] for doc_id in held_out), "a held-out document was trained on"
    assert sum(map(bool, seen.values())) > 20


def test_batches_hold_the_tokens_of_the_stream(trained):
    loader, sampler = loader_of(trained)
    length = loader.reader.sequence_length
    streams = {}
    for name in sampler.streams:
        rows = trained.table("packed/tokens", name, ["tokens"])["tokens"].to_pylist()
        streams[name] = np.concatenate([np.array(row) for row in rows])
    for step in range(STEPS):
        batch = loader(step)
        for row in range(len(batch["tokens"])):
            stream = streams[sampler.streams[int(batch["stream"][row])]]
            expected = stream[int(batch["index"][row]) * length :][:length]
            assert batch["tokens"][row].numpy()[: len(expected)].tolist() == expected.tolist()
            assert batch["loss_mask"][row].sum() == len(expected)


def test_weights_are_shares_of_the_samples(trained):
    _, sampler = loader_of(trained)
    drawn = np.concatenate([sampler.samples_at(step)[0] for step in range(1024 // 4)])
    shares = np.bincount(drawn) / len(drawn)
    assert dict(zip(sampler.streams, shares.tolist(), strict=True)) == {"notes-train": 0.75, "more-train": 0.25}


def test_an_old_checkpoint_is_traced_in_what_it_was_trained_on(trained):
    old = trained.record("tiny/checkpoint")
    gone = trained.table("packed/tokens", "spans")["doc_id"].to_pylist()[0]
    before = trace_document(trained.store, old, gone)
    plant(trained, 20, first=100)
    mixture = [{"name": "notes", "weight": 3}, {"name": "more", "weight": 1}]
    trained.run(notes(), notes("more", "more.jsonl"), bytes_tokenizer(), packed(mixture), tiny_training(STEPS))
    assert trace_document(trained.store, old, gone) == before
    with pytest.raises(StageError, match="is in no corpus of packed/tokens"):
        trace_document(trained.store, trained.record("tiny/checkpoint"), gone)


def test_an_unknown_document_and_a_bad_id_are_refused(trained):
    checkpoint = trained.record("tiny/checkpoint")
    with pytest.raises(StageError, match="0 is in no corpus of packed/tokens"):
        trace_document(trained.store, checkpoint, "0" * 32)
    with pytest.raises(StageError, match="32 hexadecimal digits"):
        trace_document(trained.store, checkpoint, "x' or 1=1 --")


def test_a_seen_document_was_seen(trained):
    trace = a_seen_document(trained.store, trained.record("tiny/checkpoint"))
    assert trace is not None
    assert trace.steps
    assert trace.stream.endswith("-train")


def test_a_dropped_document_names_the_stage_and_the_rule(lab):
    texts = plant(lab, 10)
    lab.write_jsonl("notes.jsonl", [*({"text": text} for text in texts), {"text": "two words"}, {"text": texts[0]}])
    lab.run(notes(held_out={"share": 0.0}), bytes_tokenizer(), packed(), tiny_training(2))
    checkpoint = lab.record("tiny/checkpoint")
    decisions = lab.table("notes/deduplicated", "decisions").to_pylist()
    for row in decisions:
        if row["kept"]:
            assert trace_document(lab.store, checkpoint, row["doc_id"]).doc_id == row["doc_id"]
        else:
            with pytest.raises(StageError, match=rf"was dropped by {row['stage']}: {row['rule']}"):
                trace_document(lab.store, checkpoint, row["doc_id"])
    assert sorted(row["stage"] for row in decisions if not row["kept"]) == ["curated", "deduplicated"]
