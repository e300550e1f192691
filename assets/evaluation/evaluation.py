"""One evaluation from its parts: score the documents, run the baselines on them, ask the cloze, sample, judge.

The model enters as functions, so that nothing here knows what a model is made of, and tests can use one whose answers
are known.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headwater.assets.evaluation.baselines import measure_baseline
from headwater.assets.evaluation.bits_per_byte import DocumentBits, Score, gain, score_documents, summarise
from headwater.assets.evaluation.checks import check_outcomes
from headwater.assets.evaluation.cloze import run_cloze
from headwater.assets.evaluation.documents import HeldOutDocument
from headwater.assets.evaluation.generation import SampleTokens, choose_prompts, generate_samples
from headwater.assets.evaluation.options import EvaluationOptions, GenerationOptions
from headwater.assets.evaluation.report import BaselineResult, ClozeResult, Interval, Report, Sample, SourceResult


class Model(NamedTuple):
    """What an evaluation asks of a checkpoint and its tokenizer."""

    score: Score
    sample: SampleTokens
    encode: Callable[[str], Sequence[int]]
    decode: Callable[[Sequence[int]], str]
    end_of_text: int


Watch = Callable[[str, float], None]
"""(step, done): `done` more units of `step` are finished, bytes of text for `score`, `gzip` and `xz`, prompts for
`generate`."""


def _ignore(step: str, done: float) -> None:
    return None


def evaluate(
    documents: Sequence[HeldOutDocument],
    training_counts: NDArray[np.int64],
    model: Model,
    options: EvaluationOptions,
    watch: Watch = _ignore,
    passages: Sequence[HeldOutDocument] | None = None,
) -> Report:
    """Measure one checkpoint.

    Args:
        documents: the held-out documents to measure, as `documents.choose_documents` ordered them.
        training_counts: how often each token id occurs in the training stream, one entry for each id; see
            `baselines.token_counts`.
        model: the checkpoint as functions.
        options: what to measure.
        watch: told about progress.
        passages: the held-out documents that the cloze draws from, where they are more than those to measure.

    Raises:
        ValueError: `model.score` returned something of the wrong shape; names the document.
    """
    scores = score_documents(documents, model.end_of_text, model.score, advance=functools.partial(watch, "score"))
    yardsticks: dict[str | None, list[BaselineResult]] = {}
    gains: dict[str, Interval | None] = {}
    for baseline in options.baselines:
        kind = baseline.kind
        advance = functools.partial(watch, kind)
        bits, results = measure_baseline(baseline, documents, training_counts, model.end_of_text, advance)
        gains[kind] = gain(scores, bits, options.bits_per_byte)[1]
        for source, result in results.items():
            yardsticks.setdefault(source, []).append(result)
    report = Report(
        overall=_result(scores, None, yardsticks, options),
        sources=[_result(scores, source, yardsticks, options) for source in scores.source_names],
        gains=gains,
        not_finite=scores.not_finite,
        cloze=_cloze(documents if passages is None else passages, model, options),
        samples=[] if options.generation is None else _samples(documents, model, options.generation, watch),
    )
    return report.model_copy(update={"checks": check_outcomes(report, options)})


def _result(
    scores: DocumentBits,
    source: str | None,
    yardsticks: dict[str | None, list[BaselineResult]],
    options: EvaluationOptions,
) -> SourceResult:
    result = summarise(scores, source, options.bits_per_byte)
    return result.model_copy(update={"baselines": yardsticks.get(source, [])})


def _cloze(documents: Sequence[HeldOutDocument], model: Model, options: EvaluationOptions) -> ClozeResult | None:
    return None if options.cloze is None else run_cloze(documents, model.end_of_text, model.score, options.cloze)


def _samples(
    documents: Sequence[HeldOutDocument], model: Model, options: GenerationOptions, watch: Watch
) -> list[Sample]:
    prompts = choose_prompts(documents, options, model.encode, model.decode)
    return generate_samples(
        prompts, model.end_of_text, model.sample, model.decode, options.seed, functools.partial(watch, "generate")
    )
