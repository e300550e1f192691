"""A small network with everything that probes may ask for, sets of examples, and options of every kind of probe."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headwater.models.discovery import parts, read
from headwater.models.objectives.caption.bag import BagOfWords
from headwater.models.probes.options import ProbeOptions

FAMILY = "headwater.models.probes"
KINDS = parts(FAMILY, ProbeOptions)

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "aggregated": [{"classes": 3, "head": "classifier"}, {"classes": 3}],
    "bits_by_position": [{"edges": [0, 3, 6]}, {"edges": [2, 4], "batch_size": 3}],
    "calibration": [{"bins": 5}, {"head": "classifier"}],
    "classifier": [{}, {"among": (0, 1)}],
    "clustering": [{}, {"features": "raw", "clusters": 5, "normalise": False}],
    "collapse": [{}, {"features": "raw", "raw": ["columns", "image"]}],
    "denoising": [
        {"view": {"kind": "corrupt_spans", "sentinels": [1, 3]}, "mode": 2, "uncounted": [1, 3]},
        {"view": {"kind": "prefix", "hidden": "hidden"}, "reads": "in_order"},
    ],
    "few_shot": [{"draws": 3}, {"how": "linear", "shots": 2, "draws": 2}],
    "fine_tune": [{"steps": 5, "batch_size": 8, "views": [{"kind": "noise"}]}, {"steps": 3, "label_share": 0.2}],
    "linear": [{}, {"features": "raw"}, {"label": "number"}],
    "needle": [
        {"lengths": [4, 6], "tokens": 2, "ids": [10, 19], "texts": 5},
        {
            "lengths": [6],
            "depths": [0.0, 1.0],
            "tokens": 3,
            "key": 2,
            "ids": [4, 9],
            "groups": 2,
            "texts": 40,
            "batch_size": 7,
        },
    ],
    "nearest_neighbours": [{"neighbours": 5}, {"features": "raw", "raw": ["columns"]}],
    "node_classification": [{}, {"features": "raw", "graphs": "test"}],
    "perceptron": [
        {"steps": 20, "batch_size": 16, "widths": [8]},
        {"features": "raw", "steps": 10, "held_back": 0.0},
        {"label": "number", "steps": 10, "check_every": 3},
    ],
    "retrieval": [{"within": [1, 3]}, {"match": "label"}],
    "sub_networks": [{"by": {"kind": "linear"}}],
    "zero_shot": [
        {},
        {"prompts": [[[4, 5], [6]], [[7]], [[8, 9, 10]]], "top": 2},
        {"prompts": [[[4, 5], [6]], [[7]], [[8, 9]]], "captions": "words", "likelihood": "relative"},
    ],
}
CASES = [(kind, number) for kind, examples in EXAMPLES.items() for number in range(len(examples))]


def options_of(kind: str, number: int = 0) -> ProbeOptions:
    found: ProbeOptions = read({"kind": kind} | EXAMPLES[kind][number], FAMILY, ProbeOptions)
    return found


def probe(kind: str, **options: Any) -> Any:
    return read({"kind": kind} | options, FAMILY, ProbeOptions).build()


class ImageTower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(48, 12), nn.BatchNorm1d(12), nn.Dropout(0.3), nn.Tanh())

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.layers(fields["image"])
        return embedded


class TextTower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 12)

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        real = torch.arange(fields["tokens"].shape[1]) < fields["length"][:, None]
        return (self.words(fields["tokens"]) * real[..., None]).sum(1)


class Net(nn.Module):
    """Two towers, of which the image's is the embedding, a layer for nodes, and words told from those before them."""

    options = None

    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({"image": ImageTower(), "text": TextTower()})
        self.of_nodes = nn.Linear(4, 6)

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.towers["image"].embed(fields)
        return embedded

    @property
    def output_weight(self) -> Tensor:
        return self.towers["text"].words.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.tanh(self.towers["text"].words(tokens).cumsum(1))

    def embed_nodes(self, fields: Mapping[str, Tensor]) -> Tensor:
        return torch.relu(self.of_nodes(fields["nodes"]))


class Trained:
    """A network with the heads of two objectives, as an evaluation hands it over."""

    def __init__(self, network: Net, heads: nn.ModuleDict) -> None:
        self.network, self.heads = network, heads

    @property
    def training(self) -> bool:
        return self.network.training

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        return self.network.embed(fields)

    def train(self, mode: bool = True) -> "Trained":
        self.network.train(mode)
        self.heads.train(mode)
        return self

    def eval(self) -> "Trained":
        return self.train(False)


def trained(seed: int = 0) -> Trained:
    torch.manual_seed(seed)
    heads = nn.ModuleDict(
        {
            "supervised": nn.ModuleDict({"classifier": nn.Linear(12, 3)}),
            "augmented": nn.ModuleDict({"joint": nn.Linear(12, 12)}),
            "captioned": nn.ModuleDict({"words": BagOfWords(12, 20)}),
            "aligned": nn.ModuleDict({"image": nn.Linear(12, 8, bias=False), "text": nn.Linear(12, 8, bias=False)}),
        }
    )
    return Trained(Net(), heads)


def examples(count: int = 60, seed: int = 0) -> dict[str, Tensor]:
    """Three classes that differ in the mean of their images, two examples unlabelled; each has a graph of 5 nodes."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % 3
    image = torch.rand(count, 3, 4, 4, generator=rng) * 0.8 + label.view(-1, 1, 1, 1) * 0.3
    columns = torch.randn(count, 5, generator=rng)
    node_label = torch.randint(0, 3, (count, 5), generator=rng)
    fields = {
        "image": image,
        "image_turned": torch.stack([torch.rot90(image, turn, (2, 3)) for turn in range(4)], dim=1),
        "columns": columns,
        "number": columns @ torch.arange(5.0) + 0.1 * torch.randn(count, generator=rng),
        "tokens": torch.randint(4, 20, (count, 6), generator=rng),
        "length": torch.randint(1, 7, (count,), generator=rng),
        "sample": torch.arange(count),
        "label": label.masked_fill(torch.arange(count) < 2, -1),
    }
    graphs = {
        "nodes": torch.randn(count, 5, 4, generator=rng) + node_label[..., None],
        "edges": torch.zeros(count, 2, 1, dtype=torch.int64),
        "node_label": node_label,
        "node_split": torch.randint(0, 3, (count, 5), generator=rng),
    }
    return fields | graphs


class Fixed(nn.Module):
    """A network whose embedding is a field: what a probe finds is then in the test's hands."""

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        return fields["row"]
