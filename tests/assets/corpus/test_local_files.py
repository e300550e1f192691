"""Local folders, names and links that go wrong: nothing disappears in silence, and nothing stops without its name."""

import os
import pickle
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from headwater.assets.corpus.component import Corpus
from headwater.assets.corpus.options import HeldOut, ReadLimits, TextFiles
from headwater.assets.corpus.reading import SourceError, list_files, read_partition
from headwater.assets.corpus.refresh import compare_listings, files_table
from headwater.assets.corpus.sources import local
from headwater.assets.corpus.sources.local import LocalFolders, may_hold
from headwater.assets.corpus.sources.records import spelled_out

ALL = TextFiles(name="notes", path="notes/**/*")


@pytest.fixture
def notes(tmp_path):
    """A workspace with notes in three folders."""
    for name in ("a.txt", "open/b.txt", "secret/c.txt", "secret/deep/d.txt"):
        path = tmp_path / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")
    return tmp_path


@pytest.fixture
def forbid(monkeypatch):
    """Makes folders of a name refuse to be listed, as the kernel does for a user without the right to."""
    scan = os.scandir

    def forbid(name, error=13):
        def refuse(path="."):
            # Removing a tree scans open folders, which have numbers instead of names.
            if Path(str(path)).name == name:
                raise OSError(error, os.strerror(error), path)
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return forbid


@pytest.mark.parametrize("path", ["notes/**/*.txt", "notes/**", "notes/*/*.txt", "notes/s*t/**", "notes/secret/*.txt"])
@pytest.mark.parametrize("error", [13, 5])
def test_a_folder_that_cannot_be_listed_stops_the_listing(notes, forbid, path, error):
    assert list_files(TextFiles(path=path), notes)
    forbid("secret", error)
    reason = os.strerror(error)
    with pytest.raises(SourceError, match=rf"{notes}/notes/secret cannot be listed \({reason}\).*allow this user"):
        list_files(TextFiles(path=path), notes)


@pytest.mark.parametrize("path", ["notes/*.txt", "notes/open/*.txt", "notes/o*/*.txt"])
def test_a_forbidden_folder_that_can_hold_no_match_is_no_matter(notes, forbid, path):
    expected = list_files(TextFiles(path=path), notes)
    forbid("secret")
    assert list_files(TextFiles(path=path), notes) == expected


