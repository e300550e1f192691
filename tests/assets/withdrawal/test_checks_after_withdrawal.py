"""The blocking checks of curation and deduplication after a withdrawal: what was withdrawn counts on neither side."""

from small_pipelines import Lab, notes, prose, reworded

from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.withdrawal.blocklist import read_blocklist
from headwater.assets.withdrawal.selecting import select_matching, select_uris
from headwater.assets.withdrawal.withdrawing import withdraw


def corpus(**deduplication: object):
    source = {"id_field": "id", "date_field": "date"}
    return notes(held_out={"share": 0.0}, source=source, deduplication=deduplication)


def plant(lab: Lab) -> None:
    """Four letters, five that resemble the first, and one that resembles the second, all dated in this order."""
    texts = {f"d{n}": prose(n, 200) for n in range(4)} | {f"alike{n}": reworded(prose(0, 200), n) for n in range(5)}
    texts["like"] = reworded(prose(1, 200))
    dated = [
        {"id": name, "text": text, "date": f"2020-01-{day:02}"} for day, (name, text) in enumerate(texts.items(), 1)
    ]
    lab.write_jsonl("notes.jsonl", dated)


def take_away(lab: Lab, *names: str) -> None:
    chosen = select_uris(lab.store, [f"notes.jsonl#key={name}" for name in names], read_blocklist(lab.store))
    withdraw(lab.store, chosen, "asked", "me", "uris", False)


def check(record: Record, name: str) -> CheckRecord:
    return next(found for found in record.checks if found.name == name)


def test_the_lost_share_is_that_of_the_documents_that_are_left(lab: Lab) -> None:
    plant(lab)
    limited = corpus(max_lost_share=0.5)
    before = lab.run(limited)["notes/deduplicated"].record
    assert not check(before, "lost_share").passed
    assert "lost 6 of 10 documents (60%)" in check(before, "lost_share").description
    take_away(lab, "alike0", "alike1", "alike2")
    after = lab.run(limited)["notes/deduplicated"].record
    assert check(after, "lost_share").passed, "3 of 7 are lost"
    assert [after.metrics[name] for name in ("documents_in", "kept", "dropped")] == [7, 4, 3]
    take_away(lab, "d0", "d2", "d3")
    last = lab.run(limited)["notes/deduplicated"].record
    assert check(last, "lost_share").passed, "2 of 4 are lost, as another stands for what was withdrawn"
    assert [last.metrics[name] for name in ("documents_in", "kept", "dropped")] == [4, 2, 2]
    assert "| 4 | 2 | 50.0% |" in last.markdown["lost by source"]


def test_documents_that_pass_the_rules_are_counted_without_those_withdrawn(lab: Lab) -> None:
    strict = notes(
        held_out={"share": 0.0},
        source={"id_field": "id"},
        curation={"rules": [{"kind": "length", "min_words": 65, "min_bytes": None}]},
    )
    lab.write_jsonl("notes.jsonl", [{"id": "long", "text": prose(8, 80)}, {"id": "d1", "text": prose(1)}])
    first = lab.run(strict, until="curated")["notes/curated"].record
    assert check(first, "keeps_documents").description == "Documents that pass the rules: 1 of 2."
    take_away(lab, "long")
    second = lab.run(strict, until="curated")["notes/curated"].record
    assert not check(second, "keeps_documents").passed
    assert "0 of 1. They were dropped by length.min_words (1): loosen" in check(second, "keeps_documents").description
    assert check(second, "keeps_documents").blocking
    assert second.metrics["documents_in"] == 1
    assert second.metrics["kept"] == 0


def test_nothing_is_left_to_count_when_everything_is_withdrawn(lab: Lab) -> None:
    plant(lab)
    lab.run(corpus())
    withdraw(lab.store, select_matching(lab.store, "", regex=False), "all", "me", "match", False)
    results = lab.run(corpus(), until="raw")
    assert not check(results["notes/raw"].record, "has_documents").passed
