"""Which documents a withdrawal means, what goes with them, and what a checkpoint is said to have seen."""

from pathlib import Path

import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, prose, reworded, tiny_training

from headwater.assets.lineage.history import LineageError
from headwater.assets.lineage.trace import trace_document
from headwater.assets.storage.places import StoreError
from headwater.assets.withdrawal.blocklist import ASSET, read_blocklist
from headwater.assets.withdrawal.selecting import (
    not_yet,
    select_ids,
    select_matching,
    select_uris,
    with_copies,
    with_duplicates,
)
from headwater.assets.withdrawal.status import standing_checks, withdrawal_status
from headwater.assets.withdrawal.touching import _uncovered, touched_by
from headwater.assets.withdrawal.withdrawing import read_fingerprints, withdraw


def uris(chosen) -> dict[tuple[str, str], str]:
    return {(item.corpus, item.uri): item.because for item in chosen.values()}


@pytest.fixture
def letters(lab: Lab) -> Lab:
    """Two corpora of text files: a letter, its copies in both, what resembles it, and what resembles that."""
    texts = {f"{number}.txt": prose(number) for number in range(8)}
    letter = prose(50, 120)
    texts |= {"letter.txt": letter, "copy.txt": letter, "draft.txt": reworded(letter, 1, 4)}
    texts["later.txt"] = reworded(texts["draft.txt"], 2, 70)
    for name, text in texts.items():
        path = lab.root / "mail" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (lab.root / "chat").mkdir()
    (lab.root / "chat/again.md").write_text(letter)
    lab.run(corpus("mail"), until="deduplicated")
    lab.run(corpus("chat"), until="raw")
    return lab


def corpus(name: str):
    return notes(name, path=f"{name}/*", source={"kind": "text_files"}, held_out={"share": 0.0})


def test_addresses_may_be_patterns_and_unknown_ones_are_refused(letters: Lab) -> None:
    store, nothing = letters.store, read_blocklist(letters.store)
    assert uris(select_uris(store, ["letter.txt"], nothing)) == {("mail", "letter.txt"): "asked"}
    assert len(select_uris(store, ["?.txt", "again*"], nothing)) == 9
    with pytest.raises(LineageError, match=r"no\.txt"):
        select_uris(store, ["letter.txt", "no.txt"], nothing)
    (chosen,) = select_uris(store, ["letter.txt"], nothing).values()
    assert select_ids(store, [chosen.doc_id], nothing) == {("mail", chosen.doc_id): chosen}
    with pytest.raises(LineageError, match="0123"):
        select_ids(store, [chosen.doc_id, "0123"], nothing)


def test_an_address_as_it_is_spelled_comes_before_a_pattern(lab: Lab) -> None:
    names = ["[x].txt", "x.txt", "what?.txt", "whats.txt", "a*.txt", "ab.txt", "a(b).txt"]
    for number, name in enumerate(names):
        (lab.root / "mail").mkdir(exist_ok=True)
        (lab.root / "mail" / name).write_text(prose(number))
    lab.run(corpus("mail"), until="raw")
    nothing = read_blocklist(lab.store)
    for given, meant in (
        ("[x].txt", {"[x].txt"}),
        ("what?.txt", {"what?.txt"}),
        ("a*.txt", {"a*.txt"}),
        ("[?].txt", {"[x].txt"}),
        ("*[x]*", {"[x].txt"}),
        ("a?b?.txt", {"a(b).txt"}),
        ("wha?s.txt", {"whats.txt"}),
    ):
        assert {uri for _, uri in uris(select_uris(lab.store, [given], nothing))} == meant
    with pytest.raises(LineageError, match=r"\[a-z\]"):
        select_uris(lab.store, ["[a-z]b.txt"], nothing)


def test_texts_are_matched_verbatim_or_by_pattern(letters: Lab) -> None:
    some = prose(3).split(".")[1].strip()
    assert uris(select_matching(letters.store, some, regex=False)) == {("mail", "3.txt"): "asked"}
    pattern = some[:10] + ".*" + some[-10:]
    assert ("mail", "3.txt") in uris(select_matching(letters.store, pattern, regex=True))
    for text, regex in (("not in any letter", False), ("(", True)):
        with pytest.raises(LineageError):
            select_matching(letters.store, text, regex)


def test_copies_go_with_a_document_and_resembling_ones_when_asked(letters: Lab) -> None:
    asked = select_uris(letters.store, ["letter.txt"], read_blocklist(letters.store))
    copies = {("mail", "letter.txt"): "asked", ("mail", "copy.txt"): "exact", ("chat", "again.md"): "exact"}
    assert uris(with_copies(letters.store, asked)) == copies
    everything = uris(with_duplicates(letters.store, asked))
    assert everything == copies | {("mail", "draft.txt"): "near"}
    draft = select_uris(letters.store, ["draft.txt"], read_blocklist(letters.store))
    assert uris(with_duplicates(letters.store, draft)) == {
        ("mail", "draft.txt"): "asked", ("mail", "letter.txt"): "near",
        ("mail", "copy.txt"): "near", ("chat", "again.md"): "exact",
    }  # fmt: skip


