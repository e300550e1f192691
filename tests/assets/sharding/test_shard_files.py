"""Shards hold the stream for WebDataset, memory map and ranges alike; they grow at the end and betray damage."""

import hashlib
import json
import pickle
import re
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import fsspec
import numpy as np
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.sharding.holes import punch_holes, touching
from headwater.assets.sharding.options import MixtureEntry, SamplingOptions, ShardsOptions
from headwater.assets.sharding.packing import merge_spans, pack_blocks, plan_shards, positions_of, segments_of
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.shards import (
    ShardEntry,
    ShardError,
    ShardIndex,
    ShardLayout,
    read_index,
    shard_file,
    verify_shard,
    write_index,
    write_shard,
)
from headwater.assets.storage.file_hashes import hash_of_parts

LENGTH, BLOCK, SHARD, PAD = 8, 4, 12, 1


def stream_tokens(count, kind=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(2, 60_000, count).astype(kind)


def write(folder, streams, masked=()):
    """A folder of shards of {name: tokens}; each plan is written from chunks of uneven length."""
    entries = []
    for name, tokens in streams.items():
        for plan in plan_shards(len(tokens), LENGTH, BLOCK, SHARD):
            held = tokens[plan.token_start : plan.token_stop]
            chunks = np.split(held, [n for n in (3, 4, 50) if n < len(held)])
            blocks = pack_blocks(chunks, plan, LENGTH, BLOCK, PAD, masked)
            entries.append(write_shard(str(folder), name, plan.number, blocks))
    kind = str(next(iter(streams.values())).dtype)
    write_index(str(folder), ShardIndex(LENGTH, BLOCK, kind, 0, PAD, tuple(entries)))
    return entries


def padded(tokens):
    samples = -(-len(tokens) // LENGTH)
    return np.concatenate([tokens, np.full(samples * LENGTH - len(tokens), PAD, tokens.dtype)]).reshape(-1, LENGTH)


@settings(max_examples=60, deadline=None)
@given(total=st.integers(0, 400), more=st.integers(0, 200))
def test_plans_cover_the_stream_once_and_only_grow_at_the_end(total, more):
    plans = plan_shards(total, LENGTH, BLOCK, SHARD)
    assert [p.token_start for p in plans] == [0, *[p.token_stop for p in plans[:-1]]][: len(plans)]
    assert sum(p.token_stop - p.token_start for p in plans) == total
    assert all(p.first_sample == p.number * SHARD for p in plans)
    assert all(p.samples == SHARD for p in plans[:-1])
    full = total // (SHARD * LENGTH)
    assert plan_shards(total + more, LENGTH, BLOCK, SHARD)[:full] == plans[:full]
    held, first = -(-total // LENGTH), -(-total // LENGTH) * LENGTH
    further = plan_shards(first + more, LENGTH, BLOCK, SHARD, held, len(plans))
    assert [p.number for p in (*plans, *further)] == list(range(len(plans) + len(further)))
    assert [p.first_sample for p in further] == [held, *(p.first_sample + p.samples for p in further[:-1])][
        : len(further)
    ]
    assert [p.token_start for p in further] == [p.first_sample * LENGTH for p in further]
    assert sum(p.token_stop - p.token_start for p in further) == more


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
@pytest.mark.parametrize("total", [1, LENGTH, 95, 96, 97, 333])
def test_every_reader_gives_the_stream(tmp_path, kind, total):
    tokens = stream_tokens(total, kind)
    entries = write(tmp_path, {"a-train": tokens})
    expected = padded(tokens)

    urls = [str(tmp_path / entry.file) for entry in entries]
    blocks = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode())
    assert np.array_equal(np.concatenate([b["tokens.npy"] for b in blocks]), expected)
    assert blocks[0]["tokens.npy"].dtype == kind
    assert len({b["__key__"] for b in blocks}) == len(blocks) == -(-len(expected) // BLOCK)
    assert [b["json"]["first_sample"] for b in blocks] == list(range(0, len(expected), BLOCK))
    assert sum(b["json"]["valid"] for b in blocks) == total
    assert all(b["json"]["stream"] == "a-train" and b["json"]["masked"] == [] for b in blocks)

    reader = ShardReader(tmp_path)
    assert reader.streams == {"a-train": len(expected)}
    assert reader.valid_tokens("a-train") == total
    ids = np.random.default_rng(1).integers(0, len(expected), 50)
    assert np.array_equal(reader.samples("a-train", ids), expected[ids])
    assert np.array_equal(pickle.loads(pickle.dumps(reader)).samples("a-train", ids), expected[ids])
    assert reader.samples("a-train", np.empty(0, np.int64)).shape == (0, LENGTH)


def test_reading_takes_the_memory_of_its_samples_alone(tmp_path):
    tokens = stream_tokens(64 * 4096)
    plan = plan_shards(len(tokens), 64, 4096, 4096)[0]
    entry = write_shard(str(tmp_path), "a-train", 0, pack_blocks([tokens], plan, 64, 4096, PAD))
    write_index(str(tmp_path), ShardIndex(64, 4096, "uint16", 0, PAD, (entry,)))
    reader = ShardReader(tmp_path)
    tracemalloc.start()
    try:
        for ids in (np.array([7]), np.array([0, 4095, 17])):
            assert np.array_equal(reader.samples("a-train", ids), tokens.reshape(-1, 64)[ids])
        assert tracemalloc.get_traced_memory()[1] < entry.bytes / 2
    finally:
        tracemalloc.stop()


def test_a_remote_store_is_read_by_ranges(tmp_path, monkeypatch):
    tokens = stream_tokens(333)
    write("memory://shards-test", {"a-train": tokens})
    reader = ShardReader("memory://shards-test")
    ranges = []
    memory = type(fsspec.filesystem("memory"))
    original = memory.cat_file
    monkeypatch.setattr(
        memory, "cat_file", lambda s, path, start, end: ranges.append(end - start) or original(s, path, start, end)
    )
    ids = np.array([40, 3, 2, 41, 17])
    for _ in range(2):
        assert np.array_equal(reader.samples("a-train", ids), padded(tokens)[ids])
    assert ranges == [BLOCK * LENGTH * 2, BLOCK * LENGTH * 2, 2 * LENGTH * 2]
    for entry in read_index("memory://shards-test").shards:
        verify_shard("memory://shards-test", entry)


def test_equal_content_gives_equal_bytes_and_growth_keeps_full_shards(tmp_path):
    tokens = stream_tokens(5 * SHARD * LENGTH // 2)
    first = write(tmp_path / "one", {"a-train": tokens})
    assert write(tmp_path / "two", {"a-train": tokens}) == first
    grown = write(tmp_path / "three", {"a-train": np.concatenate([tokens, stream_tokens(200, seed=1)])})
    assert [entry.sha256 for entry in grown[:2]] == [entry.sha256 for entry in first[:2]]
    assert grown[2].sha256 != first[2].sha256
    assert [p.name for p in (tmp_path / "one").iterdir() if "part" in p.name] == []
    assert (tmp_path / "one" / first[0].file).read_bytes() == (tmp_path / "two" / first[0].file).read_bytes()


@pytest.mark.parametrize("place", ["folder", "memory://shards-that-grow"])
def test_short_blocks_in_the_middle_of_a_stream_are_read_like_any_other(tmp_path, place):
    """Three batches of additions, each with a short last sample in a short last block."""
    folder = str(tmp_path) if place == "folder" else place
    entries, expected, empty = [], [], []
    for batch, count in enumerate((77, 3, 130)):
        tokens, held = stream_tokens(count, seed=batch), len(expected)
        end = held * LENGTH + count
        for plan in plan_shards(end, LENGTH, BLOCK, SHARD, held, len(entries)):
            own = tokens[plan.token_start - held * LENGTH : plan.token_stop - held * LENGTH]
            blocks = pack_blocks([own], plan, LENGTH, BLOCK, PAD)
            entries.append(write_shard(folder, "a-train", plan.number, blocks))
        expected += padded(tokens).tolist()
        empty += [[end, len(expected) * LENGTH]] if end % LENGTH else []
    write_index(folder, ShardIndex(LENGTH, BLOCK, "uint16", 0, PAD, tuple(entries)))
    reader = ShardReader(folder)
    assert reader.streams == {"a-train": len(expected)} == {"a-train": 10 + 1 + 17}
    assert reader.valid_tokens("a-train") == 210
    assert reader.empty_spans("a-train").tolist() == empty
    assert reader.masked_spans("a-train").tolist() == []
    ids = np.random.default_rng(1).permutation(len(expected))
    assert reader.samples("a-train", ids).tolist() == [expected[i] for i in ids]


def test_withdrawn_spans_become_holes_in_their_block_only(tmp_path):
    tokens = stream_tokens(200)
    plain = write(tmp_path / "plain", {"a-train": tokens})
    entries = write(tmp_path / "holes", {"a-train": tokens}, masked=[(130, 2), (28, 10)])
    assert entries[0].blocks[0].masked == ((28, 4),)
    assert entries[0].blocks[1].masked == ((32, 6),)
    assert [e.sha256 == p.sha256 for e, p in zip(entries, plain, strict=True)] == [False, False, True]
    reader = ShardReader(tmp_path / "holes")
    expected = tokens.copy()
    expected[28:38] = expected[130:132] = PAD
    assert np.array_equal(reader.samples("a-train", np.arange(25)).ravel(), expected)
    assert reader.masked_spans("a-train").tolist() == [[28, 32], [32, 38], [130, 132]]


def test_holes_punched_later_equal_holes_written_at_once(tmp_path):
    tokens, early, late = stream_tokens(205), [(28, 10)], [(130, 2), (36, 4), (10, 0)]
    write(tmp_path / "early", {"a-train": tokens}, early)
    at_once = write(tmp_path / "at_once", {"a-train": tokens}, [*early, *late])
    reader = ShardReader(tmp_path / "early")
    sorted_late = np.array(sorted(late))
    touched = [entry for entry in reader.index.shards if touching(entry, sorted_late, LENGTH)]
    assert [entry.number for entry in touched] == [0, 1]
    assert touching(touched[0], sorted_late, LENGTH) == ((36, 4),)
    punched = [
        punch_holes(reader.folder, reader.index.layout, entry, late, str(tmp_path / "late")) for entry in touched
    ]
    assert punched == at_once[:2]
    # Once more on the result changes nothing; neither does a span of no tokens.
    copy = tmp_path / "late"
    write_index(str(copy), ShardIndex(LENGTH, BLOCK, "uint16", 0, PAD, tuple(punched)))
    assert [punch_holes(str(copy), reader.index.layout, entry, late, str(copy)) for entry in punched] == punched
    assert not touching(at_once[2], np.array([(96 * 2 - 1, 1), (200, 0), (205, 9)]), LENGTH)
    last = punch_holes(reader.folder, reader.index.layout, reader.index.shards[2], [(200, 50)], str(tmp_path / "late"))
    assert last.valid == 205 - 192
    assert last.blocks[-1].masked == ((200, 5),)


def test_a_block_whose_holes_no_longer_fit_into_its_room_moves_those_behind_it(tmp_path):
    length, block, tokens = 64, 4, stream_tokens(3 * 256)
    plan = plan_shards(len(tokens), length, block, 64)[0]

    def written(folder: str, masked: list[tuple[int, int]]) -> ShardEntry:
        return write_shard(folder, "a-train", 0, pack_blocks([tokens], plan, length, block, PAD, masked))

    many = [(first, 1) for first in range(256, 512, 2)]
    plain, at_once = written(str(tmp_path / "plain"), []), written(str(tmp_path / "at_once"), many)
    assert at_once.blocks[2].offset > plain.blocks[2].offset
    layout = ShardLayout(length, block, "uint16", PAD)
    assert punch_holes(str(tmp_path / "plain"), layout, plain, many, str(tmp_path / "late")) == at_once
    assert (tmp_path / "late" / plain.file).read_bytes() == (tmp_path / "at_once" / plain.file).read_bytes()


def test_shards_of_earlier_releases_are_read_verified_and_punched(tmp_path):
    """Their index has one hash for a whole shard; a shard that loses a span gets hashes of its parts."""
    tokens, late = stream_tokens(205), [(130, 2)]
    write(tmp_path / "old", {"a-train": tokens})
    path = tmp_path / "old" / "index.json"
    index = json.loads(path.read_text()) | {"format": 1}
    for shard in index["shards"]:
        del shard["parts"]
        shard["sha256"] = hashlib.sha256((path.parent / shard["file"]).read_bytes()).hexdigest()
    path.write_text(json.dumps(index))
    reader = ShardReader(path.parent)
    assert np.array_equal(reader.samples("a-train", np.arange(26)), padded(tokens))
    for entry in reader.index.shards:
        verify_shard(reader.folder, entry)
    entry = reader.index.shards[1]
    punched = punch_holes(reader.folder, reader.index.layout, entry, late, str(tmp_path / "new"))
    assert punched == write(tmp_path / "at_once", {"a-train": tokens}, late)[1]
    write_index(str(tmp_path / "new"), replace(reader.index, shards=(reader.index.shards[0], punched)))
    assert read_index(str(tmp_path / "new")).shards == (reader.index.shards[0], punched)


def test_damage_does_not_become_sound_where_a_shard_is_written_anew(tmp_path):
    """As it is where it has no parts: what is written gets a new hash."""
    write(tmp_path / "old", {"a-train": stream_tokens(205)})
    reader = ShardReader(tmp_path / "old")
    entry = replace(reader.index.shards[0], parts=())
    path = tmp_path / "old" / entry.file
    content = bytearray(path.read_bytes())
    content[entry.blocks[0].offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShardError, match=rf"{entry.file} is not what was written: headwater verify --mend"):
        punch_holes(reader.folder, reader.index.layout, entry, [(90, 2)], str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_shard_that_ends_too_early_is_told_and_nothing_is_left(tmp_path):
    write(tmp_path, {"a-train": stream_tokens(90)})
    (entry,) = ShardReader(tmp_path).index.shards
    path = tmp_path / entry.file
    path.write_bytes(path.read_bytes()[: entry.blocks[-1].offset - 600])
    layout, other = ShardReader(tmp_path).index.layout, tmp_path / "other"
    with pytest.raises(ShardError, match=re.escape(entry.file) + "|is not where the index says"):
        punch_holes(str(tmp_path), layout, entry, [(90 - 4, 2)], str(other))
    assert not other.exists() or list(other.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(spans=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=8))
def test_merged_spans_hold_the_same_tokens_apart(spans):
    merged = merge_spans(spans)
    assert {t for f, n in merged for t in range(f, f + n)} == {t for f, n in spans for t in range(f, f + n)}
    assert all(one[0] + one[1] < other[0] for one, other in pairwise(merged))


def test_wrong_number_of_tokens_is_refused_and_leaves_no_file(tmp_path):
    plan = plan_shards(100, LENGTH, BLOCK, SHARD)[0]
    for tokens in (stream_tokens(95), stream_tokens(97)):
        with pytest.raises(ValueError, match=f"{len(tokens)} tokens arrived, 96 were planned"):
            write_shard(str(tmp_path), "a-train", 0, pack_blocks([tokens], plan, LENGTH, BLOCK, PAD))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ShardError, match="no tokens"):
        write_shard(str(tmp_path), "a-train", 0, [])
    with pytest.raises(ValueError, match="whole blocks"):
        plan_shards(100, LENGTH, 5, SHARD)


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "ä", "x" * 65])
def test_stream_names_that_a_tar_cannot_key_are_refused(name):
    with pytest.raises(ShardError, match="ASCII letters"):
        shard_file(name, 0)


def test_damage_is_found_and_named(tmp_path):
    entry = write(tmp_path, {"a-train": stream_tokens(90)})[0]
    path = tmp_path / entry.file
    verify_shard(str(tmp_path), entry)
    content = bytearray(path.read_bytes())
    content[entry.blocks[1].offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShardError, match=rf"{entry.file} is not what was written"):
        verify_shard(str(tmp_path), entry)
    path.write_bytes(content[:-1])
    with pytest.raises(ShardError, match=rf"{entry.file} has {entry.bytes - 1} bytes, the index says"):
        verify_shard(str(tmp_path), entry)
    with pytest.raises(ShardError, match="the index says"):
        ShardReader(tmp_path).samples("a-train", np.array([0]))
    path.unlink()
    for read in (lambda: verify_shard(str(tmp_path), entry), lambda: ShardReader(tmp_path).samples("a-train", [0])):
        with pytest.raises(ShardError, match="does not exist, but the index names it"):
            read()


def test_a_wrong_index_is_named(tmp_path):
    with pytest.raises(ShardError, match=r"index\.json does not exist"):
        read_index(str(tmp_path))
    write(tmp_path, {"a-train": stream_tokens(200), "b-train": stream_tokens(20)})
    index = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**index, "format": 9}))
    with pytest.raises(ShardError, match="has format 9"):
        read_index(str(tmp_path))
    (tmp_path / "index.json").write_text(json.dumps({**index, "shards": index["shards"][1:]}))
    with pytest.raises(ShardError, match="stream a-train have gaps"):
        ShardReader(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps(index)[:-9])
    with pytest.raises(ShardError, match="is damaged"):
        read_index(str(tmp_path))


