"""The vectors of a trained network as a column of fixed-size lists."""

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional

from headwater.assets.annotation.by_examples import example_source, on_its_device, open_replicate
from headwater.assets.annotation.embedding.options import EmbeddingOptions
from headwater.assets.annotation.opening import replicate_of
from headwater.assets.context import StageContext
from headwater.assets.training.networks import backbone_of
from headwater.models.backbones.building import on_meta


class EmbeddingAnnotator:
    """Embeds documents with one replicate."""

    ledger: tuple[str, ...] = ()
    text = False
    signals = False

    def __init__(self, options: EmbeddingOptions, context: StageContext) -> None:
        self.source, self.unit = example_source(context, options), options.unit
        self.replicate = replicate_of(context, options.seed)
        self.width = int(on_meta(backbone_of(self.replicate.record)).dims["width"])
        self.columns = pa.schema([pa.field(options.column, pa.list_(pa.float32(), self.width))])

    def annotate(self, documents: pa.Table) -> pa.Table:
        """See :class:`Annotator`."""
        network = open_replicate(self.replicate)
        found = [np.empty((0, self.width), dtype=np.float32)]
        with torch.inference_mode():
            for fields in self.source.batches(documents["doc_id"].to_pylist()):
                vectors = network.embed(on_its_device(network, fields)).float()
                vectors = functional.normalize(vectors, dim=1) if self.unit else vectors
                found.append(vectors.cpu().numpy())
        flat = pa.array(np.concatenate(found).reshape(-1))
        return pa.table([pa.FixedSizeListArray.from_arrays(flat, self.width)], schema=self.columns)
