import gzip
import io
import json
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.assets.corpus.options import ReadLimits, WebDataset

TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda text: not text.isspace() and text[0] != "\ufeff"
    )
)


def tar_of(members, path=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    if path is not None:
        path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, compressed=st.booleans(), as_json=st.booleans())
def test_any_texts_come_back(tmp_path_factory, records_of, texts, compressed, as_json):
    folder = tmp_path_factory.mktemp("tar")
    members = []
    for n, text in enumerate(texts):
        members.append((f"part.1/{n:06d}.jpg", b"\xff\xd8" * n))
        content = json.dumps({"text": text}) if as_json else text
        members.append((f"part.1/{n:06d}.{'json' if as_json else 'txt'}", content.encode()))
    raw = tar_of(members)
    (folder / f"a.tar{'.gz' if compressed else ''}").write_bytes(gzip.compress(raw) if compressed else raw)
    records = records_of(WebDataset(path="a*", text_member="json" if as_json else "txt"), folder)
    found = [(r.text, r.rule, r.key) for r in records]
    assert found == [(t, None, f"key=part.1/{n:06d}") for n, t in enumerate(texts)]


def test_what_the_webdataset_library_writes_is_read_with_its_own_keys(tmp_path, records_of):
    webdataset = pytest.importorskip("webdataset")
    path = str(tmp_path / "a.tar")
    with webdataset.TarWriter(path) as writer:
        for n in range(5):
            writer.write({"__key__": f"dir/s{n}", "txt": f"text {n}", "meta.json": {"u": f"http://e.org/{n}"}})
    theirs = {s["__key__"]: s["txt"].decode() for s in webdataset.WebDataset(path, shardshuffle=False)}
    records = records_of(WebDataset(path="a.tar", meta_member="meta.json", url_field="u"), tmp_path)
    assert {r.key.removeprefix("key="): r.text for r in records} == theirs
    assert [r.fields for r in records] == [{"url": f"http://e.org/{n}"} for n in range(5)]


def test_each_fault_costs_one_sample_and_says_which(tmp_path, records_of):
    members = [
        ("a.txt", b"fine"), ("a.json", b"{}"),
        ("b.json", b"{}"),
        ("c.txt", b"bad\xff"),
        ("d.txt", b" "),
        ("e.txt", b"text"), ("e.json", b"{broken"),
        ("f.txt", b"x" * 30_000),
        ("noextension", b"?"), ("__private__/x.txt", b"?"),
        ("a.txt", b"the key again"),
    ]  # fmt: skip
    tar_of(members, tmp_path / "t.tar")
    source = WebDataset(path="*.tar", meta_member=".JSON")
    records = records_of(source, tmp_path, ReadLimits(max_document_megabytes=0.02))
    rules = [None, "missing_text", "not_utf8", "empty", "not_json", "too_large", None]
    assert [r.rule for r in records] == rules
    assert [r.key for r in records] == [*(f"key={k}" for k in "abcdef"), "key=a&row=6"]
    assert "t.tar, sample b: no member .txt (members: json); set text_member" in records[1].detail


def test_a_json_text_member_may_fail_in_its_own_ways(tmp_path, records_of):
    tar_of([("a.json", b"[1]"), ("b.json", b"{"), ("c.json", b'{"body": 1}')], tmp_path / "t.tar")
    records = records_of(WebDataset(path="*.tar", text_member="json"), tmp_path)
    assert [r.rule for r in records] == ["not_an_object", "not_json", "missing_text"]


@pytest.mark.parametrize("cut", ["content", "header", "unread member", "end mark", "gzip"])
def test_a_truncated_tar_keeps_the_samples_before(tmp_path, records_of, cut):
    members = [(f"{n}.{kind}", b"%d " % n * 400) for n in range(4) for kind in ("txt", "jpg")]
    raw = tar_of(members)
    step = 2 * (512 + 1024)
    ends = {"content": 3 * step + 700, "header": 3 * step + 100, "unread member": 4 * step - 800, "end mark": 4 * step}
    if cut == "gzip":
        (tmp_path / "t.tar.gz").write_bytes(gzip.compress(raw)[:-9])
    else:
        (tmp_path / "t.tar").write_bytes(raw[: ends[cut]])
    *before, last = records_of(WebDataset(path="t*"), tmp_path)
    whole = 3 if cut in ("content", "header") else 4
    assert [(r.key, r.rule) for r in before] == [(f"key={n}", None) for n in range(whole)]
    assert last.rule == "truncated"
    assert last.detail.startswith("t.tar")


def test_garbage_is_never_taken_for_the_end(tmp_path, records_of):
    raw = tar_of([("a.txt", b"one")])
    (tmp_path / "t.tar").write_bytes(raw[:1024] + b"garbage " * 1000)
    assert [r.rule for r in records_of(WebDataset(path="t*"), tmp_path)] == [None, "truncated"]
    for content in (b"", b"no tar at all" * 100):
        (tmp_path / "t.tar").write_bytes(content)
        assert [r.rule for r in records_of(WebDataset(path="t*"), tmp_path)] == ["truncated"]
