"""Memory follows neither the bytes of a corpus nor, beyond a little for each document, their number.

The whole path runs in processes of their own on a corpus and on one four times as large. The kernel's marks of their
memory, stage by stage, may differ by what a document costs and by no more than a part of the text that was added.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LIMIT = 2_000  # MB that a run may hold where the kernel lets us say so
BYTES_PER_DOCUMENT = 2_500  # of driver's state, twice over: what a stage holds and what it makes of it
KILOBYTES = 16  # of a document: what documents cost stays small beside their texts
TOLERANCE = 60  # MB: batches of 16 MB in several states, and the allocators' own ways


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    folder = Path(__file__).parents[2] / "benchmarks"
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the kernel keeps no mark of memory that can be set back")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        spec = importlib.util.spec_from_file_location("scale", folder / "scale.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "scale", module)
        spec.loader.exec_module(module)
        yield module


@pytest.mark.slow
def test_peak_memory_stays_where_it_is_while_the_corpus_grows(scale: Any, tmp_path: Path):
    scale.measure("compiling", tmp_path, lambda at: scale.write_corpus(at, 1), LIMIT)
    small, large = (
        scale.measure(f"{size} MB", tmp_path, lambda at, size=size: scale.write_corpus(at, size, KILOBYTES), LIMIT)
        for size in (40, 160)
    )
    assert large["megabytes"] > 3.9 * small["megabytes"]
    documents = large["records"] - small["records"]
    allowed = TOLERANCE + documents * BYTES_PER_DOCUMENT / 1e6
    assert allowed < 0.9 * (large["megabytes"] - small["megabytes"]), "the test would not see a column of texts"
    for asset, cost in large["stages"].items():
        more = cost["peak"] - small["stages"][asset]["peak"]
        assert more < allowed, f"{asset} holds {more:,.0f} MB more for {documents:,} documents more"


def test_the_corpus_is_varied_and_of_the_size_asked_for(scale: Any, tmp_path: Path):
    scale.write_corpus(tmp_path, 2)
    lines = [line for file in sorted(tmp_path.glob("*.jsonl")) for line in file.read_bytes().splitlines()]
    assert sum(map(len, lines)) == pytest.approx(2e6, rel=0.05)
    assert 0.9 < len(set(lines)) / len(lines) < 1.0
    words = b" ".join(lines).split()
    assert len(set(words)) > 20_000
