"""A canary is planted, trained on, withdrawn and removed; independent decoding finds it nowhere afterwards."""

import io
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
import numpy as np
import pytest
from lance.file import LanceFileReader
from small_pipelines import Lab, bytes_tokenizer, notes, packed, prose, reworded, tiny_training
from tokenizers import Tokenizer

from headwater.assets.lineage.history import history
from headwater.assets.lineage.trace import trace_document
from headwater.assets.storage.gc import collect, released
from headwater.assets.storage.gc_options import Retention
from headwater.assets.storage.places import StoreError
from headwater.assets.withdrawal.blocklist import RULE, read_blocklist
from headwater.assets.withdrawal.discarding import NOTE, discard, discard_plan, outputs_named
from headwater.assets.withdrawal.purging import is_pending, purge_plan, purge_withdrawn
from headwater.assets.withdrawal.remedies import blocked_by
from headwater.assets.withdrawal.selecting import select_matching, with_copies, with_duplicates
from headwater.assets.withdrawal.status import withdrawal_check, withdrawal_status
from headwater.assets.withdrawal.touching import touched_by
from headwater.assets.withdrawal.verifying import verify_absence
from headwater.assets.withdrawal.withdrawing import withdraw

CANARY = "zugo vemi canaria 48151623 pelu"
NOTHING_PAST = Retention(keep=0, older_than_days=0, attempt_hours=0)
LATER = datetime.now(UTC) + timedelta(minutes=5)
PIPELINE = (
    notes(held_out={"share": 0.0}, source={"date_field": "date", "meta_fields": ["author"]}),
    bytes_tokenizer(),
    packed(),
    tiny_training(30),
)


def plant_canary(lab: Lab) -> dict[str, str]:
    """42 documents: one with the canary, which is the earliest, and a near-duplicate of it without the canary."""
    secret = f"{prose(900, 40)} {CANARY} {prose(901, 40)}"
    texts = {f"d{number}": prose(number) for number in range(40)}
    texts |= {"secret": secret, "similar": reworded(secret.replace(CANARY, ""), changes=1)}
    write(lab, texts)
    return texts


def write(lab: Lab, texts: dict[str, str]) -> None:
    """The documents in their order; the one with the canary is dated before the others."""
    dates = {name: {"date": "1999-01-01" if CANARY in text else "2020-01-01"} for name, text in texts.items()}
    lab.write_jsonl(
        "notes.jsonl", [{"id": n, "text": text, "author": f"by {n} herself"} | dates[n] for n, text in texts.items()]
    )


def where_decoded(lab: Lab, needle: str) -> list[str]:
    """Where a text stands in the store, by code of this test alone: Lance, tar, tokenizer, plain files."""
    root, found = Path(lab.store.root), []
    tokenizers = [Tokenizer.from_file(str(path)) for path in root.rglob("tokenizer.json")]
    for table in root.rglob("*.lance"):
        if not table.is_dir():
            continue
        read = {}
        for version in [item["version"] for item in lance.dataset(str(table)).versions()]:
            read[f"version {version}"] = lance.dataset(str(table), version=version).to_table()
        for file in (table / "data").glob("*.lance"):
            read[file.name] = LanceFileReader(str(file)).read_all().to_table()
        for name, rows in read.items():
            said = " ".join(str(rows[column].to_pylist()) for column in rows.column_names if column != "tokens")
            if "tokens" in rows.column_names:
                flat = [token for row in rows["tokens"].to_pylist() for token in row]
                said += " ".join(tokenizer.decode(flat) for tokenizer in tokenizers)
            if needle in said:
                found.append(f"{table.relative_to(root)} {name}")
    for path in root.rglob("*.tar"):
        with tarfile.open(path) as tar:
            arrays = [np.load(io.BytesIO(tar.extractfile(m).read())) for m in tar if m.name.endswith(".npy")]
        flat = [int(token) for array in arrays for token in array.ravel()]
        if any(needle in tokenizer.decode(flat) for tokenizer in tokenizers):
            found.append(str(path.relative_to(root)))
    for path in root.rglob("*"):
        if (
            path.is_file()
            and ".lance" not in str(path)
            and path.suffix != ".tar"
            and needle.encode() in path.read_bytes()
        ):
            found.append(str(path.relative_to(root)))
    return found


