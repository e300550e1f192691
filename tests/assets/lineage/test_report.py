"""The report of a checkpoint, read with the standard library's parser and compared with records and tables."""

import re
import shutil
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from threading import Thread

import dagster as dg
import pyarrow.compute as pc
import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, prose, reworded, stages_of, tiny_training

from headwater.assets.command_line.report_server import report_server
from headwater.assets.dagster_assets import asset_of
from headwater.assets.evaluation.component import Evaluation
from headwater.assets.lineage.report import facts, keep_reports_current, render_report, report_path, write_report
from headwater.assets.lineage.report.drawing import Node, draw_curves, draw_graph
from headwater.assets.lineage.report.facts import gather
from headwater.assets.lineage.segments import trained_segments
from headwater.assets.lineage.trace import trace_document
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record, TableRecord
from headwater.assets.storage.tables import commit_parts, write_part
from headwater.assets.withdrawal.blocklist import read_blocklist
from headwater.assets.withdrawal.selecting import select_ids
from headwater.assets.withdrawal.withdrawing import withdraw

HOSTILE = "<script>alert('x')</script>\"&\u202egnp.exe"
STEPS = 12
ENGLISH = (
    "The river rises in the hills behind the town and flows slowly past the old mill, where the water once turned a "
    "wheel. Number {0} of the stones on the bank is covered with moss, and children sit there in summer to read."
)
VOID = {"meta", "link", "br", "img", "hr", "input", "line", "rect"}


class Page(HTMLParser):
    """Tables by heading and caption, all text, all tags and attributes; complains of tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.heading, self.text, self._cell = "", [], None
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.heading = ""
        if tag == "tr":
            self.tables.setdefault(self.heading.strip(), []).append([])
        if tag in ("td", "th"):
            self._cell = ""

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> ends another tag under {self.heading}"
        if tag in ("td", "th"):
            self.tables[self.heading.strip()][-1].append(" ".join(self._cell.split()))
            self._cell = None

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "title"):
            return
        self.text.append(data)
        if any(tag in self.open for tag in ("h1", "h2", "h3")):
            self.heading += data
        if self._cell is not None:
            self._cell += data

    def rows(self, heading: str) -> list[dict[str, str]]:
        """The body rows of a heading's first table by column."""
        header, *rows = self.tables[heading]
        return [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header) and row[0] != "all"]


def number(text: str) -> float:
    return float(text.replace(",", ""))


def documents() -> Iterator[dict[str, str]]:
    for n in range(40):
        yield {"id": f"d{n}", "text": prose(n), "license": HOSTILE if n % 5 == 0 else "MIT"}
    for n in range(6):
        yield {"id": f"e{n}", "text": ENGLISH.format(n) + " " + prose(800 + n, 12)}
    yield {"id": "near", "text": reworded(prose(1))}
    yield {"id": "copy", "text": prose(2)}
    yield {"id": "short", "text": "two words"}


