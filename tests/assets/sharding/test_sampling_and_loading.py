"""A step's samples and a sample's steps agree with an explicit log: epochs, mixtures, ramps, refreshes and ranks."""

import json
import pickle
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.sharding import sampling
from headwater.assets.sharding.loader import Loader
from headwater.assets.sharding.options import MixtureEntry, SamplingOptions
from headwater.assets.sharding.packing import pack_blocks, plan_shards, segments_of
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.sampling import (
    Sampler,
    Segment,
    SegmentOrder,
    StreamShare,
    segment_over,
    share_of_rank,
)
from headwater.assets.sharding.shards import ShardIndex, write_index, write_shard

LENGTH, BLOCK, PAD = 8, 4, 1
HOLES = [(20, 9), (100, 3)]
TOKENS = {
    name: np.random.default_rng(seed).choice([0, 5, 6, 7, 8], size, p=[0.1, 0.3, 0.2, 0.2, 0.2]).astype(np.uint16)
    for seed, (name, size) in enumerate({"a-train": 301, "b-train": 90, "b-held_out": 40}.items())
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("shards"))
    entries = [
        write_shard(
            folder,
            name,
            plan.number,
            pack_blocks(
                [tokens[plan.token_start : plan.token_stop]],
                plan,
                LENGTH,
                BLOCK,
                PAD,
                HOLES if name == "a-train" else [],
            ),
        )
        for name, tokens in TOKENS.items()
        for plan in plan_shards(len(tokens), LENGTH, BLOCK, 2 * BLOCK)
    ]
    write_index(folder, ShardIndex(LENGTH, BLOCK, "uint16", 0, PAD, tuple(entries)))
    return ShardReader(folder)


def segment(batch_size=6, seed=3, samples=(38, 12), **more):
    shares = (StreamShare("a-train", samples[0], 3.0), StreamShare("b-train", samples[1], 1.0))
    return Segment(shares, BLOCK, 2, 16, seed, batch_size, **more)


def a_long_run():
    """A ramp from 6 to 10 at step 20 with the same order, then a refresh with more samples and another mixture."""
    first = segment()
    ramp = first.with_batch_size(10, 20)
    grown = Segment(
        (StreamShare("c-train", 7, 1.0), StreamShare("a-train", 41, 1.0)), BLOCK, 3, 10, 3, 5, first_step=50
    )
    return Sampler([first, ramp, grown])


def test_steps_of_agrees_with_a_log(monkeypatch):
    monkeypatch.setattr(sampling, "_CHUNK", 64)
    sampler = a_long_run()
    log = defaultdict(list)
    for step in range(90):
        streams, samples = sampler.samples_at(step)
        assert len(streams) == len(samples) == sampler.batch_size(step)
        for number, sample in zip(streams, samples, strict=True):
            log[sampler.streams[number], int(sample)].append(step)
    assert sampler.streams == ("a-train", "b-train", "c-train")
    assert max(map(len, log.values())) > 12
    for stream in (*sampler.streams, "unknown"):
        for sample in range(45):
            seen = log[stream, sample]
            for up_to in (0, 7, 20, 33, 50, 51, 90):
                assert sampler.steps_of(stream, sample, up_to) == [step for step in seen if step < up_to]
    assert sampler.steps_of_samples("c-train", [0, 1], 90) == sorted({*log["c-train", 0], *log["c-train", 1]})


@settings(max_examples=30, deadline=None)
@given(batch=st.integers(1, 40), seed=st.integers(0, 2**63 - 1), sizes=st.tuples(st.integers(1, 50), st.integers(1, 9)))
def test_an_epoch_of_each_stream_has_every_sample_once(batch, seed, sizes):
    sampler = Sampler(segment(batch, seed, sizes))
    steps = -(-16 * (max(sizes) + 1) // batch)
    streams, samples = (np.concatenate(part) for part in zip(*map(sampler.samples_at, range(steps)), strict=True))
    whole = len(streams) // 16 * 16
    for number, size in enumerate(sizes):
        drawn = samples[:whole][streams[:whole] == number]
        assert len(drawn) == whole // 16 * (12, 4)[number]
        assert np.bincount(drawn, minlength=size).max() - np.bincount(drawn, minlength=size).min() <= 2
    sample = int(samples[-1])
    assert steps - 1 in sampler.steps_of(sampler.streams[streams[-1]], sample, steps)


def test_a_ramp_goes_on_where_the_smaller_batch_stopped():
    plain, ramped = Sampler(segment(1)), Sampler([segment(6), segment(6).with_batch_size(10, 20)])
    order = [int(plain.samples_at(step)[1][0]) for step in range(220)]
    drawn = np.concatenate([ramped.samples_at(step)[1] for step in range(30)]).tolist()
    assert drawn == order


def test_a_segment_survives_its_record():
    for part in a_long_run().segments:
        assert Segment.from_record(json.loads(json.dumps(part.to_record()))) == part
    copy = pickle.loads(pickle.dumps(a_long_run()))
    assert np.array_equal(copy.samples_at(60)[1], a_long_run().samples_at(60)[1])


def test_a_stream_keeps_its_order_beside_others():
    alone = Sampler(Segment((StreamShare("a-train", 38),), BLOCK, 2, 16, 3, 1))
    first = [int(alone.samples_at(step)[1][0]) for step in range(100)]
    # The mixture draws the same epochs of the stream, though not at the same steps.
    beside = SegmentOrder(segment())
    positions = [beside.positions_of("a-train", sample, 500)[0] for sample in range(38)]
    component, samples = beside.samples_at(np.arange(500))
    assert sorted(samples[component == 0][:36]) != list(range(36))
    assert max(positions) < 16 * 4
    other = Sampler(Segment((StreamShare("b-train", 38),), BLOCK, 2, 16, 3, 1))
    assert [int(other.samples_at(step)[1][0]) for step in range(100)] != first


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "begin at step 0"),
        ([segment(first_step=3)], "begin at step 0"),
        ([segment(), segment()], "later and later"),
        ([segment(0)], "at least one sample"),
        ([segment(samples=(38, 0))], r"without samples.*b-train"),
        ([Segment((StreamShare("a", 1), StreamShare("a", 2)), 1, 1, 16, 0, 1)], "stands twice"),
    ],
)
def test_wrong_segments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Sampler(wrong)


