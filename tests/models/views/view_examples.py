"""Options of every kind of view that the tests try, and a batch with every field that they read."""

from typing import Any

import torch
from torch import Tensor

from headwater.models.discovery import parts
from headwater.models.views.options import ViewOptions, any_view

KINDS = parts("headwater.models.views", ViewOptions)
SPANS = {"kind": "corrupt_spans", "sentinels": [90, 60], "end": 1}

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "beginning": [{}, {"least": 3, "end": 1}],
    "blur": [{}, {"sigma": [0.5, 1.0], "probability": 1.0, "into": "image_b"}],
    "color": [{}, {"probability": 1.0, "grey": 0.0}],
    "corrupt_spans": [{"sentinels": [60, 90]}, {"sentinels": [90, 60], "share": 0.5, "mean": 2.0, "end": 1}],
    "cutout": [{"size": 5, "value": 0.5}],
    "erase": [{"probability": 1.0}, {"fill": "zero"}],
    "few_labels": [{"shots": 1}],
    "flip": [{}, {"axis": "vertical", "into": "image_a"}],
    "hide_node_features": [{"share": 0.4}],
    "label_context": [
        {"label": "node_label", "classes": 3, "estimates": ["propagation"]},
        {"label": "node_label", "classes": 3, "about": "distance"},
    ],
    "log_mel": [{"sample_rate": 1000, "mels": 8}, {"sample_rate": 1000, "mels": 8, "scale": "slaney"}],
    "lower_resolution": [{"factor": 4}],
    "mask_columns": [{}, {"fields": ["columns", "categories"], "count": 2}],
    "mask_frames": [{"span": [2, 3]}, {"share": 0.4}],
    "mask_patches": [
        {"patch_height": 2, "patch_width": 2},
        {"patch_height": 2, "patch_width": 2, "how": "blocks", "share": 0.5},
        {"field": "spectrogram", "how": "clusters", "patch_height": 2, "patch_width": 2, "side": [2, 3]},
    ],
    "mask_spectrum": [{"radius": 2.0}, {"radius": 3.0, "clip": False, "into": "image"}],
    "mask_tokens": [{"mask": 3, "vocabulary_size": 60, "protected": [0, 1, 2]}],
    "mixture": [
        {
            "shared": {"sentinels": [90, 60], "end": 1},
            "parts": [
                {"view": {"kind": "corrupt_spans", "mean": 3}, "rate": 2, "mode": 95},
                {"view": {"kind": "corrupt_spans", "mean": 8, "share": 0.5}, "mode": 96},
                {"view": {"kind": "prefix"}, "mode": 97},
            ],
        },
        {"parts": [{"view": {"kind": "flip"}}, {"view": {"kind": "noise"}}], "chosen": "which"},
    ],
    "node_pairs": [
        {"share": 0.5},
        {"about": "distance", "count": 5, "most": 3},
        {"about": "similarity", "count": 7, "alike": 2},
    ],
    "noise": [{"clip": True}, {"field": "audio"}],
    "normalise_spectrogram": [{}, {"mean": 1.0, "deviation": 2.0, "spread": 0.5}],
    "planted_copies": [
        {"ids": [60, 80], "segments": None, "copies": 2, "tokens": 3, "untold": 2},
        {"ids": [60, 80], "copies": 3, "groups": 3, "loss_mask": "told"},
    ],
    "prefix": [{}, {"share": [0.1, 0.8], "sentinel": 60, "end": 1}],
    "random_crop": [{}, {"size": 5, "area": [0.05, 0.3]}],
    "rotate90": [{}, {"every": True, "into": "image_turned"}],
    "scale_pixels": [{"field": "bytes"}, {"mean": [0.5, 0.4, 0.3], "deviation": [0.2]}],
    "several": [
        {
            "views": {
                "a": [{"kind": "random_crop"}, {"kind": "rotate90"}],
                "b": [],
                "local": {"count": 3, "views": [{"kind": "random_crop", "size": 4}, {"kind": "flip"}]},
            }
        }
    ],
    "standardise_columns": [{"mean": [0.5] * 7, "deviation": [2.0, *[1.0] * 6]}],
    "shift": [{}, {"padding": "zeros"}, {"padding": "edge", "field": "bytes"}],
}
CASES = [(kind, number) for kind, examples in EXAMPLES.items() for number in range(len(examples))]


def options_of(kind: str, number: int = 0) -> ViewOptions:
    return any_view({"kind": kind} | EXAMPLES[kind][number])


def batch_of(count: int = 12, seed: int = 0, length: int = 24) -> dict[str, Tensor]:
    """A batch with every field; row 0 of the texts is empty, row 1 has one token."""
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, length + 1, (count,), generator=rng)
    lengths[:2] = torch.tensor([0, 1])[:count]
    tokens = torch.randint(4, 60, (count, length), generator=rng)
    edges = torch.randint(0, 9, (count, 2, 14), generator=rng)
    edges[..., 12:] = -1  # padding
    labels = torch.randint(-1, 3, (count, 9), generator=rng)
    labels[:, :3] = torch.arange(3)
    graphs = {
        "nodes": torch.randn(count, 9, 4, generator=rng),
        "edges": edges,
        "node_label": labels,
        "node_split": torch.randint(0, 3, (count, 9), generator=rng),
    }
    return {
        **graphs,
        "bytes": torch.randint(0, 256, (count, 3, 8, 8), generator=rng, dtype=torch.uint8),
        "image": torch.rand(count, 3, 8, 8, generator=rng),
        "spectrogram": torch.randn(count, 8, 16, generator=rng),
        "audio": torch.rand(count, 400, generator=rng) - 0.5,
        "columns": torch.randn(count, 7, generator=rng),
        "categories": torch.randint(0, 5, (count, 3), generator=rng),
        "tokens": torch.where(torch.arange(length) < lengths[:, None], tokens, 0),
        "length": lengths,
        "segments": (torch.rand(count, length, generator=rng) < 0.05).cumsum(1),
    }
