"""What a reader of a report must not take for granted, read off the facts."""

from collections.abc import Iterator

from headwater.assets.lineage.report.counts import CorpusCounts
from headwater.assets.lineage.report.facts import Facts

ALWAYS = (
    "Personal data is found by patterns only, and only where the declaration asks for it; licences are what the "
    "sources state, not what a lawyer would find.",
    "Duplicates are found by words in common; translations and paraphrases are not.",
)


def known_limits(facts: Facts) -> list[str]:
    """Sentences on what was not measured, not checked or went wrong, the most particular first."""
    found = [*_training(facts), *_evaluation(facts)]
    for corpus in facts.corpora:
        found += _data(corpus)
    return [*found, *ALWAYS]


def _training(facts: Facts) -> Iterator[str]:
    failed = [f"{asset}: {check.name}" for asset, check in facts.checks if not check.passed]
    if failed:
        yield f"Checks that did not pass: {', '.join(failed)}."
    if len(facts.replicates) == 1:
        yield "One seed: how much of a difference to another checkpoint is chance cannot be told from this one alone."
    if facts.checkpoint.execution.git_dirty:
        yield "The workspace differed from the git commit when this was trained; the commit alone does not give it."
    if facts.checkpoint.execution.git_commit is None:
        yield "The workspace was in no git repository: its code is known by the hashes of its modules only."
    repeated = [s for s in facts.streams if s.passes is not None and s.passes > 4]
    for stream in repeated:
        yield f"{stream.stream} was passed over {stream.passes:.1f} times; text seen so often may be memorised."


def _evaluation(facts: Facts) -> Iterator[str]:
    if not facts.evaluations:
        yield "No evaluation of this checkpoint is stored: nothing is known of its quality but its training loss."
        return
    yield (
        "It is evaluated on held-out documents of its own sources; that says little about text from elsewhere, about "
        "facts, or about harm."
    )


def _data(corpus: CorpusCounts) -> Iterator[str]:
    unstated = sum(share.documents for share in corpus.licences if not share.name)
    everything = sum(share.documents for share in corpus.licences)
    if unstated:
        yield f"{corpus.name}: no licence is stated for {unstated:,} of {everything:,} training documents."
    if corpus.languages is None:
        yield f"{corpus.name}: languages were not measured (the signal `language` was not asked for)."
    decontamination = corpus.records["deduplicated"].identity.options.get("decontamination") or {}
    if not decontamination.get("sets"):
        yield f"{corpus.name}: it was not decontaminated against any published benchmark."
    if not any(source.held_out.documents for source in corpus.sources):
        yield f"{corpus.name}: nothing of it is held out."
