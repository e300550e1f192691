"""A tokenizer waits for a declared refit, and says how well it still fits."""

import pytest
from planted_corpus import Planted, PlantedCorpus
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, prose

from headwater.assets.fitting.component import Fit
from headwater.assets.fitting.drift import bytes_per_token
from headwater.assets.fitting.stage import tokenizer_at

CHINESE = "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少。\n" * 200


def fitted(**refit) -> Fit:
    fit = {"kind": "byte_level_bpe", "vocabulary_size": 320}
    return Fit(name="letters", corpus="notes", fit=fit, refit=refit)


@pytest.fixture
def planted(lab) -> PlantedCorpus:
    corpus = PlantedCorpus(lab.store)
    corpus.change(new=[Planted(f"{n:032x}", prose(n, 60)) for n in range(12)])
    lab.run(fitted())
    return corpus


def vocabulary(lab: Lab) -> str:
    return tokenizer_at(lab.store, lab.record("letters/tokenizer")).json


def test_a_tokenizer_stays_when_only_its_documents_change(lab, planted):
    before = lab.record("letters/tokenizer")
    planted.change(new=[Planted("a" * 32, "qxqx " * 200)])
    result = lab.run(fitted())["letters/tokenizer"]
    assert result.reused
    assert result.held is not None
    assert "raise `refit.edition`" in result.held
    assert lab.record("letters/tokenizer") == before


def test_a_raised_edition_or_a_refit_by_content_follows_the_corpus(lab, planted):
    planted.change(new=[Planted("a" * 32, "qxqx " * 200)])
    assert not lab.run(fitted(edition=2))["letters/tokenizer"].reused
    assert "qx" in vocabulary(lab)
    planted.change(new=[Planted("b" * 32, "kzkz " * 200)])
    assert lab.run(fitted(edition=2))["letters/tokenizer"].held
    assert not lab.run(fitted(edition=2, when="content"))["letters/tokenizer"].reused
    assert "kz" in vocabulary(lab)


def test_saying_when_it_follows_fits_nothing_by_itself(lab, planted):
    assert lab.run(fitted(when="content"))["letters/tokenizer"].reused


def test_forced_it_follows_its_corpus_at_once(lab, planted, monkeypatch):
    planted.change(new=[Planted("a" * 32, "qxqx " * 200)])
    monkeypatch.setenv("HEADWATER_FORCE", "letters/tokenizer")
    assert not lab.run(fitted())["letters/tokenizer"].reused
    assert "qx" in vocabulary(lab)


def test_changed_options_of_the_fit_are_never_held_back(lab, planted):
    planted.change(new=[Planted("a" * 32, "qxqx " * 200)])
    assert not lab.run(bytes_tokenizer(vocabulary_size=300))["letters/tokenizer"].reused


def test_another_choice_of_held_out_documents_is_followed(lab):
    plant(lab, 12)
    lab.run(notes(), bytes_tokenizer())
    again = lab.run(notes(held_out={"share": 0.4, "group": "document"}), bytes_tokenizer())
    assert not again["letters/tokenizer"].reused


def test_ones_own_tokenizer_follows_its_file_and_not_its_corpus(lab, planted):
    (lab.root / "mine.json").write_text(vocabulary(lab))
    own = {"kind": "tokenizer_file", "path": "mine.json", "end_of_text": "<|endoftext|>", "pad": "<|pad|>"}
    mine = Fit(name="mine", corpus="notes", fit=own)
    lab.run(mine)
    density = lab.record("letters/tokenizer").metrics["bytes_per_token"]
    assert lab.record("mine/tokenizer").metrics["bytes_per_token"] == density
    planted.change(new=[Planted("a" * 32, "qxqx " * 200)])
    assert lab.run(mine)["mine/tokenizer"].held
    (lab.root / "mine.json").write_text(vocabulary(lab) + "\n")
    assert not lab.run(mine)["mine/tokenizer"].reused


def test_what_was_measured_at_the_fit_is_bytes_over_tokens_of_the_training_texts(lab, planted):
    tokenizer = tokenizer_at(lab.store, lab.record("letters/tokenizer"))
    texts = [row.text for row in planted.rows]
    expected = sum(len(t.encode()) for t in texts) / sum(len(tokenizer.encode(t)) for t in texts)
    assert lab.record("letters/tokenizer").metrics["bytes_per_token"] == pytest.approx(expected, abs=1e-4)
    assert bytes_per_token(0, 0) is None


def drift(lab: Lab):
    return next(check for check in lab.record("packed/tokens").checks if check.name == "tokenizer_drift")


def test_text_that_the_tokenizer_spells_at_length_is_told(lab, planted):
    roomy = {"shard_megabytes": 1, "sequence_length": 256}
    lab.run(fitted(), packed(**roomy))
    assert drift(lab).passed
    planted.change(new=[Planted(f"{900 + n:032x}", CHINESE * 10) for n in range(10)])
    lab.run(fitted(), packed(**roomy))
    check = drift(lab)
    assert not check.passed
    assert not check.blocking
    assert "Raise `refit.edition` of the Fit" in check.description
    assert check.metadata["added"] < 1.1 < check.metadata["at_fit"]
    lab.run(fitted(), packed(tokenizer_drift=0.99, **roomy))
    assert drift(lab).passed, "another threshold is judged anew"
    assert lab.record("packed/tokens").metrics["documents_encoded"] == 0
    lab.run(fitted(edition=2), packed(**roomy))
    assert drift(lab).passed


def test_too_little_new_text_is_shown_and_not_judged(lab, planted):
    lab.run(fitted(), packed())
    planted.change(new=[Planted("a" * 32, CHINESE[:500])])
    lab.run(fitted(), packed())
    assert drift(lab).passed
    assert drift(lab).metadata["added"] < drift(lab).metadata["at_fit"]


def test_a_tokenizer_of_another_corpus_is_not_judged_here(lab, planted):
    other = PlantedCorpus(lab.store, "other")
    other.change(new=[Planted(f"{n:032x}", CHINESE) for n in range(10)])
    lab.run(fitted(), packed(["other"], shard_megabytes=1, sequence_length=256))
    assert drift(lab).passed
    assert "notes, on which the tokenizer was fitted" in drift(lab).description
