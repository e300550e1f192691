"""A multiple-choice cloze made of held-out documents: which of four continuations belongs to this passage?

A question takes a passage from a random place of a document, its true continuation, and as many continuations from
other documents of the same source, all equally long in tokens. The model's answer is the continuation with the highest
mean log-probability per token given the passage. With equal lengths the total decides alike. A document gives at most
one question and the question depends on the seed, the document and the other documents of its source alone.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headwater.assets.evaluation.bits_per_byte import Score
from headwater.assets.evaluation.documents import HeldOutDocument, hash_rank
from headwater.assets.evaluation.intervals import wilson_interval
from headwater.assets.evaluation.options import ClozeOptions
from headwater.assets.evaluation.report import ClozeResult, Interval


@dataclass(frozen=True)
class ClozeItem:
    """One question: the passage, the continuations, and which of them is true."""

    doc_id: str
    context: NDArray[np.int64]  # (context_tokens,)
    choices: NDArray[np.int64]  # (choices, continuation_tokens)
    answer: int

    def rows(self, end_of_text: int) -> list[NDArray[np.int64]]:
        """Return one token row for each choice: end-of-text, the passage, the continuation."""
        start = np.array([end_of_text], dtype=np.int64)
        return [np.concatenate([start, self.context, choice]) for choice in self.choices]


def build_items(documents: Sequence[HeldOutDocument], options: ClozeOptions) -> tuple[list[ClozeItem], Counter[str]]:
    """Build up to `options.items` questions.

    Returns:
        The questions, and how many documents were passed over: `too_short`, or `without_choices` where the source has
        too few other passages that differ from the true continuation and from each other.
    """
    pools: dict[str, list[HeldOutDocument]] = {}
    for document in sorted(documents, key=lambda document: document.doc_id):
        if len(document.tokens) >= options.continuation_tokens:
            pools.setdefault(document.source, []).append(document)
    items: list[ClozeItem] = []
    skipped: Counter[str] = Counter()
    for document in sorted(documents, key=lambda document: (hash_rank(document.doc_id, options.seed), document.doc_id)):
        if len(items) == options.items:
            break
        if len(document.tokens) < options.context_tokens + options.continuation_tokens:
            skipped["too_short"] += 1
            continue
        item = _build_item(document, pools[document.source], options)
        if item is None:
            skipped["without_choices"] += 1
        else:
            items.append(item)
    return items, skipped


def _build_item(document: HeldOutDocument, pool: Sequence[HeldOutDocument], options: ClozeOptions) -> ClozeItem | None:
    generator = _generator(document.doc_id, options.seed)
    needed = options.context_tokens + options.continuation_tokens
    start = int(generator.integers(len(document.tokens) - needed + 1))
    passage = np.asarray(document.tokens[start : start + needed], dtype=np.int64)
    context, truth = passage[: options.context_tokens], passage[options.context_tokens :]
    choices = [truth]
    for position in generator.permutation(len(pool)):
        if len(choices) == options.choices:
            break
        other = pool[position]
        if other.doc_id == document.doc_id:
            continue
        offset = int(generator.integers(len(other.tokens) - len(truth) + 1))
        candidate = np.asarray(other.tokens[offset : offset + len(truth)], dtype=np.int64)
        if not any(np.array_equal(candidate, choice) for choice in choices):
            choices.append(candidate)
    if len(choices) < options.choices:
        return None
    # The true one gets a random place: ties go to the first, so a model that cannot tell them apart stays at chance.
    order = generator.permutation(options.choices)
    return ClozeItem(
        document.doc_id, context, np.stack([choices[i] for i in order]), int(np.flatnonzero(order == 0)[0])
    )


def _generator(doc_id: str, seed: int) -> np.random.Generator:
    digest = hashlib.blake2b(f"cloze\0{seed}\0{doc_id}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def answers(items: Sequence[ClozeItem], end_of_text: int, score: Score, items_per_call: int = 16) -> list[int]:
    """Return the choice that the model prefers for each question, -1 where no choice has a finite score.

    `items_per_call` questions are scored at once; it bounds memory, not the result.
    """
    chosen: list[int] = []
    for start in range(0, len(items), items_per_call):
        batch = items[start : start + items_per_call]
        scores = iter(score([row for item in batch for row in item.rows(end_of_text)]))
        for item in batch:
            length = item.choices.shape[1]
            means = [float(np.mean(np.asarray(next(scores), dtype=np.float64)[-length:])) for _ in item.choices]
            chosen.append(_best(np.array(means)))
    return chosen


def _best(means: NDArray[np.float64]) -> int:
    usable = np.isfinite(means)
    return int(np.argmax(np.where(usable, means, -np.inf))) if usable.any() else -1


def run_cloze(
    documents: Sequence[HeldOutDocument], end_of_text: int, score: Score, options: ClozeOptions
) -> ClozeResult:
    """Build the questions, ask the model and count. No question at all gives an accuracy of None, interval 0 to 1."""
    items, skipped = build_items(documents, options)
    chosen = answers(items, end_of_text, score)
    correct = sum(choice == item.answer for choice, item in zip(chosen, items, strict=True))
    low, high = wilson_interval(correct, len(items), options.confidence)
    return ClozeResult(
        wanted=options.items,
        items=len(items),
        too_short=skipped["too_short"],
        without_choices=skipped["without_choices"],
        choices=options.choices,
        chance=1 / options.choices,
        correct=correct,
        accuracy=correct / len(items) if items else None,
        interval=Interval(low=low, high=high),
        enough=len(items) >= options.min_items,
    )