def test_segment_over_the_shards(reader):
    options = SamplingOptions(seed=5, window_blocks=2, mixture_block=32)
    by_size = segment_over(reader.index, [], options, 4)
    assert by_size.streams == (StreamShare("a-train", 38, 38.0), StreamShare("b-train", 12, 12.0))
    assert (by_size.block_samples, by_size.window_blocks, by_size.seed, by_size.batch_size) == (BLOCK, 2, 5, 4)
    named = segment_over(reader.index, [MixtureEntry(stream="b-train", weight=2)], options, 4)
    assert named.streams == (StreamShare("b-train", 12, 2.0),)
    with pytest.raises(ValueError, match=r"names \['x'\]; the shards have \['a-train', 'b-held_out', 'b-train'\]"):
        segment_over(reader.index, [MixtureEntry(stream="x")], options, 4)


def test_a_batch_holds_what_the_sampler_says(reader):
    sampler = Sampler(segment())
    load = Loader(reader, sampler, end_of_text=0)
    holes = set()
    for step in range(40):
        batch = load(step)
        kinds = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in batch.items()}
        assert kinds["tokens"] == (torch.int64, (6, LENGTH))
        assert kinds["segments"] == (torch.int32, (6, LENGTH))
        assert kinds["loss_mask"] == (torch.bool, (6, LENGTH))
        assert kinds["sample"] == kinds["stream"] == kinds["index"] == (torch.int64, (6,))
        assert batch["sample"].tolist() == list(range(step * 6, step * 6 + 6))
        streams, samples = sampler.samples_at(step)
        assert batch["stream"].tolist() == streams.tolist()
        assert batch["index"].tolist() == samples.tolist()
        for row, (number, sample) in enumerate(zip(streams, samples, strict=True)):
            name = sampler.streams[number]
            place = np.arange(sample * LENGTH, (sample + 1) * LENGTH)
            gone = {p for first, n in HOLES for p in range(first, first + n)} if name == "a-train" else set()
            stream = TOKENS[name]
            real = [p < len(stream) and p not in gone for p in place]
            holes.update(p for p in place if p in gone)
            assert batch["loss_mask"][row].tolist() == real
            expected = [int(stream[p]) if ok else PAD for p, ok in zip(place, real, strict=True)]
            assert batch["tokens"][row].tolist() == expected
            assert batch["segments"][row].tolist() == segments_of(np.array(expected), 0).tolist()
    assert len(holes) == 12


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_together_are_one_rank(reader, world):
    sampler = a_long_run()
    sampler = Sampler(sampler.segments[:1])
    whole = Loader(reader, sampler, 0)
    ranks = [Loader(reader, sampler, 0, rank, world) for rank in range(world)]
    for step in (0, 7, 30):
        parts = [load(step) for load in ranks]
        for name, tensor in whole(step).items():
            assert torch.equal(torch.cat([part[name] for part in parts]), tensor)


def test_loaders_that_cannot_be_right_are_refused(reader):
    with pytest.raises(ValueError, match="cannot be shared equally by 4"):
        Loader(reader, Sampler(segment()), 0, 0, 4)(0)
    with pytest.raises(ValueError, match="rank 2 is not one of 2"):
        Loader(reader, Sampler(segment()), 0, 2, 2)
    with pytest.raises(ValueError, match=r"stream b-train: the order needs 13 samples.*holds 12"):
        Loader(reader, Sampler(segment(samples=(38, 13))), 0)
    with pytest.raises(ValueError, match="end_of_text is 65536, which is no token"):
        Loader(reader, Sampler(segment()), 1 << 16)
    with pytest.raises(ValueError, match="no step -1"):
        Loader(reader, Sampler(segment()), 0)(-1)
    assert share_of_rank(6, 1, 2) == slice(3, 6)
