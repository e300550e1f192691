"""`headwater trace text`: every occurrence, what became of the documents, with and without an index."""

import pytest
from small_pipelines import notes, plant, prose

from headwater.assets.lineage.history import LineageError, select
from headwater.assets.lineage.text import build_indexes, find_text, places_of, text_index


def passage(seed: int) -> str:
    return prose(seed)[7:40]


def addresses(search):
    return sorted(one.uri for one in search.found)


def test_a_passage_is_found_with_its_places_and_fate(past):
    search = find_text(past.store, passage(0))
    fates = {one.uri: one.fate for one in search.found}
    assert set(fates) == {"notes.jsonl#key=d0", "notes.jsonl#key=copy"}
    assert sorted(fate.split(":")[0] for fate in fates.values())[0].startswith("dropped by deduplicated")
    assert {one.positions for one in search.found} == {(7,)}
    assert search.occurrences == 2
    assert search.trained == sum(fate == "train" for fate in fates.values())
    assert {one.corpus for one in search.searched} == {"notes", "more"}


def test_a_checkpoint_is_searched_in_the_texts_of_its_time(past):
    old, new = select(past.store, "tiny@previous"), select(past.store, "tiny")
    for seed, in_old, in_new in ((6, True, False), (910, False, True), (9, True, True)):
        assert bool(find_text(past.store, passage(seed), old).found) == in_old, seed
        assert bool(find_text(past.store, passage(seed), new).found) == in_new, seed


def test_an_index_gives_the_same_answers_also_after_a_refresh(lab):
    plant(lab, 30)
    lab.run(notes())
    asked = [passage(4), passage(29), "two words", prose(3)[:3], prose(60)[5:30], "Zz"]
    before = {text: addresses(find_text(lab.store, text)) for text in asked}
    ((name, built),) = build_indexes(lab.store)
    assert (name, built.rows, text_index(lab.store.place("notes/signals"))) == ("notes", 30, built)
    search = find_text(lab.store, asked[0])
    assert search.searched[0].scanned == 0
    assert {text: addresses(find_text(lab.store, text)) for text in asked} == before
    plant(lab, 35)
    lab.run(notes())
    search = find_text(lab.store, passage(33))
    assert addresses(search) == ["notes.jsonl#line=34"]
    assert addresses(find_text(lab.store, asked[0])) == before[asked[0]]
    assert len(list(build_indexes(lab.store, "notes"))) == 1
    assert find_text(lab.store, passage(33)).searched[0].scanned == 0
    assert lab.run(notes())["notes/signals"].reused


def test_what_cannot_be_searched_is_said(lab):
    with pytest.raises(LineageError, match="give a passage"):
        find_text(lab.store, "")
    with pytest.raises(LineageError, match="No corpus is materialized"):
        find_text(lab.store, "text")
    with pytest.raises(LineageError, match="There is no corpus 'notes'"):
        list(build_indexes(lab.store, "notes"))


def test_places_overlap():
    assert list(places_of("aa", "aaaa")) == [0, 1, 2]
    assert list(places_of("b", "aaaa")) == []
