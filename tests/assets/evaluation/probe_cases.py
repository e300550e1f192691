"""A probe with known answers, named by its import path, and two languages of made-up words to tell apart."""

import random
from typing import Any, ClassVar

import torch
from pydantic import Field
from small_pipelines import Lab, bytes_tokenizer, notes

from headwater.assets.component import StageComponent
from headwater.assets.evaluation.component import Evaluation
from headwater.assets.sharding.component import Shards
from headwater.assets.training.component import Training
from headwater.models.discovery import PartOptions
from headwater.models.probes.options import ProbeOptions
from headwater.models.probes.protocol import Fields, embed

WORDS = {"ba": [c + "a" for c in "bcdfgh"], "oz": [c + "o" for c in "pqrstv"]}


class CentroidOptions(ProbeOptions):
    """Each test example goes to the class with the nearest mean embedding."""

    built_by: ClassVar[str] = "probe_cases:Centroids"

    spoil: str = Field("", description="Figure that is not a number for seed 1.")
    field: str = Field("label", description="Field of the classes.")

    def needs(self) -> frozenset[str]:
        """Labels."""
        return frozenset({self.field})


class Centroids:
    """See CentroidOptions."""

    def __init__(self, options: CentroidOptions) -> None:
        self.options = options

    def measure(self, model: Any, train: Fields, test: Fields, seed: int) -> dict[str, float]:
        known, asked = embed(model, train), embed(model, test)
        labels = train["label"]
        centres = torch.stack([known[labels == label].mean(dim=0) for label in labels.unique()])
        right = torch.cdist(asked, centres).argmin(dim=1) == test["label"]
        found = {"accuracy": float(right.float().mean()), "seed": float(seed)}
        found |= {"test_sum": float(test["sample"].sum()), "train_sum": float(train["index"].sum())}
        return found | ({self.options.spoil: float("nan")} if self.options.spoil and seed == 1 else {})


class HalfOptions(PartOptions):
    """Replaces tokens by half of them, drawn by example."""


def centroids(**options: Any) -> CentroidOptions:
    return CentroidOptions(**options)


def write_languages(lab: Lab, count: int = 60) -> None:
    rng = random.Random(5)
    rows = []
    for number in range(count):
        language = ("ba", "oz")[number % 2]
        text = " ".join("".join(rng.choices(WORDS[language], k=3)) for _ in range(6))
        rows.append({"id": f"d{number}", "text": text, "language": language})
    lab.write_jsonl("notes.jsonl", rows)


def examples() -> list[StageComponent]:
    """Corpus, tokenizer and shards of labelled examples."""
    fields = {"tokens": {"kind": "text", "length": 24}, "label": {"kind": "category", "meta": "language"}}
    return [
        notes(source={"meta_fields": ["language"]}),
        bytes_tokenizer(),
        Shards(name="labelled", corpora=["notes"], tokenizer="letters", examples={"fields": fields}),
    ]


def classifier(name: str = "told", steps: int = 12, seeds: tuple[int, ...] = (0, 1), **options: Any) -> Training:
    """A small encoder that learns the language of each text."""
    recipe = {
        "steps": steps,
        "batch_size": 8,
        "optimizer": {"kind": "adamw", "learning_rate": 3e-3},
        "schedule": {"kind": "constant"},
        "precision": "float32",
    }
    return Training(
        name=name,
        shards="labelled",
        backbone={"kind": "transformer", "width": 16, "layers": 1, "heads": 2},
        objective={"kind": "classify"},
        recipe=recipe,
        seeds=list(seeds),
        tracking=[],
        **options,
    )


def reader(name: str, steps: int = 2) -> Training:
    """A small decoder that learns the next token of each text."""
    return Training(
        name=name,
        shards="labelled",
        backbone={"kind": "decoder", "width": 8, "layers": 1, "heads": 2},
        recipe={"steps": steps, "batch_size": 4},
        seeds=[0, 1],
        tracking=[],
    )


def probing(name: str = "probed", **options: Any) -> Evaluation:
    given: dict[str, Any] = {"probes": {"centroids": centroids()}, "shards": "labelled"} | options
    if given.get("network") is None:
        given = {"training": "told"} | given
    return Evaluation(name=name, **given)