def _consistent_parts(number):
    """Hashes of more parts than the file has, and the hash that is of them."""
    parts = ("0" * 64,) * number
    return {"parts": list(parts), "sha256": hash_of_parts(parts)}


_OF_INDEX = [
    *({"sequence_length": value} for value in (0, -5, 7, 9, 16, "8", 8.5, None)),
    *({"dtype": value} for value in ("uint8", "uint32", "foo", 2)),
    *({name: value} for name in ("pad", "end_of_text") for value in (-1, 1 << 16, "a")),
    {"block_samples": 0},
    {"shards": 3},
    {"shards": [3]},
    {"shards": None},
]
_OF_SHARD = [
    *({"file": value} for value in (None, "../a-train-000000.tar", "a-train-0.tar", "c-train-000000.tar")),
    {"stream": None},
    {"bytes": -1},
    {"bytes": 2048},
    {"first_sample": 0.5},
    {"samples": 24},
    {"blocks": None},
    *({"parts": value} for value in ([], ["0" * 64], [3], None)),
    *({"sha256": value} for value in (None, "parts:00", "0" * 64)),
    _consistent_parts(2),
]
_OF_BLOCK = [
    *({"offset": value} for value in (-64, 641, 512, 1 << 40, 1 << 70, "640")),
    *({"samples": value} for value in (0, 2, 5, "4", 1 << 70)),
    *({"first_sample": value} for value in (-1, 1, 0.5, 1 << 70)),
    *({"valid": value} for value in (-7, 10**9, None)),
    *({"masked": value} for value in ([[-100, 5]], [[0, 10**15]], [[3, -100]], [[5, 1, 2]], [["a", "b"]], [5], None)),
]


