"""What a store promises is compared with what it holds; what is damaged is given up and made anew as a fresh store."""

from pathlib import Path

import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, tiny_training
from typer.testing import CliRunner

from headwater.assets.command_line.init import init_workspace
from headwater.assets.command_line.main import app
from headwater.assets.running import StageError
from headwater.assets.storage.mending import mend
from headwater.assets.storage.tables import open_table
from headwater.assets.storage.verification import Fault, verify_record

ALL = (notes(), bytes_tokenizer(), packed())


def verify(lab: Lab) -> list[Fault]:
    return [f for asset in lab.store.assets() for f in verify_record(lab.store, lab.record(asset), lambda size: None)]


def data_files(lab: Lab, asset: str, table: str) -> list[Path]:
    """The data files of the current version, largest first."""
    url = lab.store.place(asset).table(table)
    fragments = open_table(url, lab.record(asset).tables[table].version).get_fragments()
    found = [Path(url) / "data" / file.path for fragment in fragments for file in fragment.data_files()]
    return sorted(found, key=lambda path: path.stat().st_size, reverse=True)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)  # in place, as a failing disk does: every link to the file shows it


def shard_of(lab: Lab) -> Path:
    record = lab.record("packed/shards")
    return Path(lab.store.place("packed/shards").folder(record.digest)) / next(n for n in record.files if "tar" in n)


def contents(lab: Lab) -> dict[str, str]:
    return {asset: lab.record(asset).content_version for asset in lab.store.assets()}


def equals_a_fresh_store(lab: Lab, tmp_path: Path) -> bool:
    fresh = Lab(lab.root, tmp_path / "fresh")
    fresh.run(*ALL)
    return contents(lab) == contents(fresh)


def refreshed(lab: Lab) -> None:
    """A store with a refresh behind it: the rows of its tables stand in another order than in a full run."""
    plant(lab, 40, first=3)
    lab.run(*ALL)
    plant(lab, 40)
    lab.run(*ALL, until="deduplicated")


def test_a_whole_store_has_no_faults(lab: Lab) -> None:
    refreshed(lab)
    assert verify(lab) == []


@pytest.mark.parametrize(
    ("asset", "table"),
    [
        ("notes/raw", "documents"),
        ("notes/signals", "signals"),
        ("packed/tokens", "spans"),
        ("notes/deduplicated", "decisions"),
    ],
)
def test_a_removed_data_file_is_found_and_made_anew(lab: Lab, tmp_path: Path, asset: str, table: str) -> None:
    plant(lab, 40)
    lab.run(*ALL)
    files = data_files(lab, asset, table)
    files[0].unlink()
    (fault,) = verify(lab)
    assert (fault.asset, fault.version.table) == (asset, table)
    assert files[0].name in fault.problem
    mend(lab.store, [fault])
    assert {fault.asset for fault in verify(lab)} >= {asset}
    results = lab.run(*ALL)
    assert not results[asset].reused
    assert results["letters/tokenizer"].reused
    assert verify(lab) == []
    assert equals_a_fresh_store(lab, tmp_path)
    assert all(result.reused for result in lab.run(*ALL).values())


def test_positions_fit_again_after_a_refresh_and_a_loss(lab: Lab, tmp_path: Path) -> None:
    refreshed(lab)
    data_files(lab, "notes/raw", "documents")[0].unlink()
    given = mend(lab.store, verify(lab))
    assert {asset for asset, _ in given} >= {"notes/raw", "notes/signals", "notes/curated", "notes/deduplicated"}
    lab.run(*ALL)
    assert verify(lab) == []
    readable = [row["content_id"] for row in lab.table("notes/raw", "ledger").to_pylist() if row["kept"]]
    assert lab.table("notes/raw", "documents")["content_id"].to_pylist() == readable
    ledger = lab.table("notes/raw", "ledger", ["doc_id"])
    for asset in ("notes/curated", "notes/deduplicated"):
        assert lab.table(asset, "decisions", ["doc_id"]) == ledger
    fresh = Lab(lab.root, tmp_path / "fresh")
    fresh.run(*ALL)
    mine, theirs = contents(lab), contents(fresh)
    assert {a: c for a, c in mine.items() if a.startswith("notes/")} == {
        a: c for a, c in theirs.items() if a.startswith("notes/")
    }
    plant(lab, 45)
    lab.run(*ALL)
    assert verify(lab) == []


