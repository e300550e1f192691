"""How each thing comes to be: one folder per stage, in the order data flows. The kinds of asset are exported here.

A kind is loaded when it is first asked for: all of them bring Dagster, for which a worker on Ray or a command that only
reads records would wait a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headwater.assets.annotation.component import Annotation
    from headwater.assets.automation.component import Automation
    from headwater.assets.comparison.component import Comparison
    from headwater.assets.corpus.component import Corpus
    from headwater.assets.evaluation.component import Evaluation
    from headwater.assets.fitting.component import Fit
    from headwater.assets.merging.component import Merge
    from headwater.assets.selection.component import Selection
    from headwater.assets.sharding.component import Shards
    from headwater.assets.training.component import Training

__all__ = [
    "Annotation",
    "Automation",
    "Comparison",
    "Corpus",
    "Evaluation",
    "Fit",
    "Merge",
    "Selection",
    "Shards",
    "Training",
]

_FOLDERS = {
    "Annotation": "annotation",
    "Automation": "automation",
    "Comparison": "comparison",
    "Corpus": "corpus",
    "Evaluation": "evaluation",
    "Fit": "fitting",
    "Merge": "merging",
    "Selection": "selection",
    "Shards": "sharding",
    "Training": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _FOLDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = kind = getattr(import_module(f"{__name__}.{_FOLDERS[name]}.component"), name)
    return kind


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