def _read_all(folder):
    reader = ShardReader(folder)
    for stream, samples in reader.streams.items():
        reader.samples(stream, np.arange(samples))


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize(
    ("edit", "of"), [(edit, of) for of, edits in enumerate((_OF_INDEX, _OF_SHARD, _OF_BLOCK)) for edit in edits]
)
def test_an_index_that_cannot_be_true_is_refused(tmp_path, place, edit, of):
    """Whatever one field says that the files do not hold, in the first shard and block or the last."""
    write(tmp_path, {"a-train": stream_tokens(200), "b-train": stream_tokens(20)})
    path = tmp_path / "index.json"
    index = json.loads(path.read_text())
    shard = index["shards"][place]
    (index, shard, shard["blocks"][place])[of].update(edit)
    path.write_text(json.dumps(index))
    with pytest.raises(ShardError, match="materialize the shards again"):
        _read_all(tmp_path)


def test_an_index_that_is_no_file_is_named(tmp_path):
    (tmp_path / "index.json").mkdir()
    with pytest.raises(ShardError, match="is damaged"):
        read_index(str(tmp_path))


def test_samples_and_streams_that_do_not_exist_are_refused(tmp_path):
    write(tmp_path, {"a-train": stream_tokens(80)})
    reader = ShardReader(tmp_path)
    for wrong in (-1, 10):
        with pytest.raises(IndexError, match="samples 0 to 9"):
            reader.samples("a-train", np.array([0, wrong]))
    for wrong in ([[0, 1]], [0.5], 3):
        with pytest.raises(ValueError, match="whole numbers in a row"):
            reader.samples("a-train", wrong)
    with pytest.raises(KeyError, match="no stream 'b'"):
        reader.samples("b", np.array([0]))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=1, max_size=4))
def test_segments_and_positions_against_counting(rows):
    segments = segments_of(np.array(rows), 0)
    positions = positions_of(segments)
    for row, segment, position in zip(rows, segments, positions, strict=True):
        documents, place = 0, -1
        for token, got_segment, got_position in zip(row, segment, position, strict=True):
            begins = token == 0
            documents += begins
            place = 0 if begins else place + 1
            assert (got_segment, got_position) == (documents, place)


def test_options_say_how_many_samples_a_shard_holds():
    assert ShardsOptions(sequence_length=1000, block_samples=100, shard_megabytes=1).shard_samples(2) == 500
    assert ShardsOptions(sequence_length=1000, block_samples=100, shard_megabytes=0.01).shard_samples(4) == 100
    for wrong in ({"sequence_length": 0}, {"block_samples": -1}, {"shard_megabytes": 0}):
        with pytest.raises(ValueError, match="above 0"):
            ShardsOptions(**wrong)
    for wrong in ({"window_blocks": 0}, {"mixture_block": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SamplingOptions(**wrong)
    with pytest.raises(ValueError, match="above 0"):
        MixtureEntry(stream="a-train", weight=0)