def components():
    rules = [
        {"kind": "length", "min_words": 3, "min_bytes": None},
        {"kind": "language", "allowed": ["zz"], "min_confidence": None, "applies_to": "code"},
    ]
    source = {"name": "<b>notes", "id_field": "id", "license_field": "license", "format": "prose"}
    measures = {"bits_per_byte": {"resamples": 20}, "generation": None, "cloze": None}
    return (
        notes(path="<i>notes.jsonl", source=source, curation={"rules": rules}),
        bytes_tokenizer(),
        packed(),
        tiny_training(STEPS, seeds=(0, 1)),
        Evaluation(name="exam", training="tiny", held_out="packed", measures=measures),
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    """Two seeds trained on documents whose source, address and licence try to break the page, then evaluated."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_ENGINE", "local")
        made = Lab(root / "workspace", root / "store")
        made.write_jsonl("<i>notes.jsonl", documents())
        made.run(*components())
    return made


@pytest.fixture(scope="module")
def page(lab) -> Page:
    return Page(render_report(gather(lab.store, lab.record("tiny/checkpoint"))))


@pytest.fixture(scope="module")
def trained(lab) -> list[dict]:
    """The ledger's rows of training documents with their tokens, worked out apart from the report."""
    spans = [s for s in lab.table("packed/tokens", "spans").to_pylist() if s["stream"] == "notes-train"]
    tokens = {span["doc_id"]: span for span in spans}
    rows = lab.table("notes/raw", "ledger").to_pylist()
    return [row | {"tokens": tokens[row["doc_id"]]["length"]} for row in rows if row["doc_id"] in tokens]


def test_sources_and_licences_are_those_of_the_tables(lab, page, trained):
    ledger = lab.table("notes/raw", "ledger").to_pylist()
    (source,) = page.rows("Corpus notes: sources")
    assert source["source"] == "<b>notes"
    assert number(source["records met"]) == len(ledger)
    assert number(source["training documents"]) == len(trained)
    assert number(source["training tokens"]) == sum(row["tokens"] for row in trained)
    held_out = [s for s in lab.table("packed/tokens", "spans").to_pylist() if s["stream"] == "notes-held_out"]
    assert number(source["held-out documents"]) == len(held_out) > 0
    assert number(source["held-out tokens"]) == sum(span["length"] for span in held_out)
    shown = {row["licence"]: row for row in page.rows("Licences of the training documents")}
    counted = Counter(row["license"] for row in trained)
    safe = HOSTILE.replace("\u202e", "\ufffd")
    assert {name: number(row["documents"]) for name, row in shown.items()} == {
        safe: counted[HOSTILE],
        "MIT": counted["MIT"],
        "not stated": counted[None],
    }
    assert number(shown["MIT"]["tokens"]) == sum(row["tokens"] for row in trained if row["license"] == "MIT")


def test_languages_and_formats_are_counted(lab, page, trained):
    signals = lab.table("notes/signals", "signals", ["doc_id", "language"]).to_pylist()
    language = {row["doc_id"]: row["language"] for row in signals}
    shown = {row["language"]: number(row["documents"]) for row in page.rows("Languages of the training documents")}
    assert shown == Counter(language[row["doc_id"]] for row in trained)
    assert shown["en"] >= 1
    formats = {row["format"]: number(row["documents"]) for row in page.rows("Formats of the training documents")}
    assert formats == {"prose": len(trained)}


def test_drop_reasons_add_up_with_the_ledger(lab, page):
    decisions = lab.table("notes/deduplicated", "decisions").to_pylist()
    dropped = Counter((row["stage"], row["rule"]) for row in decisions if not row["kept"])
    shown = page.rows("Dropped, by stage and rule")
    assert {(row["stage"], row["rule"]): number(row["documents"]) for row in shown} == dropped
    thresholds = {row["rule"]: row["threshold"] for row in decisions if not row["kept"]}
    assert {row["rule"]: number(row["threshold"]) for row in shown} == thresholds
    assert {"length.min_words", "near_duplicate", "exact_duplicate"} <= {row["rule"] for row in shown}


def test_duplicates_are_shown_with_their_evidence(lab, page):
    edges = lab.table("notes/deduplicated", "edges").to_pylist()
    (near,) = [edge for edge in edges if edge["kind"] == "near"]
    text = " ".join("".join(page.text).split())
    assert "1 verified exact pair, 1 verified near pair." in text
    assert f"{near['similarity']:.4f}".rstrip("0") in text
    assert f"{near['shared']:,} shingles" in text
    uris = {row["doc_id"]: row["uri"] for row in lab.table("notes/raw", "ledger").to_pylist()}
    assert f"{uris[near['doc_id']]} resembles {uris[near['other_id']]}" in text


def test_training_and_evaluation_are_those_of_the_records(lab, page):
    record, exam = lab.record("tiny/checkpoint"), lab.record("exam/evaluation")
    rows = page.rows("Training")
    assert [number(row["tokens"]) for row in rows] == [record.metrics[f"tokens_seed_{seed}"] for seed in (0, 1)]
    assert [number(row["steps noted"]) for row in rows] == [STEPS, STEPS]
    streams = {row["stream"]: row for row in page.rows("Tokens and shards")}
    samples = record.metrics["segments"][0]["streams"][0]["samples"]
    assert number(streams["notes-train"]["passes over it"]) == pytest.approx(STEPS * 4 / samples, abs=0.006)
    assert streams["notes-held_out"]["passes over it"] == "none, held out"
    header = page.tables["exam/evaluation"][0]
    seeds = [row for row in page.tables["exam/evaluation"] if row[0] == "all"]
    assert len(seeds) == 2
    mean = sum(number(row[header.index("model")]) for row in seeds) / len(seeds)
    assert mean == pytest.approx(exam.metrics["bits_per_byte"], abs=1e-3)
    checks = [check.name for asset in lab.store.assets() if asset != "exam/evaluation"
              for check in lab.record(asset).checks]  # fmt: skip
    assert Counter(row["check"] for row in page.rows("Checks on the way")) == Counter(checks)
    options = dict(row for row in page.tables["Made with"] if len(row) == 2)
    assert options["recipe.steps"] == str(STEPS)
    assert options["seeds"] == "0, 1"


def test_the_graph_holds_every_asset_and_names_it_safely(lab, page):
    names = {attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"}
    assert any("tiny/checkpoint" in (name or "") for name in names)
    text = "".join(page.text)
    for asset in lab.store.assets():
        assert asset in text
    assert sum(tag == "rect" for tag, _ in page.tags) == len(lab.store.assets())


def test_the_page_needs_and_runs_nothing_else(lab, page):
    html = render_report(gather(lab.store, lab.record("tiny/checkpoint")))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe", "object", "embed", "base")]
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "xlink:href")]
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"@import|url\(|https?://", html)
    policy = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "<script" not in html
    assert "\u202e" not in html


