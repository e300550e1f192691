"""Turns a step's number into its batch of tensors.

Nothing is remembered between steps: the sampler says which samples a step has, the reader copies them from memory maps.
So a run resumes at any step, with any number of ranks, on the very same batches.
"""

import numpy as np
import torch

from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.row_kernels import mask_rows, unpack_rows
from headwater.assets.sharding.sampling import Sampler, share_of_rank


class Loader:
    """Callable: step → this rank's batch of B samples of L tokens.

    - `tokens` (B, L) int64
    - `segments` (B, L) int32: which document of its sample a token belongs to
    - `loss_mask` (B, L) bool: False for padding and for withdrawn spans
    - `sample` (B,) int64: running number of the example, `position in its segment`; the same for any number of ranks
    - `stream` (B,) int64 and `index` (B,) int64: the stream's number in `sampler.streams`, the sample in that stream

    The ranks' batches, one after the other, are the batch of a single rank. Raises ValueError when the shards hold
    fewer samples than the sampler's last segment counts on.
    """

    def __init__(self, reader: ShardReader, sampler: Sampler, end_of_text: int, rank: int = 0, world: int = 1) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world} workers")
        for share in sampler.segments[-1].streams:
            held = reader.streams.get(share.stream, 0)
            if held < share.stop:
                raise ValueError(
                    f"stream {share.stream}: the order needs {share.stop} samples, {reader.folder} holds {held}: "
                    "resume with the shards that the training was started on"
                )
        self.reader, self.sampler = reader, sampler
        if not 0 <= end_of_text <= np.iinfo(reader.dtype).max:
            raise ValueError(f"end_of_text is {end_of_text}, which is no token of {reader.folder} ({reader.dtype})")
        self._end_of_text = np.array([end_of_text], dtype=reader.dtype)
        self.rank, self.world = rank, world
        known = [name for name in sampler.streams if name in reader.streams]
        self._empty = {name: reader.empty_spans(name) for name in known}

    def __call__(self, step: int) -> dict[str, torch.Tensor]:
        mine = share_of_rank(self.sampler.batch_size(step), self.rank, self.world)
        streams, ids = (values[mine] for values in self.sampler.samples_at(step))
        shape = (len(ids), self.reader.sequence_length)
        tokens, segments = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int32)
        mask = np.empty(shape, dtype=np.bool_)
        for number in sorted(set(streams.tolist())):
            name = self.sampler.streams[number]
            here = (streams == number).nonzero()[0]
            mask_rows(ids[here], here, self._empty[name], mask)
            located = self.reader.locate(name, ids[here])
            unpack_rows(located.addresses, self._end_of_text, here, tokens, segments)
        return {
            "tokens": torch.from_numpy(tokens),
            "segments": torch.from_numpy(segments),
            "loss_mask": torch.from_numpy(mask),
            "sample": torch.from_numpy(self._running(step, mine)),
            "stream": torch.from_numpy(np.array(streams)),
            "index": torch.from_numpy(np.array(ids)),
        }

    def _running(self, step: int, mine: slice) -> np.ndarray:
        start = self.sampler.segment_at(step).position(step)
        return np.arange(start + mine.start, start + mine.stop, dtype=np.int64)
