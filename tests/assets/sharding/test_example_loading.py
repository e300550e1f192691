"""Batches of examples: the samplers' arithmetic, whatever the ranks; and lineage that rests on it."""

import pickle

import numpy as np
import pytest
import torch
from planted_media import Document, image, pictures, plant_media
from small_pipelines import Lab

from headwater.assets.compute.executor import LocalExecutor
from headwater.assets.lineage.consumption import consumption
from headwater.assets.lineage.steps import trace_step
from headwater.assets.lineage.trace import locations, trace_document
from headwater.assets.sharding.component import Shards
from headwater.assets.sharding.examples.index import (
    ExampleIndex,
    ExampleRows,
    FieldFacts,
    write_example_index,
    write_example_shard,
)
from headwater.assets.sharding.examples.loader import ExampleLoader
from headwater.assets.sharding.examples.reader import ExampleReader
from headwater.assets.sharding.options import MixtureEntry, SamplingOptions
from headwater.assets.sharding.sampling import Sampler, Segment, StreamShare, segment_over
from headwater.assets.training.component import Training

FIELDS = (
    FieldFacts("image", "array", "uint8", (1, 3, 3), image=True),
    FieldFacts("tokens", "text", "uint16", (4,), blank=9),
    FieldFacts("tokens_length", "length", "int64", blank=1, length_of="tokens"),
    FieldFacts("weight", "number", "float32"),
    FieldFacts("label", "category", "int64", blank=-1, categories=("a", "b")),
)
COUNTS = {"a-train": 37, "b-train": 11, "b-held_out": 5}
WITHDRAWN = 6


