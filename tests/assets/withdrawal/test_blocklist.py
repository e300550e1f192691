"""The standing blocklist: by record, by content, by place; nothing where nothing was withdrawn."""

import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pytest

from headwater.assets.storage.places import Store
from headwater.assets.withdrawal.blocklist import WITHDRAWALS, Blocklist, read_blocklist

NO_TEXT = blake2b(b"", digest_size=16).hexdigest()


def entry(doc_id: str, content_id: str, uri: str, corpus: str = "notes", source: str = "mail") -> dict[str, object]:
    return {
        "withdrawal": "0123456789ab",
        "corpus": corpus,
        "doc_id": doc_id,
        "content_id": content_id,
        "source": source,
        "uri": uri,
        "reason": "asked by its author",
        "by": "legal",
        "date": "2026-01-02T03:04:05+00:00",
        "with_duplicates": False,
        "scope": "ids",
        "because": "asked",
    }


def blocklist(*entries: dict[str, object]) -> Blocklist:
    return Blocklist(pa.Table.from_pylist(list(entries), schema=WITHDRAWALS))


def ledger(*rows: tuple[str, str, str, str]) -> pa.Table:
    names = ["doc_id", "content_id", "source", "uri"]
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])


@pytest.mark.parametrize(
    ("row", "blocked"),
    [
        (("d1", "other", "chat", "elsewhere"), True),  # the same record
        (("d9", "c1", "chat", "elsewhere"), True),  # the same content under another name and source
        (("d9", "c9", "mail", "a.txt"), True),  # other content in the same place
        (("d9", "c9", "chat", "a.txt"), False),  # the same name in another source
        (("d9", "c9", "mail", "b.jsonl#line=3"), False),  # a position says nothing about what lies there
        (("d9", NO_TEXT, "mail", "z.txt"), False),  # unreadable records have no content in common
        (("d9", "c9", "mail", "z.txt"), False),
    ],
)
def test_a_document_is_known_again_by_record_content_and_place(row: tuple[str, str, str, str], blocked: bool) -> None:
    entries = [entry("d1", "c1", "a.txt"), entry("d2", "c2", "b.jsonl#line=3"), entry("d3", NO_TEXT, "y.txt")]
    found = blocklist(*entries).blocks(ledger(row, ("x", "y", "z", "w"))).to_pylist()
    assert (found[0] is not None) == blocked
    assert found[1] is None
    if blocked:
        assert found[0] == "asked by its author (withdrawn 2026-01-02T03:04:05+00:00, 0123456789ab)"


def test_a_place_counts_only_in_its_own_corpus() -> None:
    blocks = blocklist(entry("d1", "c1", "a.txt", corpus="notes"))
    row = ledger(("d9", "c9", "mail", "a.txt"))
    assert blocks.blocks(row, "notes").null_count == 0
    assert blocks.blocks(row, "letters").null_count == 1
    assert blocks.blocks(ledger(("d9", "c1", "x", "y")), "letters").null_count == 0


def test_the_digest_follows_the_entries() -> None:
    first, second = entry("d1", "c1", "a.txt"), entry("d2", "c2", "b.txt")
    assert Blocklist().digest_for("notes") == ""
    one, two = blocklist(first).digest_for("notes"), blocklist(first, second).digest_for("notes")
    assert len({"", one, two}) == 3
    assert blocklist(first).digest_for("notes") == one


def test_nothing_withdrawn_costs_no_import_of_lance(tmp_path: Path) -> None:
    assert len(read_blocklist(Store(str(tmp_path)))) == 0
    assert Blocklist().blocks(ledger(("d", "c", "s", "u"))).to_pylist() == [None]
    code = (
        "import sys; from headwater.assets.storage.places import Store; "
        "from headwater.assets.withdrawal.blocklist import read_blocklist; "
        f"read_blocklist(Store({str(tmp_path)!r})); assert 'lance' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
