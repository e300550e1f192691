import numpy as np
import pytest
from evaluation_cases import END, corpus, document, noise, oracle, uniform

from headwater.assets.evaluation.cloze import answers, build_items, run_cloze
from headwater.assets.evaluation.options import ClozeOptions

OPTIONS = ClozeOptions(items=60, context_tokens=20, continuation_tokens=10)


def test_a_model_that_knows_the_documents_answers_everything():
    documents = corpus(80)
    result = run_cloze(documents, END, oracle(documents), OPTIONS)
    assert (result.items, result.correct, result.accuracy) == (60, 60, 1.0)
    assert result.interval.low > 0.9
    assert result.enough


@pytest.mark.parametrize("choices", [2, 4])
def test_a_model_that_guesses_stays_at_chance(choices):
    options = OPTIONS.model_copy(update={"items": 1000, "choices": choices})
    result = run_cloze(corpus(1000, length=40), END, noise(1), options)
    assert result.chance == 1 / choices
    assert result.interval.low < result.chance < result.interval.high


def test_a_model_that_cannot_tell_the_choices_apart_stays_at_chance():
    options = OPTIONS.model_copy(update={"items": 1000})
    result = run_cloze(corpus(1000, length=40), END, uniform, options)
    assert result.interval.low < 0.25 < result.interval.high


def test_the_continuation_decides_and_the_passage_does_not():
    documents = corpus(30)
    items, _ = build_items(documents, OPTIONS)

    def score(rows):
        # The passage's tokens say the opposite, and much louder.
        return [np.concatenate([np.full(20, 100.0 * i), -np.full(10, float(i % 4))]) for i, _ in enumerate(rows)]

    assert answers(items, END, score, items_per_call=7) == [0] * len(items)


def test_items_are_made_as_described():
    documents = [*corpus(30, source="a"), *corpus(30, source="b", seed=1)]
    by_id = {document.doc_id: document for document in documents}
    items, skipped = build_items(documents, OPTIONS)
    assert len(items) == 60
    assert len({item.doc_id for item in items}) == 60
    assert not skipped
    for item in items:
        own = by_id[item.doc_id]
        assert item.choices.shape == (4, 10)
        passage = np.concatenate([item.context, item.choices[item.answer]])
        assert passage.tobytes() in own.tokens.tobytes()
        for number, choice in enumerate(item.choices):
            if number != item.answer:
                homes = [d for d in documents if choice.tobytes() in d.tokens.tobytes()]
                assert [home.source for home in homes] == [own.source]
                assert homes[0].doc_id != own.doc_id
    assert {item.answer for item in items} == {0, 1, 2, 3}
    assert items[0].rows(END)[0].tolist() == [END, *items[0].context, *items[0].choices[0]]


def test_items_depend_on_seed_and_documents_but_not_on_their_order():
    documents = corpus(40)
    first, _ = build_items(documents, OPTIONS)
    again, _ = build_items(documents[::-1], OPTIONS)
    other, _ = build_items(documents, OPTIONS.model_copy(update={"seed": 1}))

    def key(items):
        return [(item.doc_id, item.context.tolist(), item.choices.tolist(), item.answer) for item in items]

    assert key(first) == key(again)
    assert key(first) != key(other)


def test_documents_too_short_are_counted_and_none_left_is_a_clear_result():
    documents = [*corpus(5, length=29), *corpus(2, length=30, source="lonely", seed=1)]
    result = run_cloze(documents, END, uniform, OPTIONS)
    assert (result.items, result.too_short, result.without_choices) == (0, 5, 2)
    assert (result.accuracy, result.interval.low, result.interval.high, result.enough) == (None, 0.0, 1.0, False)


def test_a_wrong_choice_never_equals_the_true_one_or_another():
    same = [document("x" * 100, str(i)) for i in range(10)]
    items, skipped = build_items(same, OPTIONS)
    assert not items
    assert skipped["without_choices"] == 10


def test_choices_without_a_finite_score_are_never_preferred():
    items, _ = build_items(corpus(10), OPTIONS)

    def broken(rows):
        return [np.full(len(row) - 1, -np.inf if i % 4 else np.nan) for i, row in enumerate(rows)]

    def partly(rows):
        return [np.full(len(row) - 1, -3.0 if i % 4 == 2 else np.nan) for i, row in enumerate(rows)]

    assert answers(items, END, broken) == [-1] * 10
    assert answers(items, END, partly) == [2] * 10
