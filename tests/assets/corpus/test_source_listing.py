import os
import random
import zipfile
from pathlib import Path

import fsspec
import pytest

from headwater.assets.corpus.options import JsonLines, TextFiles, WarcFiles
from headwater.assets.corpus.reading import SourceError, SourceFile, list_files, partition_files

NAMES = ["a.txt", "b/c.txt", "b/d/e.txt", "b/d.e/f.txt", "é/ü.txt", "z [1].txt"]


def write(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


def test_names_are_relative_and_sorted_whatever_the_order_of_creation(tmp_path):
    listings = []
    for attempt in range(3):
        workspace = tmp_path / f"work [space] *{attempt}"
        names = random.Random(attempt).sample(NAMES, len(NAMES))
        write(workspace / "data", names)
        files = list_files(TextFiles(path="data/**/*.txt"), workspace)
        listings.append([(f.uri, f.size, f.group) for f in files])
        assert all(str(tmp_path) not in f.uri for f in files)
    assert listings[0] == listings[1] == listings[2]
    assert [uri for uri, _, _ in listings[0]] == sorted(NAMES)


def test_an_absolute_pattern_gives_the_same_names(tmp_path, records_of):
    write(tmp_path / "data", NAMES)
    source = TextFiles(path=f"{tmp_path.as_posix()}/data/**/*.txt")
    assert [f.uri for f in list_files(source, Path("elsewhere"))] == sorted(NAMES)
    assert [r.text for r in records_of(source)] == [f"text of {name}" for name in sorted(NAMES)]


def test_the_static_root_is_the_path_up_to_the_first_wildcard(tmp_path):
    write(tmp_path, NAMES)
    assert [f.uri for f in list_files(TextFiles(path="b/d*/*.txt"), tmp_path)] == ["d.e/f.txt", "d/e.txt"]
    assert [f.uri for f in list_files(TextFiles(path="./b/c.txt"), tmp_path)] == ["c.txt"]


def test_groups_are_files_or_folders(tmp_path):
    write(tmp_path, NAMES)
    files = list_files(TextFiles(path="**/*.txt", group="folder"), tmp_path)
    assert {f.uri: f.group for f in files} == dict(
        zip(sorted(NAMES), [".", "b", "b/d.e", "b/d", ".", "é"], strict=True)
    )
    assert list_files(WarcFiles(path="a.txt"), tmp_path)[0].group == "a.txt"


def test_other_stores_are_read_alike(tmp_path, memory, records_of):
    memory.pipe({"/top/x/1.jsonl": b'{"text": "one"}\n', "/top/y/2.jsonl": b'{"text": "two"}\n'})
    source = JsonLines(path="memory://top/**/*.jsonl")
    assert [f.uri for f in list_files(source, tmp_path)] == ["x/1.jsonl", "y/2.jsonl"]
    assert [r.text for r in records_of(source, tmp_path)] == ["one", "two"]


def test_members_of_a_zip_file_in_the_workspace(tmp_path, records_of):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/1.txt", "one")
        archive.writestr("in/2.txt", "two")
    source = TextFiles(path="zip://in/*.txt::a.zip")
    assert [f.uri for f in list_files(source, tmp_path)] == ["1.txt", "2.txt"]
    assert [r.text for r in records_of(source, tmp_path)] == ["one", "two"]


def test_a_cache_before_a_store(tmp_path, memory, records_of):
    memory.pipe({"/top/x/1.txt": b"one", "/top/y/2.txt": b"two"})
    source = TextFiles(path="simplecache::memory://top/**/*.txt")
    assert [f.uri for f in list_files(source, tmp_path)] == ["x/1.txt", "y/2.txt"]
    assert [r.text for r in records_of(source, tmp_path)] == ["one", "two"]


def test_a_stamp_changes_with_the_file(tmp_path):
    write(tmp_path, ["a.txt"])
    source = TextFiles(path="a.txt")
    before = list_files(source, tmp_path)
    assert list_files(source, tmp_path) == before
    os.utime(tmp_path / "a.txt", (1, 1))
    assert list_files(source, tmp_path) != before


def test_nothing_found_says_what_was_looked_for_and_where(tmp_path):
    with pytest.raises(SourceError, match=r"texts: path 'data/\*\.txt' matches no file; looked for .*/data/\*\.txt"):
        list_files(TextFiles(name="texts", path="data/*.txt"), tmp_path)
    write(tmp_path, ["data/a.txt"])
    with pytest.raises(SourceError, match=r"path 'data' is a folder; say which of its files: data/\*\*"):
        list_files(TextFiles(path="data"), tmp_path)
    assert [f.uri for f in list_files(TextFiles(path="data/**"), tmp_path)] == ["a.txt"]
    with pytest.raises(SourceError, match="nosuch://x cannot be listed"):
        list_files(TextFiles(path="nosuch://x"), tmp_path)


def test_partitions_hold_every_file_once_in_order():
    sizes = [5, 1, 1, 9, 30, 2, 2, 2, 0, 10]
    files = [SourceFile("s", f"{n}", f"/{n}", size, "") for n, size in enumerate(sizes)]
    parts = partition_files(random.Random(1).sample(files, len(files)), 10)
    assert [file for part in parts for file in part] == files
    assert [[file.size for file in part] for part in parts] == [[5, 1, 1], [9], [30], [2, 2, 2, 0], [10]]
    assert partition_files([], 10) == []
