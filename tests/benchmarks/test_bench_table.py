"""The table that `make bench` ends with: directions, ratios, order, and the page it is written into."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from common import Headline, write_results, write_section  # noqa: E402
from corpora import corpus, prepare_peer_corpus  # noqa: E402
from summary import ratios, read_results, table  # noqa: E402

FASTER = Headline("encoding", "MB per CPU s", 60, 90.0, peer="another", of_peer=30.0)
SLOWER = Headline("duplicates", "CPU s", 6, 12.0, less_is_better=True, peer="another", of_peer=3.0)
ALONE = Headline("signals", "MB per CPU s", 16, 16.0)


def test_ratios_are_above_one_where_headwater_is_better_whatever_the_direction() -> None:
    assert (FASTER.ratio, SLOWER.ratio, ALONE.ratio) == (3.0, 0.25, None)
    assert (FASTER.met, SLOWER.met, ALONE.met) == (True, False, True)


def test_rows_come_in_the_order_of_the_data_and_say_what_was_missed(tmp_path: Path) -> None:
    write_results(tmp_path, "bench_tokenization", [FASTER], 20, {"another": "1.2"})
    write_results(tmp_path, "bench_deduplication", [SLOWER, ALONE], 20, {})
    found = [line for result in read_results(tmp_path) for line in result["headlines"]]
    assert found == [SLOWER, ALONE, FASTER]
    rows = table(found).splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == ["duplicates", "signals", "encoding"]
    assert "missed" in rows[0]
    assert "another: 3" in rows[0]
    assert "3 ×" in rows[2]
    assert "missed" not in rows[2]


def test_no_results_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no results"):
        read_results(tmp_path)


def test_the_picture_has_a_line_for_each_step_with_a_peer() -> None:
    drawn = ratios([FASTER, SLOWER, ALONE])
    assert drawn.startswith("<?xml")
    assert "encoding" in drawn
    assert "0.25 × another" in drawn
    assert "signals" not in drawn
    assert ratios([ALONE]).startswith("<?xml")


def test_a_section_is_replaced_between_its_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- one -->\n<!-- /one -->\n\nend\n")
    for text in ("first", "second"):
        write_section(page, "one", text)
        write_section(page, "two", text)
    assert page.read_text() == (
        "# Page\n\n<!-- one -->\nsecond\n<!-- /one -->\n\nend\n\n<!-- two -->\nsecond\n<!-- /two -->\n"
    )


@pytest.mark.slow
def test_the_peers_corpus_is_the_same_in_all_its_forms(tmp_path: Path) -> None:
    facts = prepare_peer_corpus(tmp_path, 3)
    documents, ledger = corpus(tmp_path)
    assert facts["documents"] == len(documents) == len(ledger)
    assert 2 < facts["megabytes"] <= 3
    assert documents["doc_id"].to_pylist() == sorted(ledger["doc_id"].to_pylist())
    lines = [json.loads(line) for file in tmp_path.rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert {(line["id"], line["text"]) for line in lines} == set(
        zip(documents["doc_id"].to_pylist(), documents["text"].to_pylist(), strict=True)
    )
