"""Opening a trained checkpoint again: to measure it, to sample from it, to export it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headwater.assets.context import StageError
from headwater.assets.fitting.stage import TOKENIZER
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.training.declaration import InitOptions
from headwater.assets.training.networks import backbone_of, objectives_of
from headwater.assets.training.places import CONSTANT, STATE, milestone
from headwater.assets.training.promotion import current_checkpoint
from headwater.assets.training.starting import Source
from headwater.models.backbones.building import build_backbone
from headwater.models.backbones.decoder import Decoder
from headwater.models.hugging_face import export_llama
from headwater.models.objectives.protocol import Objective
from headwater.models.objectives.together import Together
from headwater.models.trainer.state import load, saved_step


class Network:
    """A trained network with the heads of its objectives, as probes and annotators take it."""

    def __init__(self, network: Any, heads: nn.ModuleDict, objectives: Mapping[str, Objective]) -> None:
        self.network, self.heads, self.objectives = network, heads, dict(objectives)

    @property
    def training(self) -> bool:
        """Whether it is in training mode."""
        return bool(self.network.training)

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        """One vector per example (B, width)."""
        found: Tensor = self.network.embed(fields)
        return found

    def train(self, mode: bool = True) -> "Network":
        """Sets the mode of network and heads."""
        self.network.train(mode)
        self.heads.train(mode)
        return self

    def eval(self) -> "Network":
        """Evaluation mode."""
        return self.train(False)


def source_of(
    store: Store, record: Record, seed: int, options: InitOptions | None = None, step: int | None = None
) -> Source:
    """Where the checkpoint of a replicate lies, and what it is made of; of a milestone's `step`, or else the last.

    A training of several seeds starts from the replicate of the same seed; where the other has one alone, from that.

    Raises:
        StageError: the weights are not where the record says.
    """
    record = current_checkpoint(store, record)
    seeds = record.identity.options.get("seeds") or record.metrics["seeds"]
    own = seed if seed in seeds or len(seeds) > 1 else seeds[0]
    state = CONSTANT if options is not None and options.state == "constant" else STATE
    state = state if step is None else milestone(step)
    folder = Path(store.place(record.asset).folder(record.digest)) / f"seed_{own}" / state
    if saved_step(folder) is None:
        what = {STATE: "checkpoint", CONSTANT: "state before annealing"}.get(state, f"state of step {step}")
        mend = "materialize it again."
        if state == CONSTANT and "constant_steps" not in record.metrics:
            mend = "let it anneal: recipe.schedule: {kind: infinite, anneal_from: …}."
        raise StageError(f"{record.asset} has no {what} of seed {seed} (its seeds: {seeds}); {mend}")
    return Source(folder, record.asset, backbone_of(record), objectives_of(record))


def open_network(store: Store, record: Record, seed: int, device: str = "cpu", step: int | None = None) -> Network:
    """The trained network of one replicate with its heads, in evaluation mode; as it was at a milestone's `step`.

    Raises:
        StageError: the weights are not where the record says.
    """
    source = source_of(store, record, seed, step=step)
    saved = load(source.folder)
    assert saved is not None  # source_of looked
    model = build_backbone(source.backbone, seed)
    model.load_state_dict(saved.model)
    objectives = {name: options.build() for name, options in source.objectives.items()}
    heads = Together(objectives).heads(model.dims) if objectives else nn.ModuleDict()
    heads.load_state_dict({k.removeprefix("heads."): v for k, v in saved.trainer.items() if k.startswith("heads.")})
    return Network(model.to(device), heads.to(device), objectives).eval()


def open_checkpoint(store: Store, record: Record, seed: int, device: str = "cpu") -> Decoder:
    """The trained decoder of one replicate, for what reads and writes text.

    Raises:
        StageError: the weights are not where the record says, or it is no decoder.
    """
    network = open_network(store, record, seed, device).network
    if not isinstance(network, Decoder):
        raise StageError(f"{record.asset} is a {type(network).__name__}: only a decoder reads and writes text.")
    return network


def export_checkpoint(model: Decoder, tokenizer: FittedTokenizer, folder: Path, log: Callable[[str], None]) -> None:
    """Writes a folder that `transformers` loads: config, weights and the tokenizer."""
    ids: dict[str, int | None] = {
        "bos_token_id": tokenizer.end_of_text_id,
        "eos_token_id": tokenizer.end_of_text_id,
        "pad_token_id": tokenizer.pad_id,
    }
    with torch.no_grad():
        export_llama(model, folder, ids)
    (folder / TOKENIZER).write_text(tokenizer.json, encoding="utf-8")
    config = tokenizer.transformers_config(model.options.context_length)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for path in sorted(folder.iterdir()):
        log(f"{path.name}  {path.stat().st_size:,} bytes")