def everything_gone(lab: Lab) -> None:
    purge_withdrawn(lab.store, False, {})
    collect(lab.store, NOTHING_PAST, now=LATER)


def test_a_withdrawn_document_leaves_no_trace_but_its_ledger(lab: Lab) -> None:
    plant_canary(lab)
    lab.run(*PIPELINE)
    chosen = with_duplicates(lab.store, select_matching(lab.store, CANARY, regex=False))
    because = {item.uri.rsplit("=")[-1]: item.because for item in chosen.values()}
    assert because == {"41": "asked", "42": "near"}  # by line
    (secret,) = [item.doc_id for item in chosen.values() if item.because == "asked"]
    assert where_decoded(lab, CANARY)

    touched = touched_by(lab.store, chosen)
    before = lab.record("tiny/checkpoint")
    steps = trace_document(lab.store, before, secret).steps
    (checkpoint,) = touched.checkpoints
    assert checkpoint.current
    assert set(steps) <= set(checkpoint.status.steps)
    assert secret in checkpoint.status.documents
    assert touched.shards[0].members >= 1
    # Nothing was written so far.
    assert len(read_blocklist(lab.store)) == 0
    assert withdrawal_status(lab.store, before).clean

    withdraw(lab.store, chosen, "its author asked", "legal", "match", with_duplicates=True)
    check = withdrawal_check(lab.store, before)
    assert not check.passed
    assert check.metadata["documents"] == len(checkpoint.status.documents)
    assert check.metadata["steps"] == len(checkpoint.status.steps)
    assert any("letters/tokenizer" in line for line in check.metadata["influence_only"])

    # Before the refresh, and before gc, verification fails.
    assert not verify_absence(lab.store).absent
    everything_gone(lab)
    assert is_pending(lab.store)
    assert not verify_absence(lab.store).absent
    lab.run(*PIPELINE)
    assert not verify_absence(lab.store).absent
    assert where_decoded(lab, CANARY)

    planned = purge_plan(lab.store, False, {})
    assert planned.versions
    assert where_decoded(lab, CANARY)
    everything_gone(lab)
    found = verify_absence(lab.store)
    assert found.found == []
    assert found.telling > 5
    assert found.read["tokens"] > 0
    assert where_decoded(lab, CANARY) == []
    assert not is_pending(lab.store)

    ledger = {row["doc_id"]: row for row in lab.table("notes/raw", "ledger").to_pylist()}
    assert ledger[secret]["rule"] == RULE
    assert "its author asked" in ledger[secret]["detail"]
    assert not ledger[secret]["kept"]


def test_what_saw_it_says_so_after_everything_is_gone(lab: Lab) -> None:
    plant_canary(lab)
    lab.run(*PIPELINE)
    old = lab.record("tiny/checkpoint")
    chosen = with_copies(lab.store, select_matching(lab.store, CANARY, regex=False))
    withdraw(lab.store, chosen, "its author asked", "legal", "match", with_duplicates=False)
    status = withdrawal_status(lab.store, old)
    lab.run(*PIPELINE)
    everything_gone(lab)
    new = lab.record("tiny/checkpoint")
    assert new.digest != old.digest
    assert withdrawal_status(lab.store, new).documents == ()
    assert where_decoded(lab, "by d7 herself")
    assert where_decoded(lab, "by secret herself") == []  # not in the ledgers of the past either
    past = [record for record in history(lab.store.place("tiny/checkpoint")) if record.digest == old.digest]
    assert withdrawal_status(lab.store, past[0]).documents == status.documents
    assert withdrawal_status(lab.store, past[0]).steps == status.steps
    shards = lab.store.place("packed/shards")
    gone = shards.record(old.identity.inputs["shards"].identity)
    said = released(shards, gone)
    assert said is not None
    assert "withdrawal" in said["why"]


