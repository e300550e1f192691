"""A corpus of images from one's own folder, through all four assets: what text corpora promise holds for arrays too."""

import json

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from small_pipelines import Lab, notes, plant

from headwater.assets.corpus.arrays import pack, unpack
from headwater.assets.corpus.component import Corpus
from headwater.assets.corpus.declaration import CorpusOptions
from headwater.assets.corpus.options import ImageFiles, ReadLimits
from headwater.assets.corpus.reading import list_files, read_file
from headwater.assets.corpus.view import Rows
from headwater.assets.lineage.corpora import view_at
from headwater.assets.schemas import DOCUMENTS
from headwater.assets.storage.content import content_id
from headwater.assets.storage.verification import verify_record
from headwater.assets.withdrawal.blocklist import read_blocklist
from headwater.assets.withdrawal.purging import purge_withdrawn
from headwater.assets.withdrawal.selecting import select_uris
from headwater.assets.withdrawal.verifying import verify_absence
from headwater.assets.withdrawal.withdrawing import withdraw


def picture(seed: int, height: int = 6, width: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def draw(lab: Lab, name: str, image: np.ndarray) -> None:
    path = lab.root / "pictures" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def pictures(**options) -> Corpus:
    source = {"kind": "image_files", "path": "pictures/**/*.*"} | options.pop("source", {})
    given = {"held_out": {"share": 0.3, "group": "document"}, "max_unreadable_share": 0.5} | options
    return Corpus(name="pictures", sources=[source], **given)


def documents_of(lab: Lab) -> list[dict]:
    view = view_at(lab.store, lab.record("pictures/deduplicated"))
    readable = lab.table("pictures/raw", "ledger", ["kept"])["kept"].to_pylist()
    rows = Rows(0, sum(readable), 0, len(readable))
    return view.kept(rows, ("uri", "meta", "split"), arrays=True).to_pylist()


def test_pixels_labels_and_sizes_come_through_all_stages(lab):
    images = {f"{label}/{n}.png": picture(n + 10 * (label == "dog")) for label in ("cat", "dog") for n in range(4)}
    for name, image in images.items():
        draw(lab, name, image)
    lab.run(pictures())
    found = {row["uri"]: row for row in documents_of(lab)}
    assert found.keys() == images.keys()
    for name, image in images.items():
        np.testing.assert_array_equal(unpack(found[name]["arrays"])["image"], image)
        assert json.loads(found[name]["meta"])["label"] == name.split("/")[0]
    ledger = lab.table("pictures/raw", "ledger")
    assert set(ledger["modality"].to_pylist()) == {"image"}
    assert set(ledger["format"].to_pylist()) == {"data"}
    assert ledger["bytes"].to_pylist() == [90] * 8
    signals = lab.table("pictures/signals", "signals").to_pylist()
    assert {(row["height"], row["width"], row["channels"]) for row in signals} == {(6, 5, 3)}
    assert all(row["seconds"] is None for row in signals)


def test_only_equal_pixels_are_duplicates_not_equal_captions(lab):
    for name, seed in (("a.png", 1), ("b.png", 2), ("c.png", 1)):
        draw(lab, name, picture(seed))
    lab.run(pictures(held_out={"share": 0}))
    kept = {row["uri"] for row in documents_of(lab)}
    assert len(kept) == 2
    assert "b.png" in kept
    decisions = lab.table("pictures/deduplicated", "decisions").to_pylist()
    assert [row["rule"] for row in decisions if not row["kept"]] == ["exact_duplicate"]
    assert lab.table("pictures/deduplicated", "edges").num_rows == 1


def test_rules_bound_what_was_measured_on_arrays(lab):
    draw(lab, "small.png", picture(1, 4, 4))
    draw(lab, "large.png", picture(2, 9, 9))
    rule = {"kind": "rule", "name": "tiny", "signal": "height", "min": 5}
    lab.run(pictures(curation={"rules": [rule]}, held_out={"share": 0}))
    assert [row["uri"] for row in documents_of(lab)] == ["large.png"]
    [dropped] = [row for row in lab.table("pictures/curated", "decisions").to_pylist() if not row["kept"]]
    assert (dropped["rule"], dropped["value"], dropped["threshold"]) == ("tiny", 4.0, 5.0)


def test_a_changed_picture_is_read_alone_and_the_refresh_equals_a_new_store(lab, tmp_path):
    for number in range(5):
        draw(lab, f"x/{number}.png", picture(number))
    lab.run(pictures())
    draw(lab, "x/2.png", picture(77))
    draw(lab, "x/9.png", picture(3))  # the same pixels as x/3.png
    lab.run(pictures())
    assert lab.record("pictures/raw").metrics["files_read"] == 2
    fresh = Lab(lab.root, tmp_path / "fresh")
    fresh.run(pictures())
    for stage in ("raw", "signals", "curated", "deduplicated"):
        assert lab.record(f"pictures/{stage}").content_version == fresh.record(f"pictures/{stage}").content_version
    by_uri = {row["uri"]: unpack(row["arrays"])["image"] for row in documents_of(lab)}
    np.testing.assert_array_equal(by_uri["x/2.png"], picture(77))


def test_a_damaged_image_is_a_dropped_record_that_says_where(lab):
    draw(lab, "good.png", picture(1))
    draw(lab, "cut.png", picture(2))
    cut = lab.root / "pictures/cut.png"
    cut.write_bytes(cut.read_bytes()[:60])
    (lab.root / "pictures/notes.txt").write_text("no image")
    lab.run(pictures(max_unreadable_share=1.0))
    rows = {row["uri"]: row for row in lab.table("pictures/raw", "ledger").to_pylist()}
    assert rows["good.png"]["kept"]
    assert rows["cut.png"]["rule"] == rows["notes.txt"]["rule"] == "not_an_image"
    assert "cut.png" in rows["cut.png"]["detail"]
    assert "0x" not in rows["notes.txt"]["detail"], "an address in memory: another reason at every reading"
    assert len(documents_of(lab)) == 1


@pytest.mark.parametrize(("colours", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_colours_and_sizes_are_as_declared(tmp_path, colours, channels):
    Image.fromarray(picture(1, 40, 20)).save(tmp_path / "a.png")
    source = ImageFiles(path="*.png", colours=colours, max_side=10, label="none")
    [file] = list_files(source, tmp_path)
    [record] = read_file(source, file, ReadLimits())
    assert record.arrays["image"].shape == (10, 5, channels)
    assert "label" not in record.fields["meta"]


def test_an_image_that_would_fill_the_memory_is_not_decoded(monkeypatch, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name, side in (("large.png", 11), ("huge.png", 40), ("fine.png", 10)):
        Image.fromarray(picture(1, side, side)).save(tmp_path / name)
    source = ImageFiles(path="*.png")
    found = {f.uri: next(read_file(source, f, ReadLimits())) for f in list_files(source, tmp_path)}
    assert {name: record.rule for name, record in found.items()} == {
        "fine.png": None,
        "huge.png": "not_an_image",
        "large.png": "not_an_image",
    }
    assert "100 pixels" in found["large.png"].detail


def test_equal_arrays_pack_to_equal_bytes_in_any_order():
    one, two = np.arange(6, dtype=np.int16).reshape(2, 3), np.ones(2, np.float32)
    assert pack({"b": two, "a": one}) == pack({"a": one.copy(order="F"), "b": two})
    back = unpack(pack({"a": one, "b": two}))
    np.testing.assert_array_equal(back["a"], one)
    assert back["a"].dtype == np.int16


def test_one_corpus_has_one_modality_and_no_text_steps_for_images():
    image, text = {"kind": "image_files", "path": "*.png"}, {"kind": "text_files", "path": "*.md"}
    with pytest.raises(ValidationError, match="one modality"):
        CorpusOptions(name="x", sources=[image, text])
    with pytest.raises(ValidationError, match="transforms change text"):
        CorpusOptions(name="x", sources=[image], curation={"transforms": [{"kind": "unicode_repair"}]})
    with pytest.raises(ValidationError, match="near compares words"):
        CorpusOptions(name="x", sources=[image], deduplication={"near": {"bands": 8}})
    rule = {"kind": "rule", "name": "tiny", "signal": "height", "min": 5}
    with pytest.raises(ValidationError, match="documents of text do not have"):
        CorpusOptions(name="x", sources=[text], curation={"rules": [rule]})


def test_text_corpora_have_no_arrays_and_say_so(lab):
    plant(lab, 4)
    lab.run(notes())
    assert lab.table("notes/raw", "documents").schema.names == DOCUMENTS.names
    view = view_at(lab.store, lab.record("notes/deduplicated"))
    with pytest.raises(ValueError, match="text alone"):
        view.kept(Rows(0, 1, 0, 1), arrays=True)


def test_verification_compares_arrays_with_their_identity(lab):
    draw(lab, "a.png", picture(1))
    lab.run(pictures(held_out={"share": 0}))
    for stage in ("raw", "signals"):
        assert list(verify_record(lab.store, lab.record(f"pictures/{stage}"), lambda _: None)) == []
    [stored] = lab.table("pictures/raw", "documents").to_pylist()
    assert stored["content_id"] == content_id(stored["text"].encode(), stored["arrays"])
    assert stored["content_id"] != content_id(b"", pack({"image": picture(2)}))


def test_a_withdrawn_picture_leaves_no_pixels_and_its_copies_stay_out(lab):
    for number in range(4):
        draw(lab, f"x/{number}.png", picture(number))
    lab.run(pictures(held_out={"share": 0}))
    chosen = select_uris(lab.store, ["x/2.png"], read_blocklist(lab.store))
    assert len(chosen) == 1
    withdraw(lab.store, chosen, "its photographer asked", "legal", "uris", with_duplicates=False)
    draw(lab, "x/copy.png", picture(2))
    lab.run(pictures(held_out={"share": 0}))
    assert {row["uri"] for row in documents_of(lab)} == {"x/0.png", "x/1.png", "x/3.png"}
    assert not verify_absence(lab.store).absent  # earlier versions still hold it
    purge_withdrawn(lab.store, False, {})
    assert verify_absence(lab.store).absent
    (withdrawn,) = chosen.values()
    assert withdrawn.content_id not in lab.table("pictures/raw", "documents")["content_id"].to_pylist()
