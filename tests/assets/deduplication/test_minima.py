"""Minima found by torch, on every device that is here, against those of the kernels: equal in every bit."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from duplicate_oracle import random_text, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.deduplication.fit import fit_documents, fit_of
from headwater.assets.deduplication.minhash import minhash
from headwater.assets.deduplication.minima import Features, device_for, least_values
from headwater.assets.deduplication.options import DeduplicationOptions, MinHashOptions
from headwater.assets.deduplication.rare_words import sketch_keys
from headwater.assets.deduplication.signatures import compute_signatures

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
TEXTS = st.lists(st.text("ab_9é \n深度学", max_size=60), max_size=8)


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 4)), max_size=5), max_size=5),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**31 - 1),
)
def test_least_values_are_those_of_plain_python(device, texts, addend, half):
    multiplier = 2 * half + 1
    flat = [feature for text in texts for feature in text]
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    hashes, shifts = (
        np.array([feature[part] for feature in flat], kind) for part, kind in ((0, np.uint32), (1, np.uint8))
    )
    drawn = [np.array([value, 1], np.uint32) for value in (multiplier, addend)]
    found = least_values(Features(hashes, shifts, offsets), *drawn, device)
    expected = [
        [
            min([((m * h + a) % 2**32) >> s for h, s in text], default=2**32 - 1)
            for m, a in ((multiplier, addend), (1, 1))
        ]
        for text in texts
    ]
    assert found.dtype == np.uint32
    assert found.tolist() == expected


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(1, 3))
def test_signatures_of_shingles_agree(device, texts, words):
    array = pa.array(texts, pa.large_string())
    for mine, kernels in zip(minhash(array, words, 16, 3, device), minhash(array, words, 16, 3), strict=True):
        assert mine.tolist() == kernels.tolist()


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_sketches_of_rare_words_agree(device, texts):
    """Texts that are common to all make words of every weight, and boilerplate."""
    options, rng = DeduplicationOptions(), np.random.default_rng(len(texts))
    licence = " ".join(random_text(rng, 40, 50))
    documents = [*texts, *(f"{licence} {' '.join(random_text(rng, 30, 900))}" for _ in range(30))]
    fit = fit_of(fit_documents(table_of(documents), options.fit), options.fit)
    array = pa.array(documents, pa.large_string())
    for mine, kernels in zip(
        sketch_keys(array, fit, options.near, device), sketch_keys(array, fit, options.near), strict=True
    ):
        assert mine.tolist() == kernels.tolist()


def test_the_index_is_the_same_whatever_found_the_minima():
    rng = np.random.default_rng(0)
    documents = table_of([" ".join(random_text(rng, size, 5_000)) for size in (0, 3, 900, 40, 6_000)])
    for near in (DeduplicationOptions().near, MinHashOptions()):
        options = DeduplicationOptions(near=near)
        fit = fit_of(fit_documents(documents, options.fit), options.fit)
        assert compute_signatures(documents, options, fit, "cpu").equals(compute_signatures(documents, options, fit))


def test_only_a_task_that_reserves_a_gpu_looks_for_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for(0) is None
    assert device_for(0.5) == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for(1) is None