@pytest.mark.parametrize(
    "pattern",
    ["**", "**/*", "*", "*.txt", "*/*.txt", "**/*.txt", "a/**", "a*/**/*.txt", "a/b/*", "**/b/**", "**/b/*.txt",
     "?/[bx]/*", ".h/*", "**/.h/**", "[[]q]/*", "a/**/b/*", "none/**"],
)  # fmt: skip
def test_what_matches_is_what_fsspec_finds(tmp_path, pattern):
    for name in (
        "1.txt",
        "2.md",
        "a/3.txt",
        "a/b/4.txt",
        "a/b/c/5.txt",
        "x/b/6.txt",
        ".h/7.txt",
        "a/.h/8",
        "[q]/9.txt",
        "lost+found/10.txt",
        "a/lost+found/11.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "b").symlink_to(tmp_path / "a" / "b")
    (tmp_path / "link.txt").symlink_to("1.txt")
    asked = f"{tmp_path}/{pattern}"
    found = LocalFolders(asked).glob(asked, detail=True)
    assert _told(found) == _told(LocalFileSystem().glob(asked, detail=True))


def _told(found):
    """Of what is no folder: what is known of it; of a link to a file, `regular` asks for the size."""
    return {
        path: (info["mtime"], info["islink"], info["islink"] or info["size"])
        for path, info in found.items()
        if info["type"] != "directory"
    }


def test_a_folder_whose_files_may_not_be_looked_at_stops_the_listing(notes, monkeypatch):
    def refuse(entry):
        raise PermissionError(13, "Permission denied", entry.path)

    monkeypatch.setattr(local, "_asked", refuse)
    with pytest.raises(SourceError, match=rf"{notes}/notes cannot be listed \(Permission denied\).*allow this user"):
        list_files(ALL, notes)


def test_a_link_that_leads_nowhere_has_no_size_by_any_pattern(notes):
    (notes / "notes" / "nowhere.txt").symlink_to("gone")
    by_name, by_pattern = (list_files(TextFiles(path=f"notes/{name}"), notes) for name in ("nowhere.txt", "n*.txt"))
    assert [(file.size, file.stamp) for file in by_name] == [(file.size, file.stamp) for file in by_pattern]
    assert by_name[0].size == 0


def test_a_folder_that_vanishes_while_it_is_listed_is_gone(notes, forbid):
    forbid("secret", 2)
    assert [file.uri for file in list_files(ALL, notes)] == ["a.txt", "open/b.txt"]


def test_the_folder_that_only_the_system_may_list_is_passed_over(notes, forbid):
    (notes / "notes" / "lost+found").mkdir()
    forbid("lost+found")
    assert len(list_files(ALL, notes)) == 4


@pytest.mark.parametrize(
    ("pattern", "folder", "expected"),
    [
        ("/a/**/*.txt", "/a", True),
        ("/a/**/*.txt", "/a/b/c", True),
        ("/a/*/c.txt", "/a/b", True),
        ("/a/*/c.txt", "/a/b/c", False),
        ("/a/[xy]/c.txt", "/a/z", False),
        ("/a/b[[]1]/*", "/a/b[1]", True),
        ("/a/*", "/b", False),
        ("/a/*", "/", True),
    ],
)
def test_which_folders_may_hold_matches(pattern, folder, expected):
    assert may_hold(pattern, folder) is expected


def test_names_that_are_not_utf8_stay_apart(tmp_path, records_of):
    for name in (b"col\xff.txt", b"col\xfe.txt", b"back\\slash\xff.txt"):
        (tmp_path / os.fsdecode(name)).write_text("the same text")
    source = TextFiles(path="*.txt")
    files = list_files(source, tmp_path)
    assert [file.uri for file in files] == ["back\\\\slash\\xff.txt", "col\\xfe.txt", "col\\xff.txt"]
    batches = read_partition({"text_files": source}, pickle.loads(pickle.dumps(files)), HeldOut(), ReadLimits())
    [(documents, ledger)] = batches
    assert len(set(documents["doc_id"].to_pylist())) == 3
    assert ledger["uri"].to_pylist() == [file.uri for file in files]


@given(st.lists(st.text(st.sampled_from(["a", "\\", "x", "f", "\udcff", "\udc80", "\ud800"]), max_size=6), unique=True))
def test_spelling_out_keeps_broken_names_apart_and_others_as_they_are(names):
    broken = [name for name in names if any("\ud800" <= character <= "\udfff" for character in name)]
    assert len({spelled_out(name) for name in broken}) == len(broken)
    for name in names:
        spelled_out(name).encode()
        assert name in broken or spelled_out(name) == name


def test_two_files_with_one_name_are_refused(tmp_path):
    (tmp_path / os.fsdecode(b"col\xff.txt")).write_text("one")
    (tmp_path / "col\\xff.txt").write_text("two")
    with pytest.raises(SourceError, match=r"two files are both known as 'col.*xff\.txt'.*; rename one") as caught:
        list_files(TextFiles(path="*.txt"), tmp_path)
    str(caught.value).encode()


@pytest.mark.parametrize("path", ["d::e/**", "d::e/a::b.txt", "d::e/a::*.txt", "{}/d::e/*", "file://{}/d::e/*::b.txt"])
def test_a_double_colon_in_a_local_name_is_no_chain(tmp_path, records_of, path):
    workspace = tmp_path / "w::x"
    (workspace / "d::e").mkdir(parents=True)
    (workspace / "d::e" / "a::b.txt").write_text("text")
    source = TextFiles(path=path.format(workspace))
    assert [file.uri for file in list_files(source, workspace)] == ["a::b.txt"]
    assert [record.text for record in records_of(source, workspace)] == ["text"]


def test_a_link_that_leads_nowhere_is_a_record_that_cannot_be_read(notes, records_of):
    (notes / "notes" / "e.txt").symlink_to("nowhere.txt")
    (notes / "notes" / "f.txt").symlink_to("f.txt")
    (notes / "notes" / "g.txt").symlink_to("a.txt/beyond.txt")
    records = {record.detail: record for record in records_of(ALL, notes) if record.text is None}
    assert list(records) == [
        "e.txt: a symbolic link whose target does not exist",
        "f.txt: a symbolic link that leads round in a circle",
        "g.txt: a symbolic link whose target does not exist",
    ]
    assert {record.rule for record in records.values()} == {"unreadable"}
    alone = TextFiles(path="notes/e.txt")
    assert [record.rule for record in records_of(alone, notes)] == ["unreadable"]


def test_a_target_that_appears_or_changes_is_noticed(notes):
    target, link = notes / "target", notes / "notes" / "e.txt"
    link.symlink_to(target)

    def changed():
        nonlocal known
        files = list_files(ALL, notes)
        listing = compare_listings(known, files)
        known = files_table(files)
        return [(file.uri, file.size, file.fault) for file in listing.read]

    known = files_table(list_files(ALL, notes))
    target.write_text("")
    os.utime(target, (link.lstat().st_mtime,) * 2)
    assert changed() == [("e.txt", 0, None)]
    assert changed() == []
    target.write_text("four")
    os.utime(target, (1, 1))
    assert changed() == [("e.txt", 4, None)]
    target.write_text("five")
    assert changed() == [("e.txt", 4, None)]


def test_links_to_folders_and_pipes_are_no_files(notes, records_of):
    before = list_files(ALL, notes)
    (notes / "notes" / "folder").symlink_to("secret")
    (notes / "notes" / "up").symlink_to("..")
    os.mkfifo(notes / "notes" / "pipe")
    assert list_files(ALL, notes) == before
    assert len(records_of(ALL, notes)) == 4


def test_a_link_to_a_file_is_read_and_one_to_a_forbidden_file_says_so(notes, records_of, monkeypatch):
    (notes / "notes" / "z.txt").symlink_to("a.txt")
    assert records_of(ALL, notes)[-1].text == "text of a.txt"
    look, opened = os.stat, open

    def refuse_to_look(path, *args, follow_symlinks=True, **kwargs):
        if follow_symlinks and str(path).endswith("z.txt"):
            raise PermissionError(13, "Permission denied", path)
        return look(path, *args, follow_symlinks=follow_symlinks, **kwargs)

    def refuse_to_open(path, *args, **kwargs):
        if str(path).endswith("z.txt"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", refuse_to_look)
    monkeypatch.setattr("builtins.open", refuse_to_open)
    with pytest.raises(SourceError, match=r"z\.txt may not be read; give this user read permission"):
        records_of(ALL, notes)


def test_a_corpus_loses_nothing_to_a_folder_that_cannot_be_listed(lab, forbid):
    for name in ("a.txt", "secret/b.txt", "secret/c.txt"):
        (lab.root / "notes" / name).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / "notes" / name).write_text(f"text of {name}")
    (lab.root / "notes" / "lost.txt").symlink_to("nowhere")
    corpus = Corpus(name="notes", sources=[ALL.model_dump()], max_unreadable_share=0.5)
    lab.run(corpus, until="raw")
    before = lab.record("notes/raw")
    assert lab.table("notes/raw", "documents").num_rows == 3
    forbid("secret")
    with pytest.raises(SourceError, match="secret cannot be listed"):
        lab.run(corpus, until="raw")
    assert lab.record("notes/raw") == before
    forbid("nothing")
    (lab.root / "notes" / "nowhere").write_text("found again")
    lab.run(corpus, until="raw")
    ledger = lab.table("notes/raw", "ledger")
    assert sorted(zip(ledger["uri"].to_pylist(), ledger["kept"].to_pylist(), strict=True)) == [
        ("a.txt", True),
        ("lost.txt", True),
        ("nowhere", True),
        ("secret/b.txt", True),
        ("secret/c.txt", True),
    ]