def test_a_copy_that_stays_is_told_in_the_verdict(lab: Lab) -> None:
    texts = {f"d{number}": prose(number) for number in range(6)}
    write(lab, texts)
    lab.run(PIPELINE[0])
    (chosen,) = select_matching(lab.store, texts["d3"], regex=False).items()
    withdraw(lab.store, dict([chosen]), "asked", "me", "match", with_duplicates=False)
    quoting = texts["d4"] + " " + texts["d3"][:120]  # a part of it is no copy
    write(lab, {**texts, "d3": texts["d3"] + "\n", "d4": quoting})
    lab.run(PIPELINE[0])
    everything_gone(lab)
    found = verify_absence(lab.store)
    rows = lab.table("notes/raw", "documents", ["doc_id", "text"]).to_pylist()
    (copy,) = [row["doc_id"] for row in rows if row["text"].strip() == texts["d3"]]
    assert found.absent
    assert {doc_id: item.whole for doc_id, item in found.sharing.items() if item.whole} == {copy: {chosen[0][1]}}
    assert len(found.sharing) == 2
    lines = list(found.lines())
    assert lines[0].startswith("1 withdrawn document, ")
    assert lines[-4:-2] == [
        "ABSENT: nothing withdrawn is left, except as a copy that was not withdrawn:",
        "WARNING: 1 document that stays holds the whole text of a withdrawn one, as far as its fingerprints tell.",
    ]
    assert lines[-1].endswith(f"headwater withdraw --ids {copy} --reason '…' --by '…'")


def test_what_is_current_is_the_same_after_a_purge_and_refreshes_go_on(lab: Lab) -> None:
    texts = plant_canary(lab)
    data = PIPELINE[:3]
    lab.run(*data)
    withdraw(
        lab.store, with_copies(lab.store, select_matching(lab.store, CANARY, False)), "asked", "me", "match", False
    )
    lab.run(*data)
    tables = [("notes/raw", "documents"), ("notes/signals", "documents"), ("packed/tokens", "notes-train")]
    before = [lab.table(*table) for table in tables]
    everything_gone(lab)
    assert [lab.table(*table) for table in tables] == before
    assert all(result.reused for result in lab.run(*data).values())
    texts["later"] = prose(5000)
    write(lab, {name: text for name, text in texts.items() if name != "d3"})
    lab.run(*data)
    again = Lab(lab.root, Path(lab.store.root).parent / "again")
    withheld = {n: t for n, t in texts.items() if n not in ("d3", "secret")}
    write(again, withheld)
    again.run(*data, until="signals")
    refreshed, fresh = (sorted(each.table("notes/signals", "documents")["text"].to_pylist()) for each in (lab, again))
    assert refreshed == fresh


@pytest.mark.parametrize("followed", ["signals", "curated", "deduplicated"])
def test_tokens_follow_although_a_purge_took_the_texts_that_they_had(lab: Lab, followed: str) -> None:
    """The corpus followed a withdrawal and an addition and was purged; then the tokens follow, as the purge advises."""
    texts = plant_canary(lab)
    lab.run(*PIPELINE[:3])
    withdraw(lab.store, select_matching(lab.store, CANARY, read_blocklist(lab.store)), "asked", "me", "match", False)
    write(lab, texts | {"new": prose(77)})
    lab.run(PIPELINE[0], until=followed)
    purge_withdrawn(lab.store, False, {})
    lab.run(*PIPELINE[:3])
    spans, decisions = lab.table("packed/tokens", "spans"), lab.table("notes/deduplicated", "decisions")
    kept = decisions.filter(decisions["kept"])["doc_id"].to_pylist()
    assert sorted(spans["doc_id"].to_pylist()) == sorted(kept)
    assert lab.record("packed/tokens").metrics["documents_encoded"] <= 2
    purge_withdrawn(lab.store, False, {})
    assert where_decoded(lab, CANARY) == []