def test_no_document_text_and_no_place_of_this_machine_is_in_it(lab, page):
    text = "".join(page.text)
    for row in lab.table("notes/raw", "documents").to_pylist():
        assert row["text"][:30] not in text
    assert str(lab.root) not in text
    assert str(lab.store.root) not in text


def test_a_report_is_written_once_and_again_after_an_evaluation(lab):
    record = lab.record("tiny/checkpoint")
    before = record.model_dump_json()
    path = Path(report_path(lab.store.place("tiny/checkpoint"), record))
    path.unlink(missing_ok=True)
    assert keep_reports_current(lab.store, record) == path.relative_to(lab.store.root).as_posix()
    path.write_text("kept")
    keep_reports_current(lab.store, record)
    assert path.read_text() == "kept"
    assert keep_reports_current(lab.store, lab.record("exam/evaluation")) is None
    assert "exam/evaluation" in path.read_text()
    assert keep_reports_current(lab.store, lab.record("notes/raw")) is None
    assert lab.record("tiny/checkpoint").model_dump_json() == before
    assert "report.html" not in " ".join(record.files)


def test_the_asset_page_links_the_report_of_a_reused_checkpoint_too(lab, monkeypatch):
    monkeypatch.setenv("HEADWATER_WORKSPACE", str(lab.root))
    monkeypatch.setenv("HEADWATER_STORE", str(lab.store.root))
    monkeypatch.setenv("HEADWATER_REPORTS_URL", "http://localhost:3001/")
    record = lab.record("tiny/checkpoint")
    path = Path(report_path(lab.store.place("tiny/checkpoint"), record))
    path.unlink(missing_ok=True)
    stage = next(stage for stage in stages_of(*components()) if stage.asset == "tiny/checkpoint")
    result = dg.materialize([asset_of(stage)], instance=dg.DagsterInstance.ephemeral())
    (event,) = result.asset_materializations_for_node("tiny__checkpoint")
    assert event.metadata["reused"].value is True
    assert event.metadata["report"].value == path.relative_to(lab.store.root).as_posix()
    assert event.metadata["report, as of now"].value == f"http://localhost:3001/tiny/checkpoint@{record.digest}"
    assert "<h1>tiny</h1>" in path.read_text()


def test_the_same_facts_give_the_same_page(lab):
    record, moment = lab.record("tiny/checkpoint"), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    one, two = (render_report(gather(lab.store, record, moment)) for _ in range(2))
    assert one == two
    assert "as of 2026-01-02 03:04 UTC" in one


def test_the_server_shows_reports_and_nothing_else(lab):
    with report_server(lab.store, 0) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        digest = lab.record("tiny/checkpoint").digest
        for name in ("tiny", f"tiny/checkpoint@{digest}", f"tiny@{digest[:6]}"):
            with urllib.request.urlopen(f"{base}/{name}") as answer:
                assert "<h1>tiny</h1>" in answer.read().decode()
        for name in ("tinny", "../../etc/passwd", "%3Cscript%3E", ""):
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(f"{base}/{name}")
            assert error.value.code == 404
            assert "<script>" not in error.value.read().decode()
        server.shutdown()


