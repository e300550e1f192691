import bz2
import gzip
import lzma

import pytest
import zstandard
from pydantic import TypeAdapter

from headwater.assets.corpus.options import ReadLimits, Source, TextFiles
from headwater.assets.corpus.reading import SourceError, SourceFile, list_files, read_file
from headwater.assets.corpus.sources.opening import ChunkFile, Truncated, decompressed

COMPRESS = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_a_file_comes_back_byte_for_byte(tmp_path, records_of, suffix):
    text = "line one\r\nno\x00ul and \N{GREEK SMALL LETTER ALPHA}\n\rend"
    raw = text.encode()
    (tmp_path / f"a.txt{suffix}").write_bytes(COMPRESS[suffix](raw) if suffix else raw)
    [record] = records_of(TextFiles(path="*.txt*"), tmp_path)
    assert (record.key, record.text, record.rule, record.raw_bytes) == ("", text, None, len(raw))


def test_a_byte_order_mark_is_removed_and_only_at_the_start(tmp_path, records_of):
    (tmp_path / "a.txt").write_bytes("\ufeffone\ufefftwo".encode())
    assert records_of(TextFiles(path="a.txt"), tmp_path)[0].text == "one\ufefftwo"


def test_bad_bytes_are_dropped_with_their_offset_or_replaced(tmp_path, records_of):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfabc\xff\xfedef")
    [record] = records_of(TextFiles(path="a.txt"), tmp_path)
    assert record.rule == "not_utf8"
    assert "byte 6 (ff fe 64 65)" in record.detail
    [record] = records_of(TextFiles(path="a.txt", encoding_errors="replace"), tmp_path)
    assert record.text == "abc\ufffd\ufffddef"


def test_another_encoding_can_be_stated(tmp_path, records_of):
    (tmp_path / "a.txt").write_bytes("déjà".encode("latin-1"))
    assert records_of(TextFiles(path="a.txt", encoding="latin-1"), tmp_path)[0].text == "déjà"
    (tmp_path / "a.txt").write_bytes("déjà".encode("utf-16"))
    assert records_of(TextFiles(path="a.txt", encoding="utf-16"), tmp_path)[0].text == "déjà"


@pytest.mark.parametrize("content", [b"", b" \n\t\n"])
def test_a_file_without_text_is_empty(tmp_path, records_of, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert records_of(TextFiles(path="a.txt"), tmp_path)[0].rule == "empty"


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("cut", [1, 30])
def test_a_cut_off_file_is_truncated_not_shortened(tmp_path, records_of, suffix, cut):
    raw = COMPRESS[suffix](b"".join(b"%d " % (n * n) for n in range(5000)))
    (tmp_path / f"a.txt{suffix}").write_bytes(raw[:-cut])
    [record] = records_of(TextFiles(path="*.txt*"), tmp_path)
    assert (record.text, record.rule) == (None, "truncated")
    assert f"a.txt{suffix}: " in record.detail
    assert f"{len(raw) - cut:,}" in record.detail


def test_several_compressed_members_and_padding_are_one_content(tmp_path, records_of):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 20_000)
    assert records_of(TextFiles(path="*.gz"), tmp_path)[0].text == "one two"


def test_a_file_that_is_not_compressed_as_its_name_says(tmp_path, records_of):
    (tmp_path / "a.txt.gz").write_bytes(b"plain text")
    [record] = records_of(TextFiles(path="*.gz"), tmp_path)
    assert record.rule == "truncated"
    assert "damaged" in record.detail


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_large_file_is_dropped_with_its_size(tmp_path, records_of, suffix):
    raw = b"x" * 50_001
    (tmp_path / f"a.txt{suffix}").write_bytes(COMPRESS[suffix](raw) if suffix else raw)
    limits = ReadLimits(max_document_megabytes=0.05)
    [record] = records_of(TextFiles(path="a*"), tmp_path, limits)
    assert (record.rule, record.raw_bytes) == ("too_large", 50_001)
    assert records_of(TextFiles(path="a*"), tmp_path)[0].text == "x" * 50_001


def test_what_precedes_a_truncation_is_delivered_first():
    raw = zstandard.ZstdCompressor(level=1).compress(b"".join(b"%d " % (n * n) for n in range(200_000)))[:-10]

    class Raw:
        position = 0

        def tell(self):
            return self.position

        def read(self, size):
            self.position += size
            return raw[self.position - size : self.position]

    file = ChunkFile(decompressed(Raw(), ".zst"))
    got = b"".join(file.read(10_000) for _ in range(120))
    with pytest.raises(Truncated):
        list(iter(lambda: file.read(10_000), b""))
    assert got.startswith(b"0 1 4 9 ")
    assert len(got) == 1_200_000 < file.position


def test_a_vanished_or_forbidden_file_stops_with_the_mend(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("text")
    source = TextFiles(path="a.txt")
    [file] = list_files(source, tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(SourceError, match=r"text_files: a\.txt was listed but is gone; materialize again"):
        list(read_file(source, file, ReadLimits()))

    def refuse(*args, **kwargs):
        raise PermissionError(13, "denied")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", refuse)
    with pytest.raises(SourceError, match=r"a\.txt may not be read; give this user read permission"):
        list(read_file(source, file, ReadLimits()))


@pytest.mark.parametrize("kind", ["text_files", "jsonl", "csv", "parquet", "warc", "webdataset"])
def test_a_failing_store_is_never_a_damaged_file(monkeypatch, tmp_path, kind):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text"))
    source = TypeAdapter(Source).validate_python({"kind": kind, "path": "a.gz"})
    [file] = list_files(source, tmp_path)

    def fail(self, *args):
        raise OSError("connection lost")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileOpener.read", fail, raising=False)
    with pytest.raises(SourceError, match=r"a\.gz: reading failed \(connection lost\)"):
        list(read_file(source, file, ReadLimits()))


def test_an_unknown_store_is_a_clear_error():
    file = SourceFile("s", "a.txt", "nosuch://a.txt", 1, "")
    with pytest.raises(SourceError, match=r"s: a\.txt cannot be opened"):
        list(read_file(TextFiles(path="a.txt"), file, ReadLimits()))
