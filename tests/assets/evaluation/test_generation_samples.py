import re

import numpy as np
import pytest
from evaluation_cases import END, corpus, document
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.evaluation.generation import choose_prompts, fenced, generate_samples, samples_markdown
from headwater.assets.evaluation.options import GenerationOptions, GivenPrompts, HeldOutPrompts
from headwater.assets.evaluation.report import Sample


def encode(text):
    return list(text.encode())


def decode(tokens):
    return bytes(tokens).decode(errors="replace")


def test_prompts_are_beginnings_with_the_sources_in_turn():
    documents = [*corpus(9, source="a"), *corpus(3, source="b", seed=1), document("short", "s", "c")]
    options = GenerationOptions(prompts=HeldOutPrompts(count=4, tokens=8))
    prompts = choose_prompts(documents, options, encode, decode)
    assert [prompt.source for prompt in prompts] == ["a", "b", "a", "b"]
    by_id = {document.doc_id: document for document in documents}
    assert all(prompt.text == by_id[prompt.doc_id].text[:8] for prompt in prompts)
    backwards = choose_prompts(documents[::-1], options, encode, decode)
    assert [prompt.doc_id for prompt in backwards] == [prompt.doc_id for prompt in prompts]
    other = choose_prompts(documents, options.model_copy(update={"seed": 5}), encode, decode)
    assert [prompt.doc_id for prompt in other] != [prompt.doc_id for prompt in prompts]


def test_given_prompts_are_encoded_as_they_are():
    options = GenerationOptions(prompts=GivenPrompts(texts=["def f", ""]))
    prompts = choose_prompts([], options, encode, decode)
    assert [prompt.tokens.tolist() for prompt in prompts] == [encode("def f"), []]
    assert prompts[1].tokens.dtype == np.int64


def test_samples_start_after_end_of_text_use_their_own_seed_and_stop_at_the_end():
    prompts = choose_prompts([], GenerationOptions(prompts=GivenPrompts(texts=["a", "b"])), encode, decode)
    asked, done = [], []

    def sample(row, seed):
        asked.append((row.tolist(), seed))
        return np.array([120, END, 121]) if seed == 7 else np.array([122])

    samples = generate_samples(prompts, END, sample, decode, 7, done.append)
    assert asked == [([END, 97], 7), ([END, 98], 8)]
    assert [(s.prompt, s.continuation, s.ended) for s in samples] == [("a", "x", True), ("b", "z", False)]
    assert done == [1, 1]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("`~a \n\r\t\x00\x1b\u202e"), max_size=40))
def test_no_text_can_leave_its_fence(text):
    opening, *body, closing = fenced(text).split("\n")
    assert opening == closing + "text"
    assert re.fullmatch("`{3,}", closing)
    assert all(closing not in line for line in body)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", "\n".join(body))


def test_markdown_shows_every_sample_and_says_so_when_there_is_none():
    text = samples_markdown(
        [Sample(prompt="```p", continuation="c", doc_id="id1", ended=True), Sample(prompt="q", continuation="d")]
    )
    assert "### Sample 1 (beginning of document `id1`)" in text
    assert "````text\n```p\n````" in text
    assert "ended the document" in text
    assert "### Sample 2\n" in text
    assert "No samples" in samples_markdown([])


@pytest.mark.parametrize("change", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"max_new_tokens": 0}])
def test_impossible_sampling_is_refused(change):
    with pytest.raises(ValueError, match="must be"):
        GenerationOptions(**change)