def test_withdrawals_are_appended_and_keep_no_text(letters: Lab) -> None:
    store = letters.store
    first = with_copies(store, select_uris(store, ["letter.txt"], read_blocklist(store)))
    one = withdraw(store, first, "asked", "legal", "uris", with_duplicates=False)
    blocked = read_blocklist(store)
    assert not_yet(first, blocked) == {}
    second = not_yet(select_uris(store, ["?.txt", "letter.txt"], blocked), blocked)
    two = withdraw(store, second, "asked again", "legal", "uris", with_duplicates=False)
    entries = read_blocklist(store).entries
    assert entries["reason"].to_pylist() == ["asked"] * 3 + ["asked again"] * 8
    assert one.digest != two.digest
    salt, rows = read_fingerprints(store)
    assert len(salt) == 16
    assert rows.num_rows == 11
    assert prose(50)[:40] not in str(entries.to_pylist()) + str(rows.to_pylist())[:10000]
    # What is blocked stays known by its address and id, also once its corpus has lost it.
    letters.run(corpus("mail"), until="raw")
    again = select_uris(store, ["letter.txt"], read_blocklist(store))
    assert not_yet(again, read_blocklist(store)) == {}
    with store.place(ASSET).lease(), pytest.raises(StoreError):
        withdraw(store, first, "asked", "legal", "uris", with_duplicates=False)


def test_a_withdrawn_text_does_not_come_back_under_another_name(letters: Lab) -> None:
    store = letters.store
    chosen = with_copies(store, select_uris(store, ["letter.txt"], read_blocklist(store)))
    withdraw(store, chosen, "asked", "legal", "uris", with_duplicates=False)
    letter = (letters.root / "mail/letter.txt").read_text()
    (letters.root / "mail/new_name.txt").write_text(letter)
    (letters.root / "mail/copy.txt").write_text("An entirely new edition in the place of the copy.")
    letters.run(corpus("mail"), until="raw")
    letters.run(corpus("chat"), until="raw")
    for name in ("mail", "chat"):
        kept = {row["uri"] for row in letters.table(f"{name}/raw", "ledger").to_pylist() if row["kept"]}
        assert not kept & {"letter.txt", "copy.txt", "new_name.txt", "again.md"}
        assert letter not in letters.table(f"{name}/raw", "documents")["text"].to_pylist()
    assert "draft.txt" in {r["uri"] for r in letters.table("mail/raw", "ledger").to_pylist() if r["kept"]}


def test_the_status_of_a_checkpoint_agrees_with_the_trace_of_each_document(lab: Lab) -> None:
    plant(lab, 25)
    lab.run(notes(), bytes_tokenizer(), packed(), tiny_training(6))
    checkpoint = lab.record("tiny/checkpoint")
    spans = lab.table("packed/tokens", "spans").to_pylist()
    train = [row["doc_id"] for row in spans if row["stream"] == "notes-train"]
    held_out = [row["doc_id"] for row in spans if row["stream"] != "notes-train"]
    for ids in (train[:1], train[3:9], train, held_out[:2]):
        steps = {doc_id: trace_document(lab.store, checkpoint, doc_id).steps for doc_id in ids}
        status = withdrawal_status(lab.store, checkpoint, set(ids))
        assert set(status.documents) == {doc_id for doc_id, own in steps.items() if own}
        assert set(status.steps) == {step for own in steps.values() for step in own}
    fitted = withdrawal_status(lab.store, checkpoint, set(train[:2])).influence
    assert [(item.asset, item.documents) for item in fitted] == [("letters/tokenizer", 2)]
    assert withdrawal_status(lab.store, checkpoint, set(held_out[:2])).clean
    assert withdrawal_status(lab.store, checkpoint).clean
    (check,) = standing_checks(lab.store, checkpoint)
    assert check.passed
    assert standing_checks(lab.store, lab.record("packed/shards")) == []
    chosen = select_ids(lab.store, train[:2], read_blocklist(lab.store))
    touched = touched_by(lab.store, chosen)
    assert touched.shards[0].tokens == sum(row["length"] for row in spans if row["doc_id"] in train[:2])
    assert len(list(Path(lab.store.root).glob("headwater/*"))) == 0


@pytest.mark.parametrize(
    ("start", "stop", "holes", "left"),
    [(0, 5, [], True), (0, 5, [(0, 5)], False), (0, 5, [(3, 9), (0, 3)], False), (0, 5, [(1, 4)], True)],
)
def test_a_span_is_gone_only_where_holes_cover_it(
    start: int, stop: int, holes: list[tuple[int, int]], left: bool
) -> None:
    assert _uncovered(start, stop, holes) == left
