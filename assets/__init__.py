"""How each thing comes to be: one folder per stage, in the order data flows. The kinds of asset are exported here."""

from headwater.assets.corpus.component import Corpus
from headwater.assets.fitting.component import Fit
from headwater.assets.sharding.component import Shards

__all__ = ["Corpus", "Fit", "Shards"]
