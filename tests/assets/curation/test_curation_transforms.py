"""Transforms: repair, redaction, C4's lines, a user's own step."""

import hashlib

import ftfy
import pyarrow as pa
import pytest
from curation_tables import documents_of, ledger_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater.assets.curation.measure import curate, signal_schema
from headwater.assets.curation.options import CurationOptions
from headwater.assets.curation.transforms import apply_transforms
from headwater.assets.curation.user_steps import StepError
from headwater.assets.schemas import DOCUMENTS


def options_of(*transforms, **fields):
    return CurationOptions.model_validate({"transforms": list(transforms), "rules": [], **fields})


def changed(text, *transforms):
    documents, counts = apply_transforms(documents_of([text]), options_of(*transforms))
    return documents["text"][0].as_py(), counts.drop_columns(["doc_id"]).to_pylist()[0]


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("âœ” No problems", "✔ No problems"),
        ("The Mona Lisa doesnâ€™t have eyebrows.", "The Mona Lisa doesn’t have eyebrows."),
        ("schÃ¶n\r\nzwei\rdrei", "schön\nzwei\ndrei"),
        ("nul\x00 bell\x07 colour \x1b[31mred\x1b[0m", "nul bell colour red"),
        ("\ufeffmark", "mark"),
        ("e\u0301tude", "étude"),
        ("“curly” ﬁ &amp; kept", "“curly” ﬁ &amp; kept"),
        ("tab\tand form\ffeed stay\n", "tab\tand form\ffeed stay\n"),
    ],
)
def test_unicode_is_repaired(broken, mended):
    text, counts = changed(broken, {"kind": "unicode_repair"})
    assert text == mended
    assert counts == {"repaired": int(broken != mended)}


def test_typography_and_entities_are_choices():
    assert changed("“curly” ﬁ", {"kind": "unicode_repair", "typography": True})[0] == '"curly" fi'
    assert changed("a &amp; b", {"kind": "unicode_repair", "entities": True})[0] == "a & b"


ANY_TEXT = st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\n\r\x00a Ã©â€™")))


@settings(max_examples=150, deadline=None)
@given(ANY_TEXT)
@example("\r\n\n\u2028x\x85")
@example("plain\n\u0301combining at the start of a line")
def test_skipping_sound_lines_changes_nothing(text):
    config = ftfy.TextFixerConfig(
        unescape_html=False, uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False, explain=False
    )
    assert changed(text, {"kind": "unicode_repair"})[0] == ftfy.fix_text(text, config)


def test_identity_follows_the_text_and_untouched_rows_stay():
    before = documents_of(["sound", "schÃ¶n", None, ""])
    after, counts = apply_transforms(before, CurationOptions())
    assert after.schema.equals(DOCUMENTS)
    assert after["doc_id"].equals(before["doc_id"])
    assert after["text"].to_pylist() == ["sound", "schön", None, ""]
    expected = hashlib.blake2b("schön".encode(), digest_size=16).hexdigest()
    kept = before["content_id"].to_pylist()
    assert after["content_id"].to_pylist() == [kept[0], expected, kept[2], kept[3]]
    assert counts["repaired"].to_pylist() == [0, 1, 0, 0]


def test_record_batches_slices_and_no_rows_are_taken():
    documents = documents_of(["a", "schÃ¶n", "b"])
    batch = documents.combine_chunks().to_batches()[0].slice(1, 1)
    assert apply_transforms(batch, CurationOptions())[0]["text"].to_pylist() == ["schön"]
    assert apply_transforms(documents.slice(0, 0), CurationOptions())[0].num_rows == 0
    chunked = pa.concat_tables([documents, documents])
    assert apply_transforms(chunked, CurationOptions())[0]["text"].to_pylist() == ["a", "schön", "b"] * 2


def test_redaction_counts_become_signals():
    options = CurationOptions.model_validate(
        {"transforms": [{"kind": "redact_pii", "kinds": ["email"]}], "rules": [{"kind": "pii", "max_email": 1}]}
    )
    documents, signals = curate(documents_of(["Ask a@b.org or c@d.org."]), ledger_of(1), options)
    assert documents["text"].to_pylist() == ["Ask <EMAIL> or <EMAIL>."]
    assert signals["pii_email"].to_pylist() == [2]
    assert signals.schema.equals(signal_schema(options), check_metadata=True)


def test_counting_leaves_the_text():
    text, counts = changed("mail a@b.org", {"kind": "redact_pii", "action": "count", "kinds": ["email", "ip"]})
    assert text == "mail a@b.org"
    assert counts == {"pii_email": 1, "pii_ip": 0}


def test_c4_lines_keep_sentences_only():
    kept = "This is a sentence.[1]"
    text = "\n".join(
        [
            kept,
            "No end here",
            "Too short.",
            "And so on it goes ...",
            "Please enable JavaScript to continue.",
            "Read our privacy policy for this site.",
            "x" * 1001 + " is a long word.",
            '  He said "yes, we do!"  ',
        ]
    )
    assert changed(text, {"kind": "c4_lines"}) == (
        'This is a sentence.\nHe said "yes, we do!"',
        {"c4_lines_removed": 6},
    )
    loose = {"kind": "c4_lines", "terminal_punctuation": False, "min_words": 0, "javascript": False, "policy": False}
    assert changed(text, {**loose, "citations": False, "max_word_length": 2000})[1] == {"c4_lines_removed": 0}


def test_transforms_run_in_declared_order():
    shout = {"kind": "python", "function": "curation_tables:shout", "version": "1", "options": {"end": "!"}}
    text, counts = changed("mail schÃ¶n a@b.org", {"kind": "redact_pii", "kinds": ["email"]}, shout)
    assert text == "MAIL SCHÃ¶N <EMAIL>!".replace("Ã¶", "Ã¶".upper())
    assert counts == {"pii_email": 1, "changed_1": 1}


def test_own_signals_are_stored_and_ruled_over():
    own = {
        "function": "curation_tables:vowels",
        "kind": "python",
        "version": "1",
        "columns": {"vowels": "number of vowels", "half": "half the length"},
    }
    rule = {"kind": "rule", "name": "vowels", "signal": "vowels", "min": 1}
    options = CurationOptions.model_validate({"transforms": [], "signals": [own], "rules": [rule]})
    _, signals = curate(documents_of(["aei", ""]), ledger_of(2), options)
    assert signals["vowels"].to_pylist() == [3.0, 0.0]
    assert signals["half"].to_pylist() == [1.5, None]


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("no_such_module_here:step", "no_such_module_here cannot be imported.*PYTHONPATH"),
        ("curation_tables:absent", "has no function absent; correct the name"),
        ("curation_tables:fails", "failed on document 0{32}.*KeyError"),
        ("curation_tables:gives_nothing", "gave NoneType for document 0{32}; it must return a str"),
    ],
)
def test_a_failing_step_names_its_path_and_the_mend(function, told):
    with pytest.raises(StepError, match=told):
        changed("text", {"kind": "python", "function": function, "version": "1"})


def test_own_signals_must_give_their_columns():
    own = {"function": "curation_tables:vowels", "kind": "python", "version": "1", "columns": {"other": "?"}}
    with pytest.raises(StepError, match=r"gave vowels, half for document.*must return a dict of other"):
        curate(documents_of(["a"]), ledger_of(1), options_of(signals=[own]))
