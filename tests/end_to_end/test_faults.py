"""Killed at any operation on the store, in any stage, first run, refresh or withdrawal: as if it never was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dying import dying_at
from small_pipelines import Lab, bytes_tokenizer, notes, packed, prose, reworded, stages_of, tiny_training

from headwater.assets.running import run_stage
from headwater.assets.storage.tables import read_table
from headwater.assets.withdrawal.blocklist import read_blocklist
from headwater.assets.withdrawal.selecting import not_yet, select_ids
from headwater.assets.withdrawal.withdrawing import withdraw

STAGES = (
    "notes/raw",
    "notes/signals",
    "notes/curated",
    "notes/deduplicated",
    "letters/tokenizer",
    "packed/tokens",
    "packed/shards",
    "tiny/checkpoint",
)


# Where only documents change, the tokenizer is held: nothing runs that could be killed.
CASES = [
    (asset, case)
    for asset in STAGES
    for case in ("first", "refresh", "withdrawal")
    if case == "first" or asset != "letters/tokenizer"
]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setenv("HEADWATER_ENGINE", "local")


def components() -> list[Any]:
    return [
        notes(path="files/*.jsonl", compute={"partition_megabytes": 0.003}),
        bytes_tokenizer(),
        packed(),
        tiny_training(4),
    ]


def write_first(lab: Lab) -> None:
    for part in range(3):
        texts = [prose(20 * part + n) for n in range(12)]
        lab.write_jsonl(f"files/part{part}.jsonl", [{"text": text} for text in [*texts, reworded(texts[0])]])


def write_second(lab: Lab) -> None:
    """One file grows, one shrinks, one comes."""
    lab.write_jsonl("files/part0.jsonl", [{"text": prose(n)} for n in range(11)])
    lab.write_jsonl("files/part1.jsonl", [{"text": prose(20 + n)} for n in range(14)])
    lab.write_jsonl("files/part7.jsonl", [{"text": prose(700 + n)} for n in range(5)])


def withdraw_two(lab: Lab) -> None:
    """Two documents go at the request of their owner; another is the near-duplicate of the first."""
    ids = lab.table("notes/raw", "ledger", ["doc_id"])["doc_id"].to_pylist()[:2]
    blocked = read_blocklist(lab.store)
    if chosen := not_yet(select_ids(lab.store, ids, blocked), blocked):
        withdraw(lab.store, chosen, "asked to", "a test", "ids", with_duplicates=False)


def state(lab: Lab) -> dict[str, Any]:
    """All that readers see: content, rows and files of every asset."""
    found: dict[str, Any] = {}
    for asset in lab.store.assets():
        record = lab.record(asset)
        place = lab.store.place(asset)
        assert not place.lost(record), asset
        rows = {
            name: sorted(map(repr, read_table(place.table(name), table.version).to_pylist()))
            for name, table in record.tables.items()
        }
        for name, table in record.tables.items():
            assert len(rows[name]) == table.rows, (asset, name)
        found[asset] = (record.content_version, rows, record.files)
    return found


class Scenes:
    """Stores as they stand before each stage, copied for every death."""

    def __init__(self, root: Path) -> None:
        self.root, self.number = root, 0

    def before(self, stage: str, case: str) -> Path:
        """The store in which all stages above `stage` have run."""
        for name in ("scene", "work"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / "scene").mkdir()
        lab = Lab(self.root / "work", self.root / "scene")
        write_first(lab)
        if case != "first":
            lab.run(*components())
            (write_second if case == "refresh" else withdraw_two)(lab)
        for upstream in stages_of(*components()):
            if upstream.asset == stage:
                break
            run_stage(upstream, lab.store, lab.workspace)
        return self.root / "scene"

    def copy(self, scene: Path) -> Lab:
        self.number += 1
        target = self.root / f"copy{self.number}"
        shutil.copytree(scene, target)
        return Lab(self.root / "work", target)


def die_everywhere(scenes: Scenes, asset: str, case: str, moments: Callable[[int], list[tuple[int, bool]]]) -> int:
    scene = scenes.before(asset, case)
    stage = next(stage for stage in stages_of(*components()) if stage.asset == asset)
    undisturbed = scenes.copy(scene)
    with dying_at(undisturbed.store.root, 0) as counted:
        run_stage(stage, undisturbed.store, undisturbed.workspace)
    expected = state(undisturbed)
    for last, after in moments(counted.count):
        lab = scenes.copy(scene)
        visible = state(lab)
        with dying_at(lab.store.root, last, after) as clock:
            run_stage(stage, lab.store, lab.workspace)
        assert clock.dead, f"operation {last} of {counted.log} never came: {clock.log}"
        seen = state(lab)
        assert seen in (visible, expected), f"{asset}: an orphan is visible after dying at operation {last}"
        run_stage(stage, lab.store, lab.workspace)
        assert state(lab) == expected, f"{asset}: died at operation {last} {'(after)' if after else ''}"
        shutil.rmtree(lab.store.root)
    return counted.count


@pytest.mark.parametrize(("asset", "case"), CASES)
def test_a_death_in_the_middle_and_one_at_the_commit_leave_nothing_behind(tmp_path, asset, case):
    def some(count: int) -> list[tuple[int, bool]]:
        return [(max(count // 2, 1), False), (count, True), (max(count - 1, 1), True)]

    assert die_everywhere(Scenes(tmp_path), asset, case, some) >= 3


@pytest.mark.slow
@pytest.mark.parametrize(("asset", "case"), CASES)
def test_a_death_at_every_operation_leaves_nothing_behind(tmp_path, asset, case):
    def every(count: int) -> list[tuple[int, bool]]:
        return [(number, after) for number in range(1, count + 1) for after in (False, True)]

    assert die_everywhere(Scenes(tmp_path), asset, case, every) >= 3


def test_a_withdrawal_is_there_as_a_whole_or_not_at_all(tmp_path):
    lab = Lab(tmp_path / "work", tmp_path / "store")
    write_first(lab)
    lab.run(*components(), until="curated")
    scenes = Scenes(tmp_path)
    scene = Path(shutil.copytree(lab.store.root, tmp_path / "scene"))
    with dying_at(lab.store.root, 0) as counted:
        withdraw_two(lab)
    expected = read_blocklist(lab.store).entries["doc_id"].to_pylist()
    assert len(expected) == 2
    assert counted.count >= 4
    for last in range(1, counted.count + 1):
        copy = scenes.copy(scene)
        with dying_at(copy.store.root, last, after=last % 2 == 0) as clock:
            withdraw_two(copy)
        assert clock.dead
        assert read_blocklist(copy.store).entries["doc_id"].to_pylist() in ([], expected)
        withdraw_two(copy)
        assert read_blocklist(copy.store).entries["doc_id"].to_pylist() == expected
