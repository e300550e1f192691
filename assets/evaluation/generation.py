"""Generated text for people to read: prompts chosen without regard to what the model makes of them, shown unedited.

Text that a model wrote may hold anything, backticks and terminal escapes included; the Markdown made of it keeps it
inside its fence.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headwater.assets.evaluation.documents import HeldOutDocument, hash_rank
from headwater.assets.evaluation.options import GenerationOptions, GivenPrompts
from headwater.assets.evaluation.report import Sample

SampleTokens = Callable[[NDArray[np.int64], int], np.ndarray]
"""(token row that begins with end-of-text, seed) → the new token ids alone."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Prompt:
    """What the model goes on from; `doc_id` and `source` where it is the beginning of a held-out document."""

    tokens: NDArray[np.int64]  # without end-of-text
    text: str
    doc_id: str | None = None
    source: str | None = None


def choose_prompts(
    documents: Sequence[HeldOutDocument],
    options: GenerationOptions,
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
) -> list[Prompt]:
    """Return the prompts: the given ones, or beginnings of held-out documents with the sources taken in turn.

    A held-out document serves when it goes on after the prompt. Fewer documents than prompts give fewer prompts.
    """
    wanted = options.prompts
    if isinstance(wanted, GivenPrompts):
        return [Prompt(np.asarray(encode(text), dtype=np.int64), text) for text in wanted.texts]
    long_enough = [document for document in documents if len(document.tokens) > wanted.tokens]
    prompts = []
    for document in _sources_in_turn(long_enough, options.seed)[: wanted.count]:
        tokens = np.asarray(document.tokens[: wanted.tokens], dtype=np.int64)
        prompts.append(Prompt(tokens, decode(tokens.tolist()), document.doc_id, document.source))
    return prompts


def _sources_in_turn(documents: Sequence[HeldOutDocument], seed: int) -> list[HeldOutDocument]:
    """Order documents so that each source's first in hash order comes before any source's second."""
    taken: dict[str, int] = {}
    keyed = []
    for document in sorted(documents, key=lambda document: (hash_rank(document.doc_id, seed), document.doc_id)):
        turn = taken.get(document.source, 0)
        taken[document.source] = turn + 1
        keyed.append((turn, document.source, document))
    return [document for _, _, document in sorted(keyed, key=lambda entry: entry[:2])]


def generate_samples(
    prompts: Sequence[Prompt],
    end_of_text: int,
    sample: SampleTokens,
    decode: Callable[[Sequence[int]], str],
    seed: int,
    advance: Callable[[int], None] | None = None,
) -> list[Sample]:
    """Let the model go on from each prompt; the n-th uses `seed + n`. Text ends where the model ends the document.

    `advance` is called with 1 after each prompt, for a progress bar.
    """
    samples = []
    for number, prompt in enumerate(prompts):
        row = np.concatenate([np.array([end_of_text], dtype=np.int64), prompt.tokens])
        tokens = [int(token) for token in sample(row, seed + number)]
        ended = end_of_text in tokens
        continuation = decode(tokens[: tokens.index(end_of_text)] if ended else tokens)
        samples.append(
            Sample(
                prompt=prompt.text, continuation=continuation, doc_id=prompt.doc_id, source=prompt.source, ended=ended
            )
        )
        if advance is not None:
            advance(1)
    return samples


def fenced(text: str) -> str:
    """Return text as a Markdown code block that the text itself cannot close.

    The fence is one backtick longer than the longest run of backticks inside. Control characters and those that turn
    the direction of writing are shown as `\\xNN` or `\\uNNNN`.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    visible = _CONTROL.sub(_escape, lines)
    longest = max((len(run) for run in re.findall(r"`+", visible)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{visible}\n{fence}"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def samples_markdown(samples: Sequence[Sample]) -> str:
    """Return all samples as Markdown: the prompt, then what the model wrote."""
    if not samples:
        return "No samples: no held-out document is longer than a prompt, or none were asked for.\n"
    parts = []
    for number, sample in enumerate(samples, start=1):
        origin = "" if sample.doc_id is None else f" (beginning of document `{sample.doc_id}`)"
        end = "The model ended the document here." if sample.ended else "Cut at the longest length asked for."
        parts.append(
            f"### Sample {number}{origin}\n\nPrompt:\n\n{fenced(sample.prompt)}\n\n"
            f"Continuation:\n\n{fenced(sample.continuation)}\n\n{end}\n"
        )
    return "\n".join(parts)
