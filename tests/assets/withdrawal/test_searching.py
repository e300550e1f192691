"""Texts beside the tables: what quotes a withdrawn text is found however it is spelled, and cut without harm."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
from small_pipelines import prose

from headwater.assets.storage.places import Store
from headwater.assets.withdrawal.fingerprints import fingerprints
from headwater.assets.withdrawal.searching import CUT, Search, meaning, other_files, text_files, without

SALT = b"a salt"
SECRET = prose(1, 40) + '\nShe said: "never & nowhere" <print> this\\that. ' + prose(2, 40)
SEARCH = Search(SALT, fingerprints(SECRET, SALT))
OTHER = prose(3, 60)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("report.json", json.dumps({"samples": [{"prompt": SECRET, "loss": 1.5}, {"prompt": OTHER}]}, indent=2)),
        ("record.json", json.dumps({"markdown": {"a pair": f"````diff\n- {SECRET}\n+ x\n````\n{OTHER}"}})),
        ("events.jsonl", json.dumps({"text": OTHER}) + "\n" + json.dumps({"text": SECRET}) + "\n"),
        ("runs.ndjson", json.dumps({"text": [SECRET]}) + "\n" + json.dumps({"text": OTHER}) + "\n"),
        ("broken.json", "{" + SECRET + "\n" + OTHER),
        ("page.html", f"<p>{html.escape(SECRET)}</p>\n<p>{OTHER}</p>"),
        ("plot.svg", f"<text>{html.escape(SECRET)}</text>\n<text>{OTHER}</text>"),
        ("run.log", f"12:00 {SECRET.upper()}\n12:01 {OTHER}"),
    ],
)
def test_a_quotation_is_found_and_cut_alone(name: str, text: str) -> None:
    assert SEARCH.holds(meaning(name, text))
    cut = without(name, text, SEARCH)
    assert not SEARCH.holds(meaning(name, cut))
    assert CUT in cut
    assert OTHER in meaning(name, cut)
    if name in ("report.json", "record.json"):
        json.loads(cut)
    if name == "report.json":
        assert json.loads(cut)["samples"] == [{"prompt": json.loads(cut)["samples"][0]["prompt"], "loss": 1.5},
                                              {"prompt": OTHER}]  # fmt: skip


def test_a_quotation_over_short_lines_is_cut_whole() -> None:
    text = "\n".join(SECRET[at : at + 20] for at in range(0, len(SECRET), 20)).replace(" \n", "\n ")
    spread = " ".join(SECRET.split()).replace(" ", "\n")
    for quoted in (text, spread):
        if SEARCH.holds(quoted):
            assert not SEARCH.holds(without("run.log", quoted, SEARCH))
    assert SEARCH.holds(spread)


def test_other_texts_stay_as_they_are() -> None:
    for name, text in (("a.md", OTHER), ("a.json", '{"a":  1}'), ("a.jsonl", '{"a": 1}\n')):
        assert not SEARCH.holds(meaning(name, text))
    assert not Search(b"", np.empty(0, dtype=np.uint64)).holds(SECRET)


def test_tables_shards_and_weights_are_no_texts(tmp_path: Path) -> None:
    for name in (
        "c/s/record.json",
        "c/s/tables/t.lance/data/x.lance",
        "c/s/files/1/a.tar",
        "c/s/files/1/model.safetensors",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OTHER)
    store = Store(str(tmp_path))
    assert [name for name, _ in text_files(store)] == ["c/s/record.json"]
    assert other_files(store) == 1