@pytest.fixture(scope="module")
def withdrawn(lab, trained) -> list[str]:
    """Ids of three training documents that were withdrawn after the training."""
    assert "Nothing has been withdrawn" in render_report(gather(lab.store, lab.record("tiny/checkpoint")))
    ids = sorted(row["doc_id"] for row in trained)[:3]
    withdraw(lab.store, select_ids(lab.store, ids, read_blocklist(lab.store)), "<u>asked", "legal", "ids", False)
    return ids


def test_withdrawals_since_are_told_with_their_steps(lab, withdrawn):
    checkpoint = lab.record("tiny/checkpoint")
    shown = Page(render_report(gather(lab.store, checkpoint))).rows("Withdrawals")
    steps = [trace_document(lab.store, checkpoint, doc_id).steps for doc_id in withdrawn]
    (row,) = shown
    assert row["reason"] == "<u>asked"
    assert row["by"] == "legal"
    assert number(row["documents"]) == 3
    assert number(row["seen in training"]) == sum(bool(own) for own in steps)
    assert number(row["steps that saw them"]) == len({step for own in steps for step in own})


def test_what_is_gone_is_missing_with_its_reason(lab, tmp_path):
    copy = Path(shutil.copytree(lab.store.root, tmp_path / "copy"))
    shutil.rmtree(copy / "exam")
    shutil.rmtree(copy / "notes" / "raw" / "history")
    for curve in copy.glob("tiny/checkpoint/files/*/seed_*/curve.jsonl"):
        curve.unlink()
    store = Store(str(copy))
    record = store.place("tiny/checkpoint").record()
    assert record is not None
    html = render_report(gather(store, record))
    page = Page(html)
    text = " ".join("".join(page.text).split())
    assert "Missing from this report." in text
    assert "The history of notes/raw lacks" in text
    assert "No evaluation of this checkpoint is stored" in text
    assert str(copy) not in text
    assert "notes-train" in text  # the streams are still counted
    assert write_report(store, record).endswith("report.html")


def test_the_graph_puts_every_box_below_what_it_is_made_from():
    nodes = [Node(key, f"{key}<", "&note", "corpus") for key in "abcd"]
    svg = draw_graph(nodes, [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")], 'a "graph"')
    heights = [float(y) for y in re.findall(r'<rect x="[\d.]+" y="([\d.]+)"', svg)]
    assert heights == sorted(set(heights))
    assert "a&lt;" in svg
    assert "&amp;note" in svg
    assert svg.count('class="edge"') == 4


def test_curves_keep_extremes_and_leave_out_what_is_not_finite():
    values = [1.0] * 5000
    values[2345], values[17] = 90.0, float("nan")
    svg = draw_curves({"seed 0": (range(5000), values)}, "loss", "loss")
    (points,) = re.findall(r'points="([^"]*)"', svg)
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert len(heights) < 500
    assert min(heights) < 40 < max(heights)
    assert "nan" not in svg
    assert draw_curves({}, "loss", "loss") == ""
    assert 'aria-label="loss"' in draw_curves({"s": ([0, 1], [2.0, 2.0])}, "loss", "loss")


def test_a_document_of_an_earlier_segment_counts_after_the_refresh_that_removed_it(lab, withdrawn):
    """A continued training read documents that its newest shards no longer hold."""
    checkpoint = lab.record("tiny/checkpoint")
    (first,) = trained_segments(lab.store, checkpoint)
    later = replace(first, number=1, tokens=packed_without(lab, withdrawn[0]))
    counts = {}
    for name, segments in (("later", [later]), ("both", [first, later])):
        (row,) = facts._withdrawn(lab.store, checkpoint, segments, []) or []
        counts[name] = row.documents
    assert counts == {"later": 2, "both": 3}


def packed_without(lab: Lab, doc_id: str) -> Record:
    """The tokens' record at a version of its spans that lacks a document."""
    place, record = lab.store.place("packed/tokens"), lab.record("packed/tokens")
    rows = lab.table("packed/tokens", "spans")
    left = rows.filter(pc.not_equal(rows["doc_id"], doc_id))
    fragments, content = write_part(place.table("spans"), rows.schema, left.to_batches())
    version = commit_parts(place.table("spans"), rows.schema, fragments)
    spans = TableRecord.of(version, content, record.tables["spans"].columns)
    return record.model_copy(update={"tables": record.tables | {"spans": spans}})