def test_a_refresh_stops_at_a_gap_and_says_how_to_mend_it(lab: Lab) -> None:
    plant(lab, 20)
    lab.run(*ALL)
    data_files(lab, "notes/raw", "documents")[0].unlink()
    plant(lab, 22)
    with pytest.raises(StageError, match=r"documents of notes/raw .*verify --mend"):
        lab.run(*ALL)
    plant(lab, 20)
    with pytest.raises(StageError, match=r"documents of notes/raw .*verify --mend"):
        lab.run(notes(), bytes_tokenizer(vocabulary_size=330))
    mend(lab.store, verify(lab))
    plant(lab, 22)
    lab.run(*ALL)
    assert verify(lab) == []


def test_a_flipped_byte_in_a_text_is_found(lab: Lab, tmp_path: Path) -> None:
    texts = plant(lab, 40, words=200)
    lab.run(*ALL)
    path = data_files(lab, "notes/raw", "documents")[0]
    place = path.read_bytes().find(texts[5].encode()[20:44])
    flip(path, place + 10 if place > 0 else path.stat().st_size // 3)
    (fault,) = verify(lab)
    assert fault.asset == "notes/raw"
    assert path.name in fault.problem
    mend(lab.store, [fault])
    lab.run(*ALL)
    assert verify(lab) == []
    assert equals_a_fresh_store(lab, tmp_path)


def test_a_flipped_byte_in_a_shard_is_found_in_every_version_that_carries_it(lab: Lab, tmp_path: Path) -> None:
    plant(lab, 40)
    first = lab.run(*ALL)["packed/shards"].record
    plant(lab, 60)
    second = lab.run(*ALL)["packed/shards"].record
    flip(shard_of(lab), 2000)
    (fault,) = verify(lab)
    assert fault.what == shard_of(lab).name
    assert mend(lab.store, [fault]).keys() == {("packed/shards", first.digest), ("packed/shards", second.digest)}
    lab.run(*ALL)
    assert verify(lab) == []
    plant(lab, 40)  # back at the first documents: their shards are not restored
    lab.run(*ALL)
    assert verify(lab) == []


def test_a_shard_of_another_size_is_not_carried_over(lab: Lab) -> None:
    plant(lab, 40)
    lab.run(*ALL)
    with shard_of(lab).open("ab") as file:
        file.write(b"\0")
    plant(lab, 60)
    lab.run(*ALL)
    assert verify(lab) == []


def test_the_command_lists_gives_up_and_names_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init_workspace(tmp_path / "lake")
    monkeypatch.chdir(tmp_path / "lake")
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    monkeypatch.setenv("HEADWATER_WORKSPACE", str(tmp_path / "lake"))
    monkeypatch.setenv("HEADWATER_STORE", str(tmp_path / "store"))
    lab = Lab(tmp_path / "lake", tmp_path / "store")
    plant(lab, 20)
    lab.run(*ALL, tiny_training(4))

    def headwater(*words: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, ["verify", *words])
        assert result.exit_code == status, result.output + repr(result.exception)
        return result.output

    assert "Found wrong: 0." in headwater()
    shard_of(lab).unlink()
    data_files(lab, "notes/curated", "decisions")[0].unlink()
    shown = headwater(status=1)
    assert "packed/shards: notes-" in shown
    assert "the file is missing" in shown
    assert "notes/curated: table decisions" in shown
    assert "Found wrong: 0." in headwater("tiny/checkpoint")
    assert "Found wrong: 1." in headwater("notes", status=1)
    assert "No record belongs to 'nowhere'" in headwater("nowhere", status=1)
    assert "headwater materialize small" in headwater("--mend", status=1)
    assert "gave it up" in headwater(status=1)
    assert "headwater materialize small" in headwater("--mend", status=1)  # said again until it is done
    results = lab.run(*ALL, tiny_training(4))
    assert results["tiny/checkpoint"].reused
    assert "Found wrong: 0." in headwater()
    (tmp_path / "store" / "notes" / "curated" / "record.json").write_text("{")
    shown = headwater(status=1)
    assert "notes/curated/record.json is damaged" in shown
    assert "Found wrong: 1." in shown
    assert "Found wrong: 0." in headwater("packed")
    assert "Found wrong: 1." in headwater("--mend", status=1)
