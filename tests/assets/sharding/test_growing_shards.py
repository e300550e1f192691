"""Tokens and shards through additions and withdrawals, against a tape that is kept by hand."""

import json
import shutil
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
from hashes_by_hand import hash_of_parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_corpus import Planted, PlantedCorpus
from small_pipelines import Lab, bytes_tokenizer, packed, prose

from headwater.assets.corpus import difference
from headwater.assets.fitting.stage import tokenizer_at
from headwater.assets.sharding.loader import Loader
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.sampling import Sampler, Segment, StreamShare

LENGTH = 32


class Tape:
    """Every stream as a list of (token, is it a document's?), by the rules alone: append behind all, never move."""

    def __init__(self, lab: Lab) -> None:
        tokenizer = tokenizer_at(lab.store, lab.record("letters/tokenizer"))
        self.encode = lambda text: [tokenizer.end_of_text_id, *tokenizer.encode(text)]
        self.pad = tokenizer.pad_id
        self.streams: dict[str, list[tuple[int, bool]]] = {"notes-train": [], "notes-held_out": []}
        self.places: dict[str, tuple[str, int, int]] = {}

    def follow(self, rows: list[Planted]) -> set[tuple[str, int]]:
        """Takes over the corpus's present rows; returns the (stream, sample) pairs that lost a token."""
        kept = {row.doc_id: row for row in rows if row.kept and row.text is not None}
        touched = set()
        for doc_id in [known for known in self.places if known not in kept]:
            stream, start, length = self.places.pop(doc_id)
            self.streams[stream][start : start + length] = [(self.pad, False)] * length
            touched |= {(stream, place // LENGTH) for place in range(start, start + length)}
        for stream, tape in self.streams.items():
            new = [row for row in kept.values() if f"notes-{row.split}" == stream and row.doc_id not in self.places]
            if new:
                tape += [(self.pad, False)] * (-len(tape) % LENGTH)
            for row in new:
                tokens = self.encode(row.text)
                self.places[row.doc_id] = (stream, len(tape), len(tokens))
                tape += [(token, True) for token in tokens]
        return touched


class Bench:
    """A planted corpus with a tokenizer, tokens and shards over it."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder / "workspace", folder / "store")
        self.corpus = PlantedCorpus(self.lab.store)
        self.shards = packed()

    def run(self) -> None:
        self.lab.run(bytes_tokenizer(), self.shards)

    @property
    def folder(self) -> Path:
        return Path(self.lab.store.place("packed/shards").folder(self.lab.record("packed/shards").digest))

    def reader(self) -> ShardReader:
        return ShardReader(str(self.folder))


def planted(number: int, split: str = "train") -> Planted:
    text = None if number % 11 == 9 else prose(number, 4 + number % 23)  # some records cannot be read
    return Planted(f"{number:032x}", text, split)


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    made = Bench(tmp_path)
    made.corpus.change(new=[planted(n, "held_out" if n % 5 == 0 else "train") for n in range(20)])
    made.run()
    return made


def check_against(bench: Bench, tape: Tape) -> None:
    reader = bench.reader()
    for stream, cells in tape.streams.items():
        total = reader.streams.get(stream, 0) * LENGTH
        assert not any(document for _, document in cells[total:])
        expected = (cells + [(tape.pad, False)] * (total - len(cells)))[:total]
        if total:
            tokens = reader.samples(stream, np.arange(total // LENGTH)).ravel()
            assert tokens.tolist() == [token for token, _ in expected]
            empty = np.zeros(total, dtype=bool)
            for begin, end in reader.empty_spans(stream):
                assert not empty[begin:end].any()
                empty[begin:end] = True
            assert (~empty).tolist() == [document for _, document in expected]
    rows = bench.lab.table("packed/tokens", "spans").to_pylist()
    assert {row["doc_id"]: (row["stream"], row["start"], row["length"]) for row in rows} == tape.places
    for stream in tape.streams:
        own = [row for row in rows if row["stream"] == stream]
        assert [row["doc_id"] for row in own] == bench.lab.table("packed/tokens", stream)["doc_id"].to_pylist()
        assert [row["start"] for row in own] == sorted(row["start"] for row in own)
    holes = bench.lab.table("packed/tokens", "holes").to_pylist()
    ever = sum(hole["length"] for hole in holes) + sum(length for _, _, length in tape.places.values())
    assert ever <= sum(len(cells) for cells in tape.streams.values())
    assert all(check.passed for check in bench.lab.record("packed/shards").checks if check.blocking)


def hashes(bench: Bench) -> dict[str, str]:
    found = {path.name: hash_of_parts(path.read_bytes()) for path in bench.folder.glob("*.tar")}
    assert found == bench.lab.record("packed/shards").files
    return found


MOVES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 60), max_size=4),  # documents that arrive
        st.lists(st.integers(0, 60), max_size=3),  # documents that go
        st.lists(st.integers(0, 60), max_size=3),  # decisions that turn about
        st.booleans(),  # whether the shards follow at once, or with the next change
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_streams_follow_any_sequence_of_changes_and_nothing_else_moves(tmp_path_factory, monkeypatch, moves):
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    bench = Bench(tmp_path_factory.mktemp("bench"))
    # Document 999 stays throughout: shards want one sample of training text.
    bench.corpus.change(new=[planted(n, "held_out" if n % 5 == 0 else "train") for n in range(12)] + [planted(999)])
    bench.run()
    tape, touched = Tape(bench.lab), set()
    tape.follow(bench.corpus.rows)
    check_against(bench, tape)
    for arriving, going, turning, at_once in moves:
        known = {row.doc_id for row in bench.corpus.rows}
        new = [planted(n, "held_out" if n % 5 == 0 else "train") for n in dict.fromkeys(arriving)]
        named = [{f"{n:032x}" for n in numbers} & known for numbers in (going, turning)]
        bench.corpus.change(named[0], [row for row in new if row.doc_id not in known - named[0]], named[1] - named[0])
        touched |= tape.follow(bench.corpus.rows)
        if not at_once:
            bench.lab.run(bytes_tokenizer(), bench.shards, until="tokens")
            continue
        before, files = bench.reader(), hashes(bench)
        bench.run()
        check_against(bench, tape)
        after = hashes(bench)
        for entry in before.index.shards:
            samples = {(entry.stream, entry.first_sample + n) for n in range(entry.samples)}
            if not samples & touched:
                assert after[entry.file] == files[entry.file]
        touched = set()
    bench.run()
    check_against(bench, tape)


def test_untouched_shards_are_links_and_touched_ones_lose_the_bytes(bench):
    reader, victim = bench.reader(), planted(3).doc_id
    span = next(row for row in bench.lab.table("packed/tokens", "spans").to_pylist() if row["doc_id"] == victim)
    lost = bench.lab.table("packed/tokens", "notes-train").to_pylist()
    tokens = np.array(next(row["tokens"] for row in lost if row["doc_id"] == victim), dtype=reader.dtype)
    folder = bench.folder
    assert any(tokens.tobytes() in path.read_bytes() for path in folder.glob("*.tar"))
    bench.corpus.change(gone={victim}, new=[planted(50)])
    bench.run()
    metrics = bench.lab.record("packed/shards").metrics
    assert bench.folder != folder
    assert metrics["shards_kept"] + metrics["shards_rewritten"] == len(reader.index.shards)
    assert 1 <= metrics["shards_rewritten"] <= 2
    assert metrics["shards_new"] == 1
    assert metrics["hole_tokens"] == span["length"] == bench.lab.record("packed/tokens").metrics["hole_tokens"]
    linked = [path for path in bench.folder.glob("*.tar") if path.stat().st_nlink == 2]
    assert len(linked) == metrics["shards_kept"]
    assert not any(tokens.tobytes() in path.read_bytes() for path in bench.folder.glob("*.tar"))
    assert any(tokens.tobytes() in path.read_bytes() for path in folder.glob("*.tar")), "the earlier output stays whole"


def test_a_file_system_without_links_gets_copies(bench, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    before = hashes(bench)
    bench.corpus.change(new=[planted(50)])
    bench.run()
    after = hashes(bench)
    assert before.items() < after.items()
    assert all(path.stat().st_nlink == 1 for path in bench.folder.glob("*.tar"))


def test_the_loader_masks_holes_and_fillings_and_keeps_neighbours_apart(bench):
    tape = Tape(bench.lab)
    tape.follow(bench.corpus.rows)
    for victim, arrival in ((2, 50), (8, 51), (11, 52)):
        bench.corpus.change(gone={planted(victim).doc_id}, new=[planted(arrival)])
        bench.run()
        tape.follow(bench.corpus.rows)
    reader, cells = bench.reader(), tape.streams["notes-train"]
    total = reader.streams["notes-train"]
    cells = cells + [(tape.pad, False)] * (total * LENGTH - len(cells))
    owners = np.full(total * LENGTH, -1)
    for number, (stream, start, length) in enumerate(tape.places.values()):
        if stream == "notes-train":
            owners[start : start + length] = number
    segment = Segment((StreamShare("notes-train", total),), 8, 4, 16, 3, 6)
    load, seen = Loader(reader, Sampler(segment), reader.index.end_of_text), set()
    for step in range(2 * total // 6):  # two epochs at least, as a mixture's last block may be cut
        batch = load(step)
        for row, sample in enumerate(batch["index"].tolist()):
            place = slice(sample * LENGTH, (sample + 1) * LENGTH)
            seen.add(sample)
            assert batch["loss_mask"][row].tolist() == [document for _, document in cells[place]]
            assert batch["tokens"][row].tolist() == [token for token, _ in cells[place]]
            segments, own = batch["segments"][row].numpy(), owners[place]
            for document in set(own[own >= 0].tolist()):
                numbers = set(segments[own == document].tolist())
                assert len(numbers) == 1, "a document is one segment"
                assert not numbers & set(segments[(own >= 0) & (own != document)].tolist())
    assert seen == set(range(total))


def test_a_repack_lays_documents_close_together_without_encoding_any(bench, monkeypatch):
    bench.corpus.change(gone={planted(3).doc_id, planted(7).doc_id}, new=[planted(50)])
    bench.run()
    assert bench.lab.record("packed/shards").metrics["hole_tokens"] > 0
    wanted = {row["doc_id"] for row in bench.lab.table("packed/tokens", "spans").to_pylist()}

    def refuse(*_):
        raise AssertionError("a text was encoded")

    monkeypatch.setattr("headwater.assets.tokenization.stage.encode_batch", refuse)
    bench.shards = packed(repack=2)
    bench.run()
    tokens, shards = bench.lab.record("packed/tokens"), bench.lab.record("packed/shards")
    assert shards.metrics["hole_tokens"] == tokens.metrics["hole_tokens"] == shards.metrics["shards_kept"] == 0
    assert shards.identity.base is None
    rows = bench.lab.table("packed/tokens", "spans").to_pylist()
    assert {row["doc_id"] for row in rows} == wanted
    for stream in ("notes-train", "notes-held_out"):
        place = 0
        for row in (row for row in rows if row["stream"] == stream):
            assert row["start"] == place
            place += row["length"]
    monkeypatch.undo()
    tape = Tape(bench.lab)
    tape.follow(bench.corpus.rows)
    check_against(bench, tape)


def test_another_length_of_samples_encodes_nothing_and_begins_additions_at_its_own(bench, monkeypatch):
    bench.corpus.change(gone={planted(3).doc_id}, new=[planted(50)])
    bench.run()
    places = {row["doc_id"]: row["start"] for row in bench.lab.table("packed/tokens", "spans").to_pylist()}
    bench.shards = packed(sequence_length=48)
    with monkeypatch.context() as patched:
        patched.setattr("headwater.assets.tokenization.stage.encode_batch", None)
        bench.run()
    assert places == {row["doc_id"]: row["start"] for row in bench.lab.table("packed/tokens", "spans").to_pylist()}
    assert bench.reader().sequence_length == 48
    bench.corpus.change(new=[planted(51)])
    bench.run()
    spans = {row["doc_id"]: row["start"] for row in bench.lab.table("packed/tokens", "spans").to_pylist()}
    assert spans[planted(51).doc_id] % 48 == 0
    record = bench.lab.record("packed/shards")
    assert record.metrics["shards_new"] == 1
    assert all(check.passed for check in record.checks if check.blocking)


def test_only_the_texts_that_are_new_are_read(bench, monkeypatch):
    read: list[str] = []

    def spy(table, positions, columns):
        found = difference.take_positions(*table, positions, columns)
        read.extend(found["text"].to_pylist() if "text" in columns else [])
        return found

    bench.corpus.change(flipped={planted(4).doc_id})
    bench.run()
    monkeypatch.setattr("headwater.assets.tokenization.stage.take", spy)
    monkeypatch.setattr("headwater.assets.corpus.view.take_rows", None)
    bench.corpus.change(new=[planted(50)], flipped={planted(4).doc_id, planted(6).doc_id})
    bench.run()
    assert sorted(read) == sorted([planted(4).text, planted(50).text])
    metrics = bench.lab.record("packed/tokens").metrics
    assert (metrics["documents_encoded"], metrics["documents_removed"]) == (2, 1)


def test_a_ledger_in_another_order_or_by_another_recipe_moves_only_what_differs(bench):
    before = {row["doc_id"]: row["start"] for row in bench.lab.table("packed/tokens", "spans").to_pylist()}
    changed = Planted(planted(7).doc_id, prose(700, 9))
    other_split = Planted(planted(8).doc_id, planted(8).text, "held_out")
    rows = [row for row in bench.corpus.rows if row.doc_id not in (changed.doc_id, other_split.doc_id)]
    bench.corpus.rebuild([*reversed(rows), changed, other_split])
    bench.run()
    spans = bench.lab.table("packed/tokens", "spans").to_pylist()
    moved = {row["doc_id"] for row in spans if before[row["doc_id"]] != row["start"]}
    assert moved == {changed.doc_id, other_split.doc_id}
    assert next(row["stream"] for row in spans if row["doc_id"] == other_split.doc_id) == "notes-held_out"
    assert bench.lab.record("packed/tokens").metrics["documents_encoded"] == 2
    assert bench.lab.record("packed/shards").metrics["shards_kept"] > 0


def test_nothing_is_grown_from_a_corpus_of_which_nothing_is_left(bench):
    bench.corpus.change(gone={row.doc_id for row in bench.corpus.rows}, new=[planted(n) for n in range(60, 70)])
    bench.run()
    tokens, shards = bench.lab.record("packed/tokens"), bench.lab.record("packed/shards")
    assert tokens.identity.base is shards.identity.base is None
    assert tokens.metrics["hole_tokens"] == 0


def test_shards_are_made_anew_when_an_earlier_file_was_damaged(bench):
    file = next(bench.folder.glob("notes-train-*.tar"))
    file.write_bytes(file.read_bytes()[:-1])
    bench.corpus.change(new=[planted(50)])
    bench.run()
    assert bench.lab.record("packed/shards").identity.base is None
    hashes(bench)


def test_shards_are_made_anew_when_the_file_that_loses_a_document_is_gone(bench):
    leaving, index = planted(3).doc_id, bench.reader().index
    (span,) = (row for row in bench.lab.table("packed/tokens", "spans").to_pylist() if row["doc_id"] == leaving)
    own = [entry for entry in index.shards if entry.stream == span["stream"]]
    (held,) = (
        entry
        for entry in own
        if 0 <= span["start"] - entry.first_sample * index.sequence_length < entry.samples * index.sequence_length
    )
    (bench.folder / held.file).unlink()
    bench.corpus.change(gone={leaving})
    bench.run()
    assert bench.lab.record("packed/shards").identity.base is None
    hashes(bench)


def test_an_index_that_the_record_does_not_know_is_not_built_on(bench):
    """Its shards may be as it says and yet not those that were published."""
    path = bench.folder / "index.json"
    index = json.loads(path.read_text())
    for shard in index["shards"]:
        shard |= {"parts": [], "sha256": "0" * 64}
    path.write_text(json.dumps(index))
    bench.corpus.change(gone={planted(4).doc_id})
    bench.run()
    assert bench.lab.record("packed/shards").identity.base is None
    hashes(bench)


def test_the_share_of_empty_samples_is_told(bench):
    def check():
        return next(c for c in bench.lab.record("packed/shards").checks if c.name == "repack")

    assert check().passed
    bench.corpus.change(gone={planted(n).doc_id for n in range(1, 10)})
    bench.run()
    assert not check().passed
    assert not check().blocking
    assert "Raise `repack`" in check().description
    kept = hashes(bench)
    bench.shards = packed(empty_share=0.9)
    bench.run()
    assert check().passed
    assert hashes(bench) == kept


class Killed(BaseException):
    """Stands for the end of the process."""


def test_killed_at_any_step_of_a_refresh_the_next_run_gives_the_same(bench, monkeypatch):
    """Dies at the k-th durable operation, for every k, and compares with the undisturbed run."""
    names = [
        "headwater.assets.storage.attempts.Attempt.finish",
        "headwater.assets.context.refresh_parts",
        "headwater.assets.context.commit_parts",
        "headwater.assets.sharding.growth.carry_over",
        "headwater.assets.sharding.stage.write_shard",
        "headwater.assets.sharding.holes.write_shard",
        "headwater.assets.sharding.holes.copy_with",
        "headwater.assets.sharding.stage.write_index",
        "headwater.assets.storage.places.Place.publish",
    ]
    bench.corpus.change(gone={planted(3).doc_id, planted(12).doc_id}, new=[planted(50), planted(55, "held_out")])
    store, saved = Path(bench.lab.store.root), bench.lab.root.parent / "saved"
    shutil.copytree(store, saved)
    count = dying_run(bench, monkeypatch, names, None)
    wanted = outcome_of(bench)
    assert count >= 12
    for point in range(count):
        shutil.rmtree(store)
        shutil.copytree(saved, store)
        with pytest.raises(Killed):
            dying_run(bench, monkeypatch, names, point)
        bench.run()
        assert outcome_of(bench) == wanted, f"after death at operation {point}"


def test_half_a_file_of_a_killed_run_does_not_stay(bench, monkeypatch):
    bench.corpus.change(new=[planted(50)])
    before = set(bench.folder.parent.iterdir())
    with pytest.raises(Killed):
        dying_run(bench, monkeypatch, ["headwater.assets.sharding.stage.write_index"], 0)
    (folder,) = set(bench.folder.parent.iterdir()) - before
    (folder / ".notes-train-000099.tar.1.part").write_bytes(b"half")
    bench.run()
    assert bench.folder == folder
    assert {path.suffix for path in folder.iterdir()} == {".tar", ".json"}


def dying_run(bench: Bench, monkeypatch, names, point) -> int:
    """Runs with operations counted; dies before the operation `point`. Returns how many there were."""
    done = 0

    def counted(original):
        def wrapper(*arguments, **more):
            nonlocal done
            here, done = done, done + 1
            if point == here:
                raise Killed
            return original(*arguments, **more)

        return wrapper

    with monkeypatch.context() as patched:
        for name in names:
            owner, _, attribute = name.rpartition(".")
            patched.setattr(name, counted(getattr(resolve_name(owner), attribute)))
        bench.run()
    return done


def outcome_of(bench: Bench):
    tokens, shards = bench.lab.record("packed/tokens"), bench.lab.record("packed/shards")
    tables = {name: bench.lab.table("packed/tokens", name).to_pylist() for name in tokens.tables}
    return tables, tokens.content_version, hashes(bench), shards.content_version, bench.reader().index


def test_a_tokens_output_that_was_made_anew_is_not_grown_from(bench, monkeypatch):
    """The same corpus in a full run has other places: shards of the earlier numbering cannot go on."""
    bench.corpus.change(gone={planted(3).doc_id}, new=[planted(50)])
    bench.lab.run(bytes_tokenizer(), bench.shards, until="tokens")
    bench.shards = packed(repack=2)
    bench.run()
    assert bench.lab.record("packed/shards").identity.base is None
    tape = Tape(bench.lab)
    tape.follow(bench.corpus.rows)
    check_against(bench, tape)
