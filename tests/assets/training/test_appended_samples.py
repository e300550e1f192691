"""What a continued training takes as new: appended documents, also one that went and came again."""

import pytest
from planted_corpus import Planted, PlantedCorpus
from small_pipelines import bytes_tokenizer, packed, prose

from headwater.assets.context import Rebuild
from headwater.assets.training.growth import appended


@pytest.fixture
def corpus(lab) -> PlantedCorpus:
    planted = PlantedCorpus(lab.store)
    planted.change(new=[Planted(f"{n:032x}", prose(n)) for n in range(8)])
    lab.run(bytes_tokenizer(), packed())
    return planted


def span(lab, number):
    rows = lab.table("packed/tokens", "spans").to_pylist()
    return next(row for row in rows if row["doc_id"] == f"{number:032x}")


def test_a_document_that_went_and_came_again_is_new_and_the_others_are_not(lab, corpus):
    older, before = lab.record("packed/shards"), span(lab, 3)
    corpus.change(gone={before["doc_id"]})
    lab.run(bytes_tokenizer(), packed())
    corpus.change(new=[Planted(before["doc_id"], prose(3)), Planted("a" * 32, prose(100))])
    lab.run(bytes_tokenizer(), packed())
    again, other = span(lab, 3), next(r for r in lab.table("packed/tokens", "spans").to_pylist() if "aa" in r["doc_id"])
    assert again["start"] > before["start"]
    found = appended(lab.store, older, lab.record("packed/shards"))
    assert found.new_tokens == again["length"] + other["length"]
    assert found.first_sample == {"notes-train": again["start"] // 32} == {"notes-train": older.metrics["samples"]}


def test_after_a_repack_nothing_can_be_taken_up(lab, corpus):
    older = lab.record("packed/shards")
    corpus.change(gone={span(lab, 0)["doc_id"]})
    lab.run(bytes_tokenizer(), packed())
    assert appended(lab.store, older, lab.record("packed/shards")).new_tokens == 0
    lab.run(bytes_tokenizer(), packed(repack=2))
    with pytest.raises(Rebuild, match="numbered anew"):
        appended(lab.store, older, lab.record("packed/shards"))
