"""Traces against an independent log: what two ranks of the real loader delivered, token by token.

The run they belong to has everything that moves a position: a mixture, a batch ramp, a resume, and a refresh of the
shards in its midst that appends documents and takes others away.
"""

from collections import defaultdict

import numpy as np
import pytest
from small_pipelines import bytes_tokenizer, notes, packed, plant, prose, tiny_training

from headwater.assets.context import StageError
from headwater.assets.lineage.consumption import consumption
from headwater.assets.lineage.steps import trace_step
from headwater.assets.lineage.trace import trace_document
from headwater.assets.sharding.loader import Loader
from headwater.assets.sharding.options import MixtureEntry, SamplingOptions
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.sampling import Sampler, Segment, segment_over

RAMP, REFRESH, STEPS, SAVED = 10, 25, 60, 17
RANKS = 2
SAMPLING = SamplingOptions(mixture_block=64, window_blocks=2, seed=7)


def corpora():
    mixture = [{"name": "notes", "weight": 3}, {"name": "more", "weight": 1}]
    source = {"source": {"id_field": "id"}}
    return notes(**source), notes("more", "more.jsonl", **source), bytes_tokenizer(), packed(mixture)


class Log:
    """What the loader delivered: for each document the tokens read at each step."""

    def __init__(self, lab) -> None:
        self.lab = lab
        self.seen = defaultdict(lambda: defaultdict(int))  # document → step → tokens

    def forget(self, from_step: int) -> None:
        """Steps that a killed run made after its last saved state are made again."""
        for steps in self.seen.values():
            for step in [step for step in steps if step >= from_step]:
                del steps[step]

    def read(self, shards, tokens, segments, steps: range) -> None:
        """Runs both ranks and notes whose tokens came, each verified against the document's own tokens."""
        reader = ShardReader(self.lab.store.place(shards.asset).folder(shards.digest))
        loaders = [Loader(reader, Sampler(segments), reader.index.end_of_text, rank, RANKS) for rank in range(RANKS)]
        owners = self.owners(tokens)
        for step in steps:
            for loader in loaders:
                batch = loader(step)
                rows = zip(batch["stream"].tolist(), batch["index"].tolist(), strict=True)
                for row, (number, sample) in enumerate(rows):
                    own = owners[loader.sampler.streams[number]]
                    for place in np.flatnonzero(batch["loss_mask"][row].numpy()):
                        doc_id, token = own[sample * reader.sequence_length + int(place)]
                        assert token == int(batch["tokens"][row, place])
                        self.seen[doc_id][step] += 1

    def owners(self, tokens):
        """Stream → place → (document, token): from the spans and the documents' own token rows."""
        place = self.lab.store.place(tokens.asset)
        ids = {}
        for name in tokens.tables:
            if name.endswith(("-train", "-held_out")):
                rows = read(place, tokens, name)
                ids |= dict(zip(rows["doc_id"].to_pylist(), rows["tokens"].to_pylist(), strict=True))
        found = defaultdict(dict)
        for span in read(place, tokens, "spans").to_pylist():
            own = ids[span["doc_id"]]
            assert len(own) == span["length"]
            found[span["stream"]] |= {span["start"] + n: (span["doc_id"], token) for n, token in enumerate(own)}
        return found


def read(place, record, table):
    from headwater.assets.storage.tables import read_table

    return read_table(place.table(table), record.tables[table].version)


def segment_of(lab, shards, weights, batch_size: int, first_step: int) -> Segment:
    index = ShardReader(lab.store.place(shards.asset).folder(shards.digest)).index
    mixture = [MixtureEntry(stream=stream, weight=weight) for stream, weight in weights.items()]
    made = segment_over(index, mixture, SAMPLING, batch_size).to_record()
    return Segment.from_record({**made, "shards": shards.digest, "first_step": first_step})