def rows_of(stream: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(stream) + COUNTS[stream])
    count = COUNTS[stream]
    return {
        "image": rng.integers(0, 256, (count, 1, 3, 3)).astype(np.uint8),
        "tokens": rng.integers(0, 60_000, (count, 4)).astype(np.uint16),
        "tokens_length": rng.integers(1, 5, count),
        "weight": rng.random(count).astype(np.float32),
        "label": rng.integers(0, 2, count),
    }


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Three streams in shards of 8 and blocks of 4; example 6 of the first was withdrawn."""
    folder = str(tmp_path_factory.mktemp("examples"))
    entries = []
    for stream, count in COUNTS.items():
        rows = rows_of(stream)
        for number, first in enumerate(range(0, count, 8)):
            blocks = [_block(rows, start, min(start + 4, first + 8, count), stream) for start in (first, first + 4)]
            entries.append(write_example_shard(folder, stream, number, FIELDS, [b for b in blocks if b.samples > 0]))
    write_example_index(folder, ExampleIndex(4, FIELDS, tuple(entries), {}))
    return ExampleReader(folder)


def _block(rows, start, stop, stream):
    masked = ((WITHDRAWN, 1),) if stream == "a-train" and start <= WITHDRAWN < stop else ()
    return ExampleRows(start, stop - start, {name: values[start:stop] for name, values in rows.items()}, masked)


def sampler_over(reader, batch_size=6, **more) -> Sampler:
    mixture = [MixtureEntry(stream="a-train", weight=3), MixtureEntry(stream="b-train", weight=1)]
    options = SamplingOptions(seed=5, window_blocks=2, mixture_block=8)
    return Sampler(segment_over(reader.index, mixture, options, batch_size), **more)


def test_a_batch_holds_the_examples_that_the_sampler_names(reader):
    sampler = sampler_over(reader)
    loader = ExampleLoader(reader, sampler)
    known = {stream: rows_of(stream) for stream in COUNTS}
    for step in (0, 3, 40):
        batch = loader(step)
        streams, ids = sampler.samples_at(step)
        assert batch["stream"].tolist() == streams.tolist()
        assert batch["index"].tolist() == ids.tolist()
        assert batch["sample"].tolist() == list(range(6 * step, 6 * step + 6))
        for place, (number, index) in enumerate(zip(streams, ids, strict=True)):
            stream = sampler.streams[number]
            for name in known[stream]:
                np.testing.assert_array_equal(batch[name][place].numpy(), known[stream][name][index])
            assert bool(batch["valid"][place]) == ((stream, index) != ("a-train", WITHDRAWN))
    types = {name: str(values.dtype).removeprefix("torch.") for name, values in batch.items()}
    whole = ("tokens", "tokens_length", "length", "label", "sample", "stream", "index")
    assert types == dict.fromkeys(whole, "int64") | {"image": "uint8", "weight": "float32", "valid": "bool"}


def test_the_withdrawn_example_comes_once_an_epoch_and_is_marked(reader):
    segment = Segment((StreamShare("a-train", 37),), 4, 2, 37, seed=1, batch_size=37)
    batch = ExampleLoader(reader, Sampler(segment))(2)
    assert sorted(batch["index"].tolist()) == list(range(37))
    assert batch["index"][~batch["valid"]].tolist() == [WITHDRAWN]
    assert WITHDRAWN not in reader.everything("a-train")["index"]


@pytest.mark.parametrize("world", [2, 3, 6])
def test_any_number_of_ranks_gives_the_same_global_batch(reader, world):
    sampler = sampler_over(reader)
    whole = ExampleLoader(reader, sampler)(7)
    parts = [ExampleLoader(pickle.loads(pickle.dumps(reader)), sampler, rank, world)(7) for rank in range(world)]
    assert whole.keys() == parts[0].keys()
    for name, values in whole.items():
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), values, rtol=0, atol=0)


def test_resuming_after_a_ramp_reads_on_where_the_order_stopped(reader):
    first = sampler_over(reader).segments[0]
    ramped = Sampler([first, first.with_batch_size(12, from_step=4)])
    plain = ExampleLoader(reader, sampler_over(reader))
    batch = ExampleLoader(reader, ramped)(5)
    expected = [plain(step)["index"] for step in (6, 7)]
    assert batch["index"].tolist() == torch.cat(expected).tolist()


def test_loaders_refuse_shards_that_lack_examples_and_ranks_that_do_not_exist(reader):
    more = Sampler(Segment((StreamShare("a-train", 99),), 4, 2, 8, seed=1, batch_size=2))
    with pytest.raises(ValueError, match=r"needs 99 examples, .* holds 37"):
        ExampleLoader(reader, more)
    with pytest.raises(ValueError, match="rank 2 is not one of 2"):
        ExampleLoader(reader, sampler_over(reader), rank=2, world=2)


class Backwards(LocalExecutor):
    """Workers that finish in the opposite order."""

    def map(self, function, items, waiting=None, on_gpu=False):
        yield from reversed([(index, function(item)) for index, item in enumerate(items)])


def examples(**options) -> Shards:
    fields = {"image": {"kind": "array"}, "label": {"kind": "category"}}
    given = {"corpora": ["things"], "block_samples": 4, "shard_megabytes": 0.001, "examples": {"fields": fields}}
    return Shards(name="shown", **given | options)


def test_the_order_in_which_workers_finish_changes_nothing(lab, tmp_path, monkeypatch):
    other = Lab(tmp_path / "other", tmp_path / "other_store")
    for each in (lab, other):
        plant_media(each.store, pictures(30))
    lab.run(examples())
    monkeypatch.setattr(LocalExecutor, "map", Backwards.map)
    other.run(examples())
    assert lab.record("shown/shards").files == other.record("shown/shards").files
    assert lab.record("shown/shards").content_version == other.record("shown/shards").content_version


def test_every_step_of_an_example_is_traced_before_and_after_a_refresh(lab):
    documents = pictures(40)
    plant_media(lab.store, documents)
    training = Training(
        name="seen",
        shards="shown",
        seeds=[0],
        backbone={"kind": "resnet", "widths": [8], "blocks": [1]},
        objective={"kind": "classify"},
        recipe={
            "steps": 9,
            "batch_size": 4,
            "optimizer": {"kind": "adamw", "learning_rate": 1e-3},
            "schedule": {"kind": "constant"},
            "precision": "float32",
            "checkpoint_every_seconds": None,
        },
        tracking=[],
    )
    lab.run(examples(), training)
    checkpoint, shards = lab.record("seen/checkpoint"), lab.record("shown/shards")
    folder = lab.store.place("shown/shards").folder(shards.digest)
    sampler = Sampler([Segment.from_record(segment) for segment in checkpoint.metrics["segments"]])
    loader = ExampleLoader(ExampleReader(folder), sampler)
    pixels = {d.arrays["image"].transpose(2, 0, 1).tobytes(): d.doc_id for d in documents}
    seen: dict[str, list[int]] = {}
    for step in range(9):
        read = [pixels[row.numpy().tobytes()] for row in loader(step)["image"]]
        assert [doc for sample in trace_step(lab.store, checkpoint, step).samples for doc in ids_of(sample)] == read
        for doc_id in read:
            seen.setdefault(doc_id, []).append(step)
    for document in documents:
        if document.split == "train":
            found = trace_document(lab.store, checkpoint, document.doc_id)
            assert list(found.steps) == sorted(set(seen.get(document.doc_id, [])))
            place = locations(lab.store, shards, found.stream, found.start, found.length)[0]
            with open(f"{folder}/{place.file}", "rb") as file:
                file.seek(place.byte)
                assert file.read(place.bytes) == document.arrays["image"].transpose(2, 0, 1).tobytes()
    counted = consumption(lab.store, checkpoint)
    draws = dict(zip(counted["doc_id"].to_pylist(), counted["draws"].to_pylist(), strict=True))
    assert {doc: n for doc, n in draws.items() if n} == {doc: len(steps) for doc, steps in seen.items()}
    plant_media(lab.store, [*documents[2:], Document(90, {"image": image(90)}, {"label": "cat"})])
    lab.run(examples())
    assert trace_document(lab.store, checkpoint, documents[1].doc_id).steps == tuple(seen.get(documents[1].doc_id, []))


def ids_of(sample) -> list[str]:
    return [part.doc_id for part in sample.parts]
