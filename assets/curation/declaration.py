"""Which part of the curation options decides the signals, and which the decisions.

A changed threshold must not measure anything again, so the two stages have different identities.
"""

from typing import Any

from headwater.assets.curation.options import CurationOptions, required_signals
from headwater.assets.curation.rule_sets import Words


def what_is_measured(options: CurationOptions) -> dict[str, Any]:
    """What decides the text and the signals: transforms, the columns that rules need, word lists, one's own steps."""
    given = options.model_dump(mode="json", include={"transforms", "signals"})
    words = [rule.model_dump(mode="json", include={"name", "words", "file"}) for rule in _word_lists(options)]
    return given | {"columns": list(required_signals(options)), "words": words}


def what_decides(options: CurationOptions) -> dict[str, Any]:
    """What decides which documents are kept: the rules with their thresholds."""
    return options.model_dump(mode="json", include={"rules"})


def _word_lists(options: CurationOptions) -> list[Words]:
    return [rule for rule in options.rules if isinstance(rule, Words)]
