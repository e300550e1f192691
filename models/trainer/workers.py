"""Talk between the workers of a data-parallel run, and silence when there is but one.

Sums travel in flat buckets, few messages instead of one per tensor. Only `torch.distributed`'s process group is
assumed; who started it (Ray Train, torchrun, a test) does not matter here.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, distributed

BUCKET_ELEMENTS = 1 << 23  # 32 MiB of float32


def rank() -> int:
    """This worker's number; 0 when alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """Number of workers."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _buckets(tensors: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.numel() > BUCKET_ELEMENTS or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket


def sum_over_workers(tensors: Sequence[Tensor]) -> None:
    """Add each tensor over all workers, in place."""
    if world_size() == 1:
        return
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.flatten() for tensor in bucket])
        distributed.all_reduce(flat)
        for tensor, part in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
            tensor.copy_(part.view_as(tensor))


def same_on_all_workers(tensors: Sequence[Tensor]) -> None:
    """Give every worker the first one's values, in place."""
    if world_size() == 1:
        return
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.flatten() for tensor in bucket])
        distributed.broadcast(flat, src=0)
        for tensor, part in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
            tensor.copy_(part.view_as(tensor))


def gather_numbers(numbers: Sequence[int], device: torch.device) -> list[int]:
    """The numbers of all workers, the first worker's first. Lists may differ in length."""
    if world_size() == 1:
        return list(numbers)
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world_size())]
    distributed.all_gather(sizes, torch.tensor([len(numbers)], dtype=torch.int64, device=device))
    longest = max(int(size) for size in sizes)
    padded = torch.zeros(longest, dtype=torch.int64, device=device)
    padded[: len(numbers)] = torch.tensor(list(numbers), dtype=torch.int64, device=device)
    rows = [torch.zeros_like(padded) for _ in sizes]
    distributed.all_gather(rows, padded)
    return [value for row, size in zip(rows, sizes, strict=True) for value in row[: int(size)].tolist()]


def wait_for_all() -> None:
    """Return when every worker has come here, so that none leaves while the first is still writing."""
    if world_size() > 1:
        distributed.barrier()
