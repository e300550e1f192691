"""Everything known of a document: by id, address or text; now and in the past; kept, dropped, held out or gone."""

import json

import pytest
from small_pipelines import prose

from headwater.assets.corpus.reading import content_id
from headwater.assets.lineage.documents import find_documents
from headwater.assets.lineage.history import LineageError, history, select, version_name
from headwater.assets.lineage.story import tell

NOTES = "notes.jsonl#key="


def the_only(stories):
    assert len(stories) == 1
    return stories[0]


def doc_id_of(past, key: str) -> str:
    return the_only([s for s in find_documents(past.store, f"{NOTES}{key}") if s.current]).doc_id


def test_a_kept_document_is_followed_from_its_source_to_the_evaluation(past):
    story = the_only(tell(past.store, f"{NOTES}d9"))
    assert (story.sighting.corpus, story.sighting.current, story.sighting.row["license"]) == ("notes", True, "MIT")
    assert story.passage.signals["words"] == 60
    assert [(d.asset, d.kept) for d in story.passage.decisions] == [
        ("notes/curated", True),
        ("notes/deduplicated", True),
    ]
    learned = the_only(story.learned)
    assert (learned.checkpoint, learned.current) == ("tiny", True)
    assert [measured.asset for measured in learned.evaluations] == ["exam/evaluation"]
    assert learned.evaluations[0].figures["bits_per_byte"] > 0


def test_the_bytes_that_a_trace_names_are_the_documents_tokens(past):
    learned = the_only(the_only(tell(past.store, f"{NOTES}d9")).learned)
    shards = past.record("packed/shards")
    folder = past.store.place("packed/shards").folder(shards.digest)
    read = b""
    for place in learned.places:
        with open(f"{folder}/{place.file}", "rb") as file:
            file.seek(place.byte)
            read += file.read(place.bytes)
    stream = past.table("packed/tokens", learned.trace.stream).to_pylist()
    own = next(row["tokens"] for row in stream if row["doc_id"] == learned.trace.doc_id)
    assert [int.from_bytes(read[n : n + 2], "little") for n in range(0, len(read), 2)] == own


def test_copies_and_near_duplicates_are_told_from_both_sides(past):
    first, copy, near = (the_only(tell(past.store, f"{NOTES}{key}")) for key in ("d0", "copy", "near"))
    (of_copy,) = copy.passage.duplicates
    (of_first,) = first.passage.duplicates
    assert (of_copy.kind, of_copy.other_uri, of_first.other_uri) == ("exact", f"{NOTES}d0", f"{NOTES}copy")
    assert {of_copy.earlier, of_first.earlier} == {True, False}
    (of_near,) = near.passage.duplicates
    assert (of_near.kind, of_near.other_uri) == ("near", f"{NOTES}d1")
    assert 0.7 <= of_near.similarity < 1
    assert of_near.containment >= of_near.similarity
    fates = {story.sighting.row["uri"]: story.passage.decisions[-1] for story in (first, copy)}
    dropped = [decision for decision in fates.values() if not decision.kept]
    assert [decision.rule for decision in dropped] in (["exact_duplicate"], ["near_held_out"])


def test_a_dropped_document_names_rule_value_and_threshold_and_no_step(past):
    story = the_only(tell(past.store, f"{NOTES}short"))
    curated, later = story.passage.decisions
    assert (curated.kept, curated.reached, curated.value, curated.threshold) == (False, True, 2.0, 3.0)
    assert (later.reached, later.dropped_by) == (False, "curated")
    learned = the_only(story.learned)
    assert learned.trace is None
    assert "dropped by curated" in learned.absent


def test_an_address_stands_for_all_documents_that_it_ever_had(past):
    now, before = tell(past.store, f"{NOTES}d5", past=True)
    assert (now.sighting.current, before.sighting.current) == (True, False)
    assert now.sighting.doc_id != before.sighting.doc_id
    seen_by = {learned.checkpoint: learned.trace for learned in before.learned}
    (old_name,) = (name for name in seen_by if "@" in name)
    split = before.sighting.row["split"]
    assert seen_by["tiny"] is None
    assert bool(seen_by[old_name].steps) == (split == "train")
    assert [decision.current for decision in before.passage.decisions] == [False, False]


def test_a_document_that_is_gone_still_answers(past):
    story = the_only(tell(past.store, f"{NOTES}d6", past=True))
    assert not story.sighting.current
    assert story.passage.decisions[-1].kept
    old = version_name(past.store, history(past.store.place("tiny/checkpoint"))[1])
    assert {learned.checkpoint: learned.trace is None for learned in story.learned} == {"tiny": True, old: False}
    the_one = the_only(tell(past.store, story.sighting.doc_id, checkpoint=old))
    assert [learned.checkpoint for learned in the_one.learned] == [old]


def test_a_file_with_the_text_finds_the_document(past, tmp_path):
    file = tmp_path / "passage.txt"
    file.write_text(prose(9) + "\n")
    found = the_only(find_documents(past.store, str(file)))
    assert (found.row["uri"], found.row["content_id"]) == (f"{NOTES}d9", content_id(prose(9).encode()))
    file.write_text("a text that no source has")
    with pytest.raises(LineageError, match="headwater trace text"):
        find_documents(past.store, str(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LineageError, match="is not UTF-8"):
        find_documents(past.store, str(file))


def test_a_file_of_records_stands_for_all_of_them(past):
    assert len(find_documents(past.store, "more.jsonl")) == 12


def test_the_tokenizer_counts_as_influence_apart_from_steps(past):
    fitted = doc_id_of(past, "d9"), doc_id_of(past, "new0")
    learned = [the_only(the_only(tell(past.store, doc_id)).learned) for doc_id in fitted]
    influences = [[(i.asset, i.how, i.certain) for i in one.influences] for one in learned]
    in_training = [one.trace.stream.endswith("-train") for one in learned]
    assert influences[0] == [("letters/tokenizer", "fitted on it", True)] * in_training[0]
    refitted = past.record("letters/tokenizer").identity.inputs["corpus"].content
    follows = refitted == past.record("notes/deduplicated").content_version
    assert bool(influences[1]) == (follows and in_training[1])


def test_unknown_names_are_met_with_the_nearest(past):
    with pytest.raises(LineageError, match="No kept version of a corpus has a document 0000"):
        tell(past.store, "0" * 32)
    with pytest.raises(LineageError, match=r"notes.jsonl#key=d"):
        tell(past.store, "notes.jsonl#key=d99")
    with pytest.raises(LineageError, match="Did you mean 'tiny'"):
        tell(past.store, f"{NOTES}d9", checkpoint="tinny")
    with pytest.raises(LineageError, match="No kept version of a corpus has a document at"):
        tell(past.store, "x' OR '1' = '1")


def test_a_story_is_json(past):
    for key in ("d9", "short", "d6", "copy"):
        for story in tell(past.store, f"{NOTES}{key}", past=True):
            told = json.loads(json.dumps(story.to_json()))
            assert told["sighting"]["doc_id"] == story.sighting.doc_id


def test_selectors_name_records(past):
    place = past.store.place("tiny/checkpoint")
    current, before = history(place)
    assert current.digest == past.record("tiny/checkpoint").digest
    assert select(past.store, "tiny").digest == select(past.store, "tiny/checkpoint@latest").digest == current.digest
    assert select(past.store, "tiny@previous").digest == before.digest
    assert select(past.store, f"tiny@{before.digest[:6]}").digest == before.digest
    assert select(past.store, "notes/raw").asset == "notes/raw"
    with pytest.raises(LineageError, match="no version whose identity begins with 'zz'"):
        select(past.store, "tiny@zz")