@pytest.fixture
def run(lab):
    """(the lab, the record of a checkpoint over two versions of the shards, the log, ids gone and come)."""
    plant(lab, 30)
    plant(lab, 12, "more.jsonl", first=300, words=25)
    lab.run(*corpora(), tiny_training(2))
    old = lab.record("packed/shards"), lab.record("packed/tokens")
    gone = (
        lab.table("packed/tokens", "spans")
        .filter(np.isin(lab.table("packed/tokens", "spans")["stream"].to_numpy(), ["notes-train"]))["doc_id"]
        .to_pylist()[3:6]
    )
    uris = lab.table("notes/raw", "ledger").to_pylist()
    lost = {row["uri"].rpartition("=")[2] for row in uris if row["doc_id"] in gone}
    left = [n for n in range(30) if f"d{n}" not in lost]
    lab.write_jsonl("notes.jsonl", [{"id": f"d{n}", "text": prose(n)} for n in [*left, *range(100, 108)]])
    lab.run(*corpora(), tiny_training(2))
    new = lab.record("packed/shards"), lab.record("packed/tokens")
    assert old[0].digest != new[0].digest
    first = segment_of(lab, old[0], {"notes-train": 3, "more-train": 1}, 4, 0)
    ramp = first.with_batch_size(8, RAMP)
    later = segment_of(lab, new[0], {"notes-train": 1, "more-train": 1}, 6, REFRESH)
    log = Log(lab)
    log.read(*old, (first, ramp), range(REFRESH - 3))  # killed here, and resumed from an earlier state
    log.forget(SAVED)
    log.read(*old, (first, ramp), range(SAVED, REFRESH))
    log.read(*new, (first, ramp, later), range(REFRESH, STEPS))
    checkpoint = lab.record("tiny/checkpoint")
    segments = [segment.to_record() for segment in (first, ramp, later)]
    metrics = checkpoint.metrics | {"segments": segments, "steps": STEPS}
    return lab, checkpoint.model_copy(update={"metrics": metrics}), log.seen, gone


def test_traces_agree_with_what_the_loader_delivered(run):
    lab, checkpoint, seen, gone = run
    known = {row["doc_id"] for shards in ("notes/raw", "more/raw") for row in lab.table(shards, "ledger").to_pylist()}
    assert len(set(seen) - known) == len(gone)
    assert set(gone) <= set(seen)
    for doc_id in sorted(known | set(gone)):
        try:
            steps = list(trace_document(lab.store, checkpoint, doc_id).steps)
        except StageError:
            steps = []
        assert steps == sorted(seen[doc_id]), doc_id
    assert all(max(seen[doc_id], default=0) < REFRESH for doc_id in gone), "a withdrawn document was read again"
    came = [doc_id for doc_id, steps in seen.items() if steps and min(steps) >= REFRESH]
    assert len(came) >= 3, "no document of the refresh was read"


@pytest.mark.parametrize("rows_per_range", [0, 10**9], ids=["by index", "by reading"])
def test_steps_name_the_documents_that_the_loader_delivered(run, monkeypatch, rows_per_range):
    lab, checkpoint, seen, _ = run
    monkeypatch.setattr("headwater.assets.lineage.steps._ROWS_PER_RANGE", rows_per_range)
    monkeypatch.setattr("headwater.assets.storage.indexes.ROWS_PER_LOOKUP", rows_per_range)
    for step in (0, RAMP - 1, RAMP, SAVED, REFRESH - 1, REFRESH, STEPS - 1):
        found = trace_step(lab.store, checkpoint, step)
        tokens = defaultdict(int)
        for sample in found.samples:
            for part in sample.parts:
                tokens[part.doc_id] += part.stop - part.first
        assert tokens == {doc_id: steps[step] for doc_id, steps in seen.items() if step in steps}
        assert found.batch_size == (4 if step < RAMP else 8 if step < REFRESH else 6)
        assert all(part.uri for sample in found.samples for part in sample.parts)


def test_figures_of_all_documents_at_once_agree(run):
    lab, checkpoint, seen, _ = run
    rows = {row["doc_id"]: row for row in consumption(lab.store, checkpoint).to_pylist()}
    assert {doc_id for doc_id, row in rows.items() if row["first_step"] is not None} == {
        i for i, s in seen.items() if s
    }
    for doc_id, steps in seen.items():
        if steps:
            row = rows[doc_id]
            assert (row["first_step"], row["last_step"]) == (min(steps), max(steps)), doc_id
            assert row["tokens_seen"] == sum(steps.values()), doc_id
            assert row["draws"] >= len(steps)