def test_a_purge_may_be_interrupted_anywhere(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_canary(lab)
    data = PIPELINE[:3]
    lab.run(*data)
    withdraw(
        lab.store, with_copies(lab.store, select_matching(lab.store, CANARY, False)), "asked", "me", "match", False
    )
    lab.run(*data)
    tables = [("notes/raw", "documents"), ("notes/signals", "documents"), ("packed/tokens", "notes-train")]
    before = [lab.table(*table) for table in tables]
    original = type(lab.store.fs).rm_file
    count = 0

    def dies(self: object, path: str) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise KeyboardInterrupt
        original(self, path)

    monkeypatch.setattr(type(lab.store.fs), "rm_file", dies)
    for limit in (0, 2, 9):  # noqa: B007
        count = 0
        with pytest.raises(KeyboardInterrupt):
            purge_withdrawn(lab.store, False, {})
        assert [lab.table(*table) for table in tables] == before
    monkeypatch.undo()
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    everything_gone(lab)
    assert [lab.table(*table) for table in tables] == before
    assert verify_absence(lab.store).absent
    assert where_decoded(lab, CANARY) == []


def test_withdrawing_everything_ends_in_absence_by_the_command_that_is_named(lab: Lab) -> None:
    plant_canary(lab)
    lab.run(*PIPELINE)
    seen = lab.record("tiny/checkpoint")
    everyone = select_matching(lab.store, "", regex=False)
    withdraw(lab.store, everyone, "all of it", "legal", "match", with_duplicates=False)
    lab.run(PIPELINE[0], until="raw")  # its check has_documents stops what follows
    everything_gone(lab)
    found = verify_absence(lab.store)
    assert "packed/shards" in found.holding
    assert "has_documents" in str(blocked_by(lab.store, "packed/shards"))
    named = f"headwater discard {' '.join(sorted(found.holding))} --reason"
    assert named in "\n".join(found.lines())
    assert named in "\n".join(purge_plan(lab.store, False, {}).lines())

    with lab.store.place("tiny/checkpoint").lease(), pytest.raises(StoreError, match=r"the run of tiny/checkpoint"):
        discard(lab.store, ["packed/shards"], "withdrawn", "legal")
    discard(lab.store, sorted(found.holding), "withdrawn", "legal")
    assert not found.holding & set(lab.store.assets())
    everything_gone(lab)
    assert verify_absence(lab.store).found == []
    assert where_decoded(lab, CANARY) == []
    assert not is_pending(lab.store)
    place = lab.store.place("packed/shards")
    assert '"by": "legal"' in (place.read_text(f"{place.root}/{NOTE}") or "")
    assert all(item.empty for item in discard_plan(lab.store, sorted(found.holding)))
    assert len(withdrawal_status(lab.store, seen).documents) > 0  # the ledgers of its time still tell


def test_a_discarded_output_is_made_anew_and_a_discard_may_be_interrupted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_canary(lab)
    data = PIPELINE[:3]
    lab.run(*data)
    before = lab.table("packed/tokens", "notes-train"), lab.record("packed/shards").content_version
    assets = outputs_named(lab.store, "packed")
    original, count = type(lab.store.fs).rm_file, 0

    def dies(self: object, path: str) -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise KeyboardInterrupt
        original(self, path)

    monkeypatch.setattr(type(lab.store.fs), "rm_file", dies)
    with pytest.raises(KeyboardInterrupt):
        discard(lab.store, assets, "a trial", "me")
    monkeypatch.undo()
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    discard(lab.store, assets, "a trial", "me")
    assert not {"packed/shards", "packed/tokens"} & set(lab.store.assets())
    assert not [found for found in where_decoded(lab, CANARY) if found.startswith("packed/")]
    results = lab.run(*data)
    assert not results["packed/shards"].reused
    assert (lab.table("packed/tokens", "notes-train"), lab.record("packed/shards").content_version) == before
    for name in ("nothing", "headwater", "headwater/withdrawals"):
        with pytest.raises(StoreError):
            outputs_named(lab.store, name)
